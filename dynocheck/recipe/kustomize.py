"""Renders kustomizations with the kustomize of this machine, or kubectl's, without the network."""

import os
import shutil
from functools import cache

from dynocheck.recipe.renderers import run_renderer


def render_overlay(folder: str) -> str | None:
    """The objects that a kustomization makes, as YAML; empty if it cannot be rendered, None if neither
    kustomize nor kubectl is installed.

    Nothing is executed or fetched: plug-ins, functions and Helm need flags that are not given.
    """
    command = _find_command()
    return run_renderer([*command, folder]).output if command else None


@cache
def _find_command() -> tuple[str, ...]:
    """The words before the folder, by the program that is installed."""
    if found := shutil.which("kustomize"):
        return (os.path.realpath(found), "build")
    found = shutil.which("kubectl")
    return (os.path.realpath(found), "kustomize") if found else ()
