"""Workers that do not fit each other, or the router before them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.engine import kv_router, kv_transfer
from dynocheck.checks.parallelism import divisibility
from dynocheck.facts import Recipes
from tests.checks.judging import deploy, outcomes, read_lines, run_check
from tests.checks.manifests import config_map, engine, graph, mount_config

KV_TRANSFER = "--kv-transfer-config="
NIXL = f'{KV_TRANSFER}{{"kv_connector":"NixlConnector","kv_role":"kv_both"}}'
LMCACHE = f'{KV_TRANSFER}{{"kv_connector":"LMCacheConnectorV1"}}'
BOTH = (
    f'{KV_TRANSFER}{{"kv_connector":"PdConnector","kv_connector_extra_config":'
    '{"connectors":[{"kv_connector":"DynamoConnector"},{"kv_connector":"NixlConnector"}]}}'
)
SGLANG, TRTLLM = {"module": "dynamo.sglang"}, {"module": "dynamo.trtllm"}
EVENTS = '--kv-events-config={"enable_kv_cache_events":true,"publisher":"zmq"}'


def frontend(*args: str, **more: Any) -> dict[str, Any]:
    return engine(*args, name="f", role="frontend", module="dynamo.frontend", model=None, **more)


def pair(prefill: list[str], decode: list[str], module: str = "dynamo.vllm", **more: Any) -> dict[str, Any]:
    p = engine(*prefill, name="p", role="prefill", module=module, **more)
    d = engine(*decode, name="d", role="decode", module=module, **more)
    return graph(p, d)


def route(
    folder: Path, flags: list[str], *args: str, env: dict[str, str] | None = None, **more: Any
) -> Recipes:
    return deploy(folder, graph(frontend(*flags, env=env), engine(*args, **more)))


# engine.pair-agrees


@pytest.mark.parametrize(
    ("module", "prefill", "decode", "expected"),
    [
        ("dynamo.vllm", [NIXL], [NIXL], []),
        ("dynamo.vllm", [], [NIXL], ["fail"]),
        ("dynamo.vllm", [NIXL], [], ["warn"]),
        ("dynamo.vllm", [NIXL], [LMCACHE], ["fail"]),
        ("dynamo.vllm", [BOTH], [NIXL], []),
        ("dynamo.vllm", [NIXL, "--kv-cache-dtype=fp8"], [NIXL, "--kv-cache-dtype=fp8_e4m3"], []),
        ("dynamo.vllm", [NIXL, "--kv-cache-dtype=fp8"], [NIXL], ["fail"]),
        ("dynamo.vllm", [NIXL, "--kv-cache-dtype=bfloat16"], [NIXL], []),
        ("dynamo.vllm", [NIXL, "--block-size=64"], [NIXL, "--block-size=128"], ["warn"]),
        ("dynamo.vllm", [NIXL, "--block-size=64"], [NIXL], ["unjudged"]),
        ("dynamo.vllm", [NIXL, "--block-size", "$(X)"], [NIXL, "--block-size=128"], ["unjudged"]),
        ("dynamo.sglang", [], [], []),
        ("dynamo.sglang", ["--disaggregation-transfer-backend=nixl"], [], ["fail"]),
        ("dynamo.sglang", ["--page-size=16"], ["--page-size=64"], ["warn"]),
        ("dynamo.sglang", ["--kv-cache-dtype", "fp8_e5m2"], ["--kv-cache-dtype", "fp8_e4m3"], ["fail"]),
    ],
)
def test_pairs(
    tmp_path: Path, module: str, prefill: list[str], decode: list[str], expected: list[str]
) -> None:
    assert outcomes(kv_transfer.pair_agrees, deploy(tmp_path, pair(prefill, decode, module))) == expected


def test_an_unknown_model_may_ask_for_fp8_itself(tmp_path: Path) -> None:
    unknown = pair([NIXL, "--kv-cache-dtype=fp8"], [NIXL], model="own/model")
    assert outcomes(kv_transfer.pair_agrees, deploy(tmp_path, unknown)) == ["unjudged"]


def test_workers_of_two_models_are_no_pair(tmp_path: Path) -> None:
    p, d = engine(name="p", role="prefill", model="own/a"), engine(name="d", role="decode", model="own/b")
    assert outcomes(kv_transfer.pair_agrees, deploy(tmp_path, graph(p, d))) == ["skip"]


def test_the_flag_tells_the_role_as_well(tmp_path: Path) -> None:
    p = engine("--disaggregation-mode=prefill", name="p")
    d = engine("--disaggregation-mode", "decode", NIXL, name="d")
    assert outcomes(kv_transfer.pair_agrees, deploy(tmp_path, graph(p, d))) == ["fail"]


# engine.trtllm-buffer


@pytest.mark.parametrize(
    ("prefill", "decode", "more", "expected"),
    [
        ("9216", "9216", "", []),
        ("8192", "9216", "", ["p"]),
        ("0", "0", "", ["skip"]),
        ("9000", "4096", "", ["d"]),
        ("4096", "4096", "", ["p", "d"]),
        ("8192", "8192", "max_num_tokens: 8192", []),
        ("8192", "8192", "max_num_tokens: 8192\nenable_chunked_prefill: true", ["p", "d"]),
        ("null", "null", "", ["skip"]),
    ],
)
def test_the_buffer_holds_a_prompt(
    tmp_path: Path, prefill: str, decode: str, more: str, expected: list[str]
) -> None:
    buffer = "cache_transceiver_config: {backend: DEFAULT, max_tokens_in_buffer: %s}"
    files = {
        "p": f"max_seq_len: 9000\n{more}\n{buffer % prefill}",
        "d": f"max_seq_len: 11000\n{buffer % decode}",
    }
    workers = [
        engine(
            f"--extra-engine-args=/config/{name}.yaml",
            name=name,
            role=role,
            module="dynamo.trtllm",
            **mount_config("config"),
        )
        for name, role in (("p", "prefill"), ("d", "decode"))
    ]
    given = deploy(tmp_path, config_map("config", **files), graph(*workers))
    if expected == ["skip"]:
        assert outcomes(kv_transfer.trtllm_buffer, given) == expected
    else:
        assert [found.message[0] for found in run_check(kv_transfer.trtllm_buffer, given)] == expected


# engine.kv-router

KV = ["--router-mode", "kv"]


@pytest.mark.parametrize(
    ("args", "more", "expected"),
    [
        ([EVENTS], {}, []),
        ([], {}, ["warn"]),
        (['--kv-events-config={"publisher":"zmq"}'], {}, ["warn"]),
        ([EVENTS, "--no-enable-prefix-caching"], {}, ["warn"]),
        (["--kv-events-config", "$(X)"], {}, []),
        (["--disaggregation-mode=decode"], {}, ["skip"]),
        ([], {"image": "vllm-runtime:1.0.2"}, []),  # publishes by itself
        ([], SGLANG, ["warn"]),
        (['--kv-events-config={"publisher":"zmq","endpoint":"tcp://*:5557"}'], SGLANG, []),
        (['--kv-events-config={"publisher":"null"}'], SGLANG, ["warn"]),
        ([], TRTLLM, ["warn"]),
        (["--publish-kv-events"], TRTLLM, []),
        (["--publish-events-and-metrics"], TRTLLM, []),
    ],
)
def test_engines_publish(tmp_path: Path, args: list[str], more: dict[str, Any], expected: list[str]) -> None:
    assert outcomes(kv_router.kv_router, route(tmp_path, KV, *args, **more)) == expected


@pytest.mark.parametrize(
    ("flags", "env", "expected"),
    [
        (["--router-mode=kv"], {}, ["warn"]),
        ([], {"DYN_ROUTER_MODE": "kv"}, ["warn"]),
        (["--router-mode", "random"], {"DYN_ROUTER_MODE": "kv"}, ["skip"]),
        ([], {}, ["skip"]),
        ([*KV, "--no-router-kv-events"], {}, []),
        (KV, {"DYN_ROUTER_USE_KV_EVENTS": "false"}, []),
    ],
)
def test_only_routers_that_follow_the_cache_need_events(
    tmp_path: Path, flags: list[str], env: dict[str, str], expected: list[str]
) -> None:
    assert outcomes(kv_router.kv_router, route(tmp_path, flags, env=env)) == expected


@pytest.mark.parametrize(("block", "expected"), [("64", []), ("128", ["warn"])])
def test_blocks_are_of_one_size(tmp_path: Path, block: str, expected: list[str]) -> None:
    given = route(tmp_path, [*KV, "--kv-cache-block-size=64"], EVENTS, f"--block-size={block}")
    assert outcomes(kv_router.kv_router, given) == expected


@pytest.mark.parametrize(("block", "expected"), [("128", []), ("16", ["warn"])])
def test_an_endpoint_picker_counts_too(tmp_path: Path, block: str, expected: list[str]) -> None:
    main = {"name": "main", "image": "epp", "env": [{"name": "DYN_KV_CACHE_BLOCK_SIZE", "value": block}]}
    picker = {"name": "Epp", "type": "epp", "podTemplate": {"spec": {"containers": [main]}}}
    given = deploy(tmp_path, graph(picker, engine("--block-size=128")))
    assert outcomes(kv_router.kv_router, given) == expected


def test_the_finding_is_at_the_flag(tmp_path: Path) -> None:
    args = ["--no-enable-prefix-caching", "--tensor-parallel-size=6", "--block-size=64"]
    given = route(tmp_path, [*KV, "--kv-cache-block-size=16"], *args, gpus=6)
    assert read_lines(kv_router.kv_router, given) == [f"- {args[0]}", f"- {args[2]}"]
    assert read_lines(divisibility.heads_divide, given) == [f"- {args[1]}"]
