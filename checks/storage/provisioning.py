"""Whether the volumes that claims get can be made, and be reached where the GPUs are."""

from collections.abc import Iterator

from dynocheck import Finding, Skip, Subject, check, fail, warn
from dynocheck.checks.storage.classes import list_claimed_classes
from dynocheck.data import provisioner
from dynocheck.data.volumes import find_csi_driver, is_known_driver, volume_reach
from dynocheck.facts import Node, Nodes, Recipes, StorageClass, StorageClasses
from dynocheck.facts.k8s.storage import CsiDrivers

_IMMEDIATE = "Immediate"
_ZONES = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")


def _get_zone(node: Node) -> str | None:
    """The zone of a node. A bare number is a fault domain of a node in no zone, as AKS has it."""
    named = next((node.labels[label] for label in _ZONES if node.labels.get(label)), None)
    return None if named is None or named.isdecimal() else named


def _has_gpus(node: Node) -> bool:
    return node.has_gpu_label or bool(node.gpu_resources)


@check("storage.binding-mode", title="A volume is made where the pod that uses it can run")
def binding_mode(
    classes: StorageClasses, drivers: CsiDrivers, nodes: Nodes, recipes: Recipes | None
) -> Iterator[Finding]:
    """With the binding mode Immediate a volume is made before anybody knows where its pod will run.

    A disk in another zone than the GPUs keeps their pods Pending. It is judged of the classes that the
    recipe's claims get, or of the default one, and matters only where volumes are bound to a zone or a
    node: not for shared file systems, not when all nodes, or all that `allowedTopologies` names, are in
    one zone with GPUs, and not for zone-redundant disks.

    Fix: kubectl get storageclass NAME -o yaml | sed 's/: Immediate$/: WaitForFirstConsumer/' |
    kubectl replace --force -f -
    """
    for found in list_claimed_classes(classes, recipes):
        if (
            found.binding_mode == _IMMEDIATE
            and (wrong := _explain_misplacement(found, drivers, nodes)) is not None
        ):
            message, evidence = wrong
            yield warn(
                f"binds at once: {message}",
                fix=f"kubectl get storageclass {found.name} -o yaml | "
                "sed 's/: Immediate$/: WaitForFirstConsumer/' | kubectl replace --force -f -",
                evidence={"provisioner": found.provisioner, **evidence},
                subject=Subject("StorageClass", found.name),
            )


def _explain_misplacement(
    found: StorageClass, drivers: CsiDrivers, nodes: Nodes
) -> tuple[str, dict[str, list[str]]] | None:
    """How a volume of this class may come to lie where its pod cannot run."""
    match _find_reach(found, drivers):
        case "node":
            usable = [node.name for node in nodes if not node.unschedulable]
            if len(usable) < 2:
                return None
            return f"its volumes lie on one of {len(usable)} nodes, and no pod has been placed yet", {}
        case "zone":
            return _compare_zones(found, nodes)
    return None


def _compare_zones(found: StorageClass, nodes: Nodes) -> tuple[str, dict[str, list[str]]] | None:
    everywhere = {zone for node in nodes if (zone := _get_zone(node)) is not None}
    possible = set(found.zones) or everywhere
    with_gpus = {zone for node in nodes if _has_gpus(node) and (zone := _get_zone(node)) is not None}
    evidence = {"zones": sorted(possible), "zones with GPUs": sorted(with_gpus)}
    if not everywhere or not with_gpus:
        return None
    if without := sorted(possible - with_gpus):
        return f"a volume may be made in {', '.join(without)}, where no GPU node is", evidence
    if len(possible) > 1:
        return f"it is left to chance to which of {len(possible)} zones a volume ties its pods", evidence
    return None


def _find_reach(found: StorageClass, drivers: CsiDrivers) -> str | None:
    """What a volume of this class is bound to, by the table, or by what its driver tells the nodes."""
    row, known = volume_reach(found.provisioner), provisioner(found.provisioner)
    if row is not None and row.reach is not None:
        return row.find_reach(found.parameters)
    driver = find_csi_driver(found.provisioner)
    if driver is None or (known is not None and known.rwx == "yes"):  # a share is reached from everywhere
        return None
    return "zone" if any(key.endswith("zone") for key in drivers.find_topology_keys(driver)) else None


@check("storage.csi-driver", title="The driver of every StorageClass that is relied on is there")
def csi_driver(
    classes: StorageClasses, drivers: CsiDrivers, nodes: Nodes, recipes: Recipes | None
) -> Iterator[Finding]:
    """A class is only a name: without its CSI driver a claim stays Pending, and on a node where the driver
    does not run, a pod that mounts it stays in ContainerCreating.

    A driver counts as there by its CSIDriver object, which is optional, or by a CSINode that lists it.
    Of nodes those with GPUs are judged that are ready: a driver's pods often lack the toleration of their
    taint. External provisioners, such as `rancher.io/local-path`, register nothing and are not judged.

    Fix: install the driver, and let its DaemonSet tolerate the taints of GPU nodes.
    """
    judged = {
        found.name: find_csi_driver(found.provisioner) for found in list_claimed_classes(classes, recipes)
    }
    if not any(judged.values()):
        raise Skip("no CSI driver stands behind the classes, and other provisioners register nothing")
    if not drivers.names and not drivers.nodes:
        raise Skip("the cluster shows no CSI driver and no CSINode at all, as a virtual cluster may")
    for name, driver in judged.items():
        if driver is not None and not drivers.is_registered(driver):
            yield _report_missing(name, driver, drivers)
        elif driver is not None:
            yield from _report_unregistered(name, driver, drivers, nodes, needed=recipes is not None)


def _report_missing(name: str, driver: str, drivers: CsiDrivers) -> Finding:
    evidence = {"driver": driver, "drivers": sorted(drivers.names)}
    subject = Subject("StorageClass", name)
    if is_known_driver(driver):
        return fail(
            f"its CSI driver {driver} is not installed: claims of this class stay Pending",
            fix=f"install {driver}, or use another class (kubectl get storageclass)",
            evidence=evidence,
            subject=subject,
        )
    return warn(
        f"no CSI driver is called {driver}: only an external provisioner of that name could make its volumes",
        fix=f"kubectl get deployments,statefulsets -A | grep -i {driver.partition('.')[0]}",
        evidence=evidence,
        subject=subject,
    )


def _report_unregistered(
    name: str, driver: str, drivers: CsiDrivers, nodes: Nodes, *, needed: bool
) -> Iterator[Finding]:
    kubelets = {node.name: node for node in drivers.nodes}
    for node in nodes:
        kubelet = kubelets.get(node.name)  # its kubelet makes it; without one it has told nothing yet
        if kubelet is None or kubelet.has(driver) or not _has_gpus(node) or not _is_schedulable(node):
            continue
        yield (fail if needed else warn)(
            f"CSI driver {driver} is not registered here: pods cannot mount volumes of class {name}",
            fix=f"kubectl get pods -A -o wide --field-selector spec.nodeName={node.name} | grep -i csi",
            evidence={
                "drivers": [found.name for found in kubelet.drivers],
                "taints": [f"{taint.key}:{taint.effect}" for taint in node.taints],
            },
            subject=Subject("Node", node.name),
        )


def _is_schedulable(node: Node) -> bool:
    ready = any(c.type == "Ready" and c.status == "True" for c in node.conditions)
    return ready and not node.unschedulable
