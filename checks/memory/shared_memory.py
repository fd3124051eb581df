"""Checks the size of /dev/shm for engines with several GPUs in a pod."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.core.fixes import add_element, set_value
from dynocheck.engines import detect_engine
from dynocheck.facts import (
    Component,
    Graph,
    Manifest,
    PodTemplate,
    Recipe,
    Recipes,
    Value,
    find_server_template,
    list_pod_templates,
    parse_quantity,
)

_LEAST = 2**30  # below which Dynamo's own sanity check warns
_ENOUGH = "16Gi"
_SHM = "/dev/shm"  # noqa: S108
_LISTS = ("containers", "initContainers")  # a server may be a sidecar, which is an init container


@check("memory.shared-memory", title="Multi-GPU pods have enough /dev/shm")
def shared_memory(recipes: Recipes) -> Iterator[Finding]:
    """The ranks of an engine in one pod communicate through /dev/shm. By default, Dynamo's operator mounts
    8 GiB there; without it, and in pods without Dynamo, a container has 64 MiB, and NCCL or the engine exits
    with a bus error or "No space left on device". A volume on disk works, but slowly.

    Checked are pods with more than one GPU, that a volume in memory named after it is mounted there, and the
    medium of every emptyDir: one that the kubelet does not know, such as `memory`, leaves the pod in
    ContainerCreating.

    Fix: remove sharedMemory, or set sharedMemorySize: 16Gi (v1alpha1: sharedMemory: {size: 16Gi})
    """
    judged = False
    for recipe in recipes:
        misplaced = list(_check_media(recipe))
        judged = judged or bool(misplaced)
        yield from misplaced
        entries = {(m.file, m.name): dict(_list_components(m)) for m in recipe.manifests if m.kind == _GRAPH}
        for graph in recipe.graphs:
            known = entries.get((graph.file, graph.name), {})
            for component in graph.components:
                entry = known.get((component.line, component.column))
                if entry is not None and _shares_memory(component):
                    judged = True
                    yield from _check_component(graph, component, entry)
        for server in recipe.servers:
            for component in filter(_shares_memory, server.components):
                judged = True
                yield from _check_server(recipe, server, component)
    if not judged:
        raise Skip("no engine with several GPUs in a pod")


_GRAPH = "DynamoGraphDeployment"
_RAY = "ray.io"  # whose operator mounts a volume in memory


def _check_media(recipe: Recipe) -> Iterator[Finding]:
    judged = (server for server in recipe.servers if any(map(_shares_memory, server.components)))
    told = {(server.file, server.name) for server in judged}  # by _check_server
    for template in list_pod_templates(recipe):
        yield from _check_place(template)
        if not template.of_graph and (template.manifest.file, template.manifest.name) not in told:
            yield from _check_size(template)
        for volume in template.spec.get_items("volumes"):
            medium = volume.get("emptyDir", "medium")
            if medium is not None and medium.text and not _is_medium(medium.text):
                yield fail(
                    f"{template.owner}: the kubelet knows no medium {medium.text}",
                    fix=set_value("medium", "Memory", "or remove it for a volume on disk"),
                    location=Location(template.manifest.file, medium.line, medium.column),
                )


def _check_place(template: PodTemplate) -> Iterator[Finding]:
    """Reports a volume in memory that is named after /dev/shm and mounted elsewhere."""
    empties = [v for v in template.spec.get_items("volumes") if v.get_text("emptyDir", "medium") == "Memory"]
    names = {volume.get_text("name") for volume in empties if "shm" in volume.get_text("name")}
    mounts = [mount for container in template.containers for mount in container.get_items("volumeMounts")]
    for name in names - {mount.get_text("name") for mount in mounts if _is_below_shm(mount)}:
        for mount in (mount for mount in mounts if mount.get_text("name") == name):
            at = mount.get("mountPath") or mount
            yield warn(
                f"{template.owner}: {name} is mounted at {at.text}; {_SHM} keeps its default size",
                fix=set_value("mountPath", _SHM),
                location=Location(template.manifest.file, at.line, at.column),
            )


def _check_size(template: PodTemplate) -> Iterator[Finding]:
    """Reports too small a volume at /dev/shm in a pod of several GPUs, whatever runs in it but llama.cpp."""
    if any("llama.cpp" in container.get_text("image") for container in template.spec.get_items("containers")):
        return  # its GPUs do not communicate through memory
    limits = [c.get("resources", "limits", "nvidia.com/gpu") for c in template.spec.get_items("containers")]
    gpus = sum(parse_quantity(limit.data) or 0 for limit in limits if limit is not None)
    own = _find_own_volume(template.spec)
    size = own.get("sizeLimit") if own is not None and own.get_text("medium") == "Memory" else None
    found = parse_quantity(size.data) if size is not None else None
    if gpus > 1 and size is not None and found is not None and found < _LEAST:
        yield warn(
            f"{template.owner}: {int(gpus)} GPUs share {size.data} of {_SHM}",
            fix=set_value("sizeLimit", _ENOUGH),
            location=Location(template.manifest.file, size.line, size.column),
        )


def _is_below_shm(mount: Value) -> bool:
    return f"{mount.get_text('mountPath')}/".startswith(f"{_SHM}/")


def _is_medium(name: str) -> bool:
    return name == "Memory" or name.startswith("HugePages")


def _shares_memory(component: Component) -> bool:
    launches = [launch for container in component.containers for launch in container.launches]
    engines = [engine for launch in launches if (engine := detect_engine(launch)) is not None]
    starts = any(not engine.adapts for engine in engines)  # GPUs of the others do not communicate through it
    return starts and component.gpus is not None and component.gpus > 1


def _list_components(manifest: Manifest) -> Iterator[tuple[tuple[int, int], Value]]:
    """The components of a graph by their place, in either API version."""
    services = manifest.root.get("spec", "services")
    older = list(services.mapping.values()) if services is not None else []
    for entry in (*_get_items(manifest.root.get("spec") or Value(None, 1, 1), "components"), *older):
        yield (entry.line, entry.column), entry


def _check_component(graph: Graph, component: Component, entry: Value) -> Iterator[Finding]:
    pod = entry.get("podTemplate", "spec") or entry.get("extraPodSpec")
    own = _find_own_volume(pod)
    host = pod.get("hostIPC") if pod is not None else None
    if host is not None and host.data is True:
        return
    if own is not None:
        medium = own.get("medium")
        if medium is None or not medium.data:
            yield _warn(graph, component, own, f"{_SHM} is a volume on disk", set_value("medium", "Memory"))
            return
    size, place = (own.get("sizeLimit"), own) if own is not None else _read_size(entry)
    fix = _suggest_size(entry, own)
    if own is None and place is not None and size is None:
        yield _warn(graph, component, place, f"{component.gpus} GPUs share 64 MiB of {_SHM}", fix)
    elif size is not None and (found := parse_quantity(size.data)) is not None and found < _LEAST:
        yield _warn(graph, component, size, f"{component.gpus} GPUs share {size.data} of {_SHM}", fix)


def _check_server(recipe: Recipe, server: Graph, component: Component) -> Iterator[Finding]:
    """Judges an engine without Dynamo, for whose pod nobody adds memory."""
    template = find_server_template(recipe, server, component)
    host = template.spec.get("hostIPC") if template is not None else None
    if template is None or (host is not None and host.data is True):
        return
    volume = _find_own_volume(template.spec)
    if volume is None:
        added = template.manifest.group == _RAY or any(map(_is_below_shm, _list_mounts(template.spec)))
        if not template.partial and not added and not any(_check_place(template)):
            starting = next((each for each in component.containers if each.launches), component)
            place = Value(None, starting.line, starting.column)
            edit = add_element(f"{template.path}.volumes", {"name": "shm", "emptyDir": {"medium": "Memory"}})
            problem = f"{component.gpus} GPUs share 64 MiB of {_SHM}"
            yield _warn(server, component, place, problem, f"{edit}   # and mount it at {_SHM}")
        return
    medium, size = volume.get("medium"), volume.get("sizeLimit")
    found = parse_quantity(size.data) if size is not None else None
    if medium is None or not medium.data:
        yield _warn(server, component, volume, f"{_SHM} is a volume on disk", set_value("medium", "Memory"))
    elif size is not None and found is not None and found < _LEAST:
        problem = f"{component.gpus} GPUs share {size.data} of {_SHM}"
        yield _warn(server, component, size, problem, _suggest_size(volume, volume))


def _suggest_size(entry: Value, own: Value | None) -> str:
    if own is not None:
        return set_value("sizeLimit", _ENOUGH)
    older = entry.get("sharedMemory") is not None
    return set_value("sharedMemory", {"size": _ENOUGH}) if older else set_value("sharedMemorySize", _ENOUGH)


def _read_size(entry: Value) -> tuple[Value | None, Value | None]:
    """The configured size and its position; no size if the volume is disabled, neither for the default."""
    new, old = entry.get("sharedMemorySize"), entry.get("sharedMemory")
    if new is not None:
        return (None, new) if parse_quantity(new.data) == 0 else (new, new)
    if old is not None:
        off = old.get("disabled")
        return (None, old) if off is not None and off.data is True else (old.get("size"), old.get("size"))
    return None, None


def _find_own_volume(pod: Value | None) -> Value | None:
    """The emptyDir that a container mounts at /dev/shm."""
    if pod is None:
        return None
    names = {
        _get_text(mount, "name")
        for mount in _list_mounts(pod)
        if str(_get_text(mount, "mountPath")).rstrip("/") == _SHM
    }
    volumes = (volume for volume in _get_items(pod, "volumes") if _get_text(volume, "name") in names)
    return next((empty for volume in volumes if (empty := volume.get("emptyDir")) is not None), None)


def _list_mounts(pod: Value) -> Iterator[Value]:
    main = pod.get("mainContainer")
    named = (container for key in _LISTS for container in _get_items(pod, key))
    for container in (*named, *([main] if main is not None else [])):
        yield from _get_items(container, "volumeMounts")


def _get_items(value: Value, key: str) -> list[Value]:
    found = value.get(key)
    return found.sequence if found is not None else []


def _get_text(value: Value, key: str) -> str | None:
    found = value.get(key)
    return found.text if found is not None else None


def _warn(graph: Graph, component: Component, place: Value, problem: str, fix: str) -> Finding:
    return warn(
        f"{component.name}: {problem}",
        fix=fix,
        location=Location(graph.file, place.line, place.column),
    )
