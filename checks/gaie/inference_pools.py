"""Checks the pods and the endpoint pickers of inference pools."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from dynocheck import Finding, Result, Skip, Subject, check, fail, unjudged, unknown, warn
from dynocheck.checks.gaie._scope import NOTHING, explain_condition, uses_inference_pool
from dynocheck.core.outcomes import Outcome
from dynocheck.facts import (
    EndpointPicker,
    InferencePool,
    InferencePools,
    InferenceRoutes,
    PickerConfig,
    Recipes,
    Workload,
    Workloads,
)

_CONFIG_KIND = "EndpointPickerConfig"
_CONFIG_GROUPS = ("inference.networking.x-k8s.io", "llm-d.ai")
_NO_POOL = "no InferencePool yet; Dynamo's operator creates one for each graph with an endpoint picker"


def _require_pools(pools: InferencePools, recipes: Recipes | None) -> InferencePools:
    if not len(pools):
        raise Skip(_NO_POOL if uses_inference_pool(recipes) else f"no InferencePool: {NOTHING}")
    return pools


@check("gaie.pool", title="Inference pools have Ready pods and an endpoint picker Service")
def pool(pools: InferencePools, routes: InferenceRoutes, recipes: Recipes | None) -> Iterator[Finding]:
    """The endpoint picker chooses a pod of the pool for each request of a Gateway. It needs at least one
    Ready pod that the selector matches, and the Gateway needs the picker's Service with the pool's port.

    A pool that is scaled to zero on purpose fails too, because it does not serve. For a pool that neither
    Dynamo nor a route uses, failures are warnings.

    Fix: kubectl describe inferencepool -n NAMESPACE NAME
    """
    for pool in _require_pools(pools, recipes):
        service = list(_check_service(pool))
        rejected = [] if service else _report_rejections(pool)  # the Service already explains a rejection
        yield from _downgrade_unused([*_check_members(pool), *service, *rejected], pool, routes)


def _downgrade_unused(
    findings: Iterable[Finding], pool: InferencePool, routes: InferenceRoutes
) -> Iterator[Finding]:
    """The findings, with warnings instead of failures if neither Dynamo nor a route uses the pool."""
    targets = {(p.namespace, p.name) for route in routes for p in route.pools}
    used = pool.dynamo or (pool.namespace, pool.name) in targets
    for finding in findings:
        if finding.outcome is Outcome.FAIL and not used:
            yield replace(finding, outcome=Outcome.WARN)
        else:
            yield finding


def _report_rejections(pool: InferencePool) -> Iterator[Finding]:
    for status in pool.statuses:
        for condition in status.conditions:
            rejected = condition.status == "False" and condition.current
            if rejected and condition.type in ("Accepted", "ResolvedRefs"):
                yield fail(
                    f"at {status.parent.kind} {status.parent.namespace}/{status.parent.name}: "
                    f"{explain_condition([condition], condition.type)}",
                    fix=f"kubectl describe inferencepools.{pool.group} -n {pool.namespace} {pool.name}",
                    evidence={"controller": status.controller} if status.controller else {},
                    subject=_make_subject(pool),
                )


def _check_members(pool: InferencePool) -> Iterator[Finding]:
    labels = _format_labels(pool.selector)
    fix = f"kubectl get pods -n {pool.namespace} -l {labels}" if labels else "give it a selector"
    if not pool.pods:
        yield fail(
            f"its selector matches no pod in namespace {pool.namespace}",
            fix=fix,
            evidence={"selector": pool.selector},
            subject=_make_subject(pool),
        )
    elif not any(member.ready for member in pool.pods):
        yield fail(
            f"0 of the {len(pool.pods)} pods that its selector matches are Ready",
            fix=fix,
            evidence={member.name: ", ".join(member.waiting) or member.phase for member in pool.pods},
            subject=_make_subject(pool),
        )


def _check_service(pool: InferencePool) -> Iterator[Finding]:
    picker = pool.picker
    if picker is None or (picker.reference.group, picker.reference.kind) != ("", "Service"):
        return
    name, port = picker.reference.name, picker.reference.port
    get = f"kubectl get services -n {pool.namespace}"
    if picker.ports is None:
        yield fail(
            f"its endpoint picker's Service {name} does not exist in {pool.namespace}",
            fix=get,
            subject=_make_subject(pool),
        )
    elif port not in picker.ports:
        yield fail(
            f"its endpoint picker has port {port}, which Service {name} does not have",
            fix=f"{get} {name} -o yaml   # and set endpointPickerRef.port.number to its gRPC port",
            evidence={"ports": list(picker.ports)},
            subject=_make_subject(pool),
        )


def _watches(cause: Finding, effect: Finding) -> bool:
    """The picker is down, which watches a type of its release that does not exist."""
    return cause.outcome == effect.outcome == "fail" and bool(effect.evidence.get("down"))


@check(
    "gaie.epp",
    title="Inference pools have one working endpoint picker",
    explained_by={"gaie.crds": _watches},
)
def epp(
    pools: InferencePools, routes: InferenceRoutes, workloads: Workloads, recipes: Recipes | None
) -> Iterator[Result]:
    """The endpoint picker chooses the worker of each request. Without it a Gateway answers 500 or 503, or
    picks at random if the pool sets FailOpen.

    Dynamo's picker keeps the state of the KV caches in memory, so there must be exactly one: of two, each
    would see half of the requests. Other pickers may run several replicas. Its configuration is the
    EndpointPickerConfig in a ConfigMap that `--config-file` names.

    Fix: kubectl logs -n NAMESPACE deployment/NAME
    """
    judged = False
    chosen = [*_require_pools(pools, recipes)]
    pickers = [pool.picker for pool in chosen if pool.picker is not None]
    unread = sorted({config.config_map for picker in pickers for config in picker.configs if config.unread})
    for pool in chosen:
        if pool.picker is not None and pool.picker.ports is not None:
            judged = True
            running = _check_running(pool, pool.picker, _find_workloads(pool, pool.picker, workloads))
            read = () if pool.picker.light else pool.picker.configs
            configs = (finding for config in read for finding in _check_config(pool, config, unread))
            if pool.picker.light:
                yield unjudged(
                    f"InferencePool {pool.name}",
                    why="its endpoint picker is the light one, whose settings and replicas are not modelled",
                    subject=Subject("InferencePool", pool.name, pool.namespace),
                )
            yield from _downgrade_unused([*running, *configs], pool, routes)
    if not judged:
        raise Skip("no endpoint picker has an existing Service; see gaie.pool")


def _find_workloads(pool: InferencePool, picker: EndpointPicker, workloads: Workloads) -> list[Workload]:
    """The workloads whose pods the picker's Service selects; Grove's pods have none."""
    return [
        workload
        for workload in workloads
        if picker.selector
        and workload.namespace == pool.namespace
        and picker.selector.items() <= workload.pod_labels.items()
    ]


def _check_running(
    pool: InferencePool, picker: EndpointPicker, workloads: list[Workload]
) -> Iterator[Finding]:
    service = Subject("Service", picker.reference.name, pool.namespace)
    if not picker.selector:
        yield warn(
            "it has no selector, so the endpoint picker's pods are unknown",
            fix=f"kubectl get endpointslices -n {pool.namespace} "
            f"-l kubernetes.io/service-name={picker.reference.name}",
            subject=service,
        )
        return
    labels = _format_labels(picker.selector)
    look = f"kubectl get deployments,pods -n {pool.namespace} -l {labels}"
    count, ready = _count_pods(picker, workloads)
    single = workloads[0] if len(workloads) == 1 else None
    subject = Subject(single.kind, single.name, pool.namespace) if single else service
    if not workloads and not picker.pods:
        yield fail(
            f"the endpoint picker's Service {picker.reference.name} has no pods",
            fix=look,
            evidence={"selector": picker.selector},
            subject=service,
        )
    elif not ready:
        yield fail(
            f"the endpoint picker is down: 0 of {count} pods are ready",
            fix=f"kubectl logs -n {pool.namespace} -l {labels} --tail=50",
            evidence={
                "down": count,
                **{p.name: ", ".join(p.waiting) or p.phase for p in picker.pods if not p.ready},
            },
            subject=subject,
        )
    elif count > 1 and pool.dynamo:
        yield fail(
            f"{count} endpoint pickers run, each with its own view of the KV caches; Dynamo needs exactly 1",
            fix=f"set replicas: 1 of the graph's component of type epp; {look}",
            evidence={f"{w.kind}/{w.name}": w.desired for w in workloads},
            subject=subject,
        )
    elif count > 1 and not (picker.election or picker.light):
        yield warn(
            f"{count} endpoint pickers run without leader election, and may not share their state",
            fix="set replicas to 1, or start them with --ha-enable-leader-election",
            subject=subject,
        )


def _count_pods(picker: EndpointPicker, workloads: list[Workload]) -> tuple[int, int]:
    """The desired and the ready pods of a picker. A workload's counts are stable while pods are replaced."""
    if workloads:
        return sum(workload.desired for workload in workloads), sum(w.ready for w in workloads)
    return len(picker.pods), sum(pod.ready for pod in picker.pods)


