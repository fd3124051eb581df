"""Facts about namespaces: the one of the run, and the labels of all."""

import msgspec

from dynocheck.facts.base import FactList
from dynocheck.facts.k8s.cluster import ClusterFact


class LabelledNamespace(msgspec.Struct, frozen=True):
    """A namespace and its labels."""

    name: str
    labels: dict[str, str] = {}


class Namespaces(ClusterFact, FactList[LabelledNamespace], frozen=True):
    """Every namespace with its labels."""

    def find_labels(self, name: str) -> dict[str, str]:
        """The labels of a namespace, always with kubernetes.io/metadata.name, which the API server sets."""
        labels = next((namespace.labels for namespace in self.items if namespace.name == name), {})
        return {"kubernetes.io/metadata.name": name, **labels}


class RunNamespace(ClusterFact, frozen=True):
    """The namespace of the run: that of `-n` or of the kubeconfig's context."""

    name: str
