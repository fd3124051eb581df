"""Probes of running pods and of a namespace's quotas and limit ranges."""

from typing import Any

import msgspec

from dynocheck.facts import LimitRangeItem, Quota, RunningPod
from tests.clusters.objects import make_object
from tests.controlplane.server import ControlPlane
from tests.probes.looking import look

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def requesting(**requests: str) -> dict[str, Any]:
    return {"name": "main", "image": "i", "resources": {"requests": requests}}


def test_pods_that_hold_resources(cluster: ControlPlane) -> None:
    cluster.pod("running", node="a", gpus=2, labels={"app": "x"})
    cluster.pod("starting", node="a", phase="Pending", spec={"containers": [requesting(cpu="100m")]})
    cluster.pod("waiting", phase="Pending", gpus=8)
    cluster.pod("done", node="a", phase="Succeeded", gpus=8)
    cluster.pod("failed", node="a", phase="Failed", gpus=8)
    running, starting = look("running_pods", cluster)
    where = {"namespace": "default", "name": "running", "node": "a"}
    held = {"labels": {"app": "x"}, "requests": {"nvidia.com/gpu": 2}, "assumed": (100, 200 * 2**20)}
    assert running == msgspec.convert({**where, **held}, RunningPod)
    assert (starting.name, starting.requests) == ("starting", {"cpu": 100})


def test_pod_with_all_fields(cluster: ControlPlane) -> None:
    term = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "x"}}}
    spec = {
        "containers": [
            {**requesting(cpu="1", memory="1Gi"), "ports": [{"containerPort": 80, "hostPort": 8080}]},
            {**requesting(cpu="1500m"), "name": "other"},
        ],
        "initContainers": [
            {**requesting(cpu="2"), "name": "first"},
            {**requesting(cpu="1"), "name": "beside", "restartPolicy": "Always"},
        ],
        "affinity": {"podAntiAffinity": {REQUIRED: [term]}, "nodeAffinity": {}},
    }
    cluster.pod("full", node="a", spec=spec)
    (pod,) = look("running_pods", cluster)
    assert pod.requests == {"cpu": 3500, "memory": 2**30}
    assert pod.assumed == (3500, 2**30 + 2 * 200 * 2**20)
    assert pod.affinity == {"podAntiAffinity": {REQUIRED: [term]}}
    assert pod.ports == (("TCP", "0.0.0.0", 8080),)
    assert not pod.terminating


def test_quotas_and_limit_ranges_of_the_namespace(cluster: ControlPlane) -> None:
    hard = {"requests.nvidia.com/gpu": "8"}
    used = {"requests.nvidia.com/gpu": "3"}
    spec, status = {"hard": hard, "scopes": ["NotTerminating"]}, {"hard": hard, "used": used}
    limit = {"type": "Container", "max": {"cpu": "8"}, "default": {"cpu": "2"}}
    cluster.apply(
        make_object("ResourceQuota", "team", "default", spec=spec, status=status),
        make_object("ResourceQuota", "other", cluster.namespace(), spec={"hard": {"pods": "1"}}),
        make_object("LimitRange", "small", "default", spec={"limits": [limit]}),
    )
    limits = look("namespace_limits", cluster)
    assert limits.namespace == "default"
    assert limits.quotas == (Quota(name="team", hard=hard, used=used, scopes=("NotTerminating",)),)
    two = {"cpu": "2"}
    item = LimitRangeItem(range="small", type="Container", default=two, default_request=two, max={"cpu": "8"})
    assert limits.limits == (item,)
