"""platform.etcd-nats: the etcd and NATS that the operator's configuration or a recipe names."""

import re
from collections.abc import Iterable, Iterator
from itertools import product
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.facts import (
    Namespace,
    OperatorConfigs,
    PlatformClaims,
    Recipes,
    ServiceEndpoints,
    ServiceName,
    StorageClasses,
    Workload,
    Workloads,
    find_operators,
)

_NAME = "app.kubernetes.io/name"
_INSTANCE = "app.kubernetes.io/instance"
_VARIABLES = ("NATS_SERVER", "ETCD_ENDPOINTS")
_HOST = re.compile(r"(?:[a-z]+://)?(?:[^/@]*@)?([A-Za-z0-9.-]+)")


class _AddressReference(NamedTuple):
    """An address, who uses it, and the namespace in which a bare name is looked up."""

    address: str
    by: str
    namespace: str
    location: Location | None = None


@check("platform.etcd-nats", title="Configured etcd and NATS Services are ready")
def etcd_nats(
    configs: OperatorConfigs,
    workloads: Workloads,
    services: ServiceEndpoints,
    claims: PlatformClaims | None,
    classes: StorageClasses | None,
    namespace: Namespace,
    recipes: Recipes | None,
) -> Iterator[Finding]:
    """Dynamo needs neither: it discovers workers through Kubernetes and sends requests over TCP. But when the
    operator's configuration, its arguments or a recipe name one of them, pods wait for it. So do operators
    without a configuration that names none, whose chart installed it beside them.

    Only Services of the cluster are judged, not addresses outside of it.

    Fix: kubectl get service,endpointslice -A | grep -e etcd -e nats
    """
    installed = {(w.namespace, w.name): w for w in workloads if _is_part(w)}
    references = [
        *_list_operator_addresses(configs, workloads),
        *_list_recipe_addresses(recipes, namespace.name),
        *_list_installed(installed.values(), configs, workloads),
    ]
    if not references:
        raise Skip("no etcd or NATS is configured")
    judged = [(reference, service) for reference in references for service in _find_services(reference)]
    if not judged:
        raise Skip("the configured etcd or NATS is not a Service of the cluster")
    told = set()
    for reference, service in judged:
        if service in told:
            continue
        told.add(service)
        ready = services.ready.get(str(service))
        if ready or str(service) in services.external:
            continue
        problem = "has no ready endpoint" if ready == 0 else "does not exist or has no endpoints"
        kinds = "service,endpointslice"
        if pending := _explain_pending(installed.get(service), claims, classes):
            kinds = "pvc,storageclass"
        elif pending := _explain_pods(installed.get(service), claims):
            kinds = "pods,events"
        yield (fail if ready == 0 else warn)(
            f"{problem}, but {reference.by} uses it" + (f": {pending}" if pending else ""),
            fix=f"kubectl get {kinds} -n {service.namespace}",
            evidence={"address": reference.address}
            | ({"claims": claims.unread} if claims is not None and claims.unread else {}),
            subject=Subject("Service", service.name, service.namespace),
            location=reference.location,
        )


def _is_part(workload: Workload) -> bool:
    """Whether it is a StatefulSet of etcd or NATS, by the label that their charts set."""
    return workload.kind == "StatefulSet" and workload.labels.get(_NAME) in ("nats", "etcd")


def _list_installed(
    parts: Iterable[Workload], configs: OperatorConfigs, workloads: Workloads
) -> Iterator[_AddressReference]:
    """The Services of etcd and NATS that the chart of an operator without a configuration installed."""
    unknown = {
        (o.namespace, o.labels.get(_INSTANCE)) for o in find_operators(workloads) if configs.find(o) is None
    }
    for part in parts:
        if (part.namespace, part.labels.get(_INSTANCE)) in unknown:
            address = f"{part.name}.{part.namespace}.svc"
            yield _AddressReference(address, "the platform's chart", part.namespace)


def _explain_pending(
    part: Workload | None, claims: PlatformClaims | None, classes: StorageClasses | None
) -> str:
    """Why a claim of this StatefulSet has no volume, if it is Pending; else empty."""
    for claim in claims or ():
        own = part is not None and claim.namespace == part.namespace and f"{part.name}-" in f"{claim.name}-"
        if own and claim.phase == "Pending":
            reason = ""
            if classes is not None and classes.find(claim.storage_class) is None:
                named = claim.storage_class
                reason = (
                    f": StorageClass {named} does not exist" if named else ": no StorageClass is the default"
                )
            return f"its claim {claim.name} is Pending{reason}"
    return ""


def _explain_pods(part: Workload | None, claims: PlatformClaims | None) -> str:
    """Why a pod of this StatefulSet does not run; empty if it is unknown."""
    for pod in claims.pods if claims is not None else ():
        number = pod.name.removeprefix(f"{part.name}-") if part is not None else ""
        if part is not None and pod.namespace == part.namespace and number.isdecimal():
            return f"its pod {pod.name} does not run: {pod.reason}"
    return ""


def _list_operator_addresses(configs: OperatorConfigs, workloads: Workloads) -> Iterator[_AddressReference]:
    for operator in find_operators(workloads):
        for address in operator.addresses:
            yield _AddressReference(address, f"operator {operator.name}", operator.namespace)
    for config in configs:
        for address in (config.nats, config.etcd):
            if address:
                yield _AddressReference(address, f"operator configuration {config.name}", config.namespace)


def _list_recipe_addresses(recipes: Recipes | None, namespace: str) -> Iterator[_AddressReference]:
    components = ((g, c) for recipe in recipes or () for g in recipe.graphs for c in g.components)
    for graph, component in components:
        for container, name in product(component.containers, _VARIABLES):
            variable = container.find_variable(name)
            if variable is not None and variable.value:
                location = Location(graph.file, variable.line, variable.column)
                yield _AddressReference(variable.value, f"{component.name} ({name})", namespace, location)


def _find_services(reference: _AddressReference) -> Iterator[ServiceName]:
    """The Services that certainly are meant by the comma-separated parts of an address."""
    for part in reference.address.split(","):
        match = _HOST.match(part.strip())
        labels = match[1].split(".") if match else []
        if len(labels) > 2 and labels[2] == "svc":
            yield ServiceName(labels[1], labels[0])
        elif len(labels) == 1 and labels[0] not in ("", "localhost"):
            yield ServiceName(reference.namespace, labels[0])
