"""Workers that do not fit each other, or the router before them."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.engine import command_words, flags, kv_router, kv_transfer
from dynocheck.checks.graph import components
from dynocheck.checks.parallelism import divisibility
from tests.checks.judging import deploy, judge, read_lines, run_check
from tests.checks.manifests import config_map, engine, graph, mount_config

KV_TRANSFER = "--kv-transfer-config="
NIXL = f'{KV_TRANSFER}{{"kv_connector":"NixlConnector","kv_role":"kv_both"}}'
LMCACHE = f'{KV_TRANSFER}{{"kv_connector":"LMCacheConnectorV1"}}'
BOTH = (
    f'{KV_TRANSFER}{{"kv_connector":"PdConnector","kv_connector_extra_config":'
    '{"connectors":[{"kv_connector":"DynamoConnector"},{"kv_connector":"NixlConnector"}]}}'
)
SGLANG: dict[str, Any] = {"module": "dynamo.sglang"}
TRTLLM: dict[str, Any] = {"module": "dynamo.trtllm"}
OLD_EVENTS = "DYN_TRTLLM_PUBLISH_EVENTS_AND_METRICS"
EVENTS = '--kv-events-config={"enable_kv_cache_events":true,"publisher":"zmq"}'


LOAD_ONLY = ["--router-kv-overlap-score-weight", "0.0"]


def frontend(*args: str, **more: Any) -> dict[str, Any]:
    return engine(*args, name="f", role="frontend", module="dynamo.frontend", model=None, **more)


def pair(prefill: list[str], decode: list[str], **more: Any) -> dict[str, Any]:
    p = engine(*prefill, name="p", role="prefill", **more)
    return graph(p, engine(*decode, name="d", role="decode", **more))


def sides(prefill: str, decode: str) -> dict[str, Any]:
    """SGLang's two sides with these models, served under one name."""
    named = ["--served-model-name=m"]
    p = engine(*named, name="p", role="prefill", model=prefill, **SGLANG)
    return graph(p, engine(*named, name="d", role="decode", model=decode, **SGLANG))


