"""gpu.mig and gpu.dra: MIG layouts of nodes, and devices claimed through Dynamic Resource Allocation."""

import re
from collections import Counter
from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.facts import (
    DRA_DRIVER,
    DeviceClasses,
    GpuNode,
    Nodes,
    Recipe,
    Recipes,
    ResourceSlices,
    list_gpu_nodes,
    list_placements,
)

_GROUP = "resource.k8s.io"
_LAYOUT = "nvidia.com/mig.config"
_STATE = "nvidia.com/mig.config.state"
_PAUSED = "paused-for-mig-change"
_DOMAINS = "compute-domain.nvidia.com"
_DOMAIN_CLASS = "compute-domain-default-channel.nvidia.com"
_DRIVERS = {  # DeviceClass to the DRA driver that serves it
    DRA_DRIVER: DRA_DRIVER,
    "mig.nvidia.com": DRA_DRIVER,
    "vfio.gpu.nvidia.com": DRA_DRIVER,
    _DOMAIN_CLASS: _DOMAINS,
    "compute-domain-daemon.nvidia.com": _DOMAINS,
}
_SLICE = re.compile(r"nvidia\.com/mig-[0-9][0-9cg.]*gb[-+.a-z]*")
_INSTALL = (
    "helm upgrade --install nvidia-dra-driver-gpu nvidia-dra-driver-gpu "
    "--repo https://helm.ngc.nvidia.com/nvidia --namespace nvidia-dra-driver-gpu --create-namespace"
)
_SET_STRATEGY = (
    "kubectl patch clusterpolicies.nvidia.com cluster-policy --type merge "
    """-p '{"spec":{"mig":{"strategy":"mixed"}}}'"""
)
_SHOW_MIG = (
    "kubectl get pods -A -o wide --field-selector spec.nodeName={} | grep -e mig-manager -e device-plugin"
)
_SHOW = "kubectl get pods -A -o wide | grep dra-driver; kubectl get resourceslices"


@check("gpu.mig", title="MIG layouts are applied and match node labels")
def mig(nodes: Nodes, slices: ResourceSlices) -> Iterator[Finding]:
    """When MIG manager cannot apply a layout, the node keeps other slices than were configured.

    With strategy single all slices are equal and offered as nvidia.com/gpu; with mixed each profile has a
    resource of its own. When labels and resources disagree, the device plugin and GPU Feature Discovery are
    configured differently, and pods are scheduled for slices that do not exist.

    Fix: kubectl get nodes -L nvidia.com/mig.strategy,nvidia.com/mig.config,nvidia.com/mig.config.state
    """
    judged = [node for node in list_gpu_nodes(nodes, slices) if _uses_mig(node)]
    if not judged:
        raise Skip("no GPU node uses MIG")
    for node in judged:
        yield from _check_layout(node)
        yield from _check_resources(node)


def _uses_mig(node: GpuNode) -> bool:
    labels = node.node.labels
    sliced = "-MIG-" in node.label or bool(_get_slices(node))
    return (
        labels.get(_LAYOUT, "all-disabled") != "all-disabled"
        or labels.get(_STATE, "success") != "success"
        or sliced
    )


def _get_slices(node: GpuNode) -> dict[str, int]:
    """The node's capacity of each MIG resource, without those of 0; `.shared` ones count with the others."""
    slices: Counter[str] = Counter()
    for name, amount in node.node.gpu_capacity.items():
        if amount and _SLICE.fullmatch(name):
            slices[name.removesuffix(".shared")] += amount
    return slices


