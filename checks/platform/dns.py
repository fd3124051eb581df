"""platform.dns: the cluster's DNS."""

from collections.abc import Iterator

from dynocheck import Finding, Subject, check, fail, warn
from dynocheck.facts import Node, Nodes, ServiceEndpoints, Workloads

# DNS Services of the distributions; nearly all use the first.
_DNS = (
    "kube-system/kube-dns",
    "kube-system/coredns",
    "kube-system/rke2-coredns-rke2-coredns",
    "openshift-dns/dns-default",
)
# DNS outside of the cluster's Services, by a node label and its value (empty: any):
# https://cloud.google.com/kubernetes-engine/docs/how-to/cloud-dns
# https://docs.aws.amazon.com/eks/latest/userguide/auto-networking.html
_OUTSIDE = {
    "cloud.google.com/gke-nodepool": ("", "Cloud DNS"),
    "eks.amazonaws.com/compute-type": ("auto", "the nodes of EKS Auto Mode"),
}


@check("platform.dns", title="Cluster DNS has ready endpoints")
def dns(services: ServiceEndpoints, workloads: Workloads, nodes: Nodes) -> Iterator[Finding]:
    """Frontends, workers and the operator's webhooks are addressed by names that only cluster DNS resolves.

    The Service is found by the names that distributions use or by its label. On GKE, Cloud DNS may answer
    from outside of the cluster; on EKS Auto Mode, the nodes themselves.

    Fix: kubectl get deploy,service,endpointslice -n kube-system -l k8s-app=kube-dns
    """
    names = dict.fromkeys((*_DNS, *services.dns))
    existing = {name: services.ready[name] for name in names if name in services.ready}
    if any(existing.values()):
        return
    outside = next((provider for node in nodes if (provider := _find_outside_dns(node))), "")
    if existing and not outside:
        name = next(iter(existing))
        namespace, _, service = name.partition("/")
        pods = [w for w in workloads if w.namespace == namespace and "dns" in w.name]
        yield fail(
            "has no ready endpoint, so pods cannot resolve Service names",
            fix=f"kubectl get deploy,endpointslice -n {namespace} | grep dns",
            evidence={f"{w.kind} {w.name}": f"{w.ready} of {w.desired} ready" for w in pods},
            subject=Subject("Service", service, namespace),
        )
        return
    yield warn(
        "no DNS Service with ready endpoints found under the usual names"
        + (f": {outside} may answer instead" if outside else ""),
        fix="kubectl run -it --rm --restart=Never --image=busybox:1.36 dns -- nslookup kubernetes.default",
        evidence={"looked for": list(_DNS)},
    )


def _find_outside_dns(node: Node) -> str:
    """What may answer DNS on this node without a Service, or an empty string."""
    for label, (value, provider) in _OUTSIDE.items():
        if label in node.labels and value in ("", node.labels[label]):
            return provider
    return ""
