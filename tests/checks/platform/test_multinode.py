from pathlib import Path
from typing import Any

import msgspec
import pytest

from dynocheck.checks.platform import multinode
from dynocheck.facts import (
    AdmissionWebhooks,
    KaiQueue,
    KaiQueues,
    OperatorConfig,
    OperatorConfigs,
    Recipes,
    ServiceEndpoints,
    ServiceName,
    Webhook,
    Workload,
    Workloads,
)
from tests.checks.judging import crd, deploy, get_coverage, make_definitions, outcomes, places
from tests.checks.judging import judge as judge_all
from tests.checks.manifests import engine, graph
from tests.checks.platform import operator

GROVE = ("podcliquesets.grove.io", "clustertopologybindings.grove.io")
KAI = ("queues.scheduling.run.ai",)
LWS = ("leaderworkersets.leaderworkerset.x-k8s.io",)
SETS = "disaggregatedsets.disaggregatedset.x-k8s.io"
VOLCANO = ("podgroups.scheduling.volcano.sh",)
NO_CONFIG = OperatorConfigs()
QUEUES_DOWN = "queue-controller"
QUEUES = KaiQueues((KaiQueue("dynamo"),))


def runs(image: str, *, ready: bool = True, **labels: str) -> Workload:
    fields: dict[str, Any] = {"images": (image,), "desired": 1, "ready": int(ready), "labels": labels}
    return Workload(kind="Deployment", namespace="n", name="d", **fields)


def grove(tag: str = "v0.1.0-alpha.10", *, ready: bool = True) -> Workload:
    label = {"app.kubernetes.io/name": "grove-operator"}
    return runs(f"registry.example/grove-operator:{tag}", ready=ready, **label)


def kai(*parts: str, down: str = "", tag: str = "v0.17.0") -> list[Workload]:
    parts = parts or ("kai-scheduler-default", "queue-controller", "kai-operator")
    return [
        msgspec.structs.replace(
            runs(f"ghcr.io/kai-scheduler/kai-scheduler/{part}:{tag}", ready=part != down), name=part
        )
        for part in parts
    ]


def renamed(workloads: list[Workload]) -> list[Workload]:
    return [msgspec.structs.replace(each, images=("mirror.example/a/b:1",)) for each in workloads]


@pytest.fixture
def single(tmp_path: Path) -> Recipes:
    return deploy(tmp_path, graph(engine()))


@pytest.fixture
def wide(tmp_path: Path) -> Recipes:
    return deploy(tmp_path, graph(engine(multinode={"nodeCount": 2})))


def judge(
    recipe: Recipes | None,
    names: tuple[str, ...],
    *workloads: Workload,
    configs: OperatorConfigs = NO_CONFIG,
    release: str = "1.4.0",
    queues: KaiQueues = QUEUES,
    hooks: tuple[Webhook, ...] = (),
) -> list[tuple[str, str]]:
    defined = make_definitions(*(crd(name, "v1") for name in names))
    running = Workloads((operator(release), *workloads))
    called = AdmissionWebhooks(others=hooks)
    return places(multinode.multinode, defined, running, configs, queues, called, ServiceEndpoints(), recipe)


def test_no_component_spans_nodes(tmp_path: Path) -> None:
    facts = make_definitions(), Workloads(), NO_CONFIG, QUEUES, AdmissionWebhooks(), ServiceEndpoints()
    assert outcomes(multinode.multinode, *facts, deploy(tmp_path, graph(engine()))) == ["skip"]


