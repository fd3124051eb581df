"""Runs TensorRT-LLM in this process through its LLM API (tensorrt_llm/llmapi/llm.py, executor/result.py).

Flags are the fields of `TorchLlmArgs`, written `--max-batch-size 8` or `--max_batch_size=8`. Values are YAML,
so that a nested field can be given as `--kv-cache-config '{...}'`.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import yaml

from dynocheck.core.errors import UsageError
from dynocheck.loadtest.engine_interface import GenerationStep, InProcessEngine, StartEngine


def prepare(model: str, flags: Sequence[str]) -> StartEngine:
    """A function that starts TensorRT-LLM with these flags.

    :raises UsageError: TensorRT-LLM rejects the flags.
    """
    from tensorrt_llm.llmapi.llm_args import TorchLlmArgs

    fields = _parse_fields(flags)
    try:
        TorchLlmArgs(model=model, **fields)
    except (ValueError, TypeError) as error:
        raise UsageError(f"TensorRT-LLM's own arguments: {' '.join(str(error).split())[:500]}") from None
    return lambda: _TrtLlmEngine(model, fields)


def _parse_fields(flags: Sequence[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    words = iter(flags)
    for word in words:
        name, equals, inline = word.removeprefix("--").partition("=")
        value = inline if equals else next(words, None)
        if not word.startswith("--") or not name or value is None:
            raise UsageError(f"{word}: TensorRT-LLM arguments are written --NAME VALUE")
        try:
            fields[name.replace("-", "_")] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UsageError(f"--{name}: the value is not YAML") from None
    return fields


class _TrtLlmEngine(InProcessEngine):
    def __init__(self, model: str, fields: dict[str, Any]) -> None:
        from tensorrt_llm import LLM

        self._engine = LLM(model=model, **fields)

    async def generate(self, prompt: str, tokens: int) -> AsyncGenerator[GenerationStep, None]:
        from tensorrt_llm import SamplingParams

        params = SamplingParams(max_tokens=tokens, ignore_eos=True)  # greedy by default
        async for output in self._engine.generate_async(prompt, sampling_params=params, streaming=True):
            completion = output.outputs[0]
            prompt_tokens = len(output.prompt_token_ids or ())
            yield GenerationStep(len(completion.token_ids), prompt_tokens, None, completion.finish_reason)

    def stop(self) -> None:
        self._engine.shutdown()
