"""Checks that a recipe's endpoint pickers are configured for their workers."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.core.fixes import set_value, set_variable
from dynocheck.engines import EngineInstance, find_instances
from dynocheck.facts import (
    Component,
    Graph,
    LabelledPod,
    Manifest,
    Recipe,
    Recipes,
    Value,
    label_pods,
    parse_count,
)


class _RecipePicker(NamedTuple):
    """An endpoint picker, its graph, and its `eppConfig.config`, if any."""

    recipe: Recipe
    graph: Graph
    component: Component
    config: Value | None


@check("gaie.picker", title="Endpoint pickers are configured for their workers")
def picker(recipes: Recipes) -> Iterator[Finding]:
    """An endpoint picker exits if its configuration refers to a plugin that it does not list. A filter by a
    label that no worker has finds no worker. With another block size than the workers', it computes other
    hashes, and never finds a cached prefix.

    Judged are the graph's `eppConfig.config` and the picker's variables; a configuration in a ConfigMap is
    not judged. The port that an InferencePool gives must be one of the picker's Service.

    Fix: DYN_KV_CACHE_BLOCK_SIZE and DYN_MODEL_NAME as the workers' --block-size and model
    """
    pickers = [picker for recipe in recipes for picker in _find_pickers(recipe)]
    references = [found for recipe in recipes for found in _find_references(recipe)]
    if not (pickers or references):
        raise Skip("no graph has an endpoint picker")
    for pool, port, service in references:
        yield from _check_port(pool, port, service)
    for picker in pickers:
        engines = list(find_instances(picker.graph))
        if picker.config is not None:
            yield from _check_plugins(picker, picker.config)
            yield from _check_filters(picker, picker.config)
        yield from _check_variables(picker, engines)


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


def _find_references(recipe: Recipe) -> Iterator[tuple[Manifest, Value, Manifest]]:
    """The InferencePools that name a Service of their folder as picker, with the port that they give."""
    for pool in recipe.own_manifests:
        reference = pool.root.get("spec", "endpointPickerRef") or pool.root.get("spec", "extensionRef")
        if pool.kind != "InferencePool" or reference is None:
            continue
        port = reference.get("port", "number") or reference.get("portNumber")
        folder, space = pool.file.rpartition("/")[0], pool.root.get_text("metadata", "namespace")
        for each in recipe.own_manifests:
            same = (each.kind, each.name) == ("Service", reference.get_text("name")) and not each.group
            near = each.file.rpartition("/")[0] == folder
            if port is not None and same and near and each.root.get_text("metadata", "namespace") == space:
                yield pool, port, each


def _check_port(pool: Manifest, port: Value, service: Manifest) -> Iterator[Finding]:
    ports = [each.get("port") for each in service.root.get_items("spec", "ports")]
    numbers = [each.data for each in ports if each is not None and isinstance(each.data, int)]
    if isinstance(port.data, int) and numbers and port.data not in numbers:
        yield fail(
            f"InferencePool {pool.name} asks its picker on port {port.data}, Service {service.name} has "
            f"{', '.join(map(str, numbers))}",
            fix=set_value("number", numbers[0]) if len(numbers) == 1 else None,
            location=Location(pool.file, port.line, port.column),
        )


def _get_name(plugin: Value) -> str:
    return plugin.get_text("name") or plugin.get_text("type")


def _check_plugins(picker: _RecipePicker, config: Value) -> Iterator[Finding]:
    listed = {_get_name(plugin) for plugin in config.get_items("plugins")}
    for profile in config.get_items("schedulingProfiles"):
        for plugin in profile.get_items("plugins"):
            name = plugin.get_text("pluginRef")
            if name not in listed:
                yield fail(
                    f"profile {profile.get_text('name')} of {picker.component.name} uses plugin {name}, "
                    "which its configuration does not list",
                    fix=_suggest_plugin(name, listed),
                    location=Location(picker.graph.file, plugin.line, plugin.column),
                )


def _suggest_plugin(name: str, listed: Iterable[str]) -> str:
    first = next(iter(get_close_matches(name, sorted(listed), n=1, cutoff=0)), None)
    if first is None:
        return "list it under plugins"
    others = ", ".join(sorted({*listed} - {first}))
    return set_value("pluginRef", first, f"or {others}" if others else "")


def _check_filters(picker: _RecipePicker, config: Value) -> Iterator[Finding]:
    workers = [
        pod
        for pod in label_pods(picker.recipe)
        if pod.template.of_graph
        and pod.template.manifest.file == picker.graph.file
        and pod.template.manifest.name == picker.graph.name
    ]
    for plugin in config.get_items("plugins"):
        label, optional = plugin.get_text("parameters", "label"), plugin.get("parameters", "allowsNoLabel")
        if optional is not None and optional.data is True:
            continue
        if plugin.get_text("type") != "label-filter" or not label.startswith("nvidia.com/dynamo-component"):
            continue
        values = {value.text or "" for value in plugin.get_items("parameters", "validValues")}
        place = plugin.get("parameters", "validValues") or plugin
        if values and not any(_has_label(pod, label, values) for pod in workers):
            yield fail(
                f"filter {_get_name(plugin)} of {picker.component.name} selects pods with {label} "
                f"{' or '.join(sorted(values))}, but no component of its graph has that",
                fix="name the types of the graph's workers in validValues",
                evidence={"components": {c.name: c.role for c in picker.graph.components}},
                location=Location(picker.graph.file, place.line, place.column),
            )


def _has_label(pod: LabelledPod, label: str, values: set[str]) -> bool:
    return bool(pod.labels.get(label, frozenset()) & values)


def _check_variables(picker: _RecipePicker, engines: list[EngineInstance]) -> Iterator[Finding]:
    main = picker.component.main
    size = main.find_variable("DYN_KV_CACHE_BLOCK_SIZE") if main else None
    model = main.find_variable("DYN_MODEL_NAME") if main else None
    for engine in engines:
        argument = engine.given.get("block-size", "page-size", "kv-block-size")
        tokens = argument.integer if argument is not None else None
        expected = parse_count(size.value) if size is not None else None
        if size is None or tokens is None or expected is None or expected == tokens:
            continue
        yield warn(
            f"{picker.component.name} uses blocks of {expected} tokens, {engine.name} blocks of {tokens}: "
            "it never finds a cached prefix",
            fix=set_variable(size.name, tokens),
            location=Location(picker.graph.file, size.line, size.column),
        )
    served = {name for engine in engines for name in (engine.model, engine.served_name)}
    if model is None or not model.value or model.value.startswith("/") or not engines or None in served:
        return
    if model.value not in served:
        yield fail(
            f"{picker.component.name} is configured for {model.value}, its graph serves "
            f"{', '.join(sorted(filter(None, served)))}",
            fix=set_variable(model.name, engines[0].model),
            location=Location(picker.graph.file, model.line, model.column),
        )
