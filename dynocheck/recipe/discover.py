"""Loads recipes from the paths that the user names: folders of models, models, variants, manifest files."""

import json
import os
import re
import stat
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from dynocheck.core.errors import UsageError
from dynocheck.core.files import RENDERED
from dynocheck.core.sharing import map_shared
from dynocheck.core.trust import find_roots
from dynocheck.facts import (
    AdapterConfig,
    Manifest,
    ModelConfig,
    PlaceholderFile,
    Problem,
    Recipe,
    Role,
    SourceFile,
    TritonModel,
    UnreadPart,
    Value,
    merge_serving_runtimes,
)
from dynocheck.recipe.configs import read_adapter_config, read_model_config
from dynocheck.recipe.files import (
    YAML_SUFFIXES,
    LoadedFile,
    describe_unreadable,
    escape_path,
    explain_error,
    is_manifest,
    parse_file,
    read_file,
    read_rendered,
    try_read_text,
)
from dynocheck.recipe.graphs import build_graph, find_created_claims, is_graph
from dynocheck.recipe.kustomize import render_overlay
from dynocheck.recipe.markdown_docs import MAX_CHARACTERS, is_page, parse_page
from dynocheck.recipe.placeholder_files import find_placeholder_files
from dynocheck.recipe.pods import PodReader
from dynocheck.recipe.servers import find_servers
from dynocheck.recipe.substitutions import find_tokens, is_filled_in, open_tokens
from dynocheck.recipe.templates import fill, is_marked, read_scripts, runs_envsubst
from dynocheck.recipe.triton_models import read_triton_folder
from dynocheck.recipe.workloads import find_benchmarks, find_builds, find_downloads, read_claims
from dynocheck.suppression.comments import find_in_markdown, find_in_yaml, limit_comments

FRAMEWORKS = ("vllm", "sglang", "trtllm", "tokenspeed")
CACHE_FOLDER = "model-cache"
_NO_PATHS = {
    "": "an empty path: is a variable in the command line not set?",
    "-": "standard input is not read: write it to a file and name that (helm template ... > graph.yaml)",
}
_PARTS, _PATCHES = ("resources", "bases", "components"), ("patches", "patchesJson6902", "replacements")
# Neither a URL nor the short form of one, as github.com/OWNER/REPOSITORY//FOLDER?ref=TAG.
_LOCAL = re.compile(r"(?!/)(?![\w-]+(?:\.[\w-]+)+/)(?:(?!//)[\w./ -])+")
_KUSTOMIZATIONS = {"kustomization.yaml", "kustomization.yml", "Kustomization"}
_CHART = "Chart.yaml"
_RENDERED = "a Helm chart: only its rendered output is applied"
_LONG_PAGE = f"a page with more than {MAX_CHARACTERS} characters"
_NO_VARIABLES: Mapping[str, str] = MappingProxyType({})
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Recipe).decode
_MANY = 16  # models; fewer are loaded as fast without workers
_MAX_RENDERING = 4  # processes of kustomize at once
_ANCESTORS = 6  # levels: model/framework/mode is 3; the deepest seen upstream is 6


class NotARecipe(UsageError):
    """A path that the user named is not a recipe."""


def load_recipes(
    paths: Iterable[str],
    variables: Mapping[str, str] = _NO_VARIABLES,
    render: bool = False,
) -> tuple[Recipe, ...]:
    """Load the recipes under these paths.

    :param paths: model folders, folders of models, variants or manifest files.
    :param variables: what fills in the `${NAME}` of templates.
    :param render: have kustomize, if it is installed, render overlays whose output is not there.
    :raises NotARecipe: a path is missing or unreadable, or a folder has no manifest.
    """
    loaded = [list(_load_path(path, variables, render=render)) for path in paths]
    recipes = [recipe for by_path in loaded for recipe in by_path]
    return tuple(_drop_contained(recipes) if len(loaded) > 1 else recipes)


