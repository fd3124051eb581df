"""Random shell scripts, and the arguments that a real shell passes when it runs them."""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from hypothesis import strategies as st

from dynocheck.recipe.shell import find_processes

PYTHON = "python3 -m dynamo.vllm"
NAMES = ("A", "B", "MODEL", "TP")


def split_cases(text: str) -> list[str]:
    """The cases in a text that are separated by ` ¦ `."""
    return text.split(" ¦ ")


class Shell:
    """A real shell in an empty folder, where `python3` records its arguments and `show` records $A and $B."""

    def __init__(self, folder: Path, name: str) -> None:
        found = shutil.which(name)
        assert found is not None
        self.path = found
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        for name, arguments in {"python3": '"$@"', "show": '"${A-}" "${B-}"'}.items():
            shim = self.bin / name
            shim.write_text(f'#!/bin/sh\nprintf "%s\\0" {arguments} "<end>" >>"$CALLS"\n')  # in one write
            shim.chmod(0o755)

    def run(self, script: str, environment: Mapping[str, str]) -> list[list[str]]:
        """The recorded arguments of each call."""
        calls = self.folder / "calls"
        calls.unlink(missing_ok=True)
        here = self.folder / "here"
        shutil.rmtree(here, ignore_errors=True)
        here.mkdir()
        env = {**environment, "PATH": f"{self.bin}:/usr/bin:/bin", "CALLS": str(calls)}
        process = subprocess.Popen(
            [self.path, "-c", script],
            env=env,
            cwd=here,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a script may kill its whole group
        )
        with suppress(subprocess.TimeoutExpired):  # a function that calls itself
            process.wait(timeout=2)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        text = calls.read_bytes().decode() if calls.exists() else ""
        return [call.split("\0")[:-1] for call in text.split("<end>\0")[:-1]]


def expected(script: str, environment: Mapping[str, str], shell: str = "bash") -> list[list[str | None]]:
    """The arguments of each call of python3 by dynocheck's interpretation of the script."""
    found = []
    unreferenced = script.replace("$", "$$")  # the kubelet takes one of two
    for process in find_processes([shell, "-c", unreferenced], environment):
        texts = [word.text for word in process.words]
        if "-m" in texts:
            found.append(texts[texts.index("-m") :])
    return found


def explains(words: list[str | None], passed: list[str]) -> bool:
    """Whether the shell may have passed these arguments for the words; an unknown word is any number."""
    if not words:
        return not passed
    first, *rest = words
    if first is None:
        return any(explains(rest, passed[i:]) for i in range(len(passed) + 1))
    return bool(passed) and passed[0] == first and explains(rest, passed[1:])


_LETTERS = st.text("ab1-/.:=,é", min_size=1, max_size=4)
_NAME = st.sampled_from(NAMES)
_ODD = st.sampled_from(["\\ ", "\\$", '\\"', "\\\\", "\\'", "\\\n", *"~*{},[]!$+%#", ".."])
_DEFAULT = st.sampled_from(
    ["", "d", "d e", "a/b", "$A", "${B}", '"x y"', "'x y'", "~", "*", "$(echo z)", "\\x", "${A:=5}"]
)
_OPERATOR = st.sampled_from([":-", ":-", "-", ":=", "=", ":+", "+", ":?", "%", "//", "#"])
_SPECIAL = st.sampled_from(
    split_cases(
        '"${A[@]}" ¦ ${B[@]} ¦ "${A[@]}" ¦ $((1+2)) ¦ $((A=5)) ¦ $(echo s) ¦ `echo s` ¦ $1 ¦ "$@" ¦ '
        "${#A} ¦ $'q\\n'"
    )
)
_IN_QUOTES = st.sampled_from([" ", "  ", "'", "\n", "\\\n", '\\"', "\\$", "\\a", "*", "~", "{a,b}", "$"])
_IN_SINGLE = st.text('ab "$\\é\n`{*~', max_size=5)
_GAP = st.sampled_from([" ", " ", "  ", " \\\n  ", "\t"])
_REDIRECT = st.sampled_from(["", "", "", " 2>&1", " >log", " 2>/dev/null", " <<<x", " >&2", " </dev/null"])
_PREFIX = st.sampled_from(
    ["", "", "", "", "exec ", "A=p ", "nohup ", "env B=q ", "time ", "command ", "! ", "f ", ">log "]
)
_DECLARING = st.sampled_from(["", "", "", "export ", "readonly ", "declare -x ", "declare -i "])
_STATEMENT = st.sampled_from(
    [
        *("printf -v A r", "eval B=v", "set -e", "set -u", "set -- u v", "shift", "f", "IFS=,", "set -f"),
        *("true", "false", "source ./none", "unset A", "read B <<<k", "A=(x y)", "((TP=7))", "export TP"),
        *("[ -z $A ]", "[[ $A == v* ]]", "let TP=4", "cd .", "alias python3=true", "shopt -s nullglob"),
    ]
)
_COMPOUND = st.sampled_from(
    split_cases(
        "{0} && {1} ¦ {0} || {1} ¦ {0}; {1} ¦ {0}\n{1} ¦ {0} | {1} ¦ {0} & wait; {1} ¦ {0} && {1} || {2} ¦ "
        "if {0}; then {1}; fi ¦ if {0}; then {1}; else {2}; fi ¦ "
        "if {0}; then {1}; elif {2}; then {1}; fi ¦ for A in 1 2; do {0}; done ¦ "
        "for _ in 1 2; do {0}; done ¦ while {0}; do {1}; break; done ¦ "
        "case $A in v*) {0};; *) {1};; esac ¦ f() {{ {0}; }}; {1} ¦ f() {{ {0}; }}; f ¦ ( {0} ) ¦ "
        "{{ {0}; }} ¦ cat <<E && {0}\n$A `x`\nE\n{1} ¦ cat <<'E' | {0}\n$A '\nE\n{1} ¦ "
        "# it's\n{0} # \"x ¦ {0} > log ¦ until {0}; do {1}; break; done ¦ "
        "for ((i=0; i<2; i++)); do {0}; done ¦ ({0}) && {1} ¦ {0} &&\n {1}"
    )
)