ONE_OF_TWO = msgspec.structs.replace(grove(), desired=2)  # one leads, so Grove works
OFF = OperatorConfigs(
    (OperatorConfig(namespace="dynamo-system", name="c", instance="dynamo-platform", grove=False),)
)
LWS_RUNS = runs("registry.k8s.io/lws/lws:v0.7.0")
LWS_NEW = runs("registry.k8s.io/lws/lws:v1.0.0")
LWS_OLD = runs("registry.k8s.io/lws/lws:v0.6.2")
LWS_DOWN = runs("registry.k8s.io/lws/lws:v0.7.0", ready=False)
VOLCANO_RUNS = runs("docker.io/volcanosh/vc-scheduler:v1.13.0")
KAI_DEFINITION = "CustomResourceDefinition queues.scheduling.run.ai"
SHARDS = "CustomResourceDefinition schedulingshards.kai.scheduler"
COMPONENT = "deploy.yaml:9"


@pytest.mark.parametrize(
    ("names", "workloads", "expected"),
    [
        (LWS + VOLCANO, [LWS_RUNS, VOLCANO_RUNS], []),
        (LWS, [LWS_RUNS], []),
        (LWS, [], [("warn", f"CustomResourceDefinition {LWS[0]}")]),
        (LWS + VOLCANO, [LWS_DOWN, VOLCANO_RUNS], [("warn", "Deployment n/d")]),
        (LWS + VOLCANO, [LWS_RUNS], [("warn", f"CustomResourceDefinition {VOLCANO[0]}")]),
    ],
)
def test_leader_worker_set_that_nothing_uses_yet(
    names: tuple[str, ...], workloads: list[Workload], expected: list[tuple[str, str]]
) -> None:
    assert judge(None, names, *workloads) == expected


def hook(*resources: str, blocking: bool = True) -> Webhook:
    """A webhook whose Service has no endpoints."""
    return Webhook(
        kind="ValidatingWebhookConfiguration",
        configuration="hooks",
        name="h",
        service=ServiceName("n", "hooks"),
        blocking=blocking,
        resources=resources,
    )


HOOKS = "ValidatingWebhookConfiguration hooks"


@pytest.mark.parametrize(
    ("resources", "blocking", "expected"),
    [
        (("podcliquesets",), True, [("fail", HOOKS)]),
        (("podcliquesets",), False, []),
        (("leaderworkersets",), True, []),  # Grove carries the graph
    ],
)
def test_webhooks_of_grove(
    single: Recipes, resources: tuple[str, ...], *, blocking: bool, expected: list[tuple[str, str]]
) -> None:
    dead = (hook(*resources, blocking=blocking),)
    assert judge(single, GROVE + KAI, grove(), *kai(), hooks=dead) == expected
    # the operator that is down explains it
    assert judge(single, GROVE + KAI, grove(ready=False), *kai(), hooks=dead) == [("fail", "Deployment n/d")]


def test_webhooks_of_leader_worker_set(wide: Recipes) -> None:
    dead = (hook("leaderworkersets", "pods"),)
    found = [
        (recipe, judge(recipe, LWS + VOLCANO, LWS_RUNS, VOLCANO_RUNS, hooks=dead)) for recipe in (wide, None)
    ]
    assert [places for _, places in found] == [[("fail", HOOKS)], [("warn", HOOKS)]]


