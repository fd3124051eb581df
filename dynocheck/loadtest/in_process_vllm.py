"""Runs vLLM in this process through `AsyncLLM`, as its server does (vllm/v1/engine/async_llm.py, 0.32)."""

from collections.abc import AsyncGenerator, Sequence
from itertools import count
from typing import Any

from dynocheck.core.errors import UsageError
from dynocheck.engines.parser_subprocess import EngineParserError, create_vllm_parser
from dynocheck.loadtest.engine_interface import GenerationStep, InProcessEngine, StartEngine


def prepare(model: str, flags: Sequence[str]) -> StartEngine:
    """A function that starts vLLM with these flags.

    :raises UsageError: vLLM's parser rejects the flags.
    """
    from vllm.engine.arg_utils import AsyncEngineArgs

    try:
        namespace = create_vllm_parser().parse_args(["--model", model, *flags])
        arguments = AsyncEngineArgs.from_cli_args(namespace)
    except (EngineParserError, ValueError, TypeError) as error:
        raise UsageError(f"vLLM's own parser: {' '.join(str(error).split())[:500]}") from None
    return lambda: _VllmEngine(arguments)


class _VllmEngine(InProcessEngine):
    def __init__(self, arguments: Any) -> None:
        from vllm.v1.engine.async_llm import AsyncLLM

        self._engine = AsyncLLM.from_engine_args(arguments)
        self._numbers = count()

    async def generate(self, prompt: str, tokens: int) -> AsyncGenerator[GenerationStep, None]:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        params = SamplingParams(
            max_tokens=tokens, temperature=0.0, ignore_eos=True, output_kind=RequestOutputKind.DELTA
        )
        generated = 0
        async for output in self._engine.generate({"prompt": prompt}, params, str(next(self._numbers))):
            completion = output.outputs[0]
            generated += len(completion.token_ids)
            prompt_tokens = len(output.prompt_token_ids or ())
            yield GenerationStep(generated, prompt_tokens, output.num_cached_tokens, completion.finish_reason)

    def stop(self) -> None:
        self._engine.shutdown()
