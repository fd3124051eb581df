"""Several Dynamo operators in one cluster, and releases of operator, CRDs and images that do not match."""

import re
from collections.abc import Iterator

from dynocheck import (
    Finding,
    Location,
    Result,
    Skip,
    Subject,
    check,
    fail,
    judged,
    same_place,
    unjudged,
    warn,
)
from dynocheck.data import parse_version
from dynocheck.data.platform import V1BETA1
from dynocheck.facts import (
    AdmissionWebhooks,
    CustomResourceDefinition,
    CustomResourceDefinitions,
    OperatorConfigs,
    OperatorLeases,
    Recipes,
    RunNamespace,
    Workload,
    Workloads,
    find_operators,
)

_GRAPHS = "dynamographdeployments.nvidia.com"
_INSTANCE = "app.kubernetes.io/instance"
_GRACE_S = 300  # seconds that the local clock may differ from the cluster's
_IMAGE = re.compile(
    r"(?:^|/)(?:(?:vllm|sglang|tensorrtllm)-runtime|dynamo-(?:frontend|planner))[\w.-]*:(v?\d+\.\d+[\w.-]*)"
)
_Release = tuple[int, int]


def _is_restricted(cause: Finding, effect: Finding) -> bool:
    """The operator serves another namespace than this, which its restriction is about."""
    words = "is restricted to namespace"
    return same_place(cause, effect) and all(each.message.startswith(words) for each in (cause, effect))


@check(
    "platform.second-operator",
    title="Each namespace has one Dynamo operator",
    explained_by={"platform.operator": _is_restricted},
)
def second_operator(
    workloads: Workloads,
    configs: OperatorConfigs,
    leases: OperatorLeases,
    admission: AdmissionWebhooks,
    here: RunNamespace,
    recipes: Recipes | None,
) -> Iterator[Finding]:
    """A cluster has one cluster-wide operator; the chart refuses to install or upgrade beside another.

    Operators that are restricted to a namespace are for development and tests only. Each claims its namespace
    by a Lease; after it is gone, its webhooks may remain and reject every graph in that namespace.

    Fix: helm list -A --filter dynamo && helm uninstall RELEASE -n NAMESPACE
    """
    operators = find_operators(workloads)
    if not operators and not len(leases):
        raise Skip("no Dynamo operator found")
    wide, restricted, unclear = [], [], []
    for operator in operators:
        config = configs.find(operator)
        if config is None:
            unclear.append(operator)
        elif config.restricted:
            restricted.append((config.restricted, operator))
        else:
            wide.append(operator)
    for operator in wide[1:]:
        yield fail(
            f"is a second cluster-wide operator beside {_format_name(wide[0])}; both manage the same objects",
            fix=f"helm uninstall {operator.labels.get(_INSTANCE, 'RELEASE')} -n {operator.namespace}",
            subject=_make_subject(operator),
        )
    if unclear and len(operators) > 1:
        yield warn(
            f"{len(operators)} operators may serve the same namespaces: {_format_name(unclear[0])} has no "
            "ConfigMap of the chart",
            fix="helm list -A --filter dynamo",
            evidence={"operators": [_format_name(operator) for operator in operators]},
            subject=_make_subject(unclear[0]),
        )
    for namespace, operator in restricted:
        beside = " beside a cluster-wide one" if wide else ""
        yield warn(
            f"is restricted to namespace {namespace}{beside}, which is for development and tests only",
            fix="helm list -A --filter dynamo",
            subject=_make_subject(operator),
        )
    yield from _report_stale_leases(leases, admission, here.name if recipes else None)


def _report_stale_leases(
    leases: OperatorLeases, admission: AdmissionWebhooks, used: str | None
) -> Iterator[Finding]:
    """Report webhooks of restricted operators whose Lease has expired; a failure in namespace `used`."""
    for lease in leases:
        webhooks = sorted({w.configuration for w in admission if lease.namespace in w.namespaces})
        if lease.until + _GRACE_S < leases.looked and webhooks:
            yield (fail if lease.namespace == used else warn)(
                f"the operator of namespace {lease.namespace} is gone, but its webhooks are still called",
                fix="kubectl delete --ignore-not-found "
                "validatingwebhookconfigurations,mutatingwebhookconfigurations " + " ".join(webhooks),
                evidence={"configurations": webhooks},
                subject=Subject("Lease", "dynamo-operator-namespace-scope", lease.namespace),
            )


