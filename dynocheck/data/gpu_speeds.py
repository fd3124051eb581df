"""Speeds below which a GPU is slow."""

from functools import cache

import msgspec

from dynocheck.data import read_table

_SHARE = 0.5  # of what a data sheet promises, which a short measurement of a sound GPU passes by far


class GpuSpeeds(msgspec.Struct, frozen=True):
    """The least that a sound GPU shows; None where nothing is published."""

    device_gb_s: float
    tflops: float
    host_gb_s: float | None
    peer_gb_s: float | None
    source: str


class _Row(msgspec.Struct, frozen=True):
    """Bandwidth of the memory in GB/s and dense TFLOPS in half precision as promised, and floors of links."""

    memory: float
    tflops: float
    source: str
    host: float | None = None
    peer: float | None = None


@cache
def find_speeds(name: str) -> GpuSpeeds | None:
    """The floors of a GPU by its name in CUDA."""
    table = msgspec.json.decode(read_table("gpu_speeds.json"), type=dict[str, _Row])
    row = next((row for key, row in table.items() if name.startswith(key)), None)
    if row is None:
        return None
    return GpuSpeeds(row.memory * _SHARE, row.tflops * _SHARE, row.host, row.peer, row.source)
