"""The run of a judging verb: select checks, gather facts or read a snapshot, decide verdicts, report."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dynocheck.commands import _ci as ci
from dynocheck.core import snapshot
from dynocheck.core.cancellation import INTERRUPTED
from dynocheck.core.declarations import Check, Probe
from dynocheck.core.errors import UsageError
from dynocheck.core.knowledge import Knowledge, MissingFact
from dynocheck.core.options import CommonOptions
from dynocheck.core.outcomes import compute_exit_code
from dynocheck.core.pipeline import Pipeline
from dynocheck.core.planning import Plan, plan
from dynocheck.core.probing import Progress, gather
from dynocheck.core.report_builder import build_report, tabulate
from dynocheck.core.run_config import FactKinds, RunConfig
from dynocheck.facts import (
    ClusterFact,
    DiagnosisFact,
    Fact,
    HubAccess,
    IgnoreUses,
    NodeFact,
    RecipeFact,
    RecipePaths,
    Recipes,
    RequiredAccess,
    ServerVersion,
    Settings,
)
from dynocheck.kube import Cluster
from dynocheck.reports import ReportOptions, progress
from dynocheck.reports.outputs import Output, parse_outputs, write_reports
from dynocheck.suppression.suppressions import Suppressions

_NO_VARIABLES: Mapping[str, str] = MappingProxyType({})
_MISSING_INPUT = {"recipe": "add --cluster", "preflight": "add --recipe DIR"}


@dataclass(frozen=True)
class RunContext:
    """What a verb adds to the cluster and the recipes.

    :param sources: more sources for probes, by type.
    :param facts: facts that need no probe.
    :param describe_target: takes the facts of the run, and returns more of the report's target.
    :param describe_waiting: what the slow probe is waiting for at the moment.
    :param amend: changes what was gathered, before it is judged.
    :param look_again: takes the checks and the facts of a look, and returns whether to look once more.
    :param end_view: removes what the verb shows itself in the place of the usual progress.
    """

    sources: Mapping[type, Any] = field(default_factory=dict)
    facts: Mapping[type[Fact], Fact] = field(default_factory=dict)
    describe_target: Callable[[Mapping[type[Fact], Any]], dict[str, Any]] = lambda facts: {}
    describe_waiting: Callable[[], str] = lambda: ""
    amend: Callable[[Knowledge], None] = lambda known: None
    look_again: Callable[[Sequence[Check], Knowledge], bool] = lambda checks, known: False
    end_view: Callable[[], None] | None = None


@dataclass(frozen=True)
class Run:
    """A judging verb that has begun. Its checks are those that need a fact of `kinds`."""

    command: str
    options: CommonOptions
    kinds: FactKinds
    config: RunConfig
    outputs: Sequence[Output]
    checks: tuple[Check, ...]
    started: float
    judged: Sequence[str] = ()

    @classmethod
    def begin(
        cls, command: str, options: CommonOptions, kinds: FactKinds, judged: Sequence[str] = ()
    ) -> "Run":
        """Read the configuration and select the checks.

        :param judged: the paths that are judged.
        :raises UsageError: the options or the configuration cannot be used.
        """
        started = time.time()
        config = RunConfig.resolve(options, judged, kinds)
        outputs = parse_outputs(options.outputs)
        checks = (*config.select_checks(options, kinds), *config.select_broken(options))
        return cls(command, options, kinds, config, outputs, checks, started, judged)

    def judge(
        self,
        recipes: Sequence[str] = (),
        variables: Mapping[str, str] = _NO_VARIABLES,
        *,
        cluster: bool = False,
        context: RunContext | None = None,
    ) -> int:
        """Gather the facts, decide and report.

        :param recipes: paths of recipes.
        :param variables: what fills in their templates.
        :param cluster: probe the cluster, unless the options name a snapshot.
        :return: the exit code.
        :raises UsageError: the user's input cannot be used, or a report could not be written.
        """
        options = self.options
        load = partial(_load_recipes, variables)
        suppressions = Suppressions(options, self.config.registry.checks, recipes, load, self.config.trust)
        known, target = _read_snapshot(options.snapshot, self.config.registry.probes, recipes)
        context = context or RunContext()
        known.facts[Settings] = self.config.site.thresholds
        known.facts |= context.facts
        known.missing = {kind: why for kind, why in known.missing.items() if kind not in context.facts}
        sources = collect_sources(options, recipes, variables, cluster=cluster and options.snapshot is None)
        sources |= context.sources
        target |= describe_target(sources)
        planned = self._plan(self.config.registry.probes, sources, known)
        with _show_progress(context) as show, redirect_stdout(sys.stderr):
            known = _look(planned, sources, options.timeout_s, known, context, show)
        context.amend(known)
        target |= {**context.describe_target(known.facts), **_describe_retries(sources)}
        code = self._decide(planned, known, target, suppressions)
        if known.interrupted:
            print("interrupted: facts not gathered by then are unknown", file=sys.stderr)
            return INTERRUPTED
        return code

    def judge_facts(self, known: Knowledge, target: Mapping[str, Any]) -> int:
        """Decide on facts that were gathered already, and report.

        :return: the exit code.
        :raises UsageError: a report could not be written.
        """
        known.facts[Settings] = self.config.site.thresholds
        planned = self._plan((), (), known)
        return self._decide(planned, known, target, Suppressions(self.options, ()))

    def _plan(self, probes: Sequence[Probe], sources: Iterable[type], known: Knowledge) -> Plan:
        """Plan the run.

        :raises UsageError: --select names checks none of which can be judged.
        """
        facts: set[type[Fact]] = {*known.facts, *known.missing, IgnoreUses}
        tables = self.config.select_tables(self.options, self.kinds)
        planned = plan(self.checks, probes, sources, facts, tables)
        for pattern in self.options.select if probes else ():
            selected = [check for check in self.checks if check.matches(pattern)]
            if selected and not any(check in planned.checks for check in selected):
                raise UsageError(
                    f"{pattern} needs more input: {_MISSING_INPUT.get(self.command, 'a cluster')}"
                )
        return planned

    def _decide(
        self, planned: Plan, known: Knowledge, target: Mapping[str, Any], suppressions: Suppressions
    ) -> int:
        """Decide the verdicts and write the reports."""
        alternatives = self.command == "preflight"
        limit_s = self.options.timeout_s
        pipeline = Pipeline(planned.checks, self.config.levels, suppressions, alternatives, limit_s)
        with redirect_stdout(sys.stderr):  # custom checks may print; standard output is the report's
            verdicts = pipeline.decide(known)
            tables = (*tabulate(planned.tables, known, limit_s), *suppressions.build_tables(verdicts))
        config = self.config.describe(self.options)
        if refused := suppressions.describe_refused():
            config["config notes"] = [*config.get("config notes", ()), *refused]
        report = build_report(self.command, {**target, **config}, verdicts, self.started, tables)
        write_reports(report, self.outputs, self._choose_report_options())
        if known.halted:
            print("interrupted: what was not judged by then is unknown", file=sys.stderr)
            return INTERRUPTED
        return compute_exit_code(report, strict=self.options.strict)

    def _choose_report_options(self) -> ReportOptions:
        """The options of reports that the user, the configuration and the CI server set."""
        return ReportOptions(
            strict=self.options.strict,
            detail=self.options.detail,
            junit_unknown=self.config.site.junit_unknown,
            root=ci.find_root(self.judged),
            places=ci.reads_places(),
            documentation={check.id: check.documentation for check in self.checks},
        )


def collect_hub_access(*, hub: bool) -> dict[type, Any]:
    """Where the models of recipes are looked up.

    :param hub: ask the Hugging Face hub too.
    :raises UsageError: huggingface_hub is not installed.
    """
    if hub and find_spec("huggingface_hub") is None:
        raise UsageError("--hub needs huggingface_hub: pip install 'dynocheck[hub]'")
    return {HubAccess: HubAccess(online=hub)}


def describe_schemas(checks: Sequence[Check], facts: Mapping[type[Fact], Any]) -> dict[str, str]:
    """The Kubernetes release whose schemas validate the objects, when a check does that."""
    if not any(need.fact is ServerVersion for check in checks for need in check.needs):
        return {}
    from dynocheck.data import kubernetes_schemas

    server = facts.get(ServerVersion, ServerVersion())
    return {"schemas": kubernetes_schemas.describe_release(server.version)}


def collect_sources(
    options: CommonOptions,
    recipes: Sequence[str],
    variables: Mapping[str, str] = _NO_VARIABLES,
    *,
    cluster: bool,
) -> dict[type, Any]:
    """The sources of this run.

    :raises UsageError: the kubeconfig has no such cluster.
    """
    sources: dict[type, Any] = {}
    if recipes:
        sources[RecipePaths] = RecipePaths(tuple(recipes), variables, render=True)
    if cluster:
        from dynocheck import kube
        from dynocheck.kube import transport  # noqa: F401 - before threads may take the memory for it

        connection = kube.find_connection(options.kubeconfig, options.context, options.namespace)
        sources[Cluster] = Cluster(connection, timeout_s=options.timeout_s)
    return sources


def describe_target(sources: Mapping[type, Any]) -> dict[str, Any]:
    """The target of a report: the cluster and the recipes."""
    target: dict[str, Any] = {}
    if Cluster in sources:
        connection = sources[Cluster].connection
        target |= {"cluster": connection.server, "namespace": connection.namespace}
        target |= {"context": connection.context} if connection.context else {}
    if RecipePaths in sources:
        target["recipe"] = ", ".join(sources[RecipePaths].items)
        if sources[RecipePaths].variables:
            target["set"] = ", ".join(sources[RecipePaths].variables)
    return target


def _describe_retries(sources: Mapping[type, Any]) -> dict[str, Any]:
    """The requests to the API server that were tried again, by reason; nothing where none was."""
    retries = sources[Cluster].retries if Cluster in sources else None
    return {"retried": ", ".join(f"{why} ({n})" for why, n in retries.items())} if retries else {}


def run_probes(
    planned: Plan,
    sources: Mapping[type, Any],
    timeout_s: float,
    show: Progress | None = None,
    known: Knowledge | None = None,
) -> Knowledge:
    """Run the probes of a plan.

    :raises UsageError: a recipe path holds nothing to judge.
    """
    complete = {**sources, RequiredAccess: RequiredAccess(planned.access)}
    return gather(planned.probes, complete, timeout_s=timeout_s, progress=show, known=known)


@contextmanager
def _show_progress(context: RunContext) -> Iterator[Progress]:
    """Show which probes are running, unless the verb shows a view of its own, which ends with this block."""
    if context.end_view is None:
        with progress.show_progress() as show:
            yield show
        return
    try:
        yield lambda names: None
    finally:
        context.end_view()


def _look(
    planned: Plan,
    sources: Mapping[type, Any],
    timeout_s: float,
    given: Knowledge,
    context: RunContext,
    show: Progress,
) -> Knowledge:
    """What is known after a look, or after several where the verb wants them."""

    def show_waiting(names: Sequence[str]) -> None:
        show([*names, *filter(None, [context.describe_waiting()])])

    while True:
        seen = run_probes(planned, sources, timeout_s, show_waiting, given)
        known = Knowledge(given.facts | seen.facts, given.missing | seen.missing, seen.interrupted)
        try:
            if known.interrupted or not context.look_again(planned.checks, known):
                return known
        except KeyboardInterrupt:
            known.interrupted = True
            return known


def _load_recipes(variables: Mapping[str, str], path: str) -> Recipes:
    """The recipes at a path, none when it holds no recipe."""
    from dynocheck.recipe.discover import NotARecipe, load_recipes

    try:
        return Recipes(load_recipes([path], variables, render=True))
    except NotARecipe:
        return Recipes()


def _read_snapshot(
    file: str | None, probes: Sequence[Probe], recipes: Sequence[str]
) -> tuple[Knowledge, dict[str, Any]]:
    """The facts and the target of a snapshot, if there is one. Recipes of the run replace those in it.

    :raises UsageError: it cannot be read.
    """
    if file is None:
        return Knowledge(), {}
    kinds = [probe.provides for probe in probes if not (recipes and issubclass(probe.provides, RecipeFact))]
    known, target = snapshot.read(Path(file), kinds)
    for kind in kinds:
        if issubclass(kind, (ClusterFact, DiagnosisFact, NodeFact)) and kind not in known:
            known.missing[kind] = MissingFact(f"the snapshot holds no {kind.__name__}", _find_recorder(kind))
    return known, {**target, "snapshot": file}


def _find_recorder(kind: type[Fact]) -> str | None:
    """How a snapshot with this kind of fact is recorded, where it takes an option."""
    options = {DiagnosisFact: "--workloads", NodeFact: "--node"}
    named = next((option for base, option in options.items() if issubclass(kind, base)), None)
    return f"record it with dynocheck snapshot {named}" if named else None
