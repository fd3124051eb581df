"""The files of recipes as YAML values, each with its place. Lines and columns count from 1."""

import enum
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec


class Value(msgspec.Struct, frozen=True, array_like=True):
    """A YAML value and where it stands: its own place, or its key's when it is a block below the key."""

    data: bool | int | float | str | list["Value"] | dict[str, "Value"] | None
    line: int
    column: int

    @property
    def mapping(self) -> dict[str, "Value"]:
        """Its entries, explicit nulls left out as the API server prunes them; empty when it is no mapping."""
        if not isinstance(self.data, dict):
            return {}
        return {key: value for key, value in self.data.items() if value.data is not None}

    @property
    def sequence(self) -> list["Value"]:
        """Its elements, or none when it is no sequence."""
        return self.data if isinstance(self.data, list) else []

    @property
    def text(self) -> str | None:
        """Its string, or None when it is something else."""
        return self.data if isinstance(self.data, str) else None

    @property
    def plain(self) -> Any:
        """The same data without positions."""
        if isinstance(self.data, dict):
            return {key: value.plain for key, value in self.data.items()}
        if isinstance(self.data, list):
            return [value.plain for value in self.data]
        return self.data

    def find_all(self, key: str) -> Iterator["Value"]:
        """Each value that stands under this key, at any depth."""
        pending = [self]
        while pending:
            for name, value in pending.pop()._entries():
                if name == key:
                    yield value
                pending.append(value)

    def _entries(self) -> Iterable[tuple[str, "Value"]]:
        return self.mapping.items() or (("", element) for element in self.sequence)

    def get(self, *path: str) -> "Value | None":
        """The value under these keys, or None where one is missing, null or no mapping."""
        value = self
        for key in path:
            found = value.data.get(key) if isinstance(value.data, dict) else None
            if found is None or found.data is None:
                return None
            value = found
        return value


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with a file as YAML. A `fatal` one means that what follows it was not read.

    `fix` says what to do about one that is not.
    """

    message: str
    line: int | None = None
    column: int | None = None
    fatal: bool = True
    fix: str = ""


class Manifest(msgspec.Struct, frozen=True):
    """One YAML document that has the shape of an object: its file and its root."""

    file: str
    root: Value

    @property
    def kind(self) -> str:
        return self._string("kind")

    @property
    def api_version(self) -> str:
        return self._string("apiVersion")

    @property
    def group(self) -> str:
        """The API group, empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def name(self) -> str:
        return self._string("metadata", "name")

    def _string(self, *path: str) -> str:
        value = self.root.get(*path)
        return (value.text if value else None) or ""


class Role(enum.StrEnum):
    """What a file is read for."""

    MANIFEST = "manifest"  # applied as it stands
    KUSTOMIZE = "kustomize"  # an input of kustomize: rendered, never applied as it stands
    CONTEXT = "context"  # part of the model around what the user named: understood, not judged


class SourceFile(msgspec.Struct, frozen=True):
    """A file of a recipe: its path as the user would write it, its documents, and what is wrong with it."""

    path: str
    documents: tuple[Value, ...] = ()
    problems: tuple[Problem, ...] = ()
    role: Role = Role.MANIFEST

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def manifests(self) -> Iterator[Manifest]:
        """Its objects; those of a List, or of a kind's own list, each by itself, as kubectl takes them."""
        for root in self.documents:
            items = root.get("items") if Manifest(self.path, root).kind.endswith("List") else None
            for value in items.sequence if items is not None else [root]:
                if isinstance(value.data, dict):
                    yield Manifest(self.path, value)
