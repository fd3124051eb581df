"""TGI, trtllm-serve and Triton are judged by what their own programs do."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.engine.command_words import command_words
from dynocheck.checks.engine.flags import flags_known, values
from dynocheck.checks.graph.probes import probes, startup_budget
from dynocheck.checks.memory.gpu_memory import kv_cache, weights_fit
from dynocheck.checks.model.sources import token
from dynocheck.checks.parallelism.gpu_counts import gpus_match
from dynocheck.facts import Settings
from tests.checks.judging import deploy, judge
from tests.checks.test_servers import serve

TGI = "ghcr.io/huggingface/text-generation-inference:2.0.3"
OLD_TGI = "ghcr.io/huggingface/text-generation-inference:1.4.5"
GKE_TGI = "us-docker.pkg.dev/d/r/huggingface-text-generation-inference-cu121.2-2.ubuntu2204.py310"
TRTLLM = "nvcr.io/nvidia/tensorrt-llm/release:1.0.0"
NEW_TRTLLM = "nvcr.io/nvidia/tensorrt-llm/release:1.3.0rc11"
TRITON = "nvcr.io/nvidia/tritonserver:24.01-trtllm-python-py3"
LLAMA = "ghcr.io/ggml-org/llama.cpp:server-cuda-b9873"
LLAMA_CPU = "ghcr.io/ggml-org/llama.cpp:server-b9873"
OLLAMA = "ollama/ollama:0.14.2"
SERVE = ["trtllm-serve", "a/b"]
LAUNCH = ["python3", "scripts/launch_triton_server.py", "--model_repo=/models"]
ALONE = ["tritonserver", "--model-repository=/models"]
RANKS = ["mpirun", "--allow-run-as-root", "-n", "4", *ALONE]


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (serve(TGI, "--model-id", "a/b", gpus=4), []),  # takes all
        (serve(TGI, "--model-id=a/b", "--num-shard=4", gpus=4), []),
        (serve(TGI, "--model-id=a/b", "--num-shard=4", gpus=2), ["fail"]),
        (serve(TGI, "--model-id=a/b", "--num-shard=2", gpus=4), ["warn"]),
        (serve(TGI, "--model-id=a/b", "--sharded=false", gpus=4), ["warn"]),
        (serve(TGI, gpus=2, env=[{"name": "NUM_SHARD", "value": "4"}]), ["fail"]),
        (serve(TGI, "--num-shard=2", gpus=2, env=[{"name": "NUM_SHARD", "value": "4"}]), []),
        (serve(GKE_TGI, gpus=2, env=[{"name": "NUM_SHARD", "value": "2"}]), []),
        (serve(TRTLLM, *SERVE, "--tp_size", "4", gpus=4), []),
        (serve(TRTLLM, *SERVE, "--tp_size", "4", "--pp_size=2", gpus=4), ["fail"]),
        (serve(TRTLLM, *SERVE, "--tp_size", "2", gpus=4), ["warn"]),
        (serve(TRTLLM, "trtllm-serve", "serve", "--tp_size=4", "a/b", gpus=2), ["fail"]),
        (serve(TRTLLM, *SERVE, "--extra_llm_api_options", "/x.yaml", gpus=4), ["unjudged"]),
        (serve(TRTLLM, *SERVE, "--backend=_autodeploy", gpus=4), ["unjudged"]),
        (serve(TRTLLM, "trtllm-serve", "disaggregated", "-c", "/x.yaml", gpus=4), ["unjudged"]),
        (serve(TRITON, *RANKS, gpus=4), ["unjudged"]),
        (serve(TRITON, *RANKS, gpus=2), ["fail", "unjudged"]),
        (serve(TRITON, *RANKS, gpus=8), ["warn", "unjudged"]),
        (serve(TRITON, *ALONE, gpus=4), ["warn", "unjudged"]),
        (serve(TRITON, *ALONE, gpus=1), ["unjudged"]),
        (serve("nvcr.io/nvidia/tritonserver:24.01-vllm-python-py3", *ALONE, gpus=4), ["unjudged"]),
        (
            serve(TRITON, *ALONE, gpus=4, env=[{"name": "TRTLLM_ORCHESTRATOR", "value": "1"}]),
            ["unjudged"],
        ),
        (serve(TRITON, *LAUNCH, "--world_size=4", gpus=4), ["unjudged"]),
        (serve(TRITON, *LAUNCH, "--world_size", "4", gpus=2), ["fail", "unjudged"]),
        (serve(LLAMA_CPU, "-m", "/a.gguf", gpus=1), ["warn"]),
        (serve(LLAMA_CPU, "-m", "/a.gguf", gpus=0), ["skip"]),
        (serve(LLAMA, "-m", "/a.gguf", gpus=2), ["skip"]),
        (serve(LLAMA, "-m", "/a.gguf", "-ngl", "0", gpus=1), ["warn"]),
        (serve(LLAMA, "-m", "/a.gguf", "-ngl", "20", gpus=1), ["skip"]),
    ],
)
def test_gpus(tmp_path: Path, one: dict[str, Any], expected: list[str]) -> None:
    assert judge(gpus_match, deploy(tmp_path, one)) == expected


@pytest.mark.parametrize(
    ("image", "args", "known", "valued"),
    [
        (TGI, "--model-id=a/b --port 80 --json-output --sharded true", [], []),
        (TGI, "--model-id=a/b --enable-cuda-graphs", ["fail"], []),  # went with 2.0
        (OLD_TGI, "--model-id=a/b --enable-cuda-graphs", [], []),
        (TGI, "--model-id=a/b --quantize=awq --dtype=float16", [], ["fail"]),
        (TGI, "--model-id=a/b --quantize=bitsandbytes --dtype=float16", [], []),
        (TGI, "--model-id=meta-llama/Llama-3.3-70B-Instruct --quantize=awq", [], ["fail"]),
        (TGI, "--model-id=meta-llama/Llama-3.3-70B-Instruct --quantize=eetq", [], []),
        (TGI, "--model-id=a/b-AWQ --quantize=awq", [], []),
        (TGI, "--model-id=a/b --quantize=int4", [], ["fail"]),
        (TGI, "--model-id=a/b --max-total-tokens=many", [], ["fail"]),
        (TRTLLM, "trtllm-serve a/b --anything", ["fail"], []),
        (TRTLLM, "trtllm-serve a/b --tp_size=2 --trust_remote_code --backend pytorch", [], []),
        (TRTLLM, "trtllm-serve serve --tp_size 2 a/b", [], []),
        (TRTLLM, "python3 -m tensorrt_llm.commands.serve serve a/b --tp_size two", [], ["fail"]),
        (TRTLLM, "trtllm-serve --tp_size 2 a/b", ["fail"], []),  # the group of commands has no such flag
        (f"{TRTLLM}rc6", "trtllm-serve --tp_size 2 a/b", ["fail"], []),
        ("mirror/tensorrt-llm:own", "trtllm-serve --tp_size 2 a/b", ["unjudged"], []),  # right up to 0.18
        (TRTLLM, "trtllm-serve a/b --tp 2", ["fail"], []),  # click takes no abbreviations
        (TRTLLM, "trtllm-serve a/b --tp-size 2", ["fail"], []),
        (TRTLLM, "trtllm-serve a/b --served_model_name c", ["fail"], []),  # since 1.3
        (f"{TRTLLM}rc6", "trtllm-serve a/b --served_model_name c", ["fail"], []),  # far ahead
        (f"{TRTLLM}rc6", "trtllm-serve a/b --fail_fast_on_attention_window_too_large", ["unjudged"], []),
        (f"{TRTLLM}rc6", "trtllm-serve a/b --anything", ["fail"], []),
        (NEW_TRTLLM, "trtllm-serve a/b --served_model_name c --config /x.yaml", [], []),
        (NEW_TRTLLM, "trtllm-serve a/b --telemetry", ["fail"], []),
        (f"{NEW_TRTLLM}.post1", "trtllm-serve a/b --anything", ["fail"], []),
        (NEW_TRTLLM.replace("rc11", "rc12"), "trtllm-serve a/b --telemetry", ["unjudged"], []),
        (NEW_TRTLLM.replace("rc11", "rc99"), "trtllm-serve a/b --anything", ["unjudged"], ["unjudged"]),
        ("nvcr.io/nvidia/tensorrt-llm/release:0.12.0", "trtllm-serve a/b", ["unjudged"], ["unjudged"]),
        ("mirror/tensorrt-llm:own", "trtllm-serve a/b --anything", ["warn"], []),
        ("mirror/tensorrt-llm:own", "trtllm-serve a/b --telemetry", ["unjudged"], []),
        (TRTLLM, "trtllm-serve a/b --backend trt --log_level trace", [], []),
        (TRTLLM, "trtllm-serve a/b --backend tensorrt", [], ["fail"]),
        (TRTLLM, "trtllm-serve a/b --reasoning_parser qwen3", [], ["fail"]),
        (f"{TRTLLM}rc6", "trtllm-serve a/b --reasoning_parser own", [], ["unjudged"]),
        (TRTLLM, "trtllm-serve a/b --kv_cache_free_gpu_memory_fraction 90", [], ["fail"]),
        (TRTLLM, "trtllm-serve a/b --trust_remote_code true", [], ["fail"]),
        (TRTLLM, "trtllm-serve disaggregated -c /x.yaml -t 600", [], []),
        (TRTLLM, "trtllm-serve disaggregated -c /x.yaml --tp_size 2", ["fail"], []),
        (TRTLLM, "trtllm-serve disaggregated -c /x.yaml -t 10m", [], ["fail"]),
        (TRTLLM, "trtllm-serve Qwen/Qwen3-8B --max_seq_len 40960", [], []),
        (TRTLLM, "trtllm-serve Qwen/Qwen3-8B --max_seq_len 50000", [], ["warn"]),
    ],
)
def test_flags(tmp_path: Path, image: str, args: str, known: list[str], valued: list[str]) -> None:
    given = deploy(tmp_path, serve(image, *args.split()))
    assert judge(flags_known, given) == known
    assert judge(values, given) == valued


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ("trtllm-serve a/b --tp_size 2", []),
        ("trtllm-serve serve a/b --tp_size 2", []),
        ("trtllm-serve serve --tp_size 2 a/b", []),
        ("trtllm-serve serve --tp_size 2 --trust_remote_code DeepSeek-R1", []),
        ("trtllm-serve serve --tp_size 2 DeepSeek-R1 --port 80 81", ["fail", "fail"]),
        ("trtllm-serve a/b c/d --tp_size 2", ["fail"]),
        ("trtllm-serve serve a/b serve --tp_size 2", ["fail"]),
        ("trtllm-serve disaggregated a/b -c /x.yaml", ["fail"]),
    ],
)
def test_words_of_trtllm_serve(tmp_path: Path, args: str, expected: list[str]) -> None:
    assert judge(command_words, deploy(tmp_path, serve(TRTLLM, *args.split()))) == expected


def test_variables_of_tgi_are_its_flags(tmp_path: Path) -> None:
    env = [{"name": "MODEL_ID", "value": "meta-llama/Llama-3.1-8B"}, {"name": "MAX_BATCH_SIZE", "value": "x"}]
    given = deploy(tmp_path, serve(TGI, env=env))
    assert judge(values, given) == ["fail"]
    assert judge(token, given) == ["fail"]


H100 = {"nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}}
L4 = {"nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-L4"}}
SERVE_70B = ["trtllm-serve", "meta-llama/Llama-3.3-70B-Instruct"]


@pytest.mark.parametrize(
    ("args", "fit", "cached"),
    [
        ([], ["fail"], ["unjudged"]),
        (["--tp_size", "2"], [], ["warn"]),
        (["--tp_size", "4"], [], []),
        (["--tp_size", "2", "--max_seq_len", "2048"], [], []),
        (["--tp_size", "4", "--kv_cache_free_gpu_memory_fraction", "0.01"], [], ["warn"]),
        (["--backend", "_autodeploy"], ["unjudged"], ["unjudged"]),  # on as many GPUs as it finds best
    ],
)
def test_memory_of_trtllm_serve(tmp_path: Path, args: list[str], fit: list[str], cached: list[str]) -> None:
    given = deploy(tmp_path, serve(TRTLLM, *SERVE_70B, *args, gpus=4, pod=H100))
    assert judge(weights_fit, given) == fit
    assert judge(kv_cache, given) == cached


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], ["unjudged"]),  # on all GPUs that it sees
        (["--num-shard=1"], ["fail"]),
        (["--sharded=false"], ["fail"]),
        (["--num-shard=2"], []),
        (["--num-shard=2", "--cuda-memory-fraction=0.5"], ["fail"]),
        (["--num-shard=1", "--quantize=eetq"], ["unjudged"]),
    ],
)
def test_memory_of_tgi(tmp_path: Path, args: list[str], expected: list[str]) -> None:
    model = "--model-id=meta-llama/Llama-3.3-70B-Instruct"
    given = deploy(tmp_path, serve(TGI, model, *args, gpus=4, pod=H100))
    assert judge(weights_fit, given) == expected


@pytest.mark.parametrize("method", ["awq", "awq_marlin"])
@pytest.mark.parametrize(("size", "expected"), [("72B", ["fail"]), ("32B", []), ("7B", [])])
def test_weights_in_4_bits_stay_so(tmp_path: Path, method: str, size: str, expected: list[str]) -> None:
    args = [f"--model=Qwen/Qwen2.5-{size}-Instruct-AWQ", f"--quantization={method}"]
    given = deploy(tmp_path, serve("vllm/vllm-openai:v0.9.1", *args, pod=L4))
    assert judge(weights_fit, given) == expected


PROBE: dict[str, Any] = {"httpGet": {"path": "/health", "port": 8000}}


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (serve(TGI, "--model-id=a/b", readinessProbe=PROBE), ["fail"]),  # its image says 80
        (serve(TGI, "--model-id=a/b", "--port=8000", readinessProbe=PROBE), []),
        (serve(TGI, env=[{"name": "PORT", "value": "8000"}], readinessProbe=PROBE), []),
        (serve("mirror/tgi:1", "text-generation-launcher", readinessProbe=PROBE), []),
        (serve(TRTLLM, *SERVE, readinessProbe=PROBE), ["fail"]),  # on localhost alone
        (serve(TRTLLM, *SERVE, "--host", "0.0.0.0", readinessProbe=PROBE), []),
    ],
)
def test_probes(tmp_path: Path, one: dict[str, Any], expected: list[str]) -> None:
    assert judge(probes, deploy(tmp_path, one)) == expected


def probe(path: str, port: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": port}}


@pytest.mark.parametrize(
    ("image", "args", "env", "requested", "expected"),
    [
        (LLAMA, "", "", probe("/health", 8080), []),
        (LLAMA, "", "", probe("/health", 8000), ["fail"]),
        (LLAMA, "", "", probe("/healthz", 8080), ["fail"]),
        (LLAMA, "--api-prefix /llm", "", probe("/llm/healthz", 8080), []),
        (LLAMA, "--port 8000", "", probe("/v1/health", 8000), []),
        (LLAMA, "", "LLAMA_ARG_PORT=8000", probe("/health", 8000), []),
        (LLAMA, "--port 8080", "LLAMA_ARG_PORT=8000", probe("/health", 8000), ["fail"]),
        (LLAMA, "--host 127.0.0.1", "", probe("/health", 8080), ["fail"]),
        (LLAMA, "", "LLAMA_ARG_HOST=localhost", probe("/health", 8080), ["fail"]),
        ("mine/llama:1", "llama-server -m /a.gguf", "", probe("/health", 8000), []),  # whose port may be set
        ("mine/llama:1", "llama-server --port 8080", "", probe("/health", 8000), ["fail"]),
        (OLLAMA, "", "", probe("/", 11434), []),
        (OLLAMA, "", "", probe("/health", 11434), ["fail"]),
        (OLLAMA, "", "", probe("/", 8080), ["fail"]),
        (OLLAMA, "", "OLLAMA_HOST=0.0.0.0", probe("/api/version", 11434), []),
        (OLLAMA, "", "OLLAMA_HOST=0.0.0.0:8080", probe("/", 8080), []),
        (OLLAMA, "", "OLLAMA_HOST=:8080", probe("/", 8080), []),
        (OLLAMA, "", "OLLAMA_HOST=[::]:8080", probe("/", 8080), []),
        (OLLAMA, "", "OLLAMA_HOST=http://0.0.0.0", probe("/", 11434), ["fail"]),  # which is port 80
        (OLLAMA, "", "OLLAMA_HOST=127.0.0.1:11434", probe("/", 11434), ["fail"]),
    ],
)
def test_probes_of_llamacpp_and_ollama(
    tmp_path: Path, image: str, args: str, env: str, requested: dict[str, Any], expected: list[str]
) -> None:
    name, _, value = env.partition("=")
    given = [{"name": name, "value": value}] if name else []
    one = serve(image, *args.split(), env=given, readinessProbe=requested)
    assert judge(probes, deploy(tmp_path, one)) == expected


def test_the_size_of_a_gguf_file_is_unknown(tmp_path: Path) -> None:
    one = serve(LLAMA, "-hf", "Qwen/Qwen3-8B-GGUF:Q4_K_M", livenessProbe=probe("/health", 8080))
    assert judge(startup_budget, deploy(tmp_path, one), Settings()) == ["unjudged"]
    loads_later = serve(OLLAMA, livenessProbe=probe("/", 11434))
    assert judge(startup_budget, deploy(tmp_path, loads_later), Settings()) == ["skip"]


def test_tgi_has_time_to_load(tmp_path: Path) -> None:
    big = serve(TGI, "--model-id=meta-llama/Llama-3.3-70B-Instruct", gpus=4, livenessProbe=PROBE)
    assert judge(startup_budget, deploy(tmp_path, big), Settings()) == ["warn"]


def service(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"ports": [{"port": 80}]},
    }


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (serve("registry.example/vllm-gaudi:1", "--model=a/b", gpus=0), ["fail"]),
        (
            serve("registry.example/vllm-gaudi:1", "--model=a/b", gpus=0, pod={"enableServiceLinks": False}),
            ["skip"],
        ),
        (serve("registry.example/vllm-gaudi:1", "hf", command=["sh", "-c"], gpus=0), ["skip"]),
        (serve("registry.example/vllm-openai-ubi9:0.4.2", "--model=a/b"), ["fail"]),
        (serve("registry.example/vllm-router:1", "--port=80"), ["skip"]),
    ],
)
def test_a_service_named_vllm_meets_every_build_of_vllm(
    tmp_path: Path, one: dict[str, Any], expected: list[str]
) -> None:
    assert judge(values, deploy(tmp_path, one, service("vllm"))) == expected


LLAMA = "ghcr.io/ggml-org/llama.cpp:server-cuda"


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (serve(OLLAMA), ["skip"]),  # they take as many as there are
        (serve(OLLAMA, "serve", gpus=4), ["skip"]),
        (serve(LLAMA, "-m", "/models/a.gguf", "-ngl", "99", gpus=2), ["skip"]),
        (serve(OLLAMA, "ollama serve & ollama pull m; wait", command=["sh", "-c"]), ["skip"]),
        # an engine by its image's name, which starts what is not known
        (serve("registry.example/team/vllm-zephyr:1", "--max-model-len=4096"), ["unjudged"]),
        (serve("registry.example/ray2.24.0-py310-vllm-gpu:v1"), ["unjudged"]),
        (serve("registry.example/sglang-router:1", "--port=80"), ["skip"]),
        (serve("ghcr.io/huggingface/tgi-gaudi:2.0.6", "--sharded", "true"), ["unjudged"]),
        (serve("registry.example/vllm-zephyr:1", gpus=0), ["skip"]),
    ],
)
def test_engines_that_are_seen_and_not_compared(
    tmp_path: Path, one: dict[str, Any], expected: list[str]
) -> None:
    assert judge(gpus_match, deploy(tmp_path, one)) == expected


@pytest.mark.parametrize("image", [OLLAMA, "quay.io/team/ollama-ubi9:0.2.8"])
def test_a_server_without_a_list_of_flags_is_not_judged(tmp_path: Path, image: str) -> None:
    assert judge(flags_known, deploy(tmp_path, serve(image))) == ["unjudged"]


def test_an_image_of_aws_runs_a_script_of_its_own(tmp_path: Path) -> None:
    image = "763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-tgi-inference:2.4.0-tgi2.4.0"
    assert judge(gpus_match, deploy(tmp_path, serve(image, "--num-shard=4", gpus=2))) == ["unjudged"]


def test_an_engine_on_another_accelerator_is_seen(tmp_path: Path) -> None:
    one = serve(
        "registry.example/neuron-sdk2.20-vllm0.5.0-neuron:v8", command=["/usr/local/bin/run.sh"], gpus=0
    )
    one["spec"]["template"]["spec"]["containers"][0]["resources"] = {
        "limits": {"aws.amazon.com/neuron": "16"}
    }
    assert judge(gpus_match, deploy(tmp_path, one)) == ["unjudged"]


@pytest.mark.parametrize(
    ("image", "flag", "gpus", "expected"),
    [
        (TRTLLM, "--extra_llm_api_options", 2, []),
        (TRTLLM, "--extra_llm_api_options", 4, ["warn"]),
        (NEW_TRTLLM, "--config", 2, []),
        (NEW_TRTLLM.replace("11", "29"), "--config", 4, []),  # flags win
        (NEW_TRTLLM.replace("11", "30"), "--config", 4, []),
        (NEW_TRTLLM.replace("11", "20"), "--config", 4, ["unjudged"]),  # one or the other
    ],
)
@pytest.mark.parametrize("joint", [" ", "="])
def test_file_or_flags_win(
    tmp_path: Path, image: str, flag: str, gpus: int, expected: list[str], joint: str
) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c"},
        "data": {"x.yaml": "tensor_parallel_size: 2"},
    }
    pod = {"volumes": [{"name": "c", "configMap": {"name": "c"}}]}
    mount = [{"name": "c", "mountPath": "/c"}]
    args = f"trtllm-serve a/b --tp_size 4 {flag}{joint}/c/x.yaml".split()
    one = serve(image, *args, gpus=gpus, pod=pod, volumeMounts=mount)
    assert judge(gpus_match, deploy(tmp_path, config, one)) == expected
