"""Lists kinds that a cluster may not serve, or only in another version of their API."""

from collections.abc import Iterable
from contextlib import suppress
from typing import TypeVar

from dynocheck.kube import Cluster, NotFound

T = TypeVar("T")


def list_first(cluster: Cluster, paths: Iterable[str], kind: type[T]) -> list[T] | None:
    """The objects at the first of these paths that the API server serves; None if it serves none."""
    for path in paths:
        with suppress(NotFound):
            return cluster.items(path, kind)
    return None
