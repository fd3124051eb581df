"""Queries of alerts, dashboards and autoscalers: what parses, which metrics exist, and in which unit."""

import json
from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.monitoring.queries import metrics, queries
from dynocheck.core.declarations import Check
from tests.checks.judging import deploy, judge, places, read_lines, recipes, run_check
from tests.checks.manifests import config_map, dump_objects

KUBERNETES_SAYS = "kube_pod_status_ready"


def rule(expr: str, name: str = "A", **more: Any) -> dict[str, Any]:
    return write("PrometheusRule", groups=[{"name": "g", "rules": [{"alert": name, "expr": expr, **more}]}])


def write(kind: str, **spec: Any) -> dict[str, Any]:
    groups = {"HorizontalPodAutoscaler": "autoscaling/v2", "ScaledObject": "keda.sh/v1alpha1"}
    version = groups.get(kind, "monitoring.coreos.com/v1")
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "a"}, "spec": spec}


def trigger(query: str, threshold: str = "5", **more: str) -> dict[str, Any]:
    given = {"serverAddress": "http://prometheus:9090", "query": query, "threshold": threshold, **more}
    return write("ScaledObject", triggers=[{"type": "prometheus", "metadata": given}])


def hpa(name: str, value: str = "5") -> dict[str, Any]:
    target = {"type": "AverageValue", "averageValue": value}
    pods = {"metric": {"name": name}, "target": target}
    return write("HorizontalPodAutoscaler", metrics=[{"type": "Pods", "pods": pods}])


def dashboard(*queries: str) -> dict[str, Any]:
    panels = [{"targets": [{"expr": query} for query in queries]}]
    text = json.dumps({"panels": panels}, indent=1)
    return {**config_map("board"), "data": {"board.json": text}}


def server(tag: str) -> dict[str, Any]:
    """A Deployment of vLLM."""
    main = {"name": "main", "image": f"vllm/vllm-openai:{tag}", "args": ["--model", "Qwen/Qwen3-0.6B"]}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [main]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "v"}, "spec": spec}


