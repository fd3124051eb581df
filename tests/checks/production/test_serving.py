"""What production needs: a server that has it gets no word, and one that lacks it one for each kind."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.production.serving import (
    access,
    backups,
    isolation,
    probes,
    replicas,
    shutdown,
    signals,
)
from dynocheck.core.declarations import Check
from tests.checks.judging import deploy, outcomes, run_check
from tests.checks.manifests import engine, graph
from tests.command import run_inside

LABELS = {"app": "server"}
SPREAD = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}
GUARDED: dict[str, Any] = {
    "terminationGracePeriodSeconds": 300,
    "nodeSelector": {"pool": "gpu"},
    "topologySpreadConstraints": [{**SPREAD, "labelSelector": {"matchLabels": LABELS}}],
}
HEALTH = {"httpGet": {"path": "/health", "port": 8000}}
CAREFUL: dict[str, Any] = {
    **dict.fromkeys(("livenessProbe", "readinessProbe", "startupProbe"), HEALTH),
    "env": [{"name": "VLLM_API_KEY", "valueFrom": {"secretKeyRef": {"name": "key", "key": "key"}}}],
    "lifecycle": {"preStop": {"sleep": {"seconds": 10}}},
    "resources": {"requests": {"memory": "64Gi"}, "limits": {"nvidia.com/gpu": "1"}},
}


def write(version: str, kind: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "server"}, "spec": spec}


def server(pod: dict[str, Any], main: dict[str, Any], count: int = 2) -> dict[str, Any]:
    """A Deployment of vLLM."""
    image = {"name": "main", "image": "vllm/vllm-openai:v0.15.0", "args": ["--model", "Qwen/Qwen3-0.6B"]}
    resources = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
    spec = {**pod, "containers": [{**image, **resources, **main}]}
    template = {"metadata": {"labels": LABELS}, "spec": spec}
    return write("apps/v1", "Deployment", replicas=count, selector={"matchLabels": LABELS}, template=template)


READY = [
    server(GUARDED, CAREFUL),
    write("policy/v1", "PodDisruptionBudget", maxUnavailable=1, selector={"matchLabels": LABELS}),
    write("networking.k8s.io/v1", "NetworkPolicy", podSelector={"matchLabels": LABELS}),
    write("monitoring.coreos.com/v1", "PodMonitor", selector={"matchLabels": LABELS}),
    write("monitoring.coreos.com/v1", "PrometheusRule", groups=[]),
    write(
        *("autoscaling/v2", "HorizontalPodAutoscaler"),
        scaleTargetRef={"apiVersion": "apps/v1", "kind": "Deployment", "name": "server"},
        minReplicas=2,
        maxReplicas=4,
    ),
]


@pytest.mark.parametrize(
    ("check", "lacking", "of_graph"),
    [(replicas, 1, 1), (shutdown, 2, 0), (probes, 2, 0), (isolation, 2, 2), (signals, 3, 2), (access, 2, 1)],
    ids=lambda value: getattr(value, "id", ""),
)
def test_each_kind_is_told_once(tmp_path: Path, check: Check, lacking: int, of_graph: int) -> None:
    assert outcomes(check, deploy(tmp_path, *READY)) == []
    assert outcomes(check, deploy(tmp_path, server({}, {}, 1))) == ["warn"] * lacking
    told = outcomes(check, deploy(tmp_path, graph(engine())))
    assert told == (["warn"] * of_graph or ["skip"])


def test_several_replicas_need_spread_and_a_budget(tmp_path: Path) -> None:
    assert outcomes(replicas, deploy(tmp_path, server({}, {}))) == ["warn", "warn"]
    other = write("policy/v1", "PodDisruptionBudget", selector={"matchLabels": {"app": "other"}})
    assert outcomes(replicas, deploy(tmp_path, server(GUARDED, {}), other)) == ["warn"]


def test_a_controller_that_adds_probes_needs_none(tmp_path: Path) -> None:
    predictor = {"containers": [{"name": "main", "image": "vllm/vllm-openai:v0.15.0", "args": ["a/b"]}]}
    service = write("serving.kserve.io/v1beta1", "InferenceService", predictor=predictor)
    assert outcomes(probes, deploy(tmp_path, service)) == ["skip"]


def test_an_autoscalers_lower_bound_counts(tmp_path: Path) -> None:
    assert outcomes(replicas, deploy(tmp_path, *[server(GUARDED, {}, 1), *READY[1:]])) == []


def test_servers_that_lack_the_same_are_one_finding(tmp_path: Path) -> None:
    (finding,) = run_check(replicas, deploy(tmp_path, graph(engine(), engine(name="v"))))
    assert len(finding.evidence["servers"]) > 1


def test_it_is_told_on_request_alone(tmp_path: Path) -> None:
    deploy(tmp_path, server({}, {}, 1))
    assert "production." not in run_inside("recipe", str(tmp_path)).out
    assert "production.access" in run_inside("recipe", str(tmp_path), "--select", "production").out


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        ({}, ["warn"]),
        ({"OTEL_TRACES_SAMPLER": "always_on"}, ["warn"]),
        ({"OTEL_TRACES_SAMPLER": "parentbased_traceidratio"}, ["warn"]),
        (
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "1.0"},
            ["warn"],
        ),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.05"}, []),
        ({"OTEL_TRACES_SAMPLER": "always_off"}, []),
    ],
)
def test_traces_of_every_request(tmp_path: Path, sampler: dict[str, str], expected: list[str]) -> None:
    env = [{"name": name, "value": value} for name, value in sampler.items()]
    args = ["--model", "Qwen/Qwen3-0.6B", "--otlp-traces-endpoint=http://otel:4317"]
    main = {**CAREFUL, "env": env, "args": args}
    assert outcomes(signals, deploy(tmp_path, server(GUARDED, main), *READY[1:])) == expected


TUNED = {
    **CAREFUL,
    "args": ["--model", "/models/tuned"],
    "volumeMounts": [{"name": "data", "mountPath": "/models"}],
}
ON_CLAIM = {**GUARDED, "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "tuned"}}]}
FETCHED = {**ON_CLAIM, "initContainers": [{"name": "fetch", "image": "aws:2"}]}
SNAPSHOT = write(
    "snapshot.storage.k8s.io/v1", "VolumeSnapshot", source={"persistentVolumeClaimName": "tuned"}
)


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([server(ON_CLAIM, TUNED)], ["warn"]),
        ([server(ON_CLAIM, TUNED), SNAPSHOT], []),
        ([server(FETCHED, TUNED)], []),
        ([server(GUARDED, CAREFUL)], []),
    ],
)
def test_what_cannot_be_made_anew_is_backed_up(
    tmp_path: Path, objects: list[dict[str, Any]], expected: list[str]
) -> None:
    assert outcomes(backups, deploy(tmp_path, *objects)) == expected
