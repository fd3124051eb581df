"""Whether the Dynamo platform is installed."""

from collections.abc import Iterator

from dynocheck import Finding, Subject, check, fail, warn
from dynocheck.facts import CustomResourceDefinitions

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


@check("platform.crds", title="Dynamo's resource types are established")
def crds(definitions: CustomResourceDefinitions) -> Iterator[Finding]:
    """Without its definitions the cluster does not know what a DynamoGraphDeployment is.

    Graphs and components are always needed. Where graphs are served as v1beta1, workers announce
    themselves through DynamoWorkerMetadata. The other types serve single features.

    Fix: helm upgrade --install dynamo-platform CHART --namespace dynamo-system --create-namespace
    """
    graphs = definitions.named(_GRAPHS)
    needed = [_GRAPHS, _COMPONENTS]
    if graphs is not None and "v1beta1" in graphs.served:
        needed.append(_DISCOVERY)
    for name in (*needed, *_OTHERS):
        found = definitions.named(name)
        subject = Subject("CustomResourceDefinition", name)
        if found is not None and found.established:
            continue
        wrong = "does not exist" if found is None else f"exists but is not established: {found.reason}"
        fix = _INSTALL if found is None else f"kubectl describe crd {name}"
        if name in needed:
            yield fail(wrong, fix=fix, subject=subject)
        elif graphs is not None:
            yield warn(f"{wrong}; what needs it cannot be used", fix=fix, subject=subject)
