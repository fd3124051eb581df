"""Reads InferencePools with their pods and endpoint pickers."""

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
from dynocheck.probes._listing import list_first
from dynocheck.probes.capacity.pods import (
    WirePod,
    convert_pod,
    filter_live,
    find_mounted_files,
    has_flag,
    has_image,
)
from dynocheck.probes.gaie.gateways import WireParentStatus, convert_statuses

_VERSIONS = {GAIE: "v1", GAIE_EXPERIMENTAL: "v1alpha2"}
_DEFAULT_PORT = 9002  # of v1alpha2, for an extension without a port
_DYNAMO = "nvidia.com/dynamo-"
_CONFIG_FLAG = "config-file"
_ELECTION_FLAG = "ha-enable-leader-election"
_LIGHT = "lwepp"


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
    ]
)
def inference_pools(cluster: Cluster) -> InferencePools:
    """Lists only the pods that pools and their pickers' Services select.

    No permission is asked for the ConfigMaps of endpoint pickers, whose names differ. Without it, only their
    configuration is unknown.
    """
    paths = [f"/apis/{group}/{version}/inferencepools" for group, version in _VERSIONS.items()]
    lists = run_parallel([partial(list_first, cluster, [path], _Pool) for path in paths])
    pools = [(group, pool) for group, items in zip(_VERSIONS, lists, strict=True) for pool in items or ()]
    return InferencePools(
        tuple(run_parallel([partial(_load_pool, cluster, group, pool) for group, pool in pools]))
    )


def _load_pool(cluster: Cluster, group: str, pool: _Pool) -> InferencePool:
    meta, selector = pool.metadata, dict(_parse_selector(pool.spec))
    reference = pool.spec.endpoint_picker_ref or pool.spec.extension_ref
    picker = None if reference is None else _examine_picker(cluster, reference, meta.namespace)
    labels = {**selector, **(meta.labels or {}), **(picker.selector if picker else {})}
    return InferencePool(
        group=group,
        namespace=meta.namespace,
        name=meta.name,
        selector=selector,
        pods=tuple(convert_pod(pod) for pod in _list_pods(cluster, meta.namespace, selector)),
        picker=picker,
        statuses=convert_statuses([*(pool.status.parents or ()), *(pool.status.parent or ())], meta),
        dynamo=any(key.startswith(_DYNAMO) for key in labels),
    )


def _parse_selector(spec: _Spec) -> Iterator[tuple[str, str]]:
    """The labels of a selector, which are in `matchLabels` in v1, and not in v1alpha2."""
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
        ports=tuple(port.port for port in service.spec.ports or ()),
        selector=selector,
        pods=tuple(convert_pod(pod) for pod in pods),
        election=any(has_flag(pod, _ELECTION_FLAG) for pod in pods),
        light=any(has_image(pod, _LIGHT) for pod in pods),
        configs=tuple(_read_configs(cluster, namespace, pods)),
    )


def _read_configs(cluster: Cluster, namespace: str, pods: Iterable[WirePod]) -> Iterator[PickerConfig]:
    """The files of `--config-file` that are mounted from a ConfigMap."""
    files = {file for pod in pods for file in find_mounted_files(pod, _CONFIG_FLAG)}
    for name, key in sorted(files):
        try:
            config_map = cluster.get(f"/api/v1/namespaces/{namespace}/configmaps/{name}", _ConfigMap)
        except NotFound:
            yield PickerConfig(name, key)
        except Forbidden as error:
            yield PickerConfig(name, key, unread=str(error))
        else:
            yield PickerConfig(name, key, (config_map.data or {}).get(key))
