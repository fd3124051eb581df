"""Flags and values, on command lines with one mistake."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from dynocheck.checks.engine.flags import flags_known, values
from dynocheck.data import flags, images
from dynocheck.facts import Recipes
from tests.checks.judging import deploy, judge, outcomes, read_lines, run_check
from tests.checks.manifests import config_map, engine, graph, mount_config

VLLM, SGLANG, TRTLLM = "vllm-runtime:1.3.0", "sglang-runtime:1.3.0", "tensorrtllm-runtime:1.3.0"


def launch(folder: Path, args: str, *, image: str = VLLM, **more: Any) -> Recipes:
    """The recipe of a worker that is started with these arguments."""
    image = f"nvcr.io/nvidia/ai-dynamo/{image}"
    return deploy(folder, graph(engine(*args.split(), model=None, image=image, **more)))


@pytest.mark.parametrize(
    ("tag", "args", "expected"),
    [
        ("mine", "--migration-limit 3", ["unjudged"]),
        ("mine", "--migration-limits 3", ["warn"]),
        ("1.5.0-dev.1", "--migration-limit 3", ["fail"]),
        ("1.5.0", "--migration-limit 3", ["fail"]),
    ],
)
def test_a_flag_of_former_releases(tmp_path: Path, tag: str, args: str, expected: list[str]) -> None:
    given = launch(tmp_path, args, image=f"vllm-runtime:{tag}")
    assert judge(flags_known, given) == expected


@pytest.mark.parametrize(
    ("connector", "expected"),
    [
        ("NixlConnector", []),
        ("NixlConector", ["fail"]),
        ("Nixl", ["warn"]),  # a plug-in may bring it
        ("MultiConnector", []),
    ],
)
def test_connectors_are_those_of_vllm(tmp_path: Path, connector: str, expected: list[str]) -> None:
    inner = json.dumps({"kv_connector": connector, "kv_role": "kv_both"})
    outer = '{"kv_connector":"MultiConnector","kv_role":"kv_both","kv_connector_extra_config":'
    for flag in (inner, outer + '{"connectors":[' + inner + "]}}"):
        given = launch(tmp_path, f"--kv-transfer-config={flag.replace(' ', '')}")
        assert outcomes(values, given) == expected


def test_a_connector_in_a_config_map_is_told_there(tmp_path: Path) -> None:
    text = '{\n  "kv_role": "kv_both",\n  "kv_connector": "NixlConector"\n}'
    held = config_map("c") | {"data": {"transfer": text}}
    source = {"name": "T", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "transfer"}}}
    workers = (
        engine("--kv-transfer-config=$(T)", name=name, main={"env": [source]}) for name in ("one", "two")
    )
    given = deploy(tmp_path, graph(*workers), held)
    (finding,) = run_check(values, given)
    assert finding.outcome == "fail"
    place = finding.location
    assert place is not None
    assert place.line is not None
    assert "NixlConector" in Path(place.file).read_text().splitlines()[place.line - 1]


@pytest.mark.parametrize("key", ["max_seq_len", "tensor_parallel_size", "moe_expert_parallel_size"])
@pytest.mark.parametrize(("size", "expected"), [("8192", []), ("'8192'", []), ("128k", ["fail"])])
def test_tensorrt_llm_takes_whole_numbers_in_its_file(
    tmp_path: Path, key: str, size: str, expected: list[str]
) -> None:
    more = mount_config("c")
    worker = engine("--extra-engine-args=/config/e.yaml", module="dynamo.trtllm", image=TRTLLM, **more)
    given = deploy(tmp_path, config_map("c", e=f"{key}: {size}"), graph(worker))
    assert outcomes(values, given) == expected


@pytest.mark.parametrize(
    ("engine_name", "image", "args", "expected"),
    [
        ("sglang", SGLANG, "--mem-fraction-static 0.85", []),
        ("sglang", SGLANG, "--mem-fraction-static 85", ["fail"]),
        ("trtllm", TRTLLM, "--free-gpu-memory-fraction 90", ["fail"]),
    ],
)
def test_shares_of_memory_have_bounds_that_no_parser_states(
    tmp_path: Path, engine_name: str, image: str, args: str, expected: list[str]
) -> None:
    assert outcomes(values, launch(tmp_path, args, image=image, module=f"dynamo.{engine_name}")) == expected


# engine.flags-known


@pytest.mark.parametrize(
    ("args", "fix"),
    [
        ("--tensor-paralel-size 2", "replace --tensor-paralel-size with --tensor-parallel-size"),
        ("--tp-size 2", "remove --tp-size"),
        ("--no-model", "replace --no-model with --model"),
        ("--disaggregation_mode prefill", "replace --disaggregation_mode with --disaggregation-mode"),
        ("--disaggregation-mo prefill", "replace --disaggregation-mo with --disaggregation-mode"),
        ("--enable-e x", "replace --enable-e with --enable-elastic-ep"),
        ("--max_num x", "replace --max_num with --max-num-batched-tokens"),
        ("--kv.a x", "replace --kv.a with --kv-cache-dtype"),
        ("--typo.mode 3", "remove --typo.mode"),
    ],
)
def test_vllm_exits_at_flags_that_it_does_not_know(tmp_path: Path, args: str, fix: str) -> None:
    given = launch(tmp_path, args)
    (finding,) = run_check(flags_known, given)
    assert (finding.outcome, (finding.fix or "").partition("   # ")[0]) == ("fail", fix)
    assert read_lines(flags_known, given) == [f"- {args.split()[0]}"]


def test_a_flag_in_an_array_is_told_where_the_script_adds_it(tmp_path: Path) -> None:
    script = """
