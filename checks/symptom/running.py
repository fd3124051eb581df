"""Containers that end, and containers that run and are not ready."""

from collections.abc import Iterator
from typing import Any

from dynocheck import Finding, Result, Skip, check, fail, unjudged, warn
from dynocheck.checks.symptom._chain import (
    describe_pod,
    format_age,
    has_startup_time,
    is_gang_mate,
    is_leader_of,
    is_node_of,
    is_past_run,
    make_subject,
    measure_age_s,
    shorten,
)
from dynocheck.checks.symptom.scheduling import unscheduled
from dynocheck.checks.symptom.start import image, start
from dynocheck.core.explanations import same_place
from dynocheck.data.cluster_messages import explain_message
from dynocheck.data.log_rules import LogMatch, find_cause, find_hints, find_last_words, match_line
from dynocheck.facts import (
    ContainerLog,
    ContainerLogs,
    ContainerState,
    DeployedPod,
    NamespaceState,
    OperatorState,
    Termination,
)

_GRAPHS = ("DynamoGraphDeployment", "DynamoGraphDeploymentRequest", "DynamoModel")
_RECENT_S = 3600.0
_BACK_OFF = "CrashLoopBackOff"
_KILLED, _SEGMENT_FAULT, _TERMINATED = 137, 139, 143
_ILLEGAL_INSTRUCTION, _ABORTED, _BUS_ERROR = 132, 134, 135
_LOG_LINES = 5
_READ, _UNREAD = "log read of", "log not read of"  # with the owner: of replicas that fail alike some are read
_PATIENCE_S = 60.0
_MEANINGS = {
    0: "it ended without an error, and is to run on",
    _KILLED: "it was killed",
    _SEGMENT_FAULT: "segmentation fault",
    _TERMINATED: "it was told to end",
    _ILLEGAL_INSTRUCTION: "the processor does not know an instruction of the program",
    _ABORTED: "it aborted",
    _BUS_ERROR: "bus error",
    126: "the program cannot be run",
    127: "the program is not in the image",
    128: "the container could not be started",
}


def _is_read_sibling(cause: Finding, effect: Finding) -> bool:
    """The cause is of a pod of the same workload whose log was read, which that of the effect was not."""
    return effect.evidence.get(_UNREAD) is not None and effect.evidence[_UNREAD] == cause.evidence.get(_READ)


@check(
    "symptom.crash",
    title="No container crashes",
    explained_by={
        "symptom.node": is_node_of,
        "symptom.unscheduled": is_leader_of,
        "symptom.image": is_leader_of,
        "symptom.start": is_leader_of,
        "symptom.crash": lambda cause, effect: _is_read_sibling(cause, effect) or is_leader_of(cause, effect),
    },
)
def crash(state: NamespaceState, logs: ContainerLogs) -> Iterator[Finding]:
    """A container that ends is started again, each time after a longer wait; its log says why it ended.

    Fix: kubectl logs POD --previous
    """
    for pod in state.pods:
        for container in pod.containers:
            end = _get_end(state, pod, container)
            if end is not None and not pod.terminating and not _has_succeeded(state, pod):
                yield _judge_end(state, logs, pod, container, end)


def _has_succeeded(state: NamespaceState, pod: DeployedPod) -> bool:
    """Whether the Job of the pod has reached its end by other pods, or a later run of its CronJob has."""
    jobs = [each for each in state.list_objects("Job") if each.key in pod.owners]
    complete = any(c.type == "Complete" and c.status == "True" for job in jobs for c in job.conditions)
    return complete or any(is_past_run(state, job) for job in jobs)


def _is_tried_again(state: NamespaceState, pod: DeployedPod) -> bool:
    """Whether the pod is of a Job that has not failed, and so starts others."""
    jobs = [each for each in state.list_objects("Job") if each.key in pod.owners]
    return any(not any(c.type == "Failed" and c.status == "True" for c in job.conditions) for job in jobs)


def _get_end(state: NamespaceState, pod: DeployedPod, container: ContainerState) -> Termination | None:
    """How it ended, if that is a problem: it does not run now, or it ended a short time ago."""
    for end in (container.ended, container.previous):
        waits = (
            container.waiting == _BACK_OFF
            if end is container.previous
            else _is_backed_off(state, pod, container)
        )
        again = end is not None and waits
        if end is None or not (end.is_failure or again):
            continue
        if end is container.ended and (container.restarts == 0 and pod.phase == "Failed" and pod.reason):
            return None  # evicted: symptom.ended
        age = measure_age_s(state, end.finished)
        if end is container.ended or not container.ready or age is None or age < _RECENT_S:
            return end
    return None


def _is_backed_off(state: NamespaceState, pod: DeployedPod, container: ContainerState) -> bool:
    """Whether the kubelet has begun to start it again ever later, since it has ended more than once."""
    told = state.list_events(pod.key, "BackOff") if container.restarts and not pod.has_ended else []
    return any(f"restarting failed container {container.name} " in event.message for event in told)


