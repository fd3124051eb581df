"""Checks the images of a graph: engine, pinned tags and one Dynamo release."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.data.images import ImageReference, find_image, parse_image
from dynocheck.engines import find_instances
from dynocheck.facts import Component, Container, Graph, Recipes, list_pod_templates

# The image that carries an engine, whatever registry it is in.
_IMAGES = {"vllm": "vllm-runtime", "sglang": "sglang-runtime", "trtllm": "tensorrtllm-runtime"}
_ENGINES = {image: engine for engine, image in _IMAGES.items()}
# An unreplaced placeholder; manifest.placeholders reports it.
_UNFILLED = re.compile(r"[<>{}$]|\byour-|\b(?:my|some)-(?:tag|image|registry)\b")
_SEMVER = re.compile(
    r"v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z.-]+)?"
)
_TOLERATED = ("frontend", "planner", "epp")  # roles for which some operators accept any tag
_MOVING = ("latest", "main", "nightly", "dev", "edge", "stable")
_RELEASE = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


class _ContainerImage(NamedTuple):
    """An image of a component's container."""

    graph: Graph
    component: Component
    container: Container
    image: str

    @property
    def reference(self) -> ImageReference:
        return parse_image(self.image)

    @property
    def place(self) -> Location:
        return Location(self.graph.file, self.container.image_line, self.container.image_column)


def _list_images(graph: Graph) -> Iterator[_ContainerImage]:
    for component in graph.components:
        for container in component.containers:
            if container.image and not _UNFILLED.search(container.image):
                yield _ContainerImage(graph, component, container, container.image)


def _list_graphs(recipes: Recipes) -> list[Graph]:
    found = [graph for recipe in recipes for graph in recipe.graphs]
    if not found:
        raise Skip("no DynamoGraphDeployment")
    return found


@check("graph.engine-agrees", title="backendFramework, command and image name the same engine")
def engine_agrees(recipes: Recipes) -> Iterator[Finding]:
    """The image brings an engine, the command starts one, and `backendFramework` tells the operator how to
    spread that over nodes and to probe it. An image of one engine cannot start another.

    Only Dynamo's own runtime images are known by name; a graph without `backendFramework` is judged by the
    other two.

    Fix: name the image, the module and the framework of one engine
    """
    for graph in _list_graphs(recipes):
        engines = list(find_instances(graph))
        for engine in engines:
            name, container = engine.engine.name, engine.container
            carried = _ENGINES.get(parse_image(container.image or "").dynamo_name)
            if carried is not None and carried != name:
                yield fail(
                    f"{engine.component.name} starts {engine.launch.module} in an image of {carried}",
                    fix=f"use the image {_IMAGES[name]}, or start dynamo.{carried}",
                    evidence={"image": container.image},
                    location=Location(graph.file, container.image_line, container.image_column),
                )
        others = [each for each in engines if each.engine.name != graph.framework]
        if graph.framework in _IMAGES and others:
            modules = sorted({each.launch.module for each in others})
            yield fail(
                f"graph {graph.name} has backendFramework: {graph.framework}, but its workers start "
                f"{', '.join(modules)}",
                fix=f"set backendFramework: {others[0].engine.name}",
                evidence={each.component.name: each.launch.module for each in others},
                location=_locate_framework(recipes, graph),
            )


def _locate_framework(recipes: Recipes, graph: Graph) -> Location:
    """Where a graph says its framework."""
    manifests = (m for recipe in recipes for m in recipe.manifests)
    same = (m.root for m in manifests if (m.file, m.name) == (graph.file, graph.name))
    said = next((value for root in same if (value := root.get("spec", "backendFramework"))), graph)
    return Location(graph.file, said.line, said.column)


