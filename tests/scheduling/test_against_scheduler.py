"""The scheduling model's predictions, compared with the real kube-scheduler."""

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random

import msgspec
import pytest

from dynocheck.checks.capacity._attachments import VolumeInventory
from dynocheck.facts import Nodes, PodClasses, RunningPods
from dynocheck.scheduling.device_allocation import DeviceAllocator
from dynocheck.scheduling.device_claims import DeviceClaim, DeviceRequest
from dynocheck.scheduling.devices import DeviceInventory
from dynocheck.scheduling.first_fit import Batch, Scheduler
from dynocheck.scheduling.graphs import ComponentPods, add_runtime_class
from dynocheck.scheduling.node_state import ClusterState
from dynocheck.scheduling.pod_spec_model import Shape, parse_shape
from dynocheck.scheduling.volumes import Attachments
from tests.clusters import storage
from tests.clusters.objects import make_object
from tests.clusters.platform import merge
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane
from tests.probes.looking import look
from tests.scheduling.worlds import (
    DEVICES,
    EBS,
    GPU,
    HOST,
    MEASURED,
    MODELS,
    RUNTIME,
    STORAGE,
    WAITS,
    ZONE,
    Kind,
    World,
    bound_volume,
    capacity,
    storage_class,
    world,
)

WORKERS = 8
PATIENCE_S = 120.0
RUNS = 40
SAMPLE = 15
MANY = int(os.environ.get("DYNOCHECK_SITUATIONS", "500"))
TOGETHER = 50
SELECTORS = [{"cel": {"expression": f"device.driver == '{DEVICES}'"}}]
RUNTIME_CLASS = make_object(
    "node.k8s.io/v1 RuntimeClass",
    RUNTIME,
    handler="h",
    overhead={"podFixed": {"cpu": "8", "memory": "30Gi"}},
    scheduling={
        "nodeSelector": {"gpu.product": MODELS[0]},
        "tolerations": [{"key": GPU, "operator": "Exists"}],
    },
)
DEVICE_CLASS = make_object("resource.k8s.io/v1 DeviceClass", DEVICES, spec={"selectors": SELECTORS})

CLASSES = (
    storage_class("zonal", EBS, WAITS),
    storage_class("local", "rancher.io/local-path", WAITS),
    storage_class("shared", EBS, "Immediate"),
    storage_class(MEASURED, "topolvm.io", WAITS),
    make_object(f"{STORAGE} CSIDriver", "topolvm.io", spec={"storageCapacity": True}),
)
SELECTED = "volume.kubernetes.io/selected-node"


@dataclass(frozen=True)
class Judged:
    """The predicted and the real number of a component's pods without a node."""

    world: str
    component: str
    predicted: frozenset[int]  # pods without a node, in each of several runs
    real: int

    @property
    def certain(self) -> bool:
        """Whether the prediction is that all fit, or that not all do."""
        return len({lacking == 0 for lacking in self.predicted}) == 1

    @property
    def agrees(self) -> bool:
        return (self.real == 0) in {lacking == 0 for lacking in self.predicted}


def judge(cluster: ControlPlane, worlds: Sequence[World]) -> list[Judged]:
    """Create these worlds together, run the scheduler, and compare."""
    predicted = furnish(cluster, worlds)
    real = schedule(cluster, worlds)
    return [
        Judged(each.name, kind.name, frozenset(throws), real[kind.name])
        for each, found in zip(worlds, predicted, strict=True)
        for kind, throws in zip(each.kinds, found, strict=True)
    ]


def furnish(cluster: ControlPlane, worlds: Sequence[World]) -> list[list[list[int]]]:
    """Create nodes and running pods; predict the pods without a node by world, component and run."""
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda node: make_node(cluster, node), [n for w in worlds for n in w.nodes]))
        list(pool.map(lambda pod: cluster.pod(**pod), [p for w in worlds for p in w.running]))
    added = [each for world in worlds for each in (*world.slices, *world.volumes)]
    cluster.apply(DEVICE_CLASS, RUNTIME_CLASS, *CLASSES, *added)
    nodes, running = look("nodes", cluster), look("running_pods", cluster)
    classes = look("pod_classes", cluster)
    devices = DeviceInventory(look("resource_slices", cluster), look("device_classes", cluster))
    volumes = see_volumes(cluster)
    return [predict(each, nodes, running, classes, devices, volumes) for each in worlds]


