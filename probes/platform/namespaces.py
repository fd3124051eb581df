"""Reads the metadata of namespaces."""

from dynocheck import probe
from dynocheck.facts import Access, LabelledNamespace, Namespaces, RunNamespace
from dynocheck.kube import Cluster
from dynocheck.probes._k8s_types import METADATA, PartialObject


@probe(access=[Access("list", "namespaces")])
def namespaces(cluster: Cluster) -> Namespaces:
    items = cluster.items("/api/v1/namespaces", PartialObject, accept=METADATA)
    return Namespaces(tuple(LabelledNamespace(n.metadata.name, n.metadata.labels or {}) for n in items))


@probe()
def run_namespace(cluster: Cluster) -> RunNamespace:
    return RunNamespace(cluster.connection.namespace)
