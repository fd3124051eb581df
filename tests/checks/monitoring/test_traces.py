"""Where engines send their traces: a collector in the pod, the recipe, the cluster, or nowhere."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.monitoring.traces import traces
from dynocheck.facts import Namespace, ServiceEndpoints
from tests.checks.engine.test_lora import server
from tests.checks.judging import deploy, judge

PROTOCOL = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"


def collector(port: int = 4317, **metadata: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "otel", **metadata},
        "spec": {"selector": {"app": "otel"}, "ports": [{"port": port}]},
    }


def sending(to: str, **env: str) -> dict[str, Any]:
    return server(f"--otlp-traces-endpoint={to}", env=env)


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([server()], ["skip"]),
        ([sending("http://otel:4317"), collector()], []),
        ([sending("otel:4317"), collector()], []),
        ([sending("http://otel:4317"), collector(4319)], ["warn"]),
        ([sending("http://otel.monitoring:4317"), collector(namespace="monitoring")], []),
        ([sending("http://otel.monitoring.svc.cluster.local:4317")], ["unjudged"]),
        ([sending("http://otel:4317")], ["unjudged"]),
        ([sending("https://api.vendor.example:4317")], []),
        ([sending("$(HOST_IP):4317")], ["skip"]),
        ([sending("localhost:4317")], ["warn"]),
        ([sending("http://otel:4318"), collector(4318)], ["warn"]),
        ([sending("http://otel:4318/v1/traces", **{PROTOCOL: "http/protobuf"}), collector(4318)], []),
        ([sending("http://otel:4318", **{PROTOCOL: "http/protobuf"}), collector(4318)], ["warn"]),
        ([sending("http://otel:4317", **{PROTOCOL: "http/json"}), collector()], ["fail"]),
        ([server(env={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel:4319"}), collector()], ["warn"]),
    ],
)
def test_endpoints(tmp_path: Path, objects: list[dict[str, Any]], expected: list[str]) -> None:
    assert judge(traces, deploy(tmp_path, *objects)) == expected


def test_a_short_name_of_another_namespace(tmp_path: Path) -> None:
    engine = sending("http://otel:4317")
    engine["metadata"]["namespace"] = "ml"
    assert judge(traces, deploy(tmp_path, engine, collector(namespace="monitoring"))) == ["warn"]


def test_a_collector_beside_the_engine(tmp_path: Path) -> None:
    engine = sending("localhost:4317")
    engine["spec"]["template"]["spec"]["containers"].append({"name": "otel", "image": "otel:1"})
    assert judge(traces, deploy(tmp_path, engine)) == []


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        (ServiceEndpoints({"here/otel": 1}), []),
        (ServiceEndpoints({"here/otel": 0}), ["warn"]),
        (ServiceEndpoints({"elsewhere/otel": 1}), ["warn"]),
        (ServiceEndpoints(external=("here/otel",)), []),
    ],
)
def test_services_of_the_cluster(tmp_path: Path, services: ServiceEndpoints, expected: list[str]) -> None:
    recipes = deploy(tmp_path, sending("http://otel:4317"))
    assert judge(traces, recipes, services, Namespace("here")) == expected
