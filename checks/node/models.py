"""The model cache and its disk."""

from collections.abc import Iterator

from dynocheck import Finding, Skip, check, fail, unjudged, unknown, warn
from dynocheck.core.outcomes import Result
from dynocheck.facts import NodeModelCache

_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.s3fs", "fuse.gcsfuse")
_FREE = 0.1  # dev/sanity_check.py of Dynamo warns below
_FULL_GB = 1.0
_LOADING_S = 600  # nobody publishes a floor: ten minutes for one model are told


@check("node.hf-cache", title="Cached models are complete")
def hf_cache(cache: NodeModelCache) -> Iterator[Result]:
    """With a file missing, an engine that starts offline fails, and others download again. What a model needs
    is what the snapshot links to and the index of its weights names; HF_HUB_CACHE and HF_HOME are honoured.

    Fix: hf download MODEL
    """
    if cache.unread:
        yield unknown(cache.unread)
        return
    if not cache.models:
        raise Skip(f"no model in {cache.path}")
    for model in cache.models:
        if model.missing:
            yield fail(
                f"{model.name} lacks {model.missing[0]}"
                + (f" and {len(model.missing) - 1} more" if len(model.missing) > 1 else ""),
                fix=f"hf download {model.name}",
                evidence={"missing": list(model.missing), "unfinished": model.incomplete},
            )
        elif model.incomplete:
            yield warn(
                f"{model.name}: {model.incomplete} downloads begun and not finished",
                fix=f"hf download {model.name}",
            )
    if cache.filesystem in _NETWORK and cache.read_mb_s is None:
        yield unjudged(cache.path, why=f"how fast {cache.filesystem} is read was not measured")


@check("node.disk", title="The disk of the model cache has room and is fast")
def disk(cache: NodeModelCache) -> Iterator[Finding]:
    """A download that fills the disk leaves half a model, and the kubelet evicts pods. A disk that is slow to
    read makes each start of an engine wait for the weights, beyond what startup probes allow.

    Fix: free space, or set HF_HOME to a larger or faster volume
    """
    if cache.free_gb is None or not cache.size_gb:
        yield unknown(cache.unread or "the disk cannot be read")
    elif cache.free_gb < _FULL_GB or cache.free_gb < _FREE * cache.size_gb:
        yield (fail if cache.free_gb < _FULL_GB else warn)(
            f"{cache.free_gb:g} of {cache.size_gb:g} GB free at {cache.path}",
            fix="free space, or set HF_HOME to a larger volume",
        )
    largest = max(cache.models, key=lambda model: model.size_gb, default=None)
    if largest and cache.read_mb_s and largest.size_gb * 1000 / cache.read_mb_s > _LOADING_S:
        minutes = round(largest.size_gb * 1000 / cache.read_mb_s / 60)
        yield warn(
            f"{cache.path}, read at {cache.read_mb_s:g} MB/s: {largest.name} takes {minutes} minutes to load",
            fix="set HF_HOME to a faster volume",
            evidence={"mb_s": cache.read_mb_s, "gb": largest.size_gb, "filesystem": cache.filesystem},
        )
