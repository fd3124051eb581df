"""Facts about recipe folders: the graphs that they describe, and what belongs to those.

Lines and columns count from 1 everywhere.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from dynocheck.facts.base import Fact, FactList
from dynocheck.facts.recipe.containers import ConfigFile, Container, EnvVar, Launch, Mount, Word
from dynocheck.facts.recipe.documents import Manifest, Problem, Role, SourceFile, Value
from dynocheck.facts.recipe.inline_suppressions import IgnoreComment

__all__ = [
    "Benchmark",
    "Claim",
    "Component",
    "ConfigFile",
    "Container",
    "Download",
    "EnvVar",
    "Graph",
    "IgnoreUse",
    "IgnoreUses",
    "Launch",
    "Manifest",
    "Mention",
    "ModelConfig",
    "Mount",
    "Page",
    "PlaceholderFile",
    "Problem",
    "ReadmeRow",
    "Recipe",
    "RecipeFact",
    "RecipePaths",
    "Recipes",
    "Role",
    "SourceFile",
    "UnreadPart",
    "Value",
    "Word",
]


class RecipeFact(Fact, frozen=True):
    """A fact that only recipe files can give."""


class RecipePaths(NamedTuple):
    """The paths to recipes that the user named: what the probe of recipes looks at."""

    items: tuple[str, ...]


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
    """A DynamoGraphDeployment. `limits` is its annotation of that name; its text is None where it is none."""

    file: str
    name: str
    api_version: str
    framework: str | None
    components: tuple[Component, ...]
    limits: Word | None = None
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

    def is_beside(self, graph: Graph) -> bool:
        """Whether it lies in the folder of this graph."""
        return self.file.rpartition("/")[0] == graph.file.rpartition("/")[0]


class Mention(msgspec.Struct, frozen=True):
    """A file, folder or heading that a page names; `found` is None where nobody looked for it."""

    text: str
    found: bool | None
    line: int
    column: int


class ReadmeRow(msgspec.Struct, frozen=True):
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
    rows: tuple[ReadmeRow, ...] = ()


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


class PlaceholderFile(msgspec.Struct, frozen=True):
    """A file without what it is there for: `why` is pointer (of Git LFS), dangling (a link) or empty."""

    path: str
    why: str


class UnreadPart(msgspec.Struct, frozen=True):
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
    ignores: tuple[IgnoreComment, ...] = ()
    hollow: tuple[PlaceholderFile, ...] = ()
    configs: tuple[ModelConfig, ...] = ()
    unread: tuple[UnreadPart, ...] = ()

    @property
    def own_files(self) -> Iterator[SourceFile]:
        """The files that are this recipe's own."""
        return (file for file in self.files if file.role is not Role.CONTEXT)

    @property
    def manifests(self) -> Iterator[Manifest]:
        """Every object that is applied as it stands, of the recipe and of the model around it."""
        for file in self.files:
            if file.role is not Role.KUSTOMIZE:
                yield from file.manifests


class Recipes(RecipeFact, FactList[Recipe], frozen=True):
    """Every recipe that the user named."""


class IgnoreUse(msgspec.Struct, frozen=True):
    """What became of one id or glob of a comment: whether it names a check, and put a finding aside.

    `used` is None when not all of its checks could judge in this run.
    """

    ignore: IgnoreComment
    pattern: str
    known: bool
    used: bool | None


class IgnoreUses(RecipeFact, FactList[IgnoreUse], frozen=True):
    """Known once the checks have judged, so what needs it judges after all others."""
