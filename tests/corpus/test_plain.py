"""Engines without Dynamo in public manifests: what a guide gets wrong, and that samples are quiet."""

from pathlib import Path

import pytest

from tests.command import CommandResult, run_inside

SHARED = Path(__file__).parents[3] / "shared"
AREAS = ("engine", "graph", "memory", "model", "network", "parallelism", "storage.download")
AROUND = ("capacity", "manifest", "monitoring", "production")

# What each file of the guide gets wrong: the file, the line, the outcome and the check.
GUIDE = {
    ("01", 11, "warn", "manifest.references"): "a ConfigMap with other sizes that nothing mounts",
    ("01", 47, "fail", "manifest.placeholders"): "hf_xxxx is no token",
    ("01", 49, "fail", "manifest.placeholders"): "sk-xxxx is no key",
    ("01", 124, "warn", "storage.download"): "four replicas download into one claim",
    ("01", 61, "warn", "capacity.autoscaling"): "replicas beside an autoscaler",
    ("01", 81, "warn", "production.replicas"): "no PodDisruptionBudget",
    ("02", 28, "warn", "network.routes"): "the annotation in place of ingressClassName",
    ("02", 35, "warn", "network.routes"): "all completions have one URI, so one pod gets them",
    ("02", 79, "warn", "network.routes"): "5xx and reset repeat a generation that has begun",
    ("03", 68, "fail", "capacity.autoscaling"): "an HPA and a ScaledObject on one Deployment",
    ("03", 78, "warn", "capacity.autoscaling"): "metricName is ignored since KEDA 2.12",
    ("03", 80, "warn", "monitoring.metrics"): "vllm_num_requests_waiting does not exist",
    ("03", 89, "warn", "monitoring.metrics"): "MEM_COPY_UTIL is no memory",
    ("03", 97, "warn", "monitoring.metrics"): "vllm_request_duration_seconds_bucket does not exist",
    ("04", 21, "warn", "storage.download"): "four GPUs wait for a download",
    ("05", 61, "warn", "graph.startup-budget"): "liveness ends after 150 s what reads 141 GB",
    ("05", 78, "warn", "engine.builds"): "another claim than the builder's",
    ("05", 85, "warn", "engine.builds"): "built on A100, served on H100",
    ("05", 25, "warn", "parallelism.gpus-match"): "tritonserver alone is one rank, and the engine has TP 4",
    ("06", 28, "fail", "engine.values"): "the checkpoint is not quantized",
    ("06", 29, "fail", "engine.values"): "TGI takes a dtype or a quantization",
    ("06", 43, "fail", "engine.flags-known"): "--enable-cuda-graphs went with TGI 2.0",
    ("06", 83, "warn", "graph.startup-budget"): "liveness ends after 210 s what reads 141 GB",
    ("07", 55, "warn", "memory.shared-memory"): "four ranks share 64 MiB",
    ("07", 53, "warn", "production.probes"): "no probes, as in 08",
    ("08", 17, "warn", "memory.shared-memory"): "four ranks share 64 MiB",
    ("08", 27, "fail", "engine.flags-known"): "vLLM 0.4.2 has no such flag",
    ("10", 12, "warn", "monitoring.metrics"): "vllm_gpu_cache_usage_perc does not exist",
    ("10", 17, "warn", "monitoring.metrics"): "vllm_prefix_cache_hit_total does not exist",
    ("10", 23, "warn", "monitoring.metrics"): "a ratio is over 95 never",
    ("10", 43, "warn", "monitoring.metrics"): "vllm_cache_swap_out_total does not exist",
    ("12", 12, "warn", "monitoring.metrics"): "vllm_request_duration_seconds_bucket does not exist",
    ("12", 19, "warn", "monitoring.metrics"): "vllm_generation_tokens_total does not exist",
    ("12", 24, "warn", "monitoring.metrics"): "vllm_request_total does not exist",
    ("12", 30, "warn", "monitoring.metrics"): "vllm_request_error_total does not exist",
    ("12", 78, "warn", "monitoring.metrics"): "vllm_num_requests_waiting does not exist",
}
# What is said of public samples' engines: all of it.
SAMPLES = {
    ("parallelism.gpus-match", "vllm-post-trained-gemma3-27"): "eight GPUs for TP 4",
    ("model.token", "deploy-llm"): "six samples in one folder name six Secrets",
    ("graph.placement", "ps-values-25-v100"): "its pods may run on gpu-node-01 alone, by its name",
    ("graph.images-pinned", "tensorrt-llm_lws"): "IMAGE_NAME is left to the reader",
}


def judge_folder(name: str, *checks: str) -> CommandResult:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip("no corpus beside this clone")
    selected = (word for check in checks for word in ("--select", check))
    return run_inside("recipe", folder, *selected, "-o", "json")


def test_what_the_guide_gets_wrong_is_told_where_it_is() -> None:
    report = judge_folder("corpus/serving-guide", *AREAS, *AROUND).report
    told = {
        (Path(place["file"]).name[:2], place["line"], finding["outcome"], verdict["check"])
        for verdict in report["verdicts"]
        for finding in verdict["findings"]
        for place in [finding["location"]]
    }
    assert GUIDE.keys() - told == set()


def test_engines_of_public_samples_are_quiet_but_for_these() -> None:
    report = judge_folder("corpus/plain", *AREAS).report
    left = [
        (verdict["check"], finding["location"]["file"], finding["message"])
        for verdict in report["verdicts"]
        for finding in verdict["findings"]
        if not any(verdict["check"] == c and name in finding["location"]["file"] for c, name in SAMPLES)
    ]
    assert left == []
