"""Whether the etcd and NATS that the platform or a recipe was told to use are there."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.facts import Recipes
from dynocheck.facts.k8s.namespace_policy import Namespace
from dynocheck.facts.k8s.platform import OperatorConfigs, ServiceEndpoints, ServiceName

_VARIABLES = ("NATS_SERVER", "ETCD_ENDPOINTS")
_HOST = re.compile(r"(?:[a-z]+://)?(?:[^/@]*@)?([A-Za-z0-9.-]+)")


class _AddressReference(NamedTuple):
    """An address, who names it, and the namespace in which a bare name is looked up."""

    address: str
    by: str
    namespace: str
    location: Location | None = None


@check("platform.etcd-nats", title="The etcd and NATS that are to be used are there")
def etcd_nats(
    configs: OperatorConfigs, services: ServiceEndpoints, namespace: Namespace, recipes: Recipes | None
) -> Iterator[Finding]:
    """Dynamo needs neither: discovery goes through Kubernetes and requests over TCP. Where the operator's
    configuration or a recipe names one of them, pods wait for it.

    Only Services of the cluster are looked at: whether an address outside of it answers is not known here.

    Fix: kubectl get service,endpointslice -A | grep -e etcd -e nats
    """
    told = [*_list_operator_addresses(configs), *_list_recipe_addresses(recipes, namespace.name)]
    if not told:
        raise Skip("nothing names an etcd or a NATS")
    judged = False
    for each in told:
        for service in _find_services(each):
            judged = True
            yield from _report_missing(each, service, services)
    if not judged:
        raise Skip("the etcd or NATS that is named is no Service of the cluster")


def _report_missing(
    told: _AddressReference, service: ServiceName, services: ServiceEndpoints
) -> Iterator[Finding]:
    ready = services.ready.get(str(service))
    if ready:
        return
    # One of type ExternalName has no endpoints either.
    wrong = "has no ready endpoint" if ready == 0 else "does not exist, or leads out of the cluster"
    yield (fail if ready == 0 else warn)(
        f"{wrong}, and {told.by} uses it",
        fix=f"kubectl get service,endpointslice -n {service.namespace}",
        evidence={"address": told.address},
        subject=Subject("Service", service.name, service.namespace),
        location=told.location,
    )


def _list_operator_addresses(configs: OperatorConfigs) -> Iterator[_AddressReference]:
    for config in configs:
        for address in (config.nats, config.etcd):
            if address:
                yield _AddressReference(address, f"operator configuration {config.name}", config.namespace)


def _list_recipe_addresses(recipes: Recipes | None, namespace: str) -> Iterator[_AddressReference]:
    for recipe in recipes or ():
        for graph in recipe.graphs:
            for component in graph.components:
                for container in component.containers:
                    for name in _VARIABLES:
                        found = container.find_variable(name)
                        if found is not None and found.value:
                            place = Location(graph.file, found.line, found.column)
                            yield _AddressReference(
                                found.value, f"{component.name} ({name})", namespace, place
                            )


def _find_services(told: _AddressReference) -> Iterator[ServiceName]:
    """The Services of the cluster that an address means, where that is sure."""
    for part in told.address.split(","):
        match = _HOST.match(part.strip())
        labels = match[1].split(".") if match else []
        if len(labels) > 2 and labels[2] == "svc":
            yield ServiceName(labels[1], labels[0])
        elif len(labels) == 1 and labels[0] not in ("", "localhost"):
            yield ServiceName(told.namespace, labels[0])
