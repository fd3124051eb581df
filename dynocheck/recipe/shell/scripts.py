"""Finds the script that a command runs: behind `-c`, in a known file, or on its standard input."""

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

SHELLS = ("sh", "bash", "dash", "ash")
_WRAPPERS = (
    *SHELLS,
    *(".", "dumb-init", "env", "exec", "mpirun", "nohup", "numactl", "source", "stdbuf"),
    *("sudo", "taskset", "timeout", "tini", "trtllm-llmapi-launch"),
)
_OPTION = re.compile(r"[-+].*|\w+=.*|\d+[smh]?|pipefail", re.DOTALL)  # of a wrapper or a shell
_SHEBANG = re.compile(r"#!.*/(?:env +)?(\w+)")


class Script(NamedTuple):
    """A script: its text, the index of the element it comes from, and its first line there, from 0."""

    text: str
    source: int
    line: int = 0

    @property
    def interpreter(self) -> str:
        """What its first line names; `sh` if it names none."""
        found = _SHEBANG.match(self.text)
        return found.group(1) if found else "sh"


Files = Mapping[str, Script]  # by path


def is_bash(texts: Iterable[str | None]) -> bool:
    return next((name for text in texts if (name := strip_folder(text)) in SHELLS), "") == "bash"


def strip_folder(text: str | None) -> str:
    return (text or "").rpartition("/")[2]


def find_inline_script(texts: Sequence[str | None]) -> int | None:
    """The index of SCRIPT in `[WRAPPER ...] sh -c SCRIPT`; None if the arguments run no script."""
    first, takes_script = _skip_options(texts)
    return first if takes_script and first < len(texts) else None


def reads_standard_input(texts: Sequence[str | None]) -> bool:
    """Whether a command is a shell that runs what it reads."""
    first, takes_script = _skip_options(texts)
    return first == len(texts) and not takes_script


def _skip_options(texts: Sequence[str | None]) -> tuple[int, bool]:
    """The index of the first argument of a shell that is no option, and whether `-c` is among the options;
    -1 if there is no shell. `-`, `--` and an unknown argument end the options.
    """
    start = next((i for i, text in enumerate(texts) if strip_folder(text) in SHELLS), None)
    if start is None:
        return -1, False
    takes_script = False
    for i in range(start + 1, len(texts)):
        text = texts[i] or ""
        takes_script = takes_script or re.fullmatch(r"-[a-z]*c[a-z]*", text) is not None
        if text in ("-", "--"):
            return i + 1, takes_script
        if not text.startswith(("-", "+")) and texts[i - 1] not in ("-o", "+o", "-O", "+O"):
            return i, takes_script
    return len(texts), takes_script


def find_script_file(texts: Sequence[str | None], files: Files) -> tuple[int, Script] | None:
    """The script that a command runs of these files, and the index of its path among the arguments.

    A command that begins with an option, as a line without a backslash before it, runs none.
    """
    if texts and (texts[0] or "").startswith(("-", "+")):
        return None
    for i, text in enumerate(texts):
        script = files.get(normalize_path(text)) if text else None
        if script is not None:
            shell = script.interpreter in SHELLS or strip_folder(texts[i - 1]) in (*SHELLS, ".", "source")
            return (i, script) if shell else None
        if text is None or not (strip_folder(text) in _WRAPPERS or _OPTION.fullmatch(text)):
            return None
    return None


def normalize_path(path: str) -> str:
    return posixpath.normpath(path) if path else ""