def read_objects(name: str, objects: Iterable[Mapping[str, Any]]) -> Recipe:
    """Objects of a cluster as a recipe.

    :param name: what stands for the path of their file.
    """
    text = "\n---\n".join(json.dumps(each, indent=1, ensure_ascii=False) for each in objects)
    return _build_recipe(Path(name), "manifests", [read_rendered(name, text)])


def _drop_contained(recipes: list[Recipe]) -> Iterator[Recipe]:
    """The recipes whose files are not all in another one: a pre-commit hook names overlapping paths."""
    own = [{(os.path.realpath(file.path), file.role) for file in recipe.own_files} for recipe in recipes]
    for i, (recipe, files) in enumerate(zip(recipes, own, strict=True)):
        if not any(files < other or (files == other and j < i) for j, other in enumerate(own) if j != i):
            yield recipe


def _load_path(name: str, variables: Mapping[str, str], *, render: bool) -> Iterator[Recipe]:
    if name in _NO_PATHS:
        raise NotARecipe(_NO_PATHS[name])
    path = Path(name)
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise NotARecipe(f"{escape_path(path)}: {explain_error(error)}") from None
    if not stat.S_ISDIR(mode):
        yield _load_file(path, variables)
        return
    tree = find_roots([name])[0]
    models = [path] if _is_model(path) or _is_variant(path) else _find_models(path, tree)
    load = partial(_load_folder, variables=variables, tree=tree, render=render)
    many = len(models) >= _MANY
    loaded = map_shared(load, models, encode=_encode, decode=_decode) if many else map(load, models)
    recipes = [recipe for recipe in loaded if any(recipe.own_files) or any(p.chart for p in recipe.unread)]
    yield from recipes
    if recipes and models != [path]:
        yield from _load_index(path, recipes)
    if not recipes:
        raise NotARecipe(f"{escape_path(path)}: no recipe in it: no manifest (*.yaml, *.yml, *.json)")


def _load_index(path: Path, recipes: Iterable[Recipe]) -> Iterator[Recipe]:
    """The pages beside the models of a folder, as a recipe that has nothing else.

    Those in folders beside the models, such as that of a container's build, are among them.
    """
    recipes = list(recipes)
    known = [f"{recipe.path}/" for recipe in recipes]
    helpers = [
        entry
        for entry in _list_folders(path)
        if not entry.is_symlink() and not any(f.startswith(f"{escape_path(entry)}/") for f in known)
    ]
    beside = (folder / name for folder in helpers for name in sorted(_list_names(folder)))
    named = [entry for entry in (*_list_entries(path), *beside) if is_page(entry.name)]
    pages = [page for page in named if os.path.isfile(page)]  # noqa: PTH113
    folders = [
        f"{recipe.path.rpartition('/')[2]}/{folder}".rstrip("/")
        for recipe in recipes
        for folder in ("", *recipe.folders)
    ]
    if pages:
        index = Recipe(path=escape_path(path), shape="index", files=(), folders=tuple(folders))
        yield _add_pages(index, path, _read_pages(pages))


def _read_pages(pages: Iterable[Path]) -> list[tuple[Path, str]]:
    return [(page, text) for page in pages if (text := try_read_text(page)) is not None]


def _add_pages(recipe: Recipe, path: Path, texts: list[tuple[Path, str]]) -> Recipe:
    """The recipe with these pages, their comments, and what is too long to be read."""
    unread = [UnreadPart(_LONG_PAGE, escape_path(page), 1, 1) for page, text in texts if _is_long(text)]
    comments = [
        comment
        for page, text in texts
        if not _is_long(text)
        for comment in limit_comments(find_in_markdown(escape_path(page), text), unread)
    ]
    return msgspec.structs.replace(
        recipe,
        ignores=(*recipe.ignores, *comments),
        pages=tuple(parse_page(text, page, path, escape_path(page)) for page, text in texts),
        unread=(*recipe.unread, *unread),
    )


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
    folders = {*_list_folders(path)}
    return any(entry.suffix in YAML_SUFFIXES for entry in _list_entries(path) if entry not in folders)


