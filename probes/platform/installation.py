"""The Dynamo platform: webhooks, versions of its types, configuration and claims of its operators."""

import datetime
import time
from base64 import b64decode
from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec

from dynocheck import probe
from dynocheck.facts import (
    Access,
    AdmissionWebhooks,
    Certificates,
    OperatorConfig,
    OperatorConfigs,
    OperatorLease,
    OperatorLeases,
    PlatformType,
    PlatformTypes,
    ServiceName,
    Webhook,
)
from dynocheck.kube import Cluster, NotFound, run_parallel
from dynocheck.probes._k8s_types import ObjectMeta

_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_CONFIGURATIONS = {
    "ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
    "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
}
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_MIGRATED = "crd-migration.nvidia.com/observed-generation"
# Those that have had more than one version; the others need no conversion and no migration.
_VERSIONED = (
    "dynamocomponentdeployments.nvidia.com",
    "dynamographdeploymentrequests.nvidia.com",
    "dynamographdeployments.nvidia.com",
    "dynamographdeploymentscalingadapters.nvidia.com",
)
_LEASE = "dynamo-operator-namespace-scope"
_LEASE_S = 30  # what the operator sets when nobody says otherwise
_NAMESPACE_NAME = "kubernetes.io/metadata.name"


class _Service(msgspec.Struct):
    namespace: str
    name: str


class _Client(msgspec.Struct, rename="camel"):
    service: _Service | None = None
    ca_bundle: str = ""


class _Rule(msgspec.Struct, rename="camel"):
    api_groups: list[str] | None = None
    resources: list[str] | None = None


class _Expression(msgspec.Struct):
    key: str
    operator: str
    values: list[str] | None = None


class _Selector(msgspec.Struct, rename="camel"):
    match_labels: dict[str, str] | None = None
    match_expressions: list[_Expression] | None = None


class _Webhook(msgspec.Struct, rename="camel"):
    name: str
    client_config: _Client
    rules: list[_Rule] | None = None
    failure_policy: str = "Fail"
    namespace_selector: _Selector | None = None


class _Configuration(msgspec.Struct):
    metadata: ObjectMeta
    webhooks: list[_Webhook] | None = None


@probe(access=[Access("list", p, "admissionregistration.k8s.io") for p in _CONFIGURATIONS.values()])
def admission_webhooks(cluster: Cluster) -> AdmissionWebhooks:
    def listed(kind: str, plural: str) -> list[Webhook]:
        found = cluster.items(f"{_ADMISSION}/{plural}", _Configuration)
        return [
            _convert_webhook(kind, each.metadata.name, w) for each in found for w in _select_webhooks(each)
        ]

    lists = run_parallel([partial(listed, kind, plural) for kind, plural in _CONFIGURATIONS.items()])
    return AdmissionWebhooks(tuple(each for found in lists for each in found), looked=time.time())


def _select_webhooks(configuration: _Configuration) -> list[_Webhook]:
    webhooks = configuration.webhooks or []
    return webhooks if any(_is_for_dynamo(rule) for each in webhooks for rule in each.rules or ()) else []


def _is_for_dynamo(rule: _Rule) -> bool:
    return "nvidia.com" in (rule.api_groups or ()) and any(
        resource.startswith("dynamo") for resource in rule.resources or ()
    )


def _convert_webhook(kind: str, configuration: str, found: _Webhook) -> Webhook:
    client = found.client_config
    return Webhook(
        kind=kind,
        configuration=configuration,
        name=found.name,
        service=ServiceName(client.service.namespace, client.service.name) if client.service else None,
        bundle=_parse_certificates(client.ca_bundle),
        blocking=found.failure_policy == "Fail",
        namespaces=_list_namespaces(found.namespace_selector),
    )


def _list_namespaces(selector: _Selector | None) -> tuple[str, ...]:
    """The namespaces that a selector names, where it goes by their names."""
    if selector is None:
        return ()
    if named := (selector.match_labels or {}).get(_NAMESPACE_NAME):
        return (named,)
    return tuple(
        value
        for each in selector.match_expressions or ()
        if each.key == _NAMESPACE_NAME and each.operator == "In"
        for value in each.values or ()
    )


def _parse_certificates(bundle: str) -> Certificates | None:
    """What a CA bundle holds, by the library that would use it to verify."""
    if not bundle:
        return None
    import ssl  # not before there is a certificate to read

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=b64decode(bundle, validate=True).decode("ascii"))
        expiries = [ssl.cert_time_to_seconds(str(ca["notAfter"])) for ca in context.get_ca_certs()]
    except (ssl.SSLError, ValueError) as error:
        why = "it is not PEM" if isinstance(error, UnicodeDecodeError) else str(error)
        return Certificates(problem=why)
    return Certificates(context.cert_store_stats()["x509"], tuple(expiries))


class _Version(msgspec.Struct):
    name: str
    served: bool = False
    storage: bool = False


class _Caller(msgspec.Struct, rename="camel"):
    client_config: _Client | None = None


