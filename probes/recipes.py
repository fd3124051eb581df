"""Recipe folders."""

from dynocheck import probe
from dynocheck.facts import Recipes
from dynocheck.recipe.discover import RecipePaths, load


@probe()
def recipes(paths: RecipePaths) -> Recipes:
    return Recipes(load(paths.items))
