"""vLLM, SGLang and TensorRT-LLM: how each is told what to do."""

from dynocheck.engines.arguments import Argument, Arguments
from dynocheck.engines.base import Engine, Parallelism, engine_of

__all__ = ["Argument", "Arguments", "Engine", "Parallelism", "engine_of"]
