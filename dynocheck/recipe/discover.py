"""Paths that a user names to recipes: which folder is a model, which a variant, and what of it is judged."""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from dynocheck.core.errors import UsageError
from dynocheck.facts.recipe.recipes import (
    Hollow,
    Manifest,
    ModelConfig,
    Problem,
    Recipe,
    Role,
    SourceFile,
    Unread,
)
from dynocheck.recipe.configs import model_config
from dynocheck.recipe.files import YAML, Read, broken, is_manifest, read_file, readable, reason, shown
from dynocheck.recipe.graphs import created_claims, graph, is_graph
from dynocheck.recipe.ignore_comments import bounded, in_markdown, in_yaml
from dynocheck.recipe.markdown_docs import MAX_CHARACTERS, is_page, page
from dynocheck.recipe.placeholder_files import hollow_files
from dynocheck.recipe.pods import Reader
from dynocheck.recipe.workloads import benchmarks, claims, downloads

FRAMEWORKS = ("vllm", "sglang", "trtllm", "tokenspeed")
CACHE_FOLDER = "model-cache"
_NO_PATHS = {
    "": "an empty path: is a variable in the command line not set?",
    "-": "standard input is not read: write it to a file and name that (helm template ... > graph.yaml)",
}
_KUSTOMIZATIONS = {"kustomization.yaml", "kustomization.yml", "Kustomization"}
_CHART = "Chart.yaml"
_RENDERED = "a chart of Helm: only what it renders is applied"
_LONG_PAGE = f"a page: it has more than {MAX_CHARACTERS} characters"
_ANCESTORS = 6  # model/framework/mode is 3; the deepest seen upstream is 6


class NotARecipe(UsageError):
    """A path that the user named holds nothing to judge."""


def load(paths: Iterable[str]) -> tuple[Recipe, ...]:
    """The recipes under these paths.

    :param paths: model folders, folders of models, variants or manifest files.
    :raises NotARecipe: a path is missing, unreadable, not YAML or has no manifest.
    """
    named = [list(_load(path)) for path in paths]
    found = [recipe for recipes in named for recipe in recipes]
    return tuple(_distinct(found) if len(named) > 1 else found)


def _distinct(recipes: list[Recipe]) -> Iterator[Recipe]:
    """Each recipe but those whose every file another one has too: paths overlap, as those of a hook do."""
    own = [{(os.path.realpath(file.path), file.role) for file in recipe.judged} for recipe in recipes]
    for i, (recipe, files) in enumerate(zip(recipes, own, strict=True)):
        if not any(files < other or (files == other and j < i) for j, other in enumerate(own) if j != i):
            yield recipe


def _load(given: str) -> Iterator[Recipe]:
    if given in _NO_PATHS:
        raise NotARecipe(_NO_PATHS[given])
    path = Path(given)
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise NotARecipe(f"{shown(path)}: {reason(error)}") from None
    if not stat.S_ISDIR(mode):
        yield _single(path)
        return
    models = [path] if _is_model(path) or _is_variant(path) else _models(path)
    recipes = [recipe for recipe in map(_folder, models) if any(recipe.judged)]
    yield from recipes
    if not recipes:
        raise NotARecipe(f"{shown(path)}: no recipe in it: not one manifest (*.yaml, *.yml, *.json)")


def _entries(path: Path) -> list[Path]:
    try:
        return sorted(child for child in path.iterdir() if child.name[0] != ".")
    except OSError as error:
        raise NotARecipe(f"{shown(path)}: {reason(error)}") from None


def _children(path: Path) -> list[Path]:
    return [child for child in _entries(path) if os.path.isdir(child)]  # noqa: PTH112 - never raises


def _is_model(path: Path) -> bool:
    return any(child.name in (CACHE_FOLDER, *FRAMEWORKS) for child in _children(path))


def _is_variant(path: Path) -> bool:
    folders = _children(path)
    return any(entry.suffix in YAML for entry in _entries(path) if entry not in folders)


def _models(path: Path) -> list[Path]:
    """The models of a folder of models; a folder that is none of these is taken whole."""
    children = _children(path)
    return children if any(_is_model(child) for child in children) else [path]


def _single(path: Path) -> Recipe:
    read = read_file(path, Role.MANIFEST)
    if (reason := broken(read.file)) is not None:
        raise NotARecipe(reason)
    if not any(read.file.manifests):
        raise NotARecipe(f"{read.file.path}: no Kubernetes object in it")
    return _recipe(path, "manifests", [read, *_context(path.parent, but=path)])


