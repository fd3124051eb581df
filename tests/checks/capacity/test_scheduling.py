from pathlib import Path
from typing import Any

import msgspec
import pytest

from dynocheck import facts
from dynocheck.checks.capacity import quota, scheduling
from dynocheck.facts import NamespaceLimits, Node, Recipes, RunningPods, Taint
from tests.checks.capacity.clusters import GPU, LIMITS, OWN, gpus_left, holding, load, workers
from tests.checks.gpu import offer
from tests.checks.judging import GRAPH, deploy, judge, outcomes, read_lines, recipes, run_check
from tests.checks.manifests import FRONTEND, config_map, engine, graph


def node(name: str, gpus: int = 8, **labels: str) -> Node:
    sizes = {"cpu": "64", "memory": "512Gi", "pods": "110", GPU: str(gpus)}
    return Node(name=name, labels={"kubernetes.io/hostname": name, **labels}, allocatable=sizes)


A, B = node("a"), node("b")
NO_SLICES = facts.ResourceSlices()
KARPENTER = {"autoscalers": ("Karpenter",)}


def given(recipe: Recipes, nodes: list[Node], *running: Any, **more: Any) -> tuple[Any, ...]:
    """The facts that capacity.fits needs."""
    scalers = facts.Autoscalers(more.get("autoscalers", ()))
    limits, slices = more.get("limits", LIMITS), more.get("slices", NO_SLICES)
    devices, rule = more.get("classes", facts.DeviceClasses()), more.get("runtimes")
    classes = facts.PodClasses(rules={"kata": rule}) if rule else None
    cluster = facts.Nodes(tuple(nodes)), RunningPods(running), limits, scalers
    return (recipe, *cluster, slices, devices, classes, *more.get("storage", (None,) * 4))


def test_misfit_is_explained(tmp_path: Path) -> None:
    around = given(load(tmp_path, FRONTEND, workers(2)), [node("gpu-1"), node("gpu-2")], holding("gpu-2", 2))
    (finding,) = run_check(scheduling.fits, *around)
    assert finding.evidence == {
        "graph": "g",
        "needs": {GPU: "8"},
        "free": {GPU: "6"},
        "held by": {"other": "2", "(this graph)": "8"},
    }
    fix = "kubectl get pods -A -o wide --field-selector spec.nodeName=gpu-2"
    assert (finding.outcome, finding.fix) == ("fail", fix)
    assert read_lines(scheduling.fits, *around) == ["- name: decode"]


def test_no_node_is_large_enough(tmp_path: Path) -> None:
    (finding,) = run_check(scheduling.fits, *given(load(tmp_path, workers(1)), [node("a", 4)]))
    assert (finding.outcome, finding.evidence["free"]) == ("fail", {GPU: "4"})
    assert (finding.fix or "").startswith("choose a variant")


EBS = "ebs.csi.aws.com"


def claims(**more: Any) -> facts.PersistentVolumeClaims:
    """Two claims of a class."""
    made = [facts.PersistentVolumeClaim(name=name, storage_class="disks", **more) for name in ("one", "two")]
    return facts.PersistentVolumeClaims(tuple(made), namespace="here")


def mounting(claim: str, replicas: int = 1, **more: Any) -> dict[str, Any]:
    """A component whose pods mount a claim."""
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": claim}}
    return workers(replicas, pod={"volumes": [volume]}, name=f"decode-{claim}", **more)


def disks(provisioner: str = EBS, binding: str = "WaitForFirstConsumer", **more: Any) -> facts.StorageClasses:
    return facts.StorageClasses((facts.StorageClass("disks", provisioner, binding_mode=binding, **more),))


def csi(*limits: int | None) -> facts.CsiDrivers:
    """The driver on nodes a and b, which have at most so many of its volumes."""
    nodes = [
        facts.CsiNode(name, (facts.NodeDriver(EBS, (ZONE,), limit),))
        for name, limit in zip("ab", limits, strict=True)
    ]
    return facts.CsiDrivers((EBS,), tuple(nodes))


