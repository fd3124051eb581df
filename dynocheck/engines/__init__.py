"""vLLM, SGLang and TensorRT-LLM: their command lines, configuration, parallelism and memory."""

from dynocheck.engines.arguments import Argument, Arguments
from dynocheck.engines.base import Engine, Parallelism
from dynocheck.engines.detection import detect_engine
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
