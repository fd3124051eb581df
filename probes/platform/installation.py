"""Reads the Dynamo platform: webhooks, versions of its CRDs, configuration and leases of its operators."""

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
    KaiQueue,
    KaiQueues,
    OperatorConfig,
    OperatorConfigs,
    OperatorLease,
    OperatorLeases,
    PlatformType,
    PlatformTypes,
    Selector,
    ServiceName,
    Webhook,
    is_operator,
)
from dynocheck.kube import Cluster, Forbidden, NotFound, run_parallel
from dynocheck.probes._k8s_types import METADATA, ObjectMeta, PartialObject

_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_CONFIGURATIONS = {
    "ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
    "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
}
# What graphs become: pods and Services, and what Grove and LeaderWorkerSet make pods of.
_MADE = (
    ("", "v1", "pods"),
    ("", "v1", "services"),
    ("grove.io", "v1alpha1", "podcliquesets"),
    ("leaderworkerset.x-k8s.io", "v1", "leaderworkersets"),
)
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_MIGRATED = "crd-migration.nvidia.com/observed-generation"
# The CRDs with more than one version, which need conversion and migration.
_VERSIONED = (
    "dynamocomponentdeployments.nvidia.com",
    "dynamographdeploymentrequests.nvidia.com",
    "dynamographdeployments.nvidia.com",
    "dynamographdeploymentscalingadapters.nvidia.com",
)
_QUEUES = "/apis/scheduling.run.ai/v2/queues"
_POOL = "kai.scheduler/node-pool"
_LEASE = "dynamo-operator-namespace-scope"
_LEASE_S = 30  # the operator's default
_NAMESPACE_NAME = "kubernetes.io/metadata.name"


class _Service(msgspec.Struct):
    namespace: str
    name: str


class _Client(msgspec.Struct, rename="camel"):
    service: _Service | None = None
    ca_bundle: str = ""


class _Rule(msgspec.Struct, rename="camel"):
    api_groups: list[str] | None = None
    api_versions: list[str] | None = None
    resources: list[str] | None = None
    operations: list[str] | None = None
    scope: str = "*"

    def covers(self, group: str, version: str, resource: str) -> bool:
        """Whether it applies to the creation of objects of this resource, which has a namespace."""
        return (
            not {group, "*"}.isdisjoint(self.api_groups or ())
            and not {version, "*"}.isdisjoint(self.api_versions or ())
            and not {resource, "*", "*/*"}.isdisjoint(self.resources or ())
            and not {"CREATE", "*"}.isdisjoint(self.operations or ())
            and self.scope in ("Namespaced", "*")
        )


class _Webhook(msgspec.Struct, rename="camel"):
    name: str
    client_config: _Client
    rules: list[_Rule] | None = None
    failure_policy: str = "Fail"
    namespace_selector: Selector | None = None
    object_selector: Selector | None = None
    match_conditions: list[msgspec.Raw] | None = None


class _Configuration(msgspec.Struct):
    metadata: ObjectMeta
    webhooks: list[_Webhook] | None = None


@probe(access=[Access("list", p, "admissionregistration.k8s.io") for p in _CONFIGURATIONS.values()])
def admission_webhooks(cluster: Cluster) -> AdmissionWebhooks:
    lists = run_parallel(
        [
            partial(cluster.items, f"{_ADMISSION}/{plural}", _Configuration)
            for plural in _CONFIGURATIONS.values()
        ]
    )
    own: list[Webhook] = []
    others: list[Webhook] = []
    for kind, configurations in zip(_CONFIGURATIONS, lists, strict=True):
        for configuration in configurations:
            convert = partial(_convert_webhook, kind, configuration.metadata.name)
            webhooks = configuration.webhooks or []
            if any(_is_for_dynamo(rule) for webhook in webhooks for rule in webhook.rules or ()):
                own.extend(map(convert, webhooks))
            else:
                others.extend(convert(webhook) for webhook in webhooks if _list_resources(webhook))
    return AdmissionWebhooks(tuple(own), tuple(others), looked=time.time())


