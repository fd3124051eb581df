"""The release of an engine that each worker's image carries."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dynocheck.data.flags import Options, dynamo_release, options, pins
from dynocheck.facts.recipe.recipes import Launch, Recipe


class Pinned(NamedTuple):
    """A launch of an engine in a known release, and the options that Dynamo's own parser takes there."""

    file: str
    launch: Launch
    version: str
    own: Options


def pinned(recipes: Iterable[Recipe], engine: str) -> Iterator[Pinned]:
    """Every launch of this engine whose image tells the release."""
    for recipe in recipes:
        for graph in recipe.graphs:
            for component in graph.components:
                for container in component.containers:
                    release = dynamo_release(container.image or "")
                    version = pins(release).get(engine) if release else None
                    for launch in container.launches:
                        if release and version and launch.module == f"dynamo.{engine}":
                            own, *_ = options(launch.module, release)
                            yield Pinned(graph.file, launch, version, own)
