"""Applies the rules of Dynamo's admission webhook to the graphs."""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, check, fail, same_place, warn
from dynocheck.core.fixes import locate_component, set_value
from dynocheck.data.flags import find_release
from dynocheck.data.images import parse_image
from dynocheck.facts import Manifest, Recipes, Role, Value, parse_quantity

_BACKEND = "nvidia.com/vllm-distributed-executor-backend"
_CHOICES = {
    "nvidia.com/dynamo-kube-discovery-mode": ("pod", "container"),
    "nvidia.com/grove-update-strategy": ("RollingRecreate", "OnDelete"),
}
_RUNTIME_NAMES = ("runtime", "dynamo-runtime")
_SIDECAR_NAME = "sidecar-frontend"  # the container that the operator adds for v1alpha1's frontendSidecar
_NATIVE_PICKER = (1, 5)  # since this release Dynamo has its own endpoint picker, without eppConfig


# The tags that name a Dynamo release to the webhook (deploy/operator/internal/runtimeversion).
_RELEASE_TAG = re.compile(r"[vV]?\d+\.\d+(\.\d+)?(-[0-9A-Za-z][0-9A-Za-z.-]*)?(\+[0-9A-Za-z][0-9A-Za-z.-]*)?")
_NUMBER = re.compile(r"[vV]?(\d{1,4})\.(\d{1,4})\.\d{1,4}(?!\d)")
_READS_TAGS = (1, 4)  # the first release whose operator reads the release from the tag
_TYPES = ("frontend", "worker", "prefill", "decode", "planner", "epp")
# v1alpha1 knows these too: https://github.com/ai-dynamo/dynamo/tree/main/deploy/operator/api/v1alpha1
_OLDER_TYPES = (*_TYPES, "main", "default", "operator", "")


class _Refusal(NamedTuple):
    at: Value
    message: str
    fix: str
    tell: Callable[..., Finding] = fail


class _ComponentSpec(NamedTuple):
    """A component: its pod spec, the container of its Dynamo runtime; `older` in v1alpha1."""

    name: str
    value: Value
    role: str
    pod: Value | None
    main: Value | None
    older: bool

    @property
    def image(self) -> str:
        return self.main.get_text("image") if self.main is not None else ""

    @property
    def image_at(self) -> Value:
        return (self.main.get("image") if self.main is not None else None) or self.value

    def get(self, *path: str) -> Value | None:
        return self.value.get(*path)


@check(
    "manifest.admission",
    title="Graphs pass Dynamo's admission webhook",
    explained_by={"manifest.placeholders": same_place, "manifest.schema": same_place},
)
def admission(recipes: Recipes) -> Iterator[Finding]:
    """The operator can reject a graph that matches its schema: a graph without components, an endpoint picker
    with two replicas, a sidecar that is not a container, an image whose tag names no release where
    runtimeVersionOverride does not name it either. So can it reject a request for a graph.

    Checked are the rules of the operator's webhook that need only the manifest
    (ai-dynamo/dynamo, deploy/operator/internal/webhook/validation). Rules that need the cluster, such as
    whether a topology exists, and rules about updates are not checked.

    Fix: kubectl apply --dry-run=server -f FILE, against a cluster with the operator
    """
    objects = [
        (file, manifest)
        for recipe in recipes
        for file in recipe.own_files
        for manifest in file.manifests
        if file.role is Role.MANIFEST and manifest.kind in _RULES and manifest.group == "nvidia.com"
    ]
    if not objects:
        raise Skip("no DynamoGraphDeployment or request for one")
    for file, manifest in objects:
        for refusal in _RULES[manifest.kind](manifest):
            if file.is_open(refusal.at):
                continue
            place = Location(manifest.file, refusal.at.line, refusal.at.column)
            yield refusal.tell(refusal.message, fix=refusal.fix, location=place)


def _find_graph_refusals(manifest: Manifest) -> Iterator[_Refusal]:
    parts = list(_read_components(manifest))
    if not parts:
        at = manifest.root.get("spec") or manifest.root
        yield _Refusal(at, "the graph has no components", "add a frontend and a worker")
    yield from _check_annotations(manifest.root)
    yield from _check_topology(manifest.root, parts)
    for part in parts:
        yield from _check_image(part)
        yield from _check_type(part)
        yield from _check_v1alpha1(part) if part.older else _check_v1beta1(part)
        if part.role == "epp":
            yield from _check_picker(part)