def route(flags: list[str], *args: str, env: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    return graph(frontend(*flags, env=env), engine(*args, **more))


# engine.pair-agrees


FP8, FP8_E4M3 = "--kv-cache-dtype=fp8", "--kv-cache-dtype=fp8_e4m3"
OWN_A, OWN_B = engine(name="p", role="prefill", model="own/a"), engine(name="d", role="decode", model="own/b")
LENIENT = (
    f'{KV_TRANSFER}{{"kv_connector":"NixlConnector",'
    '"kv_connector_extra_config":{"enforce_handshake_compat":false}}'
)
MTP = '--speculative-config={"method":"mtp","num_speculative_tokens":1}'
NGRAM = '--speculative-config={"method":"ngram","num_speculative_tokens":1}'
NEW, LAYOUT, NAMED = (
    "nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.6.1",
    "VLLM_KV_CACHE_LAYOUT",
    "--served-model-name=m",
)
OF_P: dict[str, Any] = {"name": "p", "role": "prefill"}
OF_D: dict[str, Any] = {"name": "d", "role": "decode"}
FLAG_P = engine("--disaggregation-mode=prefill", name="p")
FLAG_D = engine("--disaggregation-mode", "decode", NIXL, name="d")
OWN_P = engine("--disaggregation-mode=prefill", name="p", image="vllm-runtime:mine")
OLD_P = engine("--is-prefill-worker", name="p", image="vllm-runtime:mine")


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (pair([NIXL], [NIXL]), []),
        (pair([], [NIXL]), ["fail"]),
        (pair([NIXL], []), ["warn"]),
        (graph(FLAG_P, engine(NIXL, name="d")), ["fail"]),  # vLLM's aggregated workers decode too
        (graph(FLAG_P, engine(NIXL, name="d"), FLAG_D), ["fail"]),
        (pair([NIXL], [LMCACHE]), ["fail"]),
        (pair([BOTH], [NIXL]), []),
        (pair([NIXL, FP8], [NIXL, FP8_E4M3]), []),
        (pair([NIXL, FP8], [NIXL]), ["fail"]),
        (pair([NIXL, FP8], [NIXL], model="own/model"), ["unjudged"]),  # which may ask for FP8 itself
        (pair([NIXL, "--kv-cache-dtype=bfloat16"], [NIXL]), []),
        (pair([NIXL, "--block-size=64"], [NIXL, "--block-size=128"]), ["warn"]),
        (pair([NIXL, "--block-size=64"], [NIXL]), ["unjudged"]),
        (pair([NIXL, "--block-size", "$(X)"], [NIXL, "--block-size=128"]), ["unjudged"]),
        # what NIXL's handshake compares
        (pair([NIXL, "--dtype=float16"], [NIXL, "--dtype=bfloat16"]), ["fail"]),
        (pair([LMCACHE, "--dtype=float16"], [LMCACHE, "--dtype=bfloat16"]), []),
        (pair([LENIENT, "--dtype=float16"], [LENIENT, "--dtype=bfloat16"]), []),
        (pair([NIXL, MTP], [NIXL]), []),  # before vLLM 0.28
        (pair([NIXL, MTP], [NIXL], image=NEW), ["fail"]),
        (pair([NIXL, MTP], [NIXL, MTP], image=NEW), []),
        (pair([NIXL, NGRAM], [NIXL], image=NEW), []),  # has no KV cache of its own
        (graph(engine(NIXL, **OF_P, image=NEW), engine(NIXL, **OF_D)), ["fail"]),
        (graph(engine(NIXL, NAMED, **OF_P, model="/a"), engine(NIXL, NAMED, **OF_D, model="/b")), ["fail"]),
        (
            graph(engine(NIXL, **OF_P, env={LAYOUT: "HND"}), engine(NIXL, **OF_D, env={LAYOUT: "NHD"})),
            ["fail"],
        ),
        (graph(engine(NIXL, **OF_P, env={LAYOUT: "HND"}), engine(NIXL, **OF_D)), ["unjudged"]),
        (pair([NIXL, "--attention-backend=FLASHINFER"], [NIXL]), ["unjudged"]),
        (pair([NIXL, "--revision=a"], [NIXL]), ["warn"]),
        # without a transceiver on either side, which fails too
        (pair(["--kv-block-size=32"], ["--kv-block-size=64"], **TRTLLM), ["fail", "fail"]),
        (pair(["--kv-block-size=64"], [], **TRTLLM), ["fail", "fail"]),  # 32 by itself
        (pair(["--kv-block-size=32"], [], **TRTLLM), ["fail"]),
        (pair(["--kv-block-size=32"], [], model="own/model", **TRTLLM), ["fail", "unjudged"]),
        (pair(["--page-size=64"], [], **SGLANG), ["unjudged"]),
        (pair([], [], **SGLANG), []),
        (pair(["--disaggregation-transfer-backend=nixl"], [], **SGLANG), ["fail"]),
        (pair(["--page-size=16"], ["--page-size=64"], **SGLANG), ["warn"]),
        (pair(["--kv-cache-dtype=fp8_e5m2"], [FP8_E4M3], **SGLANG), ["fail"]),
        (graph(OWN_A, OWN_B), ["skip"]),  # of two models
        (sides("a/one", "a/one"), []),
        (sides("a/one", "a/two"), ["fail"]),
        (sides("a/one-FP8", "b/One-NVFP4"), []),  # the weights' precision is not the cache's
        (sides("a/one", "b/one-FP4-v2"), []),
        (sides("/models/one", "a/two"), []),
        (graph(FLAG_P, FLAG_D), ["fail"]),  # the flag tells the role as well
        (graph(OWN_P, FLAG_D), ["warn"]),
        (graph(OLD_P, FLAG_D), ["unjudged"]),  # perhaps of a release that needs no --kv-transfer-config
    ],
)
def test_pairs(tmp_path: Path, one: dict[str, Any], expected: list[str]) -> None:
    assert judge(kv_transfer.pair_agrees, deploy(tmp_path, one)) == expected


