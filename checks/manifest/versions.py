"""Checks that the apiVersions of a recipe are served and not deprecated."""

import shlex
from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.core.fixes import set_value
from dynocheck.data import kubernetes_schemas, parse_version
from dynocheck.data.flags import find_release
from dynocheck.facts import Manifest, Recipe, Recipes, ServerVersion, Value

_GROUP = "nvidia.com"
_KINDS = {
    "DynamoGraphDeployment": ("v1beta1", "v1alpha1"),
    "DynamoGraphDeploymentRequest": ("v1beta1", "v1alpha1"),
    "DynamoComponentDeployment": ("v1beta1", "v1alpha1"),
    "DynamoGraphDeploymentScalingAdapter": ("v1beta1", "v1alpha1"),
    "DynamoModel": ("v1alpha1",),
    "DynamoCheckpoint": ("v1alpha1",),
}
# Kinds that a release of Dynamo has no more.
_DROPPED = {"DynamoCheckpoint": ((1, 5), "https://docs.nvidia.com/dynamo/v1.5.0/reference/compatibility")}
# Kinds of others, which are easily taken for Kubernetes' own, and the version that they have since long.
_OF_OTHERS = {
    "ServiceMonitor": "monitoring.coreos.com/v1",
    "PodMonitor": "monitoring.coreos.com/v1",
    "PrometheusRule": "monitoring.coreos.com/v1",
    "ScaledObject": "keda.sh/v1alpha1",
    "ScaledJob": "keda.sh/v1alpha1",
    "HTTPRoute": "gateway.networking.k8s.io/v1",
    "InferenceService": "serving.kserve.io/v1beta1",
    "LeaderWorkerSet": "leaderworkerset.x-k8s.io/v1",
}
_DEPRECATED = ("DynamoGraphDeployment", "DynamoGraphDeploymentRequest", "DynamoComponentDeployment")
# The fields of v1beta1 that replace those of v1alpha1, from the schemas of both.
_GRAPH_CHANGES = {
    "services": "components, a list whose items have a name",
    "envs": "env",
    "pvcs": "volumes with a persistentVolumeClaim in podTemplate.spec",
}
_COMPONENT_CHANGES = {
    "componentType": "type",
    "subComponentType": "type: prefill or decode",
    "extraPodSpec": "podTemplate.spec, its mainContainer the container called main",
    "extraPodMetadata": "podTemplate.metadata",
    "annotations": "podTemplate.metadata.annotations",
    "labels": "podTemplate.metadata.labels",
    "resources": "resources of the container main, gpu as nvidia.com/gpu, custom ones beside it",
    "envs": "env of the container main",
    "envFromSecret": "envFrom of the container main, with a secretRef",
    "volumeMounts": "volumeMounts of the container main, mountPoint as mountPath",
    "sharedMemory": "sharedMemorySize",
    "livenessProbe": "livenessProbe of the container main",
    "readinessProbe": "readinessProbe of the container main",
    "gpuMemoryService": "experimental.gpuMemoryService",
    "checkpoint": "experimental.checkpoint",
    "failover": "experimental.failover",
}


@check("manifest.api-version", title="apiVersions are served and not deprecated")
def api_version(recipes: Recipes, server: ServerVersion | None = None) -> Iterator[Finding]:
    """The server does not create objects of an apiVersion that it does not serve. nvidia.com/v1alpha1 is
    served but deprecated; v1beta1 has other fields, which the evidence names. Dynamo 1.5 dropped
    DynamoCheckpoint: Dynamo Snapshot has an operator of its own since.

    Judged are the kinds of Dynamo and Kubernetes, the latter by the cluster's release with --cluster and by
    the newest one without. The served versions of other kinds depend on the installed software.

    Fix: kubectl explain KIND --api-version=GROUP/VERSION
    """
    manifests = [manifest for recipe in recipes for manifest in recipe.own_manifests if manifest.api_version]
    if not manifests:
        raise Skip("no manifest")
    yield from (finding for recipe in recipes for finding in _check_dropped(recipe))
    for manifest in manifests:
        at = manifest.root.get("apiVersion") or manifest.root
        place = Location(manifest.file, at.line, at.column)
        if manifest.kind in _KINDS:
            yield from _check_dynamo(manifest, place)
        elif served := _find_versions(manifest, server.version if server is not None else ""):
            yield fail(
                f"{manifest.api_version} has no {manifest.kind}",
                fix=set_value("apiVersion", served[0]),
                evidence={"served": list(served)},
                location=place,
            )


def _check_dropped(recipe: Recipe) -> Iterator[Finding]:
    """Reports the kinds that the releases of all the recipe's images have no more."""
    components = [component for graph in recipe.graphs for component in graph.components]
    found = [find_release(c.image or "", c.runtime) for component in components for c in component.containers]
    releases = {parse_version(release) for each in found if (release := each.exact or each.near)}
    for manifest in recipe.own_manifests:
        since, source = _DROPPED.get(manifest.kind, (None, ""))
        if since is not None and manifest.group == _GROUP and releases and min(releases) >= since:
            at = manifest.root.get("kind") or manifest.root
            yield fail(
                f"Dynamo {since[0]}.{since[1]} dropped {manifest.kind}, and no image of the recipe is older",
                fix=f"install Dynamo Snapshot and use its kinds; see {source}",
                evidence={"releases": [f"{major}.{minor}" for major, minor in sorted(releases)]},
                location=Location(manifest.file, at.line, at.column),
            )


def _check_dynamo(manifest: Manifest, place: Location) -> Iterator[Finding]:
    served = [f"{_GROUP}/{version}" for version in _KINDS[manifest.kind]]
    if manifest.api_version not in served:
        yield fail(
            f"{manifest.api_version} has no {manifest.kind}",
            fix=set_value("apiVersion", served[0]),
            evidence={"served": served},
            location=place,
        )
    elif manifest.kind in _DEPRECATED and manifest.api_version == f"{_GROUP}/v1alpha1":
        yield warn(
            f"{manifest.kind} {manifest.name}: {manifest.api_version} is deprecated",
            fix=f"kubectl get {manifest.kind.lower()}s.{_KINDS[manifest.kind][0]}.{_GROUP} "
            f"{shlex.quote(manifest.name)} -o yaml   # converted, once it is applied",
            evidence={"changes": _list_changes(manifest.root.get("spec"))},
            location=place,
        )


def _list_changes(spec: Value | None) -> dict[str, str]:
    """The replacements in v1beta1 of the v1alpha1 fields that a graph uses."""
    if spec is None:
        return {}
    services = spec.get("services")
    used = {key for service in (services.mapping.values() if services else ()) for key in service.mapping}
    graph = {f"spec.{key}": new for key, new in _GRAPH_CHANGES.items() if spec.get(key) is not None}
    return graph | {f"service.{key}": new for key, new in _COMPONENT_CHANGES.items() if key in used}


def _find_versions(manifest: Manifest, server: str) -> tuple[str, ...]:
    """The apiVersions of this kind, if the manifest has one of Kubernetes that lacks it."""
    from dynocheck.schema import served_versions  # schemas are read only here

    if "." not in manifest.group and manifest.kind in _OF_OTHERS:
        return (_OF_OTHERS[manifest.kind],)
    versions = served_versions(manifest.kind, kubernetes_schemas.choose_release(server))
    own = "." not in manifest.group or any(v.startswith(f"{manifest.group}/") for v in versions)
    return versions if own and manifest.api_version not in versions else ()
