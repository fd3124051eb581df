"""Whether routes lead to the pools of their graphs, and pickers are set up for their workers."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.gaie.endpoint_pickers import picker
from dynocheck.checks.gaie.recipe_routes import recipe_route
from dynocheck.facts import Gateway, Gateways
from tests.checks.judging import deploy, get_coverage, outcomes
from tests.checks.manifests import MODEL, engine, graph

GAIE, GATEWAY = "inference.networking.k8s.io", "gateway.networking.k8s.io/v1"
TYPE = "nvidia.com/dynamo-component-type"


def make_picker(config: dict[str, Any] | None = None, **env: str) -> dict[str, Any]:
    variables = [{"name": name, "value": value} for name, value in env.items()]
    main = {"name": "main", "image": "r/dynamo-frontend:1.3.0", "env": variables}
    pod = {"podTemplate": {"spec": {"containers": [main]}}}
    return {"name": "Epp", "type": "epp", "eppConfig": {"config": config or {}}, **pod}


def route(
    name: str = "g-pool", *, group: str = GAIE, port: int | None = 8000, gateway: Any = "gw", **rule: Any
) -> dict[str, Any]:
    backend = {"group": group, "kind": "InferencePool", "name": name} | ({"port": port} if port else {})
    whole: dict[str, Any] = {"backendRefs": [backend], "timeouts": {"request": "300s"}, **rule}
    rules = [{key: value for key, value in whole.items() if value is not None}]
    parents = [{"name": gateway}] if isinstance(gateway, str) else gateway
    head = {"apiVersion": GATEWAY, "kind": "HTTPRoute", "metadata": {"name": "r"}}
    return {**head, "spec": {"parentRefs": parents, "rules": rules}}


def bring(**home: str) -> dict[str, Any]:
    return {"apiVersion": GATEWAY, "kind": "Gateway", "metadata": {"name": "gw", **home}}


def bring_of_class(name: str) -> dict[str, Any]:
    return {**bring(), "spec": {"gatewayClassName": name}}


def matching(model: str, kind: str = "Exact", header: str = "X-Gateway-Model-Name") -> dict[str, Any]:
    return {"matches": [{"headers": [{"type": kind, "name": header, "value": model}]}]}


# gaie.recipe-route

WORKER = engine(frontendSidecar="s")
PICKED = graph(make_picker(), WORKER)
ADAPTED = graph(make_picker(), engine("--enable-lora", frontendSidecar="s"))
ORDINARY = route(backendRefs=[{"name": "g-frontend", "port": 8000}])
THEIRS = {"apiVersion": f"{GAIE}/v1", "kind": "InferencePool", "metadata": {"name": "mine"}}


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([PICKED, route()], []),
        ([PICKED, route(port=None)], []),
        ([PICKED, route("other-pool")], ["fail"]),
        ([PICKED, route("g")], ["fail"]),
        ([PICKED, route(port=9002)], ["warn"]),
        ([PICKED, route(group="inference.networking.x-k8s.io")], ["fail"]),
        ([PICKED, route(group="")], ["fail"]),
        ([PICKED, route(timeouts=None)], ["warn"]),
        ([PICKED, route(timeouts=None), bring_of_class("gke-l7-regional-external-managed")], ["warn"]),
        ([PICKED, route(timeouts=None), bring_of_class("istio")], []),  # it has no timeout of its own
        ([PICKED, route(timeouts={"request": "0s"})], []),
        ([PICKED, route(timeouts={"request": "15s"})], ["warn"]),
        ([PICKED, route(timeouts={"request": "5m"})], []),
        ([PICKED, route(timeouts={"request": "300s", "backendRequest": "500ms"})], ["warn"]),
        ([PICKED, route(**matching(MODEL))], []),
        ([PICKED, route(**matching("Qwen/Qwen3-8B"))], ["fail"]),
        ([PICKED, route(**matching("qwen.*", "RegularExpression"))], []),
        ([PICKED, route(**matching("else", header="X-Tenant"))], []),
        ([ADAPTED, route(**matching("my-adapter"))], []),  # adapters have names of their own
        ([graph(engine()), route()], ["fail"]),  # without a picker the operator makes no pool
        ([PICKED, THEIRS, route("mine")], []),
        ([route("elsewhere")], []),
        ([ORDINARY], ["skip"]),  # no inference route
        ([ORDINARY, bring()], []),
        ([ORDINARY, bring(namespace="gateways")], ["fail"]),
        ([{**ORDINARY, "metadata": {"name": "r", "namespace": "gateways"}}, bring(namespace="gateways")], []),
        # the Gateway that the recipe brings
        ([route(gateway=[]), bring()], ["fail"]),
        ([route(), bring()], []),
        ([route(), bring(namespace="gateways")], ["fail"]),
        ([route(gateway=[{"name": "gw", "namespace": "gateways"}]), bring(namespace="gateways")], []),
        ([route(gateway=[{"name": "gw", "namespace": "elsewhere"}]), bring(namespace="gateways")], ["fail"]),
        ([route(gateway=[{"name": "another"}]), bring(namespace="gateways")], []),
    ],
)
def test_route(tmp_path: Path, objects: list[dict[str, Any]], expected: list[str]) -> None:
    assert outcomes(recipe_route, deploy(tmp_path, *objects)) == expected


@pytest.mark.parametrize(
    ("parent", "expected"),
    [
        ({}, []),
        ({"sectionName": "http"}, []),
        ({"sectionName": "https"}, ["fail"]),
        ({"port": 80}, []),
        ({"port": 443}, ["fail"]),
    ],
)
def test_a_route_refers_to_a_listener(tmp_path: Path, parent: dict[str, Any], expected: list[str]) -> None:
    gateway = {**bring(), "spec": {"listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}}
    item = route(gateway=[{"name": "gw", **parent}])
    assert outcomes(recipe_route, deploy(tmp_path, item, gateway)) == expected


MESH = {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": {"name": "g-epp"}}
HERE = Gateways((Gateway(namespace="default", name="gw", class_name="istio"),))


@pytest.mark.parametrize(
    ("objects", "gateways", "unjudged"),
    [
        ([PICKED, route()], None, 1),  # nobody says where its Gateway is
        ([PICKED, route()], HERE, 0),  # gaie.route knows
        ([PICKED, route(), bring()], None, 0),
        ([PICKED, route(), MESH], None, 0),  # Dynamo's installer creates Istio's in the graph's namespace
        ([PICKED, route(gateway=[{"name": "gw", "namespace": "gateways"}])], None, 0),
        ([PICKED, route(gateway=[{"name": "g-frontend", "kind": "Service"}])], None, 0),
    ],
)
def test_a_gateway_that_others_create(
    tmp_path: Path, objects: list[dict[str, Any]], gateways: Gateways | None, unjudged: int
) -> None:
    assert len(get_coverage(recipe_route, deploy(tmp_path, *objects), gateways)[1]) == unjudged


# gaie.picker


def configure(*refs: str, valid: str = "worker", lax: bool = False) -> dict[str, Any]:
    parameters = {"label": TYPE, "validValues": [valid], "allowsNoLabel": lax}
    plugins = [
        {"type": "max-score-picker"},
        {"name": "mine", "type": "label-filter", "parameters": parameters},
    ]
    profile = {"name": "decode", "plugins": [{"pluginRef": ref} for ref in refs]}
    return {"plugins": plugins, "schedulingProfiles": [profile]}


def pick(config: Any, role: str = "worker", *args: str, **env: str) -> dict[str, Any]:
    """A graph whose picker has this configuration and these variables, and whose worker has this type."""
    return graph(make_picker(config, **env), engine(*args, role=role, frontendSidecar="s"))


def size(*args: str) -> dict[str, Any]:
    return pick(None, "worker", *args, DYN_KV_CACHE_BLOCK_SIZE="128")


def named(name: str, *args: str) -> dict[str, Any]:
    return pick(None, "worker", *args, DYN_MODEL_NAME=name)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (pick(configure("mine", "max-score-picker")), []),
        (pick(configure("mine", "label-filter")), ["fail"]),
        (pick(configure(valid="decode"), "decode"), []),
        (pick(configure(valid="worker"), "decode"), []),
        (pick(configure(valid="decode")), ["fail"]),
        (pick(configure(valid="decode", lax=True)), []),
        (size("--block-size", "128"), []),
        (size("--block-size=64"), ["warn"]),
        (size(), []),
        (named(MODEL), []),
        (named("/models/qwen"), []),
        (named("small", "--served-model-name", "small"), []),
        (named("Qwen/Qwen3-8B"), ["fail"]),
        (named("Qwen/Qwen3-8B", "--served-model-name", "$(DYN_NAME)"), []),
        (graph(engine()), ["skip"]),
    ],
)
def test_picker(tmp_path: Path, one: dict[str, Any], expected: list[str]) -> None:
    assert outcomes(picker, deploy(tmp_path, one)) == expected


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ({"endpointPickerRef": {"name": "epp", "port": {"number": 9002}}}, []),
        ({"endpointPickerRef": {"name": "epp", "port": {"number": 9003}}}, ["fail"]),
        ({"endpointPickerRef": {"name": "elsewhere", "port": {"number": 9003}}}, ["skip"]),
        ({"extensionRef": {"name": "epp", "portNumber": 9003}}, ["fail"]),
        ({"extensionRef": {"name": "epp"}}, ["skip"]),
    ],
)
def test_a_pool_asks_its_picker_on_a_port_of_it(
    tmp_path: Path, reference: dict[str, Any], expected: list[str]
) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "epp"}}
    service |= {"spec": {"selector": {"a": "b"}, "ports": [{"port": 9002}]}}
    assert outcomes(picker, deploy(tmp_path, {**THEIRS, "spec": reference}, service)) == expected
