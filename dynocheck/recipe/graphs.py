"""A DynamoGraphDeployment of either API version as one typed model, positions kept.

v1alpha1 keeps a map of `services` with its own spelling of resources, volumes and variables around a
pod spec; v1beta1 keeps a list of `components` around a plain pod template. Which variable wins where
several levels set it follows the operator: container over component over graph.
"""

from collections.abc import Iterable, Iterator

from dynocheck.facts.recipe import Claim, Component, Graph, Manifest, Mount, Value
from dynocheck.recipe.pods import NOTHING, Reader, items, text, volumes

_FRONTEND = "dynamo.frontend"  # what the operator runs in a frontend that says nothing


def is_graph(manifest: Manifest) -> bool:
    return manifest.kind == "DynamoGraphDeployment" and manifest.group == "nvidia.com"


def graph(manifest: Manifest, reader: Reader) -> Graph:
    """The typed model of a graph's manifest."""
    spec = manifest.root.get("spec") or NOTHING
    name = manifest.root.get("metadata", "name") or manifest.root
    legacy = manifest.api_version.endswith("/v1alpha1")
    components = _services(spec, reader) if legacy else _components(spec, reader)
    return Graph(
        file=manifest.file,
        name=manifest.name,
        api_version=manifest.api_version,
        framework=text(spec, "backendFramework") or None,
        components=tuple(components),
        line=name.line,
        column=name.column,
    )


def _services(spec: Value, reader: Reader) -> Iterator[Component]:
    """v1alpha1."""
    services = spec.get("services")
    for name, service in services.mapping.items() if services else ():
        pod = service.get("extraPodSpec") or NOTHING
        main = pod.get("mainContainer") or Value({}, service.line, service.column)
        role = text(service, "componentType")
        if role == "worker" and text(service, "subComponentType") in ("prefill", "decode"):
            role = text(service, "subComponentType")
        mountable = volumes(pod)
        claims = [_claim_mount(entry) for entry in items(service, "volumeMounts")]
        container = reader.container(
            main,
            mountable,
            outer=[*items(spec, "envs"), *items(service, "envs")],
            mounts=claims,
            name="main",
            default_module=_FRONTEND if role == "frontend" else None,
        )
        sidecars = [reader.container(sidecar, mountable) for sidecar in items(pod, "containers")]
        yield Component(
            name=name,
            role=role,
            replicas=_integer(service.get("replicas"), 1),
            nodes=_integer(service.get("multinode", "nodeCount"), 1),
            gpus=_gpus([service.get("resources"), main.get("resources")], items(pod, "resourceClaims")),
            containers=(container, *sidecars),
            claims=_claims([*claims, *mountable.values()]),
            sidecar=service.get("frontendSidecar") is not None,
            resources=_extended([service.get("resources"), main.get("resources")]),
            line=service.line,
            column=service.column,
        )


def _components(spec: Value, reader: Reader) -> Iterator[Component]:
    """v1beta1."""
    for component in items(spec, "components"):
        pod = component.get("podTemplate", "spec") or NOTHING
        role = text(component, "type")
        default = _FRONTEND if role == "frontend" else None
        mountable = volumes(pod)
        sources = items(pod, "containers")
        main = next((c for c in sources if text(c, "name") == "main"), sources[0] if sources else None)
        multinode = component.get("multinode")
        cache = component.get("compilationCache", "pvcName")
        cached = [Mount("", "claim", cache.text or "", cache.line, cache.column)] if cache else []
        yield Component(
            name=text(component, "name"),
            role=role,
            replicas=_integer(component.get("replicas"), 1),
            nodes=_integer(multinode.get("nodeCount"), 2) if multinode else 1,
            gpus=_gpus([main.get("resources") if main else None], items(pod, "resourceClaims")),
            containers=tuple(
                reader.container(
                    source,
                    mountable,
                    outer=items(spec, "env"),
                    default_module=default if source is main else None,
                )
                for source in sources
            ),
            claims=_claims([*mountable.values(), *cached]),
            sidecar=component.get("frontendSidecar") is not None,
            resources=_extended([main.get("resources") if main else None]),
            line=component.line,
            column=component.column,
        )


def _integer(value: Value | None, default: int) -> int:
    data = value.data if value else None
    if isinstance(data, str) and data.strip().isdecimal() and len(data) < 10:
        return int(data)
    return data if isinstance(data, int) and not isinstance(data, bool) else default


def _is_gpu(resource: str) -> bool:
    vendors = ("nvidia.com/mig-", "gpu.intel.com/")
    return resource == "gpu" or resource.endswith("/gpu") or resource.startswith(vendors)


def _gpus(resources: Iterable[Value | None], claims: list[Value]) -> int | None:
    """GPUs per node, by whatever key they are asked; None when they come by a resource claim.

    The channel of a ComputeDomain is a claim too, but brings no GPU.
    """
    for resource in resources:
        for side in ("limits", "requests"):
            amounts = resource.get(side) if resource else None
            if amounts is None:
                continue
            custom = amounts.get("custom")
            entries = {**amounts.mapping, **(custom.mapping if custom else {})}
            found = [_integer(amount, 0) for key, amount in entries.items() if _is_gpu(key)]
            if found:
                return sum(found)
    by_claim = any("compute-domain" not in text(claim, "name") for claim in claims)
    return None if by_claim else 0


def _extended(resources: Iterable[Value | None]) -> dict[str, str]:
    """Extended resources but GPUs, the first that is said of each; v1alpha1 may say them under `custom`."""
    found: dict[str, str] = {}
    for resource in resources:
        for side in ("limits", "requests"):
            amounts = resource.get(side) if resource else None
            custom = amounts.get("custom") if amounts else None
            for group in (amounts, custom):
                for key, amount in (group.mapping if group else {}).items():
                    if "/" in key and not _is_gpu(key) and not isinstance(amount.data, (dict, list)):
                        found.setdefault(key, str(amount.data))
    return found


def _claim_mount(entry: Value) -> Mount:
    """An entry of a v1alpha1 component's `volumeMounts`: its name is the claim's."""
    name = entry.get("name") or entry
    return Mount(text(entry, "mountPoint"), "claim", name.text or "", name.line, name.column)


def _claims(mounts: Iterable[Mount]) -> tuple[Mount, ...]:
    unique: dict[str, Mount] = {}
    for mount in mounts:
        if mount.source == "claim" and mount.name:
            unique.setdefault(mount.name, mount)
    return tuple(unique.values())


def created_claims(manifest: Manifest) -> Iterator[Claim]:
    """The claims that a v1alpha1 graph has the operator create."""
    for entry in items(manifest.root, "spec", "pvcs"):
        create = entry.get("create")
        if create is not None and create.data is True:
            yield Claim(
                file=manifest.file,
                name=text(entry, "name"),
                storage_class=text(entry, "storageClass"),
                access_modes=(text(entry, "volumeAccessMode"),),
                line=entry.line,
                column=entry.column,
            )
