"""Finds what sed replaces in manifests before they are applied: `sed "s|IMAGE_TAG|$TAG|" deploy.yaml`."""

import re
from collections.abc import Iterable, Iterator

_CALL = re.compile(r"\bsed\b")
_MAX_LINE = 4096  # characters
_SUBSTITUTION = re.compile(
    r"""(?P<before>["'\s;])s(?P<end>[/|#,@%~!:])"""
    r"(?P<pattern>(?:\\.|(?!(?P=end))[^\\]){1,200})(?P=end)"
    r"(?:\\.|(?!(?P=end))[^\\]){0,200}(?P=end)"
)
_MAX_TOKENS = 100  # each is sought in every manifest
_KEY = re.compile(r"[\w-]{1,60}: {1,9}[\"']?")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_EXPRESSION = re.compile(r"(?<!\\)[\[\]*^]|\\[^$./{}|-]")  # more than a text
_EXPANDED = re.compile(r"(?<!\\)\$")  # by the shell, within double quotes
# What stands for a value. A value that could be meant is judged as it is, although sed may replace it.
_OPEN = re.compile(
    r"(?<![\w.-])[A-Z][A-Z0-9_]{2,60}(?![\w.-])|<\w|\$\{|\{\{|__|@@|%%|(?<![a-z])(?:your|my)[-_]|placeholder"
)


def find_tokens(texts: Iterable[str]) -> frozenset[str]:
    """The placeholders that calls of sed in these scripts and pages replace, up to a limit."""
    return frozenset(list(dict.fromkeys(token for text in texts for token in _find_in(text)))[:_MAX_TOKENS])


def _find_in(text: str) -> Iterator[str]:
    for line in text.replace("\\\n", " ").splitlines():
        call = _CALL.search(line[:_MAX_LINE])
        for match in _SUBSTITUTION.finditer(line[:_MAX_LINE], call.end()) if call else ():
            pattern = match["pattern"]
            expanded = match["before"] != "'" and _EXPANDED.search(pattern)
            if not expanded and not _EXPRESSION.search(pattern):
                token = _KEY.sub("", re.sub(r"\\(.)", r"\1", pattern), count=1).strip("\"'")
                if _OPEN.search(token):
                    yield token


def open_tokens(text: str, tokens: Iterable[str]) -> tuple[str, dict[str, str]]:
    """The manifest with `${NAME}` in place of each of these placeholders, and what each was."""
    spelled: dict[str, str] = {}
    for token in sorted(tokens, key=lambda each: (-len(each), each)):
        if token in text and (variable := _VARIABLE.fullmatch(token)):
            spelled[variable[1]] = token
        elif token in text and "${" not in token:
            name = re.sub(r"\W+", "_", token).strip("_").upper() or "VALUE"
            opened = re.sub(rf"(?<![\w${{]){re.escape(token)}(?!\w)", f"${{{name}}}", text)
            if opened != text:
                text, spelled[name] = opened, token
    return text, spelled


def is_filled_in(text: str, tokens: Iterable[str]) -> bool:
    """Whether a manifest has one of these placeholders."""
    return any(token in text for token in tokens)