def _check_layout(node: GpuNode) -> Iterator[Finding]:
    """Compare the layout that MIG manager reports with the one that is configured."""
    subject = Subject("Node", node.name)
    layout = node.node.labels.get(_LAYOUT, "")
    state = node.node.labels.get(_STATE, "success")
    evidence = {"mig.config": layout, "mig.config.state": state}
    logs = (
        f"kubectl get pods -A -l app=nvidia-mig-manager --field-selector spec.nodeName={node.name}"
        "   # and look at its logs"
    )
    if state == "failed":
        message = f"MIG manager could not apply the layout {layout or '(none configured)'}"
        yield fail(message, fix=logs, evidence=evidence, subject=subject)
    elif state in ("pending", "rebooting"):
        # It waits for another value of its label when it was broken off: NVIDIA/gpu-operator#2833.
        paused = any(value == _PAUSED for value in node.node.labels.values())
        retry = f"kubectl label node {node.name} {_LAYOUT}=all-disabled --overwrite   # then {layout} again"
        yield warn(
            f"MIG manager is applying the layout {layout} ({state}); its GPUs are unavailable meanwhile"
            + ("; what uses its GPUs is paused, for good if MIG manager gave up" if paused else ""),
            fix=retry if paused else f"kubectl get node {node.name} -L {_STATE} -w",
            evidence=evidence,
            subject=subject,
        )
    elif state != "success":
        yield warn(f"MIG layout state is {state}", fix=logs, evidence=evidence, subject=subject)
    if node.label.endswith("-MIG-INVALID"):
        yield fail(
            "MIG is on, but its GPUs have no slices or different ones; strategy single needs equal slices on "
            "all GPUs and offers nothing now",
            fix=f"kubectl label node {node.name} {_LAYOUT}=LAYOUT --overwrite   # all-disabled turns MIG off",
            evidence={"product": node.label, "allocatable": 0, **evidence},
            subject=subject,
        )


def _check_resources(node: GpuNode) -> Iterator[Finding]:
    """Compare the MIG resources that the kubelet reports with the strategy by the node's labels."""
    labels, subject = node.node.labels, Subject("Node", node.name)
    strategy = labels.get("nvidia.com/mig.strategy", "")
    layout = labels.get(_LAYOUT, "all-disabled")
    offered = _get_slices(node)
    if offered and strategy == "single":
        yield warn(
            "offers MIG resources (nvidia.com/mig-*), but its labels say strategy single",
            fix="kubectl get clusterpolicies.nvidia.com -o jsonpath='{.items[*].spec.mig.strategy}'",
            evidence={"strategy": strategy, "capacity": offered},
            subject=subject,
        )
    applied = layout != "all-disabled" and labels.get(_STATE, "success") == "success"
    if applied and not offered and "-MIG-" not in node.label:
        yield warn(
            f"has the MIG layout {layout}, but offers no MIG slice"
            + (f" with strategy {strategy}" if strategy else ""),
            fix=_SET_STRATEGY if strategy == "none" else _SHOW_MIG.format(node.name),
            evidence={"strategy": strategy, "product": node.label},
            subject=subject,
        )
    elif strategy == "mixed":
        yield from _check_slice_counts(node, offered)


def _check_slice_counts(node: GpuNode, offered: dict[str, int]) -> Iterator[Finding]:
    """Compare the labels NAME.count times NAME.replicas with the capacity of each MIG resource."""
    labels = node.node.labels
    counted = {key.removesuffix(".count") for key in labels if key.endswith(".count")}
    for name in sorted({name for name in counted if _SLICE.fullmatch(name)} | offered.keys()):
        count, replicas = labels.get(f"{name}.count", "0"), labels.get(f"{name}.replicas", "1")
        capacity = offered.get(name, 0)
        known = count.isdecimal() and replicas.isdecimal()
        labelled = int(count) * max(1, int(replicas)) if known else capacity
        if labelled != capacity:
            yield warn(
                f"has {capacity} {name} by its kubelet, {labelled} by its labels",
                fix=f"kubectl describe node {node.name}",
                evidence={"labelled": labelled, "capacity": capacity},
                subject=Subject("Node", node.name),
            )


def _is_of_driver(cause: Finding, effect: Finding) -> bool:
    """No node offers devices, since the driver has no ready pod."""
    down = cause.evidence.get("operand") == "DRA driver" and cause.evidence.get("ready") == 0
    return down and effect.evidence.get("offered") == 0


