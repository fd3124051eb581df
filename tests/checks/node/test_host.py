"""Shared memory that is filled up."""

import pytest

from dynocheck.checks.node.host import shm
from dynocheck.facts import NodeGpu, NodeGpus, NodeHost
from tests.checks.judging import outcomes


@pytest.mark.parametrize(
    ("free_mib", "found"), [(16000, []), (200, ["warn"]), (None, [])], ids=["free", "filled", "unknown"]
)
def test_shared_memory_that_killed_processes_filled_is_told(free_mib: int | None, found: list[str]) -> None:
    gpus = NodeGpus((NodeGpu(index=0, name="NVIDIA H200"),))
    assert outcomes(shm, NodeHost(shm_mib=16384, shm_free_mib=free_mib), gpus) == found
