"""What findings say to type, tried by a shell, by kubectl's parser, and on a cluster without changing it."""

import re
import subprocess
from collections.abc import Iterator

from tests.controlplane.server import ControlPlane

_READS = {"get", "describe", "config"}
_CHANGES = {"annotate", "create", "delete", "label", "patch", "scale", "taint"}  # and can be tried without
_PLACEHOLDER = re.compile(r"\b[A-Z]{3,}\b")
# Every command but kubectl is left out; of kubectl the words are told, as the shell makes them.
_SHELL = """
kubectl() { local IFS=$'\\037'; printf '\\037%s\\n' "$*" >&2; }
command_not_found_handle() { return 0; }
"""


def commands(fix: str) -> Iterator[list[str]]:
    """Each kubectl command of a fix that is one to paste, as the words that a shell makes of it."""
    start = fix.find("kubectl ")
    if start != 0 and not fix[:start].endswith(": "):
        return
    ran = subprocess.run(
        ["/bin/bash", "-c", _SHELL + fix[start:]],
        env={"PATH": "/nowhere"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=10,
    )
    told = [line for line in ran.stderr.split("\n") if line]
    assert told, f"no command for a shell: {fix}"
    for line in told:
        assert line.startswith("\037"), f"a shell says of {fix}: {line}"
        yield line.split("\037")[1:]


def find_faults(fix: str, cluster: ControlPlane) -> list[str]:
    """What kubectl says against the commands of a fix."""
    return [said for command in commands(fix) if (said := _find_fault(command, cluster))]


def find_misreading(command: list[str], cluster: ControlPlane) -> str:
    """What kubectl's parser says against a command."""
    own = command.index("--") if "--" in command else len(command)  # what follows is another command's
    parsed = cluster.kubectl(*command[:own], "--help")
    return f"{command}: {parsed.stderr}" if parsed.returncode else ""


def _find_fault(command: list[str], cluster: ControlPlane) -> str:
    if said := find_misreading(command, cluster):
        return said
    told = any(_PLACEHOLDER.search(word) for word in command) or "-w" in command
    if told or command[0] not in _READS | _CHANGES:
        return ""
    tried = [*command, "--dry-run=server"] if command[0] in _CHANGES else command
    ran = cluster.kubectl(*tried)
    answered = not ran.returncode or "doesn't have a resource type" in ran.stderr  # which is an answer too
    return "" if answered else f"{tried}: {ran.stderr}"
