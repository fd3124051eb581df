"""Whether the endpoint pickers of a recipe are set up for the workers they pick from."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.checks.gaie._scope import get_text
from dynocheck.engines import EngineInstance, find_instances
from dynocheck.facts import Component, Graph, LabelledPod, Recipe, Recipes, Value, label_pods, parse_count


class _RecipePicker(NamedTuple):
    """An endpoint picker, its graph, and its configuration where the manifest spells it out."""

    recipe: Recipe
    graph: Graph
    component: Component
    config: Value | None


@check("gaie.picker", title="Endpoint pickers are set up for the workers of their graph")
def picker(recipes: Recipes) -> Iterator[Finding]:
    """An endpoint picker whose configuration refers to a plugin that it does not list exits at once. One
    that filters by a label which no worker has finds nobody; one with another block size than the
    workers' computes other hashes, and no prefix is ever found.

    Judged is what the graph spells out in `eppConfig.config`, and the picker's variables; a configuration
    in a ConfigMap is not looked into.

    Fix: DYN_KV_CACHE_BLOCK_SIZE and DYN_MODEL_NAME as the workers' --block-size and model
    """
    found = [each for recipe in recipes for each in _find_pickers(recipe)]
    if not found:
        raise Skip("no graph has an endpoint picker")
    for each in found:
        engines = list(find_instances(each.graph))
        if each.config is not None:
            yield from _check_plugins(each, each.config)
            yield from _check_filters(each, each.config)
        yield from _check_variables(each, engines)


def _get_items(value: Value, *path: str) -> Sequence[Value]:
    found = value.get(*path)
    return found.sequence if found else []


def _find_pickers(recipe: Recipe) -> Iterator[_RecipePicker]:
    configs = {
        (pod.template.manifest.file, pod.template.around.line): pod.template.around.get("eppConfig", "config")
        for pod in label_pods(recipe)
        if pod.template.of_graph
    }
    for graph in recipe.graphs:
        for component in graph.components:
            if component.role == "epp":
                yield _RecipePicker(recipe, graph, component, configs.get((graph.file, component.line)))


def _get_name(plugin: Value) -> str:
    return get_text(plugin, "name") or get_text(plugin, "type")


def _check_plugins(each: _RecipePicker, config: Value) -> Iterator[Finding]:
    listed = {_get_name(plugin) for plugin in _get_items(config, "plugins")}
    for profile in _get_items(config, "schedulingProfiles"):
        for plugin in _get_items(profile, "plugins"):
            name = get_text(plugin, "pluginRef")
            if name not in listed:
                yield fail(
                    f"profile {get_text(profile, 'name')} of {each.component.name} uses plugin {name}, "
                    "which its configuration does not list",
                    fix=f"use one of: {', '.join(sorted(listed))}" if listed else "list it under plugins",
                    location=Location(each.graph.file, plugin.line, plugin.column),
                )


def _check_filters(each: _RecipePicker, config: Value) -> Iterator[Finding]:
    workers = [
        pod
        for pod in label_pods(each.recipe)
        if pod.template.of_graph
        and pod.template.manifest.file == each.graph.file
        and pod.template.manifest.name == each.graph.name
    ]
    for plugin in _get_items(config, "plugins"):
        label, allowed = get_text(plugin, "parameters", "label"), plugin.get("parameters", "allowsNoLabel")
        lax = allowed is not None and allowed.data is True
        if (
            get_text(plugin, "type") != "label-filter"
            or lax
            or not label.startswith("nvidia.com/dynamo-component")
        ):
            continue
        values = {value.text or "" for value in _get_items(plugin, "parameters", "validValues")}
        place = plugin.get("parameters", "validValues") or plugin
        if values and not any(_has_label(pod, label, values) for pod in workers):
            yield fail(
                f"filter {_get_name(plugin)} of {each.component.name} lets through pods with {label} "
                f"{' or '.join(sorted(values))}, and no component of its graph is one",
                fix="name the types of the graph's workers in validValues",
                evidence={"components": {c.name: c.role for c in each.graph.components}},
                location=Location(each.graph.file, place.line, place.column),
            )


def _has_label(pod: LabelledPod, label: str, values: set[str]) -> bool:
    return bool(pod.labels.get(label, frozenset()) & values)


def _check_variables(each: _RecipePicker, engines: list[EngineInstance]) -> Iterator[Finding]:
    main = each.component.main
    size = main.find_variable("DYN_KV_CACHE_BLOCK_SIZE") if main else None
    model = main.find_variable("DYN_MODEL_NAME") if main else None
    for engine in engines:
        given = engine.given.get("block-size", "page-size", "kv-block-size")
        tokens = given.integer if given is not None else None
        wanted = parse_count(size.value) if size is not None else None
        if size is None or tokens is None or wanted is None or wanted == tokens:
            continue
        yield warn(
            f"{each.component.name} counts on blocks of {wanted} tokens, "
            f"{engine.component.name} has {tokens}: no cached prefix is ever found",
            fix=f'set {size.name} to "{tokens}"',
            location=Location(each.graph.file, size.line, size.column),
        )
    known = {name for e in engines for name in (e.model, e.engine.served_name(e.given))}
    told = model.value if model is not None else None
    is_path = (told or "").startswith("/")
    if model is not None and told and not is_path and engines and None not in known and told not in known:
        yield fail(
            f"{each.component.name} is set up for {model.value}, its graph serves "
            f"{', '.join(sorted(filter(None, known)))}",
            fix=f"set {model.name} to {engines[0].model}",
            location=Location(each.graph.file, model.line, model.column),
        )
