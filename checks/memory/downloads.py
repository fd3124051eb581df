"""Checks of whether downloads of models have enough memory."""

import re
from collections.abc import Iterator

from dynocheck import Result, Skip, check, fail, judged, unjudged, warn
from dynocheck.checks.storage._fetches import Fetch, find_fetches
from dynocheck.engines.model_lookup import CONFIG_FILES, add_hub_configs
from dynocheck.facts import Container, HubModels, Recipes

# hf-xet 1.5.0 to 1.6.0 buffers 2 GB, and 512 MB for each of 8 files; with high performance 16 GB and 2 GB:
# docs.rs, xet-runtime 1.5.2, config/groups/reconstruction.rs; https://github.com/huggingface/xet-core/issues/926.
# Since 1.7.0 buffers depend on the container's memory: https://github.com/huggingface/xet-core/pull/943.
_BUFFERS, _FAST_BUFFERS = 6_096_000_000, 32_000_000_000
_LEAST_LIMIT = 2**20  # of a container that starts
_PINNED = re.compile(r"\bhf[-_]xet\s*={2,3}\s*1\.[56]\.\d+\b", re.IGNORECASE)
_FAST = ("HF_XET_HIGH_PERFORMANCE", "HF_XET_HP")


@check("memory.download", title="Downloads fit their container's memory limit")
def download(recipes: Recipes, models: HubModels | None = None) -> Iterator[Result]:
    """Files on an emptyDir in memory count against the container's memory limit: a larger download ends with
    OOMKilled.

    So do the buffers of hf-xet 1.5 and 1.6, which `hf download` uses: up to 6.1 GB for a large model, and 32
    GB with HF_XET_HIGH_PERFORMANCE, whatever the limit. Later versions respect the limit. The version is
    known only where the script pins it.

    Fix: pip install 'hf_xet>=1.7', HF_HUB_DISABLE_XET=1, or a higher limit
    """
    applies = False
    for fetch in (each for recipe in add_hub_configs(recipes, models) for each in find_fetches(recipe)):
        limit = fetch.find_limit("memory")
        if limit is None:
            continue
        if limit[0] < _LEAST_LIMIT:
            applies = True
            yield fail(
                f"{fetch.label}: the container's limit is {limit[1].data}, which is less than a mebibyte",
                fix=f"write the unit, as in {round(limit[0]) or 1}Gi",
                location=fetch.locate(limit[1]),
            )
            continue
        buffered = _has_fixed_buffers(fetch)
        if not fetch.is_in_memory and not buffered:
            continue
        applies = True
        if fetch.size is None:
            yield unjudged(
                fetch.label,
                why="the size of the model is unknown, and its container has a memory limit",
                needs=CONFIG_FILES,
                location=fetch.locate(fetch.download),
            )
            continue
        yield judged(1, "downloads")
        amount, source = limit
        in_memory = fetch.size if fetch.is_in_memory else None
        buffers = _estimate_buffers(fetch, fetch.size) if buffered else None
        if in_memory is not None and in_memory > amount:
            yield fail(
                f"{fetch.label} is {in_memory / 1e9:.0f} GB and is downloaded to memory; "
                f"the container's limit is {source.data}",
                fix="download to a claim",
                location=fetch.locate(source),
            )
        elif buffers is not None and buffers > amount:
            yield warn(
                f"the pinned hf-xet may buffer {buffers / 1e9:.1f} GB while it downloads {fetch.label}; "
                f"the container's limit is {source.data}",
                fix="pin hf_xet>=1.7, which goes by the limit, or set HF_HUB_DISABLE_XET=1",
                location=fetch.locate(source),
            )
    if not applies:
        raise Skip("no download goes to memory or pins an hf-xet with fixed buffers")


def _has_fixed_buffers(fetch: Fetch) -> bool:
    """Whether a download pins an hf-xet whose buffers have fixed sizes."""
    container = fetch.download.container
    changed = any(variable.name.startswith("HF_XET_RECONSTRUCTION_") for variable in container.env)
    return bool(_PINNED.search(fetch.script)) and not changed and not _is_on(container, "HF_HUB_DISABLE_XET")


def _estimate_buffers(fetch: Fetch, size: float) -> float:
    """The most bytes that hf-xet buffers during a download."""
    is_fast = any(_is_on(fetch.download.container, name) for name in _FAST)
    return min(size, _FAST_BUFFERS if is_fast else _BUFFERS)


def _is_on(container: Container, name: str) -> bool:
    variable = container.find_variable(name)
    return variable is not None and (variable.value or "").lower() in ("1", "true", "yes", "on")
