"""Reads the words of a shell script: quotes, escapes, expansions, here-documents."""

import re
from collections.abc import Callable

from dynocheck.recipe.shell.syntax import (
    HereDocument,
    ParameterExpansion,
    ShellWord,
    Statement,
    Text,
    UnclosedQuote,
    UnknownExpansion,
    UnsupportedSyntax,
    WordPart,
)

NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
OPERATORS = frozenset(" \t\n;&|<>()")
MAX_DEPTH = 40

_BRACED_NAME = re.compile(rf"{NAME.pattern}|[1-9](?![0-9])", re.ASCII)
_ASSIGNS = re.compile(r"\+\+|--|(?<![=!<>])=(?!=)")
_SETS_IN_BODY = re.compile(r"\$\{\w+:?=|\$\(\(.*(=|\+\+|--)")
_DEFAULTS = re.compile(r":?[-=+?]")
_BLANKS = re.compile(r"(?:[ \t]|\\\n)+")
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
        self._documents: list[HereDocument] = []  # those whose text starts on the next line

    def starts_with(self, expected: str) -> bool:
        return self.text.startswith(expected, self.at)

    def take(self, expected: str) -> bool:
        if not self.text.startswith(expected, self.at):
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
        blanks = _BLANKS.match(self.text, self.at)
        self.at = blanks.end() if blanks else self.at
        if self.starts_with("#"):
            end = self.text.find("\n", self.at)
            self.at = len(self.text) if end < 0 else end

    def skip_lines(self) -> None:
        """Skip blank lines, and the here-documents that start after the first line end."""
        self.skip_blanks()
        while self.take("\n"):
            for document in self._documents:
                self._read_document(document)
            self._documents = []
            self.skip_blanks()

    def queue_here_document(self, delimiter: ShellWord, *, strips: bool) -> HereDocument:
        if delimiter.literal is None:
            raise UnsupportedSyntax
        quoted = any(isinstance(part, Text) and part.quoted for part in delimiter.parts)
        document = HereDocument(delimiter.literal, strips, expands=not quoted)
        self._documents.append(document)
        return document

    def _read_document(self, document: HereDocument) -> None:
        document.start = self.at
        lines = []
        while self.at < len(self.text):
            end = self.text.find("\n", self.at)
            end = len(self.text) if end < 0 else end
            line = self.text[self.at : end].lstrip("\t" if document.strips else "")
            self.at = min(end + 1, len(self.text))
            if line == document.delimiter:
                break
            if document.expands and _SETS_IN_BODY.search(line):
                raise UnsupportedSyntax
            lines.append(f"{line}\n")
        document.text = "".join(lines)

    def read_expanding(self, nested: Callable[[str], Statement]) -> list[WordPart]:
        """Read the whole text as that of a here-document, in which quotes have no meaning."""
        self.text = self.text.replace('\\"', '\\\\"')
        parts: list[WordPart] = []
        while self.char:
            parts += self._read_quoted_part(nested)
        return parts

    def read_word(self, nested: Callable[[str], Statement], stops: frozenset[str] = OPERATORS) -> ShellWord:
        """Read the word at the current position.

        :param nested: parses statements up to, but not including, the given text.
        """
        start = self.at
        parts = self._read_parts(nested, stops)
        if self.at == start:
            raise UnsupportedSyntax
        return ShellWord(tuple(parts), start, self.at)

    def _read_parts(self, nested: Callable[[str], Statement], stops: frozenset[str]) -> list[WordPart]:
        parts: list[WordPart] = []
        while True:
            if plain := _PLAIN.match(self.text, self.at):
                parts.append(Text(plain.group(), quoted=False))
                self.at = plain.end()
            if not self.char or (self.char in stops and not self.is_at_substitution()):
                return parts
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
                parts.append(Text(self._read_char(), quoted=False))

    def is_at_substitution(self) -> bool:
        """Whether a process substitution, `<(...)` or `>(...)`, starts here."""
        return self.bash and (self.starts_with("<(") or self.starts_with(">("))

    def _read_char(self) -> str:
        self.at += 1
        return self.text[self.at - 1]

    def _read_until(self, end: str) -> str:
        found = self.text.find(end, self.at)
        if found < 0:
            raise UnclosedQuote(self.at - 1)
        text, self.at = self.text[self.at : found], found + len(end)
        return text

    def _read_double_quoted(self, nested: Callable[[str], Statement], end: str = '"') -> list[WordPart]:
        parts: list[WordPart] = []
        start = self.at
        while not self.take(end):
            if not self.char:
                raise UnclosedQuote(start - 1) if end == '"' else UnsupportedSyntax
            parts += self._read_quoted_part(nested)
        return parts

    def _read_quoted_part(self, nested: Callable[[str], Statement]) -> list[WordPart]:
        if self.take("\\\n"):
            return []
        if self.char in ("$", "`"):
            return self._read_dollar(nested, quoted=True)
        if self.char == "\\" and self.text[self.at + 1 : self.at + 2] in tuple(_IN_QUOTES):
            self.at += 1
            return [Text(self._read_char(), quoted=True)]
        plain = _PLAIN_IN_QUOTES.match(self.text, self.at)
        if plain is None:
            return [Text(self._read_char(), quoted=True)]
        self.at = plain.end()
        return [Text(plain.group(), quoted=True)]

    def _read_dollar(self, nested: Callable[[str], Statement], *, quoted: bool) -> list[WordPart]:
        """Read the expansion that starts with `$` or a backquote."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise UnsupportedSyntax
        try:
            return self._read_expansion(nested, quoted=quoted)
        finally:
            self.depth -= 1

    def _read_expansion(self, nested: Callable[[str], Statement], *, quoted: bool) -> list[WordPart]:
        if self.take("`"):
            return [self._skip_escaped_until("`")]
        self.need("$")
        if self.take("{"):
            return [self._read_braced(nested, quoted=quoted)]
        if self.take("("):
            return [self._read_arithmetic(nested) if self.starts_with("(") else self._read_nested(nested)]
        if name := NAME.match(self.text, self.at):
            self.at = name.end()
            return [ParameterExpansion(name.group(), "", (), quoted)]
        if self.char in tuple("0123456789@*#?-$!"):
            return [_make_special(self._read_char(), quoted=quoted)]
        if self.bash and self.take("["):
            return [UnknownExpansion(find_arithmetic_names(self._read_until("]")))]
        if self.starts_with("\\\n"):
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

    def _read_nested(self, nested: Callable[[str], Statement]) -> UnknownExpansion:
        runs = nested(")")
        self.need(")")
        return UnknownExpansion(runs=runs)

    def _read_arithmetic(self, nested: Callable[[str], Statement]) -> UnknownExpansion:
        """Read `$((...))`, or a command substitution that starts with a subshell, from its second `(`."""
        start, open_ = self.at, 1
        while open_:
            if self.char in ("$", "`"):
                self._read_dollar(nested, quoted=True)
                continue
            char = self._read_char() if self.char else ""
            if char in ("", "'", "\\"):
                raise UnsupportedSyntax
            if char == '"':
                self._read_double_quoted(nested)
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

    def _read_braced(self, nested: Callable[[str], Statement], *, quoted: bool) -> WordPart:
        name = _BRACED_NAME.match(self.text, self.at)
        if name is None:
            self._read_parts(nested, frozenset("}"))
            self.need("}")
            return UnknownExpansion()
        self.at = name.end()
        if self.bash and (self.take("[@]}") or (not quoted and self.take("[*]}"))):
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


def _make_special(char: str, *, quoted: bool) -> WordPart:
    """The expansion `$` and this character: known are those of arguments."""
    if char in "123456789":
        return ParameterExpansion(char, "", (), quoted)
    whole = char == "@" or (char == "*" and not quoted)
    return ParameterExpansion("@", "[@]", (), quoted) if whole else UnknownExpansion()


def find_arithmetic_names(expression: str) -> frozenset[str]:
    """The variables that an arithmetic expression may set."""
    return frozenset(NAME.findall(expression) if _ASSIGNS.search(expression) else ())