def _find_models(path: Path, tree: str) -> list[Path]:
    """The models in a folder of models; any other folder is one recipe."""
    children = [child for child in _list_folders(path) if not _leads_out(child, tree)]
    return children if any(_is_model(child) for child in children) else [path]


def _load_file(path: Path, variables: Mapping[str, str]) -> Recipe:
    role = Role.KUSTOMIZE if _is_patch(path) else Role.MANIFEST
    read = read_file(path, role, variables)
    if (reason := describe_unreadable(read.file)) is not None:
        raise NotARecipe(reason)
    near = [path.parent, *path.absolute().parent.parents][: _ANCESTORS // 2]
    scripts = [text for folder in near for text in read_scripts(folder, _list_names(folder))]
    filling = _Filling(variables, [text for text in scripts if path.name in text])
    context = _read_context(path.parent, variables, but=path)
    return _build_recipe(path, "manifests", [*_mark_templates([read], filling), *context])


def _is_patch(path: Path) -> bool:
    """Whether a kustomization beside a file names it, and not as a resource."""
    for name in _KUSTOMIZATIONS.intersection(_list_names(path.parent)):
        if name == path.name:
            return False
        for root in read_file(path.parent / name, Role.KUSTOMIZE, _NO_VARIABLES).file.documents:
            others = (entry for key, entry in root.mapping.items() if key != "resources")
            if any(path.name == text for entry in others for text in _list_texts(entry)):
                return True
    return False


def _list_texts(value: Value) -> Iterator[str]:
    """Every string in a value."""
    if value.text is not None:
        yield value.text.removeprefix("./")
    for entry in (*value.mapping.values(), *value.sequence):
        yield from _list_texts(entry)


def _list_names(folder: Path) -> list[str]:
    """The names in a folder; empty if it cannot be read."""
    try:
        return [entry.name for entry in folder.iterdir()]
    except OSError:
        return []


class _Filling:
    """What scripts and pages say of how manifests are filled in.

    :param variables: the values that the user gave.
    :param scripts: the texts of the scripts and pages.
    """

    def __init__(self, variables: Mapping[str, str], scripts: Sequence[str]) -> None:
        self.variables = variables
        self.rendered = any(map(runs_envsubst, scripts))
        self.tokens = find_tokens(scripts)


def _mark_templates(reads: Iterable[LoadedFile], filling: _Filling) -> Iterator[LoadedFile]:
    """The files, marked as templates where a script or page fills them in or a comment says so."""
    for read in reads:
        yield _fill_in(read, filling) if read.file.role is Role.MANIFEST else read


def _fill_in(read: LoadedFile, filling: _Filling) -> LoadedFile:
    file, text = read
    replaced = is_filled_in(text, filling.tokens)
    if replaced:
        text = fill(open_tokens(text, filling.tokens), filling.variables)
        if text != read.text:
            file = parse_file(file.path, text, file.role, []).file
    template = file.template or replaced or filling.rendered or is_marked(file.path, text)
    return LoadedFile(msgspec.structs.replace(file, template=template, rendered=read.file.rendered), text)


_CLAIM_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*[a-z0-9]")


def _load_folder(path: Path, variables: Mapping[str, str], tree: str, *, render: bool) -> Recipe:
    """Load a folder.

    :param tree: the repository around what the user named, or the folder that was; no link leads out of it.
    """
    scan = _scan_folder(path, variables, tree)
    if render:
        _render_overlays(scan)
    shape = "model" if _is_model(path) else "variant"
    context = _read_context(path, variables) if shape == "variant" else []
    texts = _read_pages(scan.pages)
    files = [*_mark_templates(scan.files, _Filling(variables, scan.scripts)), *context]
    said = [(f"{escape_path(page.parent)}/", _find_names(text)) for page, text in texts]
    recipe = _build_recipe(path, shape, [_find_announced(read, said) for read in files], scan.folders)
    recipe = _add_pages(recipe, path, texts)
    return msgspec.structs.replace(
        recipe,
        hollow=tuple(scan.placeholders),
        configs=tuple(scan.configs),
        triton_models=tuple(scan.triton_models),
        adapters=tuple(scan.adapters),
        unread=(*recipe.unread, *scan.unread),
    )


def _find_names(text: str) -> frozenset[str]:
    """The words of a text that can be the name of a claim."""
    return frozenset(_CLAIM_NAME.findall(text))


def _find_announced(read: LoadedFile, pages: Iterable[tuple[str, frozenset[str]]]) -> LoadedFile:
    """The file with the claims that it mounts and that a comment in it or a README above it mentions.

    :param pages: the folder of each README, and the names in it.
    """
    mounted: set[str | None] = set()
    for root in read.file.documents:
        for key, value in root.find_entries(("claimName", "pvcs")):
            mounted |= {value.text} if key == "claimName" else {c.get_text("name") for c in value.sequence}
    if not mounted:
        return read
    comments = "\n".join(line for line in read.text.splitlines() if line.lstrip().startswith("#"))
    above = [names for folder, names in pages if read.file.path.startswith(folder)]
    said = _find_names(comments).union(*above)
    announced = tuple(sorted(name for name in mounted if name and name in said))
    return read._replace(file=msgspec.structs.replace(read.file, announced=announced))


def _is_long(page: str) -> bool:
    return len(page) > MAX_CHARACTERS


@dataclass
class _Scan:
    """The contents of a recipe's folder and its subfolders."""

    variables: Mapping[str, str]
    files: list[LoadedFile] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)  # relative to the recipe's
    pages: list[Path] = field(default_factory=list)
    placeholders: list[PlaceholderFile] = field(default_factory=list)
    configs: list[ModelConfig] = field(default_factory=list)
    triton_models: list[TritonModel] = field(default_factory=list)
    adapters: list[AdapterConfig] = field(default_factory=list)
    unread: list[UnreadPart] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)  # texts of those that may fill in templates
    kustomized: set[str] = field(default_factory=set)  # paths of what kustomizations name


