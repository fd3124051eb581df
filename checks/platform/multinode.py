"""platform.multinode: Grove, or LeaderWorkerSet with Volcano, for components that span nodes."""

import re
from collections.abc import Iterable, Iterator

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.data.platform import LWS_FLOOR, Orchestrators, orchestrators, parse_semver
from dynocheck.facts import (
    CustomResourceDefinitions,
    OperatorConfigs,
    Recipes,
    Workload,
    Workloads,
    find_operators,
)

_NAME = "app.kubernetes.io/name"
_UPGRADE = "helm upgrade dynamo-platform CHART --namespace dynamo-system --reuse-values"
_ENABLE = f"{_UPGRADE} --set global.grove.enabled=true"
_INSTALL = f"{_UPGRADE} --set global.grove.install=true --set global.kai-scheduler.install=true"
_TAG = re.compile(r":v?(\d[\w.-]*)(?:@|$)")


@check("platform.multinode", title="Multi-node components have a ready orchestrator")
def multinode(
    definitions: CustomResourceDefinitions, workloads: Workloads, configs: OperatorConfigs, recipes: Recipes
) -> Iterator[Finding]:
    """A component that spans nodes is started by Grove, or by LeaderWorkerSet with Volcano. The operator
    rejects it if neither was installed when the operator started (no_multinode_orchestrator_available).

    KAI Scheduler is optional and recommended with Grove. Compatible releases are listed in
    `dynocheck/data/orchestrators.json`; others are not judged.

    Fix: helm upgrade dynamo-platform CHART --reuse-values --set global.grove.install=true
    """
    spanning = [
        (graph, component)
        for recipe in recipes
        for graph in recipe.graphs
        for component in graph.components
        if component.nodes > 1
    ]
    if not spanning:
        raise Skip("no component of the recipe spans nodes")
    operators = [config for o in find_operators(workloads) if (config := configs.find(o)) is not None]
    groups = {d.group for d in definitions if d.established}
    grove = "grove.io" in groups
    lws = {"leaderworkerset.x-k8s.io", "scheduling.volcano.sh"} <= groups
    grove_off = any(config.grove is False for config in operators)
    lws_off = any(config.lws is False for config in operators)
    if grove and not grove_off:
        yield from _check_grove(workloads, definitions, "scheduling.run.ai" in groups)
    elif lws and not lws_off:
        yield from _check_lws(workloads)
    else:
        reason, fix = _explain_missing(grove, groups, grove_off)
        for graph, component in spanning:
            yield fail(
                f"{component.name} spans {component.nodes} nodes, but {reason}",
                fix=fix,
                evidence={"reason on the graph": "no_multinode_orchestrator_available"},
                location=Location(graph.file, component.line, component.column),
            )


def _explain_missing(grove: bool, groups: set[str], grove_off: bool) -> tuple[str, str]:
    if grove and grove_off:
        return "the operator is configured not to use the installed Grove", _ENABLE
    if "leaderworkerset.x-k8s.io" in groups and "scheduling.volcano.sh" not in groups:
        return (
            "LeaderWorkerSet is installed without Volcano, which it needs",
            "helm install volcano volcano-sh/volcano -n volcano-system --create-namespace   "
            "# then restart the operator",
        )
    return "neither Grove nor LeaderWorkerSet with Volcano is installed", _INSTALL


def _check_grove(
    workloads: Workloads, definitions: CustomResourceDefinitions, kai: bool
) -> Iterator[Finding]:
    found = [w for w in workloads if w.kind == "Deployment" and w.labels.get(_NAME) == "grove-operator"]
    yield from _check_ready(found, "Grove", "podcliquesets.grove.io")
    rows = (_find_orchestrators(operator) for operator in find_operators(workloads))
    row = next((row for row in rows if row is not None), None)
    if row is not None:
        for workload in found:
            yield from _check_grove_version(workload, row)
        if row.topology and definitions.find(row.topology) is None:
            yield warn(
                f"does not exist; operator release {row.dynamo} needs it for topology constraints",
                fix=f"see {row.source}",
                subject=Subject("CustomResourceDefinition", row.topology),
            )
    if not kai:
        yield warn(
            "KAI Scheduler is not installed; with Grove it is recommended for gang scheduling",
            fix=f"{_UPGRADE} --set global.grove.enabled=true --set global.kai-scheduler.install=true",
            subject=Subject("CustomResourceDefinition", "queues.scheduling.run.ai"),
        )


def _find_orchestrators(operator: Workload) -> Orchestrators | None:
    """The orchestrators that the operator's release supports, None when it is not in the table."""
    parsed = parse_semver(_find_version(image for image in operator.images if "operator" in image))
    return orchestrators(parsed[:2]) if parsed else None


def _check_grove_version(workload: Workload, row: Orchestrators) -> Iterator[Finding]:
    version = _find_version(image for image in workload.images if "grove" in image)
    installed, least = parse_semver(version), parse_semver(row.grove) if row.grove else None
    below = parse_semver(row.grove_below) if row.grove_below else None
    if installed is None or least is None:
        return
    if installed < least or (below is not None and installed >= below):
        wanted = f">= {row.grove}" + (f", < {row.grove_below}" if row.grove_below else "")
        yield warn(
            f"is Grove {version}; operator release {row.dynamo} needs {wanted}",
            fix=f"see {row.source}",
            evidence={"source": row.source},
            subject=_make_subject(workload),
        )


def _check_lws(workloads: Workloads) -> Iterator[Finding]:
    def find(name: str) -> list[Workload]:
        return [w for w in workloads if w.kind == "Deployment" and any(_is_image(i, name) for i in w.images)]

    found = find("lws")
    yield from _check_ready(found, "LeaderWorkerSet", "leaderworkersets.leaderworkerset.x-k8s.io")
    yield from _check_ready(find("vc-scheduler"), "Volcano scheduler", "podgroups.scheduling.volcano.sh")
    for workload in found:
        version = _find_version(image for image in workload.images if _is_image(image, "lws"))
        installed, least = parse_semver(version), parse_semver(LWS_FLOOR)
        if installed is not None and least is not None and installed < least:
            yield warn(
                f"is LeaderWorkerSet {version}; Dynamo needs {LWS_FLOOR} or later",
                fix="helm upgrade lws oci://registry.k8s.io/lws/charts/lws --namespace lws-system",
                subject=_make_subject(workload),
            )


def _check_ready(found: list[Workload], what: str, definition: str) -> Iterator[Finding]:
    if not found:
        yield warn(
            f"{what} is installed by its CRDs, but no Deployment of it was recognized; it may not run",
            fix="kubectl get deploy -A",
            subject=Subject("CustomResourceDefinition", definition),
        )
    for workload in found:
        if not workload.is_ready:
            yield (warn if workload.ready else fail)(
                f"{what} is not ready: {workload.ready} of {workload.desired}",
                fix=f"kubectl describe -n {workload.namespace} deploy/{workload.name}",
                subject=_make_subject(workload),
            )


def _make_subject(workload: Workload) -> Subject:
    return Subject(workload.kind, workload.name, workload.namespace)


def _is_image(image: str, name: str) -> bool:
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0] == name


def _find_version(images: Iterable[str]) -> str:
    """The version in the tag of the first image that has one, else empty."""
    tags = (_TAG.search(image) for image in images)
    return next((tag[1] for tag in tags if tag), "")
