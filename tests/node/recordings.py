"""Recordings of pods that are broken on a real node: what a cluster holds of each kind.

    DYNOCHECK_NODE=1 python -m tests.node.recordings [KIND ...]

renews those in tests/node/recordings/, one file a kind: its pods and what owns them, their events and logs,
as the API server gives them. `cluster.json` is what `dynocheck snapshot` records of all of them together.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.command import dynocheck
from tests.controlplane.api import Object
from tests.node import build, pods, registry
from tests.node.breakage import KINDS, Kind
from tests.node.node import Node

FOLDER = Path(__file__).with_name("recordings")
SNAPSHOT = FOLDER / "cluster.json"
_KINDS = {
    "pods": "/api/v1/namespaces/{}/pods",
    "events": "/api/v1/namespaces/{}/events",
    "replicasets": "/apis/apps/v1/namespaces/{}/replicasets",
    "deployments": "/apis/apps/v1/namespaces/{}/deployments",
    "jobs": "/apis/batch/v1/namespaces/{}/jobs",
    "persistentvolumeclaims": "/api/v1/namespaces/{}/persistentvolumeclaims",
}
_LIMIT_S = 150.0  # an eviction takes the longest: the kubelet measures disks now and then

Recording = dict[str, Any]


def break_on(node: Node, kinds: Sequence[Kind]) -> dict[str, Recording]:
    """Break a pod of each kind, all at once, and give each recording as soon as it shows its sign.

    Raises AssertionError for kinds that never do.
    """
    with registry.locked():
        for kind in kinds:
            node.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": kind.name}})
            node.cluster.apply(*kind.objects(kind.name))
        waiting = {kind.name: kind for kind in kinds}
        found: dict[str, Recording] = {}
        deadline = time.monotonic() + _LIMIT_S
        while waiting and time.monotonic() < deadline:
            time.sleep(0.5)
            for name in list(waiting):
                recording = record(node, name)
                if shows(recording, waiting[name]):
                    found[name] = recording
                    del waiting[name]
    assert not waiting, f"never broke as they should: {', '.join(waiting)}"
    return found


def shows(recording: Recording, kind: Kind) -> bool:
    """Whether a recording holds every text by which its kind is known."""
    content = json.dumps(recording).replace('\\"', '"')
    return all(sign in content for sign in kind.signs)


def record(node: Node, namespace: str) -> Recording:
    """Give what there is of the pods of a namespace, without what tells of this machine."""
    recording: Recording = {
        kind: [_strip(item) for item in node.cluster.get(path.format(namespace))["items"]]
        for kind, path in _KINDS.items()
    }
    recording["logs"] = {
        f"{pod['metadata']['name']}/{name}{'/previous' * previous}": said
        for pod in recording["pods"]
        for name in _containers(pod)
        for previous in (False, True)
        if (said := pods.logs(node.cluster, namespace, pod["metadata"]["name"], name, previous=previous))
    }
    return recording


def _containers(pod: Object) -> list[str]:
    spec = pod["spec"]
    return [each["name"] for each in (*spec.get("initContainers", ()), *spec["containers"])]


def _strip(item: Object) -> Object:
    item["metadata"].pop("managedFields", None)
    return item


def main(names: list[str]) -> int:
    """Break these kinds, or all, and write what was recorded."""
    assert build.wanted(), f"set {build.WANTED}=1"
    FOLDER.mkdir(exist_ok=True)
    chosen = [kind for kind in KINDS if not names or kind.name in names]
    with Node() as node, node.network():
        for name, recording in break_on(node, chosen).items():
            (FOLDER / f"{name}.json").write_text(json.dumps(recording, indent=1, ensure_ascii=False) + "\n")
        if not names:
            dynocheck("snapshot", SNAPSHOT, "--kubeconfig", node.cluster.kubeconfig())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
