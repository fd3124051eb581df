"""InferencePools, with their members and endpoint pickers."""

from collections.abc import Iterable, Iterator
from functools import partial

import msgspec

from dynocheck import probe
from dynocheck.facts import (
    GAIE,
    GAIE_EXPERIMENTAL,
    Access,
    EndpointPicker,
    InferencePool,
    InferencePools,
    ObjectReference,
    PickerConfig,
)
from dynocheck.kube import Cluster, Forbidden, NotFound, run_parallel
from dynocheck.probes._k8s_types import ObjectMeta
from dynocheck.probes.capacity.pods import WirePod, convert_pod, filter_live, find_mounted_files, has_flag
from dynocheck.probes.gaie.gateways import WireParentStatus, convert_statuses

_VERSIONS = {GAIE: "v1", GAIE_EXPERIMENTAL: "v1alpha2"}
_DEFAULT_PORT = 9002  # what v1alpha2 says of an extension that names none
_DYNAMO = "nvidia.com/dynamo-"
_CONFIG_FLAG = "config-file"
_ELECTION_FLAG = "ha-enable-leader-election"


class _Number(msgspec.Struct):
    number: int


class _Picker(msgspec.Struct, rename="camel"):
    name: str
    group: str = ""
    kind: str = "Service"
    port: _Number | None = None
    port_number: int | None = None


class _Spec(msgspec.Struct, rename="camel"):
    selector: dict[str, str | dict[str, str]] | None = None
    endpoint_picker_ref: _Picker | None = None
    extension_ref: _Picker | None = None


class _Status(msgspec.Struct, rename="camel"):
    parents: list[WireParentStatus] | None = None
    parent: list[WireParentStatus] | None = None


class _Pool(msgspec.Struct):
    metadata: ObjectMeta
    spec: _Spec
    status: _Status = msgspec.field(default_factory=_Status)


class _Port(msgspec.Struct):
    port: int


class _ServiceSpec(msgspec.Struct):
    ports: list[_Port] | None = None
    selector: dict[str, str] | None = None


class _Service(msgspec.Struct):
    metadata: ObjectMeta
    spec: _ServiceSpec


class _ConfigMap(msgspec.Struct):
    data: dict[str, str] | None = None


@probe(
    access=[
        Access("list", "inferencepools", GAIE),
        Access("list", "inferencepools", GAIE_EXPERIMENTAL),
        Access("list", "pods"),
        Access("get", "services"),
        Access("get", "configmaps"),
    ]
)
def inference_pools(cluster: Cluster) -> InferencePools:
    """Pods are listed by the selectors of pools and of their pickers' Services, each in its namespace.

    Without the right to get ConfigMaps, only the configuration of endpoint pickers stays unknown.
    """
    lists = run_parallel([partial(_list_pools, cluster, group) for group in _VERSIONS])
    found = [(group, each) for group, pools in zip(_VERSIONS, lists, strict=True) for each in pools]
    return InferencePools(
        tuple(run_parallel([partial(_load_pool, cluster, group, each) for group, each in found]))
    )


def _list_pools(cluster: Cluster, group: str) -> list[_Pool]:
    try:
        return cluster.items(f"/apis/{group}/{_VERSIONS[group]}/inferencepools", _Pool)
    except NotFound:
        return []


def _load_pool(cluster: Cluster, group: str, found: _Pool) -> InferencePool:
    meta, selector = found.metadata, dict(_parse_selector(found.spec))
    reference = found.spec.endpoint_picker_ref or found.spec.extension_ref
    picker = None if reference is None else _examine_picker(cluster, reference, meta.namespace)
    labels = {**selector, **(meta.labels or {}), **(picker.selector if picker else {})}
    return InferencePool(
        group=group,
        namespace=meta.namespace,
        name=meta.name,
        selector=selector,
        pods=tuple(convert_pod(each) for each in _list_pods(cluster, meta.namespace, selector)),
        picker=picker,
        statuses=convert_statuses([*(found.status.parents or ()), *(found.status.parent or ())], meta),
        dynamo=any(key.startswith(_DYNAMO) for key in labels),
    )


def _parse_selector(spec: _Spec) -> Iterator[tuple[str, str]]:
    """v1 wraps the labels in `matchLabels`, v1alpha2 does not."""
    for key, value in (spec.selector or {}).items():
        if isinstance(value, str):
            yield key, value
        elif key == "matchLabels":
            yield from value.items()


def _list_pods(cluster: Cluster, namespace: str, selector: dict[str, str]) -> list[WirePod]:
    if not selector:
        return []
    labels = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    return filter_live(cluster.items(f"/api/v1/namespaces/{namespace}/pods", WirePod, labelSelector=labels))


def _examine_picker(cluster: Cluster, picker: _Picker, namespace: str) -> EndpointPicker:
    port = picker.port.number if picker.port else picker.port_number
    reference = ObjectReference(
        group=picker.group,
        kind=picker.kind,
        namespace=namespace,
        name=picker.name,
        port=port or _DEFAULT_PORT,
    )
    if (picker.group, picker.kind) != ("", "Service"):
        return EndpointPicker(reference=reference)
    try:
        service = cluster.get(f"/api/v1/namespaces/{namespace}/services/{picker.name}", _Service)
    except NotFound:
        return EndpointPicker(reference=reference)
    selector = service.spec.selector or {}
    pods = _list_pods(cluster, namespace, selector)
    return EndpointPicker(
        reference=reference,
        ports=tuple(each.port for each in service.spec.ports or ()),
        selector=selector,
        pods=tuple(convert_pod(each) for each in pods),
        election=any(has_flag(each, _ELECTION_FLAG) for each in pods),
        configs=tuple(_read_configs(cluster, namespace, pods)),
    )


def _read_configs(cluster: Cluster, namespace: str, pods: Iterable[WirePod]) -> Iterator[PickerConfig]:
    """The file of each `--config-file` that a ConfigMap puts into the pod."""
    places = {place for each in pods for place in find_mounted_files(each, _CONFIG_FLAG)}
    for name, key in sorted(places):
        try:
            found = cluster.get(f"/api/v1/namespaces/{namespace}/configmaps/{name}", _ConfigMap)
        except NotFound:
            yield PickerConfig(name, key)
        except Forbidden as error:
            yield PickerConfig(name, key, unread=str(error))
        else:
            yield PickerConfig(name, key, (found.data or {}).get(key))
