"""The ports to which Services and InferencePools send what is for engines without Dynamo."""

import re
from collections.abc import Iterator

from dynocheck import Finding, Location, fail, warn
from dynocheck.checks.graph._probe_fields import list_named_ports
from dynocheck.checks.graph._server_probes import (
    OTHER_PORTS,
    find_listening_port,
    is_local,
    locate_host,
    suggest_host,
)
from dynocheck.core.fixes import set_value
from dynocheck.engines import EngineInstance, find_instances
from dynocheck.facts import (
    POD_TEMPLATE_PATHS,
    Manifest,
    PodTemplate,
    Recipe,
    Value,
    find_server_template,
    label_pods,
    list_matching,
    to_selector,
)

# Of an engine beside its API: vLLM's for KV events, NIXL and LMCache, SGLang's for pairs, TGI's for metrics.
_FURTHER = (5555, 5556, 5557, 5600, 8998, 9000, 65432)
_ANSWERS = re.compile(r"http|api|grpc|metric|prom|web")  # the names of ports that others ask
_INJECTS = ("model.aibrix.ai/sidecar-injection",)  # annotations of pods that get a container which listens
_RANKS = 64  # data parallel ranks may each listen, on consecutive ports
_WHOLE = (*POD_TEMPLATE_PATHS, "LeaderWorkerSet")  # whose pods have no other containers


def find_service_problems(recipe: Recipe) -> Iterator[Finding | None]:
    """What is wrong with each Service and InferencePool that selects pods of engines; None for a right one.

    A Service without a cluster IP is for names of pods, not for their ports.
    """
    pods = list(label_pods(recipe))
    engines = _find_engines(recipe)
    for manifest in recipe.own_manifests:
        selector = _read_selector(manifest)
        if selector is None or manifest.root.get_text("spec", "clusterIP") == "None":
            continue
        chosen = [pod.template for pod in list_matching(selector, pods)]
        whole = all(each.manifest.kind in _WHOLE and not each.of_graph for each in chosen)
        unnamed = next(_find_unnamed(manifest, chosen), None) if whole else None
        if unnamed is not None:
            yield unnamed
        elif chosen and all(_locate(template) in engines for template in chosen):
            yield from _judge_ports(manifest, chosen, [engines[_locate(template)] for template in chosen])


def _find_engines(recipe: Recipe) -> dict[tuple[str, int, int], EngineInstance]:
    """The engine of each pod that has one container, in which one engine runs, by the place of its spec."""
    found = {}
    for server in recipe.servers:
        for engine in find_instances(server):
            template = find_server_template(recipe, server, engine.component)
            if template is not None and len(template.spec.get_items("containers")) == 1:
                found[_locate(template)] = engine
    return found


def _locate(template: PodTemplate) -> tuple[str, int, int]:
    return template.manifest.file, template.spec.line, template.spec.column


def _read_selector(manifest: Manifest) -> Value | None:
    """The LabelSelector of a Service or InferencePool; None of others, and without one."""
    if manifest.kind not in ("Service", "InferencePool"):
        return None
    selector = manifest.root.get("spec", "selector")
    if selector is None or not selector.mapping:
        return None
    return selector if selector.get("matchLabels") is not None else to_selector(selector)


def _find_unnamed(manifest: Manifest, pods: list[PodTemplate]) -> Iterator[Finding]:
    """Reports the ports by a name that no container of these pods gives to one of its own."""
    declared = [_read_ports(pod) for pod in pods]
    for _, target in _list_targets(manifest) if pods else ():
        name = target.data
        if not isinstance(name, str) or "$" in name or name.isupper():
            continue  # as PORT is, which is filled in later
        if not any(p is None or name in p for p in declared):
            yield fail(
                f"{manifest.kind} {manifest.name}: no pod that it selects has a port named {name}",
                fix="name the port of the container so, or write its number",
                location=Location(manifest.file, target.line, target.column),
            )


def _judge_ports(
    manifest: Manifest, pods: list[PodTemplate], engines: list[EngineInstance]
) -> Iterator[Finding | None]:
    targets = list(_list_targets(manifest))
    declared = [_read_ports(pod) for pod in pods]
    listening = {find_listening_port(engine) for engine in engines}
    port = listening.pop() if len(listening) == 1 else None
    named = {name: number for ports in declared for name, number in (ports or {}).items()}
    numbers = {
        named.get(each.data, each.data) if isinstance(each.data, str) else each.data for _, each in targets
    }
    if (
        port is None
        or not targets
        or not all(isinstance(number, int) and number not in OTHER_PORTS for number in numbers)
    ):
        return
    local = next(filter(is_local, engines), None)
    if port not in numbers and not any(named[name] in numbers and "http" not in name for name in named):
        key, first = targets[0]
        yield fail(
            f"{manifest.kind} {manifest.name} leads to port {', '.join(sorted(map(str, numbers)))}, "
            f"{engines[0].component.name} listens on {port}",
            fix=set_value(key, port),
            location=Location(manifest.file, first.line, first.column),
        )
    elif port in numbers and local is not None:
        yield fail(
            f"{manifest.kind} {manifest.name} reaches nothing, {local.component.name} listens on 127.0.0.1",
            fix=suggest_host(local),
            location=locate_host(local),
        )
    else:
        yield None
        yield from _find_dead_ports(manifest, pods, port, named) if port in numbers else ()


def _find_dead_ports(
    manifest: Manifest, pods: list[PodTemplate], listening: int, named: dict[str, int]
) -> Iterator[Finding]:
    """Reports the further ports for requests or metrics that a Service's engines are told nothing of."""
    containers = [container for pod in pods for container in pod.spec.get_items("containers")]
    texts = [value.text or "" for container in containers for value in container.walk()]
    injected = any(key for pod in pods for key, _ in pod.manifest.root.find_entries(_INJECTS))
    for port in (
        manifest.root.get_items("spec", "ports") if manifest.kind == "Service" and not injected else ()
    ):
        target = port.get("targetPort") or port.get("port")
        number = target and (named.get(target.text, 0) if target.text else target.data)
        if target is None or not isinstance(number, int) or number in (0, *_FURTHER):
            continue
        told = number - listening in range(_RANKS) or any(re.search(rf"\b{number}\b", each) for each in texts)
        if not told and _ANSWERS.search(f"{port.get_text('name')} {target.text or ''}"):
            yield warn(
                f"Service {manifest.name} has port {number} too, on which nothing is known to listen: "
                f"{pods[0].owner} listens on {listening}",
                fix=set_value("targetPort", listening, "or remove the port"),
                location=Location(manifest.file, target.line, target.column),
            )


def _list_targets(manifest: Manifest) -> Iterator[tuple[str, Value]]:
    """The ports of pods to which it leads, each with the field that states it."""
    spec = manifest.root.get("spec")
    if spec is not None and (number := spec.get("targetPortNumber")) is not None:
        yield "targetPortNumber", number
    for port in spec.get_items("targetPorts") if spec is not None else ():
        if (number := port.get("number")) is not None:
            yield "number", number
    for port in spec.get_items("ports") if spec is not None else ():
        target = port.get("targetPort") or port.get("port")
        if target is not None:
            yield "targetPort", target


def _read_ports(template: PodTemplate) -> dict[str, int] | None:
    """The numbers of a pod's ports by name; None if some are unknown."""
    containers = [*template.spec.get_items("containers"), *template.spec.get_items("initContainers")]
    listed = [list_named_ports(container) for container in containers if container.get_items("ports")]
    return {n: v for ports in listed for n, v in (ports or {}).items()} if None not in listed else None
