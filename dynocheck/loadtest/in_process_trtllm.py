"""TensorRT-LLM in this process: its LLM API (tensorrt_llm/llmapi/llm.py, executor/result.py).

Its flags are the fields of its `TorchLlmArgs`, spelled `--max-batch-size 8` or `--max_batch_size=8`; a value
is read as YAML, so that a field with fields of its own can be given as `--kv-cache-config '{...}'`.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import yaml

from dynocheck.core.errors import UsageError
from dynocheck.loadtest.in_process import GenerationStep, InProcessEngine, StartEngine


def prepare(model: str, flags: Sequence[str]) -> StartEngine:
    """How to start it.

    :raises UsageError: it refuses the flags.
    """
    from tensorrt_llm.llmapi.llm_args import TorchLlmArgs

    fields = _parse_fields(flags)
    try:
        TorchLlmArgs(model=model, **fields)
    except (ValueError, TypeError) as error:
        raise UsageError(f"TensorRT-LLM's own arguments: {' '.join(str(error).split())[:500]}") from None
    return lambda: _TrtLlmEngine(model, fields)


def _parse_fields(flags: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    words = iter(flags)
    for word in words:
        name, equals, value = word.removeprefix("--").partition("=")
        given = value if equals else next(words, None)
        if not word.startswith("--") or not name or given is None:
            raise UsageError(f"{word}: an argument of TensorRT-LLM is given as --NAME VALUE")
        try:
            found[name.replace("-", "_")] = yaml.safe_load(given)
        except yaml.YAMLError:
            raise UsageError(f"--{name}: its value is not YAML") from None
    return found


class _TrtLlmEngine(InProcessEngine):
    def __init__(self, model: str, fields: dict[str, Any]) -> None:
        from tensorrt_llm import LLM

        self._engine = LLM(model=model, **fields)

    async def generate(self, prompt: str, tokens: int) -> AsyncGenerator[GenerationStep, None]:
        from tensorrt_llm import SamplingParams

        asked = SamplingParams(max_tokens=tokens, ignore_eos=True)  # greedy, unless told otherwise
        async for output in self._engine.generate_async(prompt, sampling_params=asked, streaming=True):
            made = output.outputs[0]
            yield GenerationStep(
                len(made.token_ids), len(output.prompt_token_ids or ()), None, made.finish_reason
            )

    def stop(self) -> None:
        self._engine.shutdown()
