from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.gpu import mig_and_dra
from dynocheck.facts import Node, Nodes, ResourceSlice, ResourceSlices
from dynocheck.facts.k8s.gpu import DeviceClasses
from tests.checks.judging import FRONTEND, GRAPH, get_skip_reason, list_messages, recipes, run_check, worker

NO_SLICES = ResourceSlices(served=False)
NO_CLASSES = DeviceClasses()


def node(capacity: dict[str, str], **labels: str) -> Nodes:
    given = {f"nvidia.com/{key.replace('__', '.')}": value for key, value in labels.items()}
    amounts = {f"nvidia.com/{key}": value for key, value in capacity.items()}
    given["nvidia.com/gpu.present"] = "true"
    return Nodes((Node("a", labels=given, capacity=amounts, allocatable=amounts),))


WHOLE = {"gpu": "8"}
SLICED = {"gpu": "0", "mig-1g.10gb": "56"}


@pytest.mark.parametrize(
    ("nodes", "outcomes"),
    [
        (node(WHOLE, mig__config="all-1g.10gb", mig__config__state="failed"), ["fail"]),
        (node(WHOLE, mig__config="all-1g.10gb", mig__config__state="pending"), ["warn"]),
        (node(WHOLE, mig__config="all-disabled", mig__config__state="rebooting"), ["warn"]),
        (node(WHOLE, mig__config="all-1g.10gb", mig__config__state="odd"), ["warn"]),
        (node({}, gpu__product="NVIDIA-H100-80GB-HBM3-MIG-INVALID", mig__strategy="single"), ["fail"]),
        (node({"gpu": "56"}, gpu__product="NVIDIA-H100-80GB-HBM3-MIG-1g.10gb", mig__strategy="single"), []),
        (node(SLICED, mig__strategy="single"), ["warn"]),
        (node(WHOLE, mig__strategy="none", mig__config="all-1g.10gb"), ["warn"]),
        (node(SLICED, mig__strategy="mixed", **{"mig-1g.10gb.count": "56"}), []),
        (node(SLICED, mig__strategy="mixed", **{"mig-1g.10gb.count": "28"}), ["warn"]),
        (
            node({**SLICED, "mig-3g.40gb": "2"}, mig__strategy="mixed", **{"mig-1g.10gb.count": "56"}),
            ["warn"],
        ),
        (
            node(
                {"mig-1g.10gb.shared": "112"},
                mig__strategy="mixed",
                **{"mig-1g.10gb.count": "56", "mig-1g.10gb.replicas": "2"},
            ),
            [],
        ),
        (node(SLICED), []),
    ],
)
def test_layouts(nodes: Nodes, outcomes: list[str]) -> None:
    assert [outcome for outcome, _ in list_messages(mig_and_dra.mig, nodes, NO_SLICES)] == outcomes


@pytest.mark.parametrize(
    "nodes",
    [
        node(WHOLE),
        node(WHOLE, mig__config="all-disabled", mig__config__state="success", mig__strategy="single"),
        node(WHOLE, mig__capable="true", mig__strategy="mixed"),
    ],
)
def test_no_mig(nodes: Nodes) -> None:
    assert get_skip_reason(mig_and_dra.mig, nodes, NO_SLICES) == "no GPU node uses MIG"


TEMPLATE = """
apiVersion: resource.k8s.io/v1
kind: ResourceClaimTemplate
metadata: {name: gpus}
spec:
  spec:
    devices:
      requests:
      - name: gpu
        exactly: {deviceClassName: gpu.nvidia.com, count: 8}
"""
DOMAIN = """
apiVersion: resource.nvidia.com/v1beta1
kind: ComputeDomain
metadata: {name: domain}
spec: {numNodes: 2, channel: {resourceClaimTemplate: {name: channel}}}
"""


def offered(driver: str = "gpu.nvidia.com") -> ResourceSlices:
    return ResourceSlices((ResourceSlice("s", driver, "a", 8),))


