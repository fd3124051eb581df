"""Probes recipe folders."""

from dynocheck import probe
from dynocheck.facts import RecipePaths, Recipes
from dynocheck.probes._limits import READING_LIMIT_S


@probe(limit=lambda paths: READING_LIMIT_S)
def recipes(paths: RecipePaths) -> Recipes:
    from dynocheck.recipe.discover import load_recipes  # slow to import, and not needed for clusters

    return Recipes(load_recipes(*paths))
