"""Checks the images of a graph: engine, pinned tags and one Dynamo release."""

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, same_place, unjudged, warn
from dynocheck.core.fixes import is_legacy, locate_component, replace_words, set_value
from dynocheck.data.flags import find_release, list_known_releases, list_minors
from dynocheck.data.images import ImageReference, correct_image, find_image, is_valid_reference, parse_image
from dynocheck.data.servers import correct_server_tag
from dynocheck.engines import EngineInstance, find_instances
from dynocheck.facts import (
    Component,
    Container,
    Graph,
    PodTemplate,
    Recipes,
    Value,
    is_unfilled,
    list_pod_templates,
)

# The name of each engine's image, in any registry.
_IMAGES = {"vllm": "vllm-runtime", "sglang": "sglang-runtime", "trtllm": "tensorrtllm-runtime"}
_ENGINES = {image: engine for engine, image in _IMAGES.items()}
# Dynamo's programs (components/src/dynamo), and its packages with a name like one of these.
_MODULES = (
    *("dynamo.frontend", "dynamo.global_planner", "dynamo.global_router", "dynamo.llm", "dynamo.mocker"),
    *("dynamo.planner", "dynamo.router", "dynamo.sglang", "dynamo.trtllm", "dynamo.vllm"),
)
# What the packages of its engines contain in any release from 1.0.0 on (https://pypi.org/project/ai-dynamo).
_PARTS = {
    "dynamo.sglang": "_compat _disagg agent_session args backend_args capacity elastic_ep_preflight "
    "engine_generate engine_routes gateway health_check init_diffusion init_embedding init_llm "
    "init_multimodal init_rerank llm_engine logits_processing main multimodal_utils nixl_telemetry pause "
    "protocol publisher register request_handlers request_utils shutdown sidecar snapshot thinking_budget "
    "unified_diffusion unified_diffusion_main unified_main video_routing __main__",
    "dynamo.trtllm": "args backend_args configs constants conversation_affinity dynamic_flags encode_helper "
    "engine engine_monitor engines health_check llm_engine logits_processing main metrics multimodal "
    "multimodal_processor publisher request_handlers sidecar snapshot unified_diffusion "
    "unified_diffusion_main unified_main utils workers __main__",
    "dynamo.vllm": "args backend_args benchmark_points benchmark_worker cache_info capacity constants "
    "dp_topology embedding_worker_processes engine_generate engine_monitor envs errors gc_policy handlers "
    "headless health_check instrumented_scheduler kv_connector_protocols kv_hints llm_engine "
    "logits_processing lora_state main multimodal_handlers multimodal_utils nixl_telemetry omni "
    "pooling_handlers publisher realtime router_hints sidecar snapshot state_agent unified_main unified_omni "
    "unified_omni_main worker_factory __main__",
}
_MISSPELT = 0.93  # how alike two names are of which one is taken for a misspelling of the other
_SEMVER = re.compile(
    r"v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z.-]+)?"
)
_TOLERATED = ("frontend", "planner", "epp")  # roles without an engine: some operators accept any tag
_MUTABLE = ("latest", "main", "nightly", "dev", "edge", "stable")
_PUBLISHER = "nvcr.io/nvidia/ai-dynamo/"
_RELEASE = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


class _ContainerImage(NamedTuple):
    """An image of a component's container."""

    graph: Graph
    component: Component
    container: Container
    image: str

    @property
    def reference(self) -> ImageReference:
        return parse_image(self.image)

    @property
    def place(self) -> Location:
        return Location(self.graph.file, self.container.image_line, self.container.image_column)


def _list_images(graph: Graph) -> Iterator[_ContainerImage]:
    for component in graph.components:
        for container in component.containers:
            if container.image and not is_unfilled(container.image):
                yield _ContainerImage(graph, component, container, container.image)


