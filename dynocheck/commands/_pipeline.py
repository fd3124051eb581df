"""What every judging verb does: choose checks, look or read a recording, judge, report."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from dynocheck.commands._outputs import Sink, parse_outputs, write_reports
from dynocheck.commands._settings import CommonOptions, FactScope, RunSettings
from dynocheck.core import runner, snapshot
from dynocheck.core.alternatives import downgrade_alternatives
from dynocheck.core.errors import UsageError
from dynocheck.core.outcomes import Chart, Table, Verdict, compute_exit_code
from dynocheck.core.registry import Check, Probe
from dynocheck.facts import ClusterFact, Fact, RecipeFact, RecipePaths, Recipes, RequiredAccess, Settings
from dynocheck.facts.recipe.recipes import IgnoreUses
from dynocheck.kube import Cluster
from dynocheck.reports import progress
from dynocheck.suppression.pipeline import SuppressionPipeline, judge_with_comments

INTERRUPTED = 130


@dataclass(frozen=True)
class RunContext:
    """What a verb brings besides a cluster and recipes.

    :param sources: for probes to look at, by type.
    :param facts: what is known without a look.
    :param describe: says, of the facts of the run, what it looked at, for the report.
    :param doing: says what a long look is waiting for, at the moment.
    """

    sources: Mapping[type, Any] = field(default_factory=dict)
    facts: Mapping[type[Fact], Fact] = field(default_factory=dict)
    describe: Callable[[Mapping[type[Fact], Any]], dict[str, Any]] = lambda facts: {}
    doing: Callable[[], str] = lambda: ""

    def describe_waiting(self, names: Sequence[str]) -> list[str]:
        """What a run waits for: the probes that look, and what the slow one of them waits for itself."""
        return [*names, *filter(None, [self.doing()])]


@dataclass(frozen=True)
class Run:
    """A judging verb that has begun: what it was told, and what it can use of that.

    `scope` is the base of the facts of which a check must need one to be part of this verb.
    """

    command: str
    choices: CommonOptions
    scope: FactScope
    setting: RunSettings
    outputs: Sequence[Sink]
    checks: tuple[Check, ...]
    started: float

    @classmethod
    def begin(cls, command: str, choices: CommonOptions, scope: FactScope) -> "Run":
        """:raises UsageError: the choices or the configuration cannot be used."""
        started = time.time()
        setting = RunSettings.resolve(choices)
        outputs = parse_outputs(choices)
        return cls(command, choices, scope, setting, outputs, setting.select_checks(choices, scope), started)

    def conclude(self, known: runner.Knowledge, target: Mapping[str, Any]) -> int:
        """Judge what is known, without looking any further, and report.

        :return: the exit code.
        :raises UsageError: a report could not be written.
        """
        known.facts[Settings] = self.setting.configuration.thresholds
        tables = self.setting.select_tables(self.choices, self.scope)
        plan = runner.plan(self.checks, (), (), {*known.facts, *known.missing}, tables)
        verdicts = runner.judge(plan.checks, known, self.setting.levels)
        return self.report_verdicts(target, verdicts, runner.tabulate(plan.tables, known))

    def report_verdicts(
        self, target: Mapping[str, Any], verdicts: Sequence[Verdict], shown: Sequence[Table | Chart]
    ) -> int:
        """Report.

        :return: the exit code.
        :raises UsageError: a report could not be written.
        """
        report = runner.build_report(self.command, target, verdicts, self.started, shown)
        write_reports(report, self.outputs, self.setting, self.choices)
        return compute_exit_code(report, strict=self.choices.strict)


def judge(
    run: Run,
    *,
    recipes: Sequence[str] = (),
    cluster: bool = False,
    scene: RunContext | None = None,
) -> int:
    """Judge and report.

    :param recipes: paths to look at.
    :param cluster: whether to look at a cluster, unless the choices name a recording of one.
    :param scene: what else there is to look at.
    :return: the exit code.
    :raises UsageError: what the user gave cannot be used.
    """
    choices, setting, checks = run.choices, run.setting, run.checks
    aside = SuppressionPipeline(choices.aside, recipes)

    known, target = _read_snapshot(choices.snapshot, setting.registry.probes, recipes)
    known.facts[Settings] = setting.configuration.thresholds
    scene = scene or RunContext()
    known.facts |= scene.facts
    sources = {
        **collect_sources(choices, recipes, cluster=cluster and choices.snapshot is None),
        **scene.sources,
    }
    target |= describe_target(sources)

    tables = setting.select_tables(choices, run.scope)
    given: set[type[Fact]] = {*known.facts, *known.missing, IgnoreUses}
    plan = runner.plan(checks, setting.registry.probes, sources, given, tables)
    for pattern in choices.select:
        chosen = [check for check in checks if check.matches(pattern)]
        if chosen and not any(check in plan.checks for check in chosen):
            raise UsageError(f"{pattern} needs more to look at: {_suggest_input(run.command)}")
    with progress.show_progress() as show:
        seen = run_probes(
            plan, sources, choices.timeout_s, lambda names: show(scene.describe_waiting(names)), known
        )
    known.facts |= seen.facts
    known.missing |= seen.missing
    known.interrupted = seen.interrupted
    target |= scene.describe(known.facts)
    verdicts = aside.evaluate(
        plan.checks, known, partial(judge_with_comments, setting.registry.checks, setting.levels)
    )
    read = known.facts.get(Recipes)
    if run.scope is ClusterFact and isinstance(read, Recipes):
        verdicts = downgrade_alternatives(verdicts, read)
    shown = (*runner.tabulate(plan.tables, known), *aside.build_tables(verdicts))
    code = run.report_verdicts(target, verdicts, shown)
    if seen.interrupted:
        print("interrupted: what was not seen by then is unknown", file=sys.stderr)
        return INTERRUPTED
    return code


def collect_sources(choices: CommonOptions, recipes: Sequence[str], *, cluster: bool) -> dict[type, Any]:
    """What probes can look at in this run.

    :raises UsageError: there is no such cluster in the kubeconfig.
    """
    sources: dict[type, Any] = {}
    if recipes:
        sources[RecipePaths] = RecipePaths(tuple(recipes))
    if cluster:
        from dynocheck import kube

        connection = kube.find_connection(choices.kubeconfig, choices.context, choices.namespace)
        sources[Cluster] = Cluster(connection, timeout_s=choices.timeout_s)
    return sources


def describe_target(sources: dict[type, Any]) -> dict[str, Any]:
    """What a report says of what was looked at."""
    target: dict[str, Any] = {}
    if Cluster in sources:
        connection = sources[Cluster].connection
        target |= {"cluster": connection.server, "namespace": connection.namespace}
        target |= {"context": connection.context} if connection.context else {}
    if RecipePaths in sources:
        target["recipe"] = ", ".join(sources[RecipePaths].items)
    return target


def run_probes(
    plan: runner.Plan,
    sources: dict[type, Any],
    timeout_s: float,
    show: runner.Progress | None = None,
    known: runner.Knowledge | None = None,
) -> runner.Knowledge:
    """Run the probes of a plan, on sources and on what is known already.

    :raises UsageError: a recipe path holds nothing to judge.
    """
    complete = {**sources, RequiredAccess: RequiredAccess(plan.access)}
    return runner.gather(plan.probes, complete, timeout_s=timeout_s, progress=show, known=known)


def _read_snapshot(
    file: str | None, probes: Sequence[Probe], recipes: Sequence[str]
) -> tuple[runner.Knowledge, dict[str, Any]]:
    """What a recording holds, if there is one, and what it was taken of. Named recipes replace its own.

    :raises UsageError: it cannot be read.
    """
    if file is None:
        return runner.Knowledge(), {}
    kinds = [p.provides for p in probes if not (recipes and issubclass(p.provides, RecipeFact))]
    known, target = snapshot.read(Path(file), kinds)
    for kind in kinds:
        if issubclass(kind, ClusterFact) and kind not in known:
            known.missing[kind] = runner.MissingFact(f"the snapshot holds no {kind.__name__}")
    return known, {**target, "snapshot": file}


def _suggest_input(command: str) -> str:
    return {"recipe": "add --cluster", "preflight": "add --recipe DIR"}.get(command, "a cluster")
