from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.monitoring import prometheus
from dynocheck.facts import (
    CustomResourceDefinition,
    CustomResourceDefinitions,
    Node,
    Nodes,
    ResourceSlice,
    ResourceSlices,
)
from dynocheck.facts.k8s.label_selectors import LabelSelector, SelectorExpression
from dynocheck.facts.k8s.monitoring import Collector, PodMonitor, PodMonitors
from dynocheck.facts.k8s.namespaces import LabelledNamespace, Namespaces
from dynocheck.facts.k8s.workloads import Workload, Workloads
from tests.checks.judging import FRONTEND, GRAPH, get_skip_reason, list_messages, recipes, run_check

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


def seen(*collectors: Collector, items: tuple[PodMonitor, ...] = (FRONT, WORKER)) -> PodMonitors:
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
def test_who_reads_the_monitors(reader: Collector) -> None:
    assert list_messages(prometheus.prometheus, seen(reader), SPACES, DYNAMO, None) == []
    unfit = collector(RELEASE)
    assert list_messages(prometheus.prometheus, seen(unfit, reader), SPACES, DYNAMO, None) == []


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
def test_who_does_not(reader: Collector) -> None:
    (finding,) = run_check(prometheus.prometheus, seen(reader), SPACES, DYNAMO, None)
    assert str(finding.outcome) == "warn"
    assert finding.message.startswith("no Prometheus selects dynamo-frontend, dynamo-worker: ")
    assert finding.evidence.keys() == {"Prometheus monitoring/p"}


def test_the_label_that_is_asked_for_is_the_fix() -> None:
    (finding,) = run_check(prometheus.prometheus, seen(collector(RELEASE)), SPACES, DYNAMO, None)
    assert finding.fix is not None
    assert finding.fix.endswith("--set dynamo-operator.dynamo.metrics.podMonitors.labels.release=prometheus")
    (finding,) = run_check(
        prometheus.prometheus, seen(collector(LabelSelector({"a.b/c": "d"}))), SPACES, DYNAMO, None
    )
    assert finding.fix is not None
    assert finding.fix.endswith(r"--set 'dynamo-operator.dynamo.metrics.podMonitors.labels.a\.b/c=d'")
    (finding,) = run_check(prometheus.prometheus, seen(collector(RELEASE, None)), SPACES, DYNAMO, None)
    assert finding.fix is not None
    assert finding.fix.startswith("kubectl edit prometheus p -n monitoring")


def test_monitors_with_other_labels_are_a_finding_of_their_own() -> None:
    epp = PodMonitor(namespace="dynamo-system", name="dynamo-epp")
    labelled = PodMonitor(namespace="dynamo-system", name="dynamo-worker", labels={"release": "prometheus"})
    (finding,) = run_check(
        prometheus.prometheus, seen(collector(RELEASE), items=(labelled, epp)), SPACES, DYNAMO, None
    )
    assert finding.subject is not None
    assert finding.subject.name == "dynamo-epp"


def test_a_prometheus_that_is_down() -> None:
    (finding,) = run_check(prometheus.prometheus, seen(collector(available=False)), SPACES, DYNAMO, None)
    assert str(finding.subject) == "Prometheus monitoring/p"


def test_without_the_operator_only_a_planner_misses_it(tmp_path: Path) -> None:
    absent = PodMonitors(served=False, collectors_served=False)
    assert get_skip_reason(prometheus.prometheus, absent, SPACES, DYNAMO, None)
    plain = recipes(tmp_path / "a", deploy=GRAPH + FRONTEND)
    assert get_skip_reason(prometheus.prometheus, absent, SPACES, DYNAMO, plain)
    planned = recipes(tmp_path / "b", deploy=PLANNER)
    ((outcome, message),) = list_messages(prometheus.prometheus, absent, SPACES, DYNAMO, planned)
    assert outcome == "warn"
    assert message.startswith("g has a planner")


def test_no_monitors_matter_only_where_dynamo_is() -> None:
    nothing = PodMonitors()
    assert get_skip_reason(prometheus.prometheus, nothing, SPACES, CustomResourceDefinitions(), None)
    assert [o for o, _ in list_messages(prometheus.prometheus, nothing, SPACES, DYNAMO, None)] == ["warn"]
    assert [o for o, _ in list_messages(prometheus.prometheus, seen(), SPACES, DYNAMO, None)] == ["warn"]


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
    ("workloads", "nodes", "says"),
    [
        ((exporter(3, 3),), GPUS, []),
        ((exporter(3, 3),), CPUS, []),
        ((exporter(3, 2),), GPUS, ["is ready on 2 of 3 nodes"]),
        ((exporter(0, 0),), GPUS, ["is to run on no node, though 1 have GPUs"]),
        ((exporter(0, 0), exporter(1, 1)), GPUS, []),  # one for each kind of node, as on GKE
        ((exporter(1, 0, "gke.gcr.io/gke-dcgm-exporter@sha256:0"),), GPUS, ["is ready on 0 of 1 nodes"]),
        (
            (exporter(1, 0, "mirror.example:5000/a/dcgm-exporter:4@sha256:0"),),
            GPUS,
            ["is ready on 0 of 1 nodes"],
        ),
    ],
)
def test_the_exporter(workloads: tuple[Workload, ...], nodes: Nodes, says: list[str]) -> None:
    told = list_messages(prometheus.dcgm_exporter, Workloads(workloads), nodes, NO_SLICES)
    assert told == [("warn", message) for message in says]


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
def test_no_exporter_is_no_warning(workloads: tuple[Workload, ...], nodes: Nodes) -> None:
    assert get_skip_reason(prometheus.dcgm_exporter, Workloads(workloads), nodes, NO_SLICES)


def test_gpus_that_are_offered_through_dra_count() -> None:
    slices = ResourceSlices((ResourceSlice("s", "gpu.nvidia.com", "cpu-1", 8),))
    assert list_messages(prometheus.dcgm_exporter, Workloads((exporter(0, 0),)), CPUS, slices)
