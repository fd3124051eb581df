"""An inference engine as Dynamo starts it, and how it splits a model over GPUs."""

from collections.abc import Callable
from dataclasses import dataclass

from dynocheck.engines.arguments import Argument, Arguments
from dynocheck.engines.memory import MemoryBudget
from dynocheck.facts import ConfigFile, Container, Launch


@dataclass(frozen=True)
class Parallelism:
    """The sizes by which a model is split. `spread` is whether data parallel ranks have GPUs of their own.

    Expert and attention data parallelism divide existing ranks and add none. `nodes` is the number of
    programs that the engine itself splits its ranks over, each started apart.
    """

    tensor: int
    pipeline: int = 1
    data: int = 1
    context: int = 1
    spread: bool = True
    nodes: int = 1

    @property
    def gpus(self) -> int:
        """The number of GPUs that one replica needs."""
        return self.tensor * self.pipeline * self.context * (self.data if self.spread else 1)

    @property
    def gpus_here(self) -> int:
        """The number of GPUs that it needs where it is started."""
        return self.gpus // self.nodes

    def __str__(self) -> str:
        parts = [f"TP {self.tensor}"]
        parts += [f"PP {self.pipeline}"] if self.pipeline > 1 else []
        parts += [f"PCP {self.context}"] if self.context > 1 else []
        parts += [f"DP {self.data}"] if self.data > 1 and self.spread else []
        return " x ".join(parts) + (f" on {self.nodes} nodes" if self.nodes > 1 else "")


def parse_share(argument: Argument | None, default: float) -> float | None:
    """A share of the GPU's memory, over 0 and at most 1; the default if not set, None if invalid."""
    if argument is None:
        return default
    try:
        number = float(argument.value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 < number <= 1 else None


@dataclass(frozen=True)
class Engine:
    """An inference engine as Dynamo starts it, or as a server of its own.

    `modules` are what a launch of it may start. `arguments` reads the arguments from flags, variables and
    files, given the container, the launch and the manifest's file. `parallelism` and `budget` return None if
    a number in them is unknown or an argument changes what is loaded. `config` returns the file of keys that
    the launch names, its root the section that counts; None if it names none, or one that the recipe does
    not contain. If `adapts`, it answers under any name of a model or loads what it is asked
    for, and puts on GPUs what fits there.
    """

    name: str
    modules: tuple[str, ...]
    arguments: Callable[[Container, Launch, str], Arguments]
    parallelism: Callable[[Arguments], Parallelism | None]
    budget: Callable[[Arguments], MemoryBudget | None]
    config: Callable[[Container, Launch], ConfigFile | None]
    model_flags: tuple[str, ...]
    adapts: bool = False

    def model(self, arguments: Arguments) -> str | None:
        """The model to load, as a hub id or a path; None if it is not set or unknown."""
        argument = arguments.get(*self.model_flags)
        return argument.value if argument is not None and isinstance(argument.value, str) else None

    def served_name(self, arguments: Arguments) -> str | None:
        """The name in requests: the first --served-model-name, or else the model; None if it is unknown."""
        if self.adapts:
            return None
        argument = arguments.get("served-model-name")
        if argument is None:
            return self.model(arguments)
        names = argument.value
        first = names[0] if isinstance(names, list) and names else names
        return first if isinstance(first, str) else None
