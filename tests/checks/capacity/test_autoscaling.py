"""What autoscalers scale, and whether that and their bounds can be."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.capacity.autoscaling import autoscaling
from tests.checks.judging import deploy, outcomes, read_lines, recipes
from tests.checks.manifests import dump_objects

QUERY = "sum(vllm:num_requests_waiting)"


def write(version: str, kind: str, name: str = "a", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}


def hpa(target: str = "server", *metrics: dict[str, Any], name: str = "a") -> dict[str, Any]:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    return write(
        *("autoscaling/v2", "HorizontalPodAutoscaler", name),
        scaleTargetRef=reference,
        maxReplicas=4,
        metrics=list(metrics),
    )


def resource(name: str, **target: Any) -> dict[str, Any]:
    return {"type": "Resource", "resource": {"name": name, "target": target}}


def scaled(
    target: str = "server", query: str = QUERY, more: dict[str, str] | None = None, **spec: Any
) -> Any:
    given = {"serverAddress": "http://prometheus", "threshold": "5", "query": query, **(more or {})}
    return write(
        *("keda.sh/v1alpha1", "ScaledObject"),
        **{"minReplicaCount": 1, "scaleTargetRef": {"name": target}, **spec},
        triggers=[{"type": "prometheus", "metadata": given}],
    )


def server(name: str = "server", requests: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    main = {"name": "main", "image": "i", "resources": {"requests": requests or {}}}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [main]}}
    return write(
        "apps/v1", "Deployment", name, selector={"matchLabels": {"a": "b"}}, template=template, **spec
    )


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([server(), hpa()], []),
        ([server(), hpa("servr")], ["fail"]),
        ([hpa("elsewhere")], []),
        ([server(), hpa(), scaled()], ["fail"]),
        ([server(), hpa(), hpa(name="b")], ["fail"]),
        ([server(), server("other"), hpa(), scaled("other")], []),
        ([server(replicas=2), hpa()], ["warn"]),
        ([server(replicas=2), scaled()], ["warn"]),
        ([server(replicas=2)], ["skip"]),
        ([server(), hpa("server", resource("cpu", type="Utilization", averageUtilization=60))], ["fail"]),
        (
            [
                server(requests={"cpu": "4"}),
                hpa("server", resource("cpu", type="Utilization", averageUtilization=60)),
            ],
            [],
        ),
        (
            [server(), hpa("server", resource("nvidia.com/gpu", type="AverageValue", averageValue="1"))],
            ["fail"],
        ),
        ([scaled(minReplicaCount=5, maxReplicaCount=2)], ["fail"]),
        ([scaled(minReplicaCount=120)], ["fail"]),
        ([scaled(minReplicaCount=2, maxReplicaCount=4)], []),
        ([scaled(idleReplicaCount=1)], ["fail"]),
        ([scaled(minReplicaCount=2, idleReplicaCount=0)], []),
        ([scaled(more={"metricName": "queue"})], ["warn"]),
        ([scaled(minReplicaCount=0)], ["warn"]),
        ([scaled(minReplicaCount=0, query="sum(istio_requests_total)")], []),
    ],
)
def test_autoscalers(tmp_path: Path, objects: list[dict[str, Any]], expected: list[str]) -> None:
    assert outcomes(autoscaling, deploy(tmp_path, *objects)) == expected


def test_a_trigger_without_an_address(tmp_path: Path) -> None:
    item = scaled()
    del item["spec"]["triggers"][0]["metadata"]["serverAddress"]
    assert outcomes(autoscaling, deploy(tmp_path, item)) == ["fail"]


def test_files_of_a_folder_may_be_alternatives(tmp_path: Path) -> None:
    facts = recipes(
        tmp_path, server=dump_objects(server()), hpa=dump_objects(hpa()), keda=dump_objects(scaled())
    )
    assert outcomes(autoscaling, facts) == ["warn"]


def test_the_second_autoscaler_is_told_at_what_it_scales(tmp_path: Path) -> None:
    assert read_lines(autoscaling, deploy(tmp_path, server(), hpa(), scaled())) == ["name: server"]


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        ("5", []),
        ("0.9", []),
        ("$LIMIT", []),
        ("__LIMIT__", []),
        ("five", ["fail"]),
        ("90%", ["fail"]),
        (5, ["fail"]),
        (True, ["fail"]),
    ],
)
def test_the_metadata_of_a_trigger_is_text(tmp_path: Path, threshold: Any, expected: list[str]) -> None:
    item = scaled()
    item["spec"]["triggers"][0]["metadata"]["threshold"] = threshold
    assert outcomes(autoscaling, deploy(tmp_path, item)) == expected


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        ("server", "server", []),
        ("server", "servers", ["warn"]),
        ("server", "elsewhere", ["warn"]),  # it has the name of the Deployment beside it
        ("a", "srever", ["warn"]),
        ("a", "elsewhere", []),
    ],
)
def test_an_autoscaler_in_a_file_of_its_own(
    tmp_path: Path, name: str, target: str, expected: list[str]
) -> None:
    item = scaled(target)
    item["metadata"] = {"name": name}
    given = recipes(tmp_path, scaler=dump_objects(item), server=dump_objects(server()))
    assert outcomes(autoscaling, given) == expected


def test_an_autoscaler_of_no_replicas(tmp_path: Path) -> None:
    assert outcomes(autoscaling, deploy(tmp_path, scaled(minReplicaCount=0, maxReplicaCount=0)))[:1] == [
        "fail"
    ]
