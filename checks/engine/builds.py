"""Checks that the engines which a recipe builds fit the servers that load them."""

import re
from collections.abc import Iterator

from dynocheck import Location, Result, Skip, check, fail, judged, unjudged, warn
from dynocheck.checks.engine._builds import find_build_servers, mounts_build
from dynocheck.core.fixes import set_gpus
from dynocheck.core.outcomes import Unjudged
from dynocheck.data.gpus import find_capability
from dynocheck.engines.memory_budget import PRODUCT_LABELS
from dynocheck.facts import (
    Component,
    EngineBuild,
    Graph,
    Placement,
    Recipe,
    Recipes,
    Value,
    find_server_template,
)

_SCRIPT = re.compile(r"\bpython3? (/[\w./-]+\.py)\b")  # not of the working directory
_PINNED = "a nodeSelector on nvidia.com/gpu.product in both pods"


@check("engine.builds", title="Built engines fit the servers that load them")
def builds(recipes: Recipes) -> Iterator[Result]:
    """An engine that trtllm-build makes runs on GPUs of the compute capability on which it was built, and on
    as many as the checkpoint was converted for: with others it is not loaded. A server finds it only on the
    claim to which it was written.

    A recipe's engine is compared with the servers that mount its claim; if none does, with Triton in the same
    namespace. Which scripts a builder's image has is not judged.

    Source: https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/advanced.html

    Fix: build on the GPUs that serve, to a claim that the server mounts
    """
    found = [
        (recipe, build, graph, component)
        for recipe in recipes
        for build in recipe.builds
        for graph, component in find_build_servers(recipe, build)
    ]
    if not found:
        raise Skip("no engine is built for a server of the recipe")
    for build in {id(build): build for _, build, _, _ in found}.values():
        yield from _list_scripts(build)
    for recipe, build, graph, component in found:
        yield from _compare_claims(build, graph, component)
        yield from _compare_gpu_types(recipe, build, graph, component)
        yield from _compare_ranks(build, graph, component)


def _list_scripts(build: EngineBuild) -> Iterator[Unjudged]:
    """The scripts that a builder runs from its image, of which nothing is known."""
    for container in build.pod.get_items("containers"):
        mounted = [mount.get_text("mountPath") for mount in container.get_items("volumeMounts")]
        for value in (*container.get_items("command"), *container.get_items("args")):
            for path in dict.fromkeys(_SCRIPT.findall(value.text or "")):
                if not any(path.startswith(f"{folder.rstrip('/')}/") for folder in mounted):
                    yield unjudged(
                        f"{build.name}: {path}",
                        why="whether its image has it is unknown",
                        needs="a script of a ConfigMap, or an image that is built with it",
                        location=Location(build.file, value.line, value.column),
                    )


def _compare_claims(build: EngineBuild, graph: Graph, component: Component) -> Iterator[Result]:
    if build.claim and component.claims and not mounts_build(build, component):
        mount = component.claims[0]
        yield warn(
            f"{component.name} does not mount claim {build.claim}, on which {build.name} builds its engine",
            fix=f"mount claim {build.claim} there, or build on claim {mount.name}",
            location=Location(graph.file, mount.line, mount.column),
        )


def _compare_gpu_types(
    recipe: Recipe, build: EngineBuild, graph: Graph, component: Component
) -> Iterator[Result]:
    template = find_server_template(recipe, graph, component)
    built = Placement(build.pod).find_required_values(*PRODUCT_LABELS)
    served = Placement(template.spec).find_required_values(*PRODUCT_LABELS) if template is not None else None
    on = {find_capability(product) for product in built or ()}
    runs = {find_capability(product) for product in served or ()}
    if not on or not runs or None in on | runs:
        yield unjudged(
            component.name,
            why="the manifests do not tell on which GPUs its engine is built and served",
            needs=_PINNED,
            location=Location(graph.file, component.line, component.column),
        )
        return
    yield judged(1, "engines")
    if on.isdisjoint(runs):
        products = ", ".join(sorted(built or ()))
        place = (template and _find_selector(template.spec)) or component
        yield (fail if mounts_build(build, component) else warn)(
            f"{component.name} runs on {', '.join(sorted(served or ()))}; its engine, which {build.name} "
            f"builds on {products}, is not loaded there",
            fix="build the engine on the GPUs that serve it",
            location=Location(graph.file, place.line, place.column),
        )


def _find_selector(pod: Value) -> Value | None:
    """Where a pod's nodeSelector names its GPU."""
    places = (pod.get("nodeSelector", label) for label in PRODUCT_LABELS)
    return next((place for place in places if place is not None), None)


def _compare_ranks(build: EngineBuild, graph: Graph, component: Component) -> Iterator[Result]:
    given = (component.gpus or 0) * component.nodes
    if build.ranks is not None and 0 < given < build.ranks:
        yield (fail if mounts_build(build, component) else warn)(
            f"{component.name}: the engine of {build.name} is built for {build.ranks} GPUs, "
            f"a replica is given {given}",
            fix=set_gpus(graph, component, build.ranks),
            location=Location(graph.file, component.line, component.column),
        )
