"""The options of the verbs that test an endpoint."""

from dataclasses import dataclass
from typing import Any

from dynocheck.core.errors import UsageError
from dynocheck.core.run_config import RunConfig, require_valid_limits
from dynocheck.facts import LIMITS_ANNOTATION, Graph, LoadLimits, Role, parse_annotation, parse_limits
from dynocheck.secrets import remember
from dynocheck.serving import Endpoint, SecretValue, read_key


@dataclass(frozen=True, kw_only=True)
class EndpointOptions:
    """The endpoint, its credentials, and its service-level objectives."""

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
        """Whether an API key is given."""
        return bool(self.api_key_env or self.api_key_file)

    @property
    def judged_paths(self) -> tuple[str, ...]:
        """The paths above which configuration files are searched."""
        return (self.recipe,) if self.recipe is not None else ()

    def make_endpoint(self, url: str, found_key: str | None = None, **more: Any) -> Endpoint:
        """The endpoint at a URL, with the key and the CA file of these options.

        :param found_key: the key, if the options name none.
        :raises UsageError: one of them cannot be used.
        """
        key = read_key(self.api_key_env, self.api_key_file)
        if key is None and found_key is not None:
            remember(found_key)
            key = SecretValue(found_key)
        return Endpoint(url, key=key, ca_file=self.ca_file, insecure=self.insecure, **more)

    def resolve_limits(self, config: RunConfig) -> LoadLimits:
        """The limits: the command line's take precedence over the configuration's, those over the recipe's.

        :raises UsageError: one cannot be parsed, or the recipe does not have exactly one graph.
        """
        flags = require_valid_limits(parse_limits(self.limits, "--limit"))
        return flags.with_defaults(config.limits).with_defaults(_read_recipe_limits(self.recipe))


def _read_recipe_limits(path: str | None) -> LoadLimits:
    graph = _load_graph(path) if path is not None else None
    if graph is None or graph.limits is None:
        return LoadLimits()
    place = f"{graph.file}:{graph.limits.line}:{graph.limits.column}"
    if graph.limits.text is None:
        raise UsageError(f"{place}: {LIMITS_ANNOTATION} is not a string")
    return require_valid_limits(parse_annotation(graph.limits.text, place))


def _load_graph(path: str) -> Graph:
    from dynocheck.recipe.discover import load_recipes
    from dynocheck.recipe.files import describe_fatal

    recipes = load_recipes([path])
    for file in (file for recipe in recipes for file in recipe.files if file.role is Role.MANIFEST):
        if (reason := describe_fatal(file)) is not None:  # it may hold a graph
            raise UsageError(f"--recipe {path}: {reason}")
    graphs = [graph for recipe in recipes for graph in recipe.graphs]
    if len(graphs) != 1:
        names = ", ".join(f"{graph.name} ({graph.file})" for graph in graphs) or "none"
        raise UsageError(f"--recipe {path}: needs one DynamoGraphDeployment; has {names}")
    return graphs[0]
