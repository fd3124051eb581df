"""Pods as decoded from JSON, for probes that list pods of one workload."""

from collections.abc import Iterable, Iterator
from itertools import pairwise

import msgspec

from dynocheck.facts import Pod
from dynocheck.probes._k8s_types import ObjectMeta, StatusCondition


class _Waiting(msgspec.Struct):
    reason: str = ""


class _State(msgspec.Struct):
    waiting: _Waiting | None = None


class _ContainerStatus(msgspec.Struct):
    state: _State = msgspec.field(default_factory=_State)


class _PodStatus(msgspec.Struct, rename="camel"):
    phase: str = ""
    conditions: list[StatusCondition] | None = None
    container_statuses: list[_ContainerStatus] | None = None


class _Mount(msgspec.Struct, rename="camel"):
    name: str
    mount_path: str
    sub_path: str = ""


class _Container(msgspec.Struct, rename="camel"):
    image: str = ""
    command: list[str] | None = None
    args: list[str] | None = None
    volume_mounts: list[_Mount] | None = None


class _Item(msgspec.Struct):
    key: str
    path: str


class _ConfigMap(msgspec.Struct):
    name: str = ""
    items: list[_Item] | None = None


class _Volume(msgspec.Struct, rename="camel"):
    name: str
    config_map: _ConfigMap | None = None


class _PodSpec(msgspec.Struct):
    containers: list[_Container] | None = None
    volumes: list[_Volume] | None = None


class WirePod(msgspec.Struct):
    """A pod with the commands and mounted files of its containers."""

    metadata: ObjectMeta
    spec: _PodSpec = msgspec.field(default_factory=_PodSpec)
    status: _PodStatus = msgspec.field(default_factory=_PodStatus)


def filter_live(pods: Iterable[WirePod]) -> list[WirePod]:
    """The pods that are neither finished nor being deleted."""
    ended = {"Succeeded", "Failed"}
    return [p for p in pods if p.status.phase not in ended and not p.metadata.deletion_timestamp]


def convert_pod(pod: WirePod) -> Pod:
    """The fact of a pod."""
    status = pod.status
    return Pod(
        namespace=pod.metadata.namespace,
        name=pod.metadata.name,
        phase=status.phase,
        ready=any(c.type == "Ready" and c.status == "True" for c in status.conditions or ()),
        waiting=tuple(
            container.state.waiting.reason
            for container in status.container_statuses or ()
            if container.state.waiting is not None
        ),
        terminating=bool(pod.metadata.deletion_timestamp),
    )


def has_flag(pod: WirePod, flag: str) -> bool:
    """Whether a container of the pod is started with this flag."""
    containers = pod.spec.containers or ()
    return any(True for container in containers for _ in _find_values(_list_words(container), flag))


def has_image(pod: WirePod, part: str) -> bool:
    """Whether the image of a container of the pod has this in its name."""
    return any(part in container.image for container in pod.spec.containers or ())


def find_mounted_files(pod: WirePod, flag: str) -> Iterator[tuple[str, str]]:
    """The ConfigMap and key of each file that a flag of a container names and a ConfigMap provides."""
    volumes = {v.name: v.config_map for v in pod.spec.volumes or () if v.config_map is not None}
    for container in pod.spec.containers or ():
        for path in _find_values(_list_words(container), flag):
            for mount in container.volume_mounts or ():
                config_map = volumes.get(mount.name)
                inside = _strip_mount(path, mount)
                if config_map is not None and inside:
                    yield config_map.name, _find_key(config_map, inside)


def _list_words(container: _Container) -> list[str]:
    return [*(container.command or ()), *(container.args or ())]


def _find_values(words: list[str], flag: str) -> Iterator[str]:
    """The values of a Go flag, with one dash or two, after `=` or as the next word."""
    for word, following in pairwise([*words, ""]):
        name, equals, value = word.partition("=")
        if name in (f"-{flag}", f"--{flag}"):
            yield value if equals else following


def _strip_mount(path: str, mount: _Mount) -> str:
    """The path within the volume; empty when it is not in the mount."""
    if mount.sub_path:
        return mount.sub_path if path == mount.mount_path else ""
    prefix = mount.mount_path.rstrip("/") + "/"
    return path.removeprefix(prefix) if path.startswith(prefix) else ""


def _find_key(config_map: _ConfigMap, path: str) -> str:
    return next((item.key for item in config_map.items or () if item.path == path), path)
