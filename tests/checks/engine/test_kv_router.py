"""Workers that do not fit each other, or the router before them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.engine import kv_router, kv_transfer
from dynocheck.checks.parallelism import divisibility
from dynocheck.facts import Recipes
from tests.checks.judging import (
    GRAPH,
    get_coverage,
    get_skip_reason,
    list_messages,
    outcomes,
    recipes,
    run_check,
)

IMAGE = "nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.3.0"
NIXL = '--kv-transfer-config={"kv_connector":"NixlConnector","kv_role":"kv_both"}'
HIDDEN = "{name: MORE, valueFrom: {secretKeyRef: {name: s, key: k}}}"
EVENTS = '--kv-events-config={"enable_kv_cache_events":true,"publisher":"zmq"}'


def component(
    name: str,
    role: str,
    module: str,
    *args: str,
    image: str = IMAGE,
    env: str = "",
    model: str = "Qwen/Qwen3-32B",
) -> str:
    flag = {"dynamo.sglang": ["--model-path"], "dynamo.frontend": []}.get(module, ["--model"])
    words = ", ".join(f"'{word}'" for word in (*flag, *([model] if flag else []), *args))
    return f"""
  - name: {name}
    type: {role}
    podTemplate:
      spec:
        containers:
        - name: main
          image: {image}
          command: [python3, -m, {module}]
          args: [{words}]
          env: [{env}]
          resources: {{limits: {{nvidia.com/gpu: "1"}}}}
