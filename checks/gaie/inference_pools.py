"""Whether inference pools have members, and an endpoint picker that runs."""

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec.structs import replace

from dynocheck import Finding, Skip, Subject, check, fail, unknown, warn
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
_NO_POOL = "there is no InferencePool yet; Dynamo's operator makes one for each graph with an endpoint picker"


def _require_pools(pools: InferencePools, recipes: Recipes | None) -> InferencePools:
    if not len(pools):
        raise Skip(_NO_POOL if uses_inference_pool(recipes) else f"there is no InferencePool: {NOTHING}")
    return pools


@check("gaie.pool", title="Inference pools have Ready pods and an endpoint picker's Service")
def pool(pools: InferencePools, routes: InferenceRoutes, recipes: Recipes | None) -> Iterator[Finding]:
    """A Gateway sends a request to a pod of the pool that the endpoint picker names. A selector that matches
    no Ready pod of the pool's namespace leaves it nothing to name, and without the picker's Service on the
    port that the pool gives nobody is asked.

    Pods that are scaled to zero on purpose fail it too: such a pool does not serve. A pool that is not
    Dynamo's and that no route leads to is only warned of.

    Fix: kubectl describe inferencepool -n NAMESPACE NAME
    """
    for each in _require_pools(pools, recipes):
        service = list(_check_service(each))
        refused = [] if service else _report_refusals(each)  # why a controller refuses it has been told
        yield from _downgrade_unused([*_check_members(each), *service, *refused], each, routes)


def _downgrade_unused(
    findings: Iterable[Finding], each: InferencePool, routes: InferenceRoutes
) -> Iterator[Finding]:
    """Findings, of which a failure is a warning where nobody is sent to the pool."""
    led_to = {(p.namespace, p.name) for route in routes for p in route.pools}
    at_stake = each.dynamo or (each.namespace, each.name) in led_to
    for finding in findings:
        if finding.outcome is Outcome.FAIL and not at_stake:
            yield replace(finding, outcome=Outcome.WARN)
        else:
            yield finding


def _report_refusals(each: InferencePool) -> Iterator[Finding]:
    for status in each.statuses:
        for condition in status.conditions:
            bad = condition.status == "False" and condition.current
            if bad and condition.type in ("Accepted", "ResolvedRefs"):
                yield fail(
                    f"at {status.parent.kind} {status.parent.namespace}/{status.parent.name}: "
                    f"{explain_condition([condition], condition.type)}",
                    fix=f"kubectl describe inferencepools.{each.group} -n {each.namespace} {each.name}",
                    evidence={"controller": status.controller} if status.controller else {},
                    subject=_make_subject(each),
                )


def _check_members(each: InferencePool) -> Iterator[Finding]:
    labels = ",".join(f"{key}={value}" for key, value in sorted(each.selector.items()))
    fix = f"kubectl get pods -n {each.namespace} -l {labels}" if labels else "give it a selector"
    if not each.pods:
        yield fail(
            f"its selector matches no pod of namespace {each.namespace}",
            fix=fix,
            evidence={"selector": each.selector},
            subject=_make_subject(each),
        )
    elif not any(member.ready for member in each.pods):
        yield fail(
            f"none of the {len(each.pods)} pods that its selector matches is Ready",
            fix=fix,
            evidence={member.name: ", ".join(member.waiting) or member.phase for member in each.pods},
            subject=_make_subject(each),
        )


def _check_service(each: InferencePool) -> Iterator[Finding]:
    picker = each.picker
    if picker is None or (picker.reference.group, picker.reference.kind) != ("", "Service"):
        return
    name, port = picker.reference.name, picker.reference.port
    get = f"kubectl get services -n {each.namespace}"
    if picker.ports is None:
        yield fail(
            f"its endpoint picker's Service {name} does not exist in {each.namespace}",
            fix=get,
            subject=_make_subject(each),
        )
    elif port not in picker.ports:
        yield fail(
            f"it asks its endpoint picker on port {port}, which Service {name} does not have",
            fix=f"{get} {name} -o yaml   # and set endpointPickerRef.port.number to its gRPC port",
            evidence={"ports": list(picker.ports)},
            subject=_make_subject(each),
        )


@check("gaie.epp", title="Every inference pool has one endpoint picker that runs")
def epp(
    pools: InferencePools, routes: InferenceRoutes, workloads: Workloads, recipes: Recipes | None
) -> Iterator[Finding]:
    """The endpoint picker chooses the worker of each request. When it is down, a Gateway answers 500 or 503
    (or picks blindly, where the pool says FailOpen).

    Dynamo's keeps the state of KV caches and bookings in memory, so there must be exactly one: two see half
    of the requests each. Others may run several, with a leader or side by side. Its configuration
    is the EndpointPickerConfig that a ConfigMap brings to `--config-file`.

    Fix: kubectl logs -n NAMESPACE deployment/NAME
    """
    judged = False
    for each in _require_pools(pools, recipes):
        if each.picker is not None and each.picker.ports is not None:
            judged = True
            behind = _find_workloads(each, each.picker, workloads)
            read = (finding for config in each.picker.configs for finding in _check_config(each, config))
            yield from _downgrade_unused([*_check_running(each, each.picker, behind), *read], each, routes)
    if not judged:
        raise Skip("no endpoint picker is behind a Service that exists, which gaie.pool tells more of")


