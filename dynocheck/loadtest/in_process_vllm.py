"""vLLM in this process: `AsyncLLM`, which its server asks too (vllm/v1/engine/async_llm.py of 0.32)."""

from collections.abc import AsyncGenerator, Sequence
from itertools import count
from typing import Any

from dynocheck.core.errors import UsageError
from dynocheck.engines.parser_subprocess import EngineParserError, create_vllm_parser
from dynocheck.loadtest.in_process import GenerationStep, InProcessEngine, StartEngine


def prepare(model: str, flags: Sequence[str]) -> StartEngine:
    """How to start it.

    :raises UsageError: its parser refuses the flags.
    """
    from vllm.engine.arg_utils import AsyncEngineArgs

    try:
        given = create_vllm_parser().parse_args(["--model", model, *flags])
        arguments = AsyncEngineArgs.from_cli_args(given)
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

        asked = SamplingParams(
            max_tokens=tokens, temperature=0.0, ignore_eos=True, output_kind=RequestOutputKind.DELTA
        )
        so_far = 0
        async for output in self._engine.generate({"prompt": prompt}, asked, str(next(self._numbers))):
            made = output.outputs[0]
            so_far += len(made.token_ids)
            yield GenerationStep(
                so_far, len(output.prompt_token_ids or ()), output.num_cached_tokens, made.finish_reason
            )

    def stop(self) -> None:
        self._engine.shutdown()