ZONE = "topology.kubernetes.io/zone"
IN_ZONES = [node(name, 8, **{ZONE: name}) for name in "ab"]


@pytest.mark.parametrize(
    ("components", "drivers", "found", "classes", "expected"),
    [
        ([mounting("one", gpus=4), mounting("two", gpus=4)], csi(1, 1), claims(), disks(), []),
        ([mounting("one", gpus=8), mounting("two", gpus=8)], csi(1, 0), claims(), disks(), ["fail"]),
        ([mounting("one", 2)], csi(None, None), claims(), disks(), ["fail"]),
        ([mounting("one", 2, gpus=4)], csi(None, None), claims(), disks(), []),
        ([mounting("one", 2)], csi(None, None), claims(), disks(binding="Immediate"), []),
        ([mounting("one", 2)], csi(None, None), claims(volume="v"), disks(), []),
        ([mounting("one", 2)], None, claims(), disks("rancher.io/local-path"), ["fail"]),
        ([mounting("one", 2)], None, claims(), disks("efs.csi.aws.com"), []),
        ([mounting("one"), mounting("two")], csi(None, None), claims(), disks(zones=("a",)), ["fail"]),
        ([mounting("one"), mounting("two")], csi(None, None), claims(), disks(zones=("a", "b")), []),
        ([mounting("one", 2, gpus=1)], None, claims(access_modes=("ReadWriteOncePod",)), None, ["fail"]),
        ([mounting("one", gpus=1)], None, claims(access_modes=("ReadWriteOncePod",)), None, []),
    ],
)
def test_volumes_decide_on_nodes(
    tmp_path: Path, components: Any, drivers: Any, found: Any, classes: Any, expected: list[str]
) -> None:
    around = given(load(tmp_path, *components), IN_ZONES, storage=(drivers, None, found, classes))
    assert outcomes(scheduling.fits, *around) == expected


ROOM = facts.StorageCapacity("disks", "100Gi", {"matchLabels": {ZONE: "a"}})
LOCAL = disks("topolvm.io")
MEASURED = facts.CsiDrivers(("topolvm.io",), measured=("topolvm.io",))


@pytest.mark.parametrize(
    ("size", "replicas", "capacities", "volumes", "expected"),
    [
        ("100Gi", 1, (ROOM,), (), []),
        ("101Gi", 1, (ROOM,), (), ["fail"]),
        ("100Gi", 8, (ROOM,), (), []),
        ("100Gi", 9, (ROOM,), (), ["fail"]),  # all are on the node of the first
        ("100Gi", 1, (), (), ["fail"]),
        ("100Gi", 1, None, (), []),
        (
            "101Gi",
            1,
            (ROOM,),
            (facts.PersistentVolume(name="v", storage_class="disks", phase="Available"),),
            [],
        ),
    ],
)
def test_a_claim_of_the_recipe_needs_room(
    tmp_path: Path, size: str, replicas: int, capacities: Any, volumes: Any, expected: list[str]
) -> None:
    spec = {"storageClassName": "disks", "resources": {"requests": {"storage": size}}}
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "one"},
        "spec": spec,
    }
    recipe = deploy(tmp_path, graph(FRONTEND, mounting("one", replicas, gpus=1)), claim)
    drivers = msgspec.structs.replace(MEASURED, capacities=capacities)
    known = drivers, facts.PersistentVolumes(volumes), facts.PersistentVolumeClaims(namespace="here"), LOCAL
    around = given(recipe, IN_ZONES, storage=known)
    assert outcomes(scheduling.fits, *around) == expected


