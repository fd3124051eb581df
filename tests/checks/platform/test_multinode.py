from pathlib import Path
from typing import Any

import msgspec
import pytest

from dynocheck.checks.platform import multinode
from dynocheck.facts import OperatorConfig, OperatorConfigs, Recipes, Workload, Workloads
from tests.checks.judging import crd, deploy, make_definitions, outcomes, places
from tests.checks.manifests import engine, graph
from tests.checks.platform import operator

GROVE = ("podcliquesets.grove.io", "clustertopologybindings.grove.io")
KAI = ("queues.scheduling.run.ai",)
LWS = ("leaderworkersets.leaderworkerset.x-k8s.io",)
VOLCANO = ("podgroups.scheduling.volcano.sh",)
NO_CONFIG = OperatorConfigs()


def runs(image: str, *, ready: bool = True, **labels: str) -> Workload:
    fields: dict[str, Any] = {"images": (image,), "desired": 1, "ready": int(ready), "labels": labels}
    return Workload(kind="Deployment", namespace="n", name="d", **fields)


def grove(tag: str = "v0.1.0-alpha.10", *, ready: bool = True) -> Workload:
    label = {"app.kubernetes.io/name": "grove-operator"}
    return runs(f"registry.example/grove-operator:{tag}", ready=ready, **label)


@pytest.fixture
def wide(tmp_path: Path) -> Recipes:
    return deploy(tmp_path, graph(engine(multinode={"nodeCount": 2})))


def judge(
    recipe: Recipes,
    names: tuple[str, ...],
    *workloads: Workload,
    configs: OperatorConfigs = NO_CONFIG,
    release: str = "1.4.0",
) -> list[tuple[str, str]]:
    defined = make_definitions(*(crd(name, "v1") for name in names))
    running = Workloads((operator(release), *workloads))
    return places(multinode.multinode, defined, running, configs, recipe)


def test_no_component_spans_nodes(tmp_path: Path) -> None:
    facts = make_definitions(), Workloads(), NO_CONFIG, deploy(tmp_path, graph(engine()))
    assert outcomes(multinode.multinode, *facts) == ["skip"]


ONE_OF_TWO = msgspec.structs.replace(grove(), desired=2)  # one leads, so Grove works
OFF = OperatorConfigs(
    (OperatorConfig(namespace="dynamo-system", name="c", instance="dynamo-platform", grove=False),)
)
LWS_RUNS = runs("registry.k8s.io/lws/lws:v0.7.0")
LWS_OLD = runs("registry.k8s.io/lws/lws:v0.6.2")
LWS_DOWN = runs("registry.k8s.io/lws/lws:v0.7.0", ready=False)
VOLCANO_RUNS = runs("docker.io/volcanosh/vc-scheduler:v1.13.0")
COMPONENT = "deploy.yaml:9"


@pytest.mark.parametrize(
    ("names", "workloads", "expected"),
    [
        (GROVE + KAI, [grove()], []),
        (GROVE, [grove()], [("warn", "CustomResourceDefinition queues.scheduling.run.ai")]),
        (GROVE + KAI, [grove(ready=False)], [("fail", "Deployment n/d")]),
        (GROVE + KAI, [ONE_OF_TWO], [("warn", "Deployment n/d")]),
        (GROVE + KAI, [], [("warn", "CustomResourceDefinition podcliquesets.grove.io")]),
        (KAI, [], [("fail", COMPONENT)]),
        (LWS, [], [("fail", COMPONENT)]),
        (VOLCANO, [], [("fail", COMPONENT)]),
        (LWS + VOLCANO, [LWS_RUNS, VOLCANO_RUNS], []),
        (LWS + VOLCANO, [LWS_OLD, VOLCANO_RUNS], [("warn", "Deployment n/d")]),
        (LWS + VOLCANO, [LWS_DOWN, VOLCANO_RUNS], [("fail", "Deployment n/d")]),
    ],
)
def test_orchestrators(
    wide: Recipes, names: tuple[str, ...], workloads: list[Workload], expected: list[tuple[str, str]]
) -> None:
    assert judge(wide, names, *workloads) == expected


def test_grove_that_the_operator_does_not_use(wide: Recipes) -> None:
    assert judge(wide, GROVE + KAI, grove(), configs=OFF) == [("fail", COMPONENT)]
    assert judge(wide, GROVE + LWS + VOLCANO, grove(), LWS_RUNS, VOLCANO_RUNS, configs=OFF) == []


@pytest.mark.parametrize(
    ("release", "tag", "compatible"),
    [
        ("1.4.0", "v0.1.0-alpha.10", True),
        ("1.4.2", "v0.1.0-alpha.12", True),
        ("1.4.0", "v0.1.0-alpha.9", False),
        ("1.3.1", "v0.1.0-alpha.8", True),
        ("1.3.1", "v0.1.0-alpha.9", False),
        ("1.1.0", "v0.1.0-alpha.6", False),
        ("1.0.1", "v0.1.0-alpha.6", True),
        ("1.6.1", "v0.1.0-alpha.2", True),  # outside the table
        ("1.4.0", "my-build", True),
    ],
)
def test_grove_versions_of_operator_releases(wide: Recipes, release: str, tag: str, compatible: bool) -> None:
    names = (*GROVE, "clustertopologies.grove.io", *KAI)
    found = judge(wide, names, grove(tag), release=release)
    assert found == ([] if compatible else [("warn", "Deployment n/d")])


def test_the_topology_crd_that_a_release_needs(wide: Recipes) -> None:
    found = judge(wide, (*GROVE, *KAI), grove("v0.1.0-alpha.8"), release="1.3.0")
    assert found == [("warn", "CustomResourceDefinition clustertopologies.grove.io")]
