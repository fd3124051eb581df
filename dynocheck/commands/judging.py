"""What every judging verb does: choose checks, look or read a recording, judge, report."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from dynocheck import config, reports, runner, snapshot
from dynocheck.commands.aside import Aside, Wanted, noted
from dynocheck.commands.variants import weighed
from dynocheck.errors import UsageError
from dynocheck.facts import ClusterFact, Fact, RecipeFact, RecipePaths, Recipes, RequiredAccess, Settings
from dynocheck.facts.endpoint import EndpointFact
from dynocheck.facts.load import LoadFact
from dynocheck.facts.recipe import IgnoreUses
from dynocheck.kube import Cluster
from dynocheck.outcomes import Outcome, Report, exit_code
from dynocheck.registry import (
    ChartMaker,
    Check,
    Probe,
    R,
    Reader,
    Registry,
    TableMaker,
    load,
    matching,
    select,
)
from dynocheck.reports import progress

INTERRUPTED = 130
Scope = type[Fact] | tuple[type[Fact], ...]  # a verb's: of these facts its checks need one
_SCOPES = (ClusterFact, RecipeFact, EndpointFact, LoadFact)


@dataclass(frozen=True)
class Choices:
    """What the command line says that all judging verbs share; `timeout_s` is in seconds for each probe."""

    outputs: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    strict: bool = False
    config: str | None = None
    checks_dirs: tuple[str, ...] = ()
    timeout_s: float = 10.0
    snapshot: str | None = None
    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None
    aside: Wanted = field(default_factory=Wanted)


@dataclass(frozen=True)
class Setting:
    """The registry and the configuration that the choices lead to."""

    configuration: config.Configuration
    registry: Registry

    @classmethod
    def of(cls, choices: Choices) -> "Setting":
        """Read the configuration and load every check and probe.

        :raises UsageError: the one or the other cannot be used.
        """
        configuration = config.find(choices.config)
        folders = (*configuration.checks_dirs, *choices.checks_dirs)
        return cls(configuration, load(Path(folder) for folder in folders))

    def checks(self, choices: Choices, scope: Scope | None = None) -> tuple[Check, ...]:
        """The checks of this scope that configuration and command line leave.

        :raises UsageError: an id or glob matches nothing: in the file no check at all, on the command line
            none that this verb can judge.
        """
        everything, tables = self.registry.checks, self.registry.tables
        select(everything, self.configuration.select, ())
        select((*everything, *tables), (), self.configuration.skip)
        for pattern in self.configuration.levels:
            select(everything, (pattern,), ())
        inside = _inside(everything, scope)
        select((*inside, *_inside(tables, scope)), (), choices.skip)
        if choices.select:  # what is asked for now counts more than what was decided once
            left = select(inside, choices.select, ())
        else:
            left = matching(inside, self.configuration.select, self.configuration.skip)
        return matching(left, (), choices.skip)

    def tables(self, choices: Choices, scope: Scope) -> tuple[TableMaker | ChartMaker, ...]:
        """The tables and charts of this scope; where checks are selected, those that the patterns match."""
        inside = _inside(self.registry.tables, scope)
        if not choices.select:
            inside = matching(inside, self.configuration.select, self.configuration.skip)
        return matching(inside, choices.select, choices.skip)

    @property
    def levels(self) -> dict[str, Outcome]:
        """What the findings of a check count as, by its id; the last pattern that matches decides."""
        return {
            found.id: Outcome(level)
            for pattern, level in self.configuration.levels.items()
            for found in matching(self.registry.checks, (pattern,), ())
        }


@dataclass(frozen=True)
class Scene:
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

    def waiting(self, names: Sequence[str]) -> list[str]:
        """What a run waits for: the probes that look, and what the slow one of them waits for itself."""
        return [*names, *filter(None, [self.doing()])]


def judge(
    command: str,
    choices: Choices,
    scope: Scope,
    *,
    recipes: Sequence[str] = (),
    cluster: bool = False,
    scene: Scene | None = None,
) -> int:
    """Judge and report.

    :param scope: the base of the facts of which a check must need one to be part of this verb.
    :param recipes: paths to look at.
    :param cluster: whether to look at a cluster, unless the choices name a recording of one.
    :param scene: what else there is to look at.
    :return: the exit code.
    :raises UsageError: what the user gave cannot be used.
    """
    started = time.time()
    setting = Setting.of(choices)
    outputs = sinks(choices)
    checks = setting.checks(choices, scope)
    aside = Aside(choices.aside, recipes)

    known, target = _recorded(choices.snapshot, setting.registry.probes, recipes)
    known.facts[Settings] = setting.configuration.thresholds
    scene = scene or Scene()
    known.facts |= scene.facts
    sources = {**sources_of(choices, recipes, cluster=cluster and choices.snapshot is None), **scene.sources}
    target |= described(sources)

    tables = setting.tables(choices, scope)
    given: set[type[Fact]] = {*known.facts, *known.missing, IgnoreUses}
    plan = runner.plan(checks, setting.registry.probes, sources, given, tables)
    for pattern in choices.select:
        chosen = [check for check in checks if check.matches(pattern)]
        if chosen and not any(check in plan.checks for check in chosen):
            raise UsageError(f"{pattern} needs more to look at: {_more(command)}")
    with progress.live() as show:
        seen = look(plan, sources, choices.timeout_s, lambda names: show(scene.waiting(names)), known)
    known.facts |= seen.facts
    known.missing |= seen.missing
    known.interrupted = seen.interrupted
    target |= scene.describe(known.facts)
    verdicts = aside.judged(plan.checks, known, partial(noted, setting.registry.checks, setting.levels))
    read = known.facts.get(Recipes)
    if scope is ClusterFact and isinstance(read, Recipes):
        verdicts = weighed(verdicts, read)
    shown = (*runner.tabulate(plan.tables, known), *aside.tables(verdicts))
    report = runner.report(command, target, verdicts, started, shown)

    told(report, outputs, setting, choices)
    if seen.interrupted:
        print("interrupted: what was not seen by then is unknown", file=sys.stderr)
        return INTERRUPTED
    return exit_code(report, strict=choices.strict)


def concluded(
    command: str,
    setting: Setting,
    choices: Choices,
    known: runner.Knowledge,
    target: dict[str, Any],
    checks: Sequence[Check],
    scope: Scope,
    started: float,
) -> Report:
    """The report on what is known, without looking any further.

    :raises UsageError: what was selected needs more than that.
    """
    known.facts[Settings] = setting.configuration.thresholds
    tables = setting.tables(choices, scope)
    plan = runner.plan(checks, (), (), {*known.facts, *known.missing}, tables)
    verdicts = runner.judge(plan.checks, known, setting.levels)
    return runner.report(command, target, verdicts, started, runner.tabulate(plan.tables, known))


def sinks(choices: Choices) -> "list[Sink]":
    """Where the reports go.

    :raises UsageError: they cannot go there.
    """
    made = [_sink(output) for output in choices.outputs or ("table",)]
    if sum(sink.path is None for sink in made) > 1:
        raise UsageError("two formats for one standard output; give one a file: -o FORMAT=FILE")
    return made


def told(report: Report, outputs: "Sequence[Sink]", setting: Setting, choices: Choices) -> None:
    """Write the report to each of them.

    :raises UsageError: one could not be written; the others are.
    """
    shown = reports.Options(strict=choices.strict, junit_unknown=setting.configuration.junit_unknown)
    failed = [error for sink in outputs if (error := sink.write(report, shown)) is not None]
    if failed:
        raise UsageError("; ".join(failed))


def sources_of(choices: Choices, recipes: Sequence[str], *, cluster: bool) -> dict[type, Any]:
    """What probes can look at in this run.

    :raises UsageError: there is no such cluster in the kubeconfig.
    """
    sources: dict[type, Any] = {}
    if recipes:
        sources[RecipePaths] = RecipePaths(tuple(recipes))
    if cluster:
        from dynocheck import kube

        connection = kube.find(choices.kubeconfig, choices.context, choices.namespace)
        sources[Cluster] = Cluster(connection, timeout_s=choices.timeout_s)
    return sources


def described(sources: dict[type, Any]) -> dict[str, Any]:
    """What a report says of what was looked at."""
    target: dict[str, Any] = {}
    if Cluster in sources:
        connection = sources[Cluster].connection
        target |= {"cluster": connection.server, "namespace": connection.namespace}
        target |= {"context": connection.context} if connection.context else {}
    if RecipePaths in sources:
        target["recipe"] = ", ".join(sources[RecipePaths].items)
    return target


def look(
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


def _inside(candidates: Sequence[R], scope: Scope | None) -> tuple[R, ...]:
    return tuple(each for each in candidates if scope is None or _in_scope(each, scope))


def _in_scope(candidate: Reader, scope: Scope) -> bool:
    """Whether it needs a fact of this scope; what needs none of any scope belongs to every scope."""
    facts = [need.fact for need in candidate.needs]
    scoped = [fact for fact in facts if issubclass(fact, _SCOPES)]
    return not scoped or any(issubclass(fact, scope) for fact in scoped)


def _recorded(
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
            known.missing[kind] = runner.Missing(f"the snapshot holds no {kind.__name__}")
    return known, {**target, "snapshot": file}


def _more(command: str) -> str:
    return {"recipe": "add --cluster", "preflight": "add --recipe DIR"}.get(command, "a cluster")


class Sink(NamedTuple):
    format: str
    path: Path | None

    def write(self, report: Any, options: reports.Options) -> str | None:
        """Write; say what went wrong, so that one full disk does not keep the other reports back."""
        try:
            reports.write(report, self.format, self.path, options)
        except BrokenPipeError:
            raise
        except OSError as error:
            return f"cannot write {self.path or 'to standard output'}: {error.strerror}"
        return None


def _sink(output: str) -> Sink:
    name, equals, path = output.partition("=")
    if name not in reports.FORMATS:
        raise UsageError(f"-o {output}: no such format; there are {', '.join(reports.FORMATS)}")
    if equals and not path:
        raise UsageError(f"-o {output}: no file after the =")
    if path and not Path(path).absolute().parent.is_dir():
        raise UsageError(f"-o {output}: no folder {Path(path).parent}")
    return Sink(name, Path(path) if path else None)
