"""The models of a recipe: from the table, else from a `config.json` that lies in the recipe."""

import posixpath

from dynocheck.data.models import Model, find_model, parse_model_config
from dynocheck.engines.instances import find_instances
from dynocheck.facts.recipe.recipes import Graph, ModelConfig, Recipe


def resolve_model(recipe: Recipe, graph: Graph, model: str, name: str | None) -> Model | None:
    """What an engine loads, None when neither the table nor a file of the recipe describes it.

    :param model: the hub id or path that the engine is told.
    :param name: its hub id, where that is known.
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
    """The same for a hub id that the recipe downloads."""
    row = find_model(name)
    if row is not None or not recipe.configs:
        return row
    loading = [graph for graph in recipe.graphs if name in _list_models(graph)]
    found = (resolve_model(recipe, graph, name, name) for graph in loading)
    return next((model for model in found if model is not None), None)


def find_model_config(recipe: Recipe, graph: Graph, model: str) -> ModelConfig | None:
    """The `config.json` of what an engine of a graph is told to load.

    One in a folder of the model's own name is the model's. Another describes the graphs of its folder and
    below, where those load one model and no other; the nearest one counts.
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
