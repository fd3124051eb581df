"""The workers of a graph: the engines that it starts, and what each is told."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dynocheck.engines.arguments import Arguments
from dynocheck.engines.base import Engine, engine_of
from dynocheck.facts.recipe import Component, Container, Graph, Launch


@dataclass(frozen=True)
class Worker:
    """An engine of a graph and what it is told."""

    graph: Graph
    component: Component
    container: Container
    launch: Launch
    engine: Engine
    given: Arguments

    @property
    def mode(self) -> str:
        """prefill, decode or another: by its flag, else by its role."""
        flag = self.given.text("disaggregation-mode", "")
        return flag or ("worker" if self.component.role == "main" else self.component.role)

    @property
    def served(self) -> str | None:
        """The name that it serves its model by, None where it is not known."""
        return self.engine.served_name(self.given)

    @property
    def name(self) -> str:
        return self.component.name

    def where(self, *names: str) -> tuple[str, int, int]:
        """File, line and column of the first of these arguments that is given, else of the launch."""
        found = self.given.get(*names)
        if found is None:
            return self.graph.file, self.launch.line, self.launch.column
        return found.file, found.line, found.column

    def number(self, name: str) -> int | None:
        """An argument as a whole number, None where it is not given or none."""
        found = self.given.get(name)
        return found.integer if found is not None else None

    def part(self, section: str, key: str) -> Any:
        """A value inside an argument that is a mapping or JSON, None where there is none."""
        found = self.given.get(section)
        return (found.entries or {}).get(key) if found is not None else None


def workers(graph: Graph) -> Iterator[Worker]:
    """Every engine that a component of this graph starts."""
    for component in graph.components:
        for container in component.containers:
            for launch in container.launches:
                engine = engine_of(launch)
                if engine is not None:
                    given = engine.arguments(container, launch, graph.file)
                    yield Worker(graph, component, container, launch, engine, given)
