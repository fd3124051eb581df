"""What a pod requests: its GPUs, its other extended resources, and its claims."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from dynocheck.facts import Mount, Value

_NVIDIA = "nvidia.com/gpu"


def read_integer(value: Value | None, default: int) -> int:
    """A whole number, quoted or not; the default if it is missing or not one."""
    number = _parse_amount(value) if value is not None else None
    return default if number is None else number


def _parse_amount(value: Value) -> int | None:
    """A whole number, quoted or not; None if it is not one."""
    if isinstance(value.data, str):
        digits = value.data.strip()
        return int(digits) if digits.isdecimal() and len(digits) < 10 else None
    return value.data if isinstance(value.data, int) and not isinstance(value.data, bool) else None


def count_gpus(containers: Iterable[Sequence[Value | None]], claims: Iterable[Value]) -> int | None:
    """The GPUs that a pod requests; None if it uses a resource claim, or an amount is not a number.

    The channel of a ComputeDomain is a claim without GPUs.

    :param containers: the `resources` of each container; of several, the last one takes precedence.
    """
    requested = [amount for resources in containers for amount in _find_gpu_amounts(resources)]
    amounts = [_parse_amount(value) for value in requested]
    if None in amounts or (not requested and any(map(_brings_gpus, claims))):
        return None
    return sum(amount for amount in amounts if amount is not None)


def list_gpu_places(path: str, resources: Value | None) -> Iterator[str]:
    """The fields of `resources` that count GPUs."""
    for side in ("limits", "requests"):
        for holder in (side, f"{side}.custom"):
            amounts = resources.get(*holder.split(".")) if resources is not None else None
            for key in amounts.mapping if amounts is not None else ():
                if _is_gpu(key) or key == "gpu":
                    yield f"{path}.{holder}{f'.{key}' if key == 'gpu' else f'[{key}]'}"


def list_pod_gpu_places(
    path: str, containers: Iterable[Value], sidecars: Iterable[Value] = ()
) -> tuple[str, ...]:
    """The fields that count GPUs in the containers, and the init containers, of the pod at a path."""
    named = [(each, "containers") for each in containers] + [(each, "initContainers") for each in sidecars]
    return tuple(
        place
        for each, field in named
        for place in list_gpu_places(
            f"{path}.{field}[{each.get_text('name')}].resources", each.get("resources")
        )
    )


def _find_gpu_amounts(resources: Sequence[Value | None]) -> list[Value]:
    for side in ("limits", "requests"):
        by_resource: dict[str, Value] = {}
        for resource in resources:
            amounts = resource.get(side) if resource is not None else None
            by_resource.update(_select_gpus(amounts) if amounts is not None else {})
        if by_resource:
            return list(by_resource.values())
    return []


def _select_gpus(amounts: Value) -> dict[str, Value]:
    """The GPUs among `limits` or `requests` by resource name; v1alpha1 abbreviates it to `gpu`."""
    custom = amounts.get("custom")
    entries = {**amounts.mapping, **(custom.mapping if custom else {})}
    short = amounts.get_text("gpuType") or _NVIDIA
    named = {short if key == "gpu" else key: amount for key, amount in entries.items()}
    return {
        key: amount for key, amount in named.items() if _is_gpu(key) or (key == short and "gpu" in entries)
    }


def _is_gpu(resource: str) -> bool:
    return resource.endswith("/gpu") or resource.startswith(
        (f"{_NVIDIA}.", "nvidia.com/mig-", "gpu.intel.com/")
    )


def _brings_gpus(claim: Value) -> bool:
    names = (claim.get_text(key) for key in ("name", "resourceClaimTemplateName", "resourceClaimName"))
    return not any("compute-domain" in name for name in names)


def collect_extended(resources: Iterable[Value | None]) -> dict[str, str]:
    """Extended resources except GPUs, the first amount of each; v1alpha1 may have them under `custom`."""
    extended: dict[str, str] = {}
    for resource in resources:
        for side in ("limits", "requests"):
            amounts = resource.get(side) if resource else None
            custom = amounts.get("custom") if amounts else None
            for group in (amounts, custom):
                for key, amount in (group.mapping if group else {}).items():
                    if "/" in key and not _is_gpu(key) and not isinstance(amount.data, (dict, list)):
                        extended.setdefault(key, str(amount.data))
    return extended


def deduplicate_claims(mounts: Iterable[Mount]) -> tuple[Mount, ...]:
    """Each mounted claim once, without its path."""
    unique: dict[str, Mount] = {}
    for mount in mounts:
        if mount.source == "claim" and mount.name:
            unique.setdefault(mount.name, msgspec.structs.replace(mount, path=""))
    return tuple(unique.values())
