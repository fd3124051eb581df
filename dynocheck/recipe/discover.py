"""Paths that a user names to recipes: which folder is a model, which a variant, and what of it is judged."""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from dynocheck.core.errors import UsageError
from dynocheck.facts.recipe.recipes import (
    Manifest,
    ModelConfig,
    PlaceholderFile,
    Problem,
    Recipe,
    Role,
    SourceFile,
    UnreadPart,
)
from dynocheck.recipe.configs import read_model_config
from dynocheck.recipe.files import (
    YAML_SUFFIXES,
    LoadedFile,
    describe_fatal,
    escape_path,
    explain_error,
    is_manifest,
    read_file,
    try_read_text,
)
from dynocheck.recipe.graphs import build_graph, find_created_claims, is_graph
from dynocheck.recipe.markdown_docs import MAX_CHARACTERS, is_page, parse_page
from dynocheck.recipe.placeholder_files import find_placeholder_files
from dynocheck.recipe.pods import PodReader
from dynocheck.recipe.workloads import find_benchmarks, find_downloads, read_claims
from dynocheck.suppression.comments import find_in_markdown, find_in_yaml, limit_comments

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


def load_recipes(paths: Iterable[str]) -> tuple[Recipe, ...]:
    """The recipes under these paths.

    :param paths: model folders, folders of models, variants or manifest files.
    :raises NotARecipe: a path is missing, unreadable, not YAML or has no manifest.
    """
    named = [list(_load_path(path)) for path in paths]
    found = [recipe for recipes in named for recipe in recipes]
    return tuple(_drop_contained(found) if len(named) > 1 else found)


def _drop_contained(recipes: list[Recipe]) -> Iterator[Recipe]:
    """Each recipe but those whose every file another one has too: paths overlap, as those of a hook do."""
    own = [{(os.path.realpath(file.path), file.role) for file in recipe.own_files} for recipe in recipes]
    for i, (recipe, files) in enumerate(zip(recipes, own, strict=True)):
        if not any(files < other or (files == other and j < i) for j, other in enumerate(own) if j != i):
            yield recipe


def _load_path(given: str) -> Iterator[Recipe]:
    if given in _NO_PATHS:
        raise NotARecipe(_NO_PATHS[given])
    path = Path(given)
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise NotARecipe(f"{escape_path(path)}: {explain_error(error)}") from None
    if not stat.S_ISDIR(mode):
        yield _load_file(path)
        return
    models = [path] if _is_model(path) or _is_variant(path) else _find_models(path)
    recipes = [recipe for recipe in map(_load_folder, models) if any(recipe.own_files)]
    yield from recipes
    if not recipes:
        raise NotARecipe(f"{escape_path(path)}: no recipe in it: not one manifest (*.yaml, *.yml, *.json)")


def _list_entries(path: Path) -> list[Path]:
    try:
        return sorted(child for child in path.iterdir() if child.name[0] != ".")
    except OSError as error:
        raise NotARecipe(f"{escape_path(path)}: {explain_error(error)}") from None


def _list_folders(path: Path) -> list[Path]:
    return [child for child in _list_entries(path) if os.path.isdir(child)]  # noqa: PTH112 - never raises


def _is_model(path: Path) -> bool:
    return any(child.name in (CACHE_FOLDER, *FRAMEWORKS) for child in _list_folders(path))


def _is_variant(path: Path) -> bool:
    folders = _list_folders(path)
    return any(entry.suffix in YAML_SUFFIXES for entry in _list_entries(path) if entry not in folders)


def _find_models(path: Path) -> list[Path]:
    """The models of a folder of models; a folder that is none of these is taken whole."""
    children = _list_folders(path)
    return children if any(_is_model(child) for child in children) else [path]


def _load_file(path: Path) -> Recipe:
    read = read_file(path, Role.MANIFEST)
    if (reason := describe_fatal(read.file)) is not None:
        raise NotARecipe(reason)
    if not any(read.file.manifests):
        raise NotARecipe(f"{read.file.path}: no Kubernetes object in it")
    return _build_recipe(path, "manifests", [read, *_read_context(path.parent, but=path)])


