"""What is asked of every engine."""

from collections.abc import Callable
from dataclasses import dataclass

from dynocheck.engines.arguments import Argument, Arguments
from dynocheck.engines.memory import MemoryBudget
from dynocheck.facts.recipe.recipes import ConfigFile, Container, Launch


@dataclass(frozen=True)
class Parallelism:
    """How many ways a model is split. `spread` is whether data parallelism takes GPUs of its own.

    Expert parallelism and attention data parallelism divide the ranks that are there; they add none.
    """

    tensor: int
    pipeline: int = 1
    data: int = 1
    context: int = 1
    spread: bool = True

    @property
    def gpus(self) -> int:
        """The GPUs that one replica needs."""
        return self.tensor * self.pipeline * self.context * (self.data if self.spread else 1)

    def __str__(self) -> str:
        parts = [f"TP {self.tensor}"]
        parts += [f"PP {self.pipeline}"] if self.pipeline > 1 else []
        parts += [f"PCP {self.context}"] if self.context > 1 else []
        parts += [f"DP {self.data}"] if self.data > 1 and self.spread else []
        return " x ".join(parts)


def parse_share(found: Argument | None, default: float) -> float | None:
    """A share of the GPU's memory: the default when it is not given, None when it is not known or not one."""
    if found is None:
        return default
    try:
        number = float(found.value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 < number <= 1 else None


@dataclass(frozen=True)
class Engine:
    """An inference engine as Dynamo starts it.

    `arguments` reads them from every place the engine reads them from, given the container, the launch
    and the file that it stands in. `parallelism` and `budget` are None when a number in them cannot be known,
    or when an argument changes what is loaded. `config` is the file of keys that the launch names, its root
    the part that is meant; None when it names none, or one that is not in the recipe.
    """

    name: str
    module: str
    arguments: Callable[[Container, Launch, str], Arguments]
    parallelism: Callable[[Arguments], Parallelism | None]
    budget: Callable[[Arguments], MemoryBudget | None]
    config: Callable[[Container, Launch], ConfigFile | None]
    model_flags: tuple[str, ...]

    def model(self, arguments: Arguments) -> str | None:
        """The model that is loaded: a hub id or a path, None when it is not given or not known."""
        found = arguments.get(*self.model_flags)
        return found.value if found is not None and isinstance(found.value, str) else None

    def served_name(self, arguments: Arguments) -> str | None:
        """The name that requests ask for: the first served one, or else the model's."""
        found = arguments.get("served-model-name")
        if found is None:
            return self.model(arguments)
        first = found.value[0] if isinstance(found.value, list) and found.value else found.value
        return first if isinstance(first, str) else None


def detect_engine(launch: Launch) -> Engine | None:
    """The engine that this launch starts, or None when it starts something else, such as a frontend."""
    from dynocheck.engines import sglang, trtllm, vllm

    for engine in (vllm.ENGINE, sglang.ENGINE, trtllm.ENGINE):
        if launch.module == engine.module or launch.module.startswith(f"{engine.module}."):
            return engine
    return None
