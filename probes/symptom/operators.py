"""Reads the pods of Dynamo's operators, in whatever namespaces they run."""

from collections import defaultdict

from dynocheck import probe
from dynocheck.facts import Access, DeployedPod, NamespaceState, OperatorState
from dynocheck.kube import Cluster, KubeError
from dynocheck.probes.symptom._types import ListedPod
from dynocheck.probes.symptom.logs import read_logs
from dynocheck.probes.symptom.objects import convert_pod, format_now

_LABELS = "control-plane=controller-manager,app.kubernetes.io/name=dynamo-operator"


@probe(access=[Access("list", "pods")])
def operator_state(cluster: Cluster) -> OperatorState:
    """Who may not list the pods of the cluster is told so by the fact."""
    try:
        listed = cluster.items("/api/v1/pods", ListedPod, labelSelector=_LABELS)
    except KubeError as error:
        return OperatorState(problem=str(error))
    pods: defaultdict[str, list[DeployedPod]] = defaultdict(list)
    for each in listed:
        pods[each.metadata.namespace].append(convert_pod(each, {}))
    states = tuple(
        NamespaceState(namespace=namespace, taken=format_now(), pods=tuple(group))
        for namespace, group in pods.items()
    )
    return OperatorState(
        namespaces=states, logs=tuple(log for state in states for log in read_logs(cluster, state))
    )