def _find_request_refusals(manifest: Manifest) -> Iterator[_Refusal]:
    """Rules about requests of v1beta1; those of v1alpha1 name their images otherwise."""
    spec = manifest.root.get("spec")
    if spec is None or manifest.api_version.endswith("/v1alpha1"):
        return
    strategy, image = spec.get("searchStrategy"), spec.get("image")
    if strategy is not None and strategy.text == "thorough" and spec.get_text("backend") in ("", "auto"):
        yield _Refusal(
            strategy,
            "searchStrategy: thorough needs a backend that is not auto",
            set_value("spec.backend", "vllm", "or sglang or trtllm"),
        )
    if image is not None and image.text and not spec.get("runtimeVersionOverride"):
        yield from _check_tag(image, f"{manifest.kind} {manifest.name}", "spec")


_RULES: dict[str, Callable[[Manifest], Iterator[_Refusal]]] = {
    "DynamoGraphDeployment": _find_graph_refusals,
    "DynamoGraphDeploymentRequest": _find_request_refusals,
}


def _read_components(manifest: Manifest) -> Iterator[_ComponentSpec]:
    services = manifest.root.get("spec", "services")
    for name, value in services.mapping.items() if services is not None else ():
        pod = value.get("extraPodSpec")
        main = _find_runtime(pod) or value.get("extraPodSpec", "mainContainer")
        yield _ComponentSpec(name, value, value.get_text("componentType"), pod, main, older=True)
    for value in manifest.root.get_items("spec", "components"):
        pod = value.get("podTemplate", "spec")
        main = next((c for c in _list_containers(pod) if c.get_text("name") == "main"), None)
        main = _find_runtime(pod) or main
        name, role = value.get_text("name"), value.get_text("type")
        yield _ComponentSpec(name, value, role, pod, main, older=False)


def _find_runtime(pod: Value | None) -> Value | None:
    """The init container that brings Dynamo's runtime to an engine's own image, if there is one."""
    listed = pod.get_items("initContainers") if pod is not None else []
    return next((container for container in listed if container.get_text("name") in _RUNTIME_NAMES), None)


def _check_annotations(root: Value) -> Iterator[_Refusal]:
    annotations = root.get("metadata", "annotations")
    for key, value in annotations.mapping.items() if annotations is not None else ():
        choices = _CHOICES.get(key)
        if choices and value.text not in choices:
            yield _Refusal(
                value,
                f"{key} must be {' or '.join(choices)}",
                set_value(f"metadata.annotations[{key}]", choices[0]),
            )
        elif key == _BACKEND:
            yield from _check_executor(key, value)


def _check_executor(key: str, value: Value) -> Iterator[_Refusal]:
    if (value.text or "").lower() not in ("mp", "ray"):
        yield _Refusal(value, f"{key} must be mp or ray", set_value(f"annotations[{key}]", "mp", "or ray"))


def _check_topology(root: Value, parts: list[_ComponentSpec]) -> Iterator[_Refusal]:
    whole = root.get("spec", "topologyConstraint")
    of_component = next((value for part in parts if (value := part.get("topologyConstraint"))), None)
    if whole is None and of_component is not None:
        yield _Refusal(
            of_component,
            "a component has a topologyConstraint, the graph has none",
            "add spec.topologyConstraint, which names the topology",
        )
    elif whole is not None and of_component is None and not whole.get_text("packDomain"):
        yield _Refusal(
            whole,
            "neither the graph nor a component has a packDomain",
            set_value("spec.topologyConstraint.packDomain", "DOMAIN"),
        )


def _check_image(part: _ComponentSpec) -> Iterator[_Refusal]:
    if not part.image:
        main = "extraPodSpec.mainContainer" if part.older else "podTemplate.spec.containers[main]"
        yield _Refusal(
            part.value,
            f"{part.name} has no image for its main container",
            set_value(f"{main}.image", "IMAGE"),
        )
    elif not part.get("runtimeVersionOverride"):
        yield from _check_tag(part.image_at, part.name, locate_component(part.name, legacy=part.older))


def _check_tag(image: Value, subject: str, place: str) -> Iterator[_Refusal]:
    """The operator reads the release from the tag, of which it takes only a semantic version.

    So since 1.4: https://docs.nvidia.com/dynamo/v1.4.0/reference/releases. An older image may be for an older
    operator.
    """
    text = image.text or ""
    tag = parse_image(text).tag
    if "${" in text or _RELEASE_TAG.fullmatch(tag):
        return
    number = _NUMBER.match(tag)
    older = number is not None and (int(number[1]), int(number[2])) < _READS_TAGS
    yield _Refusal(
        image,
        f"{subject}: the tag of {text} is no semantic version, and runtimeVersionOverride is not set"
        + (": operators since 1.4 reject it" if older else ""),
        set_value(f"{place}.runtimeVersionOverride", find_release(text).near or "RELEASE", "of Dynamo in it"),
        warn if older else fail,
    )


