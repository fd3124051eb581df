"""platform.dns: the cluster's DNS."""

from collections.abc import Iterator

from dynocheck import Finding, Subject, check, fail, warn
from dynocheck.facts import Node, Nodes, ServiceEndpoints, Workload, Workloads

# DNS Services of the distributions; nearly all use the first.
_DNS = (
    "kube-system/kube-dns",
    "kube-system/coredns",
    "kube-system/rke2-coredns-rke2-coredns",
    "openshift-dns/dns-default",
)
# Nodes of EKS Auto Mode run CoreDNS themselves: https://github.com/awsdocs/amazon-eks-user-guide/pull/1149
_AUTO_MODE = "eks.amazonaws.com/compute-type"
# On GKE either kube-dns runs or Cloud DNS answers:
# https://cloud.google.com/kubernetes-engine/docs/concepts/about-cloud-dns
_GKE = "cloud.google.com/gke-nodepool"


@check("platform.dns", title="Cluster DNS has ready endpoints")
def dns(services: ServiceEndpoints, workloads: Workloads, nodes: Nodes) -> Iterator[Finding]:
    """Frontends, workers and the operator's webhooks are addressed by names that only cluster DNS resolves.

    The Service is found by the names that distributions use or by its label. On GKE, Cloud DNS answers
    from outside of the cluster where kube-dns does not run; on EKS Auto Mode, the nodes themselves do, which
    holds when all nodes are of it.

    Fix: kubectl get deploy,service,endpointslice -n kube-system -l k8s-app=kube-dns
    """
    names = dict.fromkeys((*_DNS, *services.dns))
    existing = {name: services.ready[name] for name in names if name in services.ready}
    if any(existing.values()):
        return
    namespace, _, service = next(iter(existing), _DNS[0]).partition("/")
    servers = [w for w in workloads if w.namespace == namespace and "dns" in w.name]
    provider = _find_other_provider(nodes)
    if provider and _answers_alone(nodes, servers):
        return
    if existing and not provider:
        yield fail(
            "has no ready endpoint, so pods cannot resolve Service names",
            fix=f"kubectl get deploy,endpointslice -n {namespace} | grep dns",
            evidence={f"{w.kind} {w.name}": f"{w.ready} of {w.desired} ready" for w in servers},
            subject=Subject("Service", service, namespace),
        )
        return
    yield warn(
        "no DNS Service with ready endpoints found under the usual names"
        + (f": {provider} may answer instead" if provider else ""),
        fix="kubectl run -it --rm --restart=Never --image=busybox:1.36 dns -- nslookup kubernetes.default",
        evidence={"looked for": list(_DNS)},
    )


def _find_other_provider(nodes: Nodes) -> str:
    """What may answer DNS without a Service, or an empty string."""
    if any(_GKE in node.labels for node in nodes):
        return "Cloud DNS"
    return "EKS Auto Mode" if any(map(_is_auto, nodes)) else ""


def _answers_alone(nodes: Nodes, servers: list[Workload]) -> bool:
    """Whether every node is of EKS Auto Mode, or no kube-dns is meant to run on GKE."""
    if any(_GKE in node.labels for node in nodes):
        return not any(w.kind == "Deployment" and w.desired and "autoscaler" not in w.name for w in servers)
    return all(map(_is_auto, nodes))


def _is_auto(node: Node) -> bool:
    return node.labels.get(_AUTO_MODE) == "auto"
