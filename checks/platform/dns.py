"""Whether pods can find one another, and what the platform was told to rely on."""

from collections.abc import Iterator

from dynocheck import Finding, Subject, check, fail, warn
from dynocheck.facts import Node, Nodes
from dynocheck.facts.k8s.platform import ServiceEndpoints
from dynocheck.facts.k8s.workloads import Workloads

# Where distributions put the cluster's DNS; the first is what almost all call it.
_DNS = (
    "kube-system/kube-dns",
    "kube-system/coredns",
    "kube-system/rke2-coredns-rke2-coredns",
    "openshift-dns/dns-default",
)
# Who may answer outside of the cluster's Services, by a label of the nodes and its value:
# https://cloud.google.com/kubernetes-engine/docs/how-to/cloud-dns
# https://docs.aws.amazon.com/eks/latest/userguide/auto-networking.html
_OUTSIDE = {
    "cloud.google.com/gke-nodepool": ("", "Cloud DNS"),
    "eks.amazonaws.com/compute-type": ("auto", "the nodes of EKS Auto Mode"),
}


@check("platform.dns", title="The cluster's DNS answers")
def dns(services: ServiceEndpoints, workloads: Workloads, nodes: Nodes) -> Iterator[Finding]:
    """Frontends, workers and the operator's webhooks are found by names that only the cluster's DNS knows.

    It is found by the Services that distributions use or by their label, not by the name of a Deployment.
    Clusters of GKE may have Cloud DNS answer instead, outside of the cluster, and nodes of EKS Auto Mode
    answer themselves.

    Fix: kubectl get deploy,service,endpointslice -n kube-system -l k8s-app=kube-dns
    """
    names = dict.fromkeys((*_DNS, *services.dns))
    there = {name: services.ready[name] for name in names if name in services.ready}
    if any(there.values()):
        return
    outside = next((who for node in nodes if (who := _find_outside_dns(node))), "")
    if there and not outside:
        name = next(iter(there))
        namespace, _, service = name.partition("/")
        pods = [w for w in workloads if w.namespace == namespace and "dns" in w.name]
        yield fail(
            "has no ready endpoint: no pod can look up a Service",
            fix=f"kubectl get deploy,endpointslice -n {namespace} | grep dns",
            evidence={f"{w.kind} {w.name}": f"{w.ready} of {w.desired} ready" for w in pods},
            subject=Subject("Service", service, namespace),
        )
        return
    yield warn(
        "no DNS Service with ready endpoints was found under the names that distributions use"
        + (f": {outside} may answer instead" if outside else ""),
        fix="kubectl run -it --rm --restart=Never --image=busybox:1.36 dns -- nslookup kubernetes.default",
        evidence={"looked for": list(_DNS)},
    )


def _find_outside_dns(node: Node) -> str:
    """Who may answer there without a Service."""
    for label, (value, who) in _OUTSIDE.items():
        if label in node.labels and value in ("", node.labels[label]):
            return who
    return ""