@check("graph.images-pinned", title="Graph images are pinned to a release")
def images_pinned(recipes: Recipes) -> Iterator[Finding]:
    """An image without a tag, or with one that moves, is another image on the next node that pulls it: two
    workers of one graph then run different code.

    Dynamo's operator reads the runtime's version from the tag of a component's main image. Newer ones refuse
    a worker's tag that is no semantic version (`1.3.0`, `v1.3.0-rc.1`), digest or not, unless the component
    says `runtimeVersionOverride`.

    Fix: name a release's tag, with its digest for what must never change
    """
    overridden = _find_overrides(recipes)
    yield from _check_init_images(recipes)
    for graph in _list_graphs(recipes):
        for used in _list_images(graph):
            tag, pinned = used.reference.tag, "@" in used.image
            named = f"{used.component.name} runs {used.image}"
            if not pinned and tag in ("", *_MOVING):
                yield _warn_moving_tag(named, tag, used.place)
            elif (
                used.container is used.component.main
                and used.component.role not in _TOLERATED
                and not _SEMVER.fullmatch(tag)
                and (graph.file, used.component.line) not in overridden
            ):
                yield warn(
                    f"{named}, whose tag is not a semantic version: newer operators reject it "
                    "without runtimeVersionOverride",
                    fix="set runtimeVersionOverride to the release in the image, or use a release's tag",
                    location=used.place,
                )


def _check_init_images(recipes: Recipes) -> Iterator[Finding]:
    """Images that move, of the containers that run before those of a component."""
    for template in (t for recipe in recipes for t in list_pod_templates(recipe) if t.of_graph):
        started = template.spec.get("initContainers")
        for container in started.sequence if started is not None else ():
            image = container.get("image") or container
            named, tag = image.text or "", parse_image(image.text or "").tag
            if named and not _UNFILLED.search(named) and "@" not in named and tag in ("", *_MOVING):
                place = Location(template.manifest.file, image.line, image.column)
                yield _warn_moving_tag(
                    f"{template.owner.removeprefix('component ')} runs {named} first", tag, place
                )


def _warn_moving_tag(named: str, tag: str, place: Location) -> Finding:
    return warn(
        f"{named}, {'whose tag is mutable' if tag else 'which has no tag'}: each node may pull another image",
        fix="name a release's tag, such as 1.3.0",
        location=place,
    )


def _find_overrides(recipes: Recipes) -> set[tuple[str, int]]:
    """The components that say which release they run, by file and line."""
    graphs = (m for r in recipes for m in r.manifests if m.kind == "DynamoGraphDeployment")
    return {
        (manifest.file, entry.line)
        for manifest in graphs
        for holder in (manifest.root.get("spec", "services"), manifest.root.get("spec", "components"))
        if holder is not None
        for entry in (*holder.mapping.values(), *holder.sequence)
        if entry.get("runtimeVersionOverride") is not None
    }


@check("graph.one-release", title="All components of a graph run the same Dynamo release")
def one_release(recipes: Recipes) -> Iterator[Finding]:
    """Frontend, router and workers talk to each other in the protocols of their release; those of different
    releases may not find each other, or misread what they are sent.

    Only images of Dynamo with a release in their tag are compared, up to the minor version. An endpoint
    picker and a frontend beside an engine count too.

    Fix: give all images of a graph the same release
    """
    for graph in _list_graphs(recipes):
        releases: dict[str, _ContainerImage] = {}
        for used in _list_images(graph):
            release = _parse_release(used.reference)
            if release:
                releases.setdefault(release, used)
        if len(releases) > 1:
            odd = releases[list(releases)[-1]]
            yield warn(
                f"graph {graph.name} runs {len(releases)} releases of Dynamo: {', '.join(sorted(releases))}",
                fix="give all images of the graph the same release",
                evidence={name: f"{used.component.name}: {used.image}" for name, used in releases.items()},
                location=odd.place,
            )


def _parse_release(reference: ImageReference) -> str:
    """The minor release of one of Dynamo's images, empty when it is none or its tag does not tell."""
    if not reference.dynamo_name:
        return ""
    row = find_image(reference)
    found = _RELEASE.match(row.release if row is not None else reference.tag)
    return f"{found[1]}.{found[2]}" if found else ""