def _check_patch(used: _ContainerImage) -> Iterator[Finding]:
    """Reports NVIDIA's image of a patch release that is not known, of a minor that is not the last one."""
    tag, known = used.reference.tag, list_known_releases()
    minor = tag.rpartition(".")[0]
    siblings = [release for release in known if release.rpartition(".")[0] == minor]
    old = siblings and siblings[-1] != known[-1]
    if used.image.startswith(_PUBLISHER) and old and _RELEASE.fullmatch(tag) and tag not in siblings:
        yield warn(
            f"{used.component.name} runs {used.image}: no release {tag} of Dynamo is known",
            fix=replace_words(f":{tag}", f":{siblings[-1]}"),
            evidence={"known": siblings},
            location=used.place,
        )


def _list_graphs(recipes: Recipes) -> list[Graph]:
    graphs = [graph for recipe in recipes for graph in recipe.graphs]
    if not graphs:
        raise Skip("no DynamoGraphDeployment")
    return graphs


@check("graph.engine-agrees", title="backendFramework, command and image name the same engine")
def engine_agrees(recipes: Recipes) -> Iterator[Finding]:
    """The image contains an engine, the command starts one, and the operator distributes and probes that of
    `backendFramework`. An image of one engine cannot start another.

    Only the names of Dynamo's own runtime images are known. In a graph without `backendFramework`, image and
    command are compared. A module of Dynamo that no release has, such as dynamo.sglang.decode_worker, starts
    nothing.

    Fix: name the image, the module and the framework of one engine
    """
    for graph in _list_graphs(recipes):
        yield from _check_modules(graph)
        engines = list(find_instances(graph))
        yield from filter(None, map(_check_image, engines))
        if graph.framework in _IMAGES:
            yield from _check_framework(graph, engines, _locate_framework(recipes, graph))
            yield from _check_unread(graph, engines, _locate_framework(recipes, graph))


def _check_image(engine: EngineInstance) -> Finding | None:
    """The finding for an image of another engine than the one that is started in it."""
    name, container = engine.engine.name, engine.container
    contained = _ENGINES.get(parse_image(container.image or "").dynamo_name)
    if contained is None or contained == name:
        return None
    fix = replace_words(_IMAGES[contained], _IMAGES[name], f"or start dynamo.{contained}")
    if engine.graph.framework == contained:
        fix = replace_words(engine.launch.module, f"dynamo.{contained}")
    return fail(
        f"{engine.component.name} starts {engine.launch.module} in an image of {contained}",
        fix=fix,
        evidence={"image": container.image},
        location=Location(engine.graph.file, container.image_line, container.image_column),
    )


def _check_framework(
    graph: Graph, engines: Sequence[EngineInstance], location: Location
) -> Iterator[Finding]:
    """Reports a framework that no worker starts, or each worker that starts another than its siblings.

    :param location: where the framework stands.
    """
    others = [engine for engine in engines if engine.engine.name != graph.framework]
    if len(others) < len(engines):
        for engine in (engine for engine in others if _check_image(engine) is None):
            yield fail(
                f"{engine.component.name} starts {engine.launch.module}, its graph has backendFramework: "
                f"{graph.framework}",
                fix=replace_words(engine.launch.module, f"dynamo.{graph.framework}"),
                location=Location(graph.file, engine.launch.line, engine.launch.column),
            )
    elif others:
        modules = sorted({engine.launch.module for engine in others})
        yield fail(
            f"graph {graph.name} has backendFramework: {graph.framework}, but its workers start "
            f"{', '.join(modules)}",
            fix=set_value("spec.backendFramework", others[0].engine.name),
            evidence={engine.component.name: engine.launch.module for engine in others},
            location=location,
        )