"""


def pair(folder: Path, prefill: list[str], decode: list[str], module: str = "dynamo.vllm") -> Recipes:
    workers = component("p", "prefill", module, *prefill) + component("d", "decode", module, *decode)
    return recipes(folder, deploy=GRAPH + workers)


def routed(
    folder: Path, frontend: list[str], *args: str, module: str = "dynamo.vllm", **more: str
) -> Recipes:
    front = component("f", "frontend", "dynamo.frontend", *frontend, env=more.pop("env", ""))
    return recipes(folder, deploy=GRAPH + front + component("w", "worker", module, *args, **more))


# engine.pair-agrees


@pytest.mark.parametrize(
    ("module", "prefill", "decode", "outcomes"),
    [
        ("dynamo.vllm", [NIXL], [NIXL], []),
        ("dynamo.vllm", [], [NIXL], ["fail"]),
        ("dynamo.vllm", [NIXL], [], ["warn"]),
        ("dynamo.vllm", [NIXL], ['--kv-transfer-config={"kv_connector":"LMCacheConnectorV1"}'], ["fail"]),
        (
            "dynamo.vllm",
            [
                '--kv-transfer-config={"kv_connector":"PdConnector","kv_connector_extra_config":'
                '{"connectors":[{"kv_connector":"DynamoConnector"},{"kv_connector":"NixlConnector"}]}}'
            ],
            [NIXL],
            [],
        ),
        ("dynamo.vllm", [NIXL, "--kv-cache-dtype=fp8"], [NIXL, "--kv-cache-dtype=fp8_e4m3"], []),
        ("dynamo.vllm", [NIXL, "--kv-cache-dtype=fp8"], [NIXL], ["fail"]),
        ("dynamo.vllm", [NIXL, "--kv-cache-dtype=bfloat16"], [NIXL], []),
        ("dynamo.vllm", [NIXL, "--block-size=64"], [NIXL, "--block-size=128"], ["warn"]),
        ("dynamo.vllm", [NIXL, "--block-size=64"], [NIXL], []),
        ("dynamo.vllm", [NIXL, "--block-size", "$(X)"], [NIXL, "--block-size=128"], []),
        ("dynamo.sglang", [], [], []),
        ("dynamo.sglang", ["--disaggregation-transfer-backend=nixl"], [], ["fail"]),
        ("dynamo.sglang", ["--page-size=16"], ["--page-size=64"], ["warn"]),
        ("dynamo.sglang", ["--kv-cache-dtype", "fp8_e5m2"], ["--kv-cache-dtype", "fp8_e4m3"], ["fail"]),
    ],
)
def test_pairs(
    tmp_path: Path, module: str, prefill: list[str], decode: list[str], outcomes: list[str]
) -> None:
    given = pair(tmp_path, prefill, decode, module)
    assert [outcome for outcome, _ in list_messages(kv_transfer.pair_agrees, given)] == outcomes


def test_the_message_names_both(tmp_path: Path) -> None:
    given = pair(tmp_path, [NIXL, "--kv-cache-dtype=fp8"], [NIXL])
    assert list_messages(kv_transfer.pair_agrees, given) == [
        ("fail", "p has --kv-cache-dtype fp8_e4m3, d has bfloat16")
    ]


def test_an_unknown_model_may_ask_for_fp8_itself(tmp_path: Path) -> None:
    prefill = component("p", "prefill", "dynamo.vllm", NIXL, "--kv-cache-dtype=fp8", model="own/model")
    decode = component("d", "decode", "dynamo.vllm", NIXL, model="own/model")
    assert list_messages(kv_transfer.pair_agrees, recipes(tmp_path, deploy=GRAPH + prefill + decode)) == []


def test_workers_of_two_models_are_no_pair(tmp_path: Path) -> None:
    prefill = component("p", "prefill", "dynamo.vllm", model="own/a")
    decode = component("d", "decode", "dynamo.vllm", model="own/b")
    assert get_skip_reason(kv_transfer.pair_agrees, recipes(tmp_path, deploy=GRAPH + prefill + decode))


def test_the_flag_tells_the_role_as_well(tmp_path: Path) -> None:
    prefill = component("p", "worker", "dynamo.vllm", "--disaggregation-mode=prefill")
    decode = component("d", "worker", "dynamo.vllm", "--disaggregation-mode", "decode", NIXL)
    ((outcome, message),) = list_messages(
        kv_transfer.pair_agrees, recipes(tmp_path, deploy=GRAPH + prefill + decode)
    )
    assert (outcome, message) == ("fail", "p prefills and has no --kv-transfer-config")


@pytest.mark.parametrize(
    ("image", "told"),
    [
        ("vllm-runtime:1.4.0-dev.1", ["fail"]),
        ("vllm-runtime:my-tag", ["warn"]),
        ("own/image:1.3.0", ["warn"]),
        ("vllm-runtime:0.9.1", []),  # whose workers have a connector by themselves
    ],
)
def test_no_known_release_prefills_without_a_connector(tmp_path: Path, image: str, told: list[str]) -> None:
    prefill = component("p", "prefill", "dynamo.vllm", image=image)
    decode = component("d", "decode", "dynamo.vllm", image=image)
    given = recipes(tmp_path, deploy=GRAPH + prefill + decode)
    assert outcomes(kv_transfer.pair_agrees, given) == told
    unjudged = [] if told else ["p and d: --kv-transfer-config"]
    assert get_coverage(kv_transfer.pair_agrees, given) == (1 - len(unjudged), unjudged)


@pytest.mark.parametrize(
    ("prefill", "decode", "what"),
    [
        (["--block-size=32"], [], "p and d: --block-size"),
        (
            ["--kv-cache-dtype=fp8"],
            ["--model=own/model", "--served-model-name=Qwen/Qwen3-32B"],
            "p and d: --kv-cache-dtype",
        ),
        (["$(MORE)"], [], "p and d"),
    ],
)
def test_a_pair_is_not_judged_where_one_side_is_unknown(
    tmp_path: Path, prefill: list[str], decode: list[str], what: str
) -> None:
    sides = component("p", "prefill", "dynamo.vllm", NIXL, *prefill, env=HIDDEN)
    sides += component("d", "decode", "dynamo.vllm", NIXL, *decode, env=HIDDEN)
    given = recipes(tmp_path, deploy=GRAPH + sides)
    assert outcomes(kv_transfer.pair_agrees, given) == []
    assert get_coverage(kv_transfer.pair_agrees, given) == (0, [what])


# engine.trtllm-buffer

TRTLLM = """
apiVersion: v1
kind: ConfigMap
metadata: {name: config}
data:
  prefill.yaml: |
    max_seq_len: 9000
    PREFILL
    cache_transceiver_config: {backend: DEFAULT, max_tokens_in_buffer: P}
  decode.yaml: |
    max_seq_len: 11000
    cache_transceiver_config: {backend: DEFAULT, max_tokens_in_buffer: D}
