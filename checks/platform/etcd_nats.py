"""platform.etcd-nats: the etcd and NATS that the operator's configuration or a recipe names."""

import re
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.facts import Namespace, OperatorConfigs, Recipes, ServiceEndpoints, ServiceName

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
    configs: OperatorConfigs, services: ServiceEndpoints, namespace: Namespace, recipes: Recipes | None
) -> Iterator[Finding]:
    """Dynamo needs neither: it discovers workers through Kubernetes and sends requests over TCP. But when the
    operator's configuration or a recipe names one of them, pods wait for it.

    Only Services of the cluster are judged, not addresses outside of it.

    Fix: kubectl get service,endpointslice -A | grep -e etcd -e nats
    """
    references = [*_list_operator_addresses(configs), *_list_recipe_addresses(recipes, namespace.name)]
    if not references:
        raise Skip("no etcd or NATS is configured")
    judged = [(reference, service) for reference in references for service in _find_services(reference)]
    if not judged:
        raise Skip("the configured etcd or NATS is not a Service of the cluster")
    for reference, service in judged:
        ready = services.ready.get(str(service))
        if ready:
            continue
        # A Service of type ExternalName has no endpoints either.
        problem = "has no ready endpoint" if ready == 0 else "does not exist or is of type ExternalName"
        yield (fail if ready == 0 else warn)(
            f"{problem}, but {reference.by} uses it",
            fix=f"kubectl get service,endpointslice -n {service.namespace}",
            evidence={"address": reference.address},
            subject=Subject("Service", service.name, service.namespace),
            location=reference.location,
        )


def _list_operator_addresses(configs: OperatorConfigs) -> Iterator[_AddressReference]:
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