ARGS=(
  --model m
  --typo
)
if [ -n "$MORE" ]; then
  ARGS+=(--typos)
fi
exec python3 -m dynamo.vllm "${ARGS[@]}" --typing
"""
    given = launch(tmp_path, "", main={"command": ["bash", "-c"], "args": [script]})
    assert read_lines(flags_known, given) == ["--typo", 'exec python3 -m dynamo.vllm "${ARGS[@]}" --typing']


@pytest.mark.parametrize(
    ("module", "image", "args", "expected"),
    [
        ("vllm", VLLM, "--model m --tensor-parallel-size 2 -tp=2 -q fp8 -tp 2", []),
        ("vllm", VLLM, "--no-enable-prefix-caching --enable-prefix-caching", []),
        ("vllm", VLLM, "--tensor_parallel_size=2 --gpu_memory_utilization 0.9", []),
        ("vllm", VLLM, "--tensor-para 2", []),
        ("vllm", VLLM, "--compilation-config.mode 3 -O2 -cc.mode=3 --compilation_config {}", []),
        ("vllm", VLLM, "--disaggregation-mode prefill --no-durable-kv-events", []),
        ("vllm", VLLM, "--seed -1 --help -h", []),
        ("vllm", VLLM, "-- --anything", []),
        ("sglang", SGLANG, "--tp 8 --dp-size=8 --enable-dp-attention", []),
        ("sglang", SGLANG, "--tensor_parallel_size 8", ["fail"]),
        ("sglang", SGLANG, "--prefill-round-robin-balance", []),
        ("sglang", "sglang-runtime:1.6.1", "--prefill-round-robin-balance", ["fail"]),
        ("trtllm", TRTLLM, "--extra-engine-args x", []),
        ("trtllm", TRTLLM, "--trtllm.kv_cache_config.dtype fp8", []),
        ("trtllm", TRTLLM, "--tp-size 8", ["fail"]),
        ("frontend", VLLM, "--router-mode kv --http-port=8000", []),
        ("frontend", VLLM, "--router kv", ["fail"]),
        ("frontend", VLLM, "--tokenizer-mode=slow", ["fail"]),
        ("frontend", VLLM, "--dyn-chat-processor=vllm --tokenizer-mode=slow", []),
        ("mocker", VLLM, "--model-path m", []),
        ("mocker", VLLM, "--modelpath m", ["fail"]),
        ("vllm", "vllm-runtime:1.3.0-efa", "--typo", ["fail"]),
        ("vllm", "vllm-runtime:1.2.0-cuda13", "--typo", ["fail"]),
        ("vllm", "vllm-runtime:1.6.1", "--typo", ["fail"]),
        ("vllm", "vllm-runtime:1.6.1-efa", "--typo", ["fail"]),
        ("vllm", "vllm-runtime:1.3.0.post1", "--typo", ["fail"]),
        ("vllm", "vllm-runtime:1.6.2", "--typo", ["fail"]),
        ("vllm", "vllm-runtime-enterprise:1.7.0", "--typo", ["fail"]),
        ("frontend", "vllm-runtime:1.7.0", "--router-mode kv", []),
    ],
)
def test_flags_by_release(tmp_path: Path, module: str, image: str, args: str, expected: list[str]) -> None:
    assert outcomes(flags_known, launch(tmp_path, args, module=f"dynamo.{module}", image=image)) == expected


def test_what_only_the_container_knows_is_not_judged(tmp_path: Path) -> None:
    script = 'python3 -m dynamo.vllm --model m $EXTRA "$@" --max-model-len $(cat /length)'
    given = launch(tmp_path, "", main={"command": ["sh", "-c", script]})
    assert (outcomes(flags_known, given), outcomes(values, given)) == ([], [])


def test_images_and_packages_name_the_same_engines() -> None:
    names = {"vLLM": "vllm", "SGLang": "sglang", "TensorRT-LLM": "tensorrt-llm"}
    for image in images.engine_images():
        engine_name, _, version = image.engine.partition(" ")
        release = flags.dynamo_release(f"{image.image}:{image.tag}")
        if release is not None and engine_name in names:
            assert flags.engine_versions(release)[names[engine_name]] == version, image


# engine.values


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ("--gpu-memory-utilization 0.9", []),
        ("--kv-cache-dtype fp8", []),
        ("--runner pooling --convert embed --spec-method eagle3", []),
        ("--dtype bfloat16", []),
        ("--max-model-len 16k", []),
        ("--max-model-len 1M", []),
        ("--max-model-len 2.5k", []),
        ("--max-model-len auto", []),
        ("--max-model-len=-1", []),
        ("--max-num-batched-tokens 8K", []),
        ("--served-model-name a b", []),
        ("--kv-transfer-config {}", []),
        ("-O3", []),
        ("--max-logprobs -1", []),
        ("--gpu-memory-utilization 1.5", ["fail"]),
        ("--gpu-memory-utilization=0", ["fail"]),
        ("--gpu-memory-utilization 90%", ["fail"]),
        ("--tensor-parallel-size two", ["fail"]),
        ("--tensor-parallel-size", ["fail"]),
        ("--tensor-parallel-size --enforce-eager", ["fail"]),
        ("--tensor-parallel-size 0", ["fail"]),
        ("--disaggregation-mode decode", []),
        ("--disaggregation-mode decoder", ["fail"]),
        ('--kv-transfer-config {"kv_connector":"NixlConnector","kv_role":"kv_both"}', []),
        ('--kv-transfer-config {"kv_connector":"NixlConnector","kv_role":"both"}', ["fail"]),
        ('--kv-transfer-config {"kv_connector":"NixlConector","kv_role":"kv_both"}', ["fail"]),
        ("--tensor-parallel-size 2 4", ["fail"]),
        ("--kv-cache-dtype fp7", ["fail"]),
        ("--runner generat", ["fail"]),
        ("--dtype bf16", ["fail"]),
        ("--enforce-eager true", ["fail"]),
        ("--enforce-eager=true", ["fail"]),
        ("--max-model-len 2.5K", ["fail"]),
        ("--max-model-len 16ki", ["fail"]),
        ("--max-model-len many", ["fail"]),
        ("--max-model-len=-2", ["fail"]),
        ("--max-num-batched-tokens 0k", ["fail"]),
        ("--kv-cache-memory-bytes 25.6G", ["fail"]),
    ],
)
def test_values(tmp_path: Path, args: str, expected: list[str]) -> None:
    given = launch(tmp_path, args)
    assert outcomes(values, given) == expected
    assert read_lines(values, given) == [f"- {args.split()[0]}"] * len(expected)


@pytest.mark.parametrize(
    ("args", "fix"),
    [
        ("--gpu-memory-utilization 90", "set --gpu-memory-utilization 0.9"),
        ("--gpu-memory-utilization 9", "set --gpu-memory-utilization VALUE"),  # 0.9 or 0.09
        ("--gpu-memory-utilization 1.5", "set --gpu-memory-utilization VALUE"),
        ("--runner generat", "set --runner generate"),
    ],
)
def test_the_fix_of_a_value_is_what_was_meant(tmp_path: Path, args: str, fix: str) -> None:
    (finding,) = run_check(values, launch(tmp_path, args))
    assert (finding.fix or "").partition("   # ")[0] == fix


@pytest.mark.parametrize(
    ("value", "fix"),
    [("bitsandbytes-nf5", "set QUANTIZE=bitsandbytes-nf4"), ("4 bits", "set QUANTIZE=VALUE")],
)
def test_the_fix_of_a_variable_is_what_was_meant(tmp_path: Path, value: str, fix: str) -> None:
    container = {
        "name": "server",
        "image": "ghcr.io/huggingface/text-generation-inference:3.3.4",
        "env": [{"name": "MODEL_ID", "value": "m"}, {"name": "QUANTIZE", "value": value}],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container]}}
    (finding,) = run_check(values, deploy(tmp_path, pod))
    assert (finding.fix or "").partition("   # ")[0] == fix


@pytest.mark.parametrize(
    ("module", "args", "env", "expected"),
    [
        ("vllm", "--max-model-len 40960", {}, []),
        ("vllm", "--max-model-len 131072", {}, ["fail"]),
        ("vllm", "--max-model-len 131072", {"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"}, []),
        ("vllm", '--max-model-len 131072 --hf-overrides {"rope_parameters":{"factor":4}}', {}, []),
        ("vllm", "--max-model-len 128k", {}, ["fail"]),
        ("vllm", "--max-model-len 40K", {}, []),
        ("sglang", "--context-length 128k", {}, ["fail"]),  # told once: its parser takes whole numbers
        ("trtllm", "--max-seq-len 40960", {}, []),
        ("trtllm", "--max-seq-len 131072", {}, ["warn"]),  # it uses the positions that there are
        ("sglang", "--context-length 131072", {}, ["fail"]),
        ("sglang", "--context-length 131072", {"SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN": "1"}, []),
    ],
)
def test_a_sequence_is_no_longer_than_the_model_allows(
    tmp_path: Path, module: str, args: str, env: dict[str, str], expected: list[str]
) -> None:
    image = f"nvcr.io/nvidia/ai-dynamo/{module.replace('trtllm', 'tensorrtllm')}-runtime:1.3.0"
    worker = engine(*args.split(), model="Qwen/Qwen3-32B", module=f"dynamo.{module}", image=image, env=env)
    given = deploy(tmp_path, graph(worker))
    assert outcomes(values, given) == expected
    assert read_lines(values, given) == [f"- {args.split()[0]}"] * len(expected)


@pytest.mark.parametrize(
    ("engine_name", "image", "args", "expected"),
    [
        ("vllm", VLLM, "--dyn-tool-call-parser hermes", []),
        ("vllm", VLLM, "--dyn-tool-call-parser hermes2", ["fail"]),
        ("vllm", VLLM, "--dyn-tool-call-parser kimi_k3", ["fail"]),  # since 1.4.0
        ("vllm", "vllm-runtime:1.4.0", "--dyn-tool-call-parser kimi_k3", []),
        ("trtllm", TRTLLM, "--dyn-reasoning-parser deepseek-r1", ["fail"]),
        ("vllm", "vllm-runtime:my-build", "--dyn-tool-call-parser hermes", []),
        ("vllm", "vllm-runtime:my-build", "--dyn-tool-call-parser hermes2", ["unjudged"]),
        ("vllm", "vllm-runtime:1.4.0-dev.1", "--dyn-tool-call-parser new_model", ["unjudged"]),
        ("vllm", "vllm-runtime:9.9.0", "--dyn-tool-call-parser hermes", ["unjudged"]),
        ("vllm", VLLM, "--reasoning-parser qwen4", ["fail"]),
        ("vllm", VLLM, "--reasoning-parser own --reasoning-parser-plugin /own.py", []),
        (
            "vllm",
            VLLM,
            "--dyn-reasoning-parser own --reasoning-parser-plugin /own.py",
            ["fail"],
        ),  # vLLM's alone
        ("sglang", SGLANG, "--tool-call-parser deepseek_v3", ["fail"]),
        ("sglang", SGLANG, "--tool-call-parser deepseekv3", []),
    ],
)
def test_parsers_of_reasoning_and_tool_calls_by_release(
    tmp_path: Path, engine_name: str, image: str, args: str, expected: list[str]
) -> None:
    assert judge(values, launch(tmp_path, args, image=image, module=f"dynamo.{engine_name}")) == expected


@pytest.mark.parametrize(
    ("image", "args", "env", "expected"),
    [
        (SGLANG, "--tool-call-parser qwen --dyn-tool-call-parser hermes", {}, ["fail"]),
        (SGLANG, "--tool-call-parser qwen", {"DYN_TOOL_CALL_PARSER": "hermes"}, ["fail"]),
        ("sglang-runtime:my-build", "--tool-call-parser qwen --dyn-tool-call-parser hermes", {}, ["warn"]),
        (SGLANG, "--reasoning-parser qwen3 --dyn-reasoning-parser qwen3", {}, []),
    ],
)
def test_dynamo_takes_one_parser_of_tool_calls(
    tmp_path: Path, image: str, args: str, env: dict[str, str], expected: list[str]
) -> None:
    given = launch(tmp_path, args, module="dynamo.sglang", image=image, env=env)
    assert judge(values, given) == expected


@pytest.mark.parametrize(("mode", "expected"), [("kv", []), ("kv-aware", ["fail"])])
def test_values_of_the_frontend(tmp_path: Path, mode: str, expected: list[str]) -> None:
    given = launch(tmp_path, f"--router-mode {mode}", module="dynamo.frontend")
    assert outcomes(values, given) == expected


@pytest.mark.parametrize(("word", "expected"), [("-n2", []), ("-n", ["fail"]), ("-ntwo", ["fail"])])
def test_a_value_may_follow_a_short_flag_in_its_word(tmp_path: Path, word: str, expected: list[str]) -> None:
    assert outcomes(values, launch(tmp_path, word)) == expected


@pytest.mark.parametrize(
    ("module", "image", "env", "expected"),
    [
        ("vllm", VLLM, {"DYN_REQUEST_PLANE": "TCP", "DYN_DISCOVERY_BACKEND": "kubernetes"}, []),
        ("vllm", VLLM, {"DYN_REQUEST_PLANE": "grpc"}, ["fail"]),
        ("frontend", VLLM, {"DYN_REQUEST_PLANE": "grpc"}, ["fail"]),
        ("frontend", "vllm-runtime:1.2.1", {"DYN_REQUEST_PLANE": "http"}, []),
        ("frontend", "vllm-runtime:1.6.1", {"DYN_REQUEST_PLANE": "http"}, ["fail"]),
        ("frontend", VLLM, {"DYN_ROUTER_MODE": "kv-aware"}, ["warn"]),  # and routes round-robin
        ("frontend", VLLM, {"DYN_HTTP_PORT": "http"}, ["fail"]),
        ("vllm", VLLM, {"DYN_EVENT_PLANE": "kafka"}, ["warn"]),
        ("vllm", "vllm-runtime:1.6.1", {"DYN_EVENT_PLANE": "kafka"}, ["fail"]),
        ("vllm", VLLM, {"DYN_VLLM_HEADLESS": "yes please"}, ["warn"]),
        ("vllm", VLLM, {"VLLM_KV_CACHE_LAYOUT": "HND", "VLLM_SERVER_DEV_MODE": "1"}, []),
        ("vllm", VLLM, {"VLLM_KV_CACHE_LAYOUT": "hnd"}, ["fail"]),
        ("vllm", VLLM, {"VLLM_SERVER_DEV_MODE": "true"}, ["fail"]),
        ("vllm", VLLM, {"VLLM_OF_MY_OWN": "true"}, []),
        ("sglang", SGLANG, {"SGLANG_ENCODER_SEND_TIMEOUT": "1m"}, ["warn"]),  # SGLang takes its default
        ("sglang", SGLANG, {"VLLM_SERVER_DEV_MODE": "true"}, []),
        ("trtllm", TRTLLM, {"DYN_DISCOVERY_BACKEND": "consul"}, ["fail"]),
        ("vllm", VLLM, {"DYN_TOOL_CALL_PARSER": "hermes"}, []),
        ("vllm", VLLM, {"DYN_TOOL_CALL_PARSER": "hermes2"}, ["warn"]),  # calls are answered as text
        ("sglang", SGLANG, {"DYN_REASONING_PARSER": "qwen-3"}, ["warn"]),
    ],
)
def test_variables_are_judged_as_flags_are(
    tmp_path: Path, module: str, image: str, env: dict[str, str], expected: list[str]
) -> None:
    given = launch(tmp_path, "", module=f"dynamo.{module}", image=image, env=env)
    assert outcomes(values, given) == expected
    assert read_lines(values, given) == [
        yaml.safe_dump({"value": value}).strip() for value in env.values()
    ] * len(expected)


def test_a_variable_of_the_whole_graph_is_told_once(tmp_path: Path) -> None:
    one = graph(engine(), engine(name="v"), env=[{"name": "DYN_REQUEST_PLANE", "value": "grpc"}])
    assert outcomes(values, deploy(tmp_path, one)) == ["fail"]


@pytest.mark.parametrize(
    ("image", "args", "fix"),
    [
        (VLLM, "--router-temperature 0.5", ""),
        ("vllm-runtime:1.6.1", "--router-temperature 0.5", "use --router-policy-config"),
        (VLLM, "--aic-backend vllm", ""),
        ("vllm-runtime:1.6.1", "--aic-backend vllm", "write --ais-backend"),
        (VLLM, "--no-router-kv-events", ""),
        (VLLM, "--kv-events", ""),  # that name stays
    ],
)
def test_what_a_release_drops_or_renames_is_told_beside_its_images(
    tmp_path: Path, image: str, args: str, fix: str
) -> None:
    found = run_check(flags_known, launch(tmp_path, args, module="dynamo.frontend", image=image))
    assert [(each.outcome, each.fix) for each in found] == ([("warn", fix)] if fix else [])


@pytest.mark.parametrize(
    ("runtime", "args", "expected"),
    [
        ("1.6.1", "--typo 1", ["fail"]),
        ("", "--typo 1", ["warn"]),
        ("1.6.1", "--random-seed 1", []),
        ("1.6.1", "--prefill-round-robin-balance", ["unjudged"]),  # of 1.5 alone
    ],
)
def test_an_image_is_near_the_release_that_its_component_names(
    tmp_path: Path, runtime: str, args: str, expected: list[str]
) -> None:
    more: dict[str, Any] = {"runtimeVersionOverride": runtime} if runtime else {}
    one = engine(*args.split(), model=None, image="own/sglang:mine", module="dynamo.sglang", **more)
    assert judge(flags_known, deploy(tmp_path, graph(one, front=False))) == expected