def _check_unread(graph: Graph, engines: Sequence[EngineInstance], location: Location) -> Iterator[Finding]:
    """Reports the image of another engine of a worker whose program cannot be read.

    :param location: where the framework stands, which is what is wrong if no worker has its image.
    """
    read = {id(engine.component) for engine in engines}
    unread = [
        (component, component.main, contained)
        for component in graph.components
        if component.main is not None and component.role not in _TOLERATED and id(component) not in read
        if (contained := _ENGINES.get(parse_image(component.main.image or "").dynamo_name)) is not None
    ]
    others = [found for found in unread if found[2] != graph.framework]
    if others and not engines and len(others) == len(unread) and len({found[2] for found in others}) == 1:
        yield fail(
            f"graph {graph.name} has backendFramework: {graph.framework}, but its workers run images of "
            f"{others[0][2]}",
            fix=set_value("spec.backendFramework", others[0][2]),
            evidence={component.name: main.image for component, main, _ in others},
            location=location,
        )
        return
    for component, main, contained in others:
        yield fail(
            f"{component.name} runs an image of {contained}, its graph has backendFramework: "
            f"{graph.framework}",
            fix=replace_words(_IMAGES[contained], _IMAGES[graph.framework or ""]),
            evidence={"image": main.image},
            location=Location(graph.file, main.image_line, main.image_column),
        )


def _check_modules(graph: Graph) -> Iterator[Finding]:
    """Reports programs whose name must be a misspelling of one of Dynamo's, or that no release has."""
    for component in graph.components:
        started = ((each, launch) for each in component.containers for launch in each.launches)
        for container, launch in started:
            if launch.module in _MODULES or not launch.module.startswith("dynamo."):
                continue
            place = Location(graph.file, launch.line, launch.column)
            if close := difflib.get_close_matches(launch.module.lower(), _MODULES, 1, _MISSPELT):
                yield fail(
                    f"{component.name} starts {launch.module}, which Dynamo does not have",
                    fix=f"start {close[0]}",
                    location=place,
                )
                continue
            package = next((name for name in _PARTS if launch.module.startswith(f"{name}.")), None)
            release = find_release(container.image or "", container.runtime)
            if package is None or not release.possible or release.newer:
                continue
            if launch.module.removeprefix(f"{package}.").split(".")[0] not in _PARTS[package].split():
                yield (fail if release.exact or release.near else warn)(
                    f"{component.name} starts {launch.module}, which no Dynamo since 1.0 has",
                    fix=replace_words(launch.module, package, "with --disaggregation-mode for its side"),
                    evidence={"source": "https://pypi.org/project/ai-dynamo"},
                    location=place,
                )


def _locate_framework(recipes: Recipes, graph: Graph) -> Location:
    """The position of a graph's backendFramework."""
    manifests = (m for recipe in recipes for m in recipe.manifests)
    roots = (m.root for m in manifests if (m.file, m.name) == (graph.file, graph.name))
    value = next((value for root in roots if (value := root.get("spec", "backendFramework"))), graph)
    return Location(graph.file, value.line, value.column)


def _suggest_reference(image: str) -> str:
    """The edit that makes a name of an image one that can be pulled, or how one is written."""
    path, colon, tag = image.partition("://")[2].rpartition(":") if "://" in image else image.rpartition(":")
    meant = f"{path.lower()}{colon}{tag}"
    if is_valid_reference(meant):
        return replace_words(image, meant)
    return "write HOST/PATH:TAG, without https:// and with a path in lower case"


