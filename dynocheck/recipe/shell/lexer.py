"""The words of a shell script: quotes, escapes, expansions, here-documents."""

import re
from collections.abc import Callable

from dynocheck.recipe.shell.syntax import NotUnderstood, Opaque, Parameter, Part, Text, Word

NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
OPERATORS = frozenset(" \t\n;&|<>()")
MAX_DEPTH = 40

_ASSIGNS = re.compile(r"\+\+|--|(?<![=!<>])=(?!=)")
_SETS_IN_BODY = re.compile(r"\$\{\w+:?=|\$\(\(.*(=|\+\+|--)")
_DEFAULTS = re.compile(r":?[-=+?]")
_PLAIN = re.compile(r"[\w./:=,@%+-]+")  # what means nothing to a shell, wherever it stands in a word
_PLAIN_IN_QUOTES = re.compile(r"[^$`\"\\}]+")
_IN_QUOTES = '$`"\\'


class Lexer:
    """A script and the place that reading it has come to.

    :param bash: whether it is read by bash, not by another POSIX shell.
    """

    def __init__(self, text: str, *, bash: bool) -> None:
        self.text = text
        self.at = 0
        self.bash = bash
        self.depth = 0
        self._bodies: list[tuple[str, bool]] = []  # here-documents whose text starts on the next line

    def sees(self, expected: str) -> bool:
        return self.text.startswith(expected, self.at)

    def take(self, expected: str) -> bool:
        if not self.sees(expected):
            return False
        self.at += len(expected)
        return True

    def need(self, expected: str) -> None:
        if not self.take(expected):
            raise NotUnderstood

    @property
    def char(self) -> str:
        """The next character, empty at the end."""
        return self.text[self.at : self.at + 1]

    def blanks(self) -> None:
        """Go over blanks, escaped ends of line and a comment."""
        while self.take(" ") or self.take("\t") or self.take("\\\n"):
            pass
        if self.char == "#":
            end = self.text.find("\n", self.at)
            self.at = len(self.text) if end < 0 else end

    def lines(self) -> None:
        """Go over blank lines, and the here-documents that begin at the first of them."""
        self.blanks()
        while self.take("\n"):
            for delimiter, strips in self._bodies:
                self._body(delimiter, strips=strips)
            self._bodies = []
            self.blanks()

    def here_document(self, delimiter: Word, *, strips: bool) -> None:
        if delimiter.literal is None:
            raise NotUnderstood
        self._bodies.append((delimiter.literal, strips))

    def _body(self, delimiter: str, *, strips: bool) -> None:
        while self.at < len(self.text):
            line, _, _ = self.text[self.at :].partition("\n")
            self.at = min(self.at + len(line) + 1, len(self.text))
            if _SETS_IN_BODY.search(line):
                raise NotUnderstood
            if (line.lstrip("\t") if strips else line) == delimiter:
                return

    def word(self, nested: Callable[[str], None], stops: frozenset[str] = OPERATORS) -> Word:
        """The word that starts here.

        :param nested: reads statements up to the text given, which it leaves unread.
        """
        start = self.at
        parts = self._parts(nested, stops)
        if self.at == start:
            raise NotUnderstood
        return Word(tuple(parts), start, self.at)

    def _parts(self, nested: Callable[[str], None], stops: frozenset[str]) -> list[Part]:
        parts: list[Part] = []
        while self.char and (self.char not in stops or self.substitutes()):
            if self.take("\\\n"):
                continue
            if self.take("\\"):
                parts.append(Text(self._next() if self.char else "\\", quoted=True))
            elif self.take("'"):
                parts.append(Text(self._until("'"), quoted=True))
            elif self.take('"'):
                parts += [Text("", quoted=True), *self._double(nested)]
            elif self.char in ("$", "`"):
                parts += self._dollar(nested, quoted=False)
            elif self.substitutes():
                self.at += 2
                parts.append(self._nested(nested))
            else:
                parts.append(Text(self._run(_PLAIN), quoted=False))
        return parts

    def substitutes(self) -> bool:
        """Whether `<(...)` or `>(...)` starts here, which is a file's name."""
        return self.bash and (self.sees("<(") or self.sees(">("))

    def _run(self, plain: re.Pattern[str]) -> str:
        """The plain characters that stand here, or the one that is not."""
        found = plain.match(self.text, self.at)
        if found is None:
            return self._next()
        self.at = found.end()
        return found.group()

    def _next(self) -> str:
        self.at += 1
        return self.text[self.at - 1]

    def _until(self, end: str) -> str:
        found = self.text.find(end, self.at)
        if found < 0:
            raise NotUnderstood
        text, self.at = self.text[self.at : found], found + len(end)
        return text

    def _double(self, nested: Callable[[str], None], end: str = '"') -> list[Part]:
        parts: list[Part] = []
        while not self.take(end):
            if not self.char:
                raise NotUnderstood
            if self.take("\\\n"):
                continue
            if self.char in ("$", "`"):
                parts += self._dollar(nested, quoted=True)
            elif self.char == "\\" and self.text[self.at + 1 : self.at + 2] in tuple(_IN_QUOTES):
                self.at += 1
                parts.append(Text(self._next(), quoted=True))
            else:
                parts.append(Text(self._run(_PLAIN_IN_QUOTES), quoted=True))
        return parts

    def _dollar(self, nested: Callable[[str], None], *, quoted: bool) -> list[Part]:
        """What `$` or a backquote starts."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise NotUnderstood
        try:
            return self._expansion(nested, quoted=quoted)
        finally:
            self.depth -= 1

    def _expansion(self, nested: Callable[[str], None], *, quoted: bool) -> list[Part]:
        if self.take("`"):
            return [self._escaped_until("`")]
        self.need("$")
        if self.take("{"):
            return [self._braced(nested, quoted=quoted)]
        if self.take("("):
            return [self._arithmetic() if self.sees("(") else self._nested(nested)]
        if name := NAME.match(self.text, self.at):
            self.at = name.end()
            return [Parameter(name.group(), "", (), quoted)]
        if self.char in tuple("0123456789@*#?-$!"):
            self.at += 1
            return [Opaque()]
        if self.sees("[") or self.sees("\\\n"):
            raise NotUnderstood
        if self.bash and not quoted and self.take("'"):
            return [self._escaped_until("'")]
        translated = self.bash and not quoted and self.sees('"')  # $"..." is "...", in another language
        return [] if translated else [Text("$", quoted=quoted)]

    def _escaped_until(self, end: str) -> Opaque:
        while (char := self._next() if self.char else "") != end:
            if not char:
                raise NotUnderstood
            self.at += char == "\\"
        return Opaque()

    def _nested(self, nested: Callable[[str], None]) -> Opaque:
        nested(")")
        self.need(")")
        return Opaque()

    def _arithmetic(self) -> Opaque:
        """`$((...))` from its second parenthesis on, or a substitution that begins with a subshell."""
        start, open_ = self.at, 1
        while open_:
            char = self._next() if self.char else ""
            if char in ("", "'", '"', "\\"):
                raise NotUnderstood
            open_ += (char == "(") - (char == ")")
        return Opaque(sets_in_arithmetic(self.text[start : self.at]))

    def _braced(self, nested: Callable[[str], None], *, quoted: bool) -> Part:
        name = NAME.match(self.text, self.at)
        if name is None:
            self._parts(nested, frozenset("}"))
            self.need("}")
            return Opaque()
        self.at = name.end()
        if self.bash and self.take("[@]}"):
            return Parameter(name.group(), "[@]", (), quoted)
        operator = _DEFAULTS.match(self.text, self.at)
        if operator is not None:
            self.at = operator.end()
        start = self.at
        if quoted and operator is not None:
            default = self._double(nested, end="}")
            written = self.text[start : self.at]
            if written.count('"') % 2 or "'" in written or "\\" in written:
                raise NotUnderstood  # shells differ in what ends there
            if '"' in written:
                return Opaque(frozenset((name.group(),)))
        else:
            default = self._parts(nested, frozenset("}"))
            self.need("}")
        if operator is None and self.at - 1 > start:
            return Opaque(sets_in_arithmetic(self.text[start : self.at]))
        return Parameter(name.group(), operator.group() if operator else "", tuple(default), quoted)


def sets_in_arithmetic(expression: str) -> frozenset[str]:
    """The names that an arithmetic expression may set."""
    return frozenset(NAME.findall(expression) if _ASSIGNS.search(expression) else ())