def _scan_folder(path: Path, variables: Mapping[str, str], tree: str) -> _Scan:
    """Read a folder and its subfolders, except hidden ones, the templates of Helm charts, and what links lead
    to outside of the tree: else a pull request could have any file of the machine read.
    """
    scan = _Scan(variables)
    seen = {os.path.realpath(path)}

    def add_unreadable(error: OSError) -> None:
        problem = Problem(explain_error(error))
        file = SourceFile(escape_path(Path(error.filename)), problems=(problem,))
        scan.files.append(LoadedFile(file, ""))

    for root, names, leaves in os.walk(path, onerror=add_unreadable, followlinks=True):
        folder = Path(root)
        outside = {n for n in (*names, *leaves) if n[0] != "." and _leads_out(folder / n, tree)}
        scan.placeholders += (PlaceholderFile(escape_path(folder / n), "outside") for n in sorted(outside))
        kept = (name for name in sorted(names) if name[0] != "." and name not in outside)
        names[:] = [name for name in kept if _mark_seen(folder / name, seen)]
        leaves[:] = sorted(name for name in leaves if name not in outside)
        if _CHART in leaves:
            scan.unread.append(UnreadPart(_RENDERED, escape_path(folder / _CHART), 1, 1, chart=True))
            names[:] = [n for n in names if n not in ("templates", "charts")]
            leaves.remove(_CHART)
        relative = folder.relative_to(path)
        scan.folders.extend(escape_path(relative / name) for name in names)
        for name in _KUSTOMIZATIONS.intersection(leaves):
            named = _list_inputs(folder / name)
            scan.kustomized |= {os.path.normpath(escape_path(folder / name)), *named}
            scan.unread += _list_missing(folder / name)
        scan.scripts += read_scripts(folder, leaves)
        _scan_files(folder, leaves, scan)
        model = folder.parent if folder.name == CACHE_FOLDER and folder != path else folder
        config = read_model_config(folder, leaves, escape_path(model))
        scan.configs.extend([config] if config is not None else [])
        scan.triton_models.extend(read_triton_folder(folder, leaves))
        adapter = read_adapter_config(folder, leaves)
        scan.adapters.extend([adapter] if adapter is not None else [])
    scan.files = [_mark_input(read, scan.kustomized) for read in scan.files]
    return scan


