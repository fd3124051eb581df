from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.gpu import mig_and_dra
from dynocheck.facts import DeviceClasses, Node, Nodes, ResourceSlice, ResourceSlices
from tests.checks.judging import get_skip_reason, outcomes, places, recipes
from tests.checks.manifests import dump_objects, engine, graph

NO_SLICES = ResourceSlices(served=False)
NO_CLASSES = DeviceClasses()


def node(capacity: dict[str, str], **labels: str) -> Nodes:
    prefixed = {f"nvidia.com/{key.replace('__', '.')}": value for key, value in labels.items()}
    amounts = {f"nvidia.com/{key}": value for key, value in capacity.items()}
    prefixed["nvidia.com/gpu.present"] = "true"
    return Nodes((Node("a", labels=prefixed, capacity=amounts, allocatable=amounts),))


WHOLE = {"gpu": "8"}
SLICED = {"gpu": "0", "mig-1g.10gb": "56"}


@pytest.mark.parametrize(
    ("nodes", "expected"),
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
def test_layouts(nodes: Nodes, expected: list[str]) -> None:
    assert outcomes(mig_and_dra.mig, nodes, NO_SLICES) == expected


@pytest.mark.parametrize(
    "nodes",
    [
        node(WHOLE),
        node(WHOLE, mig__config="all-disabled", mig__config__state="success", mig__strategy="single"),
        node(WHOLE, mig__capable="true", mig__strategy="mixed"),
    ],
)
def test_no_mig(nodes: Nodes) -> None:
    assert get_skip_reason(mig_and_dra.mig, nodes, NO_SLICES)


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


DOMAIN_CLASS = "compute-domain-default-channel.nvidia.com"
CLAIM_LINE = 10


def offered(driver: str = "gpu.nvidia.com") -> ResourceSlices:
    return ResourceSlices((ResourceSlice("s", driver, "a", 8),))


def classes(*names: str) -> DeviceClasses:
    return DeviceClasses(names, ("v1",))


GPU_CLASS = classes("gpu.nvidia.com")


def claiming(template: str) -> str:
    pod = {"resourceClaims": [{"name": "gpus", "resourceClaimTemplateName": template}]}
    return dump_objects(graph(engine(pod=pod)))


@pytest.mark.parametrize(
    ("served", "slices", "expected"),
    [
        (GPU_CLASS, offered(), []),
        (NO_CLASSES, NO_SLICES, ["fail"]),
        (classes(), offered(), ["fail"]),
        (GPU_CLASS, ResourceSlices(), ["fail"]),
        (GPU_CLASS, offered("dra.net"), ["fail"]),
    ],
)
def test_a_claim_needs_a_class_and_devices(
    tmp_path: Path, served: DeviceClasses, slices: ResourceSlices, expected: list[str]
) -> None:
    recipe = recipes(tmp_path, claim=TEMPLATE)
    found = places(mig_and_dra.dra, served, slices, recipe)
    assert found == [(outcome, f"claim.yaml:{CLAIM_LINE}") for outcome in expected]


def test_devices_of_other_drivers_are_not_looked_up(tmp_path: Path) -> None:
    recipe = recipes(tmp_path, claim=TEMPLATE.replace("gpu.nvidia.com", "gpu.example.com"))
    assert outcomes(mig_and_dra.dra, classes("gpu.example.com"), ResourceSlices(), recipe) == []


def test_a_compute_domain_is_a_claim(tmp_path: Path) -> None:
    recipe = recipes(tmp_path, domain=DOMAIN)
    domains = offered("compute-domain.nvidia.com")
    assert outcomes(mig_and_dra.dra, classes(DOMAIN_CLASS), domains, recipe) == []
    assert outcomes(mig_and_dra.dra, GPU_CLASS, offered(), recipe) == ["fail"]


def test_a_claim_through_a_template_outside_the_recipe(tmp_path: Path) -> None:
    recipe = recipes(tmp_path, deploy=claiming("theirs"))
    assert outcomes(mig_and_dra.dra, classes(), ResourceSlices(), recipe) == ["warn"]
    assert outcomes(mig_and_dra.dra, NO_CLASSES, NO_SLICES, recipe) == ["fail"]


def test_a_claim_through_a_template_of_the_recipe(tmp_path: Path) -> None:
    own = recipes(tmp_path / "a", claim=TEMPLATE, deploy=claiming("gpus"))
    assert outcomes(mig_and_dra.dra, GPU_CLASS, offered(), own) == []
    domain = recipes(tmp_path / "b", claim=DOMAIN, deploy=claiming("channel"))
    domains = offered("compute-domain.nvidia.com")
    assert outcomes(mig_and_dra.dra, classes(DOMAIN_CLASS), domains, domain) == []


def test_dra_without_a_recipe() -> None:
    assert get_skip_reason(mig_and_dra.dra, NO_CLASSES, NO_SLICES, None)
    assert get_skip_reason(mig_and_dra.dra, classes("dra.net"), offered("dra.net"), None)
    assert outcomes(mig_and_dra.dra, GPU_CLASS, offered(), None) == []
    idle = [("warn", "DeviceClass gpu.nvidia.com")]
    assert places(mig_and_dra.dra, GPU_CLASS, ResourceSlices(), None) == idle
    assert places(mig_and_dra.dra, classes(), offered(), None) == idle
