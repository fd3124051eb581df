from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dynocheck.checks.platform import multinode
from dynocheck.facts import (
    CustomResourceDefinitions,
    OperatorConfig,
    OperatorConfigs,
    Recipes,
    Workload,
    Workloads,
)
from tests.checks.judging import crd, get_skip_reason, make_definitions, outcomes, places, recipes
from tests.checks.manifests import dump_objects, engine, graph
from tests.checks.platform import operator

GROVE = ("podcliquesets.grove.io", "clustertopologybindings.grove.io")
KAI = ("queues.scheduling.run.ai",)
LWS = ("leaderworkersets.leaderworkerset.x-k8s.io",)
VOLCANO = ("podgroups.scheduling.volcano.sh",)
NO_CONFIG = OperatorConfigs()


def defined(*names: str) -> CustomResourceDefinitions:
    return make_definitions(*(crd(name, "v1") for name in names))


def runs(image: str, *, ready: bool = True, **labels: str) -> Workload:
    named = {"app.kubernetes.io/name": labels["name"]} if labels else {}
    return Workload(
        kind="Deployment", namespace="n", name="d", labels=named, images=(image,), desired=1, ready=int(ready)
    )


def grove(tag: str = "v0.1.0-alpha.10", *, ready: bool = True) -> Workload:
    return runs(f"registry.example/grove-operator:{tag}", ready=ready, name="grove-operator")


@pytest.fixture
def wide(tmp_path: Path) -> Recipes:
    return recipes(tmp_path, a=dump_objects(graph(engine(multinode={"nodeCount": 2}))))


def judge(
    wide: Recipes, names: tuple[str, ...], *workloads: Workload, configs: OperatorConfigs = NO_CONFIG
) -> list[tuple[str, str]]:
    running = Workloads((operator("1.4.0"), *workloads))
    return places(multinode.multinode, defined(*names), running, configs, wide)


def test_no_component_spans_nodes(tmp_path: Path) -> None:
    narrow = recipes(tmp_path, a=dump_objects(graph(engine())))
    assert get_skip_reason(multinode.multinode, defined(), Workloads(), NO_CONFIG, narrow)


ONE_OF_TWO = msgspec.structs.replace(grove(), desired=2)  # one leads, so Grove works
OFF = OperatorConfigs(
    (OperatorConfig(namespace="dynamo-system", name="c", instance="dynamo-platform", grove=False),)
)
LWS_RUNS = runs("registry.k8s.io/lws/lws:v0.7.0")
LWS_OLD = runs("registry.k8s.io/lws/lws:v0.6.2")
LWS_DOWN = runs("registry.k8s.io/lws/lws:v0.7.0", ready=False)
VOLCANO_RUNS = runs("docker.io/volcanosh/vc-scheduler:v1.13.0")


@pytest.mark.parametrize(
    ("names", "workloads", "expected"),
    [
        (GROVE + KAI, [grove()], []),
        (GROVE, [grove()], [("warn", "CustomResourceDefinition queues.scheduling.run.ai")]),
        (GROVE + KAI, [grove(ready=False)], [("fail", "Deployment n/d")]),
        (GROVE + KAI, [ONE_OF_TWO], [("warn", "Deployment n/d")]),
        (GROVE + KAI, [], [("warn", "CustomResourceDefinition podcliquesets.grove.io")]),
        (KAI, [], [("fail", "a.yaml:9")]),
        (LWS, [], [("fail", "a.yaml:9")]),
        (VOLCANO, [], [("fail", "a.yaml:9")]),
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
    assert judge(wide, GROVE + KAI, grove(), configs=OFF) == [("fail", "a.yaml:9")]
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
    running = Workloads((operator(release), grove(tag)))
    found = outcomes(multinode.multinode, defined(*names), running, NO_CONFIG, wide)
    assert found == ([] if compatible else ["warn"])


def test_the_topology_crd_that_a_release_needs(wide: Recipes) -> None:
    running = Workloads((operator("1.3.0"), grove("v0.1.0-alpha.8")))
    found = places(multinode.multinode, defined(*GROVE, *KAI), running, NO_CONFIG, wide)
    assert found == [("warn", "CustomResourceDefinition clustertopologies.grove.io")]