def _format_labels(selector: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(selector.items()))


def _check_config(pool: InferencePool, config: PickerConfig, unread: list[str]) -> Iterator[Finding]:
    """Judge what a ConfigMap has.

    :param unread: the names of all that may not be read: the fix is one role for them.
    """
    subject = Subject("ConfigMap", config.config_map, pool.namespace)
    fix = f"kubectl get configmaps -n {pool.namespace} {config.config_map} -o yaml"
    if config.unread:
        yield unknown(
            f"the endpoint picker's configuration could not be read: {config.unread}",
            fix=f"dynocheck rbac {' '.join(f'--configmap {name}' for name in unread)} --bind user:NAME | "
            f"kubectl apply -n {pool.namespace} -f -   # as an administrator",
            subject=subject,
        )
        return
    if config.text is None:
        yield fail(
            f"its key {config.key}, the endpoint picker's configuration, does not exist",
            fix=f"kubectl get configmaps -n {pool.namespace}   # {config.config_map} needs {config.key}",
            subject=subject,
        )
        return
    import yaml  # slow to import, and needed only here

    try:
        data = yaml.safe_load(config.text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        place = f" (line {where.line + 1})" if where is not None else ""
        yield fail(f"its key {config.key} is not valid YAML{place}", fix=fix, subject=subject)
        return
    for message in _find_errors(data):
        yield fail(f"its key {config.key}: {message}", fix=fix, subject=subject)
    group = str(data.get("apiVersion", "")).partition("/")[0] if isinstance(data, dict) else ""
    if group and group not in _CONFIG_GROUPS:
        yield warn(
            f"its key {config.key} has group {group}, known are {' and '.join(_CONFIG_GROUPS)}",
            fix=f"kubectl logs -n {pool.namespace} deployment/NAME   # whether its endpoint picker reads it",
            subject=subject,
        )


def _find_errors(data: Any) -> Iterator[str]:
    """The errors that prevent the endpoint picker from starting with this configuration."""
    if not isinstance(data, dict) or data.get("kind") != _CONFIG_KIND:
        yield f"it is not an {_CONFIG_KIND}"
        return
    if not data.get("apiVersion"):
        yield "it has no apiVersion"
    plugins = [plugin for plugin in _to_list(data.get("plugins")) if isinstance(plugin, dict)]
    names = [plugin.get("name") or plugin.get("type") for plugin in plugins]
    if any(not plugin.get("type") for plugin in plugins):
        yield "a plugin has no type"
    for profile in _to_list(data.get("schedulingProfiles")):
        for plugin in _to_list(profile.get("plugins")) if isinstance(profile, dict) else ():
            reference = plugin.get("pluginRef") if isinstance(plugin, dict) else None
            if reference not in names:
                yield f"profile {profile.get('name')} refers to {reference}, which is not one of its plugins"


def _to_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _make_subject(pool: InferencePool) -> Subject:
    return Subject("InferencePool", pool.name, pool.namespace)
