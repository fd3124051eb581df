"""The engine that a launch starts, and the file of keys that it reads."""

from functools import partial

from dynocheck.engines import llamacpp, ollama, sglang, tgi, trtllm, trtllm_serve, vllm
from dynocheck.engines.base import Engine
from dynocheck.facts import ConfigFile, Container, IdentityCache, Launch

_MODULES = (vllm, sglang, trtllm, tgi, trtllm_serve, llamacpp, ollama)
ENGINES = tuple(module.ENGINE for module in _MODULES)

_keys_files: IdentityCache[ConfigFile | None] = IdentityCache(4096)  # several checks ask for the same


def detect_engine(launch: Launch) -> Engine | None:
    """The engine that a launch starts; None if it starts something else, such as a frontend."""
    module = f"{launch.module}."
    return next(
        (engine for engine in ENGINES if any(module.startswith(f"{each}.") for each in engine.modules)), None
    )


def find_keys_file(container: Container, launch: Launch) -> ConfigFile | None:
    """The file that a launch's engine reads keys from; None if it names none or the recipe lacks it."""
    engine = detect_engine(launch)
    if engine is None:
        return None
    return _keys_files.get(container, launch, make=partial(engine.config, container, launch))