def see_volumes(cluster: ControlPlane) -> VolumeInventory:
    probes = ("csi_drivers", "persistent_volumes", "claims", "storage_classes")
    return VolumeInventory(*(look(name, cluster) for name in probes))


def make_node(cluster: ControlPlane, node: Object) -> None:
    arguments = {name: value for name, value in node.items() if name != "unschedulable"}
    cluster.node(node["name"], **{k: v for k, v in arguments.items() if k != "name"})
    if node["unschedulable"]:
        path = f"/api/v1/nodes/{node['name']}"
        body = {"spec": {"unschedulable": True}}
        cluster.request("PATCH", path, body, content_type="application/merge-patch+json")


def predict(
    each: World,
    nodes: Nodes,
    running: RunningPods,
    classes: PodClasses,
    devices: DeviceInventory,
    volumes: VolumeInventory,
) -> list[list[int]]:
    """By component, the pods without a node in several runs in the real order, and in a tight packing that
    is complete. All nodes of the cluster are considered, as the scheduler does.
    """
    specs = [add_runtime_class(kind.spec, classes) for kind in each.kinds]
    shapes = [parse_shape(spec, "default", kind.labels) for spec, kind in zip(specs, each.kinds, strict=True)]
    pods = [(kind.claims, shape.requests) for kind, shape in zip(each.kinds, shapes, strict=True)]
    added, amounts = devices.add_devices(nodes.items, pods, ())
    attachments = volumes.attach(running)
    batches = []
    for kind, shape, claimed in zip(each.kinds, shapes, amounts, strict=True):
        whole = msgspec.structs.replace(shape, requests={**shape.requests, **claimed})
        batches.append(mount_volumes(kind, whole, nodes, volumes, attachments))
    scheduler = Scheduler(ClusterState(added, running), batches, DeviceAllocator(devices), attachments)
    order = [number for number, batch in enumerate(batches) for _ in range(batch.pods)]
    runs = [scheduler.run_once(order, Random(seed)) for seed in range(RUNS)]
    if any(volume.keys for batch in batches for volume in batch.volumes):
        runs += scheduler.simulate()  # a pod waits until the volume of another is made, and comes later
    packed = scheduler.pack()
    if packed.is_complete:
        runs.append(packed)
    return [[run.lacking[number] for run in runs] for number in range(len(batches))]


def mount_volumes(
    kind: Kind, shape: Shape, nodes: Nodes, volumes: VolumeInventory, attachments: Attachments
) -> Batch:
    group = ComponentPods(kind.name, kind.pods, 1, shape, 1, 1, kind.spec)
    mounted = volumes.list_volumes(group, "default")
    barred = volumes.bar(group, mounted, nodes, attachments)
    assert barred is not None
    return Batch(barred, kind.pods, kind.claims, mounted)


def schedule(cluster: ControlPlane, worlds: Sequence[World]) -> dict[str, int]:
    """Start the scheduler and create the pods of each world in order; return the pods without a node."""
    cluster.start_scheduler()
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda each: create(cluster, each), worlds))
    wanted = {kind.name: kind.pods for each in worlds for kind in each.kinds}
    settled, since, deadline = "", time.monotonic(), time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        provision(cluster)
        pods = [p for p in cluster.get("/api/v1/pods")["items"] if "component" in p["metadata"]["labels"]]
        state = str(sorted((p["metadata"]["name"], p["spec"].get("nodeName")) for p in pods))
        seen = all(p["spec"].get("nodeName") or unschedulable(p) for p in pods)
        if state != settled or not seen:
            settled, since = state, time.monotonic()
        elif time.monotonic() - since > QUIET_S:
            break
        time.sleep(0.25)
    for pod in pods:
        if pod["spec"].get("nodeName"):
            wanted[pod["metadata"]["labels"]["component"]] -= 1
    return wanted