def classes(*names: str) -> DeviceClasses:
    return DeviceClasses(names, ("v1",))


def test_a_claim_needs_a_class_and_devices(tmp_path: Path) -> None:
    given = recipes(tmp_path / "a", claim=TEMPLATE)
    assert list_messages(mig_and_dra.dra, classes("gpu.nvidia.com"), offered(), given) == []
    for having, slices, part in [
        (NO_CLASSES, NO_SLICES, "serves no resource.k8s.io"),
        (classes(), offered(), "which does not exist"),
        (classes("gpu.nvidia.com"), ResourceSlices(), "no node offers devices of gpu.nvidia.com"),
        (classes("gpu.nvidia.com"), offered("dra.net"), "no node offers devices of gpu.nvidia.com"),
    ]:
        (finding,) = run_check(mig_and_dra.dra, having, slices, given)
        assert str(finding.outcome) == "fail"
        assert part in finding.message
        assert finding.location is not None
    assert finding.location is not None
    assert finding.location.line == 10


def test_a_class_of_another_driver_is_only_looked_up(tmp_path: Path) -> None:
    given = recipes(tmp_path, claim=TEMPLATE.replace("gpu.nvidia.com", "gpu.example.com"))
    assert list_messages(mig_and_dra.dra, classes("gpu.example.com"), ResourceSlices(), given) == []


def test_a_compute_domain_is_a_claim(tmp_path: Path) -> None:
    given = recipes(tmp_path, domain=DOMAIN)
    domain = "compute-domain-default-channel.nvidia.com"
    assert list_messages(mig_and_dra.dra, classes(domain), offered("compute-domain.nvidia.com"), given) == []
    assert [o for o, _ in list_messages(mig_and_dra.dra, classes("gpu.nvidia.com"), offered(), given)] == [
        "fail"
    ]


def claiming(template: str) -> str:
    claim = f"        resourceClaims: [{{name: gpus, resourceClaimTemplateName: {template}}}]\n"
    return (GRAPH + FRONTEND + worker()).replace("      spec:\n", f"      spec:\n{claim}")


def test_a_claim_by_somebody_elses_template(tmp_path: Path) -> None:
    elsewhere = recipes(tmp_path / "a", deploy=claiming("theirs"))
    ((outcome, message),) = list_messages(mig_and_dra.dra, classes(), ResourceSlices(), elsewhere)
    assert outcome == "warn"
    assert message.startswith("claims by theirs, which the recipe does not bring")
    assert [o for o, _ in list_messages(mig_and_dra.dra, NO_CLASSES, NO_SLICES, elsewhere)] == ["fail"]
    own = recipes(tmp_path / "b", claim=TEMPLATE, deploy=claiming("gpus"))
    assert list_messages(mig_and_dra.dra, classes("gpu.nvidia.com"), offered(), own) == []
    domain = recipes(tmp_path / "c", claim=DOMAIN, deploy=claiming("channel"))
    known = classes("compute-domain-default-channel.nvidia.com")
    assert list_messages(mig_and_dra.dra, known, offered("compute-domain.nvidia.com"), domain) == []


def test_a_cluster_alone() -> None:
    assert get_skip_reason(mig_and_dra.dra, NO_CLASSES, NO_SLICES, None)
    assert get_skip_reason(mig_and_dra.dra, classes("dra.net"), offered("dra.net"), None)
    assert list_messages(mig_and_dra.dra, classes("gpu.nvidia.com"), offered(), None) == []
    (idle,) = run_check(mig_and_dra.dra, classes("gpu.nvidia.com"), ResourceSlices(), None)
    assert (str(idle.outcome), idle.subject and idle.subject.name) == ("warn", "gpu.nvidia.com")
    assert [o for o, _ in list_messages(mig_and_dra.dra, classes(), offered(), None)] == ["warn"]
