"""Whether routes lead to the pools of their graphs, and pickers are set up for their workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.gaie.endpoint_pickers import picker
from dynocheck.checks.gaie.recipe_routes import recipe_route
from tests.checks.judging import deploy, outcomes
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


def matching(model: str, kind: str = "Exact", header: str = "X-Gateway-Model-Name") -> dict[str, Any]:
    return {"matches": [{"headers": [{"type": kind, "name": header, "value": model}]}]}


# gaie.recipe-route

WORKER = engine(frontendSidecar="s")
PICKED = graph(make_picker(), WORKER)
ADAPTED = graph(make_picker(), engine("--enable-lora", frontendSidecar="s"))
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
        ([route(backendRefs=[{"name": "g-frontend", "port": 8000}])], ["skip"]),  # no inference route
    ],
)
def test_route(tmp_path: Path, objects: list[dict[str, Any]], expected: list[str]) -> None:
    assert outcomes(recipe_route, deploy(tmp_path, *objects)) == expected


@pytest.mark.parametrize(
    ("parents", "home", "expected"),
    [
        ([], {}, ["fail"]),
        ([{"name": "gw"}], {}, []),
        ([{"name": "gw"}], {"namespace": "gateways"}, ["fail"]),
        ([{"name": "gw", "namespace": "gateways"}], {"namespace": "gateways"}, []),
        ([{"name": "gw", "namespace": "elsewhere"}], {"namespace": "gateways"}, ["fail"]),
        ([{"name": "another"}], {"namespace": "gateways"}, []),
    ],
)
def test_the_gateway_that_the_recipe_brings(
    tmp_path: Path, parents: list[dict[str, str]], home: dict[str, str], expected: list[str]
) -> None:
    brought = {"apiVersion": GATEWAY, "kind": "Gateway", "metadata": {"name": "gw", **home}}
    assert outcomes(recipe_route, deploy(tmp_path, route(gateway=parents), brought)) == expected


# gaie.picker


def configure(*refs: str, valid: str = "worker", lax: bool = False) -> dict[str, Any]:
    parameters = {"label": TYPE, "validValues": [valid], "allowsNoLabel": lax}
    plugins = [
        {"type": "max-score-picker"},
        {"name": "mine", "type": "label-filter", "parameters": parameters},
    ]
    profile = {"name": "decode", "plugins": [{"pluginRef": ref} for ref in refs]}
    return {"plugins": plugins, "schedulingProfiles": [profile]}


@pytest.mark.parametrize(
    ("config", "role", "expected"),
    [
        (configure("mine", "max-score-picker"), "worker", []),
        (configure("mine", "label-filter"), "worker", ["fail"]),
        (configure(valid="decode"), "decode", []),
        (configure(valid="worker"), "decode", []),
        (configure(valid="decode"), "worker", ["fail"]),
        (configure(valid="decode", lax=True), "worker", []),
    ],
)
def test_plugins(tmp_path: Path, config: dict[str, Any], role: str, expected: list[str]) -> None:
    one = graph(make_picker(config), engine(role=role, frontendSidecar="s"))
    assert outcomes(picker, deploy(tmp_path, one)) == expected


@pytest.mark.parametrize(
    ("env", "args", "expected"),
    [
        ({"DYN_KV_CACHE_BLOCK_SIZE": "128"}, ("--block-size", "128"), []),
        ({"DYN_KV_CACHE_BLOCK_SIZE": "128"}, ("--block-size=64",), ["warn"]),
        ({"DYN_KV_CACHE_BLOCK_SIZE": "128"}, (), []),
        ({"DYN_MODEL_NAME": MODEL}, (), []),
        ({"DYN_MODEL_NAME": "/models/qwen"}, (), []),
        ({"DYN_MODEL_NAME": "small"}, ("--served-model-name", "small"), []),
        ({"DYN_MODEL_NAME": "Qwen/Qwen3-8B"}, (), ["fail"]),
        ({"DYN_MODEL_NAME": "Qwen/Qwen3-8B"}, ("--served-model-name", "$(DYN_NAME)"), []),
    ],
)
def test_variables(tmp_path: Path, env: dict[str, str], args: tuple[str, ...], expected: list[str]) -> None:
    one = graph(make_picker(None, **env), engine(*args, frontendSidecar="s"))
    assert outcomes(picker, deploy(tmp_path, one)) == expected


def test_a_graph_without_a_picker(tmp_path: Path) -> None:
    assert outcomes(picker, deploy(tmp_path, graph(engine()))) == ["skip"]
