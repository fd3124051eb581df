"""Whether something starts the pods of a component that spans nodes together."""

import re
from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.data.platform import LWS_FLOOR, Orchestrators, orchestrators, parse_semver
from dynocheck.facts import CustomResourceDefinitions, Recipes
from dynocheck.facts.k8s.platform import OperatorConfigs, find_operators
from dynocheck.facts.k8s.workloads import Workload, Workloads

_NAME = "app.kubernetes.io/name"
_UPGRADE = "helm upgrade dynamo-platform CHART --namespace dynamo-system --reuse-values"
_ENABLE = f"{_UPGRADE} --set global.grove.enabled=true"
_INSTALL = f"{_UPGRADE} --set global.grove.install=true --set global.kai-scheduler.install=true"
_TAG = re.compile(r":v?(\d[\w.-]*)(?:@|$)")


@check("platform.multinode", title="What starts components over several nodes is installed and ready")
def multinode(
    definitions: CustomResourceDefinitions, workloads: Workloads, configs: OperatorConfigs, recipes: Recipes
) -> Iterator[Finding]:
    """A component that spans nodes is started by Grove, or by LeaderWorkerSet with Volcano; the operator
    refuses it where neither is there when the operator starts (no_multinode_orchestrator_available).

    KAI Scheduler is optional and recommended with Grove. Which releases go together is a table
    (`dynocheck/data/orchestrators.json`); what is outside of it is not judged.

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
    told = [config for each in find_operators(workloads) if (config := configs.find(each)) is not None]
    groups = {d.group for d in definitions if d.established}
    grove = "grove.io" in groups
    lws = {"leaderworkerset.x-k8s.io", "scheduling.volcano.sh"} <= groups
    grove_off = any(config.grove is False for config in told)
    lws_off = any(config.lws is False for config in told)
    if grove and not grove_off:
        yield from _check_grove(workloads, definitions, "scheduling.run.ai" in groups)
    elif lws and not lws_off:
        yield from _check_lws(workloads)
    else:
        why, fix = _explain_missing(grove, groups, grove_off)
        for graph, component in spanning:
            yield fail(
                f"{component.name} spans {component.nodes} nodes, and {why}",
                fix=fix,
                evidence={"reason on the graph": "no_multinode_orchestrator_available"},
                location=Location(graph.file, component.line, component.column),
            )


def _explain_missing(grove: bool, groups: set[str], grove_off: bool) -> tuple[str, str]:
    if grove and grove_off:
        return "Grove is there, but the operator is told not to use it", _ENABLE
    if "leaderworkerset.x-k8s.io" in groups and "scheduling.volcano.sh" not in groups:
        return (
            "of LeaderWorkerSet and Volcano, which are used together, only the first is there",
            "helm install volcano volcano-sh/volcano -n volcano-system --create-namespace   "
            "# then restart the operator",
        )
    return "neither Grove nor LeaderWorkerSet with Volcano is there to start it", _INSTALL


def _check_grove(
    workloads: Workloads, definitions: CustomResourceDefinitions, kai: bool
) -> Iterator[Finding]:
    found = [w for w in workloads if w.kind == "Deployment" and w.labels.get(_NAME) == "grove-operator"]
    yield from _check_ready(found, "Grove", "podcliquesets.grove.io")
    row = next(
        (row for each in find_operators(workloads) if (row := _find_orchestrators(each)) is not None), None
    )
    if row is not None:
        for each in found:
            yield from _check_grove_version(each, row)
        if row.topology and definitions.find(row.topology) is None:
            yield warn(
                f"does not exist; release {row.dynamo} of the operator expects it for topology constraints",
                fix=f"see {row.source}",
                subject=Subject("CustomResourceDefinition", row.topology),
            )
    if not kai:
        yield warn(
            "KAI Scheduler is not there; recommended with Grove, to place all pods of a component or none",
            fix=f"{_UPGRADE} --set global.grove.enabled=true --set global.kai-scheduler.install=true",
            subject=Subject("CustomResourceDefinition", "queues.scheduling.run.ai"),
        )


def _find_orchestrators(operator: Workload) -> Orchestrators | None:
    version = next(
        (v for image in operator.images if "operator" in image and (v := _parse_version(image))), None
    )
    parsed = parse_semver(version) if version else None
    return orchestrators(parsed[:2]) if parsed else None


def _check_grove_version(found: Workload, row: Orchestrators) -> Iterator[Finding]:
    version = next((v for image in found.images if "grove" in image and (v := _parse_version(image))), "")
    has, least = parse_semver(version), parse_semver(row.grove)
    below = parse_semver(row.grove_below) if row.grove_below else None
    if has is None or least is None:
        return
    if has < least or (below is not None and has >= below):
        wanted = f">= {row.grove}" + (f", < {row.grove_below}" if row.grove_below else "")
        yield warn(
            f"is Grove {version}; release {row.dynamo} of the operator goes with {wanted}",
            fix=f"see {row.source}",
            evidence={"source": row.source},
            subject=Subject(found.kind, found.name, found.namespace),
        )


def _check_lws(workloads: Workloads) -> Iterator[Finding]:
    def runs(name: str) -> list[Workload]:
        return [w for w in workloads if w.kind == "Deployment" and any(_is_image(i, name) for i in w.images)]

    found = runs("lws")
    yield from _check_ready(found, "LeaderWorkerSet", "leaderworkersets.leaderworkerset.x-k8s.io")
    yield from _check_ready(runs("vc-scheduler"), "Volcano's scheduler", "podgroups.scheduling.volcano.sh")
    for each in found:
        version = next(
            (v for image in each.images if _is_image(image, "lws") and (v := _parse_version(image))), ""
        )
        has, least = parse_semver(version), parse_semver(LWS_FLOOR)
        if has is not None and least is not None and has < least:
            yield warn(
                f"is LeaderWorkerSet {version}; Dynamo asks for {LWS_FLOOR} or later",
                fix="helm upgrade lws oci://registry.k8s.io/lws/charts/lws --namespace lws-system",
                subject=Subject(each.kind, each.name, each.namespace),
            )


def _check_ready(found: list[Workload], what: str, definition: str) -> Iterator[Finding]:
    if not found:
        yield warn(
            f"{what} has its types, and none of its Deployments was recognized: whether it runs is not known",
            fix="kubectl get deploy -A",
            subject=Subject("CustomResourceDefinition", definition),
        )
    for each in found:
        if not each.is_ready:
            yield (warn if each.ready else fail)(
                f"{what} is not ready: {each.ready} of {each.desired}",
                fix=f"kubectl describe -n {each.namespace} deploy/{each.name}",
                subject=Subject(each.kind, each.name, each.namespace),
            )


def _is_image(image: str, name: str) -> bool:
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0] == name


def _parse_version(image: str) -> str | None:
    match = _TAG.search(image)
    return match[1] if match else None
