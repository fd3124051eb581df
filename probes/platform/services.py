"""What stands behind each Service."""

from collections import defaultdict

import msgspec

from dynocheck import probe
from dynocheck.facts import Access, ServiceEndpoints
from dynocheck.kube import Cluster
from dynocheck.probes._k8s_types import ObjectMeta

_SERVICE = "kubernetes.io/service-name"
_DNS = ("k8s-app", "kube-dns")  # on the Service, whose labels its slices repeat


class _Conditions(msgspec.Struct):
    ready: bool | None = None


class _Endpoint(msgspec.Struct):
    addresses: list[str] | None = None
    conditions: _Conditions = msgspec.field(default_factory=_Conditions)


class _EndpointSlice(msgspec.Struct):
    metadata: ObjectMeta
    endpoints: list[_Endpoint] | None = None


@probe(access=[Access("list", "endpointslices", "discovery.k8s.io")])
def service_endpoints(cluster: Cluster) -> ServiceEndpoints:
    """An endpoint that does not say is ready, as the API has it. Dual stack counts an endpoint twice."""
    ready: dict[str, int] = defaultdict(int)
    dns = set()
    for found in cluster.items("/apis/discovery.k8s.io/v1/endpointslices", _EndpointSlice):
        labels = found.metadata.labels or {}
        service = labels.get(_SERVICE)
        if service:
            endpoints = found.endpoints or ()
            count = sum(each.conditions.ready is not False for each in endpoints if each.addresses)
            name = f"{found.metadata.namespace}/{service}"
            ready[name] += count
            if _DNS in labels.items():
                dns.add(name)
    return ServiceEndpoints(dict(ready), tuple(sorted(dns)))
