"""`dynocheck snapshot`: records the facts of a cluster, to be evaluated elsewhere or later."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from dynocheck.commands._bundle import collect_files
from dynocheck.commands._config import resolve_config
from dynocheck.commands._run import (
    Run,
    collect_hub_access,
    collect_sources,
    describe_target,
    run_probes,
)
from dynocheck.commands.node import this_machine
from dynocheck.core import snapshot
from dynocheck.core.bundle import write_bundle
from dynocheck.core.cancellation import INTERRUPTED
from dynocheck.core.errors import UsageError
from dynocheck.core.knowledge import Knowledge
from dynocheck.core.options import CommonOptions
from dynocheck.core.planning import plan
from dynocheck.facts import (
    ClusterFact,
    DiagnosisFact,
    Fact,
    NodeFact,
    NodeRequest,
    NodeRoot,
    Recipes,
    Settings,
)
from dynocheck.probes.symptom.objects import DiagnosisTarget
from dynocheck.reports import progress
from dynocheck.reports._text import sanitize

_MOST_NAMES = 3


def run(
    options: CommonOptions,
    file: str,
    recipes: tuple[str, ...],
    *,
    hub: bool = False,
    workloads: bool = False,
    bundle: bool = False,
) -> int:
    """Write the snapshot to a file, or to standard output for `-`.

    :param hub: ask the Hugging Face hub for the models of the recipes.
    :param workloads: record what runs in the namespace, with events and logs.
    :param bundle: write a support bundle, which holds that too.
    :return: 0, or 3 when a fact is missing; the snapshot holds the reason.
    :raises UsageError: the file cannot be written.
    """
    if bundle and file == "-":
        raise UsageError("--bundle: name a file, such as support.tar.gz")
    config = resolve_config(options, recipes)
    sources = collect_sources(options, recipes, cluster=True)
    sources |= collect_hub_access(hub=hub) if recipes else {}
    sources |= {DiagnosisTarget: DiagnosisTarget()} if workloads or bundle else {}
    checks = config.select_checks(options)
    # A snapshot without recipes holds the facts for any recipe.
    known: set[type[Fact]] = {Settings} if recipes else {Settings, Recipes}
    planned = plan(checks, config.registry.probes, sources, known)
    with progress.show_progress() as show:
        knowledge = run_probes(planned, sources, options.timeout_s, show)
    target = describe_target(sources)
    content = snapshot.encode(knowledge, target)
    if not bundle:
        return _finish(file, content, knowledge)
    try:
        write_bundle(Path(file), _collect_files(options, content, knowledge, target))
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from None
    return _conclude(knowledge)


def record_node(options: CommonOptions, file: str) -> int:
    """Write a snapshot of this machine to a file, or to standard output for `-`.

    :return: 0, or 3 when a fact is missing; the snapshot holds the reason.
    :raises UsageError: the file cannot be written.
    """
    config = resolve_config(options, ())
    sources: dict[type, Any] = {NodeRoot: this_machine()}
    checks = config.select_checks(options, NodeFact)
    planned = plan(checks, config.registry.probes, sources, {Settings, NodeRequest})
    with progress.show_progress() as show:
        knowledge = run_probes(planned, sources, options.timeout_s, show)
    return _finish(file, snapshot.encode(knowledge, {"node": socket.gethostname()}), knowledge)


def _finish(file: str, content: bytes, knowledge: Knowledge) -> int:
    """Write a snapshot; returns the exit code.

    :raises UsageError: the file cannot be written.
    """
    try:
        if file == "-":
            click.echo(content, nl=False)
        else:
            Path(file).write_bytes(content)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from None
    return _conclude(knowledge)


def _conclude(knowledge: Knowledge) -> int:
    """Print which facts are missing; returns the exit code."""
    for line in _list_missing(knowledge):
        click.echo(line, err=True)
    if knowledge.interrupted:
        return INTERRUPTED
    return 3 if knowledge.missing else 0


def _collect_files(
    options: CommonOptions, content: bytes, knowledge: Knowledge, target: dict[str, Any]
) -> dict[str, bytes]:
    """The files of a bundle, with a report on what the snapshot holds."""

    def report(outputs: list[str]) -> int:
        run = Run.begin("snapshot", replace(options, outputs=tuple(outputs)), (ClusterFact, DiagnosisFact))
        return run.judge_facts(Knowledge(dict(knowledge.facts), dict(knowledge.missing)), target)

    return collect_files(content, knowledge, target, report)


def _list_missing(knowledge: Knowledge) -> Iterator[str]:
    """A line for each reason why facts are missing."""
    kinds: dict[str, list[str]] = {}
    for kind, missing in knowledge.missing.items():
        kinds.setdefault(sanitize(missing.reason), []).append(kind.__name__)
    for reason, names in kinds.items():
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        yield f"not recorded: {', '.join(names[:_MOST_NAMES])}{more}: {reason}"
