"""Checks the models that Triton serves, by their config.pbtxt."""

import posixpath
import re
from collections.abc import Iterator
from itertools import pairwise

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, unjudged, warn
from dynocheck.checks.engine._triton_repositories import (
    Repository,
    find_repositories,
    get_parameter,
    is_decoupled,
)
from dynocheck.core.fixes import add_flag, set_value
from dynocheck.core.spelling import find_slip
from dynocheck.core.suggestions import suggest
from dynocheck.facts import Recipe, Recipes, TritonModel, Value, Word

_TRTLLM = "tensorrtllm"
_BATCHING = ("V1", "v1", "inflight_batching", "inflight_fused_batching")
_POLICIES = ("max_utilization", "guaranteed_no_evict", "static_batch")
_FRACTIONS = ("kv_cache_free_gpu_mem_fraction", "cross_kv_cache_fraction")
_TOKENS = "max_tokens_in_paged_kv_cache"
_ENGINES = ("gpt_model_path", "encoder_model_path")
_REQUEST = re.compile(r"/v2/models/([\w.-]{1,200})(?:/versions/\w{1,20})?/(infer|generate|generate_stream)\b")
_NUMBER = re.compile(r"\d{0,20}\.?\d{1,20}")
_FILLS = ("fill_template", "envsubst", "sed")
_TRITON, _CONTROL = "tritonserver", "--model-control-mode"
_DIGITS = re.compile(r"\d{1,20}")


@check("engine.triton-models", title="Triton's model configurations are valid and fit together")
def triton_models(recipes: Recipes) -> Iterator[Result]:
    """Triton reads NAME/config.pbtxt of each model in its repository and does not load a model whose
    configuration has an error, another name than its folder, or GPUs that the pod does not have. An ensemble
    is not loaded if a step's tensors are not those of its model, or are of another type. The backend for
    TensorRT-LLM needs a batching type and the path of an engine. A model that is decoupled refuses /infer,
    and one that is not cannot stream. With --model-control-mode=explicit only what --load-model names is
    loaded, until a client asks for more.

    Checked are the config.pbtxt files in the recipe's folders, and those in ConfigMaps that an engine mounts.

    Source: https://github.com/triton-inference-server/server/blob/main/docs/user_guide/model_configuration.md

    Fix: tritonserver --model-repository=/models --exit-on-error
    """
    repositories = [(recipe, each) for recipe in recipes for each in find_repositories(recipe)]
    empty = [finding for recipe in recipes for finding in _find_empty_servers(recipe)]
    if not repositories and not empty:
        raise Skip("no config.pbtxt of Triton")
    yield from empty
    for recipe, repository in repositories:
        for model in repository.models.values():
            yield from _check_model(repository, model)
        yield from _check_requests(recipe, repository)


def _check_model(repository: Repository, model: TritonModel) -> Iterator[Result]:
    if model.template and (model.problem is None or _is_filled_in(repository)):
        why = "parts of its config.pbtxt are filled in later"
        yield unjudged(model.name, why=why, location=_locate(model, model.root))
        return
    yield judged(1, "Triton models")
    if model.problem is not None:
        place = Location(model.file, model.problem.line, model.problem.column)
        yield fail(
            f"config.pbtxt of {model.name}: {model.problem.message}",
            fix="correct it; Triton does not load the model",
            location=place,
        )
        return
    yield from _check_place(repository, model)
    yield from _check_instances(repository, model)
    yield from _check_ensemble(repository, model)
    if model.root.get_text("backend") == _TRTLLM:
        yield from _check_trtllm(repository, model)


def _find_empty_servers(recipe: Recipe) -> Iterator[Finding]:
    """Reports servers that load no model by themselves."""
    for server in recipe.servers:
        for container in (each for component in server.components for each in component.containers):
            for launch in (each for each in container.launches if each.module == _TRITON):
                words = [word.text for word in launch.words]
                modes = [word for word in launch.words if (word.text or "").startswith(_CONTROL)]
                explicit = f"{_CONTROL}=explicit" in words or (_CONTROL, "explicit") in pairwise(words)
                if (
                    explicit
                    and None not in words
                    and not any(w and w.startswith("--load-model") for w in words)
                ):
                    yield warn(
                        f"{server.name}: {_CONTROL} explicit without --load-model: it starts with no model",
                        fix=add_flag("--load-model", "NAME"),
                        location=Location(server.file, modes[0].line, modes[0].column),
                    )


def _is_filled_in(repository: Repository) -> bool:
    """Whether a script may fill in a template before Triton reads it."""
    container = repository.container
    commands = container.commands if container is not None else ()
    return container is None or any(
        fills in (word.text or "") for words in commands for word in words for fills in _FILLS
    )


def _locate(model: TritonModel, value: Value) -> Location:
    return Location(model.file, value.line, value.column)


