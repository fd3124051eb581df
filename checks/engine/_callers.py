"""The requests that scripts of a recipe send to the engines behind its Services."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from dynocheck import Location
from dynocheck.facts import (
    Graph,
    Manifest,
    Recipe,
    Value,
    find_server_template,
    label_pods,
    list_matching,
    list_pod_templates,
    to_selector,
)

_HOST = re.compile(r"https?://([a-z0-9][a-z0-9.-]{0,252})(?![\w.$-])")
_MODEL = re.compile(r'\\?"model\\?"\s{0,9}:\s{0,9}\\?"([^"\\$<>{}]{1,200})\\?"')
_LOADS = "/load_lora_adapter"


class Call(NamedTuple):
    """What a container or a ConfigMap with scripts asks of servers: those whose Services it names.

    `models` are the names in bodies of requests, each with its place; `loads` is whether it has adapters
    loaded.
    """

    owner: str
    servers: tuple[Graph, ...]
    models: tuple[tuple[str, Location], ...]
    loads: bool


def list_calls(recipe: Recipe) -> Iterator[Call]:
    """Every container and ConfigMap that names a Service of the recipe whose pods start an engine."""
    services = map_services(recipe)
    if not services:
        return
    for owner, manifest, texts in _list_scripts(recipe):
        hosts = {match[1].partition(".")[0] for value in texts for match in _HOST.finditer(value.text or "")}
        servers = [server for host in sorted(hosts) for server in services.get(host, ())]
        if servers:
            places = [(value, Location(manifest.file, value.line, value.column)) for value in texts]
            yield Call(
                owner,
                tuple(servers),
                tuple((name, place) for value, place in places for name in _MODEL.findall(value.text or "")),
                any(_LOADS in (value.text or "") for value in texts),
            )


def _list_scripts(recipe: Recipe) -> Iterator[tuple[str, Manifest, list[Value]]]:
    """The words and variables of each container, and the scripts of each ConfigMap."""
    for template in list_pod_templates(recipe):
        for container in template.containers:
            words = [*container.get_items("command"), *container.get_items("args")]
            values = [value for env in container.get_items("env") if (value := env.get("value")) is not None]
            yield template.owner, template.manifest, [*words, *values]
    for manifest in recipe.own_manifests:
        data = manifest.root.get("data") if manifest.kind == "ConfigMap" else None
        if data is not None:
            yield f"ConfigMap {manifest.name}", manifest, [*data.mapping.values()]


def map_services(recipe: Recipe) -> dict[str, list[Graph]]:
    """The engines without Dynamo behind each Service of a recipe."""
    pods = [
        (server, template)
        for server in recipe.servers
        for component in server.components
        if (template := find_server_template(recipe, server, component)) is not None
    ]
    templates = {id(template) for _, template in pods}
    labelled = [pod for pod in label_pods(recipe) if id(pod.template) in templates] if pods else []
    found: dict[str, list[Graph]] = {}
    for manifest in recipe.manifests if pods else ():
        selector = manifest.root.get("spec", "selector") if manifest.kind == "Service" else None
        if selector is not None:
            chosen = {id(pod.template) for pod in list_matching(to_selector(selector), labelled)}
            found[manifest.name] = [server for server, template in pods if id(template) in chosen]
    return found
