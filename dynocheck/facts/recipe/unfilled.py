"""What people write in place of a value that the reader is to fill in."""

import re

_WORDS = (
    r"your[-_ ][\w. -]+|(?:my|some)[-_](?:tag|image|registry|namespace|storage-?class|secret)|change[-_ ]?me"
    r"|replace[-_ ]?(?:me|this|with[-_ \w]*)|fix[-_]?me|fill[-_ ]?(?:me|in|this)[-_ \w]*|todo|tbd"
    r"|set[-_]me|insert[-_](?:here|me|[-_\w]+[-_]here)"
    r"|x{3,}|placeholder|(?:hf_|sk-|nvapi-)(?:x{3,}|your[-_][a-z_-]*|[\w-]*\.{3,})"
)
_SIGNED = r"__[A-Z][A-Z0-9_]*__|@@\w+@@|%%\w+%%"  # in signs around it, as sed replaces it
_WHOLE = re.compile(rf"<(?:[A-Za-z][\w ./:-]*)?>|{_SIGNED}|{_WORDS}", re.IGNORECASE)
# But what a program fills in for each search, as Open WebUI does.
_WITHIN_URL = re.compile(r"https?://[^\s<>]*(<(?!query>)[A-Za-z][\w -]*>)[^\s<>]*")
_WITHIN_IMAGE = re.compile(
    rf"<[A-Za-z][\w ./-]*>|{_SIGNED}|(?<![\w.-])(?:{_WORDS})(?=[/:@]|$)", re.IGNORECASE
)
# In a sentence or a script only what cannot be a tag of HTML, a redirection or a name of its own.
_WITHIN_TEXT = re.compile(
    r"<(?i:(?:your|my|insert|replace|enter|change)[-_ ][\w ./-]{1,60})>|<[A-Z][A-Z0-9]*(?:[-_][A-Z0-9]+)+>"
    r"|@@[A-Z]\w*@@|%%[A-Z]\w*%%|(?<![\w$.{/-])(?i:your)[-_](?:[\w-]{1,40}[-_](?:here|token|key)|[A-Z][A-Z_]{1,40})(?![\w=-])"
)
_OPEN = re.compile(rf"[<>{{}}$]|{_SIGNED}|\byour[-_]|\b(?:my|some)-(?:tag|image|registry|node|host|worker)\b")
_VARIABLE = re.compile(rf"\$|\{{\{{|{_SIGNED}", re.IGNORECASE)


def find_unfilled(text: str, *, is_image: bool = False) -> str | None:
    """What is to be replaced in a value: all of it, or a part of a URL or of an image's name."""
    if within := _WITHIN_URL.fullmatch(text):
        return within[1]
    match = _WITHIN_IMAGE.search(text) if is_image else _WHOLE.fullmatch(text)
    return match[0] if match else None


def list_unfilled(text: str) -> list[re.Match[str]]:
    """What is to be replaced in a script or another text of many words."""
    return [*_WITHIN_TEXT.finditer(text)]


def is_unfilled(name: str) -> bool:
    """Whether a name is yet to be written, wholly or in part."""
    return _OPEN.search(name) is not None


def has_variable(text: str) -> bool:
    """Whether a program fills in a part of a text before it is applied."""
    return _VARIABLE.search(text) is not None
