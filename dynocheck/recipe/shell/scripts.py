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
    first = _skip_options(texts)
    if first is None or first >= len(texts) or not re.fullmatch(r"-[a-z]*c[a-z]*", texts[first - 1] or ""):
        return None
    return first


def reads_standard_input(texts: Sequence[str | None]) -> bool:
    """Whether a command is a shell that runs what it reads."""
    first = _skip_options(texts)
    return first == len(texts) and not re.fullmatch(r"-[a-z]*c[a-z]*", texts[-1] or "")


def _skip_options(texts: Sequence[str | None]) -> int | None:
    """The index of the first argument of a shell that is no option, or that follows `-c`; None if there is
    no shell.
    """
    start = next((i for i, text in enumerate(texts) if strip_folder(text) in SHELLS), None)
    if start is None:
        return None
    for i in range(start + 1, len(texts)):
        text = texts[i] or ""
        if re.fullmatch(r"-[a-z]*c[a-z]*", text):
            return i + 1
        if not text.startswith(("-", "+")) and texts[i - 1] not in ("-o", "+o", "-O", "+O"):
            return i
    return len(texts)


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
