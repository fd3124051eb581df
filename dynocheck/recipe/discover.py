"""Paths that a user names to recipes: which folder is a model, which a variant, and what files count."""

import codecs
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dynocheck.errors import UsageError
from dynocheck.facts.recipe import Hollow, Manifest, ModelConfig, Problem, Recipe, Role, SourceFile, Unread
from dynocheck.recipe.configs import model_config
from dynocheck.recipe.documents import read
from dynocheck.recipe.graphs import created_claims, graph, is_graph
from dynocheck.recipe.hollow import hollow_files
from dynocheck.recipe.ignores import bounded, in_markdown, in_yaml
from dynocheck.recipe.pages import MAX_CHARACTERS, is_page, page
from dynocheck.recipe.pods import Reader
from dynocheck.recipe.secrets import withhold
from dynocheck.recipe.workloads import benchmarks, claims, downloads

FRAMEWORKS = ("vllm", "sglang", "trtllm", "tokenspeed")
CACHE_FOLDER = "model-cache"
MAX_BYTES = 10 * 1024 * 1024
_SUFFIXES = (".yaml", ".yml")
_PEEK = 4096  # bytes in which a manifest in JSON says its apiVersion, which other files do not
_SAVE = "save it as UTF-8"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
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


class _Read(NamedTuple):
    file: SourceFile
    text: str


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
        raise NotARecipe(f"{shown(path)}: {_reason(error)}") from None
    if not stat.S_ISDIR(mode):
        yield _single(path)
        return
    models = [path] if _is_model(path) or _is_variant(path) else _models(path)
    recipes = [recipe for recipe in map(_folder, models) if any(recipe.judged)]
    yield from recipes
    if not recipes:
        raise NotARecipe(f"{shown(path)}: no recipe in it: not one manifest (*.yaml, *.yml, *.json)")


def shown(path: Path) -> str:
    """A path as text that any output can carry: bytes that are no text, and control characters, escaped."""
    name = os.fsencode(path.as_posix()).decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _entries(path: Path) -> list[Path]:
    try:
        return sorted(child for child in path.iterdir() if child.name[0] != ".")
    except OSError as error:
        raise NotARecipe(f"{shown(path)}: {_reason(error)}") from None


def _children(path: Path) -> list[Path]:
    return [child for child in _entries(path) if os.path.isdir(child)]  # noqa: PTH112 - never raises


def _is_model(path: Path) -> bool:
    return any(child.name in (CACHE_FOLDER, *FRAMEWORKS) for child in _children(path))


def _is_variant(path: Path) -> bool:
    folders = _children(path)
    return any(entry.suffix in _SUFFIXES for entry in _entries(path) if entry not in folders)


def _models(path: Path) -> list[Path]:
    """The models of a folder of models; a folder that is none of these is taken whole."""
    children = _children(path)
    return children if any(_is_model(child) for child in children) else [path]


def _single(path: Path) -> Recipe:
    read = _file(path, Role.MANIFEST)
    if (reason := broken(read.file)) is not None:
        raise NotARecipe(reason)
    if not any(read.file.manifests):
        raise NotARecipe(f"{read.file.path}: no Kubernetes object in it")
    return _recipe(path, "manifests", [read, *_context(path.parent, but=path)])


def broken(file: SourceFile) -> str | None:
    """Where and why a file, or the rest of one, could not be read; none when all of it was."""
    fatal = next((problem for problem in file.problems if problem.fatal), None)
    if fatal is None:
        return None
    place = ":".join(str(part) for part in (file.path, fatal.line, fatal.column) if part)
    return f"{place}: {'not YAML: ' if fatal.line else ''}{fatal.message}"


