"""Lists the commands that `command` and `args` of a container run, as the kubelet and the shell read them."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from dynocheck.recipe.references import Environment, expand, expand_in_script
from dynocheck.recipe.shell import syntax
from dynocheck.recipe.shell.parser import parse, parse_document
from dynocheck.recipe.shell.scripts import (
    Files,
    Script,
    find_inline_script,
    find_script_file,
    is_bash,
    normalize_path,
    reads_standard_input,
)
from dynocheck.recipe.shell.syntax import (
    Assignment,
    ParameterExpansion,
    ShellWord,
    SimpleCommand,
    Statement,
    UnsupportedSyntax,
    walk,
)
from dynocheck.recipe.shell.variables import (
    POSITIONAL,
    Unset,
    Variables,
    find_assigned,
    find_set_by_assignment,
    find_set_by_command,
    find_set_in_word,
)
from dynocheck.recipe.shell.words import expand_document, expand_value, expand_words, find_array

MAX_SCRIPT = 128 * 1024  # characters: the longest argument that Linux accepts
_LAUNCH = re.compile(r"-m\s+([a-z]\w*\.[\w.]+)")
_MAX_PASTED = 1024 * 1024  # characters that are parsed: a line that cannot be parsed is skipped
_MAX_DEPTH = 3  # scripts that run each other, as in sh -c "sh -c ..."
# They print a command or run it on another host.
_ELSEWHERE = {"echo", "printf", "kubectl", "ssh", "docker", "srun"}
_SET_OPTION = re.compile(r"[-+]|(pipefail|errexit|nounset|xtrace|posix)\Z")
_SPECIAL = {":", ".", "eval", "exec", "exit", "export", "readonly", "return", "set", "shift", "trap", "unset"}


class Token(NamedTuple):
    """An argument of a process: its text, None if unknown, and its spelling in the source."""

    text: str | None
    spelled: str
    source: int  # index of the element of command and args that it comes from
    line: int = 0  # in that element, from 0


class Process(NamedTuple):
    """A command: its arguments, and the variables that its script sets for it, None if unknown.

    `writes` are the files that its output is redirected to, and `written` those whose whole text is known,
    by path.
    """

    words: tuple[Token, ...]
    variables: Mapping[str, str | None] = {}
    writes: tuple[str | None, ...] = ()
    written: tuple[tuple[str, Script], ...] = ()


_Commands = Iterator[Process]
_NO_FILES: Mapping[str, str] = {}


def find_processes(
    argv: Sequence[str | None],
    environment: Environment,
    *,
    is_open: bool = False,
    files: Mapping[str, str] = _NO_FILES,
) -> _Commands:
    """The commands that a container runs, in order.

    :param argv: the elements of its command and args; None for an element that is not a string.
    :param environment: its variables; None for an unknown value.
    :param is_open: whether it has variables besides those.
    :param files: the text of files in it by path. A token of the first has the source `len(argv)`.
    :return: one command for an exec form, any number for a shell script. Every branch and function of a
        script counts as run. An unknown word stands for any number of arguments.
    """
    texts = [None if text is None else expand(text, environment, is_open=is_open) for text in argv]
    variables = Variables(environment, is_open=is_open)
    scripts = {path: Script(text, len(argv) + i) for i, (path, text) in enumerate(files.items())}
    at = find_inline_script(texts)
    if at is None and (found := find_script_file(texts, scripts)) is not None:
        place, script = found
        variables.put_arguments(texts[place + 1 :])
        bash = is_bash((*texts[:place], script.interpreter))
        yield from _follow_script(script, variables, scripts, bash=bash)
    elif at is None:
        pairs = enumerate(zip(texts, argv, strict=True))
        yield Process(tuple(Token(text, raw or "", i) for i, (text, raw) in pairs))
    elif (raw := argv[at]) is not None:
        script = Script(expand_in_script(raw, environment, is_open=is_open)[:MAX_SCRIPT], at)
        _put_arguments(variables, texts[at + 1 :])
        yield from _follow_script(script, variables, scripts, bash=is_bash(texts[:at]))


def find_unclosed_quote(argv: Sequence[str | None]) -> Token | None:
    """A quote that does not end in the script that a container runs: its shell stops there."""
    at = find_inline_script(argv)
    script = argv[at] if at is not None else None
    if at is None or script is None or len(script) > MAX_SCRIPT:
        return None
    unclosed = parse(script.replace("$$", "$"), bash=is_bash(argv[:at])).unclosed
    if unclosed is None:
        return None
    line = script.replace("$$", "$").count("\n", 0, unclosed)
    return Token(None, script.splitlines()[line].strip(), at, line)


def _put_arguments(variables: Variables, texts: Sequence[str | None]) -> None:
    """Set `$0`, `$1` and so on to what stands behind a script."""
    if texts:
        variables.put("0", texts[0])
    variables.put_arguments(texts[1:])


def _follow_script(
    script: Script, variables: Variables, files: Files, *, bash: bool, depth: int = 0
) -> _Commands:
    """The commands of a script; in the part that cannot be parsed, only `-m MODULE` is found."""
    lines, rest, _ = parse(script.text, bash=bash)
    yield from _ScriptRunner(script, lines, variables, files, bash=bash, depth=depth).follow()
    read = script.text.count("\n", 0, len(script.text) - len(rest))
    yield from _find_launches(rest, script.source, script.line + read)


def _find_launches(text: str, source: int, line: int) -> _Commands:
    """Each `-m MODULE` in a text that cannot be parsed, followed by an unknown word."""
    for launch in _LAUNCH.finditer(text):
        words = ("-m", "-m"), (launch.group(1), launch.group(1)), (None, "")
        at = line + text.count("\n", 0, launch.start())
        yield Process(tuple(Token(text, spelled, source, at) for text, spelled in words))


def find_pasted(text: str, variables: Variables) -> _Commands:
    """The commands of a text that is pasted into bash, without the lines that cannot be parsed.

    :param variables: those that are set so far; the text's own are added.
    """
    line, room = 0, _MAX_PASTED
    while text and (room := room - len(text)) > 0:
        lines, rest, _ = parse(text, bash=True)
        yield from _ScriptRunner(Script(text, 0, line), lines, variables, {}, bash=True, depth=0).follow()
        line += text.count("\n", 0, len(text) - len(rest)) + 1
        text = rest.partition("\n")[2]


class _Call(NamedTuple):
    """A script that a command runs, with the variables it starts with."""

    script: Script
    variables: Variables
    bash: bool


class _ScriptRunner:
    """Interprets a script from top to bottom and tracks what is known of each variable."""

    def __init__(
        self,
        script: Script,
        lines: Sequence[Statement],
        variables: Variables,
        files: Files,
        *,
        bash: bool,
        depth: int,
    ) -> None:
        self._script = script
        self._bash = bash
        self._depth = depth
        self._line_ends = [match.start() for match in re.finditer("\n", script.text)]
        self._lines = lines
        self._variables = variables
        self._files = dict(files)
        self._environment = variables.copy()
        self._functions: dict[str, Statement] = {}
        self._elements: dict[
            str, tuple[tuple[str | None, ShellWord], ...]
        ] = {}  # of arrays, with their words
        self._called: set[str] = set()
        self._reads_code = any(map(_reads_code, chain.from_iterable(map(walk, lines))))
        self._calls = 0  # functions that are being followed
        self._exported: set[str] = set()
        assigned = {name for line in lines for name in find_assigned(line)}
        self._assigned = assigned.difference(POSITIONAL)
        self._variables.splits = "IFS" not in self._assigned

    def follow(self) -> _Commands:
        for statement in chain.from_iterable(map(walk, self._lines)):
            self._called |= {statement.name} if isinstance(statement, SimpleCommand) else set()
            if isinstance(statement, syntax.FunctionDefinition):
                self._functions[statement.name] = statement.body
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
            case syntax.FunctionDefinition(name, body):
                if not (name in self._called and self._depends_on_call(body)):
                    yield from self._follow_subshell(body, unknown=(*self._assigned, *POSITIONAL))

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
        targets = command.redirections.targets
        if not command.words:
            for assignment in command.assignments:
                self._assign(assignment)
            names = {assignment.name for assignment in command.assignments}
            if self._variables.locked & names:
                self._variables.forget(names)  # assignments after the one that fails are not made
        elif command.declares or command.name == "unset":
            if any(literal == "-m" for literal in _list_literals(command)):
                yield self._expand_call(command)  # a program whose line was joined to this one
            self._declare(command)
        else:
            inherits = command.name in ("eval", ".", "source")
            before = self._variables.make_inner(self._variables.copy()) if inherits else None
            arguments = self._variables.get_array("@")
            process = self._expand_call(command)
            process = process._replace(written=tuple(self._write_file(command, process)))
            if (call := self._find_call(command, process, before)) is not None:
                yield from self._follow_call(call, process)
            elif command.name in self._functions:
                yield from self._follow_function(self._functions[command.name], process)
            else:
                yield process
                yield from self._find_hidden(command, process)
            self._change_arguments(command.name, [word.text for word in process.words[1:]], arguments)
        self._variables.forget(name for word in targets for name in find_set_in_word(word))
        yield from self._follow_substitutions(command)

    def _follow_substitutions(self, command: SimpleCommand) -> _Commands:
        """What `$(...)` in a command runs. Its words have a line, but no spelling: they are out of order."""
        for part in chain.from_iterable(map(_list_parts, (*command.assignments, *command.words))):
            if isinstance(part, syntax.UnknownExpansion) and part.runs is not None:
                for nested in self._follow_subshell(part.runs):
                    words = (word._replace(spelled="") for word in nested.words)
                    yield nested._replace(words=tuple(words))

    def _find_call(self, command: SimpleCommand, process: Process, before: Variables | None) -> _Call | None:
        """The script that a command runs; None if it runs none, or one that is not known.

        :param before: for what runs in this shell, the variables as they were before it.
        """
        words, texts = process.words, [word.text for word in process.words]
        if command.name in _ELSEWHERE or self._depth >= _MAX_DEPTH:
            return None
        if command.name == "eval":
            joined = None if None in texts or len(texts) == 1 else " ".join(map(str, texts[1:]))
            script = None if joined is None else Script(joined, words[1].source, words[1].line)
            return self._enter(script, before, self._bash)
        inner = before or self._variables.make_inner({**self._environment, **process.variables})
        at = find_inline_script(texts)
        if at is not None:
            text, word = texts[at], words[at]
            _put_arguments(inner, texts[at + 1 :])
            script = None if text is None else Script(text, word.source, word.line)
            return self._enter(script, inner, is_bash(texts[:at]))
        if (found := find_script_file(texts, self._files)) is not None:
            place, script = found
            if before is None or texts[place + 1 :]:
                inner.put_arguments(texts[place + 1 :])
            bash = self._bash if before is not None else is_bash((*texts[:place], script.interpreter))
            return self._enter(script, inner, bash)
        if command.redirections.documents and reads_standard_input(texts):
            inner.put_arguments(())
            return self._enter(self._read_document(command), inner, is_bash(texts))
        return None

    def _enter(self, script: Script | None, variables: Variables | None, bash: bool) -> _Call | None:
        """A script to follow, while all that are followed are not too long together."""
        self._variables.room -= len(script.text) if script else 0
        if script is None or variables is None or self._variables.room < 0:
            return None
        return _Call(script, variables, bash)

    def _follow_call(self, call: _Call, process: Process) -> _Commands:
        call.variables.room = self._variables.room
        depth = self._depth + 1
        for nested in _follow_script(call.script, call.variables, self._files, bash=call.bash, depth=depth):
            yield nested._replace(variables={**process.variables, **nested.variables})
        self._variables.room = call.variables.room

    def _depends_on_call(self, body: Statement) -> bool:
        """Whether a function is followed where it is called, instead of where it is made."""
        return _uses_arguments(body) and not self._reads_code

    def _follow_function(self, body: Statement, process: Process) -> _Commands:
        """The commands of a function that uses its arguments; of another, they are found where it is made."""
        self._variables.room -= len(self._script.text)
        if not self._depends_on_call(body) or self._calls >= _MAX_DEPTH or self._variables.room < 0:
            yield process
            return
        before = self._variables.copy()
        self._variables.put_arguments([word.text for word in process.words[1:-1]])
        self._calls += 1
        yield from self._follow_statement(body)
        self._calls -= 1
        self._variables.restore(before)

    @staticmethod
    def _find_hidden(command: SimpleCommand, process: Process) -> _Commands:
        """The programs in a script that is only partly known."""
        if command.name in _ELSEWHERE:
            return
        at = 1 if command.name == "eval" else find_inline_script([word.text for word in process.words])
        if at is not None and at < len(process.words):
            word = process.words[at]
            yield from _find_launches(word.spelled, word.source, word.line)

    def _write_file(self, command: SimpleCommand, process: Process) -> Iterator[tuple[str, Script]]:
        """Note the file that `cat > FILE <<EOF` or `tee FILE <<EOF` writes; each is whole if it is new."""
        texts = [word.text for word in process.words]
        if not command.redirections.documents or command.name not in ("cat", "tee"):
            return
        paths = texts[1:] if command.name == "tee" else process.writes
        script = self._read_document(command)
        if script is None:
            return
        for path in (normalize_path(path) for path in paths if path):
            self._files[path] = script
            if not (command.redirections.appends or "-a" in texts):
                yield path, script

    def _read_document(self, command: SimpleCommand) -> Script | None:
        """The text of a command's last here-document; None if it has an expansion that is not supported."""
        document = command.redirections.documents[-1]
        text = document.text
        if document.expands and any(char in text for char in "$`\\"):
            try:
                text = expand_document(parse_document(text, bash=self._bash), self._variables)
            except UnsupportedSyntax:
                return None
        line = self._script.line + bisect_left(self._line_ends, document.start)
        return Script(text, self._script.source, line)

    def _change_arguments(
        self, name: str, texts: Sequence[str | None], before: Sequence[str | None] | None
    ) -> None:
        """Follow `set -- WORD ...` and `shift`.

        :param before: what `$@` was before it; None if unknown.
        """
        if name == "set" and "--" in texts:
            self._variables.put_arguments(texts[texts.index("--") + 1 :])
        elif name == "shift" and not texts and before is not None:
            self._variables.put_arguments(before[1:])
        elif name == "shift" or (name == "set" and not all(_SET_OPTION.match(text or "") for text in texts)):
            self._variables.forget(POSITIONAL)

    def _expand_call(self, command: SimpleCommand) -> Process:
        words = [word for word in command.words if isinstance(word, ShellWord)]
        tokens = [
            token
            for word, texts in zip(words, expand_words(words, self._variables), strict=True)
            for token in self._place_fields(word, texts)
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
            tokens.append(Token(None, "", self._script.source))  # the function may add arguments
        writes = tuple(expand_value(word, self._variables) for word in command.redirections.writes)
        return Process(tuple(tokens), changed, writes)

    def _place_fields(self, word: ShellWord, texts: Sequence[str | None]) -> Iterator[Token]:
        """The fields of a word as tokens; an element of an array is where the script adds it."""
        array = find_array(word)
        elements = iter(self._elements.get(array.name, ()) if array is not None else ())
        for text in texts:
            at = next((element for value, element in elements if value == text), word)
            spelled = self._script.text[at.start : at.end]
            line = self._script.line + bisect_left(self._line_ends, at.start)
            yield Token(text, spelled, self._script.source, line)

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
            added = [
                (field, word)
                for word, fields in zip(assignment.elements, elements, strict=True)
                for field in fields
            ]
            self._variables.put_array(assignment.name, [*before, *(field for field, _ in added)])
            older = self._elements.get(assignment.name, ()) if assignment.appends else ()
            self._elements[assignment.name] = (*older, *added)
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
        if name in ("declare", "typeset", "local") and flags.strip("-xgra"):
            variables.frozen |= declared
        locks = name == "readonly" or "r" in flags
        fails = bool(variables.locked & names) or (locks and len(names) < len(assignments))
        for assignment, value in zip(assignments, values, strict=True):
            if assignment.elements is not None and len(names) == 1 and not fails:
                self._assign(assignment)
                continue
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


def _uses_arguments(body: Statement) -> bool:
    """Whether a function uses `$@`, `$1` and so on."""
    return any(
        isinstance(part, ParameterExpansion) and part.name in POSITIONAL
        for statement in walk(body)
        if isinstance(statement, SimpleCommand)
        for word in statement.words
        for part in _list_parts(word)
    )


def _list_parts(word: ShellWord | Assignment) -> Iterator[syntax.WordPart]:
    values = (word,) if isinstance(word, ShellWord) else (word.value, *(word.elements or ()))
    return (part for value in values if value is not None for part in value.parts)
