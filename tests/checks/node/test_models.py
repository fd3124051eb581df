"""The disk of the model cache."""

from pathlib import Path

import pytest

from dynocheck.checks.node.models import disk
from dynocheck.facts import CachedModel, NodeModelCache, NodeRoot
from dynocheck.probes.node.models import node_model_cache
from tests.checks.judging import outcomes


def make_cache(free_gb: float = 900, read_mb_s: float | None = 2000) -> NodeModelCache:
    model = CachedModel("org/model", size_gb=140)
    return NodeModelCache(
        "/models", exists=True, free_gb=free_gb, size_gb=1000, models=(model,), read_mb_s=read_mb_s
    )


@pytest.mark.parametrize(
    ("cache", "found"),
    [
        (make_cache(), []),
        (make_cache(read_mb_s=None), []),
        (make_cache(free_gb=0.2), ["fail"]),
        (make_cache(free_gb=50), ["warn"]),
        (make_cache(read_mb_s=90), ["warn"]),
        (NodeModelCache("/models", exists=False, unread="/models: Stale file handle"), ["unknown"]),
    ],
    ids=["sound", "not measured", "full", "nearly full", "slow", "unreadable"],
)
def test_a_disk_without_room_or_that_is_slow_is_told(cache: NodeModelCache, found: list[str]) -> None:
    assert outcomes(disk, cache) == found


def test_the_largest_file_is_read_for_a_moment_and_a_small_one_tells_nothing(tmp_path: Path) -> None:
    blob = tmp_path / "root/.cache/huggingface/hub/models--org--model/blobs/0123"
    blob.parent.mkdir(parents=True)
    blob.write_bytes(bytes(1 << 20))
    root = NodeRoot(tmp_path, {"HOME": "/root"})
    small = node_model_cache(root)
    blob.write_bytes(bytes(32 << 20))
    large = node_model_cache(root)
    assert isinstance(small, NodeModelCache)
    assert isinstance(large, NodeModelCache)
    assert (small.read_mb_s, (large.read_mb_s or 0) > 0, large.models[0].size_gb) == (None, True, 0.0)
