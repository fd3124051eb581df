"""Whether routes lead to the pools of their graphs, and pickers are set up for their workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.gaie import endpoint_pickers, recipe_routes
from tests.checks.judging import get_skip_reason, list_messages, recipes, run_check
from tests.checks.manifests import MODEL, dump_objects, engine, graph

GAIE = "inference.networking.k8s.io"
TYPE = "nvidia.com/dynamo-component-type"


def outcomes(check: Any, folder: Path, *objects: dict[str, Any]) -> list[str]:
    return [outcome for outcome, _ in list_messages(check, recipes(folder, deploy=dump_objects(*objects)))]


def picker(config: dict[str, Any] | None = None, **env: str) -> dict[str, Any]:
    main = {"name": "main", "image": "r/dynamo-frontend:1.3.0"}
    variables = [{"name": name, "value": value} for name, value in env.items()]
    return {
        "name": "Epp",
        "type": "epp",
        "eppConfig": {"config": config or {}},
        "podTemplate": {"spec": {"containers": [{**main, "env": variables}]}},
    }


def route(name: str = "g-pool", *, group: str = GAIE, port: int | None = 8000, **rule: Any) -> dict[str, Any]:
    backend = {"group": group, "kind": "InferencePool", "name": name} | ({"port": port} if port else {})
    whole: dict[str, Any] = {"backendRefs": [backend], "timeouts": {"request": "300s"}, **rule}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "r"},
        "spec": {
            "parentRefs": [{"name": "gw"}],
            "rules": [{key: value for key, value in whole.items() if value is not None}],
        },
    }


def matching(model: str, kind: str = "Exact", header: str = "X-Gateway-Model-Name") -> dict[str, Any]:
    return {"matches": [{"headers": [{"type": kind, "name": header, "value": model}]}]}


# gaie.recipe-route


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (route(), []),
        (route(port=None), []),
        (route("other-pool"), ["fail"]),
        (route("g"), ["fail"]),
        (route(port=9002), ["warn"]),
        (route(group="inference.networking.x-k8s.io"), ["fail"]),
        (route(group=""), ["fail"]),
        (route(timeouts=None), ["warn"]),
        (route(timeouts={"request": "0s"}), []),
        (route(timeouts={"request": "15s"}), ["warn"]),
        (route(timeouts={"request": "5m"}), []),
        (route(timeouts={"request": "300s", "backendRequest": "500ms"}), ["warn"]),
        (route(**matching(MODEL)), []),
        (route(**matching("Qwen/Qwen3-8B")), ["fail"]),
        (route(**matching("qwen.*", "RegularExpression")), []),
        (route(**matching("else", header="X-Tenant")), []),
    ],
)
def test_route(tmp_path: Path, one: dict[str, Any], expected: list[str]) -> None:
    picked = graph(picker(), engine(frontendSidecar="s"))
    assert outcomes(recipe_routes.recipe_route, tmp_path, picked, one) == expected


def test_a_graph_without_a_picker_has_no_pool(tmp_path: Path) -> None:
    (finding,) = run_check(
        recipe_routes.recipe_route, recipes(tmp_path, deploy=dump_objects(graph(engine()), route()))
    )
    assert finding.message == (
        "route r refers to pool g-pool, but its graph has no endpoint picker: "
        "the operator creates no pool for it"
    )


def test_adapters_have_names_of_their_own(tmp_path: Path) -> None:
    picked = graph(picker(), engine("--enable-lora", frontendSidecar="s"))
    assert outcomes(recipe_routes.recipe_route, tmp_path, picked, route(**matching("my-adapter"))) == []


def test_pools_of_others_are_not_judged(tmp_path: Path) -> None:
    pool = {"apiVersion": f"{GAIE}/v1", "kind": "InferencePool", "metadata": {"name": "mine"}}
    picked = graph(picker(), engine(frontendSidecar="s"))
    assert outcomes(recipe_routes.recipe_route, tmp_path / "a", picked, pool, route("mine")) == []
    assert outcomes(recipe_routes.recipe_route, tmp_path / "b", route("elsewhere")) == []


def test_a_route_to_a_service_is_no_inference_route(tmp_path: Path) -> None:
    plain = route()
    plain["spec"]["rules"][0]["backendRefs"] = [{"name": "g-frontend", "port": 8000}]
    assert "no HTTPRoute" in get_skip_reason(
        recipe_routes.recipe_route, recipes(tmp_path, deploy=dump_objects(plain))
    )


@pytest.mark.parametrize(
    ("parents", "home", "expected"),
    [
        ([], None, ["fail"]),
        ([{"name": "gw"}], None, []),
        ([{"name": "gw"}], "gateways", ["fail"]),
        ([{"name": "gw", "namespace": "gateways"}], "gateways", []),
        ([{"name": "gw", "namespace": "elsewhere"}], "gateways", ["fail"]),
        ([{"name": "another"}], "gateways", []),
    ],
)
def test_the_gateway_that_the_recipe_brings(
    tmp_path: Path, parents: list[dict[str, str]], home: str | None, expected: list[str]
) -> None:
    one = route()
    one["spec"]["parentRefs"] = parents
    place = {"namespace": home} if home else {}
    gateway = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway"}
    brought = {**gateway, "metadata": {"name": "gw", **place}}
    assert outcomes(recipe_routes.recipe_route, tmp_path, one, brought) == expected


# gaie.picker


def configured(*refs: str, valid: str = "worker", lax: bool = False) -> dict[str, Any]:
    parameters = {"label": TYPE, "validValues": [valid], "allowsNoLabel": lax}
    return {
        "plugins": [
            {"type": "max-score-picker"},
            {"name": "mine", "type": "label-filter", "parameters": parameters},
        ],
        "schedulingProfiles": [{"name": "decode", "plugins": [{"pluginRef": ref} for ref in refs]}],
    }


@pytest.mark.parametrize(
    ("config", "role", "expected"),
    [
        (configured("mine", "max-score-picker"), "worker", []),
        (configured("mine", "label-filter"), "worker", ["fail"]),
        (configured(valid="decode"), "decode", []),
        (configured(valid="worker"), "decode", []),
        (configured(valid="decode"), "worker", ["fail"]),
        (configured(valid="decode", lax=True), "worker", []),
    ],
)
def test_plugins(tmp_path: Path, config: dict[str, Any], role: str, expected: list[str]) -> None:
    one = graph(picker(config), engine(role=role, frontendSidecar="s"))
    assert outcomes(endpoint_pickers.picker, tmp_path, one) == expected


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
    one = graph(picker(None, **env), engine(*args, frontendSidecar="s"))
    assert outcomes(endpoint_pickers.picker, tmp_path, one) == expected


def test_a_graph_without_one(tmp_path: Path) -> None:
    given = recipes(tmp_path, deploy=dump_objects(graph(engine())))
    assert "no graph has" in get_skip_reason(endpoint_pickers.picker, given)