@check(
    "gpu.dra",
    title="DRA claims have a DeviceClass and a driver",
    explained_by={"gpu.operands": _is_of_driver},
)
def dra(classes: DeviceClasses, slices: ResourceSlices, recipes: Recipes | None) -> Iterator[Finding]:
    """A pod with a ResourceClaim stays Pending when the claim's DeviceClass does not exist or no node offers
    devices of it. A ComputeDomain, for NVLink across nodes, makes such a claim too.

    Dynamic Resource Allocation is stable and on by default since Kubernetes 1.34. It is not required where
    neither the cluster nor a recipe uses it.

    Fix: kubectl get deviceclasses; kubectl get resourceslices
    """
    claimed = [claim for recipe in recipes or () for claim in _find_device_classes(recipe)]
    foreign = list(_find_foreign_claims(recipes))
    known = sorted(set(_DRIVERS) & set(classes))
    offered = {s.driver for s in slices if s.devices}
    if not claimed and not foreign and not known and not offered & set(_DRIVERS.values()):
        raise Skip("neither the cluster nor a recipe uses DRA for GPUs")
    if (claimed or foreign) and not classes.versions:
        for name, location in (*claimed, *foreign):
            yield fail(
                f"claims a device of {name}, but the cluster does not serve {_GROUP}",
                fix="use Kubernetes 1.34 or newer, or enable the feature gate DynamicResourceAllocation",
                location=location,
            )
        return
    for name, location in claimed:
        yield from _check_claim(name, location, classes, offered)
    for name, location in foreign:
        yield warn(
            f"claims through {name}, which is not in the recipe; its DeviceClass is unknown",
            fix=f"kubectl get resourceclaimtemplates,resourceclaims -A | grep {name}",
            location=location,
        )
    if not claimed:
        yield from _report_idle_classes(known, offered)


def _check_claim(
    name: str, location: Location, classes: DeviceClasses, offered: set[str]
) -> Iterator[Finding]:
    """Fail a claim of a DeviceClass that does not exist, or whose driver offers no device."""
    driver = _DRIVERS.get(name)
    if name not in set(classes):
        yield fail(
            f"claims a device of DeviceClass {name}, which does not exist",
            fix=_INSTALL if driver else "kubectl get deviceclasses",
            evidence={"classes": list(classes)},
            location=location,
        )
    elif driver and driver not in offered:
        yield fail(
            f"claims a device of DeviceClass {name}, but no node offers devices of {driver}",
            fix=_SHOW,
            evidence={"offered": 0, "lacking": [f"{name} (DRA)"]},
            location=location,
        )


def _report_idle_classes(known: list[str], offered: set[str]) -> Iterator[Finding]:
    for driver in sorted({_DRIVERS[name] for name in known} - offered):
        name = next(name for name in known if _DRIVERS[name] == driver)
        yield warn(
            f"exists, but no node offers devices of {driver}: a claim of it stays Pending",
            fix=_SHOW,
            evidence={"offered": 0},
            subject=Subject("DeviceClass", name),
        )
    if DRA_DRIVER in offered and DRA_DRIVER not in known:
        yield warn(
            f"does not exist, but nodes offer devices of {DRA_DRIVER}: claims cannot name their class",
            fix=_INSTALL,
            subject=Subject("DeviceClass", DRA_DRIVER),
        )


def _find_device_classes(recipe: Recipe) -> Iterator[tuple[str, Location]]:
    """Each DeviceClass that a recipe's claims name, with its location."""
    for manifest in recipe.manifests:
        if manifest.group == _GROUP and manifest.kind in ("ResourceClaim", "ResourceClaimTemplate"):
            for value in manifest.root.find_all("deviceClassName"):
                if value.text:
                    yield value.text, Location(manifest.file, value.line, value.column)
        elif manifest.kind == "ComputeDomain":
            yield _DOMAIN_CLASS, Location(manifest.file, manifest.root.line, manifest.root.column)


def _find_foreign_claims(recipes: Recipes | None) -> Iterator[tuple[str, Location]]:
    """Each pod claim that no manifest of the recipe declares, with the location of its component."""
    declared = {name for recipe in recipes or () for name in _find_declared_claims(recipe)}
    for graph, component, placement in list_placements(recipes or ()):
        for name in placement.claims:
            if name not in declared:
                yield name, Location(graph.file, component.line, component.column)


def _find_declared_claims(recipe: Recipe) -> Iterator[str]:
    """The names of claims and templates in a recipe, and of the templates that its ComputeDomains create."""
    for manifest in recipe.manifests:
        if manifest.group == _GROUP:
            yield manifest.name
        elif manifest.kind == "ComputeDomain":
            template = manifest.root.get("spec", "channel", "resourceClaimTemplate", "name")
            yield (template.text if template else None) or ""
