"""Lists the commands that `command` and `args` of a container run, as the kubelet and the shell read them."""

import re
import shlex
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from dynocheck.recipe.references import Environment, expand, expand_in_script
from dynocheck.recipe.shell import syntax
from dynocheck.recipe.shell.parser import parse
from dynocheck.recipe.shell.syntax import Assignment, ShellWord, SimpleCommand, Statement, walk
from dynocheck.recipe.shell.variables import (
    Unset,
    Variables,
    find_assigned,
    find_set_by_assignment,
    find_set_by_command,
    find_set_in_word,
)
from dynocheck.recipe.shell.words import expand_value, expand_words

_SHELLS = ("sh", "bash", "dash", "ash")
MAX_SCRIPT = 128 * 1024  # characters: the longest argument that Linux accepts
_LAUNCH = re.compile(r"-m\s+([a-z]\w*\.[\w.]+)")
_MAX_DEPTH = 3  # scripts that run each other, as in sh -c "sh -c ..."
# They print a command or run it on another host.
_ELSEWHERE = {"echo", "printf", "kubectl", "ssh", "docker", "srun"}
_SPECIAL = {":", ".", "eval", "exec", "exit", "export", "readonly", "return", "set", "shift", "trap", "unset"}


class Token(NamedTuple):
    """An argument of a process: its text, None if unknown, and its spelling in the source."""

    text: str | None
    spelled: str
    source: int  # index of the element of command and args that it comes from
    line: int = 0  # in that element, from 0


class Process(NamedTuple):
    """A command: its arguments, and the variables that its script sets for it, None if unknown."""

    words: tuple[Token, ...]
    variables: Mapping[str, str | None] = {}


_Commands = Iterator[Process]


def find_processes(
    argv: Sequence[str | None], environment: Environment, *, is_open: bool = False
) -> _Commands:
    """The commands that a container runs, in order.

    :param argv: the elements of its command and args; None for an element that is not a string.
    :param environment: its variables; None for an unknown value.
    :param is_open: whether it has variables besides those.
    :return: one command for an exec form, any number for a shell script. Every branch and function of a
        script counts as run. An unknown word stands for any number of arguments.
    """
    texts = [None if text is None else expand(text, environment, is_open=is_open) for text in argv]
    at = _find_script(texts)
    if at is None:
        pairs = enumerate(zip(texts, argv, strict=True))
        yield Process(tuple(Token(text, raw or "", i) for i, (text, raw) in pairs))
        return
    raw = argv[at]
    if raw is not None:
        raw = _insert_arguments(raw, texts[at + 2 :])
        script = expand_in_script(raw, environment, is_open=is_open)[:MAX_SCRIPT]
        yield from _follow_script(
            script, at, Variables(environment, is_open=is_open), bash=_is_bash(texts[:at])
        )


def _insert_arguments(script: str, arguments: Sequence[str | None]) -> str:
    """A script with the elements behind it, its `$1` and so on, in place of `"$@"`, where all are known."""
    if not arguments or None in arguments:
        return script
    return script.replace('"$@"', shlex.join(map(str, arguments)).replace("$", "$$"))


def _follow_script(
    script: str, source: int, variables: Variables, *, bash: bool, depth: int = 0
) -> _Commands:
    """The commands of a script; in the part that cannot be parsed, only `-m MODULE` is found."""
    lines, rest = parse(script, bash=bash)
    yield from _ScriptRunner(script, source, lines, variables, bash=bash, depth=depth).follow()
    yield from _find_launches(rest, source, script.count("\n", 0, len(script) - len(rest)))


def _find_launches(text: str, source: int, line: int) -> _Commands:
    """Each `-m MODULE` in a text that cannot be parsed, followed by an unknown word."""
    for launch in _LAUNCH.finditer(text):
        words = ("-m", "-m"), (launch.group(1), launch.group(1)), (None, "")
        at = line + text.count("\n", 0, launch.start())
        yield Process(tuple(Token(text, spelled, source, at) for text, spelled in words))


def _is_bash(texts: Iterable[str | None]) -> bool:
    return next((name for text in texts if (name := _strip_folder(text)) in _SHELLS), "") == "bash"


def _strip_folder(text: str | None) -> str:
    return (text or "").rpartition("/")[2]


def _find_script(texts: Sequence[str | None]) -> int | None:
    """The index of SCRIPT in `[WRAPPER ...] sh -c SCRIPT`; None if the arguments run no script."""
    start = next((i for i, text in enumerate(texts) if _strip_folder(text) in _SHELLS), len(texts))
    for i in range(start + 1, len(texts) - 1):
        text = texts[i] or ""
        if re.fullmatch(r"-[a-z]*c[a-z]*", text):
            return i + 1
        if not text.startswith(("-", "+")) and texts[i - 1] not in ("-o", "+o", "-O", "+O"):
            return None
    return None