---"""
MOUNT = """          volumeMounts: [{name: config, mountPath: /config}]
        volumes: [{name: config, configMap: {name: config}}]
"""


@pytest.mark.parametrize(
    ("prefill", "decode", "more", "warned"),
    [
        ("9216", "9216", "", []),
        ("8192", "9216", "", ["p"]),
        ("0", "0", "", None),
        ("9000", "4096", "", ["d"]),
        ("4096", "4096", "", ["p", "d"]),
        ("8192", "8192", "max_num_tokens: 8192", []),
        ("8192", "8192", "max_num_tokens: 8192\n    enable_chunked_prefill: true", ["p", "d"]),
        ("null", "null", "", None),
    ],
)
def test_the_buffer_holds_a_prompt(
    tmp_path: Path, prefill: str, decode: str, more: str, warned: list[str] | None
) -> None:
    config = (
        TRTLLM.replace(": P}", f": {prefill}}}").replace(": D}", f": {decode}}}").replace("PREFILL", more)
    )
    workers = (
        component("p", "prefill", "dynamo.trtllm", "--extra-engine-args=/config/prefill.yaml")
        + MOUNT
        + component("d", "decode", "dynamo.trtllm", "--extra-engine-args=/config/decode.yaml")
        + MOUNT
    )
    given = recipes(tmp_path, deploy=config + GRAPH + workers)
    if warned is None:
        assert get_skip_reason(kv_transfer.trtllm_buffer, given)
    else:
        assert [message[0] for _, message in list_messages(kv_transfer.trtllm_buffer, given)] == warned


# engine.kv-router

KV = ["--router-mode", "kv"]


@pytest.mark.parametrize(
    ("args", "silence"),
    [
        ([EVENTS], None),
        ([], "w has no --kv-events-config, without which it publishes nothing"),
        (['--kv-events-config={"publisher":"zmq"}'], "w does not enable_kv_cache_events"),
        ([EVENTS, "--no-enable-prefix-caching"], "w has prefix caching switched off"),
        (["--kv-events-config", "$(X)"], None),
        (["--disaggregation-mode=decode"], None),
    ],
)
def test_vllm_publishes(tmp_path: Path, args: list[str], silence: str | None) -> None:
    decodes = "--disaggregation-mode=decode" in args
    given = routed(tmp_path, KV, *args)
    if decodes:
        assert get_skip_reason(kv_router.kv_router, given)
    elif silence is None:
        assert list_messages(kv_router.kv_router, given) == []
    else:
        ((outcome, message),) = list_messages(kv_router.kv_router, given)
        assert outcome == "warn"
        assert silence in message


@pytest.mark.parametrize(
    ("tag", "told"), [("1.0.2", []), ("1.0.2-mine", []), ("latest", ["warn"]), ("1.4.0-dev.1", ["warn"])]
)
def test_only_releases_before_1_1_publish_by_themselves(tmp_path: Path, tag: str, told: list[str]) -> None:
    given = routed(tmp_path, KV, image=f"vllm-runtime:{tag}")
    assert outcomes(kv_router.kv_router, given) == told
    assert get_coverage(kv_router.kv_router, given) == (1, [])


def test_a_worker_whose_arguments_or_release_are_unknown_is_not_judged(tmp_path: Path) -> None:
    old = routed(tmp_path / "a", KV, image="vllm-runtime:0.9.1")
    assert get_coverage(kv_router.kv_router, old) == (0, ["w: KV events"])
    front = component("f", "frontend", "dynamo.frontend", *KV)
    hidden = GRAPH + front + component("w", "worker", "dynamo.vllm", "$(MORE)", env=HIDDEN)
    assert get_coverage(kv_router.kv_router, recipes(tmp_path / "b", deploy=hidden)) == (0, ["w: KV events"])


@pytest.mark.parametrize(
    ("module", "args", "warned"),
    [
        ("dynamo.sglang", [], True),
        ("dynamo.sglang", ['--kv-events-config={"publisher":"zmq","endpoint":"tcp://*:5557"}'], False),
        ("dynamo.sglang", ['--kv-events-config={"publisher":"null"}'], True),
        ("dynamo.trtllm", [], True),
        ("dynamo.trtllm", ["--publish-kv-events"], False),
        ("dynamo.trtllm", ["--publish-events-and-metrics"], False),
    ],
)
def test_other_engines_publish(tmp_path: Path, module: str, args: list[str], warned: bool) -> None:
    assert len(list_messages(kv_router.kv_router, routed(tmp_path, KV, *args, module=module))) == warned


@pytest.mark.parametrize(
    ("frontend", "env", "judged"),
    [
        (["--router-mode=kv"], "", True),
        ([], "{name: DYN_ROUTER_MODE, value: kv}", True),
        (["--router-mode", "random"], "{name: DYN_ROUTER_MODE, value: kv}", False),
        ([], "", False),
    ],
)
def test_only_routers_that_follow_the_cache_are_judged(
    tmp_path: Path, frontend: list[str], env: str, judged: bool
) -> None:
    given = routed(tmp_path, frontend, env=env)
    if judged:
        assert len(list_messages(kv_router.kv_router, given)) == 1
    else:
        assert get_skip_reason(kv_router.kv_router, given)


@pytest.mark.parametrize(
    ("more", "env"),
    [(["--no-router-kv-events"], ""), ([], '{name: DYN_ROUTER_USE_KV_EVENTS, value: "false"}')],
)
def test_a_router_that_does_not_listen_needs_no_events(tmp_path: Path, more: list[str], env: str) -> None:
    assert list_messages(kv_router.kv_router, routed(tmp_path, [*KV, *more], env=env)) == []


def test_blocks_are_of_one_size(tmp_path: Path) -> None:
    same = routed(tmp_path / "a", [*KV, "--kv-cache-block-size=64"], EVENTS, "--block-size=64")
    assert list_messages(kv_router.kv_router, same) == []
    other = routed(tmp_path / "b", [*KV, "--kv-cache-block-size=64"], EVENTS, "--block-size=128")
    ((_, message),) = list_messages(kv_router.kv_router, other)
    assert message == "the router uses blocks of 64 tokens, w blocks of 128"


@pytest.mark.parametrize(("block", "warned"), [("128", False), ("16", True)])
def test_an_endpoint_picker_counts_too(tmp_path: Path, block: str, warned: bool) -> None:
    picker = f"""
  - name: Epp
    type: epp
    eppConfig: {{config: {{}}}}
    podTemplate:
      spec:
        containers:
        - {{name: main, image: epp, env: [{{name: DYN_KV_CACHE_BLOCK_SIZE, value: "{block}"}}]}}