@check(
    "graph.images-pinned",
    title="Images of graphs and Jobs are pinned to a release",
    explained_by={"manifest.admission": same_place},
)
def images_pinned(recipes: Recipes) -> Iterator[Finding]:
    """Without a tag, or with a mutable one, the next node may pull another image: two workers of one graph
    then run different code, and a download or a load test is another one next time.

    A name with capitals in its path is none that can be pulled, in whatever pod it is. Dynamo's operator
    reads the runtime's version from the tag of a component's main image. Newer operators reject a worker's
    tag that is not a semantic version (`1.3.0`, `v1.3.0-rc.1`), with or without a digest, unless the
    component has `runtimeVersionOverride`. NVIDIA publishes no image whose name is a letter away from one of
    Dynamo's, nor tags a release with a `v`; of a minor that is not the last one, the
    releases are known; vLLM and SGLang tag each with one, and TGI none.

    Fix: use a release's tag, and its digest if the image must never change
    """
    overridden = _find_overrides(recipes)
    templates = [template for recipe in recipes for template in list_pod_templates(recipe)]
    graphs = [graph for recipe in recipes for graph in recipe.graphs]
    servers = [server for recipe in recipes for server in recipe.servers]
    invalid = [finding for template in templates for finding in _check_names(template)]
    if not graphs and not servers and not invalid and not any(map(_is_of_job, templates)):
        raise Skip("no DynamoGraphDeployment, no Job and no engine")
    yield from invalid
    for template in templates:
        yield from _check_server_tag(template)
    for template in templates:
        yield from _check_other_images(template)
    for graph in graphs:
        for used in _list_images(graph):
            yield from _check_patch(used)
            tag, pinned = used.reference.tag, "@" in used.image
            subject = f"{used.component.name} runs {used.image}"
            if not is_valid_reference(used.image):
                yield fail(
                    f"{subject}, which is no name of an image: the kubelet cannot pull it",
                    fix=_suggest_reference(used.image),
                    location=used.place,
                )
            elif (meant := correct_image(used.image)) is not None:
                yield fail(
                    f"{subject}, which NVIDIA does not publish: the pull fails",
                    fix=replace_words(used.image, meant),
                    location=used.place,
                )
            elif not pinned and tag in ("", *_MUTABLE):
                yield _warn_mutable_tag(subject, used.image, used.place, graph)
            elif (
                used.container is used.component.main
                and used.component.role not in _TOLERATED
                and not _SEMVER.fullmatch(tag)
                and (graph.file, used.component.line) not in overridden
            ):
                yield warn(
                    f"{subject}, whose tag is not a semantic version: newer operators reject it "
                    "without runtimeVersionOverride",
                    fix=set_value(
                        f"{locate_component(used.component.name, legacy=is_legacy(graph))}"
                        ".runtimeVersionOverride",
                        "RELEASE",
                        "of Dynamo in the image, such as 1.6.1; or use a release's tag",
                    ),
                    location=used.place,
                )


def _check_server_tag(template: PodTemplate) -> Iterator[Finding]:
    """Reports tags of engines' own images whose releases are named with a v before, or without."""
    for container in template.containers:
        image = container.get("image")
        used = (image.text or "") if image is not None else ""
        if image is not None and (meant := correct_server_tag(used)) and "@" not in used:
            yield fail(
                f"{template.owner} runs {used}, which is not published: the pull fails",
                fix=replace_words(used, meant),
                location=Location(template.manifest.file, image.line, image.column),
            )


def _is_of_job(template: PodTemplate) -> bool:
    return template.manifest.kind in ("Job", "CronJob")


def _check_names(template: PodTemplate) -> Iterator[Finding]:
    """Reports the images of a pod that is not of a graph which no container runtime can pull."""
    for container in template.containers if not template.of_graph else ():
        image = container.get("image")
        name = (image.text or "") if image is not None else ""
        if image is not None and name and not is_unfilled(name) and not is_valid_reference(name):
            yield fail(
                f"{template.owner} runs {name}, which is no name of an image: the kubelet cannot pull it",
                fix=_suggest_reference(name),
                location=Location(template.manifest.file, image.line, image.column),
            )


def _check_other_images(template: PodTemplate) -> Iterator[Finding]:
    """Reports images with a mutable tag, or none, of a Job and of the init containers of a component."""
    first = template.of_graph or _is_of_job(template)
    for container in template.spec.get_items("initContainers") if first else ():
        yield from _check_tag(template, container, " first")
    for container in template.spec.get_items("containers") if _is_of_job(template) else ():
        yield from _check_tag(template, container)


def _check_tag(template: PodTemplate, container: Value, when: str = "") -> Iterator[Finding]:
    image = container.get("image") or container
    name, tag = image.text or "", parse_image(image.text or "").tag
    if name and not is_unfilled(name) and "@" not in name and tag in ("", *_MUTABLE):
        owner = template.owner.removeprefix("component ")
        place = Location(template.manifest.file, image.line, image.column)
        yield _warn_mutable_tag(f"{owner} runs {name}{when}", name, place)