def _check_type(part: _ComponentSpec) -> Iterator[_Refusal]:
    at = part.get("componentType" if part.older else "type")
    if at is not None and part.older and part.role not in _OLDER_TYPES:
        yield _Refusal(
            at,
            f"{part.name}: the operator knows no type {part.role}: it adds no command, ports or probes",
            set_value("componentType", "worker", f"or another of {', '.join(_TYPES)}"),
            warn,
        )


def _check_v1beta1(part: _ComponentSpec) -> Iterator[_Refusal]:
    """Rules about fields of v1beta1."""
    size = part.get("sharedMemorySize")
    if size is not None and (parse_quantity(size.data) or 0) < 0:
        yield _Refusal(
            size, f"{part.name}: sharedMemorySize is negative", set_value("sharedMemorySize", "16Gi")
        )
    sidecar = part.get("frontendSidecar")
    names = [container.get_text("name") for container in _list_containers(part.pod)]
    if sidecar is not None and sidecar.text not in names:
        yield _Refusal(
            sidecar,
            f"{part.name}: frontendSidecar is {sidecar.text or 'empty'}, but no container has that name",
            "name one of podTemplate.spec.containers",
        )


def _check_v1alpha1(part: _ComponentSpec) -> Iterator[_Refusal]:
    """Rules about fields of v1alpha1."""
    annotations = part.get("annotations")
    if annotations is not None and (backend := annotations.get(_BACKEND)) is not None:
        yield from _check_executor(_BACKEND, backend)
    for mount in part.value.get_items("volumeMounts"):
        as_cache = mount.get("useAsCompilationCache")
        if not mount.get_text("mountPoint") and not (as_cache is not None and as_cache.data is True):
            yield _Refusal(
                mount, f"{part.name}: a volumeMount without mountPoint", set_value("mountPoint", "PATH")
            )
    yield from _check_quantities(part)
    enabled = part.get("ingress", "enabled")
    if enabled is not None and enabled.data is True and not part.value.get_text("ingress", "host"):
        yield _Refusal(enabled, f"{part.name}: an ingress without host", set_value("ingress.host", "HOST"))
    sidecar = part.get("frontendSidecar")
    if sidecar is not None and any(c.get_text("name") == _SIDECAR_NAME for c in _list_containers(part.pod)):
        yield _Refusal(
            sidecar,
            f"{part.name}: a container has the name of the frontendSidecar, {_SIDECAR_NAME}",
            "rename the container, or remove frontendSidecar",
        )


def _check_quantities(part: _ComponentSpec) -> Iterator[_Refusal]:
    """The schema of v1alpha1 takes any text for a quantity; its conversion to v1beta1 drops what is none."""
    lists = [part.get("resources", side) for side in ("requests", "limits")]
    custom = [listed.get("custom") for listed in lists if listed is not None]
    for listed in (*lists, *custom):
        for name, value in listed.mapping.items() if listed is not None else ():
            if name in ("custom", "gpuType") or not value.text:
                continue
            amount = parse_quantity(value.text)
            if amount is None:
                message = f"{part.name}: {name} {value.text} is no quantity: the operator drops it"
                yield _Refusal(value, message, set_value(name, "VALUE"), fail if name == "gpu" else warn)
            elif amount % 1 and (name == "gpu" or "/" in name):
                message = f"{part.name}: {name} {value.text} is no whole number: its pods are not created"
                yield _Refusal(value, message, set_value(name, -int(-amount // 1)))


def _check_picker(part: _ComponentSpec) -> Iterator[_Refusal]:
    nodes, replicas = part.get("multinode"), part.get("replicas")
    if nodes is not None:
        yield _Refusal(nodes, f"{part.name}: an endpoint picker cannot span nodes", "remove multinode")
    if replicas is not None and replicas.data != 1:
        yield _Refusal(replicas, f"{part.name}: an endpoint picker has exactly 1 replica", "set replicas: 1")
    release, config = _find_release(part), part.get("eppConfig")
    if release is None:
        return
    if release < _NATIVE_PICKER and config is None:
        yield _Refusal(part.value, f"{part.name}: an endpoint picker needs eppConfig", "add eppConfig")


def _find_release(part: _ComponentSpec) -> tuple[int, int] | None:
    """The Dynamo release of a component, from the same fields as the webhook; None if unknown."""
    override = part.value.get_text("runtimeVersionOverride")
    tag = (override or parse_image(part.image).tag).removeprefix("v")
    numbers = tag.partition("-")[0].split(".")
    if len(numbers) != 3 or not all(number.isdecimal() for number in numbers):
        return None
    return int(numbers[0]), int(numbers[1])


def _list_containers(pod: Value | None) -> list[Value]:
    return pod.get_items("containers") if pod is not None else []
