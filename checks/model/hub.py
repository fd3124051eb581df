"""Checks the models that a recipe names against the Hugging Face hub."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, unknown, warn
from dynocheck.engines import find_instances
from dynocheck.engines.memory_budget import resolve_model_id
from dynocheck.facts import HubModel, HubModels, Recipe, Recipes


@check("model.hub", title="Models and their revisions are on the hub")
def hub(recipes: Recipes, models: HubModels) -> Iterator[Result]:
    """A download of a model that the hub does not have fails, as does one of a revision that it does not
    have. The hub answers alike for a model that is missing and for a private one that the token cannot see.
    After a model was renamed, the hub redirects its old name until its owner takes that for another model.

    The hub is asked only with --hub: by huggingface_hub, and with the token and the endpoint that it finds
    here (HF_TOKEN, HF_ENDPOINT). Whether a gated model has a token in the recipe is judged by model.token.

    Fix: write the name and the revision as https://huggingface.co shows them
    """
    if not models.endpoint:
        raise Skip("the hub is asked only with --hub")
    places = dict(_list_places(recipes))
    if not places:
        raise Skip("no model with a hub id")
    for model in models:
        if (place := places.get((model.name, model.revision))) is None:
            continue
        if model.state != "unreachable":
            yield judged(1, "models")
        yield from _check_model(model, models, place)


def _check_model(model: HubModel, models: HubModels, place: Location) -> Iterator[Finding]:
    evidence = {"endpoint": models.endpoint, "token": "sent" if models.token else "none"}
    if model.state == "unreachable":
        yield unknown(f"{model.name}: {model.reason}", evidence=evidence, location=place)
    elif model.state == "no-revision":
        yield fail(
            f"{model.name} has no revision {model.revision} on the hub",
            fix=f"use a revision of {models.endpoint}/{model.name}/commits/main",
            evidence=evidence,
            location=place,
        )
    elif model.state == "missing":
        report, private = (fail, "the token here") if models.token else (warn, "anyone without a token")
        yield report(
            f"{model.name} is not on the hub, or private and hidden from {private}",
            fix="correct the name, or set HF_TOKEN to a token that can read the model",
            evidence=evidence,
            location=place,
        )
    elif model.current.lower() != model.name.lower():
        yield warn(
            f"{model.name} is now {model.current}",
            fix=f"write {model.current}",
            evidence=evidence,
            location=place,
        )


def _list_places(recipes: Recipes) -> Iterator[tuple[tuple[str, str | None], Location]]:
    """Where recipes name each model and revision; the last place is that of a download, if there is one."""
    for recipe in recipes:
        yield from _list_engine_places(recipe)
    for download in (download for recipe in recipes for download in recipe.downloads):
        if download.model is not None:
            key = download.model, download.revision
            yield key, Location(download.file, download.line, download.column)


def _list_engine_places(recipe: Recipe) -> Iterator[tuple[tuple[str, str | None], Location]]:
    for engine in (engine for graph in recipe.deployments for engine in find_instances(graph)):
        name = resolve_model_id(recipe, engine.container.mounts, engine.model)
        revision = engine.given.get("revision")
        if name is not None:
            known = revision is not None and revision.known
            place = Location(*engine.locate(*engine.engine.model_flags))
            yield (name, str(revision.value) if known and revision else None), place
