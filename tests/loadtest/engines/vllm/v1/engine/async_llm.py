import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Self

from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.sampling_params import SamplingParams

PACE_S = 0.01


class AsyncLLM:
    """It refuses prompts that are too long, and dies at a request for 13 tokens, as its like do."""

    def __init__(self, longest: int) -> None:
        self.longest = longest
        self.dead = False

    @classmethod
    def from_engine_args(cls, arguments: AsyncEngineArgs) -> Self:
        print("an engine that talks to standard output")
        if arguments.model == "no-such-model":
            raise OSError("no-such-model is not a local folder")
        return cls(arguments.max_model_len or 4096)

    async def generate(
        self, prompt: dict[str, str], asked: SamplingParams, number: str
    ) -> AsyncIterator[SimpleNamespace]:
        print(f"request {number}", flush=True)
        ids = prompt["prompt"].split()
        if len(ids) > self.longest:
            raise ValueError(f"the prompt is longer than {self.longest} tokens")
        for made in range(asked.max_tokens):
            await asyncio.sleep(PACE_S)
            if asked.max_tokens == 13 or self.dead:
                self.dead = True
                raise RuntimeError("the engine is dead")
            finish = "length" if made + 1 == asked.max_tokens else None
            output = SimpleNamespace(token_ids=[7], finish_reason=finish)
            yield SimpleNamespace(outputs=[output], prompt_token_ids=ids, num_cached_tokens=0)

    def shutdown(self) -> None:
        print("an engine that says goodbye")