@pytest.mark.parametrize(
    ("prefill", "decode", "expected"),
    [
        ("cache_transceiver_config: {backend: UCX}", "cache_transceiver_config: {backend: UCX}", []),
        ("cache_transceiver_config: {backend: DEFAULT}", "max_batch_size: 8", ["fail"]),
        (
            "cache_transceiver_config: {backend: NIXXL}",
            "cache_transceiver_config: {backend: NIXXL}",
            ["fail"] * 2,
        ),
        ("cache_transceiver_config: {backend: ucx}", "cache_transceiver_config: {backend: ucx}", []),
        ("cache_transceiver_config: {backend: ucx}", "cache_transceiver_config: {backend: UCX}", []),
        ("cache_transceiver_config: {backend: NIXXL}", "cache_transceiver_config: {backend: UCX}", ["fail"]),
        ("max_batch_size: 8", "cache_transceiver_config: {backend: NIXL}", ["fail"]),
        (
            "cache_transceiver_config: {backend: NIXL}",
            "cache_transceiver_config: {max_tokens_in_buffer: 8192}",
            ["fail"],
        ),
        ("cache_transceiver_config: {backend: NIXL}", None, ["unjudged"]),  # a file of the image
        ("max_batch_size: 8", "max_batch_size: 8", ["fail"]),  # which refuses every request
        ("max_batch_size: 8", None, ["unjudged"]),
    ],
)
def test_both_sides_of_tensorrt_llm_transfer(
    tmp_path: Path, prefill: str, decode: str | None, expected: list[str]
) -> None:
    objects, sides = [], []
    for name, text in ("prefill", prefill), ("decode", decode):
        mounted: dict[str, Any] = mount_config(name, "/c") if text is not None else {}
        objects += [config_map(name, c=text)] if text is not None else []
        sides.append(engine("--extra-engine-args", "/c/c.yaml", name=name, role=name, **mounted, **TRTLLM))
    assert judge(kv_transfer.pair_agrees, deploy(tmp_path, graph(*sides), *objects)) == expected


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
def test_trtllm_buffer(tmp_path: Path, prefill: str, decode: str, more: str, expected: list[str]) -> None:
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
        assert judge(kv_transfer.trtllm_buffer, given) == expected
    else:
        assert [found.message[0] for found in run_check(kv_transfer.trtllm_buffer, given)] == expected


# engine.kv-router

KV = ["--router-mode", "kv"]


SIZE_64 = [*KV, "--kv-cache-block-size=64"]
ENV = {"DYN_ROUTER_MODE": "kv"}


