"""Where the volumes of a provisioner can be reached, and which CSI driver stands behind it."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec

from dynocheck.data import provisioner
from dynocheck.facts import CsiDrivers, StorageClass


class VolumeReach(msgspec.Struct, frozen=True):
    """The volumes of a provisioner can be reached from one zone, from one node or, without `reach`, not told.

    `driver` is the CSI driver that does the work of a provisioner which Kubernetes once had built in.
    `anywhere` are parameters of the class, lower-case, whose ending tells of volumes in several zones.
    """

    provisioner: str
    source: str
    reach: Literal["zone", "node"] | None = None
    driver: str | None = None
    anywhere: dict[str, str] = {}

    def find_reach(self, parameters: Mapping[str, str]) -> Literal["zone", "node"] | None:
        """The reach of volumes of a class with these parameters."""
        given = {name.lower(): value.lower() for name, value in parameters.items()}
        free = any(given.get(name, "").endswith(end.lower()) for name, end in self.anywhere.items())
        return None if free else self.reach


def volume_reach(name: str) -> VolumeReach | None:
    """The row of a StorageClass's provisioner, or None when the table does not have it."""
    return _rows().get(name)


def find_csi_driver(name: str) -> str | None:
    """The CSI driver that a StorageClass's provisioner is or stands for, or None when it is none.

    The name of a CSI driver has the form of a domain, so one with a slash is an external provisioner
    (`rancher.io/local-path`) or was part of Kubernetes.
    """
    row = volume_reach(name)
    if row is not None and row.driver is not None:
        return row.driver
    return None if "/" in name or name in _EXTERNAL else name


def is_known_driver(name: str) -> bool:
    """Whether a CSI driver of this name is known to exist."""
    return provisioner(name) is not None or volume_reach(name) is not None or ".csi." in f".{name}."


def find_reach(storage_class: StorageClass, drivers: CsiDrivers) -> Literal["zone", "node"] | None:
    """What a volume of this class is bound to, by the table or else by the topology keys that its driver
    registers on nodes; None when it is bound to neither.
    """
    name = storage_class.provisioner
    row, access = volume_reach(name), provisioner(name)
    if row is not None and row.reach is not None:
        return row.find_reach(storage_class.parameters)
    driver = find_csi_driver(name)
    if driver is None or (access is not None and access.rwx == "yes"):  # a shared file system
        return None
    return "zone" if any(key.endswith("zone") for key in drivers.find_topology_keys(driver)) else None


_EXTERNAL = {"nfs-subdir-external-provisioner"}


@cache
def _rows() -> dict[str, VolumeReach]:
    text = (files("dynocheck.data") / "volumes.json").read_bytes()
    return {row.provisioner: row for row in msgspec.json.decode(text, type=list[VolumeReach])}
