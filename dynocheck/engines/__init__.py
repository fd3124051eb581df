"""vLLM, SGLang and TensorRT-LLM: how each is told what to do."""

from dynocheck.engines.arguments import Argument, Arguments
from dynocheck.engines.base import Engine, Parallelism, detect_engine
from dynocheck.engines.instances import EngineInstance, find_instances

__all__ = [
    "Argument",
    "Arguments",
    "Engine",
    "EngineInstance",
    "Parallelism",
    "detect_engine",
    "find_instances",
]
