"""Whether GPUs that are cut into slices, or handed out by claim, are so as their nodes say."""

import re
from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.facts import Nodes, Recipes, ResourceSlices
from dynocheck.facts.k8s.gpu import DRA_DRIVER, DeviceClasses, GpuNode, list_gpu_nodes
from dynocheck.facts.k8s.scheduling_constraints import list_placements
from dynocheck.facts.recipe.recipes import Manifest, Recipe

_GROUP = "resource.k8s.io"
_DOMAINS = "compute-domain.nvidia.com"
_DOMAIN_CLASS = "compute-domain-default-channel.nvidia.com"
_DRIVERS = {  # the driver behind each DeviceClass of NVIDIA's DRA driver
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
_SHOW = "kubectl get pods -A -o wide | grep dra-driver; kubectl get resourceslices"


@check("gpu.mig", title="MIG layouts are applied and offered as labelled")
def mig(nodes: Nodes, slices: ResourceSlices) -> Iterator[Finding]:
    """A layout that MIG manager could not apply leaves the node with other slices than were asked for.

    With the strategy single all slices are alike and go by nvidia.com/gpu; with mixed each kind has its own
    resource. Where labels and resources tell different stories, the device plugin and GPU Feature Discovery
    are configured differently, and the scheduler sees what is not there.

    Fix: kubectl get nodes -L nvidia.com/mig.strategy,nvidia.com/mig.config,nvidia.com/mig.config.state
    """
    judged = [node for node in list_gpu_nodes(nodes, slices) if _uses_mig(node)]
    if not judged:
        raise Skip("no GPU node uses MIG")
    for each in judged:
        yield from _check_layout(each)
        yield from _check_offer(each)


def _uses_mig(each: GpuNode) -> bool:
    labels = each.node.labels
    layout = labels.get("nvidia.com/mig.config", "all-disabled")
    state = labels.get("nvidia.com/mig.config.state", "success")
    sliced = "-MIG-" in each.label or any(amount for _, amount in _list_slices(each))
    return layout != "all-disabled" or state != "success" or sliced


def _list_slices(each: GpuNode) -> list[tuple[str, int]]:
    """The MIG resources that the node has, with their amounts."""
    amounts = each.node.gpu_capacity.items()
    return [(name.removesuffix(".shared"), amount) for name, amount in amounts if _SLICE.fullmatch(name)]


def _check_layout(each: GpuNode) -> Iterator[Finding]:
    labels, subject = each.node.labels, Subject("Node", each.name)
    layout = labels.get("nvidia.com/mig.config", "")
    state = labels.get("nvidia.com/mig.config.state", "success")
    evidence = {"mig.config": layout, "mig.config.state": state}
    manager = f"kubectl get pods -A -l app=nvidia-mig-manager --field-selector spec.nodeName={each.name}"
    logs = f"{manager}   # and look at its logs"
    if state == "failed":
        yield fail(
            f"MIG manager could not apply the layout {layout or 'that was asked for'}",
            fix=logs,
            evidence=evidence,
            subject=subject,
        )
    elif state in ("pending", "rebooting"):
        yield warn(
            f"MIG manager is applying the layout {layout} ({state}): its GPUs are not to be had meanwhile",
            fix=f"kubectl get node {each.name} -L nvidia.com/mig.config.state -w",
            evidence=evidence,
            subject=subject,
        )
    elif state != "success":
        yield warn(f"the state of its MIG layout is {state}", fix=logs, evidence=evidence, subject=subject)
    if each.label.endswith("-MIG-INVALID"):
        yield fail(
            "its GPUs are not all cut alike, which the strategy single needs: no slice is offered",
            fix=f"kubectl label node {each.name} nvidia.com/mig.config=LAYOUT --overwrite",
            evidence={"product": each.label, **evidence},
            subject=subject,
        )


def _check_offer(each: GpuNode) -> Iterator[Finding]:
    labels, subject = each.node.labels, Subject("Node", each.name)
    strategy = labels.get("nvidia.com/mig.strategy", "")
    layout = labels.get("nvidia.com/mig.config", "all-disabled")
    fix = "kubectl get clusterpolicies.nvidia.com -o jsonpath='{.items[*].spec.mig.strategy}'"
    offered = {name: amount for name, amount in _list_slices(each) if amount}
    if offered and strategy == "single":
        yield warn(
            "offers MIG resources of their own, while its labels say strategy single",
            fix=fix,
            evidence={"strategy": strategy, "capacity": offered},
            subject=subject,
        )
    if not offered and strategy == "none" and layout != "all-disabled":
        yield warn(
            f"has the MIG layout {layout}, and its strategy none offers no slice of it",
            fix="kubectl patch clusterpolicies.nvidia.com cluster-policy --type merge "
            """-p '{"spec":{"mig":{"strategy":"mixed"}}}'""",
            evidence={"strategy": strategy},
            subject=subject,
        )
    if strategy == "mixed":
        counted = {key.removesuffix(".count") for key in labels if _is_slice_count(key)}
        for name in sorted(counted | offered.keys()):
            labelled, there = labels.get(f"{name}.count", "0"), offered.get(name, 0)
            shared = labels.get(f"{name}.replicas", "1")
            wanted = int(labelled) * max(1, int(shared)) if (labelled + shared).isdecimal() else there
            if wanted != there:
                yield warn(
                    f"its labels count {wanted} {name}, its kubelet reports {there}",
                    fix=f"kubectl describe node {each.name}",
                    evidence={"labelled": wanted, "capacity": there},
                    subject=subject,
                )


def _is_slice_count(key: str) -> bool:
    return key.endswith(".count") and _SLICE.fullmatch(key.removesuffix(".count")) is not None


@check("gpu.dra", title="What is claimed through DRA has a class and somebody who offers it")
def dra(classes: DeviceClasses, slices: ResourceSlices, recipes: Recipes | None) -> Iterator[Finding]:
    """A pod with a ResourceClaim stays Pending when the DeviceClass that the claim names is not there, or
    when no node offers devices of it. A ComputeDomain, for NVLink across nodes, is such a claim too.

    Dynamic Resource Allocation is stable and on by default since Kubernetes 1.34. Where neither the cluster
    nor a recipe uses it, nothing is missing.

    Fix: kubectl get deviceclasses; kubectl get resourceslices
    """
    asked = [found for recipe in recipes or () for found in _find_device_classes(recipe)]
    foreign = list(_find_foreign_claims(recipes))
    relevant = sorted(set(_DRIVERS) & set(classes))
    offered = {s.driver for s in slices if s.devices}
    if not asked and not foreign and not relevant and not offered & set(_DRIVERS.values()):
        raise Skip("neither the cluster nor a recipe uses DRA for GPUs")
    if (asked or foreign) and not classes.versions:
        for name, place in (*asked, *foreign):
            yield fail(
                f"claims a device of {name}, and the cluster serves no {_GROUP}",
                fix="use Kubernetes 1.34 or newer, or switch the feature DynamicResourceAllocation on",
                location=place,
            )
        return
    for name, place in asked:
        driver = _DRIVERS.get(name)
        if name not in set(classes):
            yield fail(
                f"claims a device of the DeviceClass {name}, which does not exist",
                fix=_INSTALL if driver else "kubectl get deviceclasses",
                evidence={"classes": list(classes)},
                location=place,
            )
        elif driver and driver not in offered:
            yield fail(
                f"claims a device of the DeviceClass {name}, and no node offers devices of {driver}",
                fix=_SHOW,
                location=place,
            )
    for name, place in foreign:
        yield warn(
            f"claims by {name}, which the recipe does not bring: what it asks for is not known here",
            fix=f"kubectl get resourceclaimtemplates,resourceclaims -A | grep {name}",
            location=place,
        )
    if not asked:
        yield from _report_idle(relevant, offered)


def _report_idle(relevant: list[str], offered: set[str]) -> Iterator[Finding]:
    for driver in sorted({_DRIVERS[name] for name in relevant} - offered):
        name = next(each for each in relevant if _DRIVERS[each] == driver)
        yield warn(
            f"exists, and no node offers devices of {driver}: a claim of it stays Pending",
            fix=_SHOW,
            subject=Subject("DeviceClass", name),
        )
    if DRA_DRIVER in offered and DRA_DRIVER not in relevant:
        yield warn(
            f"does not exist, and nodes offer devices of {DRA_DRIVER}: no claim can ask for them by class",
            fix=_INSTALL,
            subject=Subject("DeviceClass", DRA_DRIVER),
        )


def _find_device_classes(recipe: Recipe) -> Iterator[tuple[str, Location]]:
    """The DeviceClasses that a recipe's claims name, each with its place."""
    for manifest in recipe.manifests:
        if manifest.group == _GROUP and manifest.kind in ("ResourceClaim", "ResourceClaimTemplate"):
            for value in manifest.root.find_all("deviceClassName"):
                if value.text:
                    yield value.text, Location(manifest.file, value.line, value.column)
        elif manifest.kind == "ComputeDomain":
            yield _DOMAIN_CLASS, _locate(manifest)


def _find_foreign_claims(recipes: Recipes | None) -> Iterator[tuple[str, Location]]:
    """The claims of pods that no manifest of the recipe declares, each with the place of its component."""
    declared = {name for recipe in recipes or () for name in _find_declared_claims(recipe)}
    for graph, component, placed in list_placements(recipes or ()):
        for name in placed.claims:
            if name not in declared:
                yield name, Location(graph.file, component.line, component.column)


def _find_declared_claims(recipe: Recipe) -> Iterator[str]:
    """The claims and templates that a recipe brings, or has a ComputeDomain bring."""
    for manifest in recipe.manifests:
        if manifest.group == _GROUP:
            yield manifest.name
        elif manifest.kind == "ComputeDomain":
            made = manifest.root.get("spec", "channel", "resourceClaimTemplate", "name")
            yield (made.text if made else None) or ""


def _locate(manifest: Manifest) -> Location:
    return Location(manifest.file, manifest.root.line, manifest.root.column)
