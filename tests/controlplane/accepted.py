"""Definitions as an API server wrote them when it accepted them: put into etcd, they are served much sooner.

They are kept in the cache, a file each, by the API server's binary and by what was asked of it.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from tests.controlplane import build
from tests.controlplane.api import Object
from tests.controlplane.store import ROOT, Store

_FORMAT = 2  # another folder than that of before
_DEFINITIONS = f"{ROOT}apiextensions.k8s.io/customresourcedefinitions/"


class AcceptedDefinitions:
    """What is kept of an API server, for the etcd under it."""

    def __init__(self, store: Store, api_server: Path) -> None:
        self._store = store
        about = api_server.stat()
        version = f"{api_server} {about.st_size} {about.st_mtime_ns} {_FORMAT}"
        self._folder = build.cache() / f"accepted-{build.digest(version.encode())}"
        self._unknown: list[Object] = []

    def put(self, crds: Iterable[Object]) -> list[Object]:
        """Put those into etcd that are kept and not there yet; give the others."""
        others = []
        for crd in crds:
            key, file = self._find(crd)
            if self._store.get(key):  # it may have been changed since it was accepted
                others.append(crd)
            elif file.exists():
                self._store.put(key, file.read_text())
            else:
                others.append(crd)
                self._unknown.append(crd)
        return others

    def keep(self) -> None:
        """Keep those that were neither kept nor there, and are served now."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for crd in self._unknown:
            key, file = self._find(crd)
            if value := self._store.get(key):
                scratch = file.with_suffix(f".{os.getpid()}")  # another process may read meanwhile
                scratch.write_text(value)
                scratch.rename(file)

    def _find(self, crd: Object) -> tuple[str, Path]:
        name = crd["metadata"]["name"]
        asked = build.digest(json.dumps(crd, sort_keys=True).encode())
        return f"{_DEFINITIONS}{name}", self._folder / f"{name}-{asked}"
