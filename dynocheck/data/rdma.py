"""What is known of RDMA: the names of its resources, their device plugins, the labels that tell topology."""

from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec


class RdmaResource(msgspec.Struct, frozen=True):
    """Extended resources of this pattern are RDMA devices.

    `mlx` says that NVIDIA's mlx5 driver serves them, so that GPUDirect needs nvidia-peermem or DMA-BUF.
    """

    pattern: str
    what: str
    plugin: str
    mlx: bool
    source: str


class RdmaPlugin(msgspec.Struct, frozen=True):
    """A device plugin for RDMA, by a part of its image's name."""

    image: str
    source: str


class TopologyLevel(msgspec.Struct, frozen=True):
    """A node label that tells a network domain, and what it means to cross from one domain to another.

    `apart`: RDMA does not reach across. `far`: it does, through the top of the network. `nvlink`: the
    domain is one of multi-node NVLink.
    """

    label: str
    kind: Literal["apart", "far", "nvlink"]
    domain: str
    source: str


class _Tables(msgspec.Struct, frozen=True):
    resources: tuple[RdmaResource, ...]
    plugins: tuple[RdmaPlugin, ...]


def rdma_resource(name: str) -> RdmaResource | None:
    """The row of an extended resource, or None when its name is not known to be RDMA.

    GKE gives each network a twin that counts addresses, `NAME.IP`, which is no device.
    """
    if name.endswith(".IP"):
        return None
    return next((row for row in _tables().resources if fnmatchcase(name, row.pattern)), None)


def rdma_plugin(images: tuple[str, ...]) -> RdmaPlugin | None:
    """The row of the RDMA device plugin that one of these images is."""
    return next((row for row in _tables().plugins if any(row.image in image for image in images)), None)


@cache
def topology_levels() -> tuple[TopologyLevel, ...]:
    """The labels that tell a network domain, from the coarsest."""
    return msgspec.json.decode(_read_table("topology.json"), type=tuple[TopologyLevel, ...])


@cache
def _tables() -> _Tables:
    return msgspec.json.decode(_read_table("rdma.json"), type=_Tables)


def _read_table(name: str) -> bytes:
    return (files("dynocheck.data") / name).read_bytes()