def pick(block: str) -> dict[str, Any]:
    """A graph with an endpoint picker for blocks of this size, and blocks of 128."""
    main = {"name": "main", "image": "epp", "env": [{"name": "DYN_KV_CACHE_BLOCK_SIZE", "value": block}]}
    picker = {"name": "Epp", "type": "epp", "podTemplate": {"spec": {"containers": [main]}}}
    return graph(picker, engine("--block-size=128"))


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (route(KV, EVENTS), []),
        (route(KV), ["warn"]),
        (route(KV, '--kv-events-config={"publisher":"zmq"}'), ["warn"]),
        (route(KV, EVENTS.replace("zmq", "null")), ["warn"]),
        (route(KV, '--kv-events-config={"enable_kv_cache_events":true}'), []),
        (route(KV, EVENTS, "--no-enable-prefix-caching"), ["warn"]),
        (route([*KV, "--no-router-kv-events"], "--no-enable-prefix-caching"), ["warn"]),
        (route([*KV, *LOAD_ONLY], "--no-enable-prefix-caching"), ["skip"]),  # no prefix weighs anything
        (route([*KV, LOAD_ONLY[0], "0.5"], "--no-enable-prefix-caching"), ["warn"]),
        (route([*KV, "--router-kv-overlap-score-credit", "0.0"], "--no-enable-prefix-caching"), ["skip"]),
        (route([*KV, "--load-aware"]), ["skip"]),
        (route(KV, env={"DYN_ROUTER_LOAD_AWARE": "true"}), ["skip"]),
        (route(KV, "--kv-events-config", "$(X)"), []),
        (route(KV, role="decode"), ["warn"]),  # serves whole requests
        (graph(frontend(*KV), engine(EVENTS, name="p", role="prefill"), engine(role="decode")), []),
        (graph(frontend(*KV), engine(EVENTS, name="p", role="prefill"), engine()), []),  # decodes
        (route(KV, "--disaggregation-mode=decode"), ["skip"]),
        (route(KV, image="vllm-runtime:1.0.2"), []),  # publishes by itself
        (route(KV, **SGLANG), ["warn"]),
        (route(KV, '--kv-events-config={"publisher":"zmq","endpoint":"tcp://*:5557"}', **SGLANG), []),
        (route(KV, '--kv-events-config={"publisher":"null"}', **SGLANG), ["warn"]),
        (route(KV, **TRTLLM), ["warn"]),
        (route(KV, "--publish-kv-events", **TRTLLM), []),
        (route(SIZE_64, "--publish-kv-events", **TRTLLM), ["warn"]),  # whose blocks are of 32 tokens
        (graph(frontend(*KV), engine(env={OLD_EVENTS: "true"}, **TRTLLM)), []),
        (graph(frontend(*KV), engine(env={OLD_EVENTS: "false"}, **TRTLLM)), ["warn"]),
        (route(KV, "--publish-events-and-metrics", **TRTLLM), []),
        # only routers that follow the cache need events
        (route(["--router-mode=kv"]), ["warn"]),
        (route([], env=ENV), ["warn"]),
        (route(["--router-mode", "random"], env=ENV), ["skip"]),
        (route([]), ["skip"]),
        (route([*KV, "--no-router-kv-events"]), []),
        (route(KV, env={"DYN_ROUTER_USE_KV_EVENTS": "false"}), []),
        # blocks are of one size
        (route(SIZE_64, EVENTS, "--block-size=64"), []),
        (route(SIZE_64, EVENTS, "--block-size=128"), ["warn"]),
        (pick("128"), []),
        (pick("16"), ["warn"]),
    ],
)
def test_kv_router(tmp_path: Path, one: dict[str, Any], expected: list[str]) -> None:
    assert judge(kv_router.kv_router, deploy(tmp_path, one)) == expected


@pytest.mark.parametrize("end", ["", " \\ "])
def test_a_cut_command_line_is_told_once(tmp_path: Path, end: str) -> None:
    start = f"exec python3 -m dynamo.vllm --model a/b --data-parallel-size 1{end}"
    script = f"{start}\n--disaggregation-mode prefill\n"
    cut = engine(name="p", role="prefill", main={"command": ["sh", "-c"], "args": [script]})
    given = deploy(
        tmp_path, graph(cut, engine(NIXL, "--disaggregation-mode=decode", name="d", role="decode"))
    )
    assert judge(command_words.command_words, given) == ["fail"]
    for other in (kv_transfer.pair_agrees, components.roles, flags.values):
        assert not {"fail", "warn"} & {*judge(other, given)}, other.id


@pytest.mark.parametrize(
    ("release", "flag"),
    [
        ("1.0.1", "--publish-events-and-metrics"),  # which has no other
        ("1.6.1", "--publish-kv-events"),
        ("my-tag", "--publish-kv-events"),
    ],
)
def test_the_fix_is_a_flag_of_the_release(tmp_path: Path, release: str, flag: str) -> None:
    image = f"nvcr.io/nvidia/ai-dynamo/tensorrtllm-runtime:{release}"
    found = run_check(kv_router.kv_router, deploy(tmp_path, route(KV, image=image, **TRTLLM)))
    assert [flag in (finding.fix or "") and flag in finding.message for finding in found] == [True]


def test_the_finding_is_at_the_flag(tmp_path: Path) -> None:
    args = ["--no-enable-prefix-caching", "--tensor-parallel-size=6", "--block-size=64"]
    given = deploy(tmp_path, route([*KV, "--kv-cache-block-size=16"], *args, gpus=6))
    assert read_lines(kv_router.kv_router, given) == [f"- {args[0]}", f"- {args[2]}"]
    assert read_lines(divisibility.heads_divide, given) == [f"- {args[1]}"]
