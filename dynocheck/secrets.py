"""Takes what looks like a secret out of everything that is written."""

import re
from typing import Any

HIDDEN = "[hidden]"

# Prefixes that their issuers document, so that a leaked token can be found: Hugging Face, NVIDIA NGC,
# OpenAI-style keys, GitHub, GitLab, AWS, Slack; JSON Web Tokens; whatever follows "Bearer".
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
# Names that hold such a word and nothing secret: a count, a file, the object that holds it.
_HARMLESS = re.compile(
    r"TOKENIZER|TOKENS|TOKEN_ID|^(MAX|MIN|NUM)_"
    r"|_(FILE|PATH|NAME|DIR|TYPE|MODE|LIMIT|LEN|LENGTH|COUNT|SIZE|BUDGET|RATE|TIMEOUT|TTL)$",
    re.IGNORECASE,
)
# What stands where a secret will be: nothing, another variable, a hint to the reader, a switch.
_STAND_IN = re.compile(
    r"|\$\{?\w+\}?|\$\(\w+\)|<[^<>]*>|(your|change|replace|insert|enter)[-_ ][a-z_ -]*|(change|replace)me"
    r"|x+|\*+|\.+|true|false|none|null",
    re.IGNORECASE,
)


def is_secret_name(name: str) -> bool:
    """Whether a variable of this name holds a secret, by what people call them."""
    return bool(_NAME.search(name)) and not _HARMLESS.search(name)


def is_placeholder(text: str) -> bool:
    """Whether the value of a variable that is named like a secret is none yet."""
    return _STAND_IN.fullmatch(text) is not None


def hide(value: Any) -> Any:
    """The same value of strings, lists and dictionaries, with every token in its strings replaced."""
    if isinstance(value, str):
        return _TOKEN.sub(HIDDEN, value)
    if isinstance(value, dict):
        return {hide(key): hide(element) for key, element in value.items()}
    if isinstance(value, list | tuple):
        return [hide(element) for element in value]
    return value
