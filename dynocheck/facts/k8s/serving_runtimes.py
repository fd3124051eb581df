"""KServe's InferenceServices with the ServingRuntimes that they name, and LLMInferenceServices with the
configurations that they are based on.
"""

from collections.abc import Iterable, Mapping

import msgspec

from dynocheck.facts.recipe.documents import Manifest, Value

_GROUP = "serving.kserve.io"
SERVING_RUNTIMES = ("ServingRuntime", "ClusterServingRuntime")
"""The kinds of what an InferenceService names as its runtime."""
_CONFIG = "LLMInferenceServiceConfig"
_MAIN = "kserve-container"
_NO_FIELDS_OF_PODS = frozenset(
    (
        *("annotations", "builtInAdapter", "containers", "disabled", "grpcDataEndpoint", "grpcEndpoint"),
        *("httpDataEndpoint", "labels", "multiModel", "protocolVersions", "replicas", "storageHelper"),
        *("supportedModelFormats", "workerSpec"),
    )
)
_NO_FIELDS_OF_CONTAINERS = frozenset(
    ("modelFormat", "name", "protocolVersion", "runtime", "storage", "storageUri")
)
_CONTAINERS = ("containers", "initContainers")  # of one name are merged; other elements are replaced
_KEYS = {"env": "name", "volumeMounts": "mountPath", "ports": "containerPort", "volumes": "name"}
"""What makes two elements of a list the same, as in the strategic merge patch of a pod."""


def merge_serving_runtimes(manifests: Iterable[Manifest]) -> dict[int, Manifest | None]:
    """The InferenceServices whose pod is complete with the runtime that they name, which lies beside them.

    As KServe does (MergeRuntimeContainers and MergePodSpec in pkg/controller/v1beta1/inferenceservice/utils):
    the fields of the model go into the runtime's kserve-container, and its arguments behind the runtime's.
    What comes of another file has the place of the name of the runtime.

    :return: by the identity of a manifest's root; None for a runtime that is in such a pod.
    """
    listed = [each for each in manifests if each.group == _GROUP]
    runtimes = [each for each in listed if each.kind in SERVING_RUNTIMES]
    merged: dict[int, Manifest | None] = {}
    for service in listed if runtimes else ():
        name = service.root.get("spec", "predictor", "model", "runtime")
        runtime = find_nearest_runtime(service, name.text or "", runtimes) if name is not None else None
        if service.kind != "InferenceService" or name is None or runtime is None:
            continue
        root = _merge_root(service, runtime, name)
        if root is not None:
            merged[id(service.root)] = msgspec.structs.replace(service, root=root, completed=True)
            merged[id(runtime.root)] = None
    configs = [each for each in listed if each.kind == _CONFIG]
    for service in listed if configs else ():
        refs = service.root.get_items("spec", "baseRefs") if service.kind == "LLMInferenceService" else []
        bases = [(find_nearest_runtime(service, ref.get_text("name"), configs), ref) for ref in refs]
        found = [(base, ref) for base, ref in bases if base is not None]
        if found and len(found) == len(bases):
            merged[id(service.root)] = msgspec.structs.replace(service, root=_merge_bases(service, found))
            merged |= {id(base.root): None for base, _ in found}
    return merged


def _merge_bases(service: Manifest, bases: list[tuple[Manifest, Value]]) -> Value:
    """A service with the specs of its configurations, of which later ones win, and its own last.

    See MergeSpecs in pkg/controller/v1alpha2/llmisvc/config_merge.go.
    """
    own = service.root.get("spec") or service.root
    spec = Value({}, *_place(own))
    for base, ref in bases:
        given = base.root.get("spec")
        if given is not None:
            spec = _merge(spec, _move(given, ref) if base.file != service.file else given)
    merged = _merge(spec, own)
    fields = {key: value for key, value in merged.mapping.items() if key != "baseRefs"}
    return _replace(service.root, ("spec",), Value(fields, *_place(own)))


def find_nearest_runtime(service: Manifest, name: str, runtimes: list[Manifest]) -> Manifest | None:
    """The runtime of a name that is nearest to a service; None if there are several, as in variants."""
    named = [each for each in runtimes if each.name == name]
    folder = service.file.rpartition("/")[0]
    beside = [each for each in named if each.file.rpartition("/")[0] == folder]
    inside = [each for each in named if each.file == service.file]
    nearest = inside or beside or named
    return nearest[0] if len(nearest) == 1 else None


