"""Reads the configurations of models from the cache that huggingface_hub keeps on this machine.

The layout: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

import os
import re
from pathlib import Path

import msgspec

from dynocheck.facts import ModelConfig
from dynocheck.recipe.configs import read_model_config

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_REVISION = re.compile(r"\w[\w./-]{0,199}")
_WEIGHTS = "model.safetensors"  # of a model in one file, which has no index


def is_model_name(name: str) -> bool:
    """Whether a name can be that of a model on the hub."""
    return _NAME.fullmatch(name) is not None and ".." not in name


def read_cached_config(name: str, revision: str | None) -> ModelConfig | None:
    """The configuration of a model in the cache; None if it is not there.

    :param revision: a branch, tag or commit; None for main.
    """
    revision = revision or "main"
    if not is_model_name(name) or not _REVISION.fullmatch(revision) or ".." in revision:
        return None
    folder = _find_cache() / f"models--{name.replace('/', '--')}"
    try:
        commit = revision
        if not (folder / "snapshots" / revision).is_dir():
            commit = (folder / "refs" / revision).read_text(errors="replace").strip()
        if not _REVISION.fullmatch(commit) or ".." in commit:
            return None
        snapshot = folder / "snapshots" / commit
        leaves = [path.name for path in snapshot.iterdir()]
        config = read_model_config(snapshot, leaves, "")
        if config is not None and config.checkpoint is None and _WEIGHTS in leaves:
            size = (snapshot / _WEIGHTS).stat().st_size
            config = msgspec.structs.replace(config, checkpoint=size)
    except (OSError, RuntimeError):  # the latter for a home that is unknown
        return None
    return config


def _find_cache() -> Path:
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if value := os.environ.get(variable):
            return Path(os.path.expandvars(value)).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{base}/huggingface"
    return Path(os.path.expandvars(home)).expanduser() / "hub"
