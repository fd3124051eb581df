"""Checks of the models that draft tokens for an engine."""

from collections.abc import Iterator, Mapping
from typing import Any

from dynocheck import Finding, Location, Result, Skip, check, fail, judged
from dynocheck.checks.engine._coverage import describe_unjudged
from dynocheck.core.fixes import set_value
from dynocheck.data.models import Model
from dynocheck.engines.instances import EngineInstance, find_instances
from dynocheck.engines.memory_budget import resolve_model_id
from dynocheck.engines.model_lookup import CONFIG_FILES, add_hub_configs, resolve_model
from dynocheck.engines.speculation import find_draft_model, read_speculation
from dynocheck.facts import HubModels, Recipe, Recipes

_FLAGS = ("speculative-config", "speculative-model")


@check("engine.speculation", title="Draft models fit the model that they draft for")
def speculation(recipes: Recipes, models: HubModels | None = None) -> Iterator[Result]:
    """A model that drafts tokens for vLLM must have a vocabulary of the same size: vLLM compares `vocab_size`
    of both and exits, unless `use_heterogeneous_vocab` is set. It also needs the number of tokens to draft,
    and runs on one GPU or on as many as the model. Heads such as EAGLE's and MTP layers are not judged.
    memory.weights-fit counts the weights of both.

    Source: vllm/config/speculative.py of vLLM 0.32.0, spec_decode/spec_decode_worker.py of 0.6.3

    Fix: use a draft of the model's own family, such as Qwen3-0.6B for Qwen3-32B
    """
    drafted = [
        (recipe, engine, draft)
        for recipe in add_hub_configs(recipes, models)
        for deployment in recipe.deployments
        for engine in find_instances(deployment)
        if (draft := find_draft_model(engine)) is not None
    ]
    if not drafted:
        raise Skip("no engine of vLLM with a draft model")
    for recipe, engine, draft in drafted:
        settings = read_speculation(engine) or {}
        yield from _check_settings(engine, settings)
        yield from _check_vocabulary(recipe, engine, draft, settings)


def _check_settings(engine: EngineInstance, settings: Mapping[str, Any]) -> Iterator[Finding]:
    ranks, allowed = settings.get("draft_tensor_parallel_size"), engine.given.size("tensor-parallel-size")
    if settings.get("num_speculative_tokens") is None and engine.given.complete:
        yield fail(
            f"{engine.name}: num_speculative_tokens is not set: vLLM does not start",
            fix=set_value("num_speculative_tokens", 5),
            location=Location(*engine.locate(*_FLAGS)),
        )
    if str(ranks or 1) not in ("1", str(allowed)) and allowed is not None:
        yield fail(
            f"{engine.name}: draft_tensor_parallel_size is {ranks}; vLLM takes 1"
            + (f" or {allowed}, the model's" if allowed > 1 else ""),
            fix=set_value("draft_tensor_parallel_size", 1),
            location=Location(*engine.locate(*_FLAGS)),
        )


def _check_vocabulary(
    recipe: Recipe, engine: EngineInstance, draft: str, settings: Mapping[str, Any]
) -> Iterator[Result]:
    target = engine.model and _find_model(recipe, engine, engine.model)
    drafting = _find_model(recipe, engine, draft)
    if settings.get("use_heterogeneous_vocab"):
        yield judged(1, "engines")
    elif not target or drafting is None:
        unknown = draft if drafting is None else engine.model or "its model"
        yield describe_unjudged(
            [engine],
            "vocabulary of its draft model",
            why=f"the vocabulary of {unknown} is unknown",
            needs=CONFIG_FILES,
            argument=_FLAGS[0],
        )
    else:
        yield judged(1, "engines")
        if target.vocabulary != drafting.vocabulary:
            yield fail(
                f"{engine.name}: {draft} has {drafting.vocabulary} tokens, {engine.model} has "
                f"{target.vocabulary}: vLLM does not start",
                fix="use a draft model with the model's vocabulary, of its own family",
                location=Location(*engine.locate(*_FLAGS)),
            )


def _find_model(recipe: Recipe, engine: EngineInstance, name: str) -> Model | None:
    mounts = (*engine.container.mounts, *engine.component.claims)
    return resolve_model(recipe, engine.graph, name, resolve_model_id(recipe, mounts, name))