def _merge_root(service: Manifest, runtime: Manifest, at: Value) -> Value | None:
    spec, predictor = runtime.root.get("spec"), service.root.get("spec", "predictor")
    containers = spec.get_items("containers") if spec is not None else []
    main = next((each for each in containers if each.get_text("name") == _MAIN), None)
    model = predictor.get("model") if predictor is not None else None
    if spec is None or predictor is None or model is None or main is None or spec.get("workerSpec"):
        return None
    is_foreign = runtime.file != service.file
    if is_foreign:
        spec, containers = _move(spec, at), [_move(main, at)]  # two would have one place
    own = {key: value for key, value in model.mapping.items() if key not in _NO_FIELDS_OF_CONTAINERS}
    filled = [_fill_in(each, service.name) for each in containers]
    pods = [
        _merge_container(each, Value(own, model.line, model.column)) if _is_main(each) else each
        for each in filled
    ]
    fields = {key: value for key, value in spec.mapping.items() if key not in _NO_FIELDS_OF_PODS}
    pod = _merge(Value(fields, spec.line, spec.column), predictor)
    place = predictor.line, predictor.column
    return _replace(
        service.root,
        ("spec", "predictor"),
        Value({**pod.mapping, "containers": Value(pods, *place)}, *place),
    )


def _is_main(container: Value) -> bool:
    return container.get_text("name") == _MAIN


def _merge_container(base: Value, own: Value) -> Value:
    """A runtime's container with the fields of a model, at the place of the former."""
    merged = dict(_merge(base, own).mapping)
    arguments = [*base.get_items("args"), *own.get_items("args")]
    if arguments:
        merged["args"] = Value(arguments, *_place(own.get("args") or base.get("args") or base))
    return Value(merged, base.line, base.column)


def _merge(base: Value, over: Value, key: str = "") -> Value:
    """Two values of one field, of which the second wins."""
    if isinstance(base.data, dict) and isinstance(over.data, dict):
        entries: Mapping[str, Value] = base.data
        both = {
            name: _merge(entries[name], value, name) if name in entries else value
            for name, value in over.mapping.items()
        }
        return Value({**entries, **both}, *_place(over))
    if key in _CONTAINERS and isinstance(base.data, list) and isinstance(over.data, list):
        below = {each.get_text("name"): each for each in base.data}
        above = [_merge(below.pop(each.get_text("name"), each), each) for each in over.data]
        return Value([*below.values(), *above], *_place(over))
    if key in _KEYS and isinstance(base.data, list) and isinstance(over.data, list):
        named = [_identify(each, key) for each in over.data]
        return Value(
            [each for each in base.data if _identify(each, key) not in named] + over.data, *_place(over)
        )
    return over


def _identify(element: Value, key: str) -> object:
    value = element.get(_KEYS[key])
    return value.data if value is not None else None


def _fill_in(value: Value, name: str) -> Value:
    """A value with the name of the service in place of `{{.Name}}`."""
    if isinstance(value.data, str) and "{{.Name}}" in value.data:
        return Value(value.data.replace("{{.Name}}", name), *_place(value))
    if isinstance(value.data, dict):
        return Value({key: _fill_in(each, name) for key, each in value.data.items()}, *_place(value))
    if isinstance(value.data, list):
        return Value([_fill_in(each, name) for each in value.data], *_place(value))
    return value


def _move(value: Value, at: Value) -> Value:
    """A value, with everything in it, at the place of another."""
    if isinstance(value.data, dict):
        return Value({key: _move(each, at) for key, each in value.data.items()}, *_place(at))
    if isinstance(value.data, list):
        return Value([_move(each, at) for each in value.data], *_place(at))
    return Value(value.data, *_place(at))


def _replace(root: Value, path: tuple[str, ...], value: Value) -> Value:
    if not path:
        return value
    entries = dict(root.data) if isinstance(root.data, dict) else {}
    entries[path[0]] = _replace(entries[path[0]], path[1:], value)
    return Value(entries, *_place(root))


def _place(value: Value) -> tuple[int, int]:
    return value.line, value.column