CLAIM: dict[str, Any] = {"pod": {"resourceClaims": [{"name": "c", "resourceClaimTemplateName": "t"}]}}
SANDBOXED: dict[str, Any] = {"pod": {"runtimeClassName": "kata"}}
ONE = [workers(1)]
OVER_TWO = [workers(1, multinode={"nodeCount": 2})]
IN_ORDER = [workers(2, gpus=4, name="prefill"), workers(1)]


@pytest.mark.parametrize(
    ("components", "nodes", "running", "more", "expected"),
    [
        ([FRONTEND, workers(2)], [node("gpu-1"), node("gpu-2")], [], {}, []),
        # a replica over several nodes needs them all
        (OVER_TWO, [A, B], [], {}, []),
        (OVER_TWO, [A], [], {}, ["fail"]),
        # whether these fit depends on the order
        (IN_ORDER, [A, B], [], {}, ["warn"]),
        # pods of the deployed graph are not in the way, and those of negative priority give way
        (ONE, [A], [holding("a", 8, "here", labels=OWN)], {}, []),
        (ONE, [A], [holding("a", 8, "elsewhere", labels=OWN)], {}, ["fail"]),
        (ONE, [A], [holding("a", 8, priority=-10)], {}, ["warn"]),
        # an autoscaler may add nodes
        (ONE, [], [], KARPENTER, ["warn"]),
        (ONE, [], [], {}, ["fail"]),
        # a claim that is not in the recipe is not modelled; other requests are
        ([workers(1, **CLAIM)], [A], [], {}, ["unjudged"]),
        ([workers(1, **CLAIM)], [node("a", 4)], [], {}, ["fail"]),
        ([workers(1, pod={"schedulingGates": [{"name": "quota"}]})], [A], [], {}, ["warn"]),
        # GPUs that are offered through DRA are not counted while their classes are unknown
        (ONE, [node("a", 0)], [], {"slices": offer()}, ["warn"]),
        ([engine(limits={GPU: "${GPUS}"})], [A], [], {}, ["unjudged"]),
        # a RuntimeClass adds requests and constraints
        ([workers(1, **SANDBOXED)], [A], [], {}, ["unjudged"]),
        ([workers(1, **SANDBOXED)], [A], [], {"runtimes": facts.RuntimeRule({"cpu": "1"})}, []),
        ([workers(1, **SANDBOXED)], [A], [], {"runtimes": facts.RuntimeRule({"cpu": "999"})}, ["fail"]),
        ([workers(1, **SANDBOXED)], [A], [], {"runtimes": facts.RuntimeRule({}, {"kata": "yes"})}, ["fail"]),
    ],
)
def test_fits(
    tmp_path: Path,
    components: list[Any],
    nodes: list[Node],
    running: list[Any],
    more: Any,
    expected: list[str],
) -> None:
    around = given(load(tmp_path, *components), nodes, *running, **more)
    assert judge(scheduling.fits, *around) == expected


EXTENDED = facts.DeviceClass(("device.driver == 'gpu.nvidia.com'",), GPU)


