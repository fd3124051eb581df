"""The installation of the Dynamo platform: its CRDs, their stored versions and its operator."""

from collections.abc import Iterator

from dynocheck import Finding, Skip, Subject, check, fail, warn
from dynocheck.facts import (
    CustomResourceDefinitions,
    Namespace,
    OperatorConfigs,
    PlatformTypes,
    Recipes,
    Workload,
    Workloads,
    find_operators,
)

_GROUP = "nvidia.com"
_GRAPHS = f"dynamographdeployments.{_GROUP}"
_COMPONENTS = f"dynamocomponentdeployments.{_GROUP}"
_DISCOVERY = f"dynamoworkermetadatas.{_GROUP}"
_OTHERS = (
    f"dynamographdeploymentrequests.{_GROUP}",
    f"dynamographdeploymentscalingadapters.{_GROUP}",
    f"dynamomodels.{_GROUP}",
)
_INSTALL = (
    "helm upgrade --install dynamo-platform "
    "https://helm.ngc.nvidia.com/nvidia/ai-dynamo/charts/dynamo-platform-VERSION.tgz "
    "--namespace dynamo-system --create-namespace"
)
_DEFINITION = "CustomResourceDefinition"


@check("platform.crds", title="Dynamo CRDs are established")
def crds(definitions: CustomResourceDefinitions) -> Iterator[Finding]:
    """Without its CRDs the cluster does not accept a DynamoGraphDeployment.

    The CRDs of graphs and components are always needed, and DynamoWorkerMetadata, through which workers are
    discovered, where graphs are served as v1beta1. The others serve single features.

    Fix: helm upgrade --install dynamo-platform CHART --namespace dynamo-system --create-namespace
    """
    graphs = definitions.find(_GRAPHS)
    needed = [_GRAPHS, _COMPONENTS]
    if graphs is not None and "v1beta1" in graphs.served:
        needed.append(_DISCOVERY)
    for name in (*needed, *_OTHERS):
        definition = definitions.find(name)
        if definition is not None and definition.established:
            continue
        problem = "does not exist" if definition is None else f"is not established: {definition.reason}"
        fix = _INSTALL if definition is None else f"kubectl describe crd {name}"
        if name in needed:
            yield fail(problem, fix=fix, subject=Subject(_DEFINITION, name))
        elif graphs is not None:
            yield warn(f"{problem}; its feature is unavailable", fix=fix, subject=Subject(_DEFINITION, name))


@check("platform.crd-migration", title="Dynamo objects are stored in the current version")
def crd_migration(types: PlatformTypes) -> Iterator[Finding]:
    """Objects created before an upgrade stay stored in the old version until something rewrites them.

    They still work, but a later release without the old version cannot be installed while objects are stored
    in it. The operator rewrites them, reduces the CRD's `status.storedVersions` to one entry and records the
    CRD's generation in an annotation.

    Fix: kubectl logs -n dynamo-system deploy/dynamo-platform-dynamo-operator-controller-manager -c manager
    """
    if not len(types):
        raise Skip("no Dynamo CRD with several versions found")
    for crd in types:
        old = [version for version in crd.stored if version != crd.storage]
        if old:
            unseen = crd.migrated_generation and crd.migrated_generation != str(crd.generation)
            yield warn(
                f"objects may still be stored as {', '.join(old)} instead of {crd.storage}"
                + ("; the operator has not processed the CRD's latest change" if unseen else ""),
                fix=f"kubectl get crd {crd.name} -o jsonpath='{{.status.storedVersions}}'",
                evidence={
                    "storedVersions": list(crd.stored),
                    "generation": crd.generation,
                    "migrated generation": crd.migrated_generation or "none",
                },
                subject=Subject(_DEFINITION, crd.name),
            )


@check("platform.operator", title="Dynamo operator is available for this namespace")
def operator(
    workloads: Workloads,
    definitions: CustomResourceDefinitions,
    configs: OperatorConfigs,
    namespace: Namespace,
    recipes: Recipes | None,
) -> Iterator[Finding]:
    """The operator creates the pods of graphs and serves their admission webhooks.

    It is found by its labels in any namespace and judged by its Deployment's condition Available. One that is
    restricted to a namespace ignores graphs in other namespaces.

    Fix: kubectl get deploy -A -l app.kubernetes.io/name=dynamo-operator
    """
    operators = find_operators(workloads)
    if not operators:
        if definitions.find(_GRAPHS) is None:
            raise Skip("the Dynamo CRDs are not installed")
        yield fail(
            "the Dynamo CRDs are installed, but no operator runs in any namespace",
            fix=_INSTALL,
            subject=Subject("Deployment", "dynamo-operator"),
        )
        return
    for workload in operators:
        yield from _check_health(workload)
    scopes = {w.namespace: config.restricted if (config := configs.find(w)) else "" for w in operators}
    if all(scopes.values()) and namespace.name not in scopes.values():
        served = ", ".join(sorted(set(scopes.values())))
        yield (fail if recipes else warn)(
            f"is restricted to namespace {served}, but this run is for {namespace.name}",
            fix=f"dynocheck preflight -n {served.partition(',')[0]}",
            subject=_make_subject(operators[0]),
        )


def _make_subject(workload: Workload) -> Subject:
    return Subject(workload.kind, workload.name, workload.namespace)


def _check_health(workload: Workload) -> Iterator[Finding]:
    conditions = {c.type: c for c in workload.conditions}
    available = conditions.get("Available")
    evidence = {"desired": workload.desired, "ready": workload.ready}
    if workload.desired == 0:
        yield fail(
            "is scaled to 0 replicas",
            fix=f"kubectl scale -n {workload.namespace} deploy/{workload.name} --replicas=1",
            subject=_make_subject(workload),
        )
    elif available is None or available.status != "True":
        progressing = conditions.get("Progressing")
        reason = (available.message if available else "") or "no condition Available reported"
        if progressing is not None and progressing.status == "False":
            reason = progressing.message or reason
        reason = workload.refusal or reason
        yield fail(
            f"is not available: {reason}",
            fix=f"kubectl describe -n {workload.namespace} deploy/{workload.name} && "
            f"kubectl logs -n {workload.namespace} deploy/{workload.name} -c manager --previous",
            evidence=evidence,
            subject=_make_subject(workload),
        )
    elif not workload.observed:
        yield warn(
            "was just changed; its condition is out of date",
            fix=f"kubectl rollout status -n {workload.namespace} deploy/{workload.name}",
            evidence=evidence,
            subject=_make_subject(workload),
        )
