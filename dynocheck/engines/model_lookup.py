"""Looks up a recipe's models in the table, else in a `config.json` of the recipe, of the hub or its cache."""

import posixpath
import re
from collections.abc import Iterable

import msgspec

from dynocheck.data.model_configs import parse_model_config
from dynocheck.data.models import Model, find_model
from dynocheck.engines.instances import EngineInstance, find_instances
from dynocheck.facts import Graph, HubModel, HubModels, ModelConfig, Problem, Recipe

CONFIG_FILES = (
    "config.json and model.safetensors.index.json in a folder of the recipe with the model's name, or --hub"
)
"""What lets an unknown model be judged."""

_PRECISION = re.compile(
    r"(-(nv)?fp[48]|-(int|w)[48](a\d+)?|-bf16|-awq|-gptq|-mxfp4|-dynamic|-block|-kv[48])+$"
)
PARAMETERS = re.compile(r"(?<![\w.])(\d{1,4}(?:\.\d{1,3})?)[bB](?![A-Za-z0-9])")
"""The billions of parameters in a model's name."""
DRAFTS = re.compile(r"eagle|draft|speculat|mtp|lora|adapter|dflash|medusa", re.IGNORECASE)
"""Marks of models that have the parameters of another in their names."""
_QUANTIZED = re.compile(
    r"quant|awq|gptq|gguf|bnb|bits|fp[48]|int[48]|[wq][2-8](?:a|_|\b)|[2-8]-?bit|mlx|exl", re.IGNORECASE
)
_MAX_NAME = 4096  # characters of a model's name that are compared


def strip_precision(model: str) -> str:
    """A model's name without its owner and the precision of its weights, in lower case."""
    return _PRECISION.sub("", model.rpartition("/")[2].lower()[:_MAX_NAME])


def add_hub_configs(recipes: Iterable[Recipe], models: HubModels | None) -> list[Recipe]:
    """The recipes, with the configurations that the hub or its cache has of models."""
    found = tuple(_get_hub_config(model) for model in models or ())
    if not found:
        return list(recipes)
    return [msgspec.structs.replace(recipe, configs=(*recipe.configs, *found)) for recipe in recipes]


def _get_hub_config(model: HubModel) -> ModelConfig:
    """The configuration of a model; one whose problem is why there is none."""
    if model.config is not None:
        return msgspec.structs.replace(model.config, model=model.name)
    why = {"missing": "the hub has no such model", "no-revision": "the hub has no such revision"}
    reason = why.get(model.state) or model.reason or "there is no config.json"
    return ModelConfig(file="", scope="", model=model.name, problems=(("", Problem(reason)),))


def resolve_model(recipe: Recipe, graph: Graph, model: str, name: str | None) -> Model | None:
    """The model that an engine loads; None if neither the table nor a configuration describes it.

    :param model: the engine's argument, a hub id or a path.
    :param name: the hub id, if known.
    """
    row = find_model(name) if name is not None else None
    if row is not None or not recipe.configs:
        return row
    return _parse(find_config(recipe, graph, model, name), name or model)


def guess_weight_bytes(engine: EngineInstance) -> float | None:
    """About the bytes of the weights of a model that no table has, by the parameters in its name.

    Two for each, or a half if they may be quantized. None without a number, and of drafts, whose name has
    that of another.
    """
    name = (engine.model or "").rstrip("/").rpartition("/")[2][:_MAX_NAME]
    words = " ".join(word.text or "?" for word in engine.launch.words)
    billions = max((float(count) for count in PARAMETERS.findall(name)), default=0)
    if not billions or DRAFTS.search(name) or "dummy" in words:
        return None
    return billions * 1e9 * (0.5 if _QUANTIZED.search(f"{name} {words}") else 2)


def find_config(recipe: Recipe, graph: Graph, model: str, name: str | None) -> ModelConfig | None:
    """The `config.json` of a model that is not in the table: the recipe's own, else the hub's."""
    given = find_model_config(recipe, graph, model)
    if given is None and name is not None:
        given = _find_named_config(recipe, name) or _find_hub_config(recipe, name)
    return given


def resolve_downloaded(recipe: Recipe, name: str) -> Model | None:
    """The model with a hub id that the recipe downloads; None as for `resolve_model`."""
    row = find_model(name)
    if row is not None or not recipe.configs:
        return row
    loading = [graph for graph in recipe.deployments if name in _list_models(graph)]
    found = (resolve_model(recipe, graph, name, name) for graph in loading)
    described = next((model for model in found if model is not None), None)
    return described or _parse(_find_hub_config(recipe, name), name)


def _parse(given: ModelConfig | None, name: str) -> Model | None:
    if given is None or given.problems:
        return None
    return parse_model_config(given.config, name, given.file, given.checkpoint)


def _find_hub_config(recipe: Recipe, name: str) -> ModelConfig | None:
    found = [config for config in recipe.configs if config.model.lower() == name.lower()]
    return min(found, key=lambda config: len(config.problems), default=None)


def find_model_config(recipe: Recipe, graph: Graph, model: str) -> ModelConfig | None:
    """The `config.json` of the model that an engine of a graph loads.

    A file in a folder of the model's name belongs to the model. Any other describes the graphs of its folder
    and below, if they all load one model; the nearest file counts.
    """
    named = _find_named_config(recipe, model)
    if named is not None:
        return named
    above = [c for c in recipe.configs if not c.model and _is_below(graph.file, c.scope)]
    nearest = max(above, key=lambda config: len(config.scope), default=None)
    if nearest is None or sum(config.scope == nearest.scope for config in above) > 1:
        return None
    loaded = {
        m for each in recipe.deployments if _is_below(each.file, nearest.scope) for m in _list_models(each)
    }
    return nearest if loaded == {model} else None


def _find_named_config(recipe: Recipe, model: str) -> ModelConfig | None:
    wanted = posixpath.basename(model.rstrip("/")).lower()
    found = [c for c in recipe.configs if not c.model and posixpath.basename(c.folder).lower() == wanted]
    return found[0] if wanted and len(found) == 1 else None


def _list_models(graph: Graph) -> set[str | None]:
    return {worker.engine.model(worker.given) for worker in find_instances(graph)}


def _is_below(file: str, folder: str) -> bool:
    return folder == "." or file.startswith(f"{folder.rstrip('/')}/")