def _judge_end(
    state: NamespaceState, logs: ContainerLogs, pod: DeployedPod, container: ContainerState, end: Termination
) -> Finding:
    log = logs.find(pod.name, container.name, previous=end is not container.ended)
    cause, fix, evidence = _explain_end(state, pod, container, end, log)
    again = f", {container.restarts} restarts" if container.restarts > 1 else ""
    ready = container.ready or (pod.phase == "Running" and pod.is_ready)
    judge = warn if ready or (pod.phase == "Failed" and _is_tried_again(state, pod)) else fail
    crashes = "crashed" if ready else "crashes"
    return judge(
        f"container {container.name} {crashes} (exit code {end.exit_code}{again}): {cause}",
        fix=fix,
        subject=make_subject(state, pod.key),
        evidence=describe_pod(pod)
        | {"exit_code": end.exit_code, "restarts": container.restarts, **evidence}
        | ({_READ if log is not None else _UNREAD: str(pod.owners[0])} if pod.owners else {}),
    )


def _explain_end(
    state: NamespaceState,
    pod: DeployedPod,
    container: ContainerState,
    end: Termination,
    log: ContainerLog | None,
) -> tuple[str, str, dict[str, Any]]:
    """Why it ended, what to do, and the evidence."""
    previous = " --previous" if end is not container.ended else ""
    look = f"kubectl logs {pod.name} -c {container.name}{previous} -n {state.namespace}"
    if end.reason == "OOMKilled":
        limit = f" of {container.memory_limit}" if container.memory_limit else ""
        fix = f"raise resources.limits.memory of {container.name}"
        return f"it used more memory than its limit{limit}", fix, {"reason": end.reason}
    match = find_cause(log.lines) if log else None
    if match is not None and match.rule.level != "secondary":
        return _describe_match(match), match.rule.fix, {"rule": match.rule.id, "source": match.rule.source}
    if killed := _find_kill(state, pod, container, end):
        return killed, _choose_probe_fix(pod, container, state.namespace), {}
    lines = log.lines if log else ()
    last_words = find_last_words(lines, ended=True)
    if match is not None and last_words == lines[-1].strip():  # no exception says more
        return _describe_match(match), match.rule.fix, {"source": match.rule.source}
    if end.reason == "StartError" or (end.message and not lines):
        told = explain_message("start", end.message, namespace=state.namespace, pod=pod.name)
        return told.means or shorten(end.message), told.fix or look, {"message": shorten(end.message)}
    words = shorten(last_words)
    if log is None:
        words = "its log was not read"
    elif log.problem:
        words = f"its log cannot be read: {shorten(log.problem)}"
    said = ": ".join(filter(None, [_MEANINGS.get(end.exit_code, ""), words]))
    evidence = {"log": [shorten(line) for line in lines[-_LOG_LINES:]]} if lines else {}
    return said or "its log is empty", look, evidence


def _find_kill(state: NamespaceState, pod: DeployedPod, container: ContainerState, end: Termination) -> str:
    """How a probe ended it; empty if none did. The kubelet sends TERM, and KILL after the grace period; what
    code a program ends with then is its own affair.
    """
    signalled = end.exit_code in (_KILLED, _TERMINATED, 0)
    events = state.list_events(pod.key, "Killing", "Unhealthy")
    for name in ("liveness", "startup"):
        kills = [e for e in events if container.name in e.message and f"failed {name} probe" in e.message]
        misses = [e for e in events if e.message.lower().startswith(f"{name} probe failed")]
        if kills or (signalled and misses and name in container.probes):
            detail = f": {shorten(misses[0].message)}" if misses else ""
            return f"its {name} probe failed, and the kubelet ended it{detail}"
    return ""


def _choose_probe_fix(pod: DeployedPod, container: ContainerState, namespace: str) -> str:
    if container.startup_s is None:
        return f"add a startupProbe to {container.name} that gives it the time to load its model"
    return (
        f"raise startupProbe.failureThreshold of {container.name}: it has {format_age(container.startup_s)}"
    )


@check(
    "symptom.not-ready",
    title="Every container that runs is ready",
    explained_by={
        "symptom.node": is_node_of,
        "symptom.unscheduled": is_gang_mate,
        "symptom.image": is_gang_mate,
        "symptom.crash": lambda cause, effect: same_place(cause, effect) or is_gang_mate(cause, effect),
        "symptom.start": lambda cause, effect: same_place(cause, effect) or is_gang_mate(cause, effect),
    },
)
def not_ready(state: NamespaceState, logs: ContainerLogs) -> Iterator[Finding]:
    """Only pods that are ready get requests.

    Fix: kubectl describe pod NAME   # the message of Unhealthy
    """
    for pod in state.pods:
        if pod.has_ended or pod.terminating:
            continue
        for container in pod.containers:
            age = measure_age_s(state, container.running_since)
            if age is not None and not container.ready and not container.init:
                yield from _judge_running(state, logs, pod, container, age)


