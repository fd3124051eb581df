"""Facts about namespaces."""

import msgspec

from dynocheck.facts.base import FactList
from dynocheck.facts.k8s.cluster import ClusterFact


class LabelledNamespace(msgspec.Struct, frozen=True):
    name: str
    labels: dict[str, str] = {}


class Namespaces(ClusterFact, FactList[LabelledNamespace], frozen=True):
    """Every namespace with its labels."""

    def find_labels(self, name: str) -> dict[str, str]:
        """The labels of the namespace of this name; the API server sets the one that repeats the name."""
        found = next((namespace.labels for namespace in self.items if namespace.name == name), {})
        return {"kubernetes.io/metadata.name": name, **found}


class RunNamespace(ClusterFact, frozen=True):
    """The namespace of the run: what `-n` or the context of the kubeconfig names."""

    name: str
