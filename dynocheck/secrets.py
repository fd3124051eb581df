"""Redacts secrets."""

import re
from typing import Any

HIDDEN = "[hidden]"

# Documented token prefixes: Hugging Face, NVIDIA NGC, OpenAI-style keys, GitHub, GitLab, AWS, Slack; JSON Web
# Tokens; the word after "Bearer"; user and password of a URL.
_TOKEN = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{16,}|nvapi-[\w-]{16,}|sk-[\w-]{16,}|gh[pousr]_[A-Za-z0-9]{16,}"
    r"|github_pat_\w{16,}|glpat-[\w-]{16,}|AKIA[A-Z0-9]{16}|xox[abprs]-[\w-]{10,}"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
    r"|(?<=[Bb]earer )[\w.~+/=-]{8,}"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
)
_NAME = re.compile(
    r"TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY", re.IGNORECASE
)
# Names with such a word that hold no secret: a count, a file, the object that holds the secret.
_HARMLESS = re.compile(
    r"TOKENIZER|TOKENS|TOKEN_ID|^(MAX|MIN|NUM)_"
    r"|_(FILE|PATH|NAME|DIR|TYPE|MODE|LIMIT|LEN|LENGTH|COUNT|SIZE|BUDGET|RATE|TIMEOUT|TTL)$",
    re.IGNORECASE,
)
# Placeholders for a secret: nothing, another variable, a hint to the reader, a switch.
_STAND_IN = re.compile(
    r"|\$\{?\w+\}?|\$\(\w+\)|<[^<>]*>|(your|change|replace|insert|enter)[-_ ][a-z_ -]*|(change|replace)me"
    r"|\{\{[^{}]*\}\}|todo|tbd|(hf_|sk-|nvapi-)?(x+|\*+|\.+)|true|false|none|null",
    re.IGNORECASE,
)


def is_secret_name(name: str) -> bool:
    """Whether a variable of this name usually holds a secret."""
    return bool(_NAME.search(name)) and not _HARMLESS.search(name)


def is_placeholder(text: str) -> bool:
    """Whether a value is a placeholder and not a secret."""
    return _STAND_IN.fullmatch(text) is not None


def hide(value: Any) -> Any:
    """The value, of strings, lists and dictionaries, with every token in its strings redacted."""
    if isinstance(value, str):
        return _TOKEN.sub(lambda found: found[0] if is_placeholder(found[0]) else HIDDEN, value)
    if isinstance(value, dict):
        return {hide(key): hide(element) for key, element in value.items()}
    if isinstance(value, list | tuple):
        return [hide(element) for element in value]
    return value
