"""Renders kustomizations with the kustomize of this machine, or kubectl's, without the network."""

import os
import re
import shutil
from functools import cache
from pathlib import Path

from dynocheck.recipe.renderers import NOWHERE, Rendering, run_renderer

_REMOTE = (NOWHERE.rpartition("/")[2], "no 'git' program")
_LOGGED = re.compile(r'err=(?:"((?:\\.|[^"\\])*)"|<(.*)>)', re.DOTALL)  # by kubectl
_MAX_REASON = 200  # characters


def render_overlay(folder: str) -> Rendering | None:
    """The objects that a kustomization makes; None if neither kustomize nor kubectl is installed.

    Nothing is executed or fetched: plug-ins, functions and Helm need flags that are not given.
    """
    command = _find_command()
    if not command:
        return None
    done = run_renderer([*command, folder])
    return done._replace(error=_explain(done.error, Path(folder).resolve())) if done.error else done


def _explain(error: str, folder: Path) -> str:
    """Why a kustomization is not rendered, with paths as seen from its folder."""
    if any(sign in error for sign in _REMOTE):
        return "cannot render it without the network"
    logged = _LOGGED.search(error)
    message = (logged[1] or logged[2]) if logged else re.sub(r"^error: ", "", error, flags=re.IGNORECASE)
    message = message.replace(f"{folder}/", "").replace(f"{folder.parent}/", "../")
    return f"says {' '.join(message.rpartition('`: ')[2].split())[:_MAX_REASON]}"


@cache
def _find_command() -> tuple[str, ...]:
    """The words before the folder, by the program that is installed."""
    if found := shutil.which("kustomize"):
        return (os.path.realpath(found), "build")
    found = shutil.which("kubectl")
    return (os.path.realpath(found), "kustomize") if found else ()
