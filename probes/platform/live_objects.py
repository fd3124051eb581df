"""Reads the workloads of the run's namespace and the objects that belong to them in production."""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from dynocheck import probe
from dynocheck.facts import Access, LiveObjects
from dynocheck.kube import Cluster, Forbidden, NotFound, run_parallel

_ENGINES = ("vllm", "sglang", "tgi_", "trtllm", "nv_inference", "llamacpp", "dynamo")  # in names of metrics
_NOISE = ("managedFields", "uid", "resourceVersion", "generation", "creationTimestamp", "selfLink")
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class _Kind(NamedTuple):
    """A kind and where it is served: the newest of its versions that is.

    One that lies `elsewhere` is read in all namespaces.
    """

    name: str
    resource: str
    group: str
    versions: tuple[str, ...]
    elsewhere: bool = False

    @property
    def access(self) -> Access:
        return Access("list", self.resource, self.group, local=not self.elsewhere)


_MONITORING, _KSERVE = "monitoring.coreos.com", "serving.kserve.io"
_KINDS = (
    _Kind("Deployment", "deployments", "apps", ("v1",)),
    _Kind("StatefulSet", "statefulsets", "apps", ("v1",)),
    _Kind("Job", "jobs", "batch", ("v1",)),
    _Kind("CronJob", "cronjobs", "batch", ("v1",)),
    _Kind("Service", "services", "", ("v1",)),
    _Kind("PersistentVolumeClaim", "persistentvolumeclaims", "", ("v1",)),
    _Kind("PodDisruptionBudget", "poddisruptionbudgets", "policy", ("v1",)),
    _Kind("HorizontalPodAutoscaler", "horizontalpodautoscalers", "autoscaling", ("v2",)),
    _Kind("NetworkPolicy", "networkpolicies", "networking.k8s.io", ("v1",)),
    _Kind("DynamoGraphDeployment", "dynamographdeployments", "nvidia.com", ("v1beta1", "v1alpha1")),
    _Kind("LeaderWorkerSet", "leaderworkersets", "leaderworkerset.x-k8s.io", ("v1",)),
    _Kind("InferenceService", "inferenceservices", _KSERVE, ("v1beta1",)),
    _Kind("LLMInferenceService", "llminferenceservices", _KSERVE, ("v1alpha2", "v1alpha1")),
    _Kind("RayService", "rayservices", "ray.io", ("v1",)),
    _Kind("ScaledObject", "scaledobjects", "keda.sh", ("v1alpha1",)),
    _Kind("VolumeSnapshot", "volumesnapshots", "snapshot.storage.k8s.io", ("v1",)),
    _Kind("PodMonitor", "podmonitors", _MONITORING, ("v1",), elsewhere=True),
    _Kind("ServiceMonitor", "servicemonitors", _MONITORING, ("v1",), elsewhere=True),
    _Kind("PrometheusRule", "prometheusrules", _MONITORING, ("v1",), elsewhere=True),
    _Kind("Schedule", "schedules", "velero.io", ("v1",), elsewhere=True),
)


@probe(access=[kind.access for kind in _KINDS])
def live_objects(cluster: Cluster) -> LiveObjects:
    from dynocheck.recipe.discover import read_objects  # slow to import, and needed on request alone

    namespace = cluster.connection.namespace
    found = run_parallel([partial(_list, cluster, kind) for kind in _KINDS])
    listed = [item for items in found for item in items or () if item.get("metadata")]
    own = [item for item in listed if item["metadata"].get("namespace") == namespace]
    others = [item for item in listed if item["metadata"].get("namespace") != namespace]
    kept = [item for item in own if not _is_made(item)]
    kept += [item for item in others if _concerns(item, namespace, own)]
    return LiveObjects(
        namespace,
        read_objects(f"namespace {namespace}", map(_strip, kept)),
        unseen=tuple(kind.name for kind, items in zip(_KINDS, found, strict=True) if items is None),
    )


def _list(cluster: Cluster, kind: _Kind) -> list[dict[str, Any]] | None:
    """The objects of a kind; none if it is not served, None if they may not be listed."""
    place = "" if kind.elsewhere else f"namespaces/{cluster.connection.namespace}/"
    for version in kind.versions:
        served = f"apis/{kind.group}/{version}" if kind.group else f"api/{version}"
        try:
            items = cluster.items(f"/{served}/{place}{kind.resource}", dict[str, Any])
        except NotFound:
            continue
        except Forbidden:
            return None
        about = {"apiVersion": served.partition("/")[2], "kind": kind.name}
        return [{**about, **item} for item in items]
    return []


def _is_made(item: dict[str, Any]) -> bool:
    return any(owner.get("controller") for owner in item["metadata"].get("ownerReferences") or ())


def _concerns(item: dict[str, Any], namespace: str, own: Sequence[dict[str, Any]]) -> bool:
    """Whether an object of another namespace is about this one: a monitor of its pods or Services, a rule
    that names an engine's metrics, or a schedule of backups that includes it.
    """
    spec = item.get("spec") or {}
    if item["kind"] == "PrometheusRule":
        text = json.dumps(spec)
        return any(name in text for name in _ENGINES)
    if item["kind"] == "Schedule":
        template = spec.get("template") or {}
        included = template.get("includedNamespaces") or ["*"]
        excluded = template.get("excludedNamespaces") or []
        return bool({"*", namespace} & {*included}) and namespace not in excluded
    chosen = spec.get("namespaceSelector") or {}
    if not (chosen.get("any") or namespace in (chosen.get("matchNames") or ())):
        return False
    wanted = (spec.get("selector") or {}).get("matchLabels") or {}
    return any(wanted.items() <= labels.items() for each in own for labels in _list_labels(each))


def _list_labels(item: dict[str, Any]) -> Iterator[dict[str, str]]:
    """The labels of an object and of its pods."""
    template = (item.get("spec") or {}).get("template")
    for holder in (item, template if isinstance(template, dict) else {}):
        yield (holder.get("metadata") or {}).get("labels") or {}


def _strip(item: dict[str, Any]) -> dict[str, Any]:
    """An object as its manifest is written, without its status."""
    metadata = {key: value for key, value in item["metadata"].items() if key not in _NOISE}
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != _APPLIED}
    kept = {key: value for key, value in item.items() if key != "status"}
    return {**kept, "metadata": {**metadata, "annotations": annotations}}