def _is_for_dynamo(rule: _Rule) -> bool:
    return "nvidia.com" in (rule.api_groups or ()) and any(
        resource.startswith("dynamo") for resource in rule.resources or ()
    )


def _list_resources(webhook: _Webhook) -> tuple[str, ...]:
    """The resources that graphs become for whose creation it is called."""
    rules = webhook.rules or ()
    return tuple(
        name for group, version, name in _MADE if any(rule.covers(group, version, name) for rule in rules)
    )


def _convert_webhook(kind: str, configuration: str, webhook: _Webhook) -> Webhook:
    client = webhook.client_config
    return Webhook(
        kind=kind,
        configuration=configuration,
        name=webhook.name,
        service=ServiceName(client.service.namespace, client.service.name) if client.service else None,
        bundle=_parse_certificates(client.ca_bundle),
        blocking=webhook.failure_policy == "Fail",
        namespaces=_list_namespaces(webhook.namespace_selector or Selector()),
        versions=tuple(
            version
            for rule in webhook.rules or ()
            if _is_for_graphs(rule)
            for version in rule.api_versions or ()
        ),
        selector=webhook.namespace_selector or Selector(),
        objects=webhook.object_selector or Selector(),
        conditional=bool(webhook.match_conditions),
        resources=_list_resources(webhook),
    )


def _is_for_graphs(rule: _Rule) -> bool:
    return "nvidia.com" in (rule.api_groups or ()) and "dynamographdeployments" in (rule.resources or ())


def _list_namespaces(selector: Selector) -> tuple[str, ...]:
    """The namespaces that a selector names; empty if it uses other labels."""
    if name := selector.labels.get(_NAMESPACE_NAME):
        return (name,)
    return tuple(
        value
        for expression in selector.expressions
        if expression.key == _NAMESPACE_NAME and expression.operator == "In"
        for value in expression.values
    )


def _parse_certificates(bundle: str) -> Certificates | None:
    """The certificates in a CA bundle, as OpenSSL reads them."""
    if not bundle:
        return None
    import ssl  # slow to import, and needed only here

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=b64decode(bundle, validate=True).decode("ascii"))
        expiries = [ssl.cert_time_to_seconds(str(ca["notAfter"])) for ca in context.get_ca_certs()]
    except (ssl.SSLError, ValueError) as error:
        return Certificates(problem="it is not PEM" if isinstance(error, UnicodeDecodeError) else str(error))
    return Certificates(context.cert_store_stats()["x509"], tuple(expiries))


class _Version(msgspec.Struct):
    name: str
    served: bool = False
    storage: bool = False


class _ConversionWebhook(msgspec.Struct, rename="camel"):
    client_config: _Client | None = None


class _Conversion(msgspec.Struct):
    strategy: str = "None"
    webhook: _ConversionWebhook | None = None


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
    """Reads whole definitions, because no smaller resource has the storage and conversion of a type."""
    types = run_parallel([partial(_get_type, cluster, name) for name in _VERSIONED])
    return PlatformTypes(tuple(each for each in types if each is not None), looked=time.time())