@pytest.mark.parametrize(
    ("names", "workloads", "expected"),
    [
        (GROVE + KAI, [grove(), *kai()], []),
        (GROVE, [grove()], [("warn", "CustomResourceDefinition queues.scheduling.run.ai")]),
        (GROVE + KAI, [grove(ready=False), *kai()], [("fail", "Deployment n/d")]),
        (GROVE + KAI, [ONE_OF_TWO, *kai()], [("warn", "Deployment n/d")]),
        (GROVE + KAI, kai(), [("fail", "CustomResourceDefinition podcliquesets.grove.io")]),
        (GROVE + KAI, [grove()], [("fail", "CustomResourceDefinition queues.scheduling.run.ai")]),
        (GROVE + KAI, [grove(), *renamed(kai())], []),  # by a mirror
        (GROVE + KAI, [grove(), *renamed(kai(down=QUEUES_DOWN))], [("fail", f"Deployment n/{QUEUES_DOWN}")]),
        (GROVE + KAI, [grove(), *kai(down="queue-controller")], [("fail", "Deployment n/queue-controller")]),
        (GROVE + KAI, [grove(), *kai("scheduler", "queue-controller")], [("fail", KAI_DEFINITION)]),
        (GROVE + KAI, [grove(), *kai("queue-controller", "kai-operator")], [("fail", SHARDS)]),
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
    assert judge(wide, GROVE + KAI, grove(), *kai(), configs=OFF) == [("fail", COMPONENT)]
    assert judge(wide, GROVE + LWS + VOLCANO, grove(), LWS_RUNS, VOLCANO_RUNS, configs=OFF) == []


@pytest.mark.parametrize(
    ("release", "tag", "compatible"),
    [
        ("1.4.0", "v0.1.0-alpha.10", True),
        ("1.4.2", "v0.1.0-alpha.11", True),
        ("1.4.2", "v0.1.0-alpha.12", False),
        ("1.4.0", "v0.1.0-alpha.12-rc1", True),  # bundled with it
        ("1.5.0", "v0.1.0-alpha.12", False),
        ("1.5.0", "v0.1.0-alpha.13", True),
        ("1.6.1", "v0.1.0-alpha.13", False),
        ("1.4.0", "v0.1.0-alpha.9", False),
        ("1.3.1", "v0.1.0-alpha.8", True),
        ("1.3.1", "v0.1.0-alpha.9", False),
        ("1.1.0", "v0.1.0-alpha.6", False),
        ("1.0.1", "v0.1.0-alpha.6", True),
        ("1.9.1", "v0.1.0-alpha.2", True),  # outside the table
        ("1.4.0", "my-build", True),
    ],
)
def test_grove_versions_of_operator_releases(wide: Recipes, release: str, tag: str, compatible: bool) -> None:
    names = (*GROVE, "clustertopologies.grove.io", *KAI)
    found = judge(wide, names, grove(tag), *kai(), release=release)
    assert found == ([] if compatible else [("warn", "Deployment n/d")])


def test_the_topology_crd_that_a_release_needs(wide: Recipes) -> None:
    found = judge(wide, (*GROVE, *KAI), grove("v0.1.0-alpha.8"), *kai(), release="1.3.0")
    assert found == [("warn", "CustomResourceDefinition clustertopologies.grove.io")]


def test_graphs_of_one_node_go_to_grove_too(single: Recipes) -> None:
    down = grove(ready=False)
    assert judge(single, GROVE, grove()) == []
    assert judge(single, GROVE, down) == [("fail", "Deployment n/d")]
    assert judge(None, GROVE, down) == [("warn", "Deployment n/d")]
    assert judge(None, VOLCANO) == [("skip", "")]


def test_an_annotation_keeps_a_graph_from_grove(tmp_path: Path) -> None:
    def deploy_annotated(**fields: Any) -> Recipes:
        made = graph(engine(**fields))
        made["metadata"]["annotations"] = {"nvidia.com/enable-grove": "False"}
        return deploy(tmp_path, made)

    down = grove(ready=False)
    assert judge(deploy_annotated(), GROVE, down) == [("skip", "")]
    wide = deploy_annotated(multinode={"nodeCount": 2})
    assert [outcome for outcome, _ in judge(wide, GROVE, grove())] == ["fail"]
    assert judge(wide, GROVE + LWS + VOLCANO, down, LWS_RUNS, VOLCANO_RUNS) == []


@pytest.mark.parametrize(
    ("queues", "expected"),
    [
        ((KaiQueue("dynamo"), KaiQueue("dynamo", "a100")), []),
        ((KaiQueue("dynamo", "a100"),), ["fail"]),
        ((KaiQueue("dynamo", parent=""),), ["warn"]),
        ((KaiQueue("default-queue"),), ["fail"]),
    ],
)
def test_the_queue_of_a_graph(single: Recipes, queues: tuple[KaiQueue, ...], expected: list[str]) -> None:
    found = judge(single, GROVE + KAI, grove(), *kai(), queues=KaiQueues(queues))
    assert [outcome for outcome, _ in found] == expected
    if "fail" in expected:
        found = judge(None, GROVE + KAI, grove(), *kai(), queues=KaiQueues(queues))
        assert found == [("warn", "Queue dynamo")]


@pytest.mark.parametrize(("pool", "expected"), [("a100", []), ("h200", ["fail"])])
def test_a_graph_that_names_its_node_pool(tmp_path: Path, pool: str, expected: list[str]) -> None:
    made = graph(engine())
    made["metadata"] |= {"labels": {"kai.scheduler/node-pool": pool}}
    queues = KaiQueues((KaiQueue("dynamo", "a100"),))
    found = judge(deploy(tmp_path, made), GROVE + KAI, grove(), *kai(), queues=queues)
    assert [outcome for outcome, _ in found] == expected


def test_queues_that_may_not_be_listed(single: Recipes) -> None:
    defined = make_definitions(*(crd(name, "v1") for name in GROVE + KAI))
    running = Workloads((operator("1.4.0"), grove(), *kai()))
    called = AdmissionWebhooks(), ServiceEndpoints()
    assert judge_all(multinode.multinode, defined, running, NO_CONFIG, None, *called, single) == ["unjudged"]


def test_kai_that_a_release_bundles(single: Recipes) -> None:
    old = [grove("v0.1.0-alpha.13"), *kai(tag="v0.16.3")]
    assert judge(single, GROVE + KAI, *old, release="1.5.0") == [
        ("warn", "Deployment n/kai-scheduler-default")
    ]


def test_leader_worker_sets_without_volcano(wide: Recipes) -> None:
    names = (*LWS, SETS)
    assert judge(wide, names, LWS_NEW, release="1.7.0") == []
    assert judge(wide, names, LWS_NEW, release="1.6.1") == [("fail", COMPONENT)]
    assert judge(wide, LWS, LWS_NEW, release="1.7.0") == [("fail", COMPONENT)]
    assert judge(wide, names, LWS_RUNS, release="1.7.0") == [("warn", "Deployment n/d")]  # and no later one


LWS_RELEASE = "release of LeaderWorkerSet for operator"


@pytest.mark.parametrize(
    ("names", "workloads", "release", "expected"),
    [
        # A digest names no release, and only from 1.7 on is Volcano not needed.
        ((*LWS, SETS), [LWS_NEW], "@sha256:0", ["LeaderWorkerSet without Volcano"]),
        (LWS + VOLCANO, [LWS_NEW, VOLCANO_RUNS], "@sha256:0", []),
        (LWS + VOLCANO, [LWS_RUNS, VOLCANO_RUNS], "@sha256:0", [f"{LWS_RELEASE} without a release"]),
        (LWS + VOLCANO, [LWS_RUNS, VOLCANO_RUNS], ":1.7.0", ["LeaderWorkerSet with Volcano"]),
        (LWS + VOLCANO, [LWS_RUNS, VOLCANO_RUNS], ":1.6.1", []),
        (GROVE + KAI, [grove(), *kai()], ":1.7.0", ["release of Grove for operator 1.7.0"]),
        (GROVE + KAI, [grove(), *kai()], "@sha256:0", ["release of Grove for operator without a release"]),
    ],
)
def test_releases_of_the_operator_without_a_rule(
    wide: Recipes, names: tuple[str, ...], workloads: list[Workload], release: str, expected: list[str]
) -> None:
    image = f"nvcr.io/nvidia/ai-dynamo/kubernetes-operator{release}"
    facts = (
        make_definitions(*(crd(name, "v1") for name in names)),
        Workloads((operator(images=(image,)), *workloads)),
        NO_CONFIG,
        QUEUES,
        AdmissionWebhooks(),
        ServiceEndpoints(),
        wide,
    )
    assert outcomes(multinode.multinode, *facts) == []
    assert get_coverage(multinode.multinode, *facts)[1] == expected
