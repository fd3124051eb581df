"""The servers that load the engines which a recipe builds."""

from collections.abc import Iterator

from dynocheck.facts import Component, EngineBuild, Graph, Recipe

_TRITON = "tritonserver"


def find_build_servers(recipe: Recipe, build: EngineBuild) -> Iterator[tuple[Graph, Component]]:
    """The servers of an engine: those that mount the claim that it is built on.

    If none does, Triton for TensorRT-LLM in the builder's namespace, if the recipe builds only one engine.
    """
    servers = [(graph, component) for graph in recipe.deployments for component in graph.components]
    mounting = [each for each in servers if mounts_build(build, each[1])]
    if mounting or len(recipe.builds) > 1:
        yield from mounting
    else:
        yield from (each for each in servers if _serves_builds(recipe, build, *each))


def mounts_build(build: EngineBuild, component: Component) -> bool:
    """Whether a component mounts the claim that an engine is built on."""
    return bool(build.claim) and any(mount.name == build.claim for mount in component.claims)


def _serves_builds(recipe: Recipe, build: EngineBuild, graph: Graph, component: Component) -> bool:
    """Whether it is a Triton for TensorRT-LLM in the builder's namespace."""
    loads = any("trtllm" in (each.image or "") for each in component.containers)
    return loads and is_triton(component) and _find_namespace(recipe, graph) == build.namespace


def is_triton(component: Component) -> bool:
    """Whether a component starts Triton."""
    return any(f"/{_TRITON}:" in f"/{each.image}" for each in component.containers)


def _find_namespace(recipe: Recipe, graph: Graph) -> str | None:
    found = (
        manifest.root.get_text("metadata", "namespace")
        for manifest in recipe.manifests
        if (manifest.file, manifest.kind, manifest.name) == (graph.file, graph.kind, graph.name)
    )
    return next(found, "") or None
