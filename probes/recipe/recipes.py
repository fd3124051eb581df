"""Probes recipe folders."""

from dynocheck import probe
from dynocheck.facts import RecipePaths, Recipes

_LIMIT_S = 300.0  # a tree of thousands of files takes longer than a server may


@probe(limit=lambda paths: _LIMIT_S)
def recipes(paths: RecipePaths) -> Recipes:
    from dynocheck.recipe.discover import load_recipes  # slow to import, and not needed for clusters

    return Recipes(load_recipes(*paths))
