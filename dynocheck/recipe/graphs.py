"""Builds the typed model of a graph, or of a component that is deployed alone, with positions.

v1alpha1 has a map of `services` with its own fields for resources, volumes and variables around a pod spec;
v1beta1 has a list of `components` around a pod template. Variables override each other as in the operator:
container over component over graph.
"""

from collections.abc import Iterable, Iterator, Mapping

from dynocheck.facts import (
    LIMITS_ANNOTATION,
    Claim,
    Component,
    Container,
    Graph,
    Manifest,
    Mount,
    Value,
    Word,
)
from dynocheck.recipe.pods import NOTHING, DefaultCommand, PodReader
from dynocheck.recipe.resources import (
    collect_extended,
    count_gpus,
    deduplicate_claims,
    list_gpu_places,
    list_pod_gpu_places,
    read_integer,
)
from dynocheck.recipe.servers import find_image_command
from dynocheck.recipe.volumes import Volume, read_component_volumes, read_items, read_sidecars

# The commands that the operator gives the main container of a component.
_FRONTEND = DefaultCommand(("python3",), ("-m", "dynamo.frontend"))
_WORKER = DefaultCommand(("/bin/sh", "-c"))
_DEFAULTS = {"frontend": _FRONTEND, "planner": DefaultCommand(), "epp": DefaultCommand()}
_GROVE = "nvidia.com/enable-grove"
_QUEUE = "nvidia.com/kai-scheduler-queue"
_DEFAULT_QUEUE = "dynamo"


def is_graph(manifest: Manifest) -> bool:
    return manifest.kind == "DynamoGraphDeployment" and manifest.group == "nvidia.com"


def build_graph(manifest: Manifest, reader: PodReader) -> Graph:
    """The typed model of a graph's manifest."""
    spec = manifest.root.get("spec") or NOTHING
    name = manifest.root.get("metadata", "name") or manifest.root
    legacy = manifest.api_version.endswith("/v1alpha1")
    annotations = manifest.root.get("metadata", "annotations") or NOTHING
    limits = annotations.get(LIMITS_ANNOTATION)
    if legacy:
        components = _read_services((spec.get("services") or NOTHING).mapping, spec, reader)
    else:
        components = _read_components(read_items(spec, "components"), spec, reader)
    return Graph(
        file=manifest.file,
        name=manifest.name,
        api_version=manifest.api_version,
        framework=spec.get_text("backendFramework") or None,
        components=tuple(components),
        limits=Word(limits.text, limits.line, limits.column) if limits is not None else None,
        uses_grove=annotations.get_text(_GROVE).lower() != "false",
        queue=annotations.get_text(_QUEUE) or _DEFAULT_QUEUE,
        line=name.line,
        column=name.column,
    )


def is_component(manifest: Manifest) -> bool:
    """Whether it is a DynamoComponentDeployment that no graph has made."""
    owners = manifest.root.get_items("metadata", "ownerReferences")
    made = any(owner.get_text("kind") == "DynamoGraphDeployment" for owner in owners)
    return manifest.kind == "DynamoComponentDeployment" and manifest.group == "nvidia.com" and not made


def build_component(manifest: Manifest, reader: PodReader) -> Graph:
    """A component that is deployed alone, as a deployment of one component."""
    spec = manifest.root.get("spec") or NOTHING
    name = manifest.root.get("metadata", "name") or manifest.root
    if manifest.api_version.endswith("/v1alpha1"):
        called = spec.get_text("serviceName") or manifest.name
        components = _read_services({called: spec}, NOTHING, reader)
    else:
        components = _read_components([spec], NOTHING, reader)
    return Graph(
        file=manifest.file,
        name=manifest.name,
        api_version=manifest.api_version,
        framework=spec.get_text("backendFramework") or None,
        components=tuple(components),
        kind=manifest.kind,
        line=name.line,
        column=name.column,
    )