@pytest.mark.parametrize(
    ("check", "item", "expected"),
    [
        (queries, rule("sum(rate(a[5m])) by (le)"), []),
        (queries, rule("sum(rate(a[5m])) by (le"), ["fail"]),
        (queries, rule("rate(a) > 5"), ["fail"]),
        (queries, trigger("sum(a"), ["fail"]),
        (queries, rule("new_function(a)"), ["unjudged"]),
        (queries, rule('{app="a"} |= "error"'), ["unjudged"]),
        (queries, rule("a > ${LIMIT}"), ["unjudged"]),
        (queries, rule("(" * 9_000 + "a" + ")" * 9_000), ["unjudged"]),
        (queries, dashboard("sum(a"), ["skip"]),
        (metrics, rule("vllm:num_requests_waiting > 5"), []),
        (metrics, rule("vllm_num_requests_waiting > 5"), ["warn"]),
        (metrics, rule(f"{KUBERNETES_SAYS} == 0"), []),
        (metrics, rule("rate(vllm:generation_tokens_total[5m]) < 5"), []),
        (metrics, rule("vllm:e2e_request_latency_seconds > 5"), ["warn"]),
        (metrics, rule("sum(rate(vllm:e2e_request_latency_seconds_bucket[5m])) by (le)"), []),
        (metrics, rule("sglang:num_queue_reqs > 5"), []),
        (metrics, rule("vllm:current_qps > 5"), ["unjudged"]),
        (metrics, rule("histogram_quantile(0.95, sum by (le) (rate(a_bucket[5m]))) > 2"), []),
        (metrics, rule("histogram_quantile(0.95, rate(a_bucket[5m])) > 2"), []),
        (metrics, rule("histogram_quantile(0.95, sum by (pod) (rate(native[5m]))) > 2"), []),
        (metrics, rule("histogram_quantile(0.95, sum without (pod) (rate(a_bucket[5m]))) > 2"), []),
        (metrics, rule("histogram_quantile(0.95, sum(rate(a_bucket[5m]))) > 2"), ["warn"]),
        (metrics, rule("histogram_quantile(0.95, sum by (pod) (rate(a_bucket[5m]))) > 2"), ["warn"]),
        (metrics, rule("histogram_quantile(95, sum by (le) (rate(a_bucket[5m]))) > 2"), ["warn"]),
        (metrics, rule("histogram_quantile(0.9, sum by (le) (rate(a_seconds_bucket[5m]))) > 2000"), ["warn"]),
        (metrics, rule("histogram_quantile(0.9, rate(jobs_queue_wait_seconds_bucket[5m])) > 2000"), []),
        (
            metrics,
            rule("histogram_quantile(0.9, rate(vllm:request_queue_time_seconds_bucket[5m])) > 2000"),
            ["warn"],
        ),
        (metrics, rule("DCGM_FI_DEV_FB_USED > 0.95"), ["warn"]),
        (metrics, rule("DCGM_FI_DEV_FB_USED > 70000"), []),
        (metrics, rule("DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE) > 0.95"), []),
        (metrics, rule("tgi_queue_size > 5"), []),
        (metrics, rule("tgi_queue_length > 5"), ["warn"]),
        (metrics, rule("dynamo_frontend_queued_requests > 5"), []),
        (metrics, rule("DCGM_FI_DEV_GPU_UTIL > 95"), []),
        (metrics, rule("DCGM_FI_DEV_GPU_UTILS > 95"), ["warn"]),
        (metrics, rule("trtllm_queue > 5"), ["unjudged"]),
        (metrics, rule('{__name__="vllm_num_requests_waiting"} > 5'), ["warn"]),
        (metrics, hpa("vllm:num_requests_waiting"), []),
        (metrics, hpa("vllm_num_requests_waiting"), ["warn"]),
        (metrics, hpa("prometheus.googleapis.com|vllm:num_requests_waiting|gauge"), []),
        (metrics, hpa("http_requests"), []),
        (
            metrics,
            dashboard("sum(vllm_num_requests_running[$interval])", "avg(vllm_num_requests_waiting)"),
            ["warn"],
        ),
        (metrics, dashboard("rate(vllm:prompt_tokens_total[$__rate_interval])"), []),
        # Thresholds
        (metrics, rule("vllm:kv_cache_usage_perc > 95"), ["warn"]),
        (metrics, rule("avg(vllm:kv_cache_usage_perc) by (pod) > 0.95"), []),
        (metrics, rule("max_over_time(vllm:kv_cache_usage_perc[5m]) >= 90"), ["warn"]),
        (metrics, rule("vllm:kv_cache_usage_perc * 100 > 95"), []),
        (metrics, rule("sum(vllm:kv_cache_usage_perc) > 3"), []),
        (metrics, rule("DCGM_FI_DEV_GPU_UTIL > 0.9"), ["warn"]),
        (metrics, rule("DCGM_FI_DEV_GPU_UTIL < 1"), []),
        (metrics, rule("DCGM_FI_PROF_SM_ACTIVE > 80"), ["warn"]),
        (metrics, trigger("avg(vllm:kv_cache_usage_perc)", "80"), ["warn"]),
        (metrics, trigger("avg(vllm:kv_cache_usage_perc)", "0.8"), []),
        (metrics, hpa("vllm:kv_cache_usage_perc", "80"), ["warn"]),
        (metrics, hpa("vllm:kv_cache_usage_perc", "800m"), []),
        # What is no memory
        (metrics, rule("DCGM_FI_DEV_MEM_COPY_UTIL > 90", "GPUMemoryFull"), ["warn"]),
        (metrics, rule("DCGM_FI_DEV_MEM_COPY_UTIL > 90", "MemoryBandwidthHigh"), []),
        (metrics, trigger("avg(DCGM_FI_DEV_MEM_COPY_UTIL)", "85", metricName="gpu_memory"), ["warn"]),
    ],
)
def test_one_query(tmp_path: Path, check: Check, item: dict[str, Any], expected: list[str]) -> None:
    assert judge(check, deploy(tmp_path, item)) == expected


