"""Facts about what of a cluster is taken, and what a namespace may take."""

from typing import Any

import msgspec

from dynocheck.facts.base import FactList
from dynocheck.facts.k8s.cluster import ClusterFact


class RunningPod(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A pod that holds room on a node, as its scheduler counts it.

    `requests` are thousandths of a CPU and units of everything else, of all its containers and its
    overhead; `assumed` are CPU and memory as scores count them. `affinity` is what its spec says of other
    pods, `ports` are the node's ports that it takes.
    """

    namespace: str
    name: str
    node: str
    labels: dict[str, str] = {}
    requests: dict[str, int] = {}
    assumed: tuple[int, int] = (0, 0)
    priority: int = 0
    terminating: bool = False
    affinity: dict[str, Any] = {}
    ports: tuple[tuple[str, str, int], ...] = ()


class RunningPods(ClusterFact, FactList[RunningPod], frozen=True):
    """Every pod that is on a node and not finished."""


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """A ResourceQuota: how much of what, how much of it is used, and which pods it counts."""

    name: str
    hard: dict[str, str] = {}
    used: dict[str, str] = {}
    scopes: tuple[str, ...] = ()
    scope_selector: tuple[dict[str, Any], ...] = ()


class LimitRangeItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item of a LimitRange: bounds and defaults for a Container, a Pod or a PersistentVolumeClaim."""

    range: str
    type: str
    default: dict[str, str] = {}
    default_request: dict[str, str] = {}
    max: dict[str, str] = {}
    min: dict[str, str] = {}
    ratio: dict[str, str] = {}


class NamespaceLimits(ClusterFact, frozen=True):
    """What the namespace that a recipe goes to allows."""

    namespace: str
    quotas: tuple[Quota, ...] = ()
    limits: tuple[LimitRangeItem, ...] = ()
