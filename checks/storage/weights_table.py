"""Table of the claims that hold a recipe's weights."""

from collections.abc import Iterable

from dynocheck import Row, table
from dynocheck.checks.storage._claims import resolve_class
from dynocheck.checks.storage.weight_paths import find_download_target, find_hf_home, is_hub_id, list_engines
from dynocheck.engines.model_lookup import resolve_downloaded
from dynocheck.facts import (
    Claim,
    PersistentVolumeClaim,
    PersistentVolumeClaims,
    Recipe,
    Recipes,
    StorageClasses,
)


@table(
    "storage.weights",
    title="Where the recipe's weights are stored",
    note="reclaim: when the claim is deleted, Delete deletes the weights too; Retain keeps their volume "
    "and its cost, and no other claim can bind it before its claimRef is removed. The volume's own policy "
    "counts: kubectl get pv. grows: whether the claim can be expanded later.",
)
def weights(recipes: Recipes, classes: StorageClasses, claims: PersistentVolumeClaims) -> Iterable[Row]:
    """One row per claim that a Job downloads a model to, or that holds the hub cache of an engine."""
    rows: list[Row] = []
    for recipe in recipes:
        declared = {claim.name: claim for claim in recipe.claims}
        for name, models in _collect_models(recipe).items():
            row = _make_row(name, models, declared.get(name), claims.find(name), classes)
            if row not in rows:
                rows.append(row)
    return rows


def _make_row(
    name: str,
    models: set[str],
    declared: Claim | None,
    existing: PersistentVolumeClaim | None,
    classes: StorageClasses,
) -> Row:
    """The claim as it exists in the namespace, or else as the recipe declares it."""
    size, storage_class = "", None
    if existing is not None:
        size, storage_class = existing.capacity or existing.requested, classes.find(existing.storage_class)
    elif declared is not None:
        size, storage_class = declared.size or "", resolve_class(declared, classes)
    row: Row = {"claim": name, "holds": tuple(sorted(models)), "size": size or "?"}
    if storage_class is None:
        return {**row, "class": "?", "reclaim": "?", "grows": "?"}
    return {
        **row,
        "class": storage_class.name,
        "reclaim": storage_class.reclaim_policy,
        "grows": "yes" if storage_class.allows_expansion else "no",
    }


def _collect_models(recipe: Recipe) -> dict[str, set[str]]:
    """By claim, the models that it holds, each with its size where that is known."""
    models: dict[str, set[str]] = {}
    for download in recipe.downloads:
        if (target := find_download_target(download)) is not None:
            label = _format_model(recipe, download.model) if download.model else "a model"
            models.setdefault(target.partition(":")[0], set()).add(label)
    for engine in list_engines(recipe):
        home, model = find_hf_home(engine), engine.model
        cache = engine.container.resolve_on_claim(home) if home else None
        if cache is not None and model is not None and is_hub_id(model):
            models.setdefault(cache.partition(":")[0], set()).add(_format_model(recipe, model))
    return models


def _format_model(recipe: Recipe, model: str) -> str:
    row = resolve_downloaded(recipe, model)
    return f"{model} {row.disk_bytes / 2**30:.0f}Gi" if row is not None else model
