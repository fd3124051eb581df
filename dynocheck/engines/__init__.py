"""vLLM, SGLang and TensorRT-LLM: how each is told what to do."""

from dynocheck.engines.arguments import Argument, Arguments
from dynocheck.engines.base import Engine, Parallelism, engine_of
from dynocheck.engines.instances import Running, running

__all__ = ["Argument", "Arguments", "Engine", "Parallelism", "Running", "engine_of", "running"]
