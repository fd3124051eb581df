"""Probes recipe folders."""

from dynocheck import probe
from dynocheck.facts import RecipePaths, Recipes


@probe()
def recipes(paths: RecipePaths) -> Recipes:
    from dynocheck.recipe.discover import load_recipes  # slow to import, and not needed for clusters

    return Recipes(load_recipes(*paths))
