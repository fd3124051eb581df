"""Runs the programs of this machine that make manifests, without the network."""

import subprocess
import tempfile
from collections.abc import Sequence
from typing import NamedTuple

_TIMEOUT_S = 20
_MAX_OUTPUT = 4 << 20  # characters
# Nothing listens there: what a renderer gets over HTTP or with git cannot be had.
NOWHERE = "http://127.0.0.1:9"


class Rendering(NamedTuple):
    """The YAML that a renderer wrote, empty if it failed, and then what it said."""

    output: str
    error: str = ""


def run_renderer(command: Sequence[str]) -> Rendering:
    """What a renderer makes. It finds no settings, plug-ins or caches of the user, and no other program."""
    with tempfile.TemporaryDirectory() as home:
        environment = {"HOME": home, "TMPDIR": home, "PATH": home}
        environment |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), NOWHERE)
        try:
            done = subprocess.run(  # noqa: S603 - a program of the user, and a path
                [*command],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Rendering("", f"it takes over {_TIMEOUT_S} s")
        except OSError as error:
            return Rendering("", error.strerror or str(error))
    output = done.stdout.decode(errors="replace")
    if done.returncode:
        return Rendering("", done.stderr.decode(errors="replace").strip())
    return Rendering(output) if len(output) <= _MAX_OUTPUT else Rendering("", "its output is too long")
