"""Draft models of a plain vLLM: their vocabulary, their ranks and how many tokens they draft."""

import json
from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.engine.speculation import speculation
from tests.checks.engine.test_lora import server
from tests.checks.judging import deploy, judge

SMALL, OTHER = "Qwen/Qwen3-1.7B", "meta-llama/Llama-3.1-8B-Instruct"


def given(**settings: Any) -> list[str]:
    return ["--speculative-config", json.dumps({"num_speculative_tokens": 3, **settings})]


def flags(model: str, *more: str) -> list[str]:
    """As vLLM before 0.9 took them."""
    return [f"--speculative-model={model}", "--num-speculative-tokens=3", *more]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], ["skip"]),
        (given(method="ngram", prompt_lookup_max=4), ["skip"]),
        (given(model="ngram"), ["skip"]),
        (given(method="eagle3", model="org/EAGLE3-Qwen3"), ["skip"]),
        (given(model=SMALL), []),
        (given(model=SMALL, draft_tensor_parallel_size=1), []),
        (given(model=SMALL, draft_tensor_parallel_size=2), ["fail"]),
        (given(model=SMALL, num_speculative_tokens=None), ["fail"]),
        (given(model=OTHER), ["fail"]),
        (given(model=OTHER, use_heterogeneous_vocab=True), []),
        (given(model="org/unheard-of"), ["unjudged"]),
        (flags(SMALL), []),
        (flags(OTHER), ["fail"]),
        (flags(SMALL, "--tensor-parallel-size=4", "--speculative-draft-tensor-parallel-size=4"), []),
        (flags("[ngram]"), ["skip"]),
    ],
)
def test_draft_models(tmp_path: Path, args: list[str], expected: list[str]) -> None:
    assert judge(speculation, deploy(tmp_path, server(*args))) == expected