def _find_workloads(each: InferencePool, picker: EndpointPicker, workloads: Workloads) -> list[Workload]:
    """What runs the pods that the picker's Service selects. Grove's pods have no Deployment."""
    return [
        workload
        for workload in workloads
        if picker.selector
        and workload.namespace == each.namespace
        and picker.selector.items() <= workload.pod_labels.items()
    ]


def _check_running(each: InferencePool, picker: EndpointPicker, behind: list[Workload]) -> Iterator[Finding]:
    service = Subject("Service", picker.reference.name, each.namespace)
    if not picker.selector:
        yield warn(
            "it has no selector, so what answers as the endpoint picker is not known",
            fix=f"kubectl get endpointslices -n {each.namespace} "
            f"-l kubernetes.io/service-name={picker.reference.name}",
            subject=service,
        )
        return
    labels = ",".join(f"{key}={value}" for key, value in sorted(picker.selector.items()))
    look = f"kubectl get deployments,pods -n {each.namespace} -l {labels}"
    # A Deployment's numbers hold where its pods come and go; without one there are only the pods.
    count = sum(workload.desired for workload in behind) if behind else len(picker.pods)
    ready = sum(workload.ready for workload in behind) if behind else sum(p.ready for p in picker.pods)
    subject = Subject(behind[0].kind, behind[0].name, each.namespace) if len(behind) == 1 else service
    if not behind and not picker.pods:
        yield fail(
            f"nothing runs behind the endpoint picker's Service {picker.reference.name}",
            fix=look,
            evidence={"selector": picker.selector},
            subject=service,
        )
    elif not ready:
        yield fail(
            f"the endpoint picker is down: 0 of {count} pods are ready",
            fix=f"kubectl logs -n {each.namespace} -l {labels} --tail=50",
            evidence={p.name: ", ".join(p.waiting) or p.phase for p in picker.pods if not p.ready},
            subject=subject,
        )
    elif count > 1 and each.dynamo:
        yield fail(
            f"{count} endpoint pickers run, each with its own view of the KV caches; Dynamo's must be one",
            fix=f"set replicas: 1 of the graph's component of type epp; {look}",
            evidence={f"{w.kind}/{w.name}": w.desired for w in behind},
            subject=subject,
        )
    elif count > 1 and not picker.election:
        yield warn(
            f"{count} endpoint pickers run and nothing says whether they elect a leader or share their state",
            fix="set replicas to 1, or start them with --ha-enable-leader-election",
            subject=subject,
        )


def _check_config(each: InferencePool, config: PickerConfig) -> Iterator[Finding]:
    subject = Subject("ConfigMap", config.config_map, each.namespace)
    fix = f"kubectl get configmaps -n {each.namespace} {config.config_map} -o yaml"
    if config.unread:
        yield unknown(
            f"the endpoint picker's configuration: {config.unread}",
            fix=f"kubectl auth can-i get configmaps -n {each.namespace}",
            subject=subject,
        )
        return
    if config.text is None:
        yield fail(
            f"the endpoint picker starts from its key {config.key}, which does not exist",
            fix=f"kubectl get configmaps -n {each.namespace}   # {config.config_map} is to have {config.key}",
            subject=subject,
        )
        return
    import yaml  # which no start pays for that has no pool

    try:
        found = yaml.safe_load(config.text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        place = f" (line {where.line + 1})" if where is not None else ""
        yield fail(f"its key {config.key} is no YAML{place}", fix=fix, subject=subject)
        return
    for message in _find_faults(found):
        yield fail(f"its key {config.key}: {message}", fix=fix, subject=subject)
    group = str(found.get("apiVersion", "")).partition("/")[0] if isinstance(found, dict) else ""
    if group and group not in _CONFIG_GROUPS:
        yield warn(
            f"its key {config.key} is of {group}, known are {' and '.join(_CONFIG_GROUPS)}",
            fix=f"kubectl logs -n {each.namespace} deployment/NAME   # whether its endpoint picker reads it",
            subject=subject,
        )


def _find_faults(found: Any) -> Iterator[str]:
    """What keeps the endpoint picker from starting with this configuration."""
    if not isinstance(found, dict) or found.get("kind") != _CONFIG_KIND:
        yield f"it is no {_CONFIG_KIND}"
        return
    if not found.get("apiVersion"):
        yield "it has no apiVersion"
    plugins = [plugin for plugin in _to_list(found.get("plugins")) if isinstance(plugin, dict)]
    names = [plugin.get("name") or plugin.get("type") for plugin in plugins]
    if any(not plugin.get("type") for plugin in plugins):
        yield "a plugin has no type"
    for profile in _to_list(found.get("schedulingProfiles")):
        for plugin in _to_list(profile.get("plugins")) if isinstance(profile, dict) else ():
            reference = plugin.get("pluginRef") if isinstance(plugin, dict) else None
            if reference not in names:
                yield f"profile {profile.get('name')} refers to {reference}, which is none of its plugins"


def _to_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _make_subject(each: InferencePool) -> Subject:
    return Subject("InferencePool", each.name, each.namespace)
