"""Random small clusters and pods to schedule there, by seed."""

import random
from dataclasses import dataclass, field, replace
from typing import Any

from dynocheck.scheduling.device_claims import DeviceClaim, DeviceRequest, SameAttribute
from tests.clusters.objects import make_object
from tests.controlplane.api import Object

POOL = "tests.dynocheck/pool"
ZONE = "topology.kubernetes.io/zone"
HOST = "kubernetes.io/hostname"
DEVICES = "gpu.example.com"  # a driver, and the class of its devices
RUNTIME = "sandboxed"  # a RuntimeClass with overhead
GPU, RDMA = "nvidia.com/gpu", "rdma/ib"
MODELS = ("NVIDIA-H200", "NVIDIA-B200")
EBS, STORAGE, WAITS = "ebs.csi.aws.com", "storage.k8s.io/v1", "WaitForFirstConsumer"
MEASURED = "measured"  # a class of volumes on nodes, whose driver says how much is left on each
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


@dataclass(frozen=True)
class Kind:
    """A component: a number of pods of one spec."""

    name: str
    pods: int
    labels: dict[str, str]
    spec: Object
    claims: tuple[DeviceClaim, ...] = ()


@dataclass(frozen=True)
class World:
    """A few nodes of their own, the pods running on them, and the pods to schedule there."""

    name: str
    nodes: list[dict[str, Any]] = field(default_factory=list)
    running: list[dict[str, Any]] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)
    slices: list[Object] = field(default_factory=list)
    volumes: list[Object] = field(default_factory=list)  # claims, volumes, classes and drivers


def world(seed: int) -> World:
    """The cluster and pods of this seed."""
    rng = random.Random(seed)
    if seed % 5 == 4:
        return _mounting(rng, f"v{seed}")
    if seed % 4 == 3:
        return _claiming(rng, f"d{seed}")
    return _tight(rng, f"t{seed}") if seed % 3 == 0 else _mixed(rng, f"w{seed}")