@check("platform.version-skew", title="Operator, CRD and image versions are compatible")
def version_skew(
    workloads: Workloads, definitions: CustomResourceDefinitions, recipes: Recipes | None
) -> Iterator[Result]:
    """Helm installs CRDs once and does not upgrade them, so operator and CRDs may differ in version.

    Release 1.2 introduced v1beta1 graphs: operators from then on need that version, and older ones have no
    webhook to convert it. A recipe fails whose graphs the operator cannot read.
    Operators support images of their own release and older; newer ones are untested.

    Fix: helm upgrade dynamo-platform CHART --namespace dynamo-system --set dynamo-operator.upgradeCRD=true
    """
    releases = [(o, release) for o in find_operators(workloads) if (release := _find_release(o)) is not None]
    if not find_operators(workloads):
        raise Skip("no Dynamo operator found")
    yield judged(len(releases), "operators")
    for operator in find_operators(workloads):
        if _find_release(operator) is None:
            yield unjudged(
                str(_make_subject(operator)),
                why="neither its image nor its labels give a release",
                needs="the label app.kubernetes.io/version, which the chart sets",
                subject=_make_subject(operator),
            )
    if not releases:
        return
    graphs = definitions.find(_GRAPHS)
    if graphs is not None and graphs.served:  # else platform.crds fails
        for operator, release in releases:
            yield from _check_served_versions(operator, release, graphs, recipes)
    newest = max(release for _, release in releases)
    yield from _check_images(recipes, newest, releases[0][0].namespace)


def _check_served_versions(
    operator: Workload, release: _Release, graphs: CustomResourceDefinition, recipes: Recipes | None
) -> Iterator[Finding]:
    """Compare an operator's release with the served versions of DynamoGraphDeployment."""
    beta = "v1beta1" in graphs.served
    used = {graph.api_version.rpartition("/")[2] for recipe in recipes or () for graph in recipe.graphs}
    fix = f"--namespace {operator.namespace}"
    if release >= V1BETA1 and not beta:
        message = f"needs v1beta1 graphs, but the CRD only serves {', '.join(graphs.served)}: it is older"
        fix = f"helm upgrade dynamo-platform CHART --set dynamo-operator.upgradeCRD=true {fix}"
        hit = bool(used)
    elif release < V1BETA1 and beta:
        message = "does not support v1beta1, which the graphs' CRD serves: it is newer"
        fix = f"helm upgrade dynamo-platform CHART {fix}"
        hit = "v1beta1" in used
    else:
        return
    yield (fail if hit else warn)(
        f"release {_format_release(release)} {message}",
        fix=fix,
        evidence={"served": list(graphs.served)},
        subject=_make_subject(operator),
    )


def _check_images(recipes: Recipes | None, newest: _Release, namespace: str) -> Iterator[Finding]:
    """Warn about components whose image is of a newer release than every operator."""
    components = ((g, c) for recipe in recipes or () for g in recipe.graphs for c in g.components)
    for graph, component in components:
        image = component.main.image if component.main else None
        tag = _IMAGE.search(image or "")
        if tag and parse_version(tag[1]) > newest:
            yield warn(
                f"{component.name} runs {image}, newer than operator release {_format_release(newest)}",
                fix=f"helm upgrade dynamo-platform CHART --namespace {namespace}   # of the image's release",
                location=Location(graph.file, component.line, component.column),
            )


def _make_subject(operator: Workload) -> Subject:
    return Subject(operator.kind, operator.name, operator.namespace)


def _format_name(operator: Workload) -> str:
    return f"{operator.namespace}/{operator.name}"


def _format_release(release: _Release) -> str:
    return f"{release[0]}.{release[1]}"


def _find_release(operator: Workload) -> _Release | None:
    """An operator's release by its image tag or else its label, since a chart may set another image."""
    tags = [image.rpartition(":")[2] for image in operator.images if "operator" in image.rpartition("/")[2]]
    for version in (*tags, operator.labels.get("app.kubernetes.io/version", "")):
        if re.match(r"v?\d+\.\d+", version):
            return parse_version(version)
    return None