def _folder(path: Path) -> Recipe:
    reads: list[_Read] = []
    folders: list[str] = []
    seen = {os.path.realpath(path)}
    rendered: set[Path] = set()
    pages: list[Path] = []
    hollow: list[Hollow] = []
    configs: list[ModelConfig] = []
    charts: list[Unread] = []

    def unreadable(error: OSError) -> None:
        problem = Problem(_reason(error))
        reads.append(_Read(SourceFile(shown(Path(error.filename)), problems=(problem,)), ""))

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
        reads.extend(_file(folder / leaf, role) for leaf in sorted(leaves) if _is_manifest(folder / leaf))
        pages.extend(folder / leaf for leaf in sorted(leaves) if is_page(leaf))
        above = folder.parent if folder.name == CACHE_FOLDER and folder != path else folder
        configs.extend(filter(None, [model_config(folder, leaves, shown(above), _text, shown)]))
        hollow.extend(Hollow(shown(folder / leaf), why) for leaf, why in hollow_files(folder, sorted(leaves)))
    shape = "model" if _is_model(path) else "variant"
    context = _context(path) if shape == "variant" else []
    recipe = _recipe(path, shape, [*reads, *context], folders)
    texts = [(found, text) for found in pages if (text := _readable(found)) is not None]
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


def _readable(path: Path) -> str | None:
    """What a page says; one that cannot be read says nothing."""
    try:
        return _text(path)
    except (OSError, UnicodeDecodeError):
        return None


def _first_time(folder: Path, seen: set[str]) -> bool:
    """False for a folder that a link has already led to: a link loop ends here."""
    real = os.path.realpath(folder)
    if real in seen:
        return False
    seen.add(real)
    return True


def _context(folder: Path, but: Path | None = None) -> list[_Read]:
    """The claims and downloads of the model that this folder is a part of."""
    real = Path(os.path.realpath(folder))
    for ancestor in [real, *real.parents][:_ANCESTORS]:
        cache = ancestor / CACHE_FOLDER
        if os.path.isdir(cache):  # noqa: PTH112 - never raises
            relative = Path(os.path.relpath(cache))
            files = [relative / leaf.name for leaf in _entries(cache) if _is_manifest(leaf)]
            own = os.path.realpath(but) if but is not None else None
            return [_file(file, Role.CONTEXT) for file in files if os.path.realpath(file) != own]
    return []


def _is_manifest(path: Path) -> bool:
    """Whether kubectl applies it with its folder; of JSON, which much else is too, what has an apiVersion."""
    if path.suffix != ".json":
        return path.name.endswith(_SUFFIXES)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as stream:
            return b'"apiVersion"' in stream.read(_PEEK)
    except OSError:
        return False


def _file(path: Path, role: Role) -> _Read:
    name = shown(path)
    problems: list[Problem] = []
    try:
        text = _as_kubectl(_content(path), problems)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return _Read(SourceFile(name, problems=(Problem("not UTF-8 text", line),), role=role), "")
    except OSError as error:
        return _Read(SourceFile(name, problems=(Problem(_reason(error)),), role=role), "")
    documents = [withhold(document) for document in read(text, problems)]
    if any(Manifest(name, root).group == "kustomize.config.k8s.io" for root in documents):
        role = Role.KUSTOMIZE
    return _Read(SourceFile(name, tuple(documents), tuple(problems), role), text)


def _as_kubectl(content: bytes, problems: list[Problem]) -> str:
    """A manifest's text as kubectl reads it (FileVisitor of cli-runtime): UTF-16 where a mark says so, with
    a replacement for bytes that are no UTF-8.

    :raises UnicodeDecodeError: it is no text at all.
    """
    marked = content.startswith(_UTF16) and not content.startswith(codecs.BOM_UTF32_LE)
    try:
        text = content.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        if marked or b"\0" in content:
            raise
        line = content.count(b"\n", 0, error.start) + 1
        message = "not UTF-8 text: kubectl puts \ufffd in its place"
        problems.append(Problem(message, line, fatal=False, fix=_SAVE))
        return content.decode("utf-8-sig", "replace")
    if marked:
        message = "UTF-16: kubectl reads it, most other tools do not"
        problems.append(Problem(message, 1, 1, fatal=False, fix=_SAVE))
    return text


def _text(path: Path) -> str:
    return _content(path).decode("utf-8-sig")


def _content(path: Path) -> bytes:
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    with path.open("rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise OSError(errno.EFBIG, f"larger than {MAX_BYTES // 1024 // 1024} MiB: not a manifest")
    return content


def _recipe(path: Path, shape: str, reads: list[_Read], folders: Iterable[str] = ()) -> Recipe:
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
