"""Facts about recipes: their graphs, claims, downloads, benchmarks, READMEs and model configurations.

Lines and columns count from 1.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from dynocheck.facts.base import Fact, FactList
from dynocheck.facts.recipe.containers import Container, EnvVar, Mount, TritonModel, Word
from dynocheck.facts.recipe.documents import Manifest, Problem, Role, SourceFile, Value
from dynocheck.facts.recipe.inline_suppressions import IgnoreComment


class RecipeFact(Fact, frozen=True):
    """A fact that requires recipe files."""


class RecipePaths(NamedTuple):
    """The paths to recipes that the user named: the input of the probe of recipes.

    `variables` fill in templates, as envsubst would; `render` is whether kustomize renders overlays, if it is
    installed.
    """

    items: tuple[str, ...]
    variables: Mapping[str, str] = MappingProxyType({})
    render: bool = False


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """A component of a graph, in the same form for both API versions.

    `role` is frontend, worker, prefill, decode, planner, epp, or any other type in the manifest. `gpus` is
    per node, and None if GPUs are requested through a resource claim; `gpu_places` are the fields below the
    component that count them. `nodes` is the number of nodes that one replica spans. `sidecar` is true if a
    frontend runs beside its engine. `pod` is the path of its pod's spec, of one without Dynamo. `resources`
    are the extended resources that its engine's containers request besides GPUs, per node.
    """

    name: str
    role: str
    replicas: int
    nodes: int
    gpus: int | None
    containers: tuple[Container, ...]
    claims: tuple[Mount, ...]
    sidecar: bool = False
    pod: str = ""
    resources: dict[str, str] = {}
    gpu_places: tuple[str, ...] = ()
    line: int
    column: int

    @property
    def main(self) -> Container | None:
        return next(
            (c for c in self.containers if c.name == "main"),
            self.containers[0] if self.containers else None,
        )


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A PersistentVolumeClaim that a recipe creates, by its own manifest or through the operator.

    `storage_class` is None if it uses the default class; an empty name requests no class. `size` is a
    quantity as in the manifest, None if missing.
    """

    file: str
    name: str
    storage_class: str | None
    access_modes: tuple[str, ...]
    size: str | None = None
    line: int
    column: int


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """A DynamoGraphDeployment, or by its `kind` one component of Dynamo alone, or a pod template of another
    workload that starts an engine.

    `limits` is its annotation with limits for load tests; its text is None if that is not a string.
    `uses_grove` is false if its annotation keeps it from Grove; `queue` is the queue of KAI Scheduler that
    its annotation names.
    """

    file: str
    name: str
    api_version: str
    framework: str | None
    components: tuple[Component, ...]
    limits: Word | None = None
    uses_grove: bool = True
    queue: str = "dynamo"
    kind: str = "DynamoGraphDeployment"
    line: int
    column: int

    @property
    def of_dynamo(self) -> bool:
        """Whether Dynamo's operator makes its pods."""
        return self.kind in ("DynamoGraphDeployment", "DynamoComponentDeployment")

    @property
    def services(self) -> list[str]:
        """The names that the operator gives to the Services of its frontends."""
        return [f"{self.name}-{c.name.lower()}" for c in self.components if c.role == "frontend"]

    @property
    def group(self) -> str:
        """The API group of its manifest."""
        return self.api_version.rpartition("/")[0]

    @property
    def gpus(self) -> int | None:
        """The GPUs of the whole graph; None if those of a component are unknown."""
        total = 0
        for component in self.components:
            if component.gpus is None:
                return None
            total += component.replicas * component.nodes * component.gpus
        return total


