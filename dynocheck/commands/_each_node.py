"""Checks of one machine, made into checks of every GPU node of a cluster; what the nodes said, in a file."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from dynocheck.commands._run import Run, RunContext
from dynocheck.core import snapshot
from dynocheck.core.declarations import Check
from dynocheck.core.errors import UsageError
from dynocheck.core.knowledge import Knowledge
from dynocheck.core.outcomes import Finding, Judged, Result, Skip, Subject, Unjudged
from dynocheck.core.results import iterate_results
from dynocheck.facts import (
    Fact,
    NodeCounters,
    NodeEnvironment,
    NodeFabric,
    NodeFact,
    NodeGpus,
    NodeHost,
    NodeKernelLog,
    NodePackages,
    NodeRdma,
    NodeReport,
    NodeReports,
    NodeRequest,
    Nodes,
    NodeTopology,
    apply_reports,
)

KINDS = (NodeFact, NodeReports)
# What a pod sees, by the fields of NodeReport.
SEEN: dict[str, type[NodeFact]] = {
    "gpus": NodeGpus,
    "host": NodeHost,
    "rdma": NodeRdma,
    "log": NodeKernelLog,
    "topology": NodeTopology,
    "fabric": NodeFabric,
    "counters": NodeCounters,
    "packages": NodePackages,
}
# What a pod without GPUs of its own sees of its machine. The other checks are about the engine's own pod.
_OF_MACHINES = {
    f"node.{topic}"
    for topic in (
        *("driver-floor", "recovery", "ecc", "row-remap", "pcie", "nvlink", "throttled", "mig"),
        *("compute-mode", "memory-free", "gpu-visible", "rdma-link", "gpudirect"),
        *("fabric", "iommu", "link-errors"),
    )
}
_KERNEL_LOG = "node.xid"
_NOT_SEEN = "no node could be looked at"


def read_reports(file: str) -> tuple[NodeReports, dict[str, Any]]:
    """What nodes said, and the target, from the file that `node --cluster --record` wrote.

    :raises UsageError: it is no such file.
    """
    known, target = snapshot.read(Path(file), [NodeReports])
    reports = known.facts.get(NodeReports)
    if not isinstance(reports, NodeReports):
        raise UsageError(f"{file}: holds no GPU nodes; write it with dynocheck node --cluster --record FILE")
    return reports, target


def join_reports(run: Run, context: RunContext, file: str | None) -> tuple[Run, RunContext]:
    """A run that also judges what nodes said, and takes their word for their driver and GPUs.

    The run is refused where none of these nodes is in the cluster that it judges. A server of another URL may
    be the same cluster's, so it is only told.

    :raises UsageError: it is not a file of what nodes said, or of those of another cluster.
    """
    if file is None:
        return run, context
    reports, recorded = read_reports(file)

    def amend(known: Knowledge) -> None:
        if not isinstance(nodes := known.facts.get(Nodes), Nodes):
            return
        names = {report.name for report in reports}
        if len(nodes) and names and names.isdisjoint(node.name for node in nodes):
            raise UsageError(f"--with {file}: the cluster has none of the {len(names)} nodes in it")
        known.facts[Nodes] = apply_reports(nodes, reports)

    def describe(known: Mapping[type[Fact], Any]) -> dict[str, Any]:
        target = {**context.describe_target(known), "with": file}
        server = recorded.get("cluster")
        return target if server in (None, target.get("cluster")) else {**target, "recorded at": server}

    facts: dict[type[Fact], Fact] = {NodeReports: reports, NodeRequest: NodeRequest()}
    joined = dataclasses.replace(run, checks=judge_on_nodes(run.checks, reports))
    return joined, dataclasses.replace(
        context, facts={**context.facts, **facts}, amend=amend, describe_target=describe
    )


def judge_on_nodes(checks: Iterable[Check], reports: NodeReports) -> tuple[Check, ...]:
    """The checks, those of a machine as checks of all nodes, or left out when pods cannot see enough."""
    logged = any(report.log.unread is None for report in reports.seen)
    machines = _OF_MACHINES | ({_KERNEL_LOG} if logged else set())
    return tuple(
        judge_each(check) if check.id in machines else check
        for check in checks
        if check.id in machines or not any(issubclass(need.fact, NodeFact) for need in check.needs)
    )


def judge_each(check: Check) -> Check:
    """The check of a machine as one of all nodes that were seen. Each result names its node.

    :param check: takes what a pod sees of its machine.
    """

    def judge(reports: NodeReports, request: NodeRequest) -> Iterator[Result]:
        reasons, judged = [], 0
        for report in reports.seen:
            known = _get_facts(report, request)
            try:
                for result in iterate_results(check, {n.parameter: known[n.fact] for n in check.needs}):
                    if not isinstance(result, Judged):
                        yield _name_node(report.name, result)
                judged += 1
            except Skip as skip:
                reasons.append(str(skip))
        if not judged:
            raise Skip(reasons[0] if reasons else _NOT_SEEN)

    judge.__doc__ = check.function.__doc__
    return Check(check.id, check.title, judge, check.aliases, check.explained_by)


def _get_facts(report: NodeReport, request: NodeRequest) -> dict[type[Fact], Fact]:
    """What the checks of a machine take: what its pod saw, and nothing of an engine's own pod."""
    facts: dict[type[Fact], Fact] = {kind: getattr(report, field) for field, kind in SEEN.items()}
    facts |= {NodeEnvironment: NodeEnvironment(), NodePackages: NodePackages(), NodeRequest: request}
    return facts


def _name_node(node: str, result: Finding | Unjudged) -> Finding | Unjudged:
    """A result that names the node that it is about."""
    subject = result.subject
    named = Subject(subject.kind, f"{node}/{subject.name}") if subject else Subject("Node", node)
    if isinstance(result, Unjudged):
        return replace(result, what=f"{node}: {result.what}", subject=named)
    return replace(result, message=f"{node}: {result.message}", subject=named)
