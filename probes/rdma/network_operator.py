"""Reads the policies of the NVIDIA Network Operator."""

from typing import Any, TypeVar

import msgspec

from dynocheck import probe
from dynocheck.facts import Access, AppliedState, NicPolicies, NicPolicy
from dynocheck.kube import Cluster
from dynocheck.probes._k8s_types import ObjectMeta
from dynocheck.probes._listing import list_first

T = TypeVar("T")

_GROUP = "mellanox.com"
_KINDS = {"NicClusterPolicy": "nicclusterpolicies", "NicNodePolicy": "nicnodepolicies"}


class _Applied(msgspec.Struct):
    name: str
    state: str = ""
    message: str = ""


class _Status(msgspec.Struct, rename="camel"):
    state: str = ""
    applied_states: list[_Applied] | None = None


class _Policy(msgspec.Struct):
    metadata: ObjectMeta
    spec: dict[str, Any] = msgspec.field(default_factory=dict)
    status: _Status = msgspec.field(default_factory=_Status)


class _Selectors(msgspec.Struct, rename="camel"):
    is_rdma: bool = False


class _Pool(msgspec.Struct, rename="camel"):
    resource_name: str = ""
    resource_prefix: str = ""
    selectors: _Selectors | list[_Selectors] | None = None


class _Shared(msgspec.Struct, rename="camel"):
    config_list: list[_Pool] | None = None


class _Sriov(msgspec.Struct, rename="camel"):
    resource_list: list[_Pool] | None = None


@probe(access=[Access("list", plural, _GROUP) for plural in _KINDS.values()])
def nic_policies(cluster: Cluster) -> NicPolicies:
    """Releases before 26.4 have no NicNodePolicy."""
    lists = {
        kind: list_first(cluster, [f"/apis/{_GROUP}/v1alpha1/{plural}"], _Policy)
        for kind, plural in _KINDS.items()
    }
    policies = (_convert_policy(kind, policy) for kind, items in lists.items() for policy in items or ())
    return NicPolicies(tuple(policies), served=any(items is not None for items in lists.values()))


def _convert_policy(kind: str, policy: _Policy) -> NicPolicy:
    return NicPolicy(
        kind=kind,
        name=policy.metadata.name,
        state=policy.status.state,
        states=tuple(AppliedState(s.name, s.state, s.message) for s in policy.status.applied_states or ()),
        components=tuple(sorted(key for key, value in policy.spec.items() if isinstance(value, dict))),
        resources=tuple(_list_resources(policy.spec)),
    )


def _list_resources(spec: dict[str, Any]) -> list[str]:
    """The resource names in the configurations of the device plugins; of SR-IOV pools only those for RDMA."""
    names = []
    shared = _parse_config(spec.get("rdmaSharedDevicePlugin"), _Shared)
    for pool in (shared.config_list if shared else None) or ():
        names.append(f"{pool.resource_prefix or 'rdma'}/{pool.resource_name}")
    sriov = _parse_config(spec.get("sriovDevicePlugin"), _Sriov)
    for pool in (sriov.resource_list if sriov else None) or ():
        selectors = pool.selectors if isinstance(pool.selectors, list) else [pool.selectors]
        if any(selector is not None and selector.is_rdma for selector in selectors):
            names.append(f"{pool.resource_prefix or 'nvidia.com'}/{pool.resource_name}")
    return names


def _parse_config(plugin: Any, kind: type[T]) -> T | None:
    """A plugin's configuration, which is a string of JSON in the policy; None if it is not."""
    text = plugin.get("config") if isinstance(plugin, dict) else None
    try:
        return msgspec.json.decode(text, type=kind) if isinstance(text, str) else None
    except msgspec.MsgspecError:
        return None
