"""Adapters of a plain vLLM: what it could not load, or could not tell apart."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.engine.lora import lora
from tests.checks.judging import deploy, outcomes

ENABLED = ("--enable-lora", "--lora-modules")
MOUNTED = {"name": "adapters", "mountPath": "/adapters"}


def server(*args: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    main = {
        "name": "main",
        "env": [{"name": name, "value": value} for name, value in (env or {}).items()],
        "image": "vllm/vllm-openai:v0.15.0",
        "args": ["--model", "Qwen/Qwen3-0.6B", *args],
        "volumeMounts": [MOUNTED],
    }
    volumes = [{"name": "adapters", "persistentVolumeClaim": {"claimName": "adapters"}}]
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [main], "volumes": volumes}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "v"}, "spec": spec}


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], ["skip"]),
        ([*ENABLED, "a=/adapters/a", "b=/adapters/b"], ["warn"]),
        ([*ENABLED, "a=/adapters/a", "b=/adapters/b", "--max-loras=2"], []),
        ([*ENABLED, "a=/adapters/a", "b=/adapters/b", "--max-cpu-loras=2"], []),
        ([*ENABLED, '{"name": "a", "path": "/adapters/a", "base_model_name": "m"}'], []),
        ([*ENABLED, "a=org/adapter"], []),
        (["--lora-modules", "a=/adapters/a"], ["fail"]),
        ([*ENABLED, "a=/elsewhere/a"], ["warn"]),
        ([*ENABLED, "a=/adapters/a", "a=/adapters/b", "--max-loras=2"], ["fail"]),
        ([*ENABLED, "Qwen/Qwen3-0.6B=/adapters/a"], ["warn"]),
        (["--enable-lora", "--max-loras=8", "--max-cpu-loras=4"], ["fail"]),
        (["--enable-lora", "--max-loras=8", "--max-cpu-loras=8"], []),
        (["--enable-lora", "--max-cpu-loras=2"], []),
    ],
)
def test_adapters(tmp_path: Path, args: list[str], expected: list[str]) -> None:
    assert outcomes(lora, deploy(tmp_path, server(*args))) == expected


SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "v"},
    "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]},
}
LOADS = 'curl -X POST http://v/v1/load_lora_adapter -d \'{"lora_name": "a"}\''
CONTROLLED = {
    "apiVersion": "production-stack.vllm.ai/v1alpha1",
    "kind": "LoraAdapter",
    "metadata": {"name": "a"},
}


def job(script: str) -> dict[str, Any]:
    container = {"name": "curl", "image": "curl:8", "command": ["sh", "-c", script]}
    spec = {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": spec}


@pytest.mark.parametrize(
    ("other", "env", "expected"),
    [
        (job(LOADS), {}, ["fail"]),
        (job(LOADS), {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True"}, []),
        (job(LOADS), {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "0"}, ["fail"]),
        (job(LOADS.replace("//v/", "//another/")), {}, []),
        (CONTROLLED, {}, ["fail"]),
        (CONTROLLED, {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}, []),
    ],
)
def test_adapters_that_are_loaded_at_run_time(
    tmp_path: Path, other: dict[str, Any], env: dict[str, str], expected: list[str]
) -> None:
    assert outcomes(lora, deploy(tmp_path, server("--enable-lora", env=env), SERVICE, other)) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a", []), ("Qwen/Qwen3-0.6B", []), ("$MODEL", []), ("adapter-a", ["fail"])],
)
def test_the_name_that_clients_ask_for(tmp_path: Path, name: str, expected: list[str]) -> None:
    asking = job(f'curl http://v/v1/completions -d \'{{"model": "{name}", "prompt": "p"}}\'')
    engine = server(*ENABLED, "a=/adapters/a")
    assert outcomes(lora, deploy(tmp_path, engine, SERVICE, asking)) == expected


@pytest.mark.parametrize(("rank", "most", "expected"), [(8, 16, []), (64, 64, []), (64, 32, ["fail"])])
def test_the_rank_of_an_adapter_in_the_recipe(
    tmp_path: Path, rank: int, most: int, expected: list[str]
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "adapter_config.json").write_text(f'{{"peft_type": "LORA", "r": {rank}}}')
    engine = server(*ENABLED, "a=/adapters/a", f"--max-lora-rank={most}")
    assert outcomes(lora, deploy(tmp_path, engine)) == expected