def provision(cluster: ControlPlane) -> None:
    """Make the volumes that wait for a node, in its zone or on it, as a provisioner does."""
    url = "/api/v1/namespaces/default/persistentvolumeclaims"
    for each in cluster.get(url)["items"]:
        name, chosen = each["metadata"]["name"], each["metadata"].get("annotations", {}).get(SELECTED)
        if chosen is None or each["spec"].get("volumeName"):
            continue
        labels = cluster.get(f"/api/v1/nodes/{chosen}")["metadata"]["labels"]
        key = HOST if each["spec"]["storageClassName"] in ("local", MEASURED) else ZONE
        volume = bound_volume(each, (key, labels[key]) if key in labels else None)
        volume["spec"]["claimRef"] |= {"uid": each["metadata"]["uid"]}
        cluster.apply(volume)
        done = {"pv.kubernetes.io/bind-completed": "yes"}
        merge(cluster, f"{url}/{name}", {"metadata": {"annotations": done}, "spec": {"volumeName": name}})
        merge(cluster, f"{url}/{name}/status", {"status": {"phase": "Bound"}})


QUIET_S = 3.0  # longer than the scheduler's first back-off


def unschedulable(pod: Object) -> bool:
    conditions = pod["status"].get("conditions") or []
    reasons = [c.get("reason") for c in conditions if c["type"] == "PodScheduled"]
    return not {"Unschedulable", "SchedulerError"}.isdisjoint(reasons)


def create(cluster: ControlPlane, each: World) -> None:
    for kind in each.kinds:
        for number in range(kind.pods):
            labels = {**kind.labels, "component": kind.name}
            name = f"{kind.name}-{number}"
            metadata = {"name": name, "namespace": "default", "labels": labels}
            spec = {**kind.spec, "resourceClaims": list(claim(cluster, kind, name))}
            body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
            cluster.request("POST", "/api/v1/namespaces/default/pods", body)


def claim(cluster: ControlPlane, kind: Kind, pod: str) -> Iterator[Object]:
    """Create the claims of a pod, a shared one with the first; give how its spec names them."""
    for number, each in enumerate(kind.claims):
        name = each.shared or f"{pod}-{number}"
        if not each.shared or pod.endswith("-0"):
            spec = {"devices": write_devices(each)}
            cluster.apply(make_object("resource.k8s.io/v1 ResourceClaim", name, "default", spec=spec))
        yield {"name": f"c{number}", "resourceClaimName": name}


def write_devices(claim: DeviceClaim) -> Object:
    requests: list[Object] = []
    for choices in claim.requests:
        if len(choices) > 1:
            name = choices[0].name.partition("/")[0]
            each = [{**write_request(c), "name": c.name.rpartition("/")[2]} for c in choices]
            requests.append({"name": name, "firstAvailable": each})
        else:
            requests.append({"name": choices[0].name, "exactly": write_request(choices[0])})
    constraints = [{"matchAttribute": c.attribute, "requests": sorted(c.requests)} for c in claim.constraints]
    return {"requests": requests, "constraints": constraints}


def write_request(request: DeviceRequest) -> Object:
    number = {"count": request.count} if request.count else {"allocationMode": "All"}
    selectors = [{"cel": {"expression": selector}} for selector in request.selectors]
    return {"deviceClassName": request.device_class, "selectors": selectors, **number}


def show(found: Sequence[Judged]) -> str:
    certain = [each for each in found if each.certain]
    agreeing = [each for each in certain if each.agrees]
    wrong = [each for each in found if not each.agrees]
    fitted = sum(each.real == 0 for each in found)
    return (
        f"{len(found)} components, {fitted} of which fit; {len(certain)} judged for certain, "
        f"{len(agreeing)} of those as it came "
        f"({100 * len(agreeing) / max(1, len(certain)):.2f} %); wrong: {wrong}"
    )


def test_a_sample_agrees_with_the_scheduler(cluster: ControlPlane) -> None:
    found = judge(cluster, [world(seed) for seed in range(SAMPLE)])
    print(show(found))
    assert sum(not each.agrees for each in found) <= 1, show(found)  # chance has a long tail
    assert {each.real == 0 for each in found} == {True, False}
    assert sum(each.certain for each in found) > 0.9 * len(found)


