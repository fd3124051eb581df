"""Checks of where volumes are provisioned, and of the CSI drivers that provision and mount them."""

from collections.abc import Iterator

from dynocheck import Finding, Skip, Subject, check, fail, warn
from dynocheck.checks.storage._claims import list_claimed_classes
from dynocheck.data.volumes import find_csi_driver, find_reach, is_known_driver
from dynocheck.facts import (
    CsiDrivers,
    Node,
    Nodes,
    PersistentVolumeClaims,
    Recipes,
    StorageClass,
    StorageClasses,
    has_gpus,
)

_ZONES = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")


def _get_zone(node: Node) -> str | None:
    """The zone of a node. On AKS a bare number is the fault domain of a node that is in no zone."""
    zone = next((node.labels[label] for label in _ZONES if node.labels.get(label)), None)
    return None if zone is None or zone.isdecimal() else zone


@check("storage.binding-mode", title="Volumes are provisioned where their pods can run")
def binding_mode(
    classes: StorageClasses, drivers: CsiDrivers, nodes: Nodes, recipes: Recipes | None
) -> Iterator[Finding]:
    """With binding mode Immediate a volume is provisioned before its pod is scheduled.

    A disk in another zone than the GPUs keeps their pods Pending. Checked are the classes that the recipe's
    claims get, or else the default class, and only where volumes are bound to a zone or a node: not shared
    file systems or zone-redundant disks, and not when all nodes, or all zones of `allowedTopologies`, are
    one zone with GPUs.

    Fix: kubectl get storageclass NAME -o yaml | sed 's/: Immediate$/: WaitForFirstConsumer/' |
    kubectl replace --force -f -
    """
    for storage_class in list_claimed_classes(classes, recipes):
        if storage_class.binding_mode != "Immediate":
            continue
        problem = _explain_misplacement(storage_class, drivers, nodes)
        if problem is not None:
            message, evidence = problem
            yield warn(
                f"binds immediately: {message}",
                fix=f"kubectl get storageclass {storage_class.name} -o yaml | "
                "sed 's/: Immediate$/: WaitForFirstConsumer/' | kubectl replace --force -f -",
                evidence={"provisioner": storage_class.provisioner, **evidence},
                subject=Subject("StorageClass", storage_class.name),
            )


def _explain_misplacement(
    storage_class: StorageClass, drivers: CsiDrivers, nodes: Nodes
) -> tuple[str, dict[str, list[str]]] | None:
    """Why a volume of this class may be out of reach of its pod, with evidence; None when it is not."""
    match find_reach(storage_class, drivers):
        case "node":
            usable = [node.name for node in nodes if not node.unschedulable]
            if len(usable) < 2:
                return None
            return f"a volume is on one of {len(usable)} nodes, chosen before its pod is scheduled", {}
        case "zone":
            return _compare_zones(storage_class, nodes)
    return None


def _compare_zones(storage_class: StorageClass, nodes: Nodes) -> tuple[str, dict[str, list[str]]] | None:
    cluster_zones = {zone for node in nodes if (zone := _get_zone(node)) is not None}
    possible = set(storage_class.zones) or cluster_zones
    with_gpus = {zone for node in nodes if has_gpus(node) and (zone := _get_zone(node)) is not None}
    evidence = {"zones": sorted(possible), "zones with GPUs": sorted(with_gpus)}
    if not cluster_zones or not with_gpus:
        return None
    if without := sorted(possible - with_gpus):
        return f"a volume may be provisioned in {', '.join(without)}, which has no GPU node", evidence
    if len(possible) > 1:
        return f"a volume is in any of {len(possible)} zones, and its pods can only run there", evidence
    return None


@check("storage.csi-driver", title="CSI drivers of the StorageClasses in use are installed")
def csi_driver(
    classes: StorageClasses,
    drivers: CsiDrivers,
    nodes: Nodes,
    recipes: Recipes | None,
    claims: PersistentVolumeClaims | None,
) -> Iterator[Finding]:
    """Without its CSI driver a claim stays Pending, and on a node without the driver a pod that mounts the
    claim stays in ContainerCreating.

    A driver is installed when it has a CSIDriver object, which is optional, or a CSINode lists it. Checked
    are ready nodes with GPUs: a driver's pods often lack the toleration of their taint. External
    provisioners, such as `rancher.io/local-path`, register nothing and are not checked.

    Fix: install the driver, and let its DaemonSet tolerate the taints of GPU nodes.
    """
    used = list_claimed_classes(classes, recipes, claims)
    claimed = {storage_class.name: find_csi_driver(storage_class.provisioner) for storage_class in used}
    if not any(claimed.values()):
        raise Skip("the StorageClasses use no CSI driver, and external provisioners register nothing")
    if not drivers.names and not drivers.nodes:
        raise Skip("the cluster has neither CSIDrivers nor CSINodes, like a virtual cluster")
    for name, driver in claimed.items():
        if driver is not None and not drivers.is_registered(driver):
            yield _report_missing(name, driver, drivers)
        elif driver is not None:
            yield from _report_unregistered(name, driver, drivers, nodes, needed=recipes is not None)


def _report_missing(name: str, driver: str, drivers: CsiDrivers) -> Finding:
    is_known = is_known_driver(driver)
    effect = "claims of this class stay Pending"
    if not is_known:
        effect = "only an external provisioner of that name can make its volumes"
    return (fail if is_known else warn)(
        f"CSI driver {driver} is not installed: {effect}",
        fix=f"install {driver}, or use another class (kubectl get storageclass)"
        if is_known
        else f"kubectl get deployments,statefulsets -A | grep -i {driver.partition('.')[0]}",
        evidence={"driver": driver, "drivers": sorted(drivers.names)},
        subject=Subject("StorageClass", name),
    )


def _report_unregistered(
    name: str, driver: str, drivers: CsiDrivers, nodes: Nodes, *, needed: bool
) -> Iterator[Finding]:
    """The ready GPU nodes without the driver. A node without a CSINode is too new to be checked."""
    csi_nodes = {node.name: node for node in drivers.nodes}
    for node in nodes:
        csi_node = csi_nodes.get(node.name)
        if csi_node is None or csi_node.has(driver) or not has_gpus(node) or not _is_schedulable(node):
            continue
        yield (fail if needed else warn)(
            f"CSI driver {driver} is not registered: pods here cannot mount volumes of class {name}",
            fix=f"kubectl get pods -A -o wide --field-selector spec.nodeName={node.name} | grep -i csi",
            evidence={
                "drivers": [registered.name for registered in csi_node.drivers],
                "taints": [f"{taint.key}:{taint.effect}" for taint in node.taints],
            },
            subject=Subject("Node", node.name),
        )


def _is_schedulable(node: Node) -> bool:
    is_ready = any(c.type == "Ready" and c.status == "True" for c in node.conditions)
    return is_ready and not node.unschedulable