def _folder(path: Path) -> Recipe:
    reads: list[Read] = []
    folders: list[str] = []
    seen = {os.path.realpath(path)}
    rendered: set[Path] = set()
    pages: list[Path] = []
    hollow: list[Hollow] = []
    configs: list[ModelConfig] = []
    charts: list[Unread] = []

    def unreadable(error: OSError) -> None:
        problem = Problem(reason(error))
        reads.append(Read(SourceFile(shown(Path(error.filename)), problems=(problem,)), ""))

    for root, names, leaves in os.walk(path, onerror=unreadable, followlinks=True):
        names[:] = [n for n in sorted(names) if n[0] != "." and _first_time(Path(root, n), seen)]
        folder = Path(root)
        if _CHART in leaves:
            charts.append(Unread(_RENDERED, shown(folder / _CHART), 1, 1, chart=True))
            names[:] = [n for n in names if n not in ("templates", "charts")]
            leaves = [leaf for leaf in leaves if leaf != _CHART]
        here = folder.relative_to(path)
        folders.extend(shown(here / name) for name in names)
        if "kustomize" in here.parts or folder.parent in rendered or not _KUSTOMIZATIONS.isdisjoint(leaves):
            rendered.add(folder)
        role = Role.KUSTOMIZE if folder in rendered else Role.MANIFEST
        reads.extend(read_file(folder / leaf, role) for leaf in sorted(leaves) if is_manifest(folder / leaf))
        pages.extend(folder / leaf for leaf in sorted(leaves) if is_page(leaf))
        above = folder.parent if folder.name == CACHE_FOLDER and folder != path else folder
        configs.extend(filter(None, [model_config(folder, leaves, shown(above))]))
        hollow.extend(Hollow(shown(folder / leaf), why) for leaf, why in hollow_files(folder, sorted(leaves)))
    shape = "model" if _is_model(path) else "variant"
    context = _context(path) if shape == "variant" else []
    recipe = _recipe(path, shape, [*reads, *context], folders)
    texts = [(found, text) for found in pages if (text := readable(found)) is not None]
    long = [found for found, text in texts if len(text) > MAX_CHARACTERS]
    unread = [Unread(_LONG_PAGE, shown(found), 1, 1) for found in long]
    short = [(shown(found), text) for found, text in texts if found not in long]
    comments = [c for name, text in short for c in bounded(in_markdown(name, text), unread)]
    return msgspec.structs.replace(
        recipe,
        ignores=(*recipe.ignores, *comments),
        pages=tuple(page(text, found, path, shown(found)) for found, text in texts),
        hollow=tuple(hollow),
        configs=tuple(configs),
        unread=(*recipe.unread, *unread, *charts),
    )


def _first_time(folder: Path, seen: set[str]) -> bool:
    """False for a folder that a link has already led to: a link loop ends here."""
    real = os.path.realpath(folder)
    if real in seen:
        return False
    seen.add(real)
    return True


def _context(folder: Path, but: Path | None = None) -> list[Read]:
    """The claims and downloads of the model that this folder is a part of."""
    real = Path(os.path.realpath(folder))
    for ancestor in [real, *real.parents][:_ANCESTORS]:
        cache = ancestor / CACHE_FOLDER
        if os.path.isdir(cache):  # noqa: PTH112 - never raises
            relative = Path(os.path.relpath(cache))
            files = [relative / leaf.name for leaf in _entries(cache) if is_manifest(leaf)]
            own = os.path.realpath(but) if but is not None else None
            return [read_file(file, Role.CONTEXT) for file in files if os.path.realpath(file) != own]
    return []


def _recipe(path: Path, shape: str, reads: list[Read], folders: Iterable[str] = ()) -> Recipe:
    files = tuple(read.file for read in reads)
    recipe = Recipe(path=shown(path), shape=shape, files=files, folders=tuple(folders))
    unread: list[Unread] = []
    built: dict[str, list[Any]] = {
        "claims": [],
        "graphs": [],
        "downloads": [],
        "benchmarks": [],
        "ignores": [c for file, text in reads for c in bounded(in_yaml(file.path, text), unread)],
    }
    lines = {file.path: text.splitlines() for file, text in reads}
    for file, _ in reads:
        if file.role is Role.KUSTOMIZE:
            continue
        reader = Reader(file.path, lines, _config_maps(recipe, file))
        for manifest in file.manifests:
            built["claims"].extend(claims(manifest))
            built["downloads"].extend(downloads(manifest, reader))
            if file.role is Role.MANIFEST:
                built["benchmarks"].extend(benchmarks(manifest, reader))
                if is_graph(manifest):
                    built["graphs"].append(graph(manifest, reader))
                    built["claims"].extend(created_claims(manifest))
        if file.role is Role.MANIFEST:
            unread.extend(dict.fromkeys(reader.unread))
    built["unread"] = unread
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
