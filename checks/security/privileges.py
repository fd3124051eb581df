"""Checks for secrets in plain text and for needless pod privileges."""

import base64
import re
from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, check, fail, same_place, warn
from dynocheck.core.fixes import remove
from dynocheck.data.rdma import rdma_resource
from dynocheck.facts import Manifest, PodTemplate, Recipes, Value, list_pod_templates
from dynocheck.secrets import HIDDEN

_TPU = "google.com/tpu"
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_NEEDS_PRIVILEGE = re.compile(r"\b(mount|modprobe|insmod|nsenter|iptables|ip link|tc qdisc|ethtool|dmesg)\b")
_SYSCTL = re.compile(r"\bsysctl\s+(?:-\w+\s+)*(\S+?)=")
# https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/#safe-and-unsafe-sysctls
_SAFE_SYSCTLS = frozenset(
    (
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    )
)
# Who writes here, or talks to the socket here, is root on the node.
_SENSITIVE_PATHS = re.compile(
    r"/|/(etc|root|proc|boot|usr|var|var/lib|var/lib/kubelet|home|run|var/run)/?"
    r"|(/var)?/run/(docker\.sock|containerd(/.*)?|crio(/.*)?)|/(etc|proc|boot|var/lib/kubelet)/.*"
    r"|/root/\.(ssh|kube|docker|aws|azure|config|local|bash\w*|profile)(/.*)?"  # not a folder of models there
)
_PLUGIN_PATHS = re.compile(r"/var/lib/kubelet/(device-plugins|plugins|plugins_registry|pod-resources)(/.*)?")
"""Where a node's plugins and exporters reach the kubelet."""


_ASSIGNED = re.compile(r"([\w.-]{1,60})[\"']?[ \t]*[:=][ \t]*[\"']?$")  # before its value
_ENCODED = base64.b64encode(HIDDEN.encode()).decode()  # in the data of a Secret


@check(
    "security.secrets", title="No secrets in plain text", explained_by={"manifest.placeholders": same_place}
)
def secrets(recipes: Recipes) -> Iterator[Finding]:
    """A token in a manifest is read by everyone who may read the repository, the object or a pod's
    description, and stays in the history when it is removed. What counts as one is the value of a variable or
    key that is named like a secret, and text of the form that an issuer gives its tokens. It is never shown.

    Fix: revoke it, then kubectl create secret generic NAME --from-literal=KEY=NEW and take it by secretKeyRef
    """
    judged = [manifest for recipe in recipes for manifest in recipe.own_manifests]
    if not judged:
        raise Skip("no manifest that is applied as it stands")
    for manifest in judged:
        for name, value in _find_secrets(manifest.root):
            what, place = _locate_secret(name, value, manifest)
            if name == _APPLIED:
                continue
            if manifest.kind == "Secret" and not manifest.group:
                yield warn(
                    f"Secret {manifest.name}: its content stands in the file",
                    fix="create it by kubectl, or keep it sealed or in a secret store",
                    location=place,
                )
                break
            yield (warn if "PASSW" in name.upper() else fail)(
                _describe(what, whole=what != name or value.data in (HIDDEN, _ENCODED)),
                fix="revoke it, keep the new one in a Secret, and take it by valueFrom.secretKeyRef",
                location=place,
            )


@check("security.privileges", title="Pods have no needless privileges on their node")
def privileges(recipes: Recipes) -> Iterator[Finding]:
    """A privileged container, or one that can write where the node keeps its own, is root on the node, for
    whoever gets into it. A pod in the node's network or process space meets the ports and processes of all
    others. Namespaces that enforce a Pod Security Standard refuse all of these.

    RDMA needs no privileges but IPC_LOCK where a device plugin offers the device. An engine that talks to
    others may reach a device that no plugin offers by being privileged, and is not warned of; nor is one with
    TPUs, which before 1.28 GKE gave to privileged containers alone.

    Fix: take `privileged: true` out, and add capabilities one by one (IPC_LOCK for RDMA)
    """
    judged = False
    for recipe in recipes:
        own = {manifest.file for manifest in recipe.own_manifests}
        for template in list_pod_templates(recipe):
            if template.manifest.file in own:
                judged = True
                yield from _check_privileges(template)
    if not judged:
        raise Skip("no pods")


def _describe(name: str, *, whole: bool) -> str:
    """What is wrong with a text that is a secret, or that contains one as a script or a file does."""
    if not name:
        return "a secret is spelled out"
    return f"{name} is a secret, and spelled out" if whole else f"{name} spells out a secret"


def _find_secrets(root: Value) -> list[tuple[str, Value]]:
    """Every text that was withheld when the file was read, with the name it is the value of."""
    found: list[tuple[str, Value]] = []
    pending = [("", root)]
    while pending:
        name, value = pending.pop()
        data = value.data
        if isinstance(data, str):
            if HIDDEN in data or data == _ENCODED:
                found.append((name, value))
        elif isinstance(data, list):
            pending += [(name, element) for element in data]
        elif isinstance(data, dict):
            called = data.get("name")
            variable = called.text if called is not None else None
            pending += [(variable or key if key == "value" else key, entry) for key, entry in data.items()]
    return sorted(found, key=lambda each: (each[1].line, each[1].column))


