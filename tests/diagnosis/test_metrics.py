"""What metrics of pods tell: read through the API server from a server of this machine, or of Prometheus."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from dynocheck.data.metric_rules import MetricRule, load_metric_rules, measure_page
from dynocheck.facts import MetricsPage, MetricValue
from dynocheck.serving.prometheus import parse
from tests.controlplane.api import Object
from tests.diagnosis.conftest import diagnose, list_problems
from tests.diagnosis.pages import find_own_address, serve_http
from tests.diagnosis.stage import IMAGE, POD, Stage, running
from tests.dynamo.server import Dynamo

HEALTHY = """\
vllm:num_requests_waiting{engine="0"} 0
vllm:kv_cache_usage_perc{engine="0"} 0.4
vllm:num_preemptions_total{engine="0"} 0
vllm:request_success_total{finished_reason="stop"} 500
"""


def deploy(stage: Stage, port: int, address: str = "", labels: dict[str, str] | None = None) -> None:
    container = {"name": "main", "image": IMAGE, "ports": [{"containerPort": port}]}
    status: Object = running(900, ready=True, started=True) | {"podIP": address or find_own_address()}
    stage.deploy(ready=True, spec={"containers": [container]}, status=status, labels=labels or {})


@contextmanager
def serve_pages(pages: dict[str, str]) -> Iterator[int]:
    """Serve texts by their path; give the port."""
    with serve_http(lambda target: pages.get(urlsplit(target).path)) as port:
        yield port


def find_verdict(verdicts: list[dict[str, Any]], check: str) -> dict[str, Any]:
    return next(verdict for verdict in verdicts if verdict["check"] == check)


@pytest.mark.parametrize(
    ("line", "check", "rule"),
    [
        ('vllm:num_requests_waiting{engine="0"} 12', "symptom.load", "vllm.queue"),
        ('vllm:gpu_cache_usage_perc{engine="0"} 0.99', "symptom.load", "vllm.kv-cache"),
        ("vllm_num_requests_waiting 12", "symptom.load", "vllm.queue"),
        ("sglang:num_decode_transfer_queue_reqs 40", "symptom.load", "sglang.transfer-queue"),
        ("trtllm_kv_cache_utilization 0.97", "symptom.load", "trtllm.kv-cache"),
        ("tgi_queue_size 80", "symptom.load", "tgi.queue"),
        (
            'nv_inference_request_failure{reason="BACKEND"} 9\nnv_inference_request_success 91',
            "symptom.requests",
            "triton.errors",
        ),
        ('dynamo_frontend_model_ready{model="m"} 0', "symptom.routing", "dynamo.ready"),
        (
            "dynamo_component_router_kv_hit_rate_count 400\ndynamo_component_kv_cache_events_applied 0",
            "symptom.routing",
            "dynamo.no-events",
        ),
    ],
)
def test_a_metric_beyond_its_limit_is_named(stage: Stage, line: str, check: str, rule: str) -> None:
    with serve_pages({"/metrics": f"{line}\n"}) as port:
        deploy(stage, port)
        _, verdicts = diagnose(stage)
    found = [(name, finding["evidence"]["rule"]) for name, finding in list_problems(verdicts)]
    assert found == [(check, rule)]
    assert find_verdict(verdicts, check)["findings"][0]["subject"]["name"] == POD


def test_healthy_metrics_are_no_problem_and_shown_with_what_is_healthy(stage: Stage) -> None:
    with serve_pages({"/metrics": HEALTHY}) as port:
        deploy(stage, port)
        code, verdicts = diagnose(stage)
    assert (code, list_problems(verdicts)) == (0, [])
    assert find_verdict(verdicts, "symptom.load")["judged"] == 1


def test_metrics_that_cannot_be_read_are_not_judged(stage: Stage) -> None:
    deploy(stage, 1)
    code, verdicts = diagnose(stage)
    assert (code, list_problems(verdicts)) == (0, [])
    assert find_verdict(verdicts, "symptom.load")["outcome"] == "unjudged"


def test_an_endless_page_is_cut(stage: Stage) -> None:
    with serve_pages({"/metrics": HEALTHY + "x 1\n" * (2 << 20)}) as port:
        deploy(stage, port)
        code, verdicts = diagnose(stage)
    assert (code, list_problems(verdicts)) == (0, [])


def test_a_frontend_that_lists_no_model_beside_a_ready_worker(stage: Stage) -> None:
    graph = {"nvidia.com/dynamo-graph-deployment-name": "chat"}
    with serve_pages({"/metrics": "", "/v1/models": '{"object":"list","data":[]}'}) as port:
        deploy(stage, port, labels={**graph, "nvidia.com/dynamo-component-type": "frontend"})
        stage.cluster.pod(
            "worker-0",
            stage.namespace,
            node="stage",
            labels={**graph, "nvidia.com/dynamo-component-type": "worker"},
            status=running(900, ready=True),
        )
        _, verdicts = diagnose(stage)
    assert [(c, f["subject"]["name"]) for c, f in list_problems(verdicts)] == [("symptom.routing", POD)]


def test_prometheus_tells_of_the_last_minutes(stage: Stage) -> None:
    def answer(target: str) -> str:
        (query,) = parse_qs(urlsplit(target).query)["query"]
        assert f'namespace="{stage.namespace}"' in query
        count = {"vllm:num_preemptions_total": 100, "vllm:request_success_total": 1000}
        if "offset" in query:
            count = {"vllm:num_preemptions_total": 100, "vllm:request_success_total": 500}
        series = [
            {"metric": {"__name__": name, "pod": POD}, "value": [0, str(value)]}
            for name, value in count.items()
        ]
        return json.dumps({"status": "success", "data": {"resultType": "vector", "result": series}})

    deploy(stage, 1)
    with serve_http(answer) as port:
        code, verdicts = diagnose(stage, "--prometheus", f"http://127.0.0.1:{port}")
    assert (code, list_problems(verdicts)) == (0, [])
    assert find_verdict(verdicts, "symptom.load")["judged"] == 1


def test_a_prometheus_that_does_not_answer_is_unknown(stage: Stage) -> None:
    deploy(stage, 1)
    code, verdicts = diagnose(stage, "--prometheus", "http://127.0.0.1:1")
    assert code == 3
    assert find_verdict(verdicts, "symptom.load")["outcome"] == "unknown"


def make_samples(rule: MetricRule, value: float) -> tuple[MetricValue, ...]:
    """A page on which this rule comes to this value."""
    labels = {name: values[-1] for name, values in rule.labels.items()}
    name = rule.metric[-1]
    if rule.kind == "p99":
        bounds = (("0.001", 0.0), (f"{value}", 1000.0), ("+Inf", 1000.0))
        return tuple(MetricValue(f"{name}_bucket", count, {"le": bound}) for bound, count in bounds)
    if rule.kind == "share":
        whole = [MetricValue(of, 1000.0) for of in rule.of[-1:] if of != name]
        rest = [MetricValue(name, 1000.0 * (1 - value), {"status": "success", "finished_reason": "stop"})]
        return (MetricValue(name, 1000.0 * value, labels), *(whole or rest))
    others = [MetricValue(of, 1000.0) for of in rule.of]
    return (MetricValue(name, value, labels), *others)


@pytest.mark.parametrize("rule", load_metric_rules(), ids=lambda rule: rule.id)
def test_each_rule_tells_healthy_from_unhealthy(rule: MetricRule) -> None:
    bad, good = (rule.limit * 2 or 1.0, rule.limit / 2)
    if rule.kind in ("least", "none"):
        bad, good = 0.0, 1.0
    for value, healthy in ((bad, False), (good, True)):
        page = MetricsPage(pod="w", samples=make_samples(rule, value))
        measured = {each.rule.id: each for each in measure_page(page)}
        assert measured[rule.id].is_healthy is healthy
        assert rule.source
        assert rule.fix


def test_the_page_of_a_real_frontend_is_known_and_healthy(dynamo_kv: Dynamo) -> None:
    with urllib.request.urlopen(f"{dynamo_kv.url}/metrics") as response:
        samples = parse(response.read().decode()).samples
    page = MetricsPage(pod="f", samples=tuple(MetricValue(s.name, s.value, s.labels) for s in samples))
    measured = {each.rule.id: each for each in measure_page(page)}
    assert {"dynamo.ready", "dynamo.queue"} <= measured.keys()
    assert [each.rule.id for each in measured.values() if not each.is_healthy] == []