class Download(msgspec.Struct, frozen=True, kw_only=True):
    """A model that a Job downloads from a hub; `model` is its hub id, None if unknown.

    `folder` is the target folder as `claim:path`, so that it is comparable across mounts; None if the command
    names none. `cached` is true if the command names no folder, so that the model goes to the Hugging Face
    cache. `revision` is None if it is the hub's main one or unknown. `path` is the target folder as the
    container sees it; `verb` is the subcommand of `hf` as it is written. The variables of `container` include
    those that its command sets.
    """

    file: str
    model: str | None
    folder: str | None
    cached: bool
    revision: str | None = None
    path: str | None = None
    verb: str = "download"
    container: Container
    line: int
    column: int


class EngineBuild(msgspec.Struct, frozen=True, kw_only=True):
    """An engine of TensorRT-LLM that a workload builds with trtllm-build.

    `folder` is where to, as `claim:path`, None if that is unknown or on no claim. `ranks` are the GPUs that
    it is built for, by the sizes of its checkpoint; None if unknown. `models` are what its container
    downloads.
    """

    file: str
    name: str
    namespace: str | None
    folder: str | None
    ranks: int | None
    models: tuple[str, ...]
    pod: Value
    line: int
    column: int

    @property
    def claim(self) -> str:
        """The claim that it is built on; empty if unknown."""
        return (self.folder or "").partition(":")[0]