@pytest.mark.parametrize(
    ("limit", "mounts", "fits"),
    [
        (1, "one", True),
        (1, "two", False),
        (2, "two", True),
        (None, "two", True),
        (None, "local-n", True),
        (None, "local-elsewhere", False),
    ],
)
def test_limits_of_volumes_agree_with_the_scheduler(
    cluster: ControlPlane, limit: int | None, mounts: str, fits: bool
) -> None:
    make_node(cluster, {"name": "n", "gpus": 8, "labels": {HOST: "n"}, "unschedulable": False})
    driver = {"name": storage.DRIVER, "nodeID": "n"} | ({"allocatable": {"count": limit}} if limit else {})
    cluster.apply(
        make_object("storage.k8s.io/v1 CSINode", "n", spec={"drivers": [driver]}),
        storage.storage_class("shared"),
        *(each for name in ("one", mounts) for each in make_bound_claim(name)),
    )
    container = {"name": "main", "image": "i"}
    cluster.pod(
        "holder",
        node="n",
        labels={"app": "holder"},
        spec={"containers": [container], "volumes": mount("one")},
    )
    spec: Object = {"containers": [container], "volumes": mount(mounts)}
    shape = parse_shape(spec, "default")
    kind = Kind("c", 1, {}, spec)
    known, running = see_volumes(cluster), look("running_pods", cluster)
    batches = [mount_volumes(kind, shape, look("nodes", cluster), known, known.attach(running))]
    (lacking,) = Scheduler(ClusterState(look("nodes", cluster), running), batches).pack().lacking
    real = schedule(cluster, [World("w", kinds=[kind])])
    assert (lacking, real) == (int(not fits), {"c": int(not fits)})


@pytest.mark.parametrize(
    ("fields", "driver", "fits"),
    [
        ({"free": "100Gi"}, True, True),
        ({"free": "99Gi"}, True, False),
        ({"free": "500Gi", "maximumVolumeSize": "50Gi"}, True, False),
        ({"free": "0", "maximumVolumeSize": "100Gi"}, True, True),
        ({"free": "500Gi", "node": "other"}, True, False),
        ({"free": "500Gi", "storageClassName": "other"}, True, False),
        ({"free": "0"}, False, True),
        (None, True, False),
        (None, False, True),
    ],
)
def test_room_for_volumes_agrees_with_the_scheduler(
    cluster: ControlPlane, fields: dict[str, str] | None, driver: bool, fits: bool
) -> None:
    make_node(cluster, {"name": "n", "gpus": 8, "labels": {HOST: "n"}, "unschedulable": False})
    cluster.apply(
        make_object(f"{STORAGE} CSIDriver", "topolvm.io", spec={"storageCapacity": driver}),
        storage_class(MEASURED, "topolvm.io", WAITS),
        storage.claim("new", storage_class=MEASURED, mode="ReadWriteOnce", phase="Pending"),
    )
    if fields is not None:
        made = capacity(fields.get("node", "n"), fields["free"])
        cluster.apply(made | {name: value for name, value in fields.items() if name in made or "V" in name})
    kind = Kind("c", 1, {}, {"containers": [{"name": "main", "image": "i"}], "volumes": mount("new")})
    known, nodes = see_volumes(cluster), look("nodes", cluster)
    batches = [mount_volumes(kind, parse_shape(kind.spec, "default"), nodes, known, known.attach(()))]
    (lacking,) = Scheduler(ClusterState(nodes, RunningPods()), batches).pack().lacking
    real = schedule(cluster, [World("w", kinds=[kind])])
    assert (lacking, real) == (int(not fits), {"c": int(not fits)})


def mount(claim: str) -> list[Object]:
    return [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]


def make_bound_claim(name: str) -> tuple[Object, Object]:
    """A claim and its volume, as the controller of volumes leaves them."""
    claim = storage.claim(name)
    claim["metadata"]["annotations"] = {"pv.kubernetes.io/bind-completed": "yes"}
    spec = {
        "capacity": {"storage": "100Gi"},
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "shared",
        "csi": {"driver": storage.DRIVER, "volumeHandle": name},
        "claimRef": {"namespace": "default", "name": name},
    }
    if name.startswith("local-"):
        here = [{"key": HOST, "operator": "In", "values": [name.removeprefix("local-")]}]
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": here}]}}
    return make_object("PersistentVolume", f"pvc-{name}", spec=spec, status={"phase": "Bound"}), claim


@pytest.mark.verify
@pytest.mark.timeout(3600)
def test_many_situations_agree_with_the_scheduler(cluster: ControlPlane) -> None:
    found: list[Judged] = []
    for start in range(1000, 1000 + MANY, TOGETHER):
        found += judge(cluster, [world(seed) for seed in range(start, start + TOGETHER)])
        cluster.reset()
    print(show(found))
    certain = [each for each in found if each.certain]
    assert sum(each.agrees for each in certain) >= 0.99 * len(certain), show(found)
    assert len(certain) > 0.9 * len(found), show(found)
