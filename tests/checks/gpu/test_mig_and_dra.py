from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.gpu.mig_and_dra import dra, mig
from dynocheck.facts import DeviceClasses, Nodes, ResourceSlices
from tests.checks.gpu import NO_SLICES, PRESENT, holding, offer
from tests.checks.judging import outcomes, places, recipes
from tests.checks.manifests import dump_objects, engine, graph

WHOLE = {"gpu": "8"}
SLICED = {"gpu": "0", "mig-1g.10gb": "56"}
STRATEGIES: list[dict[str, str]] = [{}, {"mig__strategy": "single"}, {"mig__strategy": "mixed"}]
SHARED = {"mig-1g.10gb.count": "56", "mig-1g.10gb.replicas": "2"}
H100, H100_MIG = (f"NVIDIA-H100-80GB-HBM3-MIG-{layout}" for layout in ("INVALID", "1g.10gb"))


def node(amounts: dict[str, str], **labels: str) -> Nodes:
    """A node with these resources and labels of nvidia.com; `a__b` is the label a.b."""
    prefixed = {f"nvidia.com/{key.replace('__', '.')}": value for key, value in labels.items()}
    resources = {f"nvidia.com/{key}": value for key, value in amounts.items()}
    return Nodes((holding("a", resources, labels={**prefixed, **PRESENT}),))


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        (node(WHOLE, mig__config="all-1g.10gb", mig__config__state="failed"), ["fail"]),
        (node(WHOLE, mig__config="all-1g.10gb", mig__config__state="pending"), ["warn"]),
        (node(WHOLE, mig__config="all-disabled", mig__config__state="rebooting"), ["warn"]),
        (node(WHOLE, mig__config="all-1g.10gb", mig__config__state="odd"), ["warn"]),
        (node({}, gpu__product=H100, mig__strategy="single"), ["fail"]),
        (node({"gpu": "56"}, gpu__product=H100_MIG, mig__strategy="single"), []),
        (node(SLICED, mig__strategy="single"), ["warn"]),
        (node(WHOLE, mig__strategy="none", mig__config="all-1g.10gb"), ["warn"]),
        (node(SLICED, mig__strategy="mixed", **{"mig-1g.10gb.count": "56"}), []),
        (node(SLICED, mig__strategy="mixed", **{"mig-1g.10gb.count": "28"}), ["warn"]),
        (
            node({**SLICED, "mig-3g.40gb": "2"}, mig__strategy="mixed", **{"mig-1g.10gb.count": "56"}),
            ["warn"],
        ),
        (node({"mig-1g.10gb.shared": "112"}, mig__strategy="mixed", **SHARED), []),
        (node(SLICED), []),
        # a layout that nothing shows, whatever the strategy
        *((node(WHOLE, mig__config="all-1g.10gb", **strategy), ["warn"]) for strategy in STRATEGIES),
        (node({"mig-1g.10gb": "14", "mig-1g.10gb.shared": "98"}, mig__strategy="mixed", **SHARED), []),
        (node(SLICED, mig__strategy="mixed", **{"mig-1g.10gb.count": ""}), []),
        (node(SLICED, mig__strategy="mixed", **{"mig-1g.10gb.count": "56", "mig-1g.10gb.replicas": ""}), []),
        # no MIG
        (node(WHOLE), ["skip"]),
        (
            node(WHOLE, mig__config="all-disabled", mig__config__state="success", mig__strategy="single"),
            ["skip"],
        ),
        (node(WHOLE, mig__capable="true", mig__strategy="mixed"), ["skip"]),
    ],
)
def test_layouts(nodes: Nodes, expected: list[str]) -> None:
    assert outcomes(mig, nodes, NO_SLICES) == expected


def classes(*names: str) -> DeviceClasses:
    return DeviceClasses(names, ("v1",))


NO_CLASSES, GPU_CLASS = DeviceClasses(), classes("gpu.nvidia.com")
DOMAIN_CLASS = classes("compute-domain-default-channel.nvidia.com")
DOMAINS = offer(driver="compute-domain.nvidia.com")
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
THEIRS = TEMPLATE.replace("gpu.nvidia.com", "gpu.example.com")


def claim(template: str) -> str:
    """A worker with a claim of this template."""
    pod = {"resourceClaims": [{"name": "gpus", "resourceClaimTemplateName": template}]}
    return dump_objects(graph(engine(pod=pod)))


@pytest.mark.parametrize(
    ("files", "served", "slices", "expected"),
    [
        ({"claim": TEMPLATE}, GPU_CLASS, offer(), []),
        ({"claim": TEMPLATE}, NO_CLASSES, NO_SLICES, [("fail", "claim.yaml:10")]),
        ({"claim": TEMPLATE}, classes(), offer(), [("fail", "claim.yaml:10")]),
        ({"claim": TEMPLATE}, GPU_CLASS, ResourceSlices(), [("fail", "claim.yaml:10")]),
        ({"claim": TEMPLATE}, GPU_CLASS, offer(driver="dra.net"), [("fail", "claim.yaml:10")]),
        # devices of other drivers are not looked up
        ({"claim": THEIRS}, classes("gpu.example.com"), ResourceSlices(), []),
        # a compute domain is a claim
        ({"domain": DOMAIN}, DOMAIN_CLASS, DOMAINS, []),
        ({"domain": DOMAIN}, GPU_CLASS, offer(), [("fail", "domain.yaml:2")]),
        # a template outside the recipe, and of it
        ({"deploy": claim("theirs")}, classes(), ResourceSlices(), [("warn", "deploy.yaml:9")]),
        ({"deploy": claim("theirs")}, NO_CLASSES, NO_SLICES, [("fail", "deploy.yaml:9")]),
        ({"claim": TEMPLATE, "deploy": claim("gpus")}, GPU_CLASS, offer(), []),
        ({"claim": DOMAIN, "deploy": claim("channel")}, DOMAIN_CLASS, DOMAINS, []),
    ],
)
def test_a_claim_needs_a_class_and_devices(
    tmp_path: Path, files: dict[str, str], served: DeviceClasses, slices: ResourceSlices, expected: Any
) -> None:
    assert places(dra, served, slices, recipes(tmp_path, **files)) == expected


def test_dra_without_a_recipe() -> None:
    assert outcomes(dra, NO_CLASSES, NO_SLICES, None) == ["skip"]
    assert outcomes(dra, classes("dra.net"), offer(driver="dra.net"), None) == ["skip"]
    assert outcomes(dra, GPU_CLASS, offer(), None) == []
    idle = [("warn", "DeviceClass gpu.nvidia.com")]
    assert places(dra, GPU_CLASS, ResourceSlices(), None) == idle
    assert places(dra, classes(), offer(), None) == idle
