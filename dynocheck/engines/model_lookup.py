"""Looks up a recipe's models in the table, else in a `config.json` of the recipe."""

import posixpath

from dynocheck.data.model_configs import parse_model_config
from dynocheck.data.models import Model, find_model
from dynocheck.engines.instances import find_instances
from dynocheck.facts import Graph, ModelConfig, Recipe

CONFIG_FILES = "config.json and model.safetensors.index.json in a folder of the recipe with the model's name"
"""What lets an unknown model be judged."""


def resolve_model(recipe: Recipe, graph: Graph, model: str, name: str | None) -> Model | None:
    """The model that an engine loads; None if neither the table nor a file of the recipe describes it.

    :param model: the engine's argument, a hub id or a path.
    :param name: the hub id, if known.
    """
    row = find_model(name) if name is not None else None
    if row is not None or not recipe.configs:
        return row
    given = find_model_config(recipe, graph, model) or (
        _find_named_config(recipe, name) if name is not None else None
    )
    if given is None or given.problems:
        return None
    return parse_model_config(given.config, name or model, given.file, given.checkpoint)


def resolve_downloaded(recipe: Recipe, name: str) -> Model | None:
    """The model with a hub id that the recipe downloads; None as for `resolve_model`."""
    row = find_model(name)
    if row is not None or not recipe.configs:
        return row
    loading = [graph for graph in recipe.graphs if name in _list_models(graph)]
    found = (resolve_model(recipe, graph, name, name) for graph in loading)
    return next((model for model in found if model is not None), None)


def find_model_config(recipe: Recipe, graph: Graph, model: str) -> ModelConfig | None:
    """The `config.json` of the model that an engine of a graph loads.

    A file in a folder of the model's name belongs to the model. Any other describes the graphs of its folder
    and below, if they all load one model; the nearest file counts.
    """
    named = _find_named_config(recipe, model)
    if named is not None:
        return named
    above = [config for config in recipe.configs if _is_below(graph.file, config.scope)]
    nearest = max(above, key=lambda config: len(config.scope), default=None)
    if nearest is None or sum(config.scope == nearest.scope for config in above) > 1:
        return None
    loaded = {m for each in recipe.graphs if _is_below(each.file, nearest.scope) for m in _list_models(each)}
    return nearest if loaded == {model} else None


def _find_named_config(recipe: Recipe, model: str) -> ModelConfig | None:
    wanted = posixpath.basename(model.rstrip("/")).lower()
    found = [c for c in recipe.configs if posixpath.basename(c.folder).lower() == wanted]
    return found[0] if wanted and len(found) == 1 else None


def _list_models(graph: Graph) -> set[str | None]:
    return {worker.engine.model(worker.given) for worker in find_instances(graph)}


def _is_below(file: str, folder: str) -> bool:
    return folder == "." or file.startswith(f"{folder.rstrip('/')}/")