def _tight(rng: random.Random, name: str) -> World:
    """Equal, nearly full nodes: the nodes of the first pods decide whether the last fit."""
    made = World(name)
    labels = {POOL: name, "gpu.product": MODELS[0]}
    capacity = {"cpu": "64", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": "110"}
    for number in range(rng.randint(2, 4)):
        node = {"name": f"{name}-n{number}", "gpus": 8, "labels": labels, "taints": [], "capacity": capacity}
        made.nodes.append({**node, "unschedulable": False})
    for number in range(rng.randint(0, 3)):
        made.running.append(_holding(rng, made, number))
    left = 8 * len(made.nodes) - sum(_gpus(pod["spec"]) for pod in made.running) + rng.choice((-1, 0, 0, 2))
    number = 0
    while left > 0 and number < 5:
        size = rng.choice([each for each in (1, 2, 4, 8) if each <= max(left, 1)])
        pods = rng.randint(1, max(1, min(4, left // size)))
        made.kinds.append(_sized(rng, name, number, size, pods))
        left -= size * pods
        number += 1
    return made


def _claiming(rng: random.Random, name: str) -> World:
    """Nodes whose devices are claimed through DRA, beside all else that a scheduler looks at."""
    made = _mixed(rng, name)
    for node in made.nodes:
        kinds = [rng.choice(("80Gi", "141Gi")) for _ in range(rng.choice((0, 2, 4, 8)))]
        made.slices.append(_slice(rng, node["name"], kinds))
    make = rng.choice((_fixed_claims, _fixed_claims, _odd_claims))
    for number, kind in enumerate(made.kinds):
        if rng.random() < 0.8:
            made.kinds[number] = replace(kind, claims=make(rng, kind.name))
    return made


def _mounting(rng: random.Random, name: str) -> World:
    """Nodes that reach some volumes and can have only so many, some of which are still to be made."""
    made = rng.choice((_mixed, _tight))(rng, name)
    for node in made.nodes:
        node["labels"] = {ZONE: f"{name}-{rng.choice('ab')}"} | node["labels"]
    if rng.random() < 0.3:
        allowed = [{"matchLabelExpressions": [{"key": ZONE, "values": [f"{name}-a"]}]}]
        made.volumes.append(storage_class(f"{name}-a", EBS, WAITS, allowedTopologies=allowed))
    for node in made.nodes:
        keys = [ZONE] if ZONE in node["labels"] else None
        limit = {"allocatable": {"count": rng.choice((1, 2, 3, 4))}} if rng.random() < 0.5 else {}
        driver = {"name": EBS, "nodeID": node["name"], "topologyKeys": keys, **limit}
        made.volumes.append(make_object(f"{STORAGE} CSINode", node["name"], spec={"drivers": [driver]}))
        if rng.random() < 0.8:
            made.volumes.append(capacity(node["name"], rng.choice(("0", "1Gi", "2Gi"))))
    claims = [f"{name}-v{number}" for number in range(rng.randint(1, 5))]
    for claim in claims:
        made.volumes.extend(_claim(rng, made, claim))
    bound = [c for c in claims if any(_is_volume(each, c) for each in made.volumes)]
    for spec in [pod["spec"] for pod in made.running]:
        spec["volumes"] = _mount(rng, bound)
    for kind in made.kinds:
        kind.spec["volumes"] = _mount(rng, claims)
    return made


def _is_volume(each: Object, name: str) -> bool:
    return bool(each["kind"] == "PersistentVolume" and each["metadata"]["name"] == name)


def _mount(rng: random.Random, claims: list[str]) -> list[Object]:
    mounted = rng.sample(claims, min(len(claims), rng.choice((0, 1, 1, 2))))
    return [{"name": f"v{n}", "persistentVolumeClaim": {"claimName": c}} for n, c in enumerate(mounted)]


def storage_class(name: str, provisioner: str, binding: str, **fields: Any) -> Object:
    """A StorageClass that is no default."""
    fields |= {"provisioner": provisioner, "volumeBindingMode": binding}
    return make_object(f"{STORAGE} StorageClass", name, **fields)


def capacity(node: str, free: str, **fields: Any) -> Object:
    """How large a volume of the class `measured` can be on a node."""
    fields |= {"storageClassName": MEASURED, "nodeTopology": {"matchLabels": {HOST: node}}, "capacity": free}
    return make_object(f"{STORAGE} CSIStorageCapacity", node, "default", **fields)


def _claim(rng: random.Random, made: World, name: str) -> list[Object]:
    """A claim and, if it is bound, its volume: everywhere, in a zone or on a node."""
    own = [each["metadata"]["name"] for each in made.volumes if each["kind"] == "StorageClass"]
    waits = rng.random() < 0.5
    kind = rng.choice(("zonal", "zonal", "local", MEASURED, *own) if waits else ("zonal", "local", "shared"))
    spec: Object = {
        "accessModes": [rng.choice((("ReadWriteOnce",) * 6) + ("ReadWriteOncePod",))],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": kind,
    }
    claim = "PersistentVolumeClaim"
    if waits:
        return [make_object(claim, name, "default", spec=spec, status={"phase": "Pending"})]
    node = rng.choice(made.nodes)
    zone = node["labels"].get(ZONE)
    place = {"local": (HOST, node["name"]), "zonal": (ZONE, zone) if zone else None}
    done = {"pv.kubernetes.io/bind-completed": "yes"}
    spec["volumeName"] = name
    bound = make_object(claim, name, "default", annotations=done, spec=spec, status={"phase": "Bound"})
    return [bound, bound_volume(bound, place.get(kind))]


def bound_volume(claim: Object, place: tuple[str, str] | None) -> Object:
    """The volume of a claim, of the same name, for nodes with this label."""
    name, wanted = claim["metadata"]["name"], claim["spec"]
    spec: Object = {
        "accessModes": wanted["accessModes"],
        "capacity": {"storage": "1Gi"},
        "claimRef": {"namespace": "default", "name": name},
        "storageClassName": wanted["storageClassName"],
    }
    is_local = wanted["storageClassName"] in ("local", MEASURED)
    spec |= {"hostPath": {"path": "/v"}} if is_local else {"csi": {"driver": EBS, "volumeHandle": name}}
    if place:
        term = {"matchExpressions": [{"key": place[0], "operator": "In", "values": [place[1]]}]}
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [term]}}
    return make_object("PersistentVolume", name, spec=spec, status={"phase": "Bound"})


_MEMORY = f"device.capacity['{DEVICES}'].memory"
_LARGE = (f"{_MEMORY}.compareTo(quantity('100Gi')) >= 0",)
_SMALL = (f"{_MEMORY}.isLessThan(quantity('100Gi'))",)


def _request(rng: random.Random, name: str, count: int | None = None) -> DeviceRequest:
    number = rng.choice((1, 1, 2, 4)) if count is None else count
    return DeviceRequest(DEVICES, number, rng.choice(((), (), _LARGE, _SMALL)), name=name)


def _fixed_claims(rng: random.Random, _: str) -> tuple[DeviceClaim, ...]:
    return (DeviceClaim(((_request(rng, "a"),),)),)


def _odd_claims(rng: random.Random, kind: str) -> tuple[DeviceClaim, ...]:
    """Claims of several requests, some with alternatives, for all devices, with constraints or shared."""
    claims = []
    for number in range(rng.choice((1, 1, 2))):
        requests = []
        for name in "ab"[: rng.choice((1, 2))]:
            alternatives = [f"{name}/{n}" for n in range(rng.choice((1, 1, 2, 3)))]
            names = alternatives if len(alternatives) > 1 else [name]
            requests.append(tuple(_request(rng, n, 0 if rng.random() < 0.15 else None) for n in names))
        constraints = (
            SameAttribute(f"{DEVICES}/numa", frozenset(rng.choice(("", "a", "ab"[: len(requests)])))),
        )
        shared = f"{kind}-shared-{number}" if rng.random() < 0.3 else ""
        claims.append(DeviceClaim(tuple(requests), constraints if rng.random() < 0.4 else (), shared))
    return tuple(claims)


def _slice(rng: random.Random, node: str, kinds: list[str]) -> Object:
    devices: list[Object] = [
        {
            "name": f"gpu-{number}",
            "capacity": {"memory": {"value": memory}},
            "attributes": {"numa": {"int": rng.randint(0, 1)}} if rng.random() < 0.9 else {},
        }
        for number, memory in enumerate(kinds)
    ]
    pool = {"name": node, "generation": 1, "resourceSliceCount": 1}
    spec = {"driver": DEVICES, "nodeName": node, "pool": pool, "devices": devices}
    if devices and rng.random() < 0.2:
        devices[0]["taints"] = [{"key": "broken", "effect": "NoSchedule"}]
    return make_object("resource.k8s.io/v1 ResourceSlice", f"{node}-gpus", spec=spec)


def _gpus(spec: Object) -> int:
    return sum(int(c["resources"]["limits"].get(GPU, 0)) for c in spec["containers"])


def _sized(rng: random.Random, name: str, number: int, gpus: int, pods: int) -> Kind:
    requests = rng.choice(({}, {"cpu": str(4 * gpus), "memory": f"{16 * gpus}Gi"}, {"cpu": "1"}))
    resources = {"requests": requests, "limits": {GPU: str(gpus)}}
    containers = [{"name": "main", "image": "i", "resources": resources}]
    spec: Object = {"containers": containers, "nodeSelector": {POOL: name}}
    labels = _labels(rng, name)
    if rng.random() < 0.25:
        side = rng.choice(("podAffinity", "podAntiAffinity"))
        term = {"topologyKey": HOST, "labelSelector": _selector(rng, name)}
        rule = rng.choice(
            ({_REQUIRED: [term]}, {_PREFERRED: [{"weight": rng.choice((1, 100)), "podAffinityTerm": term}]})
        )
        spec["affinity"] = {side: rule}
    return Kind(f"{name}-c{number}", pods, labels, spec)


def _holding(rng: random.Random, made: World, number: int) -> dict[str, Any]:
    kind = _sized(rng, made.name, number, rng.choice((1, 2, 4)), 1)
    spec = {**kind.spec, "nodeName": rng.choice(made.nodes)["name"]}
    return {"name": f"{made.name}-r{number}", "labels": kind.labels, "phase": "Running", "spec": spec}


def _mixed(rng: random.Random, name: str) -> World:
    """Everything that a scheduler looks at, here and there."""
    made = World(name)
    for number in range(rng.randint(1, 6)):
        made.nodes.append(_node(rng, made.name, number))
    for number in range(rng.randint(0, 5)):
        made.running.append(_running(rng, made, number))
    for number in range(rng.randint(1, 4)):
        made.kinds.append(_kind(rng, made.name, number))
    return made


def _node(rng: random.Random, name: str, number: int) -> dict[str, Any]:
    labels = {POOL: name, "gpu.product": rng.choice(MODELS), "speed": str(rng.randint(1, 9))}
    if rng.random() < 0.9:
        labels[ZONE] = f"{name}-{rng.choice('ab')}"
    taints = []
    if rng.random() < 0.25:
        taints.append({"key": GPU, "value": "present", "effect": rng.choice(("NoSchedule", "NoExecute"))})
    if rng.random() < 0.15:
        taints.append({"key": "spot", "effect": "PreferNoSchedule"})
    if rng.random() < 0.08:
        taints.append({"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"})
    capacity = {
        "cpu": rng.choice(("4", "16", "31850m", "64")),
        "memory": rng.choice(("16Gi", "64Gi", "128000000Ki", "500G")),
        "ephemeral-storage": rng.choice(("50Gi", "1Ti")),
        "pods": rng.choice(("3", "5", "110")),
    }
    if rng.random() < 0.3:
        capacity[RDMA] = str(rng.choice((1, 2, 8)))
    return {
        "name": f"{name}-n{number}",
        "gpus": rng.choice((0, 2, 4, 8, 8)),
        "labels": labels,
        "taints": taints,
        "capacity": capacity,
        "unschedulable": rng.random() < 0.1,
    }


def _resources(rng: random.Random) -> Object:
    """Requests of any spelling, with or without limits."""
    requests: Object = {}
    limits: Object = {}
    if rng.random() < 0.7:
        requests["cpu"] = rng.choice(("100m", "0.5", "1", "2500m", "7", "12"))
    if rng.random() < 0.6:
        requests["memory"] = rng.choice(("128974848", "1.5Gi", "8Gi", "20e9", "30Gi", "500M"))
    if rng.random() < 0.2:
        requests["ephemeral-storage"] = rng.choice(("2Gi", "40Gi"))
    if rng.random() < 0.7:
        limits[GPU] = str(rng.choice((1, 1, 2, 2, 4, 8)))
    if rng.random() < 0.12:
        limits[RDMA] = str(rng.choice((1, 2)))
    if rng.random() < 0.2 and "cpu" not in requests:
        limits["cpu"] = "3"
    return {"requests": requests, "limits": limits}


def _labels(rng: random.Random, name: str) -> dict[str, str]:
    return {"world": name, "app": rng.choice("xyz"), "tier": rng.choice(("fe", "be"))}


def _selector(rng: random.Random, name: str) -> Object:
    chosen: Object = {"world": name}
    match rng.randint(0, 3):
        case 0:
            return {"matchLabels": chosen}
        case 1:
            return {"matchLabels": {**chosen, "app": rng.choice("xyz")}}
        case 2:
            apps = sorted(rng.sample("xyz", 2))
            return {
                "matchLabels": chosen,
                "matchExpressions": [{"key": "app", "operator": "NotIn", "values": apps}],
            }
    return {"matchLabels": {**chosen, "tier": rng.choice(("fe", "be"))}}


def _term(rng: random.Random, name: str) -> Object:
    return {"topologyKey": rng.choice((HOST, HOST, ZONE)), "labelSelector": _selector(rng, name)}


def _running(rng: random.Random, made: World, number: int) -> dict[str, Any]:
    node = rng.choice(made.nodes)
    spec: Object = {
        "nodeName": node["name"],
        "containers": [{"name": "main", "image": "i", "resources": _resources(rng)}],
    }
    if rng.random() < 0.15:
        spec["affinity"] = {"podAntiAffinity": {_REQUIRED: [_term(rng, made.name)]}}
    return {
        "name": f"{made.name}-r{number}",
        "labels": _labels(rng, made.name),
        "phase": rng.choice(("Running",) * 4 + ("Succeeded", "Pending")),
        "spec": spec,
    }


def _kind(rng: random.Random, name: str, number: int) -> Kind:
    main: Object = {"name": "main", "image": "i", "resources": _resources(rng)}
    spec: Object = {"containers": [main], "nodeSelector": {POOL: name}}
    labels = _labels(rng, name)
    if rng.random() < 0.15:
        spec["containers"].append({"name": "side", "image": "i", "resources": _resources(rng)})
    if rng.random() < 0.2:
        first: Object = {"name": "init", "image": "i", "resources": _resources(rng)}
        if rng.random() < 0.5:
            first["restartPolicy"] = "Always"
        spec["initContainers"] = [first, {"name": "two", "image": "i", "resources": _resources(rng)}]
    if rng.random() < 0.15:
        spec["nodeSelector"]["gpu.product"] = rng.choice(MODELS)
    if rng.random() < 0.6:
        spec["tolerations"] = rng.choice(
            (
                [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}],
                [{"key": GPU, "operator": "Exists"}],
                [{"key": GPU, "operator": "Equal", "value": "present"}],
                [{"key": GPU, "value": "other"}],
                [{"operator": "Exists"}],
            )
        )
    affinity = _affinity(rng, name)
    if affinity:
        spec["affinity"] = affinity
    if rng.random() < 0.2:
        spec["topologySpreadConstraints"] = [_spread(rng, name)]
    if rng.random() < 0.08:
        main["ports"] = [{"containerPort": 9090, "hostPort": rng.choice((9090, 9091))}]
    of_pod: Object = {"resources": {"requests": {"cpu": "50", "memory": "90Gi"}}}
    of_runtime = {} if "gpu.product" in spec["nodeSelector"] else {"runtimeClassName": RUNTIME}
    spec |= rng.choice((*(({},) * 8), of_runtime, of_pod))
    return Kind(f"{name}-c{number}", rng.choice((1, 1, 2, 2, 3, 4)), labels, spec)


def _affinity(rng: random.Random, name: str) -> Object:
    affinity: Object = {}
    if rng.random() < 0.2:
        expression = rng.choice(
            (
                {"key": "gpu.product", "operator": "In", "values": [MODELS[0]]},
                {"key": "gpu.product", "operator": "NotIn", "values": [MODELS[0]]},
                {"key": "speed", "operator": "Gt", "values": ["4"]},
                {"key": ZONE, "operator": "Exists"},
                {"key": ZONE, "operator": "DoesNotExist"},
            )
        )
        affinity["nodeAffinity"] = {_REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
    if rng.random() < 0.15:
        preference = {"matchExpressions": [{"key": "speed", "operator": "Gt", "values": ["5"]}]}
        weighted = [{"weight": rng.choice((1, 50, 100)), "preference": preference}]
        affinity.setdefault("nodeAffinity", {})[_PREFERRED] = weighted
    for side, required, preferred in (("podAffinity", 0.15, 0.1), ("podAntiAffinity", 0.2, 0.1)):
        if rng.random() < required:
            affinity.setdefault(side, {})[_REQUIRED] = [_term(rng, name)]
        if rng.random() < preferred:
            weighted = [{"weight": rng.choice((1, 100)), "podAffinityTerm": _term(rng, name)}]
            affinity.setdefault(side, {})[_PREFERRED] = weighted
    return affinity


def _spread(rng: random.Random, name: str) -> Object:
    constraint: Object = {
        "maxSkew": rng.choice((1, 1, 2)),
        "topologyKey": rng.choice((HOST, ZONE)),
        "whenUnsatisfiable": rng.choice(("DoNotSchedule", "DoNotSchedule", "ScheduleAnyway")),
        "labelSelector": _selector(rng, name),
    }
    if rng.random() < 0.2 and constraint["whenUnsatisfiable"] == "DoNotSchedule":
        constraint["minDomains"] = rng.choice((2, 3))
    if rng.random() < 0.2:
        constraint["nodeTaintsPolicy"] = "Honor"
    return constraint