def _list_inputs(kustomization: Path) -> Iterator[str]:
    """The paths of the files that a kustomization names, as a resource, a patch or a part of a generator."""
    for root in read_file(kustomization, Role.KUSTOMIZE, _NO_VARIABLES).file.documents:
        for text in _list_texts(root):
            if "\n" not in text:
                yield escape_path(Path(os.path.normpath(kustomization.parent / text.rpartition("=")[2])))


def _list_missing(kustomization: Path) -> Iterator[UnreadPart]:
    """The local paths that a kustomization names and that are not there, at which kustomize ends."""
    for root in read_file(kustomization, Role.KUSTOMIZE, _NO_VARIABLES).file.documents:
        patches = [patch for key in _PATCHES for patch in root.get_items(key)]
        named = [part for key in _PARTS for part in root.get_items(key)]
        named += [path for patch in patches if (path := patch.get("path")) is not None]
        for part in (part for part in named if _LOCAL.fullmatch(part.text or "")):
            if not os.path.lexists(kustomization.parent / (part.text or "")):
                place = part.line, part.column
                yield UnreadPart(part.text or "", escape_path(kustomization), *place, missing=True)


def _mark_input(read: LoadedFile, kustomized: Container[str]) -> LoadedFile:
    """The file, marked where kustomize reads it and it is not applied as it is."""
    if os.path.normpath(read.file.path) not in kustomized:
        return read
    return read._replace(file=msgspec.structs.replace(read.file, role=Role.KUSTOMIZE))


def _render_overlays(scan: _Scan) -> None:
    """Add what kustomize makes of the kustomizations that no other uses and whose output is not there."""
    overlays = list(_list_overlays(scan))
    # Each is a process of its own, that waits and computes: the order of the results is that of the files.
    with ThreadPoolExecutor(_MAX_RENDERING) as pool:
        rendered = list(pool.map(render_overlay, [file.folder or "." for file in overlays]))
    for file, text in zip(overlays, rendered, strict=True):
        if text:
            scan.files.append(read_rendered(f"{file.path}{RENDERED}", text))
        elif text is not None:
            what = "the output of kustomize, which fails on it here, without the network"
            scan.unread.append(UnreadPart(what, file.path, 1, 1))


def _list_overlays(scan: _Scan) -> Iterator[SourceFile]:
    """The files of the kustomizations that are applied themselves."""
    inputs = [read.file for read in scan.files if read.file.role is Role.KUSTOMIZE]
    roots = [(file, root) for file in inputs for root in file.documents if _is_kustomization(file, root)]
    used = {path for file, root in roots for path in _list_parts(file, root)}
    applied = (read.file for read in scan.files if read.file.role is Role.MANIFEST)
    done = {file.folder for file in applied if any(map(is_graph, file.manifests))}
    lacking = {part.file for part in scan.unread if part.missing}
    for file, root in roots:
        within = any(f"{file.folder}/".startswith(f"{folder}/") for folder in done)
        part = root.get_text("kind") == "Component" or os.path.normpath(file.folder) in used
        if not (part or within or file.path in lacking):
            yield file


def _is_kustomization(file: SourceFile, root: Value) -> bool:
    return os.path.basename(file.path) in _KUSTOMIZATIONS and bool(root.mapping)  # noqa: PTH119 - text


def _list_parts(file: SourceFile, root: Value) -> Iterator[str]:
    """The paths of the kustomizations that one is made of."""
    for key in ("resources", "bases", "components"):
        for part in root.get_items(key):
            yield os.path.normpath(os.path.join(file.folder, part.text or ""))  # noqa: PTH118 - text


def _scan_files(folder: Path, names: Iterable[str], scan: _Scan) -> None:
    """Add the manifests, pages and placeholder files of one folder to the scan."""
    paths = [folder / name for name in names]
    scan.files.extend(read_file(path, Role.MANIFEST, scan.variables) for path in paths if is_manifest(path))
    scan.pages.extend(path for path in paths if is_page(path.name))
    scan.placeholders.extend(
        PlaceholderFile(escape_path(folder / name), why)
        for name, why in find_placeholder_files(folder, names)
    )


