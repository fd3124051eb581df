"""Speeds below which a GPU is slow."""

from functools import cache

import msgspec

from dynocheck.data import read_table

_SHARE = 0.5  # of what a data sheet promises, which a short measurement of a sound GPU passes by far
_HOST_GB_S = 32.0  # of PCIe 4.0 x16 in one direction, in which newer GPUs may sit too


class GpuSpeeds(msgspec.Struct, frozen=True):
    """The least that a sound GPU shows; None where nothing is known."""

    device_gb_s: float
    host_gb_s: float
    tflops: float | None
    peer_gb_s: float | None
    source: str


class _Row(msgspec.Struct, frozen=True):
    """What is promised: bandwidth of the memory in GB/s, dense TFLOPS in half precision, and GB/s between two
    GPUs in one direction where four share their NVLinks without a switch, which is the least.

    TFLOPS are left out where the limit of power does not let a card reach them.
    """

    memory: float
    source: str
    tflops: float | None = None
    peer: float | None = None


@cache
def find_speeds(name: str) -> GpuSpeeds | None:
    """The floors of a GPU by its whole name in CUDA: a slice of one has a name of its own."""
    row = msgspec.json.decode(read_table("gpu_speeds.json"), type=dict[str, _Row]).get(name)
    if row is None:
        return None
    return GpuSpeeds(
        device_gb_s=row.memory * _SHARE,
        host_gb_s=_HOST_GB_S * _SHARE,
        tflops=row.tflops and row.tflops * _SHARE,
        peer_gb_s=row.peer and row.peer * _SHARE,
        source=row.source,
    )
