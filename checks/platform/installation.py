"""Whether the Dynamo platform is installed, and its operator at work."""

from collections.abc import Iterator

from dynocheck import Finding, Skip, Subject, check, fail, warn
from dynocheck.facts import CustomResourceDefinitions, Recipes
from dynocheck.facts.k8s.namespace_policy import Namespace
from dynocheck.facts.k8s.platform import OperatorConfigs, PlatformTypes, find_operators
from dynocheck.facts.k8s.workloads import Workload, Workloads

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


@check("platform.crds", title="Dynamo's resource types are established")
def crds(definitions: CustomResourceDefinitions) -> Iterator[Finding]:
    """Without its definitions the cluster does not know what a DynamoGraphDeployment is.

    Graphs and components are always needed. Where graphs are served as v1beta1, workers announce
    themselves through DynamoWorkerMetadata. The other types serve single features.

    Fix: helm upgrade --install dynamo-platform CHART --namespace dynamo-system --create-namespace
    """
    graphs = definitions.find(_GRAPHS)
    needed = [_GRAPHS, _COMPONENTS]
    if graphs is not None and "v1beta1" in graphs.served:
        needed.append(_DISCOVERY)
    for name in (*needed, *_OTHERS):
        found = definitions.find(name)
        subject = Subject(_DEFINITION, name)
        if found is not None and found.established:
            continue
        wrong = "does not exist" if found is None else f"exists but is not established: {found.reason}"
        fix = _INSTALL if found is None else f"kubectl describe crd {name}"
        if name in needed:
            yield fail(wrong, fix=fix, subject=subject)
        elif graphs is not None:
            yield warn(f"{wrong}; what needs it cannot be used", fix=fix, subject=subject)


@check("platform.crd-migration", title="Dynamo's objects are stored in one version of their type")
def crd_migration(types: PlatformTypes) -> Iterator[Finding]:
    """Objects made before an upgrade stay stored in the old version until something rewrites them.

    Nothing is broken by it today; a later release that drops the old version cannot be installed while
    objects are stored in it. The operator rewrites them, then leaves one entry in the definition's
    `status.storedVersions` and notes the definition's generation in an annotation of its own.

    Fix: kubectl logs -n dynamo-system deploy/dynamo-platform-dynamo-operator-controller-manager -c manager
    """
    if not len(types):
        raise Skip("no type of Dynamo's that has had several versions is defined")
    for found in types:
        left = [version for version in found.stored if version != found.storage]
        if left:
            unseen = found.migrated_generation and found.migrated_generation != str(found.generation)
            yield warn(
                f"objects may still be stored as {', '.join(left)}, and not as {found.storage}"
                + ("; the operator has not seen this definition's latest change" if unseen else ""),
                fix=f"kubectl get crd {found.name} -o jsonpath='{{.status.storedVersions}}'",
                evidence={
                    "storedVersions": list(found.stored),
                    "generation": found.generation,
                    "migrated generation": found.migrated_generation or "none",
                },
                subject=Subject(_DEFINITION, found.name),
            )


@check("platform.operator", title="The Dynamo operator is available and serves this namespace")
def operator(
    workloads: Workloads,
    definitions: CustomResourceDefinitions,
    configs: OperatorConfigs,
    namespace: Namespace,
    recipes: Recipes | None,
) -> Iterator[Finding]:
    """The operator makes pods of graphs, and answers for them at admission.

    It is found by its labels in any namespace, and judged by its Deployment's condition Available. One that
    is restricted to a namespace leaves graphs of other namespaces lying.

    Fix: kubectl get deploy -A -l app.kubernetes.io/name=dynamo-operator
    """
    found = find_operators(workloads)
    if not found:
        if definitions.find(_GRAPHS) is None:
            raise Skip("Dynamo's types are not defined")
        yield fail(
            "Dynamo's types are defined, and no operator runs in any namespace",
            fix=_INSTALL,
            subject=Subject("Deployment", "dynamo-operator"),
        )
        return
    for each in found:
        yield from _check_health(each)
    limits = {each.namespace: config.restricted if (config := configs.find(each)) else "" for each in found}
    if all(limits.values()) and namespace.name not in limits.values():
        served = ", ".join(sorted(set(limits.values())))
        say = fail if recipes else warn
        yield say(
            f"is restricted to namespace {served}, and this run is for {namespace.name}",
            fix=f"dynocheck preflight -n {served.partition(',')[0]}",
            subject=_make_subject(found[0]),
        )


def _make_subject(found: Workload) -> Subject:
    return Subject(found.kind, found.name, found.namespace)


def _check_health(found: Workload) -> Iterator[Finding]:
    conditions = {c.type: c for c in found.conditions}
    available = conditions.get("Available")
    seen = {"desired": found.desired, "ready": found.ready}
    if found.desired == 0:
        yield fail(
            "is scaled to nothing",
            fix=f"kubectl scale -n {found.namespace} deploy/{found.name} --replicas=1",
            subject=_make_subject(found),
        )
    elif available is None or available.status != "True":
        progressing = conditions.get("Progressing")
        why = (available.message if available else "") or "it reports no condition Available"
        if progressing is not None and progressing.status == "False":
            why = progressing.message or why
        yield fail(
            f"is not available: {why}",
            fix=f"kubectl describe -n {found.namespace} deploy/{found.name} && "
            f"kubectl logs -n {found.namespace} deploy/{found.name} -c manager --previous",
            evidence=seen,
            subject=_make_subject(found),
        )
    elif not found.observed:
        yield warn(
            "was changed a moment ago, and its condition is older than that",
            fix=f"kubectl rollout status -n {found.namespace} deploy/{found.name}",
            evidence=seen,
            subject=_make_subject(found),
        )
