"""What pods look like on the wire, for probes that list some of them."""

from collections.abc import Iterable, Iterator

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
    """A pod, with what tells how its containers are started and from which files."""

    metadata: ObjectMeta
    spec: _PodSpec = msgspec.field(default_factory=_PodSpec)
    status: _PodStatus = msgspec.field(default_factory=_PodStatus)


def filter_live(pods: Iterable[WirePod]) -> list[WirePod]:
    """Those that have not ended and are not being deleted."""
    ended = {"Succeeded", "Failed"}
    return [p for p in pods if p.status.phase not in ended and not p.metadata.deletion_timestamp]


def convert_pod(found: WirePod) -> Pod:
    """The fact that is made of a pod."""
    status = found.status
    return Pod(
        namespace=found.metadata.namespace,
        name=found.metadata.name,
        phase=status.phase,
        ready=any(c.type == "Ready" and c.status == "True" for c in status.conditions or ()),
        waiting=tuple(
            container.state.waiting.reason
            for container in status.container_statuses or ()
            if container.state.waiting is not None
        ),
    )


def has_flag(found: WirePod, flag: str) -> bool:
    """Whether one of its containers is started with this flag."""
    return any(
        True for each in found.spec.containers or () for _ in _find_values(list(_list_words(each)), flag)
    )


def find_mounted_files(found: WirePod, flag: str) -> Iterator[tuple[str, str]]:
    """ConfigMap and key of each file that a container names by this flag and that a ConfigMap brings."""
    volumes = {v.name: v.config_map for v in found.spec.volumes or () if v.config_map is not None}
    for container in found.spec.containers or ():
        for path in _find_values(list(_list_words(container)), flag):
            for mount in container.volume_mounts or ():
                config_map = volumes.get(mount.name)
                inside = _strip_mount(path, mount)
                if config_map is not None and inside:
                    yield config_map.name, _find_key(config_map, inside)


def _list_words(container: _Container) -> Iterator[str]:
    yield from container.command or ()
    yield from container.args or ()


def _find_values(words: list[str], flag: str) -> Iterator[str]:
    """What follows the flag, which Go takes with one dash or two, and with `=` or a word of its own."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name in (f"-{flag}", f"--{flag}"):
            yield value if equals else following


def _strip_mount(path: str, mount: _Mount) -> str:
    """The path within the volume, or nothing where it does not lie there."""
    if mount.sub_path:
        return mount.sub_path if path == mount.mount_path else ""
    prefix = mount.mount_path.rstrip("/") + "/"
    return path.removeprefix(prefix) if path.startswith(prefix) else ""


def _find_key(config_map: _ConfigMap, path: str) -> str:
    return next((item.key for item in config_map.items or () if item.path == path), path)
