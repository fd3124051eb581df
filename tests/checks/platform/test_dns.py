from __future__ import annotations

import pytest

from dynocheck.checks.platform import dns
from dynocheck.facts import Node, Nodes, ServiceEndpoints, Workloads
from tests.checks.judging import outcomes, run_check

CLOUD = Nodes((Node("n", labels={"cloud.google.com/gke-nodepool": "a"}),))


AUTO = Nodes((Node("i-1", labels={"eks.amazonaws.com/compute-type": "auto"}),))
EKS = Nodes((Node("i-2", labels={"eks.amazonaws.com/compute-type": "hybrid"}),))


@pytest.mark.parametrize(
    ("ready", "nodes", "expected"),
    [
        ({"kube-system/kube-dns": 2}, Nodes(), []),
        ({"kube-system/rke2-coredns-rke2-coredns": 1}, Nodes(), []),
        ({"openshift-dns/dns-default": 3}, Nodes(), []),
        ({"kube-system/kube-dns": 0, "kube-system/coredns": 1}, Nodes(), []),
        ({"kube-system/kube-dns": 0}, Nodes(), ["fail"]),
        ({"kube-system/kube-dns": 0}, CLOUD, ["warn"]),
        ({}, CLOUD, ["warn"]),
        ({"kube-system/kube-dns": 0}, AUTO, ["warn"]),
        ({"kube-system/kube-dns": 0}, EKS, ["fail"]),
        ({}, Nodes(), ["warn"]),
    ],
)
def test_dns(ready: dict[str, int], nodes: Nodes, expected: list[str]) -> None:
    judged = outcomes(dns.dns, ServiceEndpoints(ready), Workloads(), nodes)
    assert judged == expected


def test_dns_under_another_name() -> None:
    """Helm names CoreDNS after its release."""
    name = "dns/mine-coredns"
    assert outcomes(dns.dns, ServiceEndpoints({name: 2}, (name,)), Workloads(), Nodes()) == []
    (finding,) = run_check(dns.dns, ServiceEndpoints({name: 0}, (name,)), Workloads(), Nodes())
    assert (str(finding.outcome), str(finding.subject)) == ("fail", "Service dns/mine-coredns")