def _load_folder(path: Path) -> Recipe:
    reads: list[LoadedFile] = []
    folders: list[str] = []
    seen = {os.path.realpath(path)}
    rendered: set[Path] = set()
    pages: list[Path] = []
    hollow: list[PlaceholderFile] = []
    configs: list[ModelConfig] = []
    charts: list[UnreadPart] = []

    def unreadable(error: OSError) -> None:
        problem = Problem(explain_error(error))
        reads.append(LoadedFile(SourceFile(escape_path(Path(error.filename)), problems=(problem,)), ""))

    for root, names, leaves in os.walk(path, onerror=unreadable, followlinks=True):
        names[:] = [n for n in sorted(names) if n[0] != "." and _mark_seen(Path(root, n), seen)]
        folder = Path(root)
        if _CHART in leaves:
            charts.append(UnreadPart(_RENDERED, escape_path(folder / _CHART), 1, 1, chart=True))
            names[:] = [n for n in names if n not in ("templates", "charts")]
            leaves = [leaf for leaf in leaves if leaf != _CHART]
        here = folder.relative_to(path)
        folders.extend(escape_path(here / name) for name in names)
        if "kustomize" in here.parts or folder.parent in rendered or not _KUSTOMIZATIONS.isdisjoint(leaves):
            rendered.add(folder)
        role = Role.KUSTOMIZE if folder in rendered else Role.MANIFEST
        reads.extend(read_file(folder / leaf, role) for leaf in sorted(leaves) if is_manifest(folder / leaf))
        pages.extend(folder / leaf for leaf in sorted(leaves) if is_page(leaf))
        above = folder.parent if folder.name == CACHE_FOLDER and folder != path else folder
        configs.extend(filter(None, [read_model_config(folder, leaves, escape_path(above))]))
        hollow.extend(
            PlaceholderFile(escape_path(folder / leaf), why)
            for leaf, why in find_placeholder_files(folder, sorted(leaves))
        )
    shape = "model" if _is_model(path) else "variant"
    context = _read_context(path) if shape == "variant" else []
    recipe = _build_recipe(path, shape, [*reads, *context], folders)
    texts = [(found, text) for found in pages if (text := try_read_text(found)) is not None]
    long = [found for found, text in texts if len(text) > MAX_CHARACTERS]
    unread = [UnreadPart(_LONG_PAGE, escape_path(found), 1, 1) for found in long]
    short = [(escape_path(found), text) for found, text in texts if found not in long]
    comments = [c for name, text in short for c in limit_comments(find_in_markdown(name, text), unread)]
    return msgspec.structs.replace(
        recipe,
        ignores=(*recipe.ignores, *comments),
        pages=tuple(parse_page(text, found, path, escape_path(found)) for found, text in texts),
        hollow=tuple(hollow),
        configs=tuple(configs),
        unread=(*recipe.unread, *unread, *charts),
    )


def _mark_seen(folder: Path, seen: set[str]) -> bool:
    """False for a folder that a link has already led to: a link loop ends here."""
    real = os.path.realpath(folder)
    if real in seen:
        return False
    seen.add(real)
    return True


def _read_context(folder: Path, but: Path | None = None) -> list[LoadedFile]:
    """The claims and downloads of the model that this folder is a part of."""
    real = Path(os.path.realpath(folder))
    for ancestor in [real, *real.parents][:_ANCESTORS]:
        cache = ancestor / CACHE_FOLDER
        if os.path.isdir(cache):  # noqa: PTH112 - never raises
            relative = Path(os.path.relpath(cache))
            files = [relative / leaf.name for leaf in _list_entries(cache) if is_manifest(leaf)]
            own = os.path.realpath(but) if but is not None else None
            return [read_file(file, Role.CONTEXT) for file in files if os.path.realpath(file) != own]
    return []


def _build_recipe(path: Path, shape: str, reads: list[LoadedFile], folders: Iterable[str] = ()) -> Recipe:
    files = tuple(read.file for read in reads)
    recipe = Recipe(path=escape_path(path), shape=shape, files=files, folders=tuple(folders))
    unread: list[UnreadPart] = []
    built: dict[str, list[Any]] = {
        "claims": [],
        "graphs": [],
        "downloads": [],
        "benchmarks": [],
        "ignores": [c for file, text in reads for c in limit_comments(find_in_yaml(file.path, text), unread)],
    }
    lines = {file.path: text.splitlines() for file, text in reads}
    for file, _ in reads:
        if file.role is Role.KUSTOMIZE:
            continue
        reader = PodReader(file.path, lines, _index_config_maps(recipe, file))
        for manifest in file.manifests:
            built["claims"].extend(read_claims(manifest))
            built["downloads"].extend(find_downloads(manifest, reader))
            if file.role is Role.MANIFEST:
                built["benchmarks"].extend(find_benchmarks(manifest, reader))
                if is_graph(manifest):
                    built["graphs"].append(build_graph(manifest, reader))
                    built["claims"].extend(find_created_claims(manifest))
        if file.role is Role.MANIFEST:
            unread.extend(dict.fromkeys(reader.unread))
    built["unread"] = unread
    return msgspec.structs.replace(recipe, **{name: tuple(found) for name, found in built.items()})


def _index_config_maps(recipe: Recipe, near: SourceFile) -> dict[str, Manifest]:
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
