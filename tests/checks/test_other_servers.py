"""TGI, trtllm-serve and Triton are judged by what their own programs do."""

from pathlib import Path
from typing import Any

import pytest

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
TRITON = "nvcr.io/nvidia/tritonserver:24.01-trtllm-python-py3"
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
        (TRTLLM, "trtllm-serve a/b --anything", ["unjudged"], ["unjudged"]),
        (TRTLLM, "trtllm-serve Qwen/Qwen3-8B --max_seq_len 40960", ["unjudged"], ["unjudged"]),
        (TRTLLM, "trtllm-serve Qwen/Qwen3-8B --max_seq_len 50000", ["unjudged"], ["warn", "unjudged"]),
    ],
)
def test_flags(tmp_path: Path, image: str, args: str, known: list[str], valued: list[str]) -> None:
    given = deploy(tmp_path, serve(image, *args.split()))
    assert judge(flags_known, given) == known
    assert judge(values, given) == valued


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


OLLAMA = "ollama/ollama:0.14.2"
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


def test_an_engine_on_another_accelerator_is_seen(tmp_path: Path) -> None:
    one = serve(
        "registry.example/neuron-sdk2.20-vllm0.5.0-neuron:v8", command=["/usr/local/bin/run.sh"], gpus=0
    )
    one["spec"]["template"]["spec"]["containers"][0]["resources"] = {
        "limits": {"aws.amazon.com/neuron": "16"}
    }
    assert judge(gpus_match, deploy(tmp_path, one)) == ["unjudged"]