def _leads_out(path: Path, tree: str) -> bool:
    """Whether a path is a symbolic link to something outside of a tree."""
    if not path.is_symlink():
        return False
    real = os.path.realpath(path)
    return os.path.exists(real) and os.path.commonpath([real, tree]) != tree  # noqa: PTH110 - never raises


def _mark_seen(folder: Path, seen: set[str]) -> bool:
    """Record a folder; False if it was seen before, through a symbolic link, so that a link loop ends."""
    real = os.path.realpath(folder)
    if real in seen:
        return False
    seen.add(real)
    return True


def _read_context(folder: Path, variables: Mapping[str, str], but: Path | None = None) -> list[LoadedFile]:
    """The manifests in the `model-cache` folder of the model around this folder, except the file `but`."""
    real = Path(os.path.realpath(folder))
    for ancestor in [real, *real.parents][:_ANCESTORS]:
        cache = ancestor / CACHE_FOLDER
        if os.path.isdir(cache):  # noqa: PTH112 - never raises
            relative = Path(os.path.relpath(cache))
            tree = find_roots([str(folder)])[0]
            leaves = (leaf for leaf in _list_entries(cache) if not _leads_out(leaf, tree))
            files = [relative / leaf.name for leaf in leaves if is_manifest(leaf)]
            own = os.path.realpath(but) if but is not None else None
            return [
                read_file(file, Role.CONTEXT, variables) for file in files if os.path.realpath(file) != own
            ]
    return []


def _build_recipe(path: Path, shape: str, reads: list[LoadedFile], folders: Iterable[str] = ()) -> Recipe:
    files = tuple(read.file for read in reads)
    recipe = Recipe(path=escape_path(path), shape=shape, files=files, folders=tuple(folders))
    unread: list[UnreadPart] = []
    built: dict[str, list[Any]] = {
        "claims": [],
        "graphs": [],
        "servers": [],
        "downloads": [],
        "builds": [],
        "benchmarks": [],
        "ignores": [c for file, text in reads for c in limit_comments(find_in_yaml(file.path, text), unread)],
    }
    lines = {file.path: text.splitlines() for file, text in reads}
    config_maps = _index_config_maps(files)
    merged = merge_serving_runtimes(recipe.manifests)
    for file, _ in reads:
        if file.role is Role.KUSTOMIZE:
            continue
        # Variants use the same names, and so may two files of one folder: a file's own count first.
        reader = PodReader(file, lines, config_maps.get(file.folder, {}) | _list_config_maps(file))
        for manifest in file.manifests:
            built["claims"].extend(read_claims(manifest))
            built["downloads"].extend(find_downloads(manifest, reader))
            built["builds"].extend(find_builds(manifest, reader))
            if file.role is Role.MANIFEST:
                built["benchmarks"].extend(find_benchmarks(manifest, reader))
                if is_graph(manifest):
                    built["graphs"].append(build_graph(manifest, reader))
                    built["claims"].extend(find_created_claims(manifest))
                elif (complete := merged.get(id(manifest.root), manifest)) is not None:
                    built["servers"].extend(find_servers(complete, reader))
        if file.role is Role.MANIFEST:
            unread.extend(dict.fromkeys(reader.unread))
    built["unread"] = unread
    return msgspec.structs.replace(recipe, **{name: tuple(found) for name, found in built.items()})


def _index_config_maps(files: Iterable[SourceFile]) -> dict[str, dict[str, Manifest]]:
    """The ConfigMaps of the manifests in each folder, by name."""
    by_folder: dict[str, dict[str, Manifest]] = defaultdict(dict)
    for file in files:
        if file.role is Role.MANIFEST:
            by_folder[file.folder].update(_list_config_maps(file))
    return by_folder


def _list_config_maps(file: SourceFile) -> dict[str, Manifest]:
    return {manifest.name: manifest for manifest in file.manifests if manifest.kind == "ConfigMap"}
