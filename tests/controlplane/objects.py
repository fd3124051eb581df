"""The objects that tests need most, with the status that kubelets and controllers would write."""

import functools
import secrets
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from tests.controlplane.api import Api, Object, wait

CRD = "CustomResourceDefinition"
CRD_VERSION = "apiextensions.k8s.io/v1"
GPU = "nvidia.com/gpu"
WORKERS = 8


class Objects(Api):
    """Makes objects the short way; `apply` takes any other."""

    def namespace(self, prefix: str = "test") -> str:
        """Create a namespace whose name nobody else has, and give the name."""
        name = f"{prefix}-{secrets.token_hex(3)}"
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        return name

    def node(
        self,
        name: str,
        *,
        gpus: int = 0,
        labels: Mapping[str, str] | None = None,
        taints: Iterable[Mapping[str, str]] = (),
        ready: bool = True,
        capacity: Mapping[str, str] | None = None,
        allocatable: Mapping[str, str] | None = None,
        **status: Any,
    ) -> Object:
        """Create a node as a kubelet would have reported it, and give it.

        `allocatable` says where it differs from the capacity; `status` sets further fields of it.
        """
        whole = {"cpu": "64", "memory": "512Gi", "ephemeral-storage": "1Ti", "pods": "110"}
        whole |= {GPU: str(gpus)} if gpus else {}
        whole |= capacity or {}
        reported: Object = {"capacity": whole, "allocatable": whole | dict(allocatable or {})}
        reported["conditions"] = [_condition("Ready", ready, "KubeletReady")]
        metadata = {"name": name, "labels": _hostname(name) | dict(labels or {})}
        spec = {"taints": [dict(taint) for taint in taints]}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec}
        return self.apply({**node, "status": {**reported, **status}})[0]

    def pod(
        self,
        name: str,
        namespace: str = "default",
        *,
        node: str | None = None,
        phase: str = "Running",
        ready: bool = True,
        gpus: int = 0,
        image: str = "registry.example/app:1",
        labels: Mapping[str, str] | None = None,
        owner: Object | None = None,
        spec: Object | None = None,
        status: Object | None = None,
    ) -> Object:
        """Create a pod of one container, in the state that kubelet and scheduler would report.

        `owner` is the object that controls it; `spec` and `status` replace single fields of theirs.
        """
        limits = {GPU: str(gpus)} if gpus else {}
        container = {"name": "main", "image": image, "resources": {"limits": limits}}
        spec = {"containers": [container], **({"nodeName": node} if node else {}), **(spec or {})}
        ready = ready and phase == "Running"
        metadata: Object = {"name": name, "namespace": namespace, "labels": dict(labels or {})}
        if owner:
            metadata["ownerReferences"] = [_reference(owner)]
        conditions = {"PodScheduled": bool(node), "ContainersReady": ready, "Ready": ready}
        reported: Object = {"phase": phase, "conditions": [_condition(*each) for each in conditions.items()]}
        if phase == "Running":
            reported["containerStatuses"] = [_running(each, ready) for each in spec["containers"]]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        return self.apply({**pod, "status": reported | (status or {})})[0]

    def load_crds(self, *folders: Path) -> list[str]:
        """Define every CRD in these files and folders, wait until they are served, give the names.

        One that converts through a webhook is told not to, since no operator runs here. Where two
        folders define the same one, the later wins. Raises TimeoutError for one that is not served.
        """
        files = [file for folder in folders for file in _yaml_files(folder)]
        found = {crd["metadata"]["name"]: crd for file in files for crd in read_crds(file)}
        self.define(list(found.values()))
        return sorted(found)

    def define(self, crds: Sequence[Object]) -> None:
        """Apply definitions, and wait until they are served. Raises TimeoutError for one that is not."""
        self.apply(*crds, workers=WORKERS)
        self.await_kinds(crds)

    def await_kinds(self, crds: Sequence[Object]) -> None:
        """Wait until definitions are served. Raises TimeoutError for one that is not."""
        wanted = {kind for crd in crds for kind in _kinds(crd)}
        wait(lambda: wanted <= self.discover().keys(), f"serve {sorted(wanted)}")
        self.warm(wanted)

    def warm(self, wanted: Iterable[tuple[str, str]]) -> None:
        """Wait until these kinds, by API version and name, are kept: that begins with the first request for
        each, which is told to come again.
        """

        def ask(path: str) -> None:
            wait(lambda: self.http.get(path).status_code != 429, f"serve {path}")

        kinds = self.discover()
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(ask, [kinds[kind].path for kind in wanted]))

    def remove_crds(self, *names: str) -> None:
        """Delete definitions with all their objects, and wait until they are gone. Raises TimeoutError."""
        for name in names:
            definition: Object = {"apiVersion": CRD_VERSION, "kind": CRD, "metadata": {"name": name}}
            self.delete(definition)
            url = self.resource(definition).url(definition["metadata"])
            wait(lambda: self.http.get(url).status_code == 404, f"let {name} go")  # noqa: B023


def _yaml_files(path: Path) -> Sequence[Path]:
    return sorted(path.rglob("*.yaml")) if path.is_dir() else [path]


@functools.cache
def read_crds(file: Path) -> list[Object]:
    """Give the definitions in a file, none of which converts through a webhook."""
    with file.open() as text:
        documents = yaml.load_all(text, yaml.CSafeLoader)
        crds = [item for item in documents if item and item["kind"] == CRD]
    for crd in crds:
        crd.pop("status", None)  # some are published with an empty one
        if crd["spec"].get("conversion", {}).get("strategy") == "Webhook":
            crd["spec"]["conversion"] = {"strategy": "None"}
    return crds


def _kinds(crd: Object) -> Iterable[tuple[str, str]]:
    spec = crd["spec"]
    for version in spec["versions"]:
        if version["served"]:
            yield f"{spec['group']}/{version['name']}", spec["names"]["kind"]


def _hostname(name: str) -> dict[str, str]:
    about = {"hostname": name, "os": "linux", "arch": "amd64"}
    return {f"kubernetes.io/{key}": value for key, value in about.items()}


def _condition(kind: str, holds: bool, reason: str = "Tests") -> Object:
    return {"type": kind, "status": str(holds), "reason": reason}


def _reference(owner: Object) -> Object:
    kind = {key: owner[key] for key in ("apiVersion", "kind")}
    return {**kind, **{key: owner["metadata"][key] for key in ("name", "uid")}, "controller": True}


def _running(container: Object, ready: bool) -> Object:
    about = {"name": container["name"], "image": container["image"], "imageID": container["image"]}
    state = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    return {**about, "ready": ready, "started": True, "restartCount": 0, "state": state}
