"""platform.multinode: Grove with KAI Scheduler, or LeaderWorkerSet, which create the pods of graphs."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from dynocheck import Finding, Location, Result, Skip, Subject, check, fail, unjudged, warn
from dynocheck.checks.platform._deployments import check_ready, list_images, make_subject
from dynocheck.checks.platform._webhooks import explain_distrust, explain_unanswered
from dynocheck.core.outcomes import Unjudged
from dynocheck.data import parse_version
from dynocheck.data.platform import Orchestrators, list_orchestrators, orchestrators, parse_semver
from dynocheck.facts import (
    AdmissionWebhooks,
    Component,
    CustomResourceDefinitions,
    Graph,
    KaiQueues,
    OperatorConfig,
    OperatorConfigs,
    Recipe,
    Recipes,
    ServiceEndpoints,
    Workload,
    Workloads,
    find_operators,
)

_NAME = "app.kubernetes.io/name"
_UPGRADE = "helm upgrade dynamo-platform CHART --namespace dynamo-system --reuse-values"
_ENABLE = f"{_UPGRADE} --set global.grove.enabled=true"
_INSTALL = f"{_UPGRADE} --set global.grove.install=true --set global.kai-scheduler.install=true"
_UNANNOTATE = 'remove the annotation nvidia.com/enable-grove: "false" from the graph'
_LWS_GROUP = "leaderworkerset.x-k8s.io"
_LWS = f"leaderworkersets.{_LWS_GROUP}"
_VOLCANO = "scheduling.volcano.sh"
_SHARDS = "schedulingshards.kai.scheduler"
_POOL = "kai.scheduler/node-pool"
_QUEUES = "queues.scheduling.run.ai"
_LWS_ALONE = (1, 7)  # the first release whose LeaderWorkerSet path goes without Volcano
_KAI = "kai-scheduler"
_KAI_PARTS = ("kai-operator", "queue-controller", "podgrouper", "pod-grouper", "binder", "scheduler")
_KAI_BUNDLED = (1, 5)
_TAG = re.compile(r"(?<!@sha256):v?(\d[\w.-]*)(?:@|$)")


@check("platform.multinode", title="Graphs have a ready orchestrator")
def multinode(
    definitions: CustomResourceDefinitions,
    workloads: Workloads,
    configs: OperatorConfigs,
    queues: KaiQueues | None,
    admission: AdmissionWebhooks | None,
    services: ServiceEndpoints | None,
    recipes: Recipes | None,
) -> Iterator[Result]:
    """The operator creates every graph through Grove where Grove is installed and enabled, unless the graph
    has the annotation nvidia.com/enable-grove: "false". Without Grove, a component that spans nodes needs
    LeaderWorkerSet, up to operator release 1.6 with Volcano, from 1.7 on with its DisaggregatedSet API.

    Grove schedules by KAI Scheduler where it is installed, in the queue that the annotation
    nvidia.com/kai-scheduler-queue names, `dynamo` by default. What does not run, or has a webhook that nobody
    answers, is a failure for a recipe that uses it, else a warning. Compatible releases are listed in
    `dynocheck/data/orchestrators.json`; others are not judged.

    Fix: helm upgrade dynamo-platform CHART --reuse-values --set global.grove.install=true
    """
    operators = find_operators(workloads)
    settings = [config for operator in operators if (config := configs.find(operator)) is not None]
    groups = {d.group for d in definitions if d.established}
    grove_off = any(config.grove is False for config in settings)
    has_grove = "grove.io" in groups and not grove_off
    graphs = [graph for recipe in recipes or () for graph in recipe.graphs]
    carried = [graph for graph in graphs if has_grove and graph.uses_grove]
    others = [graph for graph in graphs if graph not in carried]
    spanning = [(graph, c) for graph in others for c in graph.components if c.nodes > 1]
    idle = not recipes and _LWS_GROUP in groups  # installed, and nothing at hand uses it
    if not carried and not spanning and not idle and (recipes or not has_grove):
        raise Skip("no graph uses Grove, and no component spans nodes" if recipes else "Grove is not in use")
    hooks = _Hooks(admission, services)
    if carried or (has_grove and not recipes):
        report = fail if carried else warn
        yield from _check_grove(workloads, definitions, hooks, report)
        if "scheduling.run.ai" not in groups:
            yield from _recommend_kai(carried)
        elif all(config.kai is not False for config in settings):
            yield from _check_kai(workloads, report)
            yield from _check_queues(queues, carried, recipes)
    if spanning:
        yield from _check_spanning(spanning, definitions, workloads, settings, hooks)
    elif idle:
        yield from _check_lws(workloads, hooks, warn, volcano=_VOLCANO in groups)
        yield from _check_lws_release(workloads)


def _check_spanning(
    spanning: list[tuple[Graph, Component]],
    definitions: CustomResourceDefinitions,
    workloads: Workloads,
    settings: list[OperatorConfig],
    hooks: "_Hooks",
) -> Iterator[Result]:
    """Judge what creates components that span nodes and are not sent to Grove."""
    groups = {d.group for d in definitions if d.established}
    release = max((r for o in find_operators(workloads) if (r := _find_release(o))), default=None)
    lws = definitions.find(_LWS)
    sets = any(d.established and d.name.startswith("disaggregatedsets.") for d in definitions)
    alone = lws is not None and "v1" in lws.served and sets and (release is None or release >= _LWS_ALONE)
    volcano = {_LWS_GROUP, _VOLCANO} <= groups
    if (alone or volcano) and not any(config.lws is False for config in settings):
        if release is None and not volcano:
            why = "no image of the operator has a release, and up to 1.6 it needs Volcano"
            yield unjudged("LeaderWorkerSet without Volcano", why=why, needs="the operator's release")
        elif release is not None and release >= _LWS_ALONE and not alone:
            why = (
                "since 1.7 the operator needs its DisaggregatedSet API; whether Volcano will do is not known"
            )
            yield unjudged("LeaderWorkerSet with Volcano", why=why, needs="LeaderWorkerSet 0.9.0 or later")
        yield from _check_lws(workloads, hooks, fail, volcano=volcano and not (alone and release))
        if alone or release is None or release < _LWS_ALONE:
            yield from _check_lws_release(workloads)
        return
    grove_off = any(config.grove is False for config in settings)
    for graph, component in spanning:
        refused = "grove.io" in groups and not grove_off
        reason, fix = _explain_missing("grove.io" in groups, groups, grove_off, annotated=refused)
        yield fail(
            f"{component.name} spans {component.nodes} nodes, but {reason}",
            fix=fix,
            evidence={"reason on the graph": "no_multinode_orchestrator_available"},
            location=Location(graph.file, component.line, component.column),
        )


def _explain_missing(grove: bool, groups: set[str], grove_off: bool, *, annotated: bool) -> tuple[str, str]:
    if annotated:
        return "its graph's annotation keeps it from Grove, and LeaderWorkerSet is not in use", _UNANNOTATE
    if grove and grove_off:
        return "the operator is configured not to use the installed Grove", _ENABLE
    if _LWS_GROUP in groups and _VOLCANO not in groups:
        return (
            "LeaderWorkerSet is installed without Volcano, which it needs",
            "helm install volcano volcano-sh/volcano -n volcano-system --create-namespace   "
            "# then restart the operator",
        )
    return "neither Grove nor LeaderWorkerSet with Volcano is installed", _INSTALL


@dataclass(frozen=True)
class _Hooks:
    """The webhooks for what graphs become, and the Services that answer them."""

    admission: AdmissionWebhooks | None
    services: ServiceEndpoints | None

    def check(self, found: list[Workload], resource: str, report: Callable[..., Finding]) -> Iterator[Result]:
        """Report webhooks for a resource that cannot be called, though one of these Deployments is ready."""
        if not any(workload.ready for workload in found):
            return  # which explains it, and is reported
        if self.admission is None or self.services is None:
            needs = "list webhook configurations and endpointslices"
            yield unjudged(f"webhooks for {resource}", why="they could not be listed", needs=needs)
            return
        problems: dict[tuple[str, str, str], str] = {}
        for hook in self.admission.others:
            problem = explain_unanswered(hook, self.services) or explain_distrust(hook, self.admission.looked)
            if resource in hook.resources and hook.blocking and problem:
                problems.setdefault((hook.kind, hook.configuration, problem), hook.name)
        for (kind, configuration, problem), name in problems.items():
            yield report(
                f"{name} {problem}, so no {resource} can be created",
                fix=f"kubectl describe {kind.lower()} {configuration}",
                subject=Subject(kind, configuration),
            )


def _check_grove(
    workloads: Workloads,
    definitions: CustomResourceDefinitions,
    hooks: _Hooks,
    report: Callable[..., Finding],
) -> Iterator[Result]:
    found = [
        w
        for w in workloads
        if w.kind == "Deployment" and "grove-operator" in (w.labels.get(_NAME), w.name, *list_images(w))
    ]
    yield from check_ready(found, "Grove", "podcliquesets.grove.io", report)
    yield from hooks.check(found, "podcliquesets", report)
    operators = find_operators(workloads)
    row = _find_row(operators)
    if found and operators and (row is None or row.grove is None):
        yield _leave_release("Grove", operators, row)
    if row is not None:
        for workload in found if row.grove else ():
            yield from _check_version(workload, "Grove", row, row.grove or "", row.grove_below)
        if row.topology and definitions.find(row.topology) is None:
            yield warn(
                f"does not exist; operator release {row.dynamo} needs it for topology constraints",
                fix=f"see {row.source}",
                subject=Subject("CustomResourceDefinition", row.topology),
            )
        # Up to 1.4 a release of KAI Scheduler is recommended; since 1.5 it is part of the platform.
        for workload in _find_kai(workloads) if parse_version(row.dynamo) >= _KAI_BUNDLED else ():
            if row.kai and _is_scheduler(workload):
                yield from _check_version(workload, "KAI Scheduler", row, row.kai)


def _find_row(operators: Sequence[Workload]) -> Orchestrators | None:
    rows = (_find_orchestrators(operator) for operator in operators)
    return next((row for row in rows if row is not None), None)


def _leave_release(what: str, operators: Sequence[Workload], row: Orchestrators | None) -> Unjudged:
    """That the release of an orchestrator is not judged, and why."""
    release = _find_version(operators[0].images) if operators else ""
    return unjudged(
        f"release of {what} for operator {release or 'without a release'}",
        why=f"its documentation names no release of {what}" if row else "not in the table of releases",
        needs="its row there" if row is None else f"a release of {what} in {row.source}",
    )


def _recommend_kai(graphs: list[Graph]) -> Iterator[Finding]:
    if any(component.nodes > 1 for graph in graphs for component in graph.components):
        yield warn(
            "KAI Scheduler is not installed; with Grove it is recommended for gang scheduling",
            fix=f"{_UPGRADE} --set global.grove.enabled=true --set global.kai-scheduler.install=true",
            subject=Subject("CustomResourceDefinition", _QUEUES),
        )


def _find_kai(workloads: Workloads) -> list[Workload]:
    """The Deployments of KAI Scheduler; where a mirror renames images, those beside two of its names."""
    deployments = [workload for workload in workloads if workload.kind == "Deployment"]
    parts = Counter(workload.namespace for workload in deployments if workload.name in _KAI_PARTS)
    homes = {_KAI, *(namespace for namespace, count in parts.items() if count > 1)}
    return [
        workload
        for workload in deployments
        if workload.namespace in homes or any(f"{_KAI}/" in image for image in workload.images)
    ]


def _is_scheduler(workload: Workload) -> bool:
    """Whether it is the scheduler of a shard of KAI Scheduler, which newer releases name after the shard."""
    return workload.name == "scheduler" or workload.name.startswith(_KAI)


def _check_kai(workloads: Workloads, report: Callable[..., Finding]) -> Iterator[Finding]:
    found = _find_kai(workloads)
    parts = {
        "KAI Scheduler": [w for w in found if _is_scheduler(w)],
        "KAI's queue controller": [w for w in found if w.name == "queue-controller"],
        "KAI's operator": [w for w in found if w.name == "kai-operator"],
    }
    for what, workloads_of_part in parts.items():
        if found and what == "KAI Scheduler" and not workloads_of_part:
            yield report(
                "no SchedulingShard has a scheduler, though other parts of KAI Scheduler are there",
                fix=f"kubectl describe {_SHARDS}   # the operator creates a scheduler for each",
                subject=Subject("CustomResourceDefinition", _SHARDS),
            )
            continue
        yield from check_ready(workloads_of_part, what, _QUEUES, report)
        if not found:  # once is enough
            return


def _check_queues(queues: KaiQueues | None, graphs: list[Graph], recipes: Recipes | None) -> Iterator[Result]:
    """Judge the queues that graphs name; without graphs, the default queue."""
    if queues is None:
        yield unjudged("queues of KAI Scheduler", why="they could not be listed", needs=f"list {_QUEUES}")
        return
    wanted: dict[str, Graph | None] = {graph.queue: graph for graph in graphs} or {"dynamo": None}
    for name, graph in wanted.items():
        found = [queue for queue in queues if queue.name == name]
        pools = sorted(queue.pool for queue in found)
        if "" in pools and all(queue.parent != "" for queue in found):
            continue
        if "" in pools:
            # https://github.com/kai-scheduler/KAI-Scheduler/issues/621
            problem = "has no parent queue: KAI Scheduler starts nothing in top-level queues"
        elif pools and any(_names_pool(recipe, graph, pools) for recipe in recipes or ()):
            continue
        elif pools:
            # https://github.com/ai-dynamo/dynamo/issues/10084
            problem = f"is only in shard {', '.join(pools)}: pods of other node pools do not find it"
        else:
            problem = "does not exist, so graphs in it are not started"
        yield (fail if graph and "" not in pools else warn)(
            f"queue {name} of KAI Scheduler {problem}",
            fix=f"kubectl get {_QUEUES} -L {_POOL}",
            subject=None if graph else Subject("Queue", name),
            location=Location(graph.file, graph.line, graph.column) if graph else None,
        )


def _names_pool(recipe: Recipe, graph: Graph | None, pools: list[str]) -> bool:
    """Whether the manifest of a graph has the label of one of these node pools somewhere."""
    roots = [m.root for m in recipe.manifests if graph and m.file == graph.file and m.name == graph.name]
    return any(value.text in pools for root in roots for value in root.find_all(_POOL))


def _find_orchestrators(operator: Workload) -> Orchestrators | None:
    """The orchestrators that the operator's release supports, None when it is not in the table."""
    release = _find_release(operator)
    return orchestrators(release) if release else None


