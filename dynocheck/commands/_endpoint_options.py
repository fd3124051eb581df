"""What every verb that asks an endpoint is told of it, and of what it must keep."""

from dataclasses import dataclass
from typing import Any

from dynocheck.commands._settings import Setting, understood
from dynocheck.core.errors import UsageError
from dynocheck.facts.load.limits import ANNOTATION, annotated, limits
from dynocheck.facts.load.run import LoadLimits
from dynocheck.facts.recipe.recipes import Graph, Role
from dynocheck.serving import Endpoint, key_from


@dataclass(frozen=True, kw_only=True)
class Served:
    """What the command line says of an endpoint, and of what it must keep."""

    url: str | None = None
    model: str | None = None
    api_key_env: str | None = None
    api_key_file: str | None = None
    ca_file: str | None = None
    insecure: bool = False
    limits: tuple[str, ...] = ()
    recipe: str | None = None

    @property
    def has_key(self) -> bool:
        return bool(self.api_key_env or self.api_key_file)

    def endpoint(self, url: str, **more: Any) -> Endpoint:
        """What serves there, asked with the key and the trust that are given.

        :raises UsageError: one of them cannot be used.
        """
        key = key_from(self.api_key_env, self.api_key_file)
        return Endpoint(url, key=key, ca_file=self.ca_file, insecure=self.insecure, **more)

    def promised(self, setting: Setting) -> LoadLimits:
        """The limits of the command line, over those of the configuration, over those of the recipe.

        :raises UsageError: one cannot be understood, or the recipe is not that of one graph.
        """
        flags = understood(limits(self.limits, "--limit"))
        return flags.over(setting.limits).over(_of_recipe(self.recipe))


def _of_recipe(path: str | None) -> LoadLimits:
    graph = _graph(path) if path is not None else None
    if graph is None or graph.limits is None:
        return LoadLimits()
    place = f"{graph.file}:{graph.limits.line}:{graph.limits.column}"
    if graph.limits.text is None:
        raise UsageError(f"{place}: {ANNOTATION} is not a string")
    return understood(annotated(graph.limits.text, place))


def _graph(path: str) -> Graph:
    from dynocheck.recipe.discover import load
    from dynocheck.recipe.files import broken

    recipes = load([path])
    for file in (file for recipe in recipes for file in recipe.files if file.role is Role.MANIFEST):
        if (reason := broken(file)) is not None:  # it may hold another graph
            raise UsageError(f"--recipe {path}: {reason}")
    graphs = [graph for recipe in recipes for graph in recipe.graphs]
    if len(graphs) != 1:
        there = ", ".join(f"{graph.name} ({graph.file})" for graph in graphs) or "none"
        raise UsageError(f"--recipe {path}: which DynamoGraphDeployment? there is {there}")
    return graphs[0]
