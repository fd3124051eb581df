from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.monitoring import prometheus
from dynocheck.facts import (
    Collector,
    CustomResourceDefinition,
    CustomResourceDefinitions,
    LabelledNamespace,
    LabelSelector,
    Namespaces,
    Node,
    Nodes,
    PodMonitor,
    PodMonitors,
    ResourceSlice,
    ResourceSlices,
    SelectorExpression,
    Workload,
    Workloads,
)
from tests.checks.judging import FRONTEND, GRAPH, get_skip_reason, outcomes, places, recipes, run_check

PLANNER = GRAPH + FRONTEND + "  - {name: Planner, type: planner}\n"
DYNAMO = CustomResourceDefinitions((CustomResourceDefinition(prometheus._GRAPHS, "nvidia.com"),))
SPACES = Namespaces((LabelledNamespace("dynamo-system", {"team": "ml"}), LabelledNamespace("monitoring")))
FRONT = PodMonitor(namespace="dynamo-system", name="dynamo-frontend")
WORKER = PodMonitor(namespace="dynamo-system", name="dynamo-worker")
ALL = LabelSelector()
RELEASE = LabelSelector({"release": "prometheus"})


def collector(
    monitors: LabelSelector | None = ALL,
    namespaces: LabelSelector | None = ALL,
    *,
    namespace: str = "monitoring",
    available: bool | None = True,
) -> Collector:
    return Collector(
        kind="Prometheus",
        namespace=namespace,
        name="p",
        monitors=monitors,
        namespaces=namespaces,
        available=available,
    )


def make_monitors(*collectors: Collector, items: tuple[PodMonitor, ...] = (FRONT, WORKER)) -> PodMonitors:
    return PodMonitors(items, collectors)


# prometheus


@pytest.mark.parametrize(
    "reader",
    [
        collector(),
        collector(namespaces=None, namespace="dynamo-system"),
        collector(namespaces=LabelSelector({"team": "ml"})),
        collector(namespaces=LabelSelector({"kubernetes.io/metadata.name": "dynamo-system"})),
        collector(LabelSelector(expressions=(SelectorExpression("release", "DoesNotExist"),))),
        collector(LabelSelector(expressions=(SelectorExpression("release", "NotIn", ("x",)),))),
        collector(available=None),
    ],
)
def test_collector_that_selects_the_monitors(reader: Collector) -> None:
    for collectors in ((reader,), (collector(RELEASE), reader)):
        assert outcomes(prometheus.prometheus, make_monitors(*collectors), SPACES, DYNAMO, None) == []


@pytest.mark.parametrize(
    "reader",
    [
        collector(RELEASE),
        collector(None),
        collector(namespaces=None),
        collector(namespaces=LabelSelector({"team": "web"})),
        collector(LabelSelector(expressions=(SelectorExpression("release", "Exists"),))),
        collector(LabelSelector(expressions=(SelectorExpression("release", "In", ("x",)),))),
    ],
)
def test_collector_that_does_not(reader: Collector) -> None:
    (finding,) = run_check(prometheus.prometheus, make_monitors(reader), SPACES, DYNAMO, None)
    assert (str(finding.outcome), str(finding.subject)) == (
        "warn",
        "PodMonitor dynamo-system/dynamo-frontend",
    )
    assert finding.evidence.keys() == {"Prometheus monitoring/p"}


@pytest.mark.parametrize(
    ("reader", "fix"),
    [
        (collector(RELEASE), "--set dynamo-operator.dynamo.metrics.podMonitors.labels.release=prometheus"),
        (
            collector(LabelSelector({"a.b/c": "d"})),
            r"--set 'dynamo-operator.dynamo.metrics.podMonitors.labels.a\.b/c=d'",
        ),
        (collector(RELEASE, None), "kubectl edit prometheus p -n monitoring"),
    ],
)
def test_fix_adds_the_selected_label(reader: Collector, fix: str) -> None:
    (finding,) = run_check(prometheus.prometheus, make_monitors(reader), SPACES, DYNAMO, None)
    assert fix in (finding.fix or "")