class Benchmark(msgspec.Struct, frozen=True, kw_only=True):
    """A workload that runs a load generator: its endpoint and model, if known.

    `endpoint` and `model` have the name of the variable or flag that they come from. `commands` are the
    commands of its container.
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
        """Whether it is in the folder of this graph."""
        return self.file.rpartition("/")[0] == graph.file.rpartition("/")[0]

    def find_targets(self, graphs: Sequence[Graph]) -> list[Graph]:
        """The graphs at its endpoint, of those in its folder or else of all; none if it names no Service."""
        beside = [graph for graph in graphs if self.is_beside(graph)]
        return [graph for graph in beside or graphs if self.service in graph.services]

    @property
    def service(self) -> str:
        """The Service that its endpoint names; empty without an endpoint."""
        host = (self.endpoint.value or "") if self.endpoint else ""
        return re.sub(r"^\w+://", "", host).partition(":")[0].partition("/")[0].partition(".")[0]


class Mention(msgspec.Struct, frozen=True):
    """A file, folder or heading that a README names; `found` is None if it was not looked for."""

    text: str
    found: bool | None
    line: int
    column: int


class ReadmeRow(msgspec.Struct, frozen=True):
    """A row of a table in a README: its cells by header, and the folders that it names."""

    cells: dict[str, str]
    folders: tuple[str, ...]
    line: int


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A README: the commands of its shell blocks, the files that they name or make, its links and tables.

    The `folders` of its rows are relative to the recipe, as the recipe's own are.
    """

    path: str
    commands: tuple[tuple[Word, ...], ...] = ()
    made: tuple[str, ...] = ()
    files: tuple[Mention, ...] = ()
    links: tuple[Mention, ...] = ()
    rows: tuple[ReadmeRow, ...] = ()


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A `config.json` of the Hugging Face hub: its contents and errors.

    `model` is the model's hub id, for one that is not in a recipe but in the hub's cache or on the hub.

    `scope` is the folder whose graphs, at any depth, may use it: its own, or the model's for one in
    `model-cache/`. `checkpoint` is the size of all weights in bytes, from the index beside it; None without
    one. The contents of a `hf_quant_config.json` beside it are in `config` as `quantization_config`.
    """

    file: str
    scope: str
    model: str = ""
    config: dict[str, Any] = {}
    checkpoint: int | None = None
    problems: tuple[tuple[str, Problem], ...] = ()

    @property
    def folder(self) -> str:
        return self.file.rpartition("/")[0]


class AdapterConfig(msgspec.Struct, frozen=True):
    """The `adapter_config.json` of a LoRA adapter: the name of its folder, and its rank."""

    name: str
    rank: int


class PlaceholderFile(msgspec.Struct, frozen=True):
    """A file without its contents: `why` is pointer (of Git LFS), dangling (a link), outside (a
    link out of the tree) or empty.
    """

    path: str
    why: str


class UnreadPart(msgspec.Struct, frozen=True):
    """A part of a recipe that is not read: what it is, why, and where it begins. No check sees it.

    `chart` is true for a Helm chart, `missing` for a path that a kustomization names and that is not there,
    rather than something that exceeds a limit.
    """

    what: str
    file: str
    line: int
    column: int
    chart: bool = False
    missing: bool = False


class Recipe(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The contents of one path that the user named: the folder of a model, a variant of it, or manifests.

    `shape` is model, variant or manifests; or index, for the pages beside the models of a folder. `folders`
    are all its subfolders, relative to `path`. `servers` are the workloads that start an engine, or
    a part of Dynamo, without a graph. `scripts` are the shell scripts that ask a server for a model.
    """

    path: str
    shape: str
    files: tuple[SourceFile, ...]
    folders: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    graphs: tuple[Graph, ...] = ()
    servers: tuple[Graph, ...] = ()
    downloads: tuple[Download, ...] = ()
    builds: tuple[EngineBuild, ...] = ()
    benchmarks: tuple[Benchmark, ...] = ()
    pages: tuple[Page, ...] = ()
    scripts: tuple[Page, ...] = ()
    ignores: tuple[IgnoreComment, ...] = ()
    hollow: tuple[PlaceholderFile, ...] = ()
    configs: tuple[ModelConfig, ...] = ()
    triton_models: tuple[TritonModel, ...] = ()
    adapters: tuple[AdapterConfig, ...] = ()
    unread: tuple[UnreadPart, ...] = ()

    @property
    def deployments(self) -> tuple[Graph, ...]:
        """Everything that starts engines: its graphs, and its workloads without Dynamo."""
        return (*self.graphs, *self.servers)

    @property
    def own_files(self) -> Iterator[SourceFile]:
        """The files of the recipe itself, without the model around it."""
        return (file for file in self.files if file.role is not Role.CONTEXT)

    @property
    def own_manifests(self) -> Iterator[Manifest]:
        """Every object of its own files that is applied with kubectl."""
        for file in self.files:
            if file.role is Role.MANIFEST:
                yield from file.manifests

    def find_downloads(self, graph: Graph) -> tuple[Download, ...]:
        """The downloads that fill the cache of a graph: those of its own part of the recipe.

        A folder with graphs is a part; a download beside them is for these. One in a folder without a graph,
        such as model-cache, is for all that lies in the nearest folder above it with a graph.
        """
        return tuple(d for d in self.downloads if graph.file.startswith(self._find_part(d.file)))

    def _find_part(self, file: str) -> str:
        above = (folder for folder in _list_folders(file) if folder in self._graph_folders)
        return next(above, "")

    @cached_property
    def _graph_folders(self) -> frozenset[str]:
        """The folders with a graph in them, at any depth."""
        return frozenset(folder for graph in self.graphs for folder in _list_folders(graph.file))

    @property
    def manifests(self) -> Iterator[Manifest]:
        """Every object that is applied with kubectl, of the recipe and of the model around it."""
        for file in self.files:
            if file.role is not Role.KUSTOMIZE:
                yield from file.manifests


def _list_folders(file: str) -> Iterator[str]:
    """The folders that a file is in, innermost first, each with a slash at its end."""
    end = file.rfind("/")
    while end >= 0:
        yield file[: end + 1]
        end = file.rfind("/", 0, end)


class Recipes(RecipeFact, FactList[Recipe], frozen=True):
    """Every recipe that the user named."""


class IgnoreUse(msgspec.Struct, frozen=True):
    """The effect of one id or glob of a comment: whether it names a check, and suppressed a finding.

    `used` is None if some of its checks could not run.
    """

    ignore: IgnoreComment
    pattern: str
    known: bool
    used: bool | None


class IgnoreUses(RecipeFact, FactList[IgnoreUse], frozen=True):
    """The effect of every inline comment; known after all other checks have run."""
