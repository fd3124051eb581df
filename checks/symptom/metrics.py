"""What pods that serve say of their load, of requests that fail, and of the router."""

from collections import defaultdict
from collections.abc import Iterator

from dynocheck import Finding, Result, Row, Skip, check, fail, judged, table, unjudged, warn
from dynocheck.checks.symptom._chain import describe_pod, format_age, make_subject, measure_age_s
from dynocheck.core.outcomes import Unjudged
from dynocheck.data.metric_rules import Measurement, Topic, measure_page
from dynocheck.facts import DeployedPod, MetricsPage, NamespaceState, ObjectKey, ServingMetrics

_SETTLED_S = 60.0  # a worker that has just become ready may not be listed yet
_WORKERS = ("worker", "decode")


@check("symptom.load", title="Servers keep up with their load")
def load(state: NamespaceState, metrics: ServingMetrics) -> Iterator[Result]:
    """A queue, a full KV cache or preemptions say that a server has more to do than it can.

    Without --prometheus, counters and latencies are those since the server started.

    Fix: kubectl scale deployment NAME --replicas 2   # or less memory for each request
    """
    return _judge(state, metrics, "load")


@check("symptom.requests", title="Requests succeed")
def requests(state: NamespaceState, metrics: ServingMetrics) -> Iterator[Result]:
    """A deployment that is ready may fail requests all the same: servers count them.

    Fix: kubectl logs POD
    """
    return _judge(state, metrics, "requests")


@check("symptom.gpu", title="No GPU reports an error to DCGM")
def gpu(state: NamespaceState, metrics: ServingMetrics) -> Iterator[Result]:
    """DCGM's exporter knows the GPUs of the pods; its metrics are read by --prometheus.

    Fix: kubectl describe node NAME
    """
    return _judge(state, metrics, "gpu")


@check("symptom.routing", title="Frontends list the model and route by the KV cache")
def routing(state: NamespaceState, metrics: ServingMetrics) -> Iterator[Result]:
    """A frontend may run without having found its workers, or choose among them without their KV events.

    Fix: kubectl logs FRONTEND   # what it says of discovery
    """
    for page in metrics:
        if page.models == () and (worker := _find_settled_worker(state, page)):
            yield fail(
                f"frontend {page.pod} lists no model, while worker {worker.name} is ready",
                fix=f"kubectl logs {page.pod} -n {state.namespace}   # what it says of discovery; compare "
                "DYN_NAMESPACE and DYN_DISCOVERY_BACKEND of both",
                subject=make_subject(state, ObjectKey("Pod", page.pod)),
            )
    yield from _judge(state, metrics, "routing")


@table(
    "symptom.metrics",
    title="Metrics of the pods",
    note="value: the highest now, or a share or quantile since the server started (with --prometheus: in the "
    "last 5 minutes)",
)
def metrics_table(metrics: ServingMetrics) -> Iterator[Row]:
    """What was measured, and which values are healthy."""
    for page in metrics:
        for measured in measure_page(page):
            rule = measured.rule
            yield {
                "pod": page.pod,
                "metric": rule.metric[0],
                "kind": rule.kind,
                "value": rule.format(measured.value),
                "healthy": measured.healthy_range,
            }


def _judge(state: NamespaceState, metrics: ServingMetrics, topic: Topic) -> Iterator[Result]:
    """The findings of a topic, and which pods could not be judged.

    :raises Skip: no pod has a metric of this topic, and none was kept back.
    """
    pods = {pod.name: pod for pod in state.pods}
    pages = [(page, [m for m in measure_page(page) if m.rule.topic == topic]) for page in metrics]
    unread = [*_list_unread(state, metrics)] if topic == "load" else []
    counted = sum(bool(measured) for _, measured in pages)
    if not counted and not unread:
        raise Skip("no metric of it was found")
    yield judged(counted, "pods")
    yield from unread
    for page, measured in pages:
        for each in measured:
            if not each.is_healthy and page.pod in pods:
                yield _make_finding(state, pods[page.pod], page, each)


def _make_finding(
    state: NamespaceState, pod: DeployedPod, page: MetricsPage, measured: Measurement
) -> Finding:
    rule, value = measured
    shown = rule.format(value)
    judge = fail if rule.id in ("dynamo.ready", "dcgm.row-remap") else warn
    since = "" if rule.kind in ("gauge", "least") else " since it started"
    if page.earlier is not None and since:
        since = f" in {format_age(page.window_s)}"
    return judge(
        f"pod {pod.name}: {rule.means.format(value=f'{value:g}')}: {rule.metric[0]} is {shown}{since}, "
        f"healthy is {measured.healthy_range}",
        fix=rule.fix.replace("POD", f"{pod.name} -n {state.namespace}"),
        subject=make_subject(state, pod.key),
        evidence=describe_pod(pod)
        | {"rule": rule.id, "value": shown, "healthy": measured.healthy_range, "source": rule.source},
    )


def _list_unread(state: NamespaceState, metrics: ServingMetrics) -> Iterator[Unjudged]:
    """The pods whose metrics are not known, by the reason."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for page in metrics:
        if page.problem:
            reasons[page.problem.replace(page.pod, "POD")].append(page.pod)
    for reason, pods in reasons.items():
        others = f" and {len(pods) - 1} more" if len(pods) > 1 else ""
        yield unjudged(
            f"load of pod {pods[0]}{others}",
            why=f"its metrics cannot be read: {reason}",
            needs="get on pods/proxy, and a way from the API server to the pods; or --prometheus URL",
        )
    if metrics.left:
        yield unjudged(
            f"load of {metrics.left} more pods", why="only some are asked", needs="--prometheus URL"
        )


def _find_settled_worker(state: NamespaceState, page: MetricsPage) -> DeployedPod | None:
    """A worker of the frontend's graph that is ready, and was started a while ago."""
    frontend = next((pod for pod in state.pods if pod.name == page.pod), None)
    graphs = {owner for owner in frontend.owners if owner.kind == "DynamoGraphDeployment"} if frontend else ()
    for pod in state.pods:
        since = min((c.running_since for c in pod.containers if c.running_since), default="")
        if (
            pod.component in _WORKERS
            and pod.is_ready
            and graphs
            and not {*pod.owners}.isdisjoint(graphs)
            and (measure_age_s(state, since) or 0) > _SETTLED_S
        ):
            return pod
    return None
