"""The area storage."""

from __future__ import annotations

from tests import clusters
from tests.controlplane.server import ControlPlane
from tests.situations import Situation

HEALTHY = {"storage.default-class": "pass", "storage.rwx-class": "pass"}


def no_default_class(cluster: ControlPlane) -> None:
    cluster.apply(clusters.storage_class(default=False))


def two_default_classes(cluster: ControlPlane) -> None:
    cluster.apply(clusters.storage_class("other"))


def block_storage_only(cluster: ControlPlane) -> None:
    cluster.delete(clusters.storage_class())
    cluster.apply(clusters.storage_class("gp3", "ebs.csi.aws.com"))


def unheard_of_storage(cluster: ControlPlane) -> None:
    cluster.delete(clusters.storage_class())
    cluster.apply(clusters.storage_class("mystery", "csi.mystery.example"))


def no_class(cluster: ControlPlane) -> None:
    cluster.delete(clusters.storage_class())


SITUATIONS = [
    Situation("no default class", no_default_class, {"storage.default-class": "warn"}, "shared"),
    Situation("two default classes", two_default_classes, {"storage.default-class": "warn"}, "other"),
    Situation("block storage only", block_storage_only, {"storage.rwx-class": "warn"}, "gp3"),
    Situation("unheard-of storage", unheard_of_storage, {"storage.rwx-class": "warn"}, "mystery"),
    Situation(
        "no class",
        no_class,
        {"storage.default-class": "warn", "storage.rwx-class": "warn"},
        says="is the default",
    ),
]