def _judge_running(
    state: NamespaceState, logs: ContainerLogs, pod: DeployedPod, container: ContainerState, age: float
) -> Iterator[Finding]:
    subject = make_subject(state, pod.key)
    log = logs.find(pod.name, container.name, previous=False)
    misses = [e for e in state.list_events(pod.key, "Unhealthy") if "probe" in e.message]
    evidence = describe_pod(pod) | ({"probe": shorten(misses[0].message)} if misses else {})
    match = find_cause(log.lines) if log else None
    stuck = age > _PATIENCE_S and log is not None and _is_last(match, log)
    if match is not None and match.rule.level == "cause" and (stuck or not match.is_survived):
        yield fail(
            f"container {container.name} runs and is not ready: {_describe_match(match)}",
            fix=match.rule.fix,
            subject=subject,
            evidence=evidence | {"rule": match.rule.id, "source": match.rule.source},
        )
        return
    look = f"kubectl logs {pod.name} -c {container.name} -n {state.namespace}"
    words = _describe_log(log)
    if container.startup_s is not None and has_startup_time(state, container):
        yield warn(
            f"container {container.name} is starting for {format_age(age)}; its startup probe gives it "
            f"{format_age(container.startup_s)}{words}",
            fix=f"kubectl logs -f {pod.name} -c {container.name} -n {state.namespace}",
            subject=subject,
            evidence=evidence,
        )
        return
    judge = fail if age > _PATIENCE_S else warn
    missed = f": {shorten(misses[0].message)}" if misses else ""
    wrong = _find_wrong_port(container, misses[0].message) if misses else ""
    yield judge(
        f"container {container.name} runs for {format_age(age)} and is not ready{wrong}{missed}{words}",
        fix=f"correct the port of the probe, or the port on which {container.name} listens"
        if wrong
        else look,
        subject=subject,
        evidence=evidence,
    )


def _is_last(match: LogMatch | None, log: ContainerLog) -> bool:
    """Whether a log ends with the same trouble: the program tries again and again."""
    last = match_line(log.lines[-1]) if log.lines else None
    return match is not None and last is not None and last.rule is match.rule


def _find_wrong_port(container: ContainerState, message: str) -> str:
    """Which port a probe asks in vain while the container declares others; empty if it does not."""
    name = message.partition(" ")[0].lower()
    port = container.probe_ports.get(name, "")
    declared = {str(each.number) for each in container.ports} | {each.name for each in container.ports}
    if not port or not container.ports or port in declared or "connection refused" not in message:
        return ""
    numbers = ", ".join(str(each.number) for each in container.ports)
    return f": its {name} probe asks port {port}, and the container declares {numbers}"


def _describe_match(match: LogMatch) -> str:
    """What a line means, and the line."""
    return f"{match.rule.means}: {shorten(match.line)}"


def _describe_log(log: ContainerLog | None) -> str:
    if log is None or not (log.lines or log.problem):
        return ""
    if log.problem:
        return f"; its log cannot be read: {shorten(log.problem)}"
    return f"; its log ends: {shorten(find_last_words(log.lines))}"


@check("symptom.operator", title="The operator of Dynamo runs")
def operator(state: NamespaceState, operators: OperatorState | None) -> Iterator[Result]:
    """Without its operator a graph stays as it is: changes are not seen, and its status is outdated.

    Fix: kubectl get pods -A -l app.kubernetes.io/name=dynamo-operator
    """
    if not any(state.list_objects(*_GRAPHS)):
        raise Skip("no graph of Dynamo here")
    if operators is None or operators.problem:
        why = f"cannot be read: {operators.problem}" if operators else "were not read"
        yield unjudged("the operator", why=f"its pods {why}", needs="dynocheck rbac --diagnose")
        return
    logs = ContainerLogs(operators.logs)
    for place in operators.namespaces:
        found = [result for judge in (unscheduled, image) for result in judge(place) or ()]
        found += [result for judge in (start, crash) for result in judge(place, logs) or ()]
        yield from found or not_ready(place, logs) or ()


@check(
    "symptom.log", title="No log tells of a degraded deployment", explained_by={"symptom.crash": same_place}
)
def log(state: NamespaceState, logs: ContainerLogs) -> Iterator[Finding]:
    """Some lines tell of trouble that an engine survives: slow transfers, a router without effect.

    Only the logs of containers that crash or are not ready are read.

    Fix: kubectl logs POD
    """
    pods = {pod.name: pod for pod in state.pods}
    for each in logs:
        for match in find_hints(each.lines):
            pod = pods[each.pod]
            yield warn(
                f"{each.container} is degraded: {_describe_match(match)}",
                fix=match.rule.fix,
                subject=make_subject(state, pod.key),
                evidence=describe_pod(pod) | {"rule": match.rule.id, "source": match.rule.source},
            )