"""
    worker = component("w", "worker", "dynamo.vllm", "--block-size=128")
    assert (
        len(list_messages(kv_router.kv_router, recipes(tmp_path, deploy=GRAPH + picker + worker))) == warned
    )


def test_the_finding_is_at_the_flag(tmp_path: Path) -> None:
    text = """
apiVersion: nvidia.com/v1beta1
kind: DynamoGraphDeployment
metadata: {name: g}
spec:
  components:
  - name: w
    type: worker
    podTemplate:
      spec:
        containers:
        - name: main
          image: nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.3.0
          command: [python3, -m, dynamo.vllm]
          args:
          - --model=Qwen/Qwen3-32B
          - --no-enable-prefix-caching
          - --tensor-parallel-size=6
          - --block-size=64
          resources: {limits: {nvidia.com/gpu: "6"}}
""" + component("f", "frontend", "dynamo.frontend", *KV, "--kv-cache-block-size=16")
    lines = text.splitlines()
    given = recipes(tmp_path, deploy=text)
    at = [finding.location and finding.location.line for finding in run_check(kv_router.kv_router, given)]
    assert [lines[line - 1].strip() for line in at if line] == [
        "- --no-enable-prefix-caching",
        "- --block-size=64",
    ]
    (finding,) = run_check(divisibility.heads_divide, given)
    assert finding.location is not None
    assert lines[(finding.location.line or 0) - 1].strip() == "- --tensor-parallel-size=6"
