from pathlib import Path
from typing import Any

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
from tests.checks.judging import deploy, judge, outcomes, places, run_check
from tests.checks.manifests import graph

PLANNER = {"name": "Planner", "type": "planner"}
DYNAMO = CustomResourceDefinitions((CustomResourceDefinition(prometheus._GRAPHS, "nvidia.com"),))
SPACES = Namespaces((LabelledNamespace("dynamo-system", {"team": "ml"}), LabelledNamespace("monitoring")))
FRONT = PodMonitor(namespace="dynamo-system", name="dynamo-frontend")
RUNNING = Workloads(
    (
        Workload(
            kind="Deployment",
            namespace="monitoring",
            name="prometheus-kube-prometheus-operator",
            images=("quay.io/prometheus-operator/prometheus-operator:v0.86.0",),
            desired=1,
            ready=1,
        ),
    )
)
WORKER = PodMonitor(namespace="dynamo-system", name="dynamo-worker")
ALL = LabelSelector()
RELEASE = LabelSelector({"release": "prometheus"})


def make_collector(monitors: LabelSelector | None = ALL, **fields: Any) -> Collector:
    """A Prometheus, which reads the monitors of every namespace unless told otherwise."""
    default: dict[str, Any] = {"namespace": "monitoring", "namespaces": ALL, "available": True}
    return Collector(kind="Prometheus", name="p", monitors=monitors, **default | fields)


def having(key: str, operator: str, *values: str) -> LabelSelector:
    return LabelSelector(expressions=(SelectorExpression(key, operator, values),))


def make_monitors(*collectors: Collector, items: tuple[PodMonitor, ...] = (FRONT, WORKER)) -> PodMonitors:
    return PodMonitors(items, collectors)


# prometheus


@pytest.mark.parametrize(
    "collector",
    [
        make_collector(),
        make_collector(namespaces=None, namespace="dynamo-system"),
        make_collector(namespaces=LabelSelector({"team": "ml"})),
        make_collector(namespaces=LabelSelector({"kubernetes.io/metadata.name": "dynamo-system"})),
        make_collector(having("release", "DoesNotExist")),
        make_collector(having("release", "NotIn", "x")),
        make_collector(available=None),
    ],
)
def test_collector_that_selects_the_monitors(collector: Collector) -> None:
    for collectors in ((collector,), (make_collector(RELEASE), collector)):
        assert (
            outcomes(prometheus.prometheus, make_monitors(*collectors), SPACES, DYNAMO, RUNNING, None) == []
        )


LABEL = "--set dynamo-operator.dynamo.metrics.podMonitors.labels.release=prometheus"
ODD_LABEL = r"--set 'dynamo-operator.dynamo.metrics.podMonitors.labels.a\.b/c=d'"
EDIT = "kubectl patch prometheus p -n monitoring --type merge -p "


@pytest.mark.parametrize(
    ("collector", "fix"),
    [
        (make_collector(RELEASE), LABEL),
        (make_collector(LabelSelector({"a.b/c": "d"})), ODD_LABEL),
        (make_collector(RELEASE, namespaces=None), EDIT),
        (make_collector(None), EDIT),
        (make_collector(namespaces=None), EDIT),
        (make_collector(namespaces=LabelSelector({"team": "web"})), EDIT),
        (make_collector(having("release", "Exists")), EDIT),
        (make_collector(having("release", "In", "x")), EDIT),
    ],
)
def test_collector_that_does_not(collector: Collector, fix: str) -> None:
    (finding,) = run_check(prometheus.prometheus, make_monitors(collector), SPACES, DYNAMO, RUNNING, None)
    assert (finding.outcome, str(finding.subject)) == ("warn", "PodMonitor dynamo-system/dynamo-frontend")
    assert finding.evidence.keys() == {"Prometheus monitoring/p"}
    assert fix in (finding.fix or "")


def test_openshift_has_a_prometheus_for_what_users_monitor() -> None:
    platform = LabelSelector({"openshift.io/cluster-monitoring": "true"})
    monitors = make_monitors(make_collector(namespaces=platform, namespace="openshift-monitoring"))
    (finding,) = run_check(prometheus.prometheus, monitors, SPACES, DYNAMO, RUNNING, None)
    assert "enableUserWorkload: true" in (finding.fix or "")


def test_monitors_with_other_labels_get_their_own_finding() -> None:
    epp = PodMonitor(namespace="dynamo-system", name="dynamo-epp")
    labelled = PodMonitor(namespace="dynamo-system", name="dynamo-worker", labels={"release": "prometheus"})
    monitors = make_monitors(make_collector(RELEASE), items=(labelled, epp))
    found = places(prometheus.prometheus, monitors, SPACES, DYNAMO, RUNNING, None)
    assert found == [("warn", "PodMonitor dynamo-system/dynamo-epp")]


def test_an_operator_of_prometheus_that_does_not_run() -> None:
    facts = make_monitors(make_collector()), SPACES, DYNAMO, Workloads(), None
    wanted = [("warn", "CustomResourceDefinition prometheuses.monitoring.coreos.com")]
    assert places(prometheus.prometheus, *facts) == wanted


