"""Adapters of a plain vLLM: what it could not load, or could not tell apart."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.engine.lora import lora
from tests.checks.judging import deploy, outcomes

ENABLED = ("--enable-lora", "--lora-modules")
MOUNTED = {"name": "adapters", "mountPath": "/adapters"}


def server(*args: str) -> dict[str, Any]:
    main = {
        "name": "main",
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
        ([*ENABLED, "a=/adapters/a", "b=/adapters/b"], []),
        ([*ENABLED, '{"name": "a", "path": "/adapters/a", "base_model_name": "m"}'], []),
        ([*ENABLED, "a=org/adapter"], []),
        (["--lora-modules", "a=/adapters/a"], ["fail"]),
        ([*ENABLED, "a=/elsewhere/a"], ["warn"]),
        ([*ENABLED, "a=/adapters/a", "a=/adapters/b"], ["fail"]),
        ([*ENABLED, "Qwen/Qwen3-0.6B=/adapters/a"], ["warn"]),
        (["--enable-lora", "--max-loras=8", "--max-cpu-loras=4"], ["fail"]),
        (["--enable-lora", "--max-loras=8", "--max-cpu-loras=8"], []),
        (["--enable-lora", "--max-cpu-loras=2"], []),
    ],
)
def test_adapters(tmp_path: Path, args: list[str], expected: list[str]) -> None:
    assert outcomes(lora, deploy(tmp_path, server(*args))) == expected
