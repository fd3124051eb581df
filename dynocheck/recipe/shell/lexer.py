"""Reads the words of a shell script: quotes, escapes, expansions, here-documents."""

import re
from collections.abc import Callable

from dynocheck.recipe.shell.syntax import (
    ParameterExpansion,
    ShellWord,
    Text,
    UnknownExpansion,
    UnsupportedSyntax,
    WordPart,
)

NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
OPERATORS = frozenset(" \t\n;&|<>()")
MAX_DEPTH = 40

_ASSIGNS = re.compile(r"\+\+|--|(?<![=!<>])=(?!=)")
_SETS_IN_BODY = re.compile(r"\$\{\w+:?=|\$\(\(.*(=|\+\+|--)")
_DEFAULTS = re.compile(r":?[-=+?]")
_PLAIN = re.compile(r"[\w./:=,@%+-]+")  # not special to a shell anywhere in a word
_PLAIN_IN_QUOTES = re.compile(r"[^$`\"\\}]+")
_IN_QUOTES = '$`"\\'


class Lexer:
    """A script and the current position in it. Every reader raises UnsupportedSyntax for what it cannot read.

    :param bash: whether bash runs the script, rather than another POSIX shell.
    """

    def __init__(self, text: str, *, bash: bool) -> None:
        self.text = text
        self.at = 0
        self.bash = bash
        self.depth = 0
        self._bodies: list[tuple[str, bool]] = []  # here-documents whose text starts on the next line

    def starts_with(self, expected: str) -> bool:
        return self.text.startswith(expected, self.at)

    def take(self, expected: str) -> bool:
        if not self.starts_with(expected):
            return False
        self.at += len(expected)
        return True

    def need(self, expected: str) -> None:
        if not self.take(expected):
            raise UnsupportedSyntax

    @property
    def char(self) -> str:
        """The next character, empty at the end."""
        return self.text[self.at : self.at + 1]

    def skip_blanks(self) -> None:
        """Skip blanks, escaped line ends and a comment."""
        while self.take(" ") or self.take("\t") or self.take("\\\n"):
            pass
        if self.char == "#":
            end = self.text.find("\n", self.at)
            self.at = len(self.text) if end < 0 else end

    def skip_lines(self) -> None:
        """Skip blank lines, and the here-documents that start after the first line end."""
        self.skip_blanks()
        while self.take("\n"):
            for delimiter, strips in self._bodies:
                self._skip_body(delimiter, strips=strips)
            self._bodies = []
            self.skip_blanks()

    def queue_here_document(self, delimiter: ShellWord, *, strips: bool) -> None:
        if delimiter.literal is None:
            raise UnsupportedSyntax
        self._bodies.append((delimiter.literal, strips))

    def _skip_body(self, delimiter: str, *, strips: bool) -> None:
        while self.at < len(self.text):
            line, _, _ = self.text[self.at :].partition("\n")
            self.at = min(self.at + len(line) + 1, len(self.text))
            if _SETS_IN_BODY.search(line):
                raise UnsupportedSyntax
            if (line.lstrip("\t") if strips else line) == delimiter:
                return

    def read_word(self, nested: Callable[[str], None], stops: frozenset[str] = OPERATORS) -> ShellWord:
        """Read the word at the current position.

        :param nested: parses statements up to, but not including, the given text.
        """
        start = self.at
        parts = self._read_parts(nested, stops)
        if self.at == start:
            raise UnsupportedSyntax
        return ShellWord(tuple(parts), start, self.at)

    def _read_parts(self, nested: Callable[[str], None], stops: frozenset[str]) -> list[WordPart]:
        parts: list[WordPart] = []
        while self.char and (self.char not in stops or self.is_at_substitution()):
            if self.take("\\\n"):
                continue
            if self.take("\\"):
                parts.append(Text(self._read_char() if self.char else "\\", quoted=True))
            elif self.take("'"):
                parts.append(Text(self._read_until("'"), quoted=True))
            elif self.take('"'):
                parts += [Text("", quoted=True), *self._read_double_quoted(nested)]
            elif self.char in ("$", "`"):
                parts += self._read_dollar(nested, quoted=False)
            elif self.is_at_substitution():
                self.at += 2
                parts.append(self._read_nested(nested))
            else:
                parts.append(Text(self._read_plain(_PLAIN), quoted=False))
        return parts

    def is_at_substitution(self) -> bool:
        """Whether a process substitution, `<(...)` or `>(...)`, starts here."""
        return self.bash and (self.starts_with("<(") or self.starts_with(">("))

    def _read_plain(self, plain: re.Pattern[str]) -> str:
        """Read a run of plain characters, or the single special one at the position."""
        found = plain.match(self.text, self.at)
        if found is None:
            return self._read_char()
        self.at = found.end()
        return found.group()

    def _read_char(self) -> str:
        self.at += 1
        return self.text[self.at - 1]

    def _read_until(self, end: str) -> str:
        found = self.text.find(end, self.at)
        if found < 0:
            raise UnsupportedSyntax
        text, self.at = self.text[self.at : found], found + len(end)
        return text

    def _read_double_quoted(self, nested: Callable[[str], None], end: str = '"') -> list[WordPart]:
        parts: list[WordPart] = []
        while not self.take(end):
            if not self.char:
                raise UnsupportedSyntax
            if self.take("\\\n"):
                continue
            if self.char in ("$", "`"):
                parts += self._read_dollar(nested, quoted=True)
            elif self.char == "\\" and self.text[self.at + 1 : self.at + 2] in tuple(_IN_QUOTES):
                self.at += 1
                parts.append(Text(self._read_char(), quoted=True))
            else:
                parts.append(Text(self._read_plain(_PLAIN_IN_QUOTES), quoted=True))
        return parts

    def _read_dollar(self, nested: Callable[[str], None], *, quoted: bool) -> list[WordPart]:
        """Read the expansion that starts with `$` or a backquote."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise UnsupportedSyntax
        try:
            return self._read_expansion(nested, quoted=quoted)
        finally:
            self.depth -= 1

    def _read_expansion(self, nested: Callable[[str], None], *, quoted: bool) -> list[WordPart]:
        if self.take("`"):
            return [self._skip_escaped_until("`")]
        self.need("$")
        if self.take("{"):
            return [self._read_braced(nested, quoted=quoted)]
        if self.take("("):
            return [self._read_arithmetic() if self.starts_with("(") else self._read_nested(nested)]
        if name := NAME.match(self.text, self.at):
            self.at = name.end()
            return [ParameterExpansion(name.group(), "", (), quoted)]
        if self.char in tuple("0123456789@*#?-$!"):
            self.at += 1
            return [UnknownExpansion()]
        if self.starts_with("[") or self.starts_with("\\\n"):
            raise UnsupportedSyntax
        if self.bash and not quoted and self.take("'"):
            return [self._skip_escaped_until("'")]
        translated = self.bash and not quoted and self.starts_with('"')  # $"..." is a translated "..."
        return [] if translated else [Text("$", quoted=quoted)]

    def _skip_escaped_until(self, end: str) -> UnknownExpansion:
        while (char := self._read_char() if self.char else "") != end:
            if not char:
                raise UnsupportedSyntax
            self.at += char == "\\"
        return UnknownExpansion()

    def _read_nested(self, nested: Callable[[str], None]) -> UnknownExpansion:
        nested(")")
        self.need(")")
        return UnknownExpansion()

    def _read_arithmetic(self) -> UnknownExpansion:
        """Read `$((...))`, or a command substitution that starts with a subshell, from its second `(`."""
        start, open_ = self.at, 1
        while open_:
            char = self._read_char() if self.char else ""
            if char in ("", "'", '"', "\\"):
                raise UnsupportedSyntax
            open_ += (char == "(") - (char == ")")
        return UnknownExpansion(find_arithmetic_names(self.text[start : self.at]))

    def read_arithmetic_command(self) -> frozenset[str]:
        """Read `(( ... ))` from behind its opening parentheses; return the names that it may set."""
        end = self.text.find("))", self.at)
        expression = self.text[self.at : end]
        if end < 0 or expression.count("(") != expression.count(")") or set(expression) & set("'\"\\`"):
            raise UnsupportedSyntax
        self.at = end + 2
        return find_arithmetic_names(expression)

    def _read_braced(self, nested: Callable[[str], None], *, quoted: bool) -> WordPart:
        name = NAME.match(self.text, self.at)
        if name is None:
            self._read_parts(nested, frozenset("}"))
            self.need("}")
            return UnknownExpansion()
        self.at = name.end()
        if self.bash and self.take("[@]}"):
            return ParameterExpansion(name.group(), "[@]", (), quoted)
        operator = _DEFAULTS.match(self.text, self.at)
        if operator is not None:
            self.at = operator.end()
        start = self.at
        if quoted and operator is not None:
            default = self._read_double_quoted(nested, end="}")
            source = self.text[start : self.at]
            if source.count('"') % 2 or "'" in source or "\\" in source:
                raise UnsupportedSyntax  # shells disagree on where such a default ends
            if '"' in source:
                return UnknownExpansion(frozenset((name.group(),)))
        else:
            default = self._read_parts(nested, frozenset("}"))
            self.need("}")
        if operator is None and self.at - 1 > start:
            return UnknownExpansion(find_arithmetic_names(self.text[start : self.at]))
        return ParameterExpansion(name.group(), operator.group() if operator else "", tuple(default), quoted)


def find_arithmetic_names(expression: str) -> frozenset[str]:
    """The variables that an arithmetic expression may set."""
    return frozenset(NAME.findall(expression) if _ASSIGNS.search(expression) else ())
