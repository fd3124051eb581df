"""Renders kustomizations with the kustomize of this machine, or kubectl's, without the network."""

import os
import shutil
import subprocess
import tempfile
from functools import cache

_TIMEOUT_S = 20
_MAX_OUTPUT = 4 << 20  # characters
# Nothing listens there: remote bases, which kustomize gets over HTTP or with git, cannot be had.
_NOWHERE = "http://127.0.0.1:9"


def render_overlay(folder: str) -> str | None:
    """The objects that a kustomization makes, as YAML; empty if it cannot be rendered, None if neither
    kustomize nor kubectl is installed.

    Nothing is executed or fetched: plug-ins, functions and Helm need flags that are not given.
    """
    command = _find_command()
    if not command:
        return None
    with tempfile.TemporaryDirectory() as home:
        environment = {"HOME": home, "TMPDIR": home, "PATH": home}
        environment |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), _NOWHERE)
        try:
            done = subprocess.run(  # noqa: S603 - a program of the user, and a path
                [*command, folder],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
    output = done.stdout.decode(errors="replace")
    return output if not done.returncode and len(output) <= _MAX_OUTPUT else ""


@cache
def _find_command() -> tuple[str, ...]:
    """The words before the folder, by the program that is installed."""
    if found := shutil.which("kustomize"):
        return (os.path.realpath(found), "build")
    found = shutil.which("kubectl")
    return (os.path.realpath(found), "kustomize") if found else ()