def _read_services(services: Mapping[str, Value], graph: Value, reader: PodReader) -> Iterator[Component]:
    """The components of v1alpha1, with the variables of the graph around them."""
    for name, service in services.items():
        pod = service.get("extraPodSpec") or NOTHING
        main = pod.get("mainContainer") or Value({}, service.line, service.column)
        role = service.get_text("componentType")
        if role == "worker" and service.get_text("subComponentType") in ("prefill", "decode"):
            role = service.get_text("subComponentType")
        mountable = read_component_volumes(pod, main)
        claims = [_build_claim_mount(entry) for entry in read_items(service, "volumeMounts")]
        container = reader.read_container(
            main,
            mountable,
            outer=[*read_items(graph, "envs"), *read_items(service, "envs")],
            mounts=claims,
            name="main",
            defaults=_DEFAULTS.get(role, _WORKER),
            runtime=service.get_text("runtimeVersionOverride"),
        )
        sidecars = [c for c in read_items(pod, "containers") if c.get_text("name") != "main"]
        front = service.get("frontendSidecar")
        fronts = [front] if front is not None and front.mapping else []
        requested = [[service.get("resources"), main.get("resources")]]
        yield Component(
            name=name,
            role=role,
            replicas=read_integer(service.get("replicas"), 1),
            nodes=_count_nodes(service),
            gpus=count_gpus(
                [*requested, *([c.get("resources")] for c in (*sidecars, *read_sidecars(pod)))],
                read_items(pod, "resourceClaims"),
            ),
            containers=(
                container,
                *(reader.read_container(sidecar, mountable) for sidecar in sidecars),
                *_read_sidecars(pod, mountable, reader),
                *(
                    reader.read_container(each, mountable, name="sidecar-frontend", defaults=_FRONTEND)
                    for each in fronts
                ),
            ),
            claims=deduplicate_claims([*claims, *(volume.mount for volume in mountable.values())]),
            sidecar=service.get("frontendSidecar") is not None,
            resources=collect_extended(
                [service.get("resources"), *(c.get("resources") for c in (main, *read_sidecars(pod)))]
            ),
            gpu_places=(
                *(
                    place
                    for path in ("resources", "extraPodSpec.mainContainer.resources")
                    for place in list_gpu_places(path, service.get(*path.split(".")))
                ),
                *list_pod_gpu_places("extraPodSpec", (), read_sidecars(pod)),
            ),
            line=service.line,
            column=service.column,
        )


def _read_components(components: Iterable[Value], graph: Value, reader: PodReader) -> Iterator[Component]:
    """The components of v1beta1, with the variables of the graph around them."""
    for component in components:
        pod = component.get("podTemplate", "spec") or NOTHING
        role = component.get_text("type")
        sources = read_items(pod, "containers") or [Value({}, component.line, component.column)]
        main = next((c for c in sources if c.get_text("name") == "main"), sources[0])
        mountable = read_component_volumes(pod, main)
        container = reader.read_container(
            main,
            mountable,
            outer=read_items(graph, "env"),
            name="main",
            defaults=_DEFAULTS.get(role, _WORKER),
            runtime=component.get_text("runtimeVersionOverride"),
        )
        cache = component.get("compilationCache", "pvcName")
        cached = [Mount("", "claim", cache.text or "", cache.line, cache.column)] if cache else []
        yield Component(
            name=component.get_text("name"),
            role=role,
            replicas=read_integer(component.get("replicas"), 1),
            nodes=_count_nodes(component),
            gpus=count_gpus(
                [[c.get("resources")] for c in (*sources, *read_sidecars(pod))],
                read_items(pod, "resourceClaims"),
            ),
            containers=(
                *(container if c is main else reader.read_container(c, mountable) for c in sources),
                *_read_sidecars(pod, mountable, reader),
            ),
            claims=deduplicate_claims([*(volume.mount for volume in mountable.values()), *cached]),
            sidecar=component.get("frontendSidecar") is not None,
            resources=collect_extended([c.get("resources") for c in (main, *read_sidecars(pod))]),
            gpu_places=list_pod_gpu_places("podTemplate.spec", sources, read_sidecars(pod)),
            line=component.line,
            column=component.column,
        )


def _read_sidecars(pod: Value, volumes: Mapping[str, Volume], reader: PodReader) -> Iterator[Container]:
    """The init containers that run beside a component's main container: its engine, if that is a sidecar."""
    for each in read_sidecars(pod):
        yield reader.read_container(each, volumes, defaults=find_image_command(each))


def _count_nodes(component: Value) -> int:
    multinode = component.get("multinode")
    return read_integer(multinode.get("nodeCount"), 2) if multinode is not None else 1


def _build_claim_mount(entry: Value) -> Mount:
    """The mount of an entry of a v1alpha1 component's `volumeMounts`, whose name is that of a claim."""
    name = entry.get("name") or entry
    return Mount(entry.get_text("mountPoint"), "claim", name.text or "", name.line, name.column)


def find_created_claims(manifest: Manifest) -> Iterator[Claim]:
    """The claims that the operator creates for a v1alpha1 graph."""
    for entry in read_items(manifest.root, "spec", "pvcs"):
        create = entry.get("create")
        if create is not None and create.data is True:
            yield Claim(
                file=manifest.file,
                name=entry.get_text("name"),
                storage_class=entry.get_text("storageClass") or None,
                access_modes=tuple(filter(None, [entry.get_text("volumeAccessMode")])),
                size=entry.get_text("size") or None,
                line=entry.line,
                column=entry.column,
            )