def _warn_mutable_tag(subject: str, image: str, place: Location, graph: Graph | None = None) -> Finding:
    tag = parse_image(image).tag
    problem = "whose tag is mutable" if tag else "which has no tag"
    return warn(
        f"{subject}, {problem}: each node may pull another image",
        fix=replace_words(image, f"{image.removesuffix(f':{tag}')}:{_find_tag(image, graph)}"),
        location=place,
    )


def _find_tag(image: str, graph: Graph | None) -> str:
    """The tag of a release for one of Dynamo's images: that of others in its graph, if there is one."""
    if not parse_image(image).dynamo_name:
        return "TAG"
    used = [each.reference for each in _list_images(graph)] if graph is not None else []
    return next((each.tag for each in used if _parse_release(each)), list_minors()[-1])


def _find_overrides(recipes: Recipes) -> set[tuple[str, int]]:
    """The components with runtimeVersionOverride, by file and line."""
    graphs = (m for r in recipes for m in r.manifests if m.kind == "DynamoGraphDeployment")
    return {
        (manifest.file, entry.line)
        for manifest in graphs
        for holder in (manifest.root.get("spec", "services"), manifest.root.get("spec", "components"))
        if holder is not None
        for entry in (*holder.mapping.values(), *holder.sequence)
        if entry.get("runtimeVersionOverride") is not None
    }


@check("graph.one-release", title="All components of a graph run the same Dynamo release")
def one_release(recipes: Recipes) -> Iterator[Result]:
    """Frontend, router and workers use the protocols of their release; with different releases they may not
    find each other, or misread messages.

    Only Dynamo's images with a release in their tag are compared, up to the minor version, including those
    of endpoint pickers and frontend sidecars.

    Fix: give all images of a graph the same release
    """
    for graph in _list_graphs(recipes):
        released = [(_parse_release(used.reference), used) for used in _list_images(graph)]
        counts = Counter(release for release, _ in released if release)
        releases = {release: used for release, used in reversed(released) if release}
        if len(releases) > 1:
            odd = releases[min(reversed(counts), key=counts.__getitem__)]
            yield warn(
                f"graph {graph.name} runs {len(releases)} releases of Dynamo: {', '.join(sorted(releases))}",
                fix=_suggest_release(graph, odd, counts.most_common(1)[0][0]),
                evidence={name: f"{used.component.name}: {used.image}" for name, used in releases.items()},
                location=odd.place,
            )
        unknown = _find_unknown_release(graph)
        if unknown is None or len(releases) > 1:
            yield judged(1, "graphs")
        else:
            yield unjudged(
                f"graph {graph.name}: {unknown.image}",
                why="its images differ, and the tag of one names no release",
                needs="tags of releases, as in 1.3.0",
                location=Location(graph.file, unknown.image_line, unknown.image_column),
            )


def _suggest_release(graph: Graph, odd: _ContainerImage, common: str) -> str:
    """The edit that gives an image the tag of those of the most common release."""
    tag = next(u.reference.tag for u in _list_images(graph) if _parse_release(u.reference) == common)
    return replace_words(odd.image, odd.image.replace(f":{odd.reference.tag}", f":{tag}"))


def _find_unknown_release(graph: Graph) -> Container | None:
    """A container whose image may be of another release than the others'; None where all are alike."""
    containers = [
        container
        for component in graph.components
        for container in component.containers
        if container.image and (container is component.main or parse_image(container.image).dynamo_name)
    ]
    tags = {parse_image(container.image or "").tag for container in containers}
    images = {container.image for container in containers}
    if len(images) == 1 or (len(tags) == 1 and tags != {""}):
        return None
    return next((c for c in containers if not _parse_release(parse_image(c.image or ""))), None)


def _parse_release(reference: ImageReference) -> str:
    """The minor release of a Dynamo image; empty for other images and tags without a release."""
    if not reference.dynamo_name:
        return ""
    row = find_image(reference)
    found = _RELEASE.match(row.release if row is not None else reference.tag)
    return f"{found[1]}.{found[2]}" if found else ""
