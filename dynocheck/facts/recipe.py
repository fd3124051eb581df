"""Facts about recipe folders: their files as YAML values with positions, and the graphs those describe.

Lines and columns count from 1 everywhere.
"""

import enum
import posixpath
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from dynocheck.facts.base import Fact, Many
from dynocheck.facts.ignores import Ignore


class RecipeFact(Fact, frozen=True):
    """A fact that only recipe files can give."""


class RecipePaths(NamedTuple):
    """The paths to recipes that the user named: what the probe of recipes looks at."""

    items: tuple[str, ...]


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

    def every(self, key: str) -> Iterator["Value"]:
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


class Word(msgspec.Struct, frozen=True):
    """A word of a command line; `text` is None when only the running container could know it."""

    text: str | None
    line: int
    column: int


class Launch(msgspec.Struct, frozen=True):
    """A Python module started by a container, such as `dynamo.vllm`, with the words that follow it.

    `env` are the variables that the script around it sets for it, over those of its container.
    """

    module: str
    words: tuple[Word, ...]
    line: int
    column: int
    env: tuple["EnvVar", ...] = ()


class EnvVar(msgspec.Struct, frozen=True):
    """An environment variable; `value` is None when it comes from a Secret, a field or outside the recipe."""

    name: str
    value: str | None
    line: int
    column: int


class Mount(msgspec.Struct, frozen=True):
    """A volume in a container: `source` is claim, configmap, secret, empty or other.

    `sub_path` is the folder of the volume that is mounted, empty for the whole.
    """

    path: str
    source: str
    name: str
    line: int
    column: int
    sub_path: str = ""
    read_only: bool = False


class ConfigFile(msgspec.Struct, frozen=True):
    """A file that a ConfigMap of the recipe puts into a container: its path there and what it says as YAML.

    The positions in `root` are those in the recipe's own `file`.
    """

    path: str
    file: str
    root: Value | None


class Container(msgspec.Struct, frozen=True):
    """A container of a pod. `image_line` and `image_column` are its own where it names no image."""

    name: str
    image: str | None
    env: tuple[EnvVar, ...]
    mounts: tuple[Mount, ...]
    launches: tuple[Launch, ...]
    files: tuple[ConfigFile, ...]
    line: int
    column: int
    image_line: int = 1
    image_column: int = 1

    def variable(self, name: str) -> EnvVar | None:
        return next((var for var in self.env if var.name == name), None)

    def mount_of(self, path: str) -> Mount | None:
        """The volume that an absolute path lies on, or None when it lies in the image."""
        path = posixpath.normpath(path)
        above = [m for m in self.mounts if m.path and f"{path}/".startswith(f"{m.path.rstrip('/')}/")]
        return max(above, key=lambda m: len(m.path.rstrip("/")), default=None)

    def on_claim(self, path: str) -> str | None:
        """A path relative to the claim it lies on, as `claim:path`; None when it is on none."""
        mount = self.mount_of(path)
        if mount is None or mount.source != "claim":
            return None
        inside = posixpath.join(mount.sub_path, posixpath.relpath(posixpath.normpath(path), mount.path))
        return f"{mount.name}:{posixpath.normpath(inside)}"


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a graph, the same from both API versions.

    `role` is frontend, worker, prefill, decode, planner or epp, or what the manifest says when it says
    something else. `gpus` counts per node, and is None when GPUs come by a resource claim. `nodes` is
    the number of nodes one replica spans. `sidecar` says that a frontend runs beside its engine.
    `resources` are the extended resources that its main container asks for besides GPUs, per node.
    """

    name: str
    role: str
    replicas: int
    nodes: int
    gpus: int | None
    containers: tuple[Container, ...]
    claims: tuple[Mount, ...]
    sidecar: bool = False
    resources: dict[str, str] = {}
    line: int
    column: int

    @property
    def main(self) -> Container | None:
        return next(
            (c for c in self.containers if c.name == "main"),
            self.containers[0] if self.containers else None,
        )


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A PersistentVolumeClaim that a recipe brings, by a manifest or by the operator's hand.

    `storage_class` is None when it names none and takes the default; an empty name asks for no class.
    `size` is a quantity as it is written, None when it names none.
    """

    file: str
    name: str
    storage_class: str | None
    access_modes: tuple[str, ...]
    size: str | None = None
    line: int
    column: int


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """A DynamoGraphDeployment."""

    file: str
    name: str
    api_version: str
    framework: str | None
    components: tuple[Component, ...]
    line: int
    column: int

    @property
    def gpus(self) -> int | None:
        """GPUs of the whole graph, or None when a component's are not known."""
        total = 0
        for component in self.components:
            if component.gpus is None:
                return None
            total += component.replicas * component.nodes * component.gpus
        return total