@st.composite
def _references(draw: st.DrawFn) -> str:
    kind = draw(st.integers(0, 4))
    name = draw(_NAME)
    if kind == 0:
        return draw(_SPECIAL)
    if kind == 1:
        return f"${{{name}{draw(_OPERATOR)}{draw(_DEFAULT)}}}"
    return f"${name}" if kind == 2 else f"${{{name}}}"


@st.composite
def _words(draw: st.DrawFn) -> str:
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.integers(0, 6))
        if kind <= 1:
            parts.append(draw(_LETTERS))
        elif kind <= 3:
            parts.append(draw(_references()))
        elif kind == 4:
            parts.append(f"'{draw(_IN_SINGLE)}'")
        elif kind == 5:
            inner = [
                draw(st.one_of(_LETTERS, _IN_QUOTES, _references())) for _ in range(draw(st.integers(0, 3)))
            ]
            parts.append('"' + "".join(inner) + '"')
        else:
            parts.append(draw(_ODD))
    return "".join(parts)


@st.composite
def _statements(draw: st.DrawFn) -> str:
    kind = draw(st.integers(0, 6))
    if kind <= 2:
        parts = [draw(_PREFIX), PYTHON]
        for _ in range(draw(st.integers(0, 4))):
            parts += [draw(_GAP), draw(_words()), draw(_REDIRECT)]
        return "".join(parts)
    if kind == 3:
        return draw(_STATEMENT)
    if kind == 4:
        return f": {draw(_words())}"
    if kind == 5:
        elements = " ".join(draw(_words()) for _ in range(draw(st.integers(0, 3))))
        return f"{draw(_DECLARING)}{draw(_NAME)}{draw(st.sampled_from(['=', '=', '+=']))}({elements})"
    names = [f"{draw(_NAME)}{draw(st.sampled_from(['=', '=', '=', '+=']))}{draw(_words())}"]
    names += [f"{draw(_NAME)}={draw(_words())}"] if draw(st.booleans()) else []
    return draw(_DECLARING) + " ".join(names)


@st.composite
def scripts(draw: st.DrawFn, depth: int = 3) -> str:
    """A script that ends with a call that records every variable."""

    def statement(depth: int) -> str:
        if depth and draw(st.integers(0, 2)):
            return draw(_COMPOUND).format(*(statement(depth - 1) for _ in range(3)))
        return draw(_statements())

    lines = [statement(draw(st.integers(0, depth))) for _ in range(draw(st.integers(1, 3)))]
    return "\n".join([*lines, f'{PYTHON} $A $B "$MODEL" ${{TP:-9}}'])


environments = st.dictionaries(
    _NAME, st.sampled_from(["", "v", "v w", " v", "a,b", "*", "/m/é", "3", "-x"]), max_size=4
)
