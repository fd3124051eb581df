"""Helps to look at a test cluster through the probes, as somebody."""

from collections.abc import Iterable
from typing import Any

from dynocheck.core.declarations import Probe
from dynocheck.core.registry import load
from dynocheck.facts import Access, RecipePaths, RequiredAccess
from dynocheck.kube import Cluster, find_connection
from tests.command import ROOT
from tests.controlplane.access import User
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane

NEEDY = ROOT / "tests/recipes/needy"
_OF_PREFLIGHT = {Cluster, RecipePaths, RequiredAccess}
PROBES = {
    probe.name: probe
    for probe in load().probes
    if Cluster in probe.sources.values() and _OF_PREFLIGHT.issuperset(probe.sources.values())
}


def reach(
    cluster: ControlPlane, user: User | None = None, timeout_s: float = 20, *, namespace: str | None = None
) -> Cluster:
    """The cluster as this user, or as its administrator, sees it."""
    return Cluster(find_connection(str(cluster.kubeconfig(user, namespace=namespace))), timeout_s=timeout_s)


def look(name: str, cluster: ControlPlane, user: User | None = None) -> Any:
    """What the probe of this name sees."""
    return ask(PROBES[name], reach(cluster, user))


def ask(probe: Probe, cluster: Cluster, required: Iterable[Access] = ()) -> Any:
    """What a probe sees of a cluster, and of a recipe that names Secrets."""
    sources = {**sources_of(cluster), RequiredAccess: RequiredAccess(tuple(required))}
    return probe(**{name: sources[kind] for name, kind in probe.sources.items()})


def sources_of(cluster: Cluster) -> dict[type, Any]:
    """What a run with a recipe has to look at."""
    return {Cluster: cluster, RecipePaths: RecipePaths((str(NEEDY),))}


def rules(access: Iterable[Access]) -> list[Object]:
    """The RBAC rules that give these rights."""
    return [
        {"apiGroups": [a.group], "resources": [a.resource], "verbs": [a.verb]}
        | ({"resourceNames": [*a.names]} if a.names else {})
        for a in access
    ]


def with_access() -> list[Probe]:
    """The probes that need rights in a cluster."""
    return [probe for probe in PROBES.values() if probe.access]