def test_monitors_with_other_labels_get_their_own_finding() -> None:
    epp = PodMonitor(namespace="dynamo-system", name="dynamo-epp")
    labelled = PodMonitor(namespace="dynamo-system", name="dynamo-worker", labels={"release": "prometheus"})
    monitors = make_monitors(collector(RELEASE), items=(labelled, epp))
    found = places(prometheus.prometheus, monitors, SPACES, DYNAMO, None)
    assert found == [("warn", "PodMonitor dynamo-system/dynamo-epp")]


def test_prometheus_that_is_down() -> None:
    monitors = make_monitors(collector(available=False))
    found = places(prometheus.prometheus, monitors, SPACES, DYNAMO, None)
    assert found == [("warn", "Prometheus monitoring/p")]


def test_without_the_operator_only_a_planner_gets_a_warning(tmp_path: Path) -> None:
    absent = PodMonitors(served=False, collectors_served=False)
    for recipe in (None, recipes(tmp_path / "a", deploy=GRAPH + FRONTEND)):
        assert get_skip_reason(prometheus.prometheus, absent, SPACES, DYNAMO, recipe)
    planned = recipes(tmp_path / "b", deploy=PLANNER)
    (finding,) = run_check(prometheus.prometheus, absent, SPACES, DYNAMO, planned)
    assert (str(finding.outcome), finding.evidence) == ("warn", {"graphs": ["g"]})


def test_missing_monitors_matter_only_with_dynamo() -> None:
    assert get_skip_reason(prometheus.prometheus, PodMonitors(), SPACES, CustomResourceDefinitions(), None)
    for monitors in (PodMonitors(), make_monitors()):
        assert outcomes(prometheus.prometheus, monitors, SPACES, DYNAMO, None) == ["warn"]


def test_monitors_that_another_collector_reads() -> None:
    others = PodMonitors((FRONT,), collectors_served=False)
    assert get_skip_reason(prometheus.prometheus, others, SPACES, DYNAMO, None)


# dcgm-exporter

GPUS = Nodes((Node("gpu-1", allocatable={"nvidia.com/gpu": "8"}),))
CPUS = Nodes((Node("cpu-1"),))
NO_SLICES = ResourceSlices()


def exporter(
    desired: int, ready: int, image: str = "nvcr.io/nvidia/k8s/dcgm-exporter:4", kind: str = "DaemonSet"
) -> Workload:
    return Workload(kind=kind, namespace="n", name="x", images=(image,), desired=desired, ready=ready)


@pytest.mark.parametrize(
    ("workloads", "nodes", "expected"),
    [
        ((exporter(3, 3),), GPUS, []),
        ((exporter(3, 3),), CPUS, []),
        ((exporter(3, 2),), GPUS, ["warn"]),
        ((exporter(0, 0),), GPUS, ["warn"]),
        ((exporter(0, 0), exporter(1, 1)), GPUS, []),  # one for each kind of node, as on GKE
        ((exporter(1, 0, "gke.gcr.io/gke-dcgm-exporter@sha256:0"),), GPUS, ["warn"]),
        ((exporter(1, 0, "mirror.example:5000/a/dcgm-exporter:4@sha256:0"),), GPUS, ["warn"]),
    ],
)
def test_exporter(workloads: tuple[Workload, ...], nodes: Nodes, expected: list[str]) -> None:
    assert outcomes(prometheus.dcgm_exporter, Workloads(workloads), nodes, NO_SLICES) == expected


@pytest.mark.parametrize(
    ("workloads", "nodes"),
    [
        ((), GPUS),
        ((exporter(0, 0),), CPUS),
        ((exporter(1, 0, "nvcr.io/nvidia/cloud-native/dcgm:4"),), GPUS),
        ((exporter(1, 0, kind="Deployment"),), GPUS),
        ((exporter(1, 0, "registry.example/dcgm-exporter-mirror/nginx:1"),), GPUS),
    ],
)
def test_missing_exporter_is_skipped(workloads: tuple[Workload, ...], nodes: Nodes) -> None:
    assert get_skip_reason(prometheus.dcgm_exporter, Workloads(workloads), nodes, NO_SLICES)


def test_gpus_offered_through_dra_count() -> None:
    slices = ResourceSlices((ResourceSlice("s", "gpu.nvidia.com", "cpu-1", 8),))
    assert outcomes(prometheus.dcgm_exporter, Workloads((exporter(0, 0),)), CPUS, slices) == ["warn"]
