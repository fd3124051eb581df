"""Checks of one machine, made into checks of every GPU node of a cluster."""

from collections.abc import Iterator

from msgspec.structs import replace

from dynocheck.core.declarations import Check
from dynocheck.core.outcomes import Finding, Judged, Result, Skip, Subject, Unjudged
from dynocheck.core.results import iterate_results
from dynocheck.facts import (
    Fact,
    NodeGpus,
    NodeHost,
    NodeKernelLog,
    NodePackages,
    NodeRdma,
    NodeReport,
    NodeReports,
    NodeRequest,
)

_NOT_SEEN = "no node could be looked at"


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
    return {
        NodeGpus: report.gpus,
        NodeHost: report.host,
        NodeRdma: report.rdma,
        NodeKernelLog: report.log,
        NodePackages: NodePackages(),
        NodeRequest: request,
    }


def _name_node(node: str, result: Finding | Unjudged) -> Finding | Unjudged:
    """A result that names the node that it is about."""
    subject = result.subject
    named = Subject(subject.kind, f"{node}/{subject.name}") if subject else Subject("Node", node)
    if isinstance(result, Unjudged):
        return replace(result, what=f"{node}: {result.what}", subject=named)
    return replace(result, message=f"{node}: {result.message}", subject=named)