def _get_type(cluster: Cluster, name: str) -> PlatformType | None:
    try:
        definition = cluster.get(f"{_DEFINITIONS}/{name}", _Definition)
    except NotFound:
        return None
    metadata, spec = definition.metadata, definition.spec
    return PlatformType(
        name=name,
        generation=metadata.generation,
        migrated_generation=(metadata.annotations or {}).get(_MIGRATED, ""),
        storage=next((v.name for v in spec.versions if v.storage), ""),
        stored=tuple(definition.status.stored_versions or ()),
        served=tuple(v.name for v in spec.versions if v.served),
        converter=_convert_conversion(name, spec.conversion),
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


@probe(
    access=[
        Access("list", "deployments", "apps"),
        Access("get", "configmaps", names=("dynamo-platform-dynamo-operator-config",)),
    ]
)
def operator_configs(cluster: Cluster) -> OperatorConfigs:
    """Reads the ConfigMap that the chart names as the operator's Deployment, and keeps only the settings for
    the operator's namespace and dependencies.
    """
    deployments = cluster.items(
        "/apis/apps/v1/deployments",
        PartialObject,
        accept=METADATA,
        labelSelector="control-plane=controller-manager",
    )
    operators = [each.metadata for each in deployments if is_operator(each.metadata.labels or {})]
    maps = run_parallel([partial(_get_config, cluster, operator) for operator in operators])
    return OperatorConfigs(
        tuple(config for config_map in maps if config_map for config in _parse_configs(config_map))
    )


def _get_config(cluster: Cluster, operator: ObjectMeta) -> _ConfigMap | None:
    name = f"{operator.name.removesuffix('-controller-manager')}-config"
    try:
        return cluster.get(f"/api/v1/namespaces/{operator.namespace}/configmaps/{name}", _ConfigMap)
    except NotFound:
        return None
    except Forbidden as error:
        fix = cluster.format_grant(str(error), f"--configmap {name}")
        raise Forbidden(str(error), error.status, fix=fix) from None


def _parse_configs(config_map: _ConfigMap) -> Iterator[OperatorConfig]:
    import yaml  # slow to import, and needed only here

    try:
        settings = yaml.load((config_map.data or {}).get("config.yaml", ""), Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return
    if not isinstance(settings, dict) or settings.get("kind") != "OperatorConfiguration":
        return
    yield OperatorConfig(
        namespace=config_map.metadata.namespace,
        name=config_map.metadata.name,
        instance=(config_map.metadata.labels or {}).get("app.kubernetes.io/instance", ""),
        restricted=_get_text(settings, "namespace", "restricted"),
        grove=_get_flag(settings, "orchestrators", "grove", "enabled"),
        kai=_get_flag(settings, "orchestrators", "kaiScheduler", "enabled"),
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


class _QueueSpec(msgspec.Struct, rename="camel"):
    parent_queue: str = ""


class _Queue(msgspec.Struct):
    metadata: ObjectMeta
    spec: _QueueSpec = msgspec.field(default_factory=_QueueSpec)


@probe(access=[Access("list", "queues", "scheduling.run.ai")])
def kai_queues(cluster: Cluster) -> KaiQueues:
    try:
        queues = cluster.items(_QUEUES, _Queue)
    except NotFound:
        return KaiQueues()
    return KaiQueues(
        tuple(
            KaiQueue(q.metadata.name, (q.metadata.labels or {}).get(_POOL, ""), q.spec.parent_queue)
            for q in queues
        )
    )


class _LeaseSpec(msgspec.Struct, rename="camel"):
    renew_time: str = ""
    lease_duration_seconds: int = _LEASE_S


class _Lease(msgspec.Struct):
    metadata: ObjectMeta
    spec: _LeaseSpec = msgspec.field(default_factory=_LeaseSpec)


@probe(access=[Access("list", "leases", "coordination.k8s.io", names=(_LEASE,))])
def operator_leases(cluster: Cluster) -> OperatorLeases:
    leases = cluster.items(
        "/apis/coordination.k8s.io/v1/leases", _Lease, fieldSelector=f"metadata.name={_LEASE}"
    )
    return OperatorLeases(
        tuple(OperatorLease(lease.metadata.namespace, _compute_expiry(lease.spec)) for lease in leases),
        looked=time.time(),
    )


def _compute_expiry(spec: _LeaseSpec) -> float:
    if not spec.renew_time:
        return 0
    renewed = datetime.datetime.fromisoformat(spec.renew_time.replace("Z", "+00:00"))
    return renewed.timestamp() + spec.lease_duration_seconds