def test_what_the_recipe_records_or_adapts_is_there(tmp_path: Path) -> None:
    recorded = rule("vllm_waiting > 5")
    recorded["spec"]["groups"][0]["rules"].append(
        {"record": "vllm_waiting", "expr": "vllm:num_requests_waiting"}
    )
    adapter = config_map("adapter", config='rules:\n- name: {as: "vllm_num_requests_waiting"}\n')
    assert judge(metrics, deploy(tmp_path, recorded, hpa("vllm_num_requests_waiting"), adapter)) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ('{matches: "^vllm:(.*)$", as: "vllm_${1}"}', []),
        ('{matches: "^vllm:(.*)$", as: "vllm_$1"}', []),
        ('{matches: "^vllm:(.*)$", as: "llm_$1"}', ["warn"]),
        ('{matches: "^(.*)$"}', []),
    ],
)
def test_a_name_that_an_adapter_makes_of_a_series(tmp_path: Path, name: str, expected: list[str]) -> None:
    rules = f"rules:\n- seriesQuery: 'vllm:num_requests_waiting'\n  name: {name}\n  metricsQuery: 'sum(x)'\n"
    adapter = config_map("adapter", config=rules)
    assert judge(metrics, deploy(tmp_path, hpa("vllm_num_requests_waiting"), adapter)) == expected


@pytest.mark.parametrize(
    ("tag", "metric", "expected"),
    [
        ("v0.8.5", "vllm:gpu_cache_usage_perc", []),
        ("v0.15.0", "vllm:gpu_cache_usage_perc", ["warn"]),
        ("v0.8.5", "vllm:kv_cache_usage_perc", ["warn"]),
        ("v0.15.0", "vllm:kv_cache_usage_perc", []),
        ("latest", "vllm:gpu_cache_usage_perc", []),
    ],
)
def test_the_deployed_release_counts(tmp_path: Path, tag: str, metric: str, expected: list[str]) -> None:
    assert judge(metrics, deploy(tmp_path, server(tag), rule(f"{metric} > 0.9"))) == expected


def test_a_name_is_told_once_at_its_place_with_the_name_that_is_meant(tmp_path: Path) -> None:
    board = dashboard(
        "vllm_num_requests_running", "sum(vllm_num_requests_running)", "vllm:num_requests_waiting"
    )
    (finding,) = run_check(metrics, deploy(tmp_path, board))
    assert (finding.fix or "").endswith("with vllm:num_requests_running")
    assert len(finding.evidence["lines"]) == 2
    assert read_lines(metrics, deploy(tmp_path, board)) == ['"expr": "vllm_num_requests_running"']


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("vllm_.*", ["warn"]), ("vllm:.*", []), ("vllm[_:].*", []), ("(go|python)_.*", [])],
)
def test_a_monitor_keeps_something(tmp_path: Path, pattern: str, expected: list[str]) -> None:
    kept = [{"action": "keep", "sourceLabels": ["__name__"], "regex": pattern}]
    monitor = write("PodMonitor", podMetricsEndpoints=[{"port": "http", "metricRelabelings": kept}])
    assert judge(metrics, deploy(tmp_path, monitor)) == expected


def test_a_recipe_without_queries(tmp_path: Path) -> None:
    facts = deploy(tmp_path, server("v0.15.0"))
    assert places(queries, facts) == places(metrics, facts) == [("skip", "")]


def pod_monitor(port: str = "http", **labels: str) -> dict[str, Any]:
    selector = {"matchLabels": labels or {"a": "b"}}
    return write("PodMonitor", selector=selector, podMetricsEndpoints=[{"port": port}])


