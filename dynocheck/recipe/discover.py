"""Paths that a user names to recipes: which folder is a model, which a variant, and what files count."""

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dynocheck.errors import UsageError
from dynocheck.facts.recipe import Manifest, Problem, Recipe, Role, SourceFile
from dynocheck.recipe.documents import read
from dynocheck.recipe.graphs import created_claims, graph, is_graph
from dynocheck.recipe.pods import Reader
from dynocheck.recipe.secrets import withhold
from dynocheck.recipe.workloads import benchmarks, claims, downloads

FRAMEWORKS = ("vllm", "sglang", "trtllm", "tokenspeed")
CACHE_FOLDER = "model-cache"
MAX_BYTES = 10 * 1024 * 1024
_SUFFIXES = (".yaml", ".yml")
_ANCESTORS = 6  # model/framework/mode is 3; the deepest seen upstream is 6


class NotARecipe(UsageError):
    """A path that the user named holds nothing to judge."""


class _Read(NamedTuple):
    file: SourceFile
    text: str


def load(paths: Iterable[str]) -> tuple[Recipe, ...]:
    """The recipes under these paths.

    :param paths: model folders, folders of models, variants or manifest files.
    :raises NotARecipe: a path is missing, unreadable, not YAML or has no manifest.
    """
    return tuple(recipe for path in paths for recipe in _load(path))


def _load(given: str) -> Iterator[Recipe]:
    path = Path(given)
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise NotARecipe(f"{given}: {_reason(error)}") from None
    if not stat.S_ISDIR(mode):
        yield _single(path)
        return
    models = [path] if _is_model(path) or _is_variant(path) else _models(path)
    recipes = [recipe for recipe in map(_folder, models) if any(recipe.judged)]
    yield from recipes
    if not recipes:
        raise NotARecipe(f"{given}: no recipe in it: not one YAML manifest (*.yaml, *.yml)")


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _children(path: Path) -> list[Path]:
    try:
        return sorted(child for child in path.iterdir() if child.is_dir() and child.name[0] != ".")
    except OSError as error:
        raise NotARecipe(f"{path}: {_reason(error)}") from None


def _is_model(path: Path) -> bool:
    return any(child.name in (CACHE_FOLDER, *FRAMEWORKS) for child in _children(path))


def _is_variant(path: Path) -> bool:
    return any(child.suffix in _SUFFIXES for child in path.iterdir() if child.is_file())


def _models(path: Path) -> list[Path]:
    """The models of a folder of models; a folder that is none of these is taken whole."""
    children = _children(path)
    return children if any(_is_model(child) for child in children) else [path]


def _single(path: Path) -> Recipe:
    read = _file(path, Role.MANIFEST)
    fatal = next((problem for problem in read.file.problems if problem.fatal), None)
    if fatal is not None:
        place = ":".join(str(part) for part in (path, fatal.line, fatal.column) if part)
        raise NotARecipe(f"{place}: not YAML: {fatal.message}")
    if not any(read.file.manifests):
        raise NotARecipe(f"{path}: no Kubernetes object in it")
    return _recipe(path, "manifests", [read, *_context(path.parent)])


def _folder(path: Path) -> Recipe:
    reads: list[_Read] = []
    folders: list[str] = []
    seen = {path.resolve()}
    for root, names, leaves in os.walk(path, followlinks=True):
        names[:] = [n for n in sorted(names) if n[0] != "." and _first_time(Path(root, n), seen)]
        here = Path(root).relative_to(path)
        folders.extend((here / name).as_posix() for name in names)
        role = Role.KUSTOMIZE if "kustomize" in here.parts else Role.MANIFEST
        reads.extend(_file(Path(root, leaf), role) for leaf in sorted(leaves) if leaf.endswith(_SUFFIXES))
    shape = "model" if _is_model(path) else "variant"
    context = _context(path) if shape == "variant" else []
    return _recipe(path, shape, [*reads, *context], folders)


def _first_time(folder: Path, seen: set[Path]) -> bool:
    """False for a folder that a link has already led to: a link loop ends here."""
    real = folder.resolve()
    if real in seen:
        return False
    seen.add(real)
    return True


def _context(folder: Path) -> list[_Read]:
    """The claims and downloads of the model that this folder is a part of."""
    for ancestor in [folder.resolve(), *folder.resolve().parents][:_ANCESTORS]:
        cache = ancestor / CACHE_FOLDER
        if cache.is_dir():
            shown = Path(os.path.relpath(cache))
            names = sorted(leaf.name for leaf in cache.iterdir() if leaf.suffix in _SUFFIXES)
            return [_file(shown / name, Role.CONTEXT) for name in names]
    return []


def _file(path: Path, role: Role) -> _Read:
    name = path.as_posix()
    problems: list[Problem] = []
    try:
        text = _text(path)
    except OSError as error:
        return _Read(SourceFile(name, problems=(Problem(_reason(error)),), role=role), "")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return _Read(SourceFile(name, problems=(Problem("not UTF-8 text", line),), role=role), "")
    documents = [withhold(document) for document in read(text, problems)]
    if any(Manifest(name, root).group == "kustomize.config.k8s.io" for root in documents):
        role = Role.KUSTOMIZE
    return _Read(SourceFile(name, tuple(documents), tuple(problems), role), text)


def _text(path: Path) -> str:
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    with path.open("rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise OSError(errno.EFBIG, f"larger than {MAX_BYTES // 1024 // 1024} MiB: not a manifest")
    return content.decode("utf-8-sig")


def _recipe(path: Path, shape: str, reads: list[_Read], folders: Iterable[str] = ()) -> Recipe:
    files = tuple(read.file for read in reads)
    recipe = Recipe(path=path.as_posix(), shape=shape, files=files, folders=tuple(folders))
    built: dict[str, list[Any]] = {
        "claims": [],
        "graphs": [],
        "downloads": [],
        "benchmarks": [],
    }
    for file, text in reads:
        if file.role is Role.KUSTOMIZE:
            continue
        reader = Reader(text.splitlines(), _config_maps(recipe, file))
        for manifest in file.manifests:
            built["claims"].extend(claims(manifest))
            built["downloads"].extend(downloads(manifest, reader))
            if file.role is Role.MANIFEST:
                built["benchmarks"].extend(benchmarks(manifest, reader))
                if is_graph(manifest):
                    built["graphs"].append(graph(manifest, reader))
                    built["claims"].extend(created_claims(manifest))
    return msgspec.structs.replace(recipe, **{name: tuple(found) for name, found in built.items()})


def _config_maps(recipe: Recipe, near: SourceFile) -> dict[str, Manifest]:
    """ConfigMaps by name, the graph's own file before its folder.

    Variants share names, and two files of one folder may each bring theirs.
    """
    beside = [
        manifest
        for file in recipe.files
        if file.folder == near.folder and file.role is Role.MANIFEST
        for manifest in file.manifests
    ]
    return {m.name: m for m in [*beside, *near.manifests] if m.kind == "ConfigMap"}
