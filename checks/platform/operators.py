"""Whether operators, types and images go together."""

import re
from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.data import parse_version
from dynocheck.data.platform import V1BETA1
from dynocheck.facts import CustomResourceDefinitions, Recipes
from dynocheck.facts.k8s.platform import AdmissionWebhooks, OperatorConfigs, OperatorLeases, find_operators
from dynocheck.facts.k8s.workloads import Workload, Workloads

_GRAPHS = "dynamographdeployments.nvidia.com"
_INSTANCE = "app.kubernetes.io/instance"
_GRACE_S = 300  # by which the clock here and the cluster's may differ
_IMAGE = re.compile(
    r"(?:^|/)(?:(?:vllm|sglang|tensorrtllm)-runtime|dynamo-(?:frontend|planner))[\w.-]*:(v?\d+\.\d+[\w.-]*)"
)


@check("platform.second-operator", title="One operator looks after each of Dynamo's objects")
def second_operator(
    workloads: Workloads, configs: OperatorConfigs, leases: OperatorLeases, admission: AdmissionWebhooks
) -> Iterator[Finding]:
    """A cluster has one cluster-wide operator; the chart refuses to install or upgrade beside another.

    An operator that is restricted to a namespace is for development and tests only. It claims its namespace
    by a Lease; when it goes, its webhooks may stay behind and refuse every graph in that namespace.

    Fix: helm list -A --filter dynamo && helm uninstall RELEASE -n NAMESPACE
    """
    found = find_operators(workloads)
    if not found and not len(leases):
        raise Skip("no operator runs")
    told = [(each, configs.find(each)) for each in found]
    wide = [each for each, config in told if config is not None and not config.restricted]
    limited = {config.restricted: each for each, config in told if config is not None and config.restricted}
    unclear = [each for each, config in told if config is None]
    if len(wide) > 1:
        for each in wide[1:]:
            yield fail(
                f"is a second cluster-wide operator beside {wide[0].namespace}/{wide[0].name}: "
                "both answer for the same objects",
                fix=f"helm uninstall {each.labels.get(_INSTANCE, 'RELEASE')} -n {each.namespace}",
                subject=_make_subject(each),
            )
    if unclear and len(found) > 1:
        yield warn(
            f"{len(found)} operators run, and whether they serve different namespaces cannot be told: "
            f"{unclear[0].namespace}/{unclear[0].name} keeps its configuration in no ConfigMap of the chart",
            fix="helm list -A --filter dynamo",
            evidence={"operators": [f"{each.namespace}/{each.name}" for each in found]},
            subject=_make_subject(unclear[0]),
        )
    for namespace, each in limited.items():
        beside = " beside a cluster-wide one" if wide else ""
        yield warn(
            f"is restricted to namespace {namespace}{beside}, which is for development and tests only",
            fix="helm list -A --filter dynamo",
            subject=_make_subject(each),
        )
    for lease in leases:
        left = sorted({w.configuration for w in admission if lease.namespace in w.namespaces})
        if lease.until + _GRACE_S < leases.looked and left:
            yield warn(
                f"the operator of namespace {lease.namespace} is gone, and its webhooks are still called",
                fix="kubectl delete --ignore-not-found "
                "validatingwebhookconfigurations,mutatingwebhookconfigurations " + " ".join(left),
                evidence={"configurations": left},
                subject=Subject("Lease", "dynamo-operator-namespace-scope", lease.namespace),
            )


@check("platform.version-skew", title="Operator, types and images are of releases that go together")
def version_skew(
    workloads: Workloads, definitions: CustomResourceDefinitions, recipes: Recipes | None
) -> Iterator[Finding]:
    """Helm installs definitions once and leaves them on upgrades, so operator and types may drift apart.

    Graphs are served as v1beta1 since release 1.2: an operator from then on needs it, and an older one has no
    webhook that would convert it. Images older than the operator are what it is made to run; newer ones were
    never tried with it.

    Fix: helm upgrade dynamo-platform CHART --namespace dynamo-system --set dynamo-operator.upgradeCRD=true
    """
    releases = [
        (each, release) for each in find_operators(workloads) if (release := _find_release(each)) is not None
    ]
    if not releases:
        raise Skip("no operator runs whose image or labels state a release")
    graphs = definitions.find(_GRAPHS)
    for each, release in releases:
        if graphs is None or not graphs.served:
            continue  # platform.crds says so
        beta = "v1beta1" in graphs.served
        said = f"{release[0]}.{release[1]}"
        if release >= V1BETA1 and not beta:
            yield warn(
                f"is of release {said}, whose graphs are v1beta1, and they are served as "
                f"{', '.join(graphs.served)} only: the types are older",
                fix="helm upgrade dynamo-platform CHART --set dynamo-operator.upgradeCRD=true "
                f"--namespace {each.namespace}",
                evidence={"served": list(graphs.served)},
                subject=_make_subject(each),
            )
        elif release < V1BETA1 and beta:
            yield warn(
                f"is of release {said}, which does not know v1beta1, in which graphs are served: "
                "the types are newer",
                fix=f"helm upgrade dynamo-platform CHART --namespace {each.namespace}",
                evidence={"served": list(graphs.served)},
                subject=_make_subject(each),
            )
    newest = max(release for _, release in releases)
    for recipe in recipes or ():
        for graph in recipe.graphs:
            for component in graph.components:
                image = component.main.image if component.main else None
                stated = _IMAGE.search(image or "")
                if image and stated and parse_version(stated[1]) > newest:
                    yield warn(
                        f"{component.name} runs {image}, newer than the operator's release "
                        f"{newest[0]}.{newest[1]}",
                        fix="helm upgrade dynamo-platform CHART --namespace "
                        f"{releases[0][0].namespace}   # of the image's release",
                        location=Location(graph.file, component.line, component.column),
                    )


def _make_subject(found: Workload) -> Subject:
    return Subject(found.kind, found.name, found.namespace)


def _find_release(found: Workload) -> tuple[int, int] | None:
    """The release of an operator, by its image before its labels: a chart may set another image."""
    tags = [image.rpartition(":")[2] for image in found.images if "operator" in image.rpartition("/")[2]]
    for stated in (*tags, found.labels.get("app.kubernetes.io/version", "")):
        if re.match(r"v?\d+\.\d+", stated):
            return parse_version(stated)
    return None
