"""Stands in for TensorRT-LLM, which has no public wheels: the names that we use, and what they do."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from tensorrt_llm.llmapi.llm_args import TorchLlmArgs


@dataclass
class SamplingParams:
    max_tokens: int
    ignore_eos: bool


class LLM:
    def __init__(self, **fields: Any) -> None:
        print("an engine that talks to standard output")
        TorchLlmArgs(**fields)

    async def generate_async(
        self, prompt: str, sampling_params: SamplingParams, streaming: bool
    ) -> AsyncIterator[SimpleNamespace]:
        """Two tokens at a time; its outputs hold all so far."""
        assert streaming
        ids: list[int] = []
        while len(ids) < sampling_params.max_tokens:
            await asyncio.sleep(0.01)
            ids += [7, 7]
            finish = "length" if len(ids) >= sampling_params.max_tokens else None
            output = SimpleNamespace(token_ids=ids, finish_reason=finish)
            yield SimpleNamespace(outputs=[output], prompt_token_ids=prompt.split())

    def shutdown(self) -> None:
        pass
