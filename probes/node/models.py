"""The Hugging Face cache, and the disk that holds it."""

import itertools
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from dynocheck.core.declarations import probe
from dynocheck.facts import CachedModel, NodeModelCache, NodeRoot
from dynocheck.probes.node._sysfs import read

_MODELS, _MISSING = 1000, 20  # how many are listed
_FILES = 10_000  # among which the largest is sought
_LEAST_BYTES, _MOST_BYTES, _READING_S = 16 << 20, 256 << 20, 0.5  # of the reading test
_HASH = re.compile(r"[0-9a-f]{40}")
_INDEX, _INDEX_BYTES = "model.safetensors.index.json", 64 << 20


@probe()
def node_model_cache(root: NodeRoot) -> NodeModelCache:
    path = _find_cache(root)
    place = root.path / path.relative_to("/")
    filesystem = _find_filesystem(root.path, path)
    try:
        existing = next(each for each in (place, *place.parents) if each.exists())
        disk = os.statvfs(existing)
        free, size = (blocks * disk.f_frsize / 1e9 for blocks in (disk.f_bavail, disk.f_blocks))
        speed = _measure_reading(place)
        folders = sorted(place.glob("models--*"))[:_MODELS] if place.is_dir() else []
        models = tuple(_read_model(folder) for folder in folders)
    except OSError as error:
        return NodeModelCache(str(path), exists=False, unread=f"{path}: {error.strerror}")
    return NodeModelCache(
        str(path), place.is_dir(), filesystem, round(free, 1), round(size, 1), models, speed
    )


def _find_cache(root: NodeRoot) -> Path:
    """Where huggingface_hub looks: HF_HUB_CACHE, then HF_HOME, then the home folder."""
    given, home = root.environment.get("HF_HUB_CACHE"), root.environment.get("HF_HOME")
    user = root.environment.get("HOME", "/root")
    base = given or (f"{home}/hub" if home else f"{user}/.cache/huggingface/hub")
    return Path("/", base.replace("~", user, 1) if base.startswith("~") else base)


def _find_filesystem(root: Path, path: Path) -> str:
    """The type of the file system that holds a path."""
    try:
        lines = (root / "proc/mounts").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    mounts = {words[1]: words[2] for words in map(str.split, lines) if len(words) > 2}
    return next((mounts[str(each)] for each in (path, *path.parents) if str(each) in mounts), "")


def _read_model(folder: Path) -> CachedModel:
    name = folder.name.removeprefix("models--").replace("--", "/")
    incomplete = sum(1 for _ in folder.glob("blobs/*.incomplete"))
    snapshots = sorted(folder.glob("snapshots/*"))
    missing = [lack for snapshot in snapshots for lack in _list_missing(snapshot)]
    main = read(folder / "refs/main")  # what is opened without a revision
    if _HASH.fullmatch(main) and not (folder / "snapshots" / main).exists():
        missing.insert(0, f"snapshots/{main}")
    size = sum(blob.stat().st_size for blob in folder.glob("blobs/*")) / 1e9
    revisions = tuple(snapshot.name for snapshot in snapshots[:_MISSING])
    return CachedModel(name, incomplete, tuple(missing[:_MISSING]), round(size, 1), revisions)


def _measure_reading(cache: Path) -> float | None:
    """MB/s at which the beginning of the largest file is read, with what the page cache has of it dropped.

    :return: None when no file is large enough to tell.
    """
    files = ((blob.stat().st_size, blob) for blob in itertools.islice(cache.glob("*/blobs/*"), _FILES))
    size, path = max(files, default=(0, cache))
    if size < _LEAST_BYTES:
        return None
    file = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(file, 0, _MOST_BYTES, os.POSIX_FADV_DONTNEED)
        started = time.monotonic()
        count, seconds = 0, 0.0
        while count < _MOST_BYTES and seconds < _READING_S and (piece := os.read(file, 1 << 20)):
            count, seconds = count + len(piece), time.monotonic() - started
    finally:
        os.close(file)
    return round(count / 1e6 / seconds, 1) if seconds else None


def _list_missing(snapshot: Path) -> Iterator[str]:
    """The files of a snapshot that are dangling links or that its index names and nobody fetched."""
    dangling = {path.name for path in snapshot.rglob("*") if path.is_symlink() and not path.exists()}
    yield from sorted(dangling)
    index = snapshot / _INDEX
    try:
        if index.stat().st_size > _INDEX_BYTES:
            return
        weights = json.loads(index.read_bytes()).get("weight_map", {})
        named = {str(name) for name in weights.values()}
    except (OSError, ValueError, AttributeError):
        return
    yield from sorted(name for name in named - dangling if not (snapshot / name).exists())