@pytest.mark.parametrize(
    ("devices", "allocated", "device_class", "expected"),
    [
        (8, (), EXTENDED, []),
        (7, (), EXTENDED, ["fail"]),
        (8, ("gpu-0",), EXTENDED, ["fail"]),
        (8, (), facts.DeviceClass(EXTENDED.selectors), ["fail"]),  # it serves no extended resource
    ],
)
def test_gpus_without_a_device_plugin(
    tmp_path: Path, devices: int, allocated: Any, device_class: facts.DeviceClass, expected: list[str]
) -> None:
    offered = tuple(facts.Device(f"gpu-{number}") for number in range(devices))
    slices = facts.ResourceSlices(
        (facts.ResourceSlice("s", "gpu.nvidia.com", "a", devices, pool="a", offered=offered),),
        allocated=tuple(facts.AllocatedDevice("gpu.nvidia.com", "a", name) for name in allocated),
    )
    classes = facts.DeviceClasses(("gpu.nvidia.com",), ("v1",), {"gpu.nvidia.com": device_class})
    bare = msgspec.structs.replace(A, allocatable={"cpu": "64", "memory": "512Gi", "pods": "110"})
    around = given(load(tmp_path, workers(1)), [bare], slices=slices, classes=classes)
    assert outcomes(scheduling.fits, *around) == expected


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("cloud.google.com/gke-nodepool", []),
        ("eks.amazonaws.com/nodegroup", []),
        ("kubernetes.azure.com/agentpool", []),
        ("node.example/pool", ["warn"]),
    ],
)
def test_taint_that_is_named_like_gpus(tmp_path: Path, label: str, expected: list[str]) -> None:
    """API servers of clouds add its toleration; whether others do is unknown."""
    recipe = load(tmp_path, workers(1))
    usual = Taint(GPU, "NoSchedule", "present")
    tainted = msgspec.structs.replace(A, labels={label: "gpus"}, taints=(usual,))
    assert outcomes(scheduling.fits, *given(recipe, [tainted])) == expected
    other = msgspec.structs.replace(tainted, taints=(usual, Taint("team", "NoSchedule", "b")))
    assert outcomes(scheduling.fits, *given(recipe, [other])) == ["fail"]
    assert outcomes(scheduling.fits, *given(recipe, [tainted], holding("a", 8))) == ["fail"]


@pytest.mark.parametrize(
    "wrong", ["podTemplate: text", "podTemplate: {spec: [text]}", "podTemplate: {metadata: 1}"]
)
def test_component_that_does_not_fit_the_schema_is_not_checked(tmp_path: Path, wrong: str) -> None:
    recipe = recipes(tmp_path, deploy=f"{GRAPH}  - {{name: w, type: worker, {wrong}}}\n")
    assert judge(scheduling.fits, *given(recipe, [A])) == ["unjudged"]
    limits = NamespaceLimits(namespace="here", quotas=gpus_left("1"))
    assert judge(quota.quota_fits, recipe, limits, RunningPods(), None) == ["unjudged"]


def test_recipe_without_graphs_is_skipped(tmp_path: Path) -> None:
    assert outcomes(scheduling.fits, *given(deploy(tmp_path, config_map("c")), [A])) == ["skip"]


def test_default_requests_of_a_limit_range_count(tmp_path: Path) -> None:
    item = facts.LimitRangeItem(range="d", type="Container", default_request={"cpu": "100"})
    limits = NamespaceLimits(namespace="here", limits=(item,))
    (finding,) = run_check(scheduling.fits, *given(load(tmp_path, engine()), [A], limits=limits))
    assert finding.evidence["needs"] == {"cpu": "100"}


CHANNEL = "compute-domain-default-channel.nvidia.com"
DOMAIN = {
    "apiVersion": "resource.nvidia.com/v1beta1",
    "kind": "ComputeDomain",
    "metadata": {"name": "d"},
    "spec": {"numNodes": 0, "channel": {"resourceClaimTemplate": {"name": "t"}}},
}


@pytest.mark.parametrize(("nodes", "expected"), [([A, B], []), ([A], ["fail"])])
def test_each_node_has_one_channel_of_compute_domains(
    tmp_path: Path, nodes: list[Node], expected: list[str]
) -> None:
    made = graph(workers(2, gpus=1, **CLAIM), front=False)
    channel = (facts.Device("channel-0"),)
    driver = "compute-domain.nvidia.com"
    offers = [facts.ResourceSlice(n.name, driver, n.name, 1, pool=n.name, offered=channel) for n in nodes]
    slices = facts.ResourceSlices(tuple(offers), allocated=())
    rule = facts.DeviceClass((f"device.driver == '{driver}'",))
    classes = facts.DeviceClasses((CHANNEL,), ("v1",), {CHANNEL: rule})
    around = given(deploy(tmp_path, made, DOMAIN), nodes, slices=slices, classes=classes)
    assert judge(scheduling.fits, *around) == expected
