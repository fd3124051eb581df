"""Services of KServe and OME with the runtimes and configurations that they name."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.engine.flags import flags_known, values
from dynocheck.checks.engine.serving_runtimes import serving_runtime
from dynocheck.checks.graph.probes import probes
from dynocheck.checks.parallelism.gpu_counts import gpus_match
from dynocheck.checks.storage.classes import claim_declared
from tests.checks.judging import deploy, judge, read_lines

VLLM = "vllm/vllm-openai:v0.11.0"


def make(kind: str, name: str, spec: dict[str, Any], group: str = "serving.kserve.io") -> dict[str, Any]:
    version = "v1alpha1" if group == "serving.kserve.io" else "v1beta1"
    return {"apiVersion": f"{group}/{version}", "kind": kind, "metadata": {"name": name}, "spec": spec}


def run(*formats: dict[str, Any], **spec: Any) -> dict[str, Any]:
    main = {"name": "kserve-container", "image": VLLM, "args": ["--model=/mnt/models"]}
    listed = list(formats) or [{"name": "vLLM", "version": "1"}]
    return make("ServingRuntime", "mine", {"containers": [main], "supportedModelFormats": listed, **spec})


def serve(model_format: dict[str, Any], runtime: str = "mine", uri: str = "hf://a/b") -> dict[str, Any]:
    model = {"modelFormat": model_format, "runtime": runtime, "storageUri": uri}
    return make("InferenceService", "s", {"predictor": {"model": model}})


@pytest.mark.parametrize(
    ("service", "runtime", "expected"),
    [
        (serve({"name": "vLLM"}), run(), []),
        (serve({"name": "vLLM", "version": "1"}), run(), []),
        (serve({"name": "vLLM", "version": "2"}), run(), ["fail"]),
        (serve({"name": "vllm"}), run(), ["fail"]),  # by its case too
        (serve({"name": "huggingface"}), run(), ["fail"]),
        (serve({"name": "vLLM"}), run(disabled=True), ["fail"]),
        (serve({"name": "vLLM"}, "other"), run(), ["unjudged"]),
        (serve({"name": "vLLM"}, "$(RUNTIME)"), run(), ["skip"]),
        (serve({"name": "{{ .Format }}"}), run(), []),
    ],
)
def test_a_runtime_takes_the_format_of_a_model(
    tmp_path: Path, service: dict[str, Any], runtime: dict[str, Any], expected: list[str]
) -> None:
    assert judge(serving_runtime, deploy(tmp_path, service, runtime)) == expected


CONTAINER = {"name": "main", "image": VLLM, "resources": {"limits": {"nvidia.com/gpu": 2}}}
EXTRA = {"name": "VLLM_ADDITIONAL_ARGS", "value": "--bogus 1"}


def test_a_service_has_the_specification_that_it_is_based_on(tmp_path: Path) -> None:
    base = make("LLMInferenceServiceConfig", "base", {"template": {"containers": [CONTAINER]}})
    over = {"template": {"containers": [{"name": "main", "env": [EXTRA]}]}, "parallelism": {"tensor": 4}}
    spec = {"model": {"uri": "hf://a/b"}, "baseRefs": [{"name": "base"}], **over}
    given = deploy(tmp_path, base, make("LLMInferenceService", "s", spec))
    assert judge(serving_runtime, given) == []
    assert judge(gpus_match, given) == ["fail"]
    assert judge(flags_known, given) == ["fail"]


def test_a_service_that_is_based_on_what_is_elsewhere_is_not_judged(tmp_path: Path) -> None:
    spec = {"model": {"uri": "hf://a/b"}, "baseRefs": [{"name": "base"}]}
    given = deploy(tmp_path, make("LLMInferenceService", "s", spec))
    assert judge(serving_runtime, given) == ["unjudged"]


def test_a_decode_engine_is_behind_a_sidecar_and_a_scheduler_is_no_engine(tmp_path: Path) -> None:
    def pool(port: int) -> dict[str, Any]:
        return {
            "containers": [CONTAINER | {"readinessProbe": {"httpGet": {"path": "/health", "port": port}}}]
        }

    picker = {"name": "main", "image": "ghcr.io/llm-d/llm-d-inference-scheduler:v0.9.0", "args": ["--bogus"]}
    router = {"scheduler": {"template": {"containers": [picker]}}}
    spec = {"model": {"uri": "hf://a/b"}, "router": router}
    for port in (8000, 8001):
        pair = spec | {"template": pool(port), "prefill": {"template": pool(8000)}}
        given = deploy(tmp_path, make("LLMInferenceService", "s", pair))
        assert judge(probes, given) == []
    assert judge(flags_known, given) == []
    alone = deploy(tmp_path, make("LLMInferenceService", "s", spec | {"template": pool(8001)}))
    assert judge(probes, alone) == ["fail"]


CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "models"},
    "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}},
}


@pytest.mark.parametrize(
    ("uri", "expected"),
    [("pvc://models/qwen", []), ("pvc://model/qwen", ["fail"]), ("s3://model/qwen", ["skip"])],
)
def test_a_model_on_a_claim(tmp_path: Path, uri: str, expected: list[str]) -> None:
    given = deploy(tmp_path, CLAIM, serve({"name": "vLLM"}, uri=uri), run())
    assert judge(claim_declared, given) == expected


def test_a_template_of_openshift_has_its_objects_judged(tmp_path: Path) -> None:
    runtime = run()
    runtime["spec"]["containers"][0] |= {"args": ["--model=/mnt/models", "--bogus=1", "--seed=${SEED}"]}
    template = {
        "apiVersion": "template.openshift.io/v1",
        "kind": "Template",
        "metadata": {"name": "t"},
        "objects": [runtime],
        "parameters": [{"name": "SEED"}],
    }
    given = deploy(tmp_path, template)
    assert read_lines(flags_known, given) == ["- --bogus=1"]
    assert judge(values, given) == []


RUNNER = {
    "name": "ome-container",
    "image": "lmsysorg/sglang:v0.5.9",
    "command": ["python3", "-m", "sglang.launch_server", "--model-path", "$(MODEL_PATH)", "--tp-size=3"],
    "resources": {"limits": {"nvidia.com/gpu": 2}},
    "readinessProbe": {"httpGet": {"path": "/health", "port": 8080}},
}


def test_the_engine_of_a_runtime_of_ome_is_judged(tmp_path: Path) -> None:
    router = {"runner": {"name": "router", "image": "lmsysorg/sgl-model-gateway:v0.2.3"}}
    spec = {"engineConfig": {"runner": RUNNER}, "routerConfig": router}
    given = deploy(tmp_path, make("ClusterServingRuntime", "srt", spec, "ome.io"))
    assert judge(gpus_match, given) == ["fail"]
    assert judge(probes, given) == ["fail"]
    assert read_lines(probes, given) == ["port: 8080"]
    service = make("InferenceService", "s", {"runtime": {"name": "other"}}, "ome.io")
    assert judge(serving_runtime, deploy(tmp_path, service)) == ["unjudged"]