@pytest.mark.parametrize(
    ("image", "ready", "expected"),
    [
        ("mirror.example/grafana/alloy:v1.11.0", 1, "unjudged"),
        ("victoriametrics/operator:v0.66.0", 1, "unjudged"),
        ("ghcr.io/open-telemetry/opentelemetry-operator/target-allocator:0.140.0", 1, "unjudged"),
        ("grafana/alloy:v1.11.0", 0, "warn"),
        ("grafana/grafana:12.3.0", 1, "warn"),
    ],
)
@pytest.mark.parametrize("collectors", [(), (make_collector(RELEASE),)], ids=["none", "another"])
def test_another_collector_may_read_them(
    collectors: tuple[Collector, ...], image: str, ready: int, expected: str
) -> None:
    other = Workload(
        kind="Deployment", namespace="metrics", name="c", images=(image,), desired=1, ready=ready
    )
    running = Workloads((*RUNNING, other))
    assert judge(prometheus.prometheus, make_monitors(*collectors), SPACES, DYNAMO, running, None) == [
        expected
    ]


def test_prometheus_that_is_down() -> None:
    monitors = make_monitors(make_collector(available=False))
    found = places(prometheus.prometheus, monitors, SPACES, DYNAMO, RUNNING, None)
    assert found == [("warn", "Prometheus monitoring/p")]


def test_without_the_operator_only_a_planner_gets_a_warning(tmp_path: Path) -> None:
    absent = PodMonitors(served=False, collectors_served=False)
    for recipe in (None, deploy(tmp_path / "a", graph())):
        assert outcomes(prometheus.prometheus, absent, SPACES, DYNAMO, RUNNING, recipe) == ["skip"]
    planned = deploy(tmp_path / "b", graph(PLANNER))
    (finding,) = run_check(prometheus.prometheus, absent, SPACES, DYNAMO, RUNNING, planned)
    assert (finding.outcome, finding.evidence) == ("warn", {"graphs": ["g"]})


@pytest.mark.parametrize(
    ("monitors", "types", "expected"),
    [
        (PodMonitors(), CustomResourceDefinitions(), "skip"),
        (PodMonitors(), DYNAMO, "warn"),
        (make_monitors(), DYNAMO, "warn"),
        (PodMonitors((FRONT,), collectors_served=False), DYNAMO, "skip"),  # another collector reads them
    ],
)
def test_missing_monitors(monitors: PodMonitors, types: CustomResourceDefinitions, expected: str) -> None:
    assert outcomes(prometheus.prometheus, monitors, SPACES, types, RUNNING, None) == [expected]


# dcgm-exporter

GPUS = Nodes((Node("gpu-1", allocatable={"nvidia.com/gpu": "8"}),))
CPUS = Nodes((Node("cpu-1"),))
NO_SLICES = ResourceSlices()
SLICES = ResourceSlices((ResourceSlice("s", "gpu.nvidia.com", "cpu-1", 8),))
IMAGE = "nvcr.io/nvidia/k8s/dcgm-exporter:4"


def exporter(desired: int, ready: int, image: str = IMAGE, kind: str = "DaemonSet") -> Workload:
    return Workload(kind=kind, namespace="n", name="x", images=(image,), desired=desired, ready=ready)


@pytest.mark.parametrize(
    ("workloads", "nodes", "slices", "expected"),
    [
        ([exporter(3, 3)], GPUS, NO_SLICES, []),
        ([exporter(3, 3)], CPUS, NO_SLICES, []),
        ([exporter(3, 2)], GPUS, NO_SLICES, ["warn"]),
        ([exporter(0, 0)], GPUS, NO_SLICES, ["warn"]),
        ([exporter(0, 0)], CPUS, SLICES, ["warn"]),  # GPUs that are offered through DRA
        ([exporter(0, 0), exporter(1, 1)], GPUS, NO_SLICES, []),  # one for each kind of node, as on GKE
        ([exporter(1, 0, "gke.gcr.io/gke-dcgm-exporter@sha256:0")], GPUS, NO_SLICES, ["warn"]),
        ([exporter(1, 0, "mirror.example:5000/a/dcgm-exporter:4@sha256:0")], GPUS, NO_SLICES, ["warn"]),
        ([], GPUS, NO_SLICES, ["skip"]),
        ([exporter(0, 0)], CPUS, NO_SLICES, ["skip"]),
        ([exporter(1, 0, "nvcr.io/nvidia/cloud-native/dcgm:4")], GPUS, NO_SLICES, ["skip"]),
        ([exporter(1, 0, kind="Deployment")], GPUS, NO_SLICES, ["skip"]),
        ([exporter(1, 0, "registry.example/dcgm-exporter-mirror/nginx:1")], GPUS, NO_SLICES, ["skip"]),
    ],
)
def test_exporter(
    workloads: list[Workload], nodes: Nodes, slices: ResourceSlices, expected: list[str]
) -> None:
    assert outcomes(prometheus.dcgm_exporter, Workloads(tuple(workloads)), nodes, slices) == expected