def service_monitor(port: str = "http", **labels: str) -> dict[str, Any]:
    return write("ServiceMonitor", selector={"matchLabels": labels or {"a": "b"}}, endpoints=[{"port": port}])


def with_port(name: str) -> dict[str, Any]:
    made = server("v0.20.0")
    made["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"name": name, "containerPort": 8000}]
    return made


SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "v", "labels": {"a": "b"}},
    "spec": {"selector": {"a": "b"}, "ports": [{"name": "http", "port": 80}]},
}


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([pod_monitor(), with_port("http")], []),
        ([pod_monitor("metrics"), with_port("http")], ["warn"]),
        ([pod_monitor(app="other"), with_port("http")], ["warn"]),
        ([pod_monitor(app="other")], []),
        ([service_monitor(), SERVICE, with_port("http")], []),
        ([service_monitor("8000"), SERVICE, with_port("http")], ["warn"]),
        ([service_monitor(app="other"), SERVICE], ["warn"]),
        ([service_monitor(app="other"), with_port("http")], []),
    ],
)
def test_monitors_select_what_is_there(
    tmp_path: Path, objects: list[dict[str, Any]], expected: list[str]
) -> None:
    assert judge(metrics, deploy(tmp_path, *objects)) == expected


BARE = SERVICE | {"metadata": {"name": "v", "labels": {}}}  # its pods alone have the label


@pytest.mark.parametrize(
    ("service", "elsewhere", "expected"),
    [
        (SERVICE, {}, []),
        (BARE, {}, ["warn"]),
        (BARE, {"namespaceSelector": {"any": True}}, ["warn"]),
        (SERVICE, {"namespaceSelector": {"any": True}}, []),
        (
            BARE | {"spec": {"selector": {"x": "y"}}},
            {"namespaceSelector": {"any": True}},
            [],
        ),
    ],
)
def test_labels_of_pods_are_not_those_of_their_service(
    tmp_path: Path, service: dict[str, Any], elsewhere: dict[str, Any], expected: list[str]
) -> None:
    monitor = service_monitor()
    monitor["spec"] |= elsewhere
    given = recipes(tmp_path, monitor=dump_objects(monitor), service=dump_objects(service))
    assert judge(metrics, given) == expected


@pytest.mark.parametrize(
    ("name", "label", "expected"),
    [("v", "b", []), ("v", "other", ["warn"]), ("elsewhere", "other", []), ("elsewhere", "bb", ["warn"])],
)
def test_a_monitor_of_the_name_of_a_service_selects_it(
    tmp_path: Path, name: str, label: str, expected: list[str]
) -> None:
    """Also from a file of its own, and where it names the namespace of the Service."""
    service = SERVICE | {"metadata": SERVICE["metadata"] | {"namespace": "serving"}}
    monitor = service_monitor(a=label)
    monitor["metadata"] = {"name": name, "namespace": "serving"}
    monitor["spec"]["namespaceSelector"] = {"matchNames": ["serving"]}
    given = recipes(tmp_path, monitor=dump_objects(monitor), service=dump_objects(service))
    assert judge(metrics, given) == expected


@pytest.mark.parametrize(
    ("interval", "timeout", "expected"),
    [
        ("30s", "10s", []),
        ("30s", "30s", []),
        ("10s", "30s", ["fail"]),
        ("500ms", "1s", ["fail"]),
        ("1m", "30s", []),
    ],
)
def test_a_timeout_is_within_its_interval(
    tmp_path: Path, interval: str, timeout: str, expected: list[str]
) -> None:
    monitor = pod_monitor()
    monitor["spec"]["podMetricsEndpoints"][0] |= {"interval": interval, "scrapeTimeout": timeout}
    assert judge(metrics, deploy(tmp_path, monitor, with_port("http"))) == expected
