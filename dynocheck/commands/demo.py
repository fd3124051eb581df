"""`dynocheck demo`: a tour with what comes in the package: a cluster snapshot, a reference recipe and a
simulated engine.
"""

import os
from importlib.resources import as_file, files

import click

from dynocheck.commands import preflight, recipe, smoke
from dynocheck.core.options import CommonOptions
from dynocheck.simulated import serve_in_subprocess

_RECIPE = "deepseek-r1"


def run() -> int:
    """Check each, and print the exit codes.

    :return: 0 when all could be judged, whatever the verdicts; else the exit code of one that could not.
    """
    package = files("dynocheck")
    with (
        as_file(package / "data" / "demo.json") as recording,
        as_file(package / "recipes" / _RECIPE) as folder,
    ):
        click.echo("$ dynocheck preflight --snapshot demo.json      # a recorded cluster\n")
        cluster_code = preflight.run(CommonOptions(snapshot=os.path.relpath(recording)), ())
        click.echo(
            f"\nexit code {cluster_code}\n\n$ dynocheck recipe recipes/{_RECIPE}      # a reference recipe\n"
        )
        recipe_code = recipe.run(CommonOptions(), (os.path.relpath(folder),), cluster=False)
    with serve_in_subprocess() as url:
        click.echo(f"\nexit code {recipe_code}\n\n$ dynocheck smoke --url {url}      # a simulated engine\n")
        smoke_code = smoke.run(CommonOptions(), smoke.SmokeOptions(url=url))
    click.echo(f"\nexit code {smoke_code}\n\nOn a cluster of your own: dynocheck preflight")
    return max((code for code in (cluster_code, recipe_code, smoke_code) if code > 1), default=0)