class Download(msgspec.Struct, frozen=True, kw_only=True):
    """A model that a Job fetches: its hub id, None when it cannot be told, and the folder it goes to.

    `folder` is relative to the claim it lies on, so that it compares across mounts; None when none is named.
    `cached` says that none is, and the model goes to the cache of the Hugging Face hub. `revision` is the
    one that is asked for, None when it is the hub's main one or cannot be told. `path` is the folder as the
    container knows it, where one is named. The variables of `container` are those that its command has.
    """

    file: str
    model: str | None
    folder: str | None
    cached: bool
    revision: str | None = None
    path: str | None = None
    container: Container
    line: int
    column: int


class Benchmark(msgspec.Struct, frozen=True, kw_only=True):
    """A workload that puts load on a service: where it sends it and the model it asks for, where told.

    Each is called by the variable, or the flag, that tells it. `commands` are the processes that its
    container runs, word by word.
    """

    file: str
    name: str
    endpoint: EnvVar | None
    model: EnvVar | None
    container: Container
    commands: tuple[tuple[Word, ...], ...]
    line: int
    column: int

    def beside(self, graph: Graph) -> bool:
        """Whether it lies in the folder of this graph."""
        return self.file.rpartition("/")[0] == graph.file.rpartition("/")[0]


class Mention(msgspec.Struct, frozen=True):
    """A file, folder or heading that a page names; `found` is None where nobody looked for it."""

    text: str
    found: bool | None
    line: int
    column: int


class Row(msgspec.Struct, frozen=True):
    """A row of a page's table: its cells by the headers above them, and the folders that it names."""

    cells: dict[str, str]
    folders: tuple[str, ...]
    line: int


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A README: the commands of its shell blocks, the files that those are given, its links and tables.

    `folders` of its rows are relative to the recipe, as the recipe's own are.
    """

    path: str
    commands: tuple[tuple[Word, ...], ...] = ()
    files: tuple[Mention, ...] = ()
    links: tuple[Mention, ...] = ()
    rows: tuple[Row, ...] = ()


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A `config.json` of the Hugging Face hub that lies in a recipe: what it says, and what is wrong with it.

    `scope` is the folder whose graphs it may be of, and those below: the one it lies in, or the model's when
    that is `model-cache/`. `checkpoint` are the bytes of all weights, by the index beside it; None when it
    has none. What a `hf_quant_config.json` beside it says is in `config` as `quantization_config`.
    """

    file: str
    scope: str
    config: dict[str, Any] = {}
    checkpoint: int | None = None
    problems: tuple[tuple[str, Problem], ...] = ()

    @property
    def folder(self) -> str:
        return self.file.rpartition("/")[0]


class Hollow(msgspec.Struct, frozen=True):
    """A file without what it is there for: `why` is pointer (of Git LFS), dangling (a link) or empty."""

    path: str
    why: str


class Unread(msgspec.Struct, frozen=True):
    """What is not read: what it is, why, and where it begins. No check knows what it says.

    `chart` says that it is one of Helm, and not too much to be read.
    """

    what: str
    file: str
    line: int
    column: int
    chart: bool = False


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What one path given by the user holds: a model's folder, a variant of it, or manifests.

    `shape` is model, variant or manifests. `folders` are all its folders, relative to `path`.
    """

    path: str
    shape: str
    files: tuple[SourceFile, ...]
    folders: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    graphs: tuple[Graph, ...] = ()
    downloads: tuple[Download, ...] = ()
    benchmarks: tuple[Benchmark, ...] = ()
    pages: tuple[Page, ...] = ()
    ignores: tuple[Ignore, ...] = ()
    hollow: tuple[Hollow, ...] = ()
    configs: tuple[ModelConfig, ...] = ()
    unread: tuple[Unread, ...] = ()

    @property
    def judged(self) -> Iterator[SourceFile]:
        """The files that are this recipe's own."""
        return (file for file in self.files if file.role is not Role.CONTEXT)

    @property
    def manifests(self) -> Iterator[Manifest]:
        """Every object that is applied as it stands, of the recipe and of the model around it."""
        for file in self.files:
            if file.role is not Role.KUSTOMIZE:
                yield from file.manifests


class Recipes(RecipeFact, Many[Recipe], frozen=True):
    """Every recipe that the user named."""


class IgnoreUse(msgspec.Struct, frozen=True):
    """What became of one id or glob of a comment: whether it names a check, and put a finding aside.

    `used` is None when not all of its checks could judge in this run.
    """

    ignore: Ignore
    pattern: str
    known: bool
    used: bool | None


class IgnoreUses(RecipeFact, Many[IgnoreUse], frozen=True):
    """Known once the checks have judged, so what needs it judges after all others."""
