"""What the probes see of Gateways, routes and pools on a real API server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dynocheck.facts import (
    GAIE,
    GAIE_EXPERIMENTAL,
    GatewayClasses,
    Gateways,
    InferencePools,
    InferenceRoutes,
    ObjectReference,
    PickerConfig,
)
from tests.clusters import gaie
from tests.clusters.objects import make_condition, make_namespace, make_object
from tests.controlplane.server import ControlPlane
from tests.probes.looking import look

PROBES = {
    "gateway_classes": GatewayClasses(),
    "gateways": Gateways(),
    "inference_routes": InferenceRoutes(),
    "inference_pools": InferencePools(),
}


@pytest.fixture(scope="module")
def typed(controlplane: ControlPlane, crds: Path) -> Iterator[None]:
    namespaces = [make_namespace(name) for name in (gaie.CONTROLLER_NAMESPACE, gaie.SERVING)]
    folders = (crds / folder for folder in gaie.CRDS)
    yield from controlplane.share(*folders, furnish=lambda cluster: cluster.apply(*namespaces))


@pytest.fixture
def routing(typed: None, cluster: ControlPlane) -> ControlPlane:
    """A cluster with the types and nothing of them."""
    return cluster


@pytest.mark.parametrize("probe", PROBES)
def test_a_cluster_without_the_types(cluster: ControlPlane, probe: str) -> None:
    assert look(probe, cluster) == PROBES[probe]


@pytest.mark.parametrize("probe", PROBES)
def test_a_cluster_with_nothing_of_them(routing: ControlPlane, probe: str) -> None:
    assert look(probe, routing) == PROBES[probe]


def test_a_class_that_nobody_looked_at(routing: ControlPlane) -> None:
    fresh = gaie.gateway_class()
    del fresh["status"]
    routing.apply(fresh)
    (seen,) = look("gateway_classes", routing)
    assert (seen.name, seen.controller) == ("agentgateway", gaie.CONTROLLER)
    # The definition itself has the API server write it so.
    assert [(c.type, c.status, c.reason) for c in seen.conditions] == [("Accepted", "Unknown", "Pending")]


def test_a_condition_of_an_older_generation(routing: ControlPlane) -> None:
    routing.apply(gaie.gateway())
    (seen,) = look("gateways", routing)
    assert [c.current for c in seen.conditions] == [True, True]
    changed = gaie.gateway(port=8080)
    del changed["status"]
    routing.apply(changed)
    (seen,) = look("gateways", routing)
    seen_before = [("Accepted", "True", False), ("Programmed", "True", False)]
    assert [(c.type, c.status, c.current) for c in seen.conditions] == seen_before


def test_the_listeners_of_a_gateway(routing: ControlPlane) -> None:
    found = gaie.gateway()
    kinds = [{"group": "gateway.networking.k8s.io", "kind": "GRPCRoute"}]
    namespaces = {"from": "Selector", "selector": {"matchLabels": {"a": "b"}}}
    allowed = {"namespaces": namespaces, "kinds": kinds}
    found["spec"]["listeners"] += [
        {"name": "bare", "port": 81, "protocol": "HTTP"},
        {"name": "some", "port": 82, "protocol": "HTTP", "allowedRoutes": allowed},
    ]
    conflicted = [make_condition("Accepted", "False", "PortUnavailable")]
    listener = {"name": "bare", "attachedRoutes": 0, "supportedKinds": [], "conditions": conflicted}
    found["status"]["listeners"] = [listener]
    routing.apply(found)
    (seen,) = look("gateways", routing)
    assert [(each.name, each.port, each.routes_from, each.kinds) for each in seen.listeners] == [
        ("http", 80, "All", ()),
        ("bare", 81, "Same", ()),
        ("some", 82, "Selector", ("GRPCRoute",)),
    ]
    assert [c.reason for c in seen.listeners[1].conditions] == ["PortUnavailable"]


def test_only_routes_to_pools_are_seen(routing: ControlPlane) -> None:
    plain = gaie.route()
    plain["metadata"]["name"] = "plain"
    plain["spec"]["rules"] = [{"backendRefs": [{"name": "web", "port": 80}]}]
    routing.apply(plain, gaie.route(None))
    (seen,) = look("inference_routes", routing)
    kind: dict[str, Any] = {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
    gateway = ObjectReference(namespace=gaie.SERVING, name="inference-gateway", **kind)
    assert seen.parents == (gateway,), "in the route's own namespace, as it names none"
    assert seen.statuses[0].parent == gateway
    (pool,) = seen.pools
    assert (pool.group, pool.kind) == (GAIE, "InferencePool")
    assert (pool.namespace, pool.name, pool.port) == (gaie.SERVING, "qwen-pool", 8000)


def test_a_pool_with_all_that_belongs_to_it(routing: ControlPlane) -> None:
    gaie.furnish(routing)
    elsewhere = routing.namespace()
    routing.pod("other", elsewhere, labels=gaie.WORKERS)
    routing.pod("ended", gaie.SERVING, labels=gaie.WORKERS, phase="Succeeded")
    (seen,) = look("inference_pools", routing)
    assert (seen.group, seen.namespace, seen.name, seen.dynamo) == (GAIE, gaie.SERVING, "qwen-pool", True)
    assert [(pod.name, pod.ready) for pod in seen.pods] == [("qwen-worker-0", True)]
    picker = seen.picker
    assert (picker.ports, picker.selector) == ((9002,), gaie.PICKER)
    assert [pod.name for pod in picker.pods] == ["qwen-epp-0"]
    assert picker.configs == (PickerConfig("qwen-epp-config", "epp-config-dynamo.yaml", gaie.CONFIG),)


def test_a_pool_of_the_experimental_group(routing: ControlPlane) -> None:
    spec = {"selector": {"app": "vllm"}, "targetPortNumber": 8000, "extensionRef": {"name": "epp"}}
    routing.apply(make_object(f"{GAIE_EXPERIMENTAL}/v1alpha2 InferencePool", "old", gaie.SERVING, spec=spec))
    routing.pod("vllm-0", gaie.SERVING, labels={"app": "vllm"})
    (seen,) = look("inference_pools", routing)
    assert (seen.group, seen.selector, seen.dynamo) == (GAIE_EXPERIMENTAL, {"app": "vllm"}, False)
    assert [pod.name for pod in seen.pods] == ["vllm-0"]
    assert (seen.picker.reference.port, seen.picker.ports) == (9002, None)


MOUNT = {"mountPath": "/etc/epp"}
AS_FILE = {"mountPath": "/epp.yaml", "subPath": "a.yaml"}
RENAMED = {"items": [{"key": "a.yaml", "path": "b.yaml"}]}


@pytest.mark.parametrize(
    ("command", "mount", "source", "keys"),
    [
        (["--config-file=/etc/epp/a.yaml"], MOUNT, {}, ["a.yaml"]),
        (["-config-file", "/etc/epp/a.yaml"], MOUNT, {}, ["a.yaml"]),
        (["/epp", "--config-file", "/etc/epp/a.yaml"], MOUNT, {}, ["a.yaml"]),
        (["--config-file", "/etc/epp/b.yaml"], MOUNT, RENAMED, ["a.yaml"]),
        (["--config-file", "/epp.yaml"], AS_FILE, {}, ["a.yaml"]),
        (["--config-file", "/etc/other/a.yaml"], MOUNT, {}, []),
        (["--config-text", "x"], MOUNT, {}, []),
        (["--config-file"], MOUNT, {}, []),
        ([], MOUNT, {}, []),
    ],
)
def test_where_a_picker_starts_from(
    routing: ControlPlane, command: list[str], mount: dict[str, str], source: dict[str, Any], keys: list[str]
) -> None:
    place = "command" if command[:1] == ["/epp"] else "args"
    container = {"name": "main", "image": "x", place: command, "volumeMounts": [{"name": "c", **mount}]}
    volume = {"name": "c", "configMap": {"name": "cm", **source}}
    spec = {"containers": [container], "volumes": [volume]}
    config = gaie.config()
    config["metadata"]["name"], config["data"] = "cm", {"a.yaml": "text"}
    routing.apply(gaie.pool(), gaie.service(), config)
    routing.pod("epp", gaie.SERVING, labels=gaie.PICKER, spec=spec)
    (seen,) = look("inference_pools", routing)
    assert seen.picker.configs == tuple(PickerConfig("cm", key, "text") for key in keys)


def test_a_configuration_that_is_not_there(routing: ControlPlane) -> None:
    gaie.furnish(routing)
    config = gaie.config()
    config["data"] = {"other.yaml": "x"}
    routing.delete(config)
    routing.apply(config)
    (seen,) = look("inference_pools", routing)
    assert seen.picker.configs == (PickerConfig("qwen-epp-config", "epp-config-dynamo.yaml"),)
