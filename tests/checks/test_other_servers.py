"""TGI, trtllm-serve and Triton are judged by what their own programs do."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.engine.flags import flags_known, values
from dynocheck.checks.graph.probes import probes, startup_budget
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
        (serve(TRTLLM, *SERVE, "--extra_llm_api_options", "/x.yaml", gpus=4), ["unjudged"]),
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
        (TRTLLM, "trtllm-serve a/b --anything", ["unjudged"], ["unjudged"]),
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
