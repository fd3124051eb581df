"""Counts the ready endpoints of each Service."""

from collections import defaultdict

import msgspec

from dynocheck import probe
from dynocheck.facts import Access, ServiceEndpoints
from dynocheck.kube import Cluster
from dynocheck.probes._k8s_types import METADATA, ObjectMeta, PartialObject

_SERVICE = "kubernetes.io/service-name"
_DNS = ("k8s-app", "kube-dns")  # a label of the Service, which its EndpointSlices have too


class _Conditions(msgspec.Struct):
    ready: bool | None = None


class _Endpoint(msgspec.Struct):
    addresses: list[str] | None = None
    conditions: _Conditions = msgspec.field(default_factory=_Conditions)


class _EndpointSlice(msgspec.Struct):
    metadata: ObjectMeta
    endpoints: list[_Endpoint] | None = None


@probe(access=[Access("list", "endpointslices", "discovery.k8s.io"), Access("list", "services")])
def service_endpoints(cluster: Cluster) -> ServiceEndpoints:
    """Of Services, only those of type ExternalName are listed, which have no endpoints.

    An endpoint without the condition counts as ready, as the API defines. Dual-stack ones count twice.
    """
    ready: dict[str, int] = defaultdict(int)
    dns = set()
    for endpoint_slice in cluster.items("/apis/discovery.k8s.io/v1/endpointslices", _EndpointSlice):
        labels = endpoint_slice.metadata.labels or {}
        service = labels.get(_SERVICE)
        if service:
            endpoints = endpoint_slice.endpoints or ()
            count = sum(e.conditions.ready is not False for e in endpoints if e.addresses)
            name = f"{endpoint_slice.metadata.namespace}/{service}"
            ready[name] += count
            if _DNS in labels.items():
                dns.add(name)
    external = cluster.items(
        "/api/v1/services", PartialObject, accept=METADATA, fieldSelector="spec.type=ExternalName"
    )
    return ServiceEndpoints(
        dict(ready),
        tuple(sorted(dns)),
        tuple(f"{each.metadata.namespace}/{each.metadata.name}" for each in external),
    )