class _Conversion(msgspec.Struct):
    strategy: str = "None"
    webhook: _Caller | None = None


class _Spec(msgspec.Struct):
    versions: list[_Version]
    conversion: _Conversion = msgspec.field(default_factory=_Conversion)


class _Status(msgspec.Struct, rename="camel"):
    stored_versions: list[str] | None = None


class _Definition(msgspec.Struct):
    metadata: ObjectMeta
    spec: _Spec
    status: _Status = msgspec.field(default_factory=_Status)


@probe(access=[Access("get", "customresourcedefinitions", "apiextensions.k8s.io")])
def platform_types(cluster: Cluster) -> PlatformTypes:
    """Whole definitions, schemas and all: nothing smaller says how a type is stored and converted."""
    looks = run_parallel([partial(_examine, cluster, name) for name in _VERSIONED])
    return PlatformTypes(tuple(each for each in looks if each is not None), looked=time.time())


def _examine(cluster: Cluster, name: str) -> PlatformType | None:
    try:
        found = cluster.get(f"{_DEFINITIONS}/{name}", _Definition)
    except NotFound:
        return None
    return PlatformType(
        name=name,
        generation=found.metadata.generation,
        migrated_generation=(found.metadata.annotations or {}).get(_MIGRATED, ""),
        storage=next((v.name for v in found.spec.versions if v.storage), ""),
        stored=tuple(found.status.stored_versions or ()),
        served=tuple(v.name for v in found.spec.versions if v.served),
        converter=_convert_conversion(name, found.spec.conversion),
    )


def _convert_conversion(name: str, conversion: _Conversion) -> Webhook | None:
    if conversion.strategy != "Webhook" or conversion.webhook is None:
        return None
    client = conversion.webhook.client_config or _Client()
    return Webhook(
        kind="CustomResourceDefinition",
        configuration=name,
        name="conversion",
        service=ServiceName(client.service.namespace, client.service.name) if client.service else None,
        bundle=_parse_certificates(client.ca_bundle),
    )


class _ConfigMap(msgspec.Struct):
    metadata: ObjectMeta
    data: dict[str, str] | None = None


@probe(access=[Access("list", "configmaps")])
def operator_configs(cluster: Cluster) -> OperatorConfigs:
    """Of their settings only those that say whom an operator serves and what it relies on."""
    found = cluster.items(
        "/api/v1/configmaps", _ConfigMap, labelSelector="app.kubernetes.io/name=dynamo-operator"
    )
    return OperatorConfigs(tuple(config for each in found for config in _parse_configs(each)))


def _parse_configs(found: _ConfigMap) -> Iterator[OperatorConfig]:
    import yaml  # takes longer than the rest of a start

    try:
        settings = yaml.load((found.data or {}).get("config.yaml", ""), Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return
    if not isinstance(settings, dict) or settings.get("kind") != "OperatorConfiguration":
        return
    yield OperatorConfig(
        namespace=found.metadata.namespace,
        name=found.metadata.name,
        instance=(found.metadata.labels or {}).get("app.kubernetes.io/instance", ""),
        restricted=_get_text(settings, "namespace", "restricted"),
        grove=_get_flag(settings, "orchestrators", "grove", "enabled"),
        lws=_get_flag(settings, "orchestrators", "lws", "enabled"),
        nats=_get_text(settings, "infrastructure", "natsAddress"),
        etcd=_get_text(settings, "infrastructure", "etcdAddress"),
        discovery=_get_text(settings, "discovery", "backend"),
    )


def _get_value(settings: Any, *path: str) -> Any:
    for key in path:
        settings = settings.get(key) if isinstance(settings, dict) else None
    return settings


def _get_text(settings: Any, *path: str) -> str:
    value = _get_value(settings, *path)
    return value if isinstance(value, str) else ""


def _get_flag(settings: Any, *path: str) -> bool | None:
    value = _get_value(settings, *path)
    return value if isinstance(value, bool) else None


class _LeaseSpec(msgspec.Struct, rename="camel"):
    renew_time: str = ""
    lease_duration_seconds: int = _LEASE_S


class _Lease(msgspec.Struct):
    metadata: ObjectMeta
    spec: _LeaseSpec = msgspec.field(default_factory=_LeaseSpec)


@probe(access=[Access("list", "leases", "coordination.k8s.io")])
def operator_leases(cluster: Cluster) -> OperatorLeases:
    found = cluster.items(
        "/apis/coordination.k8s.io/v1/leases", _Lease, fieldSelector=f"metadata.name={_LEASE}"
    )
    leases = (OperatorLease(each.metadata.namespace, _compute_expiry(each.spec)) for each in found)
    return OperatorLeases(tuple(leases), looked=time.time())


def _compute_expiry(spec: _LeaseSpec) -> float:
    if not spec.renew_time:
        return 0
    renewed = datetime.datetime.fromisoformat(spec.renew_time.replace("Z", "+00:00"))
    return renewed.timestamp() + spec.lease_duration_seconds
