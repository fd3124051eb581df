"""Objects in few words, with the status that their controllers would write."""

from collections.abc import Mapping
from typing import Any

from tests.controlplane.api import Object

LONG_AGO = "2026-01-01T00:00:00Z"


def read_pairs(text: str) -> dict[str, str]:
    """Labels, outcomes and the like that are written `name=value`, with white space between."""
    return dict(word.split("=", 1) for word in text.split())


def make_object(kind: str, name: str, namespace: str = "", **fields: Any) -> Object:
    """An object of a kind, which is written with its API, such as `apps/v1 Deployment`.

    :param fields: its fields; `labels` and `annotations` go into its metadata.
    """
    api, _, kind = kind.rpartition(" ")
    metadata: Object = {key: fields.pop(key) for key in ("labels", "annotations") if key in fields}
    metadata |= {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api or "v1", "kind": kind, "metadata": metadata, **fields}


def make_namespace(name: str, **labels: str) -> Object:
    return make_object("Namespace", name, labels=labels)


def make_condition(
    kind: str, status: str = "True", reason: str = "", message: str = "", generation: int = 1
) -> Object:
    """A condition that a controller wrote of this generation."""
    stated = {"type": kind, "status": status, "reason": reason or kind, "message": message}
    return stated | {"lastTransitionTime": LONG_AGO, "observedGeneration": generation}


def make_workload(
    kind: str,
    name: str,
    namespace: str,
    image: str = "registry.example/app:1",
    labels: Mapping[str, str] | None = None,
    *,
    selector: Mapping[str, str] | None = None,
    desired: int = 1,
    ready: int | None = None,
) -> Object:
    """A DaemonSet or Deployment, all of whose pods are ready unless told otherwise.

    :param selector: the labels of the nodes that it is for.
    """
    ready = desired if ready is None else ready
    labels = dict(labels or {"app": name})
    pod = {"containers": [{"name": "main", "image": image}], "nodeSelector": dict(selector or {})}
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    status: dict[str, Any] = {"observedGeneration": 99}
    if kind == "DaemonSet":
        status |= {"desiredNumberScheduled": desired, "numberReady": ready, "currentNumberScheduled": desired}
        status |= {"numberMisscheduled": 0, "updatedNumberScheduled": desired}
    else:
        spec["replicas"] = desired
        status |= {"replicas": desired, "updatedReplicas": desired}
        status |= dict.fromkeys(("readyReplicas", "availableReplicas"), ready)
        message = "" if ready >= desired else "Deployment does not have minimum availability."
        condition = make_condition("Available", str(ready >= desired), "MinimumReplicas", message)
        status["conditions"] = [condition | {"lastUpdateTime": LONG_AGO}]
    return make_object(f"apps/v1 {kind}", name, namespace, labels=labels, spec=spec, status=status)
