"""Why DaemonSets of GPU nodes have no pod."""

from collections.abc import Iterable
from typing import NamedTuple

from dynocheck.facts import Node, Nodes, Workload, Workloads
from dynocheck.scheduling.node_state import format_affinity
from dynocheck.scheduling.selectors import find_repelling_taint, term_matches

_FEATURES = "feature.node.kubernetes.io/"
_CRITICAL = ("system-node-critical", "system-cluster-critical")
_OWN_TAINTS = "node.kubernetes.io/"  # of conditions, which DaemonSets tolerate
_CONTROL_PLANE = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")


class BlindWorker(NamedTuple):
    """A worker of Node Feature Discovery, and the nodes that it labels not: it does not tolerate a taint."""

    workload: Workload
    taint: str
    nodes: tuple[str, ...]


def explain_absence(workload: Workload, nodes: Nodes) -> str:
    """Why a DaemonSet wants a pod on no node, as the end of a message; empty where it is unknown."""
    missing = [
        f"{key}={value}"
        for key, value in workload.node_selector.items()
        if all(node.labels.get(key) != value for node in nodes)
    ]
    if missing:
        return f"no node has the label {', '.join(missing)}"
    if workload.node_terms and not any(term_matches(t, n) for t in workload.node_terms for n in nodes):
        return f"no node matches its node affinity {format_affinity(workload.node_terms)}"
    chosen = [node for node in nodes if _selects(workload, node)]
    taint = next((t for node in chosen if (t := _find_taint(workload, node))), "")
    return f"it does not tolerate the taint {taint}" if taint else ""


def explain_refusal(workload: Workload, nodes: Iterable[Node]) -> str:
    """Why the API server may refuse the pods of a DaemonSet, as the end of a message.

    Google Kubernetes Engine admits pods of the highest classes only where a quota allows them:
    https://docs.nvidia.com/datacenter/cloud-native/gpu-operator/latest/google-gke.html
    """
    on_gke = any(label.startswith("cloud.google.com/gke-") for node in nodes for label in node.labels)
    if on_gke and workload.priority_class in _CRITICAL:
        return (
            f"; GKE admits pods of priority class {workload.priority_class} only in a namespace with "
            "a ResourceQuota for it"
        )
    return ""


def find_blind_worker(workloads: Workloads | None, nodes: Nodes) -> BlindWorker | None:
    """The worker of Node Feature Discovery that taints keep from nodes without its labels, if any."""
    unseen = [n for n in nodes if not any(key.startswith(_FEATURES) for key in n.labels)]
    for workload in workloads or ():
        if workload.kind != "DaemonSet" or not _is_feature_worker(workload):
            continue
        kept = {n.name: t for n in unseen if _selects(workload, n) and (t := _find_taint(workload, n))}
        if kept:
            taint = next(iter(kept.values()))
            return BlindWorker(workload, taint, tuple(n for n, t in kept.items() if t == taint))
    return None


def _is_feature_worker(workload: Workload) -> bool:
    labels = {**workload.labels, **workload.pod_labels}
    is_nfd = labels.get("app.kubernetes.io/name") == "node-feature-discovery"
    return is_nfd and "worker" in (labels.get("role"), labels.get("app.kubernetes.io/component"))


def _selects(workload: Workload, node: Node) -> bool:
    if any(node.labels.get(key) != value for key, value in workload.node_selector.items()):
        return False
    return not workload.node_terms or any(term_matches(term, node) for term in workload.node_terms)


def _find_taint(workload: Workload, node: Node) -> str:
    """The taint of a worker node that a DaemonSet does not tolerate; empty where there is none."""
    taints = [t for t in node.taints if not t.key.startswith(_OWN_TAINTS) and t.key not in _CONTROL_PLANE]
    taint = find_repelling_taint(taints, workload.tolerations)
    if taint is None:
        return ""
    return f"{taint.key}{'=' + taint.value if taint.value else ''}:{taint.effect}"