class _ScriptRunner:
    """Interprets a script from top to bottom and tracks what is known of each variable."""

    def __init__(
        self,
        text: str,
        source: int,
        lines: Sequence[Statement],
        variables: Variables,
        *,
        bash: bool,
        depth: int,
    ) -> None:
        self._text = text
        self._bash = bash
        self._depth = depth
        self._line_ends = [match.start() for match in re.finditer("\n", text)]
        self._source = source
        self._lines = lines
        self._variables = variables
        self._environment = variables.copy()
        self._functions: set[str] = set()
        self._exported: set[str] = set()
        self._assigned = {name for line in lines for name in find_assigned(line)}
        self._variables.splits = "IFS" not in self._assigned

    def follow(self) -> _Commands:
        for statement in chain.from_iterable(map(walk, self._lines)):
            if isinstance(statement, syntax.FunctionDefinition):
                self._functions.add(statement.name)
                self._variables.frozen |= find_assigned(statement.body)
                self._variables.opaque |= any(map(_reads_code, walk(statement.body)))
            elif isinstance(statement, SimpleCommand) and statement.declares:
                self._exported |= find_assigned(statement)
            elif isinstance(statement, SimpleCommand) and _exports_all(statement):
                self._exported |= self._assigned
        yield from chain.from_iterable(map(self._follow_statement, self._lines))

    def _follow_statement(self, statement: Statement) -> _Commands:
        match statement:
            case SimpleCommand():
                yield from self._follow_simple(statement)
            case syntax.OpaqueCommand(words, names):
                self._variables.forget({*names, *(name for word in words for name in find_set_in_word(word))})
            case syntax.StatementList(statements):
                yield from chain.from_iterable(map(self._follow_statement, statements))
            case syntax.Subshell(parts):
                yield from chain.from_iterable(map(self._follow_subshell, parts))
            case syntax.AndOrList(parts):
                yield from self._follow_chain(parts)
            case syntax.Branches(first, bodies):
                yield from self._follow_statement(first)
                yield from chain.from_iterable(map(self._follow_maybe, bodies))
            case syntax.Loop(_, body):
                self._variables.forget(find_assigned(statement))
                yield from self._follow_maybe(body)
            case syntax.FunctionDefinition(_, body):
                yield from self._follow_subshell(body, unknown=self._assigned)

    def _follow_subshell(self, statement: Statement, unknown: Iterable[str] = ()) -> _Commands:
        """Follow what runs in its own process or is a function body: its assignments have no effect here."""
        before = self._variables.copy()
        self._variables.forget(unknown)
        yield from self._follow_statement(statement)
        self._variables.restore(before)

    def _follow_maybe(self, statement: Statement) -> _Commands:
        """Follow what may run or not: what it changes is unknown afterwards."""
        before = self._variables.copy()
        yield from self._follow_statement(statement)
        self._variables.doubt(before)

    def _follow_chain(self, parts: Sequence[tuple[str, Statement]]) -> _Commands:
        """Follow `a && b || c`: what `a` sets is known in `b`, which needs its success, not afterwards."""
        yield from self._follow_statement(parts[0][1])
        before = self._variables.copy()
        for operator, part in parts[1:]:
            if operator == "||":
                self._variables.forget(self._variables.changed_since(before))
                yield from self._follow_maybe(part)
            else:
                yield from self._follow_statement(part)
        self._variables.doubt(before)

    def _follow_simple(self, command: SimpleCommand) -> _Commands:
        if not command.words:
            for assignment in command.assignments:
                self._assign(assignment)
            names = {assignment.name for assignment in command.assignments}
            if self._variables.locked & names:
                self._variables.forget(names)  # assignments after the one that fails are not made
        elif command.declares or command.name == "unset":
            self._declare(command)
        else:
            before = self._variables.make_inner(self._variables.copy()) if command.name == "eval" else None
            yield from self._follow_nested(command.name, self._expand_call(command), before)
        self._variables.forget(name for word in command.aside for name in find_set_in_word(word))

    def _follow_nested(self, name: str | None, process: Process, before: Variables | None) -> _Commands:
        """The command itself, or the commands of the script that `eval` or `sh -c` runs.

        :param before: for `eval`, the variables as they were before it.
        """
        words = process.words
        texts = [word.text for word in words]
        at = None if name in _ELSEWHERE else _find_script(texts) if before is None else 1
        if at is None or at >= len(words) or self._depth >= _MAX_DEPTH:
            yield process
            return
        token, parts = words[at], texts[at : None if before else at + 1]
        if None in parts:
            yield process
            yield from _find_launches(token.spelled, token.source, token.line)
            return
        script = " ".join(map(str, parts))
        inner = before or self._variables.make_inner({**self._environment, **process.variables})
        inner.room = self._variables.room
        bash = self._bash if before else _is_bash(texts[:at])
        for nested in _follow_script(script, token.source, inner, bash=bash, depth=self._depth + 1):
            moved = tuple(word._replace(line=token.line + word.line) for word in nested.words)
            yield Process(moved, {**process.variables, **nested.variables})
        self._variables.room = inner.room

    def _expand_call(self, command: SimpleCommand) -> Process:
        words = [word for word in command.words if isinstance(word, ShellWord)]
        tokens = [
            Token(
                text,
                self._text[word.start : word.end],
                self._source,
                bisect_left(self._line_ends, word.start),
            )
            for word, texts in zip(words, expand_words(words, self._variables), strict=True)
            for text in texts
        ]
        changed = self._collect_environment(command)
        self._variables.forget(find_set_by_command(command))
        for assignment in command.assignments:
            names = set(find_set_by_assignment(assignment))
            persists = command.name in self._functions or command.name in _SPECIAL
            self._variables.forget(names if persists else names - {assignment.name})
        if _reads_code(command):
            self._variables.opaque = True
        if command.name in self._functions:
            tokens.append(Token(None, "", self._source))  # the function may add arguments
        return Process(tuple(tokens), changed)

    def _collect_environment(self, command: SimpleCommand) -> dict[str, str | None]:
        """The variables of a command that differ from those of the container."""
        changed: dict[str, str | None] = {}
        for name in self._assigned & (self._exported | self._environment.keys()):
            value_now = self._variables.get(name)
            if not isinstance(value_now, Unset) and value_now != self._environment.get(name, Unset.UNSET):
                changed[name] = value_now
        unchanged = self._variables.copy()
        for assignment in command.assignments:
            changed[assignment.name] = self._expand_value(assignment)
            self._variables.put(assignment.name, changed[assignment.name])  # the next one may use it
        self._variables.restore(unchanged)
        return changed

    def _assign(self, assignment: Assignment) -> None:
        before = self._variables.get_array(assignment.name) if assignment.appends else []
        found = self._expand_value(assignment)
        elements = expand_words(assignment.elements or (), self._variables)
        self._variables.forget(set(find_set_by_assignment(assignment)) - {assignment.name})
        if assignment.elements is not None and before is not None:
            added = [field for fields in elements for field in fields]
            self._variables.put_array(assignment.name, [*before, *added])
        else:
            self._variables.put(assignment.name, found)

    def _expand_value(self, assignment: Assignment, *, declared: bool = False) -> str | None:
        if assignment.value is None:
            return None
        before = self._variables.expand(assignment.name) if assignment.appends else None
        found = expand_value(assignment.value, self._variables, declared=declared)
        if assignment.appends:
            return f"{before}{found}" if isinstance(before, str) and found is not None else None
        return found

    def _declare(self, command: SimpleCommand) -> None:
        """Follow `export`, `declare`, `unset` and similar: every value is expanded before any is set."""
        variables, name = self._variables, command.name
        literals = _list_literals(command)
        flags = "".join(literal for literal in literals if literal.startswith("-"))
        assignments = [word for word in command.words if isinstance(word, Assignment)]
        values = [self._expand_value(assignment, declared=True) for assignment in assignments]
        names = {assignment.name for assignment in assignments}
        declared = names | set(find_set_by_command(command))
        if name in ("declare", "typeset", "local") and flags.strip("-xgr"):
            variables.frozen |= declared
        locks = name == "readonly" or "r" in flags
        fails = bool(variables.locked & names) or (locks and len(names) < len(assignments))
        for assignment, value in zip(assignments, values, strict=True):
            variables.forget(set(find_set_by_assignment(assignment)) - {assignment.name})
            variables.put(assignment.name, None if fails else value)
        if locks:
            variables.locked |= declared
        if name == "unset" and "f" not in flags:
            for literal in literals:
                variables.unset(literal)


def _list_literals(command: SimpleCommand) -> list[str]:
    """The arguments of a command; an empty string for one with an expansion."""
    return [word.literal or "" for word in command.words[1:] if isinstance(word, ShellWord)]


def _exports_all(command: SimpleCommand) -> bool:
    """Whether the command is `set -a`, which exports every variable."""
    return command.name == "set" and any(
        re.fullmatch(r"-[a-z]*a[a-z]*|allexport", flag) for flag in _list_literals(command)
    )


def _reads_code(statement: Statement) -> bool:
    """Whether it runs code from outside the script, which may set anything; a venv's `activate` does not."""
    if not isinstance(statement, SimpleCommand) or statement.name not in (".", "source", "eval"):
        return False
    file = statement.words[1] if len(statement.words) == 2 else None
    path = file.literal if isinstance(file, ShellWord) else None
    return statement.name == "eval" or not (path or "").endswith("/bin/activate")
