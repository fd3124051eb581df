"""Helps to look at a test cluster through the probes, as somebody."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dynocheck.facts import Access
from dynocheck.kube import Cluster, find
from dynocheck.registry import Probe, load
from tests.controlplane.access import User
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane

PROBES = {probe.name: probe for probe in load().probes if Cluster in probe.sources.values()}


def reach(cluster: ControlPlane, user: User | None = None, timeout_s: float = 20) -> Cluster:
    """The cluster as this user, or as its administrator, sees it."""
    return Cluster(find(str(cluster.kubeconfig(user))), timeout_s=timeout_s)


def look(name: str, cluster: ControlPlane, user: User | None = None) -> Any:
    """What the probe of this name sees."""
    return PROBES[name](reach(cluster, user))


def rules(access: Iterable[Access]) -> list[Object]:
    """The RBAC rules that give these rights."""
    return [{"apiGroups": [a.group], "resources": [a.resource], "verbs": [a.verb]} for a in access]


def with_access() -> list[Probe]:
    """The probes that need rights in a cluster."""
    return [probe for probe in PROBES.values() if probe.access]