def _check_place(repository: Repository, model: TritonModel) -> Iterator[Finding]:
    """Judges the folder of a configuration, whose name is the model's."""
    folder = posixpath.dirname(model.path)
    if repository.container is not None and folder in repository.roots:
        yield warn(
            f"config.pbtxt of {model.name} is in the repository {folder} itself, not in a folder of its name",
            fix=f"mount it at {folder}/NAME",
            location=_locate(model, model.root),
        )
        return
    placed = posixpath.dirname(folder) in repository.roots
    name = model.root.get("name")
    if placed and name is not None and name.text and name.text != model.folder:
        yield fail(
            f"config.pbtxt of {name.text} is in a folder {model.folder}, whose name it must have",
            fix=set_value("name", model.folder),
            location=_locate(model, name),
        )
    if placed and repository.container is not None and not _has_version(repository, model):
        yield fail(
            f"{model.name} has no folder of a version beside its config.pbtxt: Triton does not load it",
            fix=f"mount its model at {folder}/1",
            location=_locate(model, model.root),
        )


def _has_version(repository: Repository, model: TritonModel) -> bool:
    """Whether a mounted model may have a folder with the number of a version; an ensemble needs none."""
    container, folder = repository.container, posixpath.dirname(model.path)
    mount = container.find_mount(folder) if container is not None else None
    if container is None or mount is None or mount.source != "configmap" or mount.sub_path:
        return True
    if model.root.get("ensemble_scheduling") is not None or model.root.get_text("platform") == "ensemble":
        return True
    paths = [*(mount.path for mount in container.mounts), *(file.path for file in container.files)]
    below = [path[len(folder) + 1 :] for path in paths if path.startswith(f"{folder}/")]
    return any(_DIGITS.fullmatch(path.partition("/")[0]) for path in below)


def _check_instances(repository: Repository, model: TritonModel) -> Iterator[Finding]:
    """Reports instances on GPUs that the pod is not given."""
    component = repository.component
    given = component.gpus if component is not None else None
    for group in model.root.get_items("instance_group") if given is not None else ():
        gpus = [each for each in group.get_items("gpus") if isinstance(each.data, int)]
        beyond = next((each for each in gpus if not 0 <= int(str(each.data)) < (given or 0)), None)
        kind = group.get("kind")
        if beyond is not None:
            numbers = f"0 to {given - 1}" if given else "none"
            yield fail(
                f"{model.name} runs on GPU {beyond.data}; its pod is given {given}",
                fix=f"use GPUs {numbers}, or raise nvidia.com/gpu",
                location=_locate(model, beyond),
            )
        elif kind is not None and kind.text == "KIND_GPU" and not given:
            yield fail(
                f"{model.name} runs on a GPU; its pod is given none",
                fix="add nvidia.com/gpu to its limits, or use KIND_CPU",
                location=_locate(model, kind),
            )


def _check_ensemble(repository: Repository, model: TritonModel) -> Iterator[Result]:
    """Compares the tensors of an ensemble with those of its steps, as Triton's ensemble_utils.cc does."""
    tensors = {
        tensor.get_text("name"): (tensor.get_text("data_type"), model.name)
        for key in ("input", "output")
        for tensor in model.root.get_items(key)
    }
    made = {each.get_text("name") for each in model.root.get_items("input")}
    steps = model.root.get_items("ensemble_scheduling", "step")
    for step in steps:
        name = step.get_text("model_name")
        found = repository.find_model(name)
        place = _locate(model, step.get("model_name") or step)
        if found is None and (slip := find_slip(name, repository.models)) is not None:
            yield fail(
                f"ensemble {model.name} has a step {name}, which is no model; did you mean {slip}?",
                fix=set_value("model_name", slip),
                location=place,
            )
        elif found is None:
            yield unjudged(
                f"{model.name}: {name}", why="the model of a step is not in the recipe", location=place
            )
        else:
            yield from _compare_step(model, step, found, tensors)
        outputs = step.get("output_map")
        made |= {str(each.data) for each in outputs.mapping.values()} if outputs is not None else set()
    for step in steps:
        inputs = step.get("input_map")
        for tensor in inputs.mapping.values() if inputs is not None else ():
            if tensor.text not in made:
                yield fail(
                    f"ensemble {model.name}: {tensor.text} is neither an input of it nor an output of a step"
                    f"{suggest(str(tensor.text), made)}",
                    fix="name a tensor that a step makes",
                    location=_locate(model, tensor),
                )
    for output in model.root.get_items("output") if steps else ():
        if output.get_text("name") not in made:
            yield fail(
                f"ensemble {model.name}: no step makes its output {output.get_text('name')}",
                fix="map an output of a step to it in output_map",
                location=_locate(model, output),
            )


