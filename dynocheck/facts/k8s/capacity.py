"""Facts about used capacity and the quotas and limits of a namespace."""

from typing import Any

import msgspec

from dynocheck.facts.base import FactList
from dynocheck.facts.k8s.cluster import ClusterFact


class RunningPod(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A pod that uses capacity of a node, as the scheduler counts it.

    `requests` are in millicores of CPU and units of all other resources, for all containers and the overhead;
    `assumed` are CPU and memory as the scheduler's scores count them, with defaults for missing requests.
    `affinity` is its pod affinity and anti-affinity, `ports` are its host ports, `claims` what it
    mounts.
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
    claims: tuple[str, ...] = ()


class RunningPods(ClusterFact, FactList[RunningPod], frozen=True):
    """Every pod that is assigned to a node and has not finished."""


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """A ResourceQuota: its limits, its usage, and the scopes of the pods that it counts."""

    name: str
    hard: dict[str, str] = {}
    used: dict[str, str] = {}
    scopes: tuple[str, ...] = ()
    scope_selector: tuple[dict[str, Any], ...] = ()


class LimitRangeItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item of a LimitRange: limits and defaults for a Container, a Pod or a PersistentVolumeClaim."""

    range: str
    type: str
    default: dict[str, str] = {}
    default_request: dict[str, str] = {}
    max: dict[str, str] = {}
    min: dict[str, str] = {}
    ratio: dict[str, str] = {}


class NamespaceLimits(ClusterFact, frozen=True):
    """The ResourceQuotas and LimitRanges of the namespace of the run."""

    namespace: str
    quotas: tuple[Quota, ...] = ()
    limits: tuple[LimitRangeItem, ...] = ()
