import pytest

from dynocheck.checks.platform import dns
from dynocheck.facts import Node, Nodes, ServiceEndpoints, Workload, Workloads
from tests.checks.judging import outcomes, places

BARE = Nodes()
CLOUD = Nodes((Node("n", labels={"cloud.google.com/gke-nodepool": "a"}),))
AUTO = Nodes((Node("i-1", labels={"eks.amazonaws.com/compute-type": "auto"}),))
EKS = Nodes((Node("i-2", labels={"eks.amazonaws.com/compute-type": "hybrid"}),))


@pytest.mark.parametrize(
    ("ready", "nodes", "expected"),
    [
        ({"kube-system/kube-dns": 2}, BARE, []),
        ({"kube-system/rke2-coredns-rke2-coredns": 1}, BARE, []),
        ({"openshift-dns/dns-default": 3}, BARE, []),
        ({"kube-system/kube-dns": 0, "kube-system/coredns": 1}, BARE, []),
        ({"kube-system/kube-dns": 0}, BARE, ["fail"]),
        ({"kube-system/kube-dns": 0}, CLOUD, []),
        ({}, CLOUD, []),
        ({"kube-system/kube-dns": 0}, AUTO, []),
        ({"kube-system/kube-dns": 0}, Nodes((*AUTO, *EKS)), ["warn"]),
        ({"kube-system/kube-dns": 0}, EKS, ["fail"]),
        ({}, BARE, ["warn"]),
    ],
)
def test_dns(ready: dict[str, int], nodes: Nodes, expected: list[str]) -> None:
    assert outcomes(dns.dns, ServiceEndpoints(ready), Workloads(), nodes) == expected


@pytest.mark.parametrize(("desired", "expected"), [(2, ["warn"]), (0, [])])
def test_cloud_dns_answers_where_kube_dns_is_not_meant_to_run(desired: int, expected: list[str]) -> None:
    servers = [("Deployment", "kube-dns", desired), ("Deployment", "kube-dns-autoscaler", 1)]
    workloads = Workloads(
        tuple(
            Workload(kind=kind, namespace="kube-system", name=name, desired=amount)
            for kind, name, amount in (*servers, ("DaemonSet", "node-local-dns", 3))
        )
    )
    assert outcomes(dns.dns, ServiceEndpoints({"kube-system/kube-dns": 0}), workloads, CLOUD) == expected


def test_helm_names_coredns_after_its_release() -> None:
    name = "dns/mine-coredns"
    for ready, expected in [(2, []), (0, [("fail", f"Service {name}")])]:
        assert places(dns.dns, ServiceEndpoints({name: ready}, (name,)), Workloads(), BARE) == expected