def _compare_step(
    ensemble: TritonModel, step: Value, model: TritonModel, tensors: dict[str, tuple[str, str]]
) -> Iterator[Finding]:
    """Compares the maps of a step with the tensors of its model, and remembers the type of each tensor."""
    for key, own in (("input_map", "input"), ("output_map", "output")):
        declared = {each.get_text("name"): each for each in model.root.get_items(own)}
        found = step.get(key)
        mapped = found.mapping if found is not None else {}
        for name, tensor in mapped.items() if declared else ():
            if name not in declared:
                yield fail(
                    f"ensemble {ensemble.name}: {model.name} has no {own} {name}{suggest(name, declared)}",
                    fix=f"name one of its {own}s in {key}",
                    location=_locate(ensemble, tensor),
                )
                continue
            kind = declared[name].get_text("data_type")
            before, of = tensors.setdefault(str(tensor.data), (kind, model.name))
            if before != kind:
                yield fail(
                    f"ensemble {ensemble.name}: {tensor.data} is {before} in {of} and {kind} in {model.name}",
                    fix=f"give both one data_type, {before} or {kind}",
                    location=_locate(ensemble, tensor),
                )
        for name, field in declared.items() if own == "input" else ():
            optional = field.get("optional")
            if name not in mapped and not (optional is not None and optional.data is True):
                yield fail(
                    f"ensemble {ensemble.name}: input {name} of model {model.name} is mapped to no tensor",
                    fix=f"add it to input_map of the step {model.name}",
                    location=_locate(ensemble, found or step),
                )


def _check_trtllm(repository: Repository, model: TritonModel) -> Iterator[Finding]:
    """Judges what the backend for TensorRT-LLM reads of a model's parameters.

    See getBatchingTypeFromParams and getKvCacheConfigFromParams in src/model_instance_state.cc of
    https://github.com/triton-inference-server/tensorrtllm_backend.
    """
    kind = get_parameter(model, "gpt_model_type")
    if kind not in _BATCHING:
        told = f"gpt_model_type is {kind}" if kind is not None else "no parameter gpt_model_type"
        yield fail(
            f"{model.name}: {told}, it must be V1, inflight_batching or inflight_fused_batching",
            fix=set_value("gpt_model_type", "inflight_fused_batching"),
            location=_locate_parameter(model, "gpt_model_type"),
        )
    engines = [name for name in _ENGINES if get_parameter(model, name)]
    if not engines:
        yield fail(
            f"{model.name}: no parameter gpt_model_path, the folder of its engine",
            fix=set_value("gpt_model_path", "/engines/NAME"),
            location=_locate(model, model.root.get("parameters") or model.root),
        )
    for name in engines:
        path, container = get_parameter(model, name) or "", repository.container
        if container is not None and path.startswith("/") and container.find_mount(path) is None:
            yield warn(
                f"{model.name}: its engine {path} is on no volume of {container.name}",
                fix="mount the claim with the engine there",
                location=_locate_parameter(model, name),
            )
    yield from _check_cache(model)


def _check_cache(model: TritonModel) -> Iterator[Finding]:
    policy = get_parameter(model, "batch_scheduler_policy")
    if policy is not None and policy not in _POLICIES:
        yield warn(
            f"{model.name}: batch_scheduler_policy {policy} is ignored, it is neither max_utilization nor "
            "guaranteed_no_evict",
            fix=set_value("batch_scheduler_policy", "guaranteed_no_evict"),
            location=_locate_parameter(model, "batch_scheduler_policy"),
        )
    for name in _FRACTIONS:
        share = get_parameter(model, name)
        if share and not (_NUMBER.fullmatch(share) and 0 < float(share) <= 1):
            yield fail(
                f"{model.name}: {name} is {share}; it must be between 0 and 1",
                fix=set_value(name, "0.9"),
                location=_locate_parameter(model, name),
            )
    tokens = get_parameter(model, _TOKENS)
    if tokens and not _DIGITS.fullmatch(tokens):
        yield warn(
            f"{model.name}: {_TOKENS} is {tokens}, no whole number, and ignored",
            fix=f"set {_TOKENS} to a number of tokens, or remove it",
            location=_locate_parameter(model, _TOKENS),
        )


def _locate_parameter(model: TritonModel, name: str) -> Location:
    found = model.root.get("parameters", name) or model.root.get("parameters") or model.root
    return _locate(model, found)


def _check_requests(recipe: Recipe, repository: Repository) -> Iterator[Finding]:
    """Compares requests in the recipe's commands with whether their model streams."""
    for file, words in _list_commands(recipe):
        for word in words:
            found = _REQUEST.search(word.text or "")
            model = repository.models.get(found[1]) if found is not None else None
            streams = is_decoupled(repository, model) if model is not None and not model.template else None
            if found is None or streams is None:
                continue
            place = Location(file, word.line, word.column)
            if streams and found[2] == "infer":
                yield fail(
                    f"{found[1]} is decoupled, which /infer refuses",
                    fix="use generate_stream, or a stream of gRPC",
                    location=place,
                )
            elif not streams and found[2] == "generate_stream":
                yield warn(
                    f"{found[1]} is not decoupled: generate_stream gives its whole answer at the end",
                    fix=set_value("model_transaction_policy.decoupled", True),
                    location=place,
                )


def _list_commands(recipe: Recipe) -> Iterator[tuple[str, tuple[Word, ...]]]:
    for page in recipe.pages:
        yield from ((page.path, words) for words in page.commands)
    for graph in recipe.deployments:
        for component in graph.components:
            for container in component.containers:
                yield from ((graph.file, words) for words in container.commands)
