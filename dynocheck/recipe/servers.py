"""Finds the engines that workloads start without Dynamo, each as a graph of one component."""

import re
from collections.abc import Iterator, Sequence

from dynocheck.data.servers import PROGRAMS, find_server_image
from dynocheck.facts import Component, Container, Graph, Manifest, PodTemplate, Value, read_pod_templates
from dynocheck.recipe.pods import DefaultCommand, PodReader
from dynocheck.recipe.resources import (
    collect_extended,
    count_gpus,
    deduplicate_claims,
    list_pod_gpu_places,
    read_integer,
)
from dynocheck.recipe.volumes import read_volumes

# What the command or the image of every known server contains.
_SIGN = re.compile(r"vllm|sglang|tensorrt|trtllm|triton|text-generation|llama", re.IGNORECASE)
_ENDING = ("Job", "CronJob")  # they run an engine's image for all sorts of tasks


def find_servers(manifest: Manifest, reader: PodReader) -> Iterator[Graph]:
    """The engines of a manifest's pods, but for those of a graph.

    A pod counts that starts a known server, and one that runs its image for good, whatever its command.
    """
    for template in read_pod_templates(manifest):
        sources = template.spec.get_items("containers")
        if template.of_graph or not any(map(_may_serve, sources)):
            continue
        volumes = read_volumes(template.spec)
        containers = [
            reader.read_container(source, volumes, defaults=_find_command(source)) for source in sources
        ]
        if any(_serves(container, manifest) for container in containers):
            yield _build_server(template, sources, containers)


def _may_serve(source: Value) -> bool:
    words = (source.get("image"), *source.get_items("command"), *source.get_items("args"))
    return any(_SIGN.search(word.text) for word in words if word is not None and word.text)


def _find_command(source: Value) -> DefaultCommand:
    """The command of a container's image."""
    server = find_server_image(source.get_text("image"))
    return DefaultCommand(server.entrypoint if server is not None else (), by_operator=False)


def _serves(container: Container, manifest: Manifest) -> bool:
    if any(launch.module in PROGRAMS for launch in container.launches):
        return True
    return manifest.kind not in _ENDING and find_server_image(container.image or "") is not None


def _build_server(template: PodTemplate, sources: Sequence[Value], containers: Sequence[Container]) -> Graph:
    manifest, spec = template.manifest, template.spec
    name = manifest.root.get("metadata", "name") or manifest.root
    volumes = read_volumes(spec)
    component = Component(
        name=manifest.name,
        role="worker",
        replicas=read_integer(manifest.root.get("spec", "replicas"), 1),
        nodes=1,
        gpus=count_gpus([[each.get("resources")] for each in sources], spec.get_items("resourceClaims")),
        containers=tuple(containers),
        claims=deduplicate_claims(volume.mount for volume in volumes.values()),
        resources=collect_extended([each.get("resources") for each in sources]),
        gpu_places=list_pod_gpu_places(template.path, sources),
        line=spec.line,
        column=spec.column,
    )
    return Graph(
        file=manifest.file,
        name=manifest.name,
        api_version=manifest.api_version,
        framework=None,
        components=(component,),
        uses_grove=False,
        kind=manifest.kind,
        line=name.line,
        column=name.column,
    )
