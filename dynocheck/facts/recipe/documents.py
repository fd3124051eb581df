"""The files of recipes as YAML values with positions. Lines and columns count from 1."""

import enum
import re
from collections.abc import Collection, Iterator
from functools import cached_property
from typing import Any

import msgspec

_VARIABLE = re.compile(r"\$(?:\{(\w+)|([A-Z][A-Z0-9_]+)\b)")


class Value(msgspec.Struct, frozen=True, array_like=True):
    """A YAML value with its position; that of its key if it is a block on the lines below the key."""

    data: bool | int | float | str | list["Value"] | dict[str, "Value"] | None
    line: int
    column: int

    @property
    def mapping(self) -> dict[str, "Value"]:
        """The entries of a mapping, without explicit nulls, which the API server prunes; else empty."""
        if not isinstance(self.data, dict):
            return {}
        return {key: value for key, value in self.data.items() if value.data is not None}

    @property
    def sequence(self) -> list["Value"]:
        """The elements of a sequence; else empty."""
        return self.data if isinstance(self.data, list) else []

    @property
    def text(self) -> str | None:
        """The string; None if it is not a string."""
        return self.data if isinstance(self.data, str) else None

    @property
    def plain(self) -> Any:
        """The data without positions."""
        if isinstance(self.data, dict):
            return {key: value.plain for key, value in self.data.items()}
        if isinstance(self.data, list):
            return [value.plain for value in self.data]
        return self.data

    def walk(self) -> Iterator["Value"]:
        """Itself and every value in it, at any depth."""
        pending = [self]
        while pending:
            value = pending.pop()
            yield value
            pending += value.mapping.values() or value.sequence

    def find_all(self, key: str) -> Iterator["Value"]:
        """Every value under this key, at any depth."""
        return (value for _, value in self.find_entries((key,)))

    def find_entries(self, keys: Collection[str]) -> Iterator[tuple[str, "Value"]]:
        """Every value under one of these keys, at any depth, with its key."""
        wanted = frozenset(keys)
        pending = [self]
        while pending:
            data = pending.pop().data
            if isinstance(data, dict):
                for key in keys if not wanted.isdisjoint(data) else ():
                    if key in data and data[key].data is not None:
                        yield key, data[key]
                pending += [value for value in data.values() if isinstance(value.data, (dict, list))]
            elif isinstance(data, list):
                pending += [value for value in data if isinstance(value.data, (dict, list))]

    def get(self, *path: str) -> "Value | None":
        """The value at this path; None if it is missing or null, or a value above it is not a mapping."""
        value = self
        for key in path:
            entry = value.data.get(key) if isinstance(value.data, dict) else None
            if entry is None or entry.data is None:
                return None
            value = entry
        return value

    def get_text(self, *path: str) -> str:
        """The string at this path; empty if there is none."""
        value = self.get(*path)
        return (value.text if value else None) or ""

    def get_items(self, *path: str) -> list["Value"]:
        """The elements of the list at this path; empty if there is none."""
        value = self.get(*path)
        return value.sequence if value else []


class Problem(msgspec.Struct, frozen=True):
    """An error in a file; if it is `fatal`, the rest of the file was not read.

    `fix` is the remedy for one that is not fatal. `when_rendered`: it goes once a template is rendered, as
    `fix` says.
    """

    message: str
    line: int | None = None
    column: int | None = None
    fatal: bool = True
    fix: str = ""
    when_rendered: bool = False


class Manifest(msgspec.Struct, frozen=True, dict=True):
    """A YAML document that is a mapping, as Kubernetes objects are: its file and its root.

    `completed`: what its controller adds of another object is in it, as a runtime is in KServe's services.
    """

    file: str
    root: Value
    completed: bool = False

    @cached_property
    def kind(self) -> str:
        return self.root.get_text("kind")

    @cached_property
    def api_version(self) -> str:
        return self.root.get_text("apiVersion")

    @cached_property
    def group(self) -> str:
        """The API group, empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @cached_property
    def name(self) -> str:
        return self.root.get_text("metadata", "name")


class Role(enum.StrEnum):
    """How a file is used."""

    MANIFEST = "manifest"  # applied with kubectl
    KUSTOMIZE = "kustomize"  # an input of kustomize: rendered, never applied itself
    CONTEXT = "context"  # part of the model around what the user named: read, not checked


class SourceFile(msgspec.Struct, frozen=True, dict=True):
    """A file of a recipe: its path as the user would write it, its documents, and its errors.

    `template`: its `${NAME}` are filled in before it is applied; or those alone that `tags` names, which says
    how each is spelled, such as `{{ NAME }}`. `announced` are the claims that it mounts and that a comment in
    it or a README above it mentions. `rendered`: it is not a file, but what kustomize makes of the one that
    its path names.
    """

    path: str
    documents: tuple[Value, ...] = ()
    problems: tuple[Problem, ...] = ()
    role: Role = Role.MANIFEST
    template: bool = False
    announced: tuple[str, ...] = ()
    rendered: bool = False
    tags: dict[str, str] = {}

    def is_open(self, value: Value) -> bool:
        """Whether a value is known only once the template is filled in."""
        return isinstance(value.data, str) and self.has_open_name(value.data)

    def list_open_places(self, root: Value) -> Iterator[tuple[int, int]]:
        """The line and column of each value below this one that is, or whose key is, known only later."""
        of_chart = self.rendered and self.path.rpartition("/")[2].startswith("Chart.yaml")
        for value in root.walk() if self.template or self.tags or of_chart else ():
            if self.is_open(value):
                yield value.line, value.column
            for key, entry in value.data.items() if isinstance(value.data, dict) else ():
                if self.has_open_name(key):
                    yield entry.line, entry.column
                elif of_chart and entry.data in (None, ""):  # by a value that the chart leaves empty
                    yield from ((value.line, value.column), (entry.line, entry.column))

    def has_open_name(self, text: str) -> bool:
        """Whether a text has a name that is filled in."""
        if not (self.template or self.tags) or "$" not in text:
            return False
        return any(self.is_open_name(match[1] or match[2]) for match in _VARIABLE.finditer(text))

    def is_open_name(self, name: str) -> bool:
        """Whether the template has a name filled in."""
        return self.template or name in self.tags

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0]

    @cached_property
    def manifests(self) -> tuple[Manifest, ...]:
        """Its objects. A `List`, or a list of a kind, is expanded, as kubectl does, and so is OpenShift's
        template, as `oc process` does.
        """
        return tuple(
            Manifest(self.path, value)
            for root in self.documents
            for value in _expand_list(root)
            if isinstance(value.data, dict)
        )


def is_openshift_template(root: Value) -> bool:
    """Whether an object holds others, with parameters to be filled in."""
    return root.get_text("kind") == "Template" and root.get_text("apiVersion").startswith(
        "template.openshift"
    )


def _expand_list(root: Value) -> list[Value]:
    items = root.get("items") if root.get_text("kind").endswith("List") else None
    if is_openshift_template(root):
        items = root.get("objects")
    return [root] if items is None else items.sequence
