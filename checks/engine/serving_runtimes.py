"""Checks that services of KServe and OME get the runtime that they name, and that it takes their model."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, unjudged
from dynocheck.core.fixes import replace_words, set_value
from dynocheck.core.outcomes import Unjudged
from dynocheck.facts import (
    SERVING_RUNTIMES,
    Manifest,
    Recipe,
    Recipes,
    Value,
    find_nearest_runtime,
    has_variable,
)

_CONFIG = "LLMInferenceServiceConfig"


@check("engine.serving-runtime", title="Named runtimes are in the recipe and take the model's format")
def serving_runtime(recipes: Recipes) -> Iterator[Result]:
    """KServe makes the pods of an InferenceService of a ServingRuntime. One that does not list the model's
    format, or is disabled, is refused, and no pod is made.

    What a service gets from a runtime or a configuration that is not in the recipe is not judged: its image,
    its arguments and its GPUs are unknown. OME's runtimes choose models themselves; only their name is looked
    up.

    Source: pkg/apis/serving/v1beta1/predictor_model.go of https://github.com/kserve/kserve

    Fix: modelFormat: {name: NAME}, as in the runtime's supportedModelFormats
    """
    results = [result for recipe in recipes for result in _judge(recipe)]
    if not results:
        raise Skip("no service names a runtime")
    yield from results


def _judge(recipe: Recipe) -> Iterator[Result]:
    manifests = tuple(recipe.manifests)
    for service in recipe.own_manifests:
        spec = service.root.get("spec")
        if spec is None or service.kind not in ("InferenceService", "LLMInferenceService"):
            continue
        for kinds, name in _list_names(service, spec):
            known = [m for m in manifests if m.kind in kinds and m.group == service.group]
            runtime = find_nearest_runtime(service, name.text or "", known)
            if has_variable(name.text or ""):
                continue
            if runtime is None:
                yield _describe_missing(service, kinds, name)
                continue
            yield judged(1, "runtimes")
            if service.kind == "InferenceService" and service.group == "serving.kserve.io":
                yield from _check_runtime(service, runtime, name)


def _list_names(service: Manifest, spec: Value) -> Iterator[tuple[tuple[str, ...], Value]]:
    """The names of the objects that a service gets its pods from, each with their kinds."""
    names = [spec.get("predictor", "model", "runtime")]
    if service.group == "ome.io":
        names = [spec.get("runtime", "name")]
    yield from ((SERVING_RUNTIMES, name) for name in names if name is not None and name.text)
    if service.kind == "LLMInferenceService":
        refs = [ref.get("name") for ref in spec.get_items("baseRefs")]
        yield from (((_CONFIG,), name) for name in refs if name is not None and name.text)


def _describe_missing(service: Manifest, kinds: tuple[str, ...], name: Value) -> Unjudged:
    return unjudged(
        f"{service.kind} {service.name}: what it gets from {name.text}",
        why="the runtime or configuration is not in the recipe",
        needs=f"its {kinds[0]} beside it",
        location=Location(service.file, name.line, name.column),
    )


def _check_runtime(service: Manifest, runtime: Manifest, name: Value) -> Iterator[Finding]:
    """Reports a runtime that KServe refuses for the model of a service (RuntimeSupportsModel)."""
    disabled = runtime.root.get("spec", "disabled")
    if disabled is not None and disabled.data is True:
        yield fail(
            f"InferenceService {service.name}: {runtime.kind} {runtime.name} is disabled: no pod is made",
            fix="name another runtime, or set disabled: false in this one",
            location=Location(service.file, name.line, name.column),
        )
    wanted = service.root.get("spec", "predictor", "model", "modelFormat")
    formats = runtime.root.get_items("spec", "supportedModelFormats")
    label = _read_format(wanted) if wanted is not None else ("", "")
    supported = {(each[0], version) for each in map(_read_format, formats) for version in ("", each[1])}
    names = sorted({each for each, _ in supported})
    if wanted is None or label in supported or any(map(has_variable, (*label, *names))) or not names:
        return
    place = (wanted.get("name") if label[0] not in names else wanted.get("version")) or wanted
    near = sorted(version for each, version in supported if each == label[0] and version)
    yield fail(
        f"InferenceService {service.name}: {runtime.kind} {runtime.name} does not take "
        f"{' '.join(filter(None, label))}: no pod is made",
        fix=replace_words(label[0], names[0]) if label[0] not in names else _fix_version(near),
        evidence={"formats": sorted(" ".join(filter(None, each)) for each in supported)},
        location=Location(service.file, place.line, place.column),
    )


def _fix_version(near: list[str]) -> str:
    return set_value("version", near[0]) if near else "remove version"


def _read_format(entry: Value) -> tuple[str, str]:
    """The name and the version of a format; no version takes each."""
    version = entry.get("version")
    return entry.get_text("name"), str(version.data) if version is not None else ""