def _locate_secret(name: str, value: Value, manifest: Manifest) -> tuple[str, Location]:
    """What a secret is the value of, and its place: within a text of many lines, its own name and line."""
    text = value.text or ""
    before, hidden, _ = text.partition(HIDDEN)
    if not (hidden and text.endswith("\n")):
        return name, Location(manifest.file, value.line, value.column)
    assigned = _ASSIGNED.search(before[-100:])
    owner = f"{manifest.kind} {manifest.name}" if manifest.kind == "ConfigMap" else ""
    within = " of ".join(filter(None, (name, owner)))
    what = f"{assigned[1]} in {within}" if assigned else f"a word of {within}"
    return what, Location(manifest.file, value.line + 1 + before.count("\n"))


def _check_privileges(template: PodTemplate) -> Iterator[Finding]:
    for container in template.containers:
        flag = container.get("securityContext", "privileged")
        if _is_true(flag) and (why := _explain_needless(template, container)):
            yield _warn(template, flag, f"is privileged{why[0]}", why[1])
    flag = template.spec.get("hostPID")
    if _is_true(flag):
        yield _warn(template, flag, "sees every process of its node: hostPID", remove("hostPID"))
    flag = template.spec.get("hostNetwork")
    if _is_true(flag) and not _needs_host_network(template):
        says = "has its node's network, and its ports meet those of the next pod there: hostNetwork"
        yield _warn(template, flag, says, remove("hostNetwork"))
    for volume in _get_items(template.spec, "volumes"):
        path = volume.get("hostPath", "path")
        if path is None or not _SENSITIVE_PATHS.fullmatch(path.text or ""):
            continue
        if template.manifest.kind != "DaemonSet" or not _PLUGIN_PATHS.fullmatch(path.text or ""):
            yield _warn(template, path, f"mounts {path.text} of its node", "mount only the folder it needs")


def _warn(template: PodTemplate, at: Value | None, says: str, fix: str) -> Finding:
    place = at or template.spec
    where = Location(template.manifest.file, place.line, place.column)
    return warn(f"{template.owner} {says}", fix=fix, location=where)


def _is_true(value: Value | None) -> bool:
    return value is not None and value.data is True


def _explain_needless(template: PodTemplate, container: Value) -> tuple[str, str] | None:
    """Why a container need not be privileged, and what to do instead; None where it may have to be."""
    script = "\n".join(
        element.text or ""
        for field in ("command", "args")
        if (given := container.get(field)) is not None
        for element in (given.sequence or [given])
    )
    if _NEEDS_PRIVILEGE.search(script) or _takes_devices(template) or _TPU in _list_resources(container):
        return None
    if "rocm" in container.get_text("image") and "amd.com/gpu" not in _list_resources(container):
        return None  # it takes the GPUs of the node without a plugin
    sysctls = {name.strip("\"'") for name in _SYSCTL.findall(script)}
    if sysctls - _SAFE_SYSCTLS or (not sysctls and re.search(r"\bsysctl\b", script)):
        return None
    if sysctls:
        return (
            f" for {', '.join(sorted(sysctls))} alone, which a pod may set without",
            remove("securityContext.privileged", "and set it by securityContext.sysctls of the pod"),
        )
    remark = "for RDMA add the capability IPC_LOCK"
    return ", and nothing it says needs that", remove("securityContext.privileged", remark)


def _takes_devices(template: PodTemplate) -> bool:
    """Whether a pod may take devices of its node in another way than by a device plugin."""
    if any(volume.get("hostPath") for volume in _get_items(template.spec, "volumes")):
        return True
    root = template.manifest.root
    engines = [
        limits for limits in root.find_all("limits") if limits.get("nvidia.com/gpu") or limits.get("gpu")
    ]
    talks = len(engines) > 1 or any(root.find_all("multinode"))
    return template.of_graph and talks


def _needs_host_network(template: PodTemplate) -> bool:
    """Whether a pod may have to be in its node's network."""
    return template.of_graph or _requests_rdma(template)


def _requests_rdma(template: PodTemplate) -> bool:
    holders = (*template.containers, template.around)
    return any(rdma_resource(name) for holder in holders for name in _list_resources(holder))


def _list_resources(container: Value) -> Iterator[str]:
    for field in ("limits", "requests"):
        found = container.get("resources", field)
        yield from found.mapping if found is not None else ()
        custom = found.get("custom") if found is not None else None
        yield from custom.mapping if custom is not None else ()


def _get_items(value: Value, field: str) -> list[Value]:
    found = value.get(field)
    return [item for item in found.sequence if isinstance(item.data, dict)] if found is not None else []
