"""Finds the engines that workloads start without a graph, each as a graph of one component."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dynocheck.data.servers import PROGRAMS, find_server_image, name_image_engine
from dynocheck.facts import (
    Component,
    Container,
    Graph,
    Manifest,
    Mount,
    PodTemplate,
    Value,
    read_pod_templates,
)
from dynocheck.recipe.pod_groups import (
    count_pod_gpus,
    is_of_ray,
    join_ray_command,
    list_group_variables,
    measure_group,
)
from dynocheck.recipe.pods import DefaultCommand, PodReader
from dynocheck.recipe.resources import (
    collect_extended,
    deduplicate_claims,
    list_pod_gpu_places,
    read_integer,
)
from dynocheck.recipe.volumes import read_sidecars, read_volumes

# What the command or the image of every known server contains.
_SIGN = re.compile(r"vllm|sglang|tensorrt|trtllm|triton|text-generation|tgi|llama|dynamo\.", re.IGNORECASE)
_ACCELERATOR = re.compile(r"/(gpu|tpu|npu|gaudi|neuron)")
# The parts of Dynamo that serve, which workloads may start without its operator.
_FRONTEND = "dynamo.frontend"
_DYNAMO = (_FRONTEND, "dynamo.vllm", "dynamo.sglang", "dynamo.trtllm", "dynamo.mocker", "dynamo.router")
_DYNAMO_PREFIXES = tuple(f"{module}." for module in _DYNAMO)  # also of their modules, as dynamo.vllm.main
_ENDING = ("Job", "CronJob", "RayJob")  # they run an engine's image for all sorts of tasks
_KSERVE = "LLMInferenceService"
_KSERVE_ENGINES = ("spec.template", "spec.worker", "spec.prefill")
_MODELS = "/mnt/models"
_FORMATS = ("huggingface", "vllm", "triton", "tensorrt", "tensorrt-llm", "sglang")
_REPLICAS = {  # where the number of replicas is: else in spec
    "spec.predictor": ("predictor", "minReplicas"),
    "spec.prefill.template": ("prefill", "replicas"),
}


class _Pod(NamedTuple):
    template: PodTemplate
    containers: tuple[Container, ...]

    @property
    def modules(self) -> tuple[str, ...]:
        """The servers that are known, and the parts of Dynamo, that its containers start."""
        started = [launch.module for each in self.containers for launch in each.launches]
        return tuple(each for each in started if each in PROGRAMS or f"{each}.".startswith(_DYNAMO_PREFIXES))

    @property
    def starts(self) -> bool:
        """Whether a container starts an engine that is known, or a part of Dynamo."""
        return bool(self.modules)


def find_servers(manifest: Manifest, reader: PodReader) -> Iterator[Graph]:
    """The engines of a manifest's pods, but for those of a graph.

    A pod counts that starts a known server, and one that runs its image for good, whatever its command,
    unless it works for another pod that starts one.
    """
    templates = [each for each in read_pod_templates(manifest) if not each.of_graph]
    pods = [_read_pod(each, reader) for each in templates if _may_serve(each)]
    starting = [pod.template for pod in pods if pod.starts]
    for pod in pods:
        if pod.starts or (not starting and _stays(pod)):
            yield _build_server(pod, templates, starting)


def _may_serve(template: PodTemplate) -> bool:
    if _is_of_kserve(template) or _find_format(template):
        return True
    sources = _list_containers(template.spec)
    words = [
        word
        for each in sources
        for word in (each.get("image"), *each.get_items("command"), *each.get_items("args"))
    ]
    return any(_SIGN.search(word.text) for word in words if word is not None and word.text)


def _is_of_kserve(template: PodTemplate) -> bool:
    """Whether KServe itself starts the engine of a pod: its scheduler and its router are other pods."""
    return template.manifest.kind == _KSERVE and template.path.startswith(_KSERVE_ENGINES)


def _find_format(template: PodTemplate) -> str:
    """The format of a model that KServe serves with an engine; empty if it is another."""
    name = template.spec.get_text("model", "modelFormat", "name").lower()
    return name if name in _FORMATS else ""


def _read_pod(template: PodTemplate, reader: PodReader) -> _Pod:
    volumes = read_volumes(template.spec)
    is_ray = template.manifest.group == "ray.io"
    sources = _list_containers(template.spec)
    containers = [
        reader.read_container(
            join_ray_command(source) if is_ray and source is sources[0] else source,
            volumes,
            outer=list_group_variables(template.manifest),
            mounts=_find_model_mounts(template, source),
            defaults=_find_command(template, source),
        )
        for source in sources
    ]
    return _Pod(template, tuple(containers))


def _find_model_mounts(template: PodTemplate, source: Value) -> list[Mount]:
    """The folder that KServe fills with a model of the hub before its own container starts."""
    spec = template.manifest.root.get("spec") or template.spec
    if _is_of_kserve(template) and source.get_text("name") == "main":
        uri = spec.get("model", "uri")
    elif template.manifest.kind == "InferenceService" and source.get_text("name") == "kserve-container":
        uri = spec.get("predictor", "model", "storageUri")
    else:
        uri = None
    if uri is None or not uri.text or not uri.text.startswith("hf://"):
        return []
    return [Mount(_MODELS, "hub", uri.text.removeprefix("hf://").partition(":")[0], uri.line, uri.column)]


def _find_command(template: PodTemplate, source: Value) -> DefaultCommand:
    """The command of a container's image, or the one that KServe or Ray's operator gives it."""
    if is_of_ray(template.manifest):
        return DefaultCommand(by_operator=False)
    if _is_of_kserve(template) and source.get_text("name") == "main":
        return DefaultCommand(_build_kserve_command(template, source), by_operator=False)
    return find_image_command(source)


def find_image_command(source: Value) -> DefaultCommand:
    """The command of a container's image, if that is an engine's own."""
    server = find_server_image(source.get_text("image"))
    if server is None:
        return DefaultCommand(by_operator=False)
    return DefaultCommand(server.entrypoint, server.args, by_operator=False)


def _list_containers(spec: Value) -> list[Value]:
    """The containers of a pod, and the init containers that run beside them."""
    return [*spec.get_items("containers"), *read_sidecars(spec)]


def _build_kserve_command(template: PodTemplate, source: Value) -> tuple[str, ...]:
    """What KServe runs in a pod of its own engine, if all of it is in the manifest: not over several pods.

    With a prefill pool, the decode engine listens on 8001 behind a sidecar on 8000, so that both answer. See
    config/llmisvcconfig/config-llm-template.yaml and -decode-template.yaml of github.com/kserve/kserve.
    """
    spec = template.manifest.root.get("spec") or template.spec
    prefill = spec.get("prefill")
    prefills = template.path.startswith("spec.prefill")
    parts = prefill if prefills else spec
    port = 8000 if prefills or prefill is None else "$(either)"
    if parts is None or parts.get("worker") is not None or spec.get("baseRefs") is not None:
        return ()
    uri = spec.get_text("model", "uri")
    model = uri.removeprefix("hf://") if uri.startswith("hf://") else _MODELS
    tensor = parts.get("parallelism", "tensor")
    more = " ${VLLM_ADDITIONAL_ARGS}" if _sets_arguments(source) else ""
    size = f" --tensor-parallel-size {tensor.data}" if tensor is not None else ""
    script = f'eval vllm serve {model} --port {port}{size}{more} "$@"'
    return "/bin/bash", "-c", script, "--"


def _sets_arguments(source: Value) -> bool:
    names = [each.get_text("name") for each in source.get_items("env")]
    return "VLLM_ADDITIONAL_ARGS" in names or bool(source.get_items("envFrom"))


def _stays(pod: _Pod) -> bool:
    """Whether a pod serves for good with an engine, by its image or its kind, whatever it starts."""
    manifest = pod.template.manifest
    if _is_of_kserve(pod.template) or _find_format(pod.template):
        return True
    if manifest.kind in _ENDING:
        return False
    images = [each.image or "" for each in pod.containers]
    if any(find_server_image(image) is not None for image in images):
        return True
    return _has_accelerator(pod.template) and any(map(name_image_engine, images))


def _has_accelerator(template: PodTemplate) -> bool:
    """Whether a pod has GPUs, or may have, or another accelerator."""
    resources = collect_extended([each.get("resources") for each in template.spec.get_items("containers")])
    return count_pod_gpus(template) != 0 or any(map(_ACCELERATOR.search, resources))


def _build_server(pod: _Pod, templates: Sequence[PodTemplate], starting: Sequence[PodTemplate]) -> Graph:
    template, containers = pod
    manifest, spec = template.manifest, template.spec
    sources, sidecars = spec.get_items("containers"), read_sidecars(spec)
    name = manifest.root.get("metadata", "name") or manifest.root
    group = measure_group(template, templates, lambda other: other in starting)
    replicas = manifest.root.get("spec", *_REPLICAS.get(template.path, ("replicas",)))
    component = Component(
        name=manifest.name,
        role="frontend" if set(pod.modules) == {_FRONTEND} else "worker",
        replicas=read_integer(replicas, 1),
        nodes=group.pods,
        gpus=group.gpus,
        containers=containers,
        claims=deduplicate_claims(volume.mount for volume in read_volumes(spec).values()),
        resources=collect_extended([each.get("resources") for each in (*sources, *sidecars)]),
        gpu_places=list_pod_gpu_places(template.path, sources, sidecars),
        pod=template.path,
        line=spec.line,
        column=spec.column,
    )
    return Graph(
        file=manifest.file,
        name=manifest.name,
        api_version=manifest.api_version,
        framework=None,
        components=(component,),
        uses_grove=False,
        kind=manifest.kind,
        line=name.line,
        column=name.column,
    )