def _find_release(operator: Workload) -> tuple[int, int] | None:
    parsed = parse_semver(_find_version(image for image in operator.images if "operator" in image))
    return parsed[:2] if parsed else None


def _check_version(
    workload: Workload, what: str, row: Orchestrators, least: str, below: str | None = None
) -> Iterator[Finding]:
    version = _find_version(workload.images)
    installed, lowest = parse_semver(version), parse_semver(least)
    limit = parse_semver(below) if below else None
    if installed is None or lowest is None:
        return
    # A candidate such as alpha.12-rc1 sorts after alpha.12, and comes before it.
    beyond = limit is not None and installed >= limit and not version.startswith(f"{below}-")
    if installed < lowest or beyond:
        wanted = f">= {least}" + (f", < {below}" if below else "")
        yield warn(
            f"is {what} {version}; operator release {row.dynamo} needs {wanted}",
            fix=f"see {row.source}",
            evidence={"source": row.source},
            subject=make_subject(workload),
        )


def _check_lws(
    workloads: Workloads, hooks: _Hooks, report: Callable[..., Finding], *, volcano: bool
) -> Iterator[Result]:
    found = _find_deployments(workloads, "lws", "lws-controller-manager")
    yield from check_ready(found, "LeaderWorkerSet", _LWS, report)
    yield from hooks.check(found, "leaderworkersets", report)
    if volcano:
        schedulers = _find_deployments(workloads, "vc-scheduler", "volcano-scheduler")
        yield from check_ready(schedulers, "Volcano scheduler", f"podgroups.{_VOLCANO}", report)


def _find_deployments(workloads: Workloads, image: str, name: str) -> list[Workload]:
    return [w for w in workloads if w.kind == "Deployment" and (w.name == name or image in list_images(w))]


def _check_lws_release(workloads: Workloads) -> Iterator[Result]:
    operators = find_operators(workloads)
    row = _find_row(operators)
    for workload in _find_deployments(workloads, "lws", "lws-controller-manager"):
        version = _find_version(workload.images)
        installed = parse_semver(version)
        floors = [row] if row is not None else list_orchestrators()
        above = [each for each in floors if installed and installed < (parse_semver(each.lws) or installed)]
        if above and row is None and operators:
            yield _leave_release("LeaderWorkerSet", operators, None)
        elif above and row is not None:
            yield warn(
                f"is LeaderWorkerSet {version}; operator release {row.dynamo} needs {row.lws} or later",
                fix="helm upgrade lws oci://registry.k8s.io/lws/charts/lws --namespace lws-system",
                evidence={"source": row.source},
                subject=make_subject(workload),
            )


def _find_version(images: Iterable[str]) -> str:
    """The version in the tag of the first image that has one, else empty."""
    tags = (_TAG.search(image) for image in images)
    return next((tag[1] for tag in tags if tag), "")
