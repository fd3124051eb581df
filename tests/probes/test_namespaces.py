"""The namespace of a run, and the classes that pods name."""

from dynocheck.facts import Namespace, PodClasses
from dynocheck.probes.platform.namespace_policy import namespace, pod_classes
from tests.clusters.objects import make_namespace, make_object
from tests.controlplane.server import ControlPlane
from tests.probes.looking import reach


def test_a_namespace_is_there_or_goes_or_is_not(cluster: ControlPlane) -> None:
    name = cluster.namespace()
    here = reach(cluster, namespace=name)
    labels = {"kubernetes.io/metadata.name": name}
    assert namespace(here) == Namespace(name, labels=labels)
    # It stays, for nobody on the control plane takes its finalizer away.
    cluster.delete(make_namespace(name))
    assert namespace(here) == Namespace(name, deleting=True, labels=labels)
    assert namespace(reach(cluster, namespace="tpyo")) == Namespace("tpyo", exists=False)


def test_the_classes_that_pods_may_name(cluster: ControlPlane) -> None:
    cluster.apply(
        make_object("scheduling.k8s.io/v1 PriorityClass", "urgent", value=10),
        make_object("node.k8s.io/v1 RuntimeClass", "nvidia", handler="nvidia"),
    )
    found = pod_classes(reach(cluster))
    assert isinstance(found, PodClasses)
    assert "urgent" in found.priorities
    assert found.runtimes == ("nvidia",)
