"""The engine version in each worker's image."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dynocheck.data.flags import FlagTable, dynamo_release, engine_versions, flag_tables
from dynocheck.facts import Launch, Recipe


class VersionedLaunch(NamedTuple):
    """A launch of an engine in a known release, with the options of Dynamo's own parser."""

    file: str
    launch: Launch
    version: str
    own: FlagTable


def find_versioned_launches(recipes: Iterable[Recipe], engine: str) -> Iterator[VersionedLaunch]:
    """The launches of an engine in images of a known release."""
    for recipe in recipes:
        for graph in recipe.graphs:
            for component in graph.components:
                for container in component.containers:
                    release = dynamo_release(container.image or "")
                    version = engine_versions(release).get(engine) if release else None
                    for launch in container.launches:
                        if release and version and launch.module == f"dynamo.{engine}":
                            own, *_ = flag_tables(launch.module, release)
                            yield VersionedLaunch(graph.file, launch, version, own)
