"""Finds and redacts secrets."""

import base64
import re
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

HIDDEN = "[hidden]"


class SecretKind(NamedTuple):
    """A kind of secret that is known by its form: who issues it, a text that is in or before each, a pattern
    that matches the secret alone, and an example with an invented one.
    """

    name: str
    marker: str
    pattern: str
    example: str


# From the issuers' documentation; examples are split so that no scanner takes them for real.
KINDS = (
    SecretKind(
        "Hugging Face token", "hf_", r"\bhf_[A-Za-z0-9]{16,}", "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"
    ),
    SecretKind(
        "Hugging Face org token", "api_org_", r"\bapi_org_[A-Za-z0-9]{16,}", "api_org_QwErTyUiOpAsDfGh"
    ),
    SecretKind("NVIDIA API key", "nvapi-", r"\bnvapi-[\w-]{16,}", "nvapi-QwErTyUiOpAsDfGhJkLzXcVb"),
    SecretKind("OpenAI or Anthropic key", "sk-", r"\bsk-[\w-]{16,}", "sk-QwErTyUiOpAsDfGhJkLz"),
    SecretKind(
        "GitHub token", "gh", r"\bgh[pousr]_[A-Za-z0-9]{16,}", "ghp_QwErTyUiOpAsDfGhJkLzXcVbNmQwErTyUiOp"
    ),
    SecretKind(
        "GitHub fine-grained token",
        "github_pat_",
        r"\bgithub_pat_\w{16,}",
        "github_pat_QwErTyUiOpAsDfGhJkLz_X",
    ),
    SecretKind("GitLab token", "gl", r"\bgl(?:pat|dt|rt|ptt)-[\w-]{16,}", "glpat-QwErTyUiOpAsDfGhJkLz"),
    SecretKind("AWS access key", "IA", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", "ASIAQWERTYUIOPASDFGH"),
    SecretKind("Google API key", "AIza", r"\bAIza[\w-]{35}", "AIzaQwErTyUiOpAsDfGhJkLzXcVbNmQwErTyUiO"),
    SecretKind("Google OAuth secret", "GOCSPX-", r"\bGOCSPX-[\w-]{20,}", "GOCSPX-QwErTyUiOpAsDfGhJkLzXcVb"),
    SecretKind(
        "Docker Hub token", "dckr_", r"\bdckr_(?:pat|oat)_[\w-]{16,}", "dckr_pat_QwErTyUiOpAsDfGhJkLz"
    ),
    SecretKind("Slack token", "xox", r"\bxox[abeprs]-[\w-]{10,}", "xoxb-1234567890-QwErTyUiOp"),
    SecretKind("npm token", "npm_", r"\bnpm_[A-Za-z0-9]{36}", "npm_QwErTyUiOpAsDfGhJkLzXcVbNmQwErTyUiOp"),
    SecretKind("PyPI token", "pypi-", r"\bpypi-[\w-]{32,}", "pypi-QwErTyUiOpAsDfGhJkLzXcVbNmQwErTyUi"),
    SecretKind("Groq key", "gsk_", r"\bgsk_[A-Za-z0-9]{32,}", "gsk_QwErTyUiOpAsDfGhJkLzXcVbNmQwErTyUi"),
    SecretKind(
        "age key",
        "AGE-SECRET-KEY-1",
        r"\bAGE-SECRET-KEY-1[A-Z0-9]{16,}",
        "AGE-SECRET-KEY-1QWERTYUIOPASDFGHJKLZ",
    ),
    SecretKind(
        "JSON Web Token",
        "eyJ",
        r"\beyJ[\w-]{8,2000}\.[\w-]{8,4000}\.[\w-]*",
        "eyJhbGciOiJIUzI1.eyJzdWIiOiIx.QwErTy",
    ),
    SecretKind(
        "bearer token", "earer ", r"(?<=[Bb]earer )[\w.~+/=-]{8,}", "Authorization: Bearer QwErTyUiOp"
    ),
    SecretKind(
        "basic credentials",
        "asic ",
        r"(?<=[Bb]asic )(?![A-Z]?[a-z]+\b)[A-Za-z0-9+/]{8,}=*",  # no word, as in "basic information"
        "Authorization: Basic dXNlcjpRd0Vy",
    ),
    SecretKind(
        "Azure shared access signature",
        "sig=",
        r"(?<=[?&]sig=)[A-Za-z0-9%+/=]{16,}",
        "?sv=2024&sig=QwErTyUiOpAsDfGh%3D",
    ),
    SecretKind(
        "Azure key",
        "Key=",
        r"(?<=Key=)[A-Za-z0-9+/]{32,}=*",
        "AccountKey=QwErTyUiOpAsDfGhJkLzXcVbNmQwErTyUi==",
    ),
    SecretKind(
        "Weights & Biases key",
        "wandb login ",
        r"(?<=wandb login )[0-9a-fA-F]{32,}",
        "wandb login " + "0a1b2c3d" * 5,
    ),
    SecretKind(
        "credentials of a URL, unless they are a variable",
        "://",
        r"(?<=://)[^/\s:@\"\\]*:(?!\$(?:[A-Z_][A-Z0-9_]*|[{(][A-Z_][A-Z0-9_]*[)}])@)[^/\s@\"\\]+(?=@)",
        "redis://:QwErTy@cache:6379/0",
    ),
    SecretKind("registry credentials", '"auth"', r'(?<="auth":")[\w+/=-]{8,}', '{"auth":"dXNlcjpRd0VyVHk="}'),
    SecretKind(
        "registry credentials", '"auth"', r'(?<="auth": ")[\w+/=-]{8,}', '{"auth": "dXNlcjpRd0VyVHk="}'
    ),
    SecretKind(
        "private key",
        "PRIVATE KEY-----",
        r"(?<=PRIVATE KEY-----)[A-Za-z0-9+/=\s\\]{16,}(?=-----END)",
        "-----BEGIN RSA PRIVATE KEY-----\nQwErTyUiOpAsDfGhJkLz\n-----END RSA PRIVATE KEY-----",
    ),
)
# Most texts hold no marker, and a search for that is faster than for the pattern.
_BY_MARKER = tuple((kind.marker, re.compile(kind.pattern)) for kind in KINDS)
_known: dict[str, None] = {}  # secrets that this run was given, in every form
_LEAST_ENCODED = 24
_SHORT = 200  # characters of a text that is remembered with what was hidden in it
_SHORTEST = 6  # of a secret that is looked for in all text
_ENCODED = re.compile(r"(?<![\w+/=-])[\w+/-]{24,}={0,2}(?![\w+/=-])", re.ASCII)
_ENCODED_PART = re.compile(r"[A-Za-z0-9+]{24,}={0,2}")
_URL_CODE = re.compile("%[0-9A-Fa-f]{2}")
_URL_WORD = re.compile(r"[^\s\"'<>]+")
_WORDS = ("token", "secret", "passw", "credential", "key")  # in every name of a secret
_NAME = re.compile(
    r"TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|(API|ACCESS|PRIVATE|ACCOUNT|MASTER|SALT|SIGNING|ENCRYPTION)[-_]?KEY",
    re.IGNORECASE,
)
# Names with such a word that hold no secret: a count, a file, the object that holds it, a token of text,
# where to ask for a token, for whom and for how long it is, which key it is, whether something is on.
_HARMLESS = re.compile(
    r"TOKENIZER|TOKENS|TOKEN_ID|^(MAX|MIN|NUM)_|PER_TOKEN$|^NO_?PASSW"
    r"|_(FILE|PATH|NAME|DIR|TYPE|MODE|LIMIT|LEN|LENGTH|COUNT|SIZE|BUDGET|RATE|TIMEOUT|TTL|MIN|MAX)$"
    r"|_(ENABLED?|DISABLED?|REQUIRED|VALIDATION)$|^(ENABLE|DISABLE|REQUIRE)_"
    r"|_(ENDPOINT|URL|URI|HEADER|PARAM|AUDIENCE|ISSUER|EXPIRATION|EXPIRY|SECONDS|MINUTES|HOURS|DAYS)$"
    r"|(SIGNING|ENCRYPTION|PRIVATE|MASTER)_?KEY_ID$|(KUBE|KUBERNETES|K8S)_SECRET$"
    r"|^(EOS|BOS|PAD|UNK|SEP|CLS|MASK|IMAGE|AUDIO|VIDEO|START|END|STOP|SPECIAL|THINK\w*)_?TOKEN$",
    re.IGNORECASE,
)
# In a text or a flag a name counts only if it ends in what it holds: `decode_token_threshold` does not.
_NAME_IN_TEXT = re.compile(
    r"(?:^|.*[_-])(?:(?:access|admin|api|auth|bearer|bot|deploy|github|gitlab|hf|hub|hugging_?face|ngc|read"
    r"|refresh|registry|secret|service|session|user|vault|wandb|write)[_-]?token|password|passwd|(?:api|access|secret"
    r"|private|account|master|salt|signing|encryption)[_-]?key|client[_-]?secret|(?:rest)?user[_-]?key|admin[_-]?key)|token",
    re.IGNORECASE,
)
# NAME=VALUE as shells and .env files have it; name: value and "name": "value" as YAML and JSON; --name VALUE.
# In quotes a value ends at a quote; else at the first character that means something to a shell or to YAML.
_BARE = r"\s\"'$;&|<>()\\`{}\[\]"
_QUOTED = r"(?P<quote>\\?[\"'])?(?P<value>(?(quote)[^\"'\\\n$][^\"'\\\n]*|"
_CALL = r"[ \t]{1,40}=[ \t]{1,40}[A-Za-z_][\w.]{0,80}[(\[]"  # of a program, as in NAME = os.environ["NAME"]
_VARIABLE = re.compile(rf"\b(?P<name>[A-Z][A-Z0-9_]*+)(?!{_CALL})\s*[=:]\s*{_QUOTED}[^{_BARE}]+))")
_ENTRY = re.compile(
    r"\b(?P<name>[A-Za-z][\w-]{0,63})\\?[\"']?[ \t]*(?::[ \t]*|=[ \t]*(?=\\?[\"']))"
    rf"{_QUOTED}[^,{_BARE}]{{6,}}(?![\w.(\[])))"
)
_FLAG = re.compile(rf"(?P<name>--[a-z][\w-]{{0,63}})(?:=|\s+){_QUOTED}[^{_BARE}-][^{_BARE}]*))")
_IN_SENTENCE = re.compile(r"[a-z] \| [a-z]")  # what is around a name and a value
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_TYPES = frozenset({"string", "boolean", "integer", "Optional", "SecretStr", "number", "object"})
# Placeholders for a secret: nothing, another variable, a hint to the reader, a switch, a word for "none",
# a reference to where it is (LiteLLM's os.environ/NAME; vals, 1Password, Bank-Vaults), what SOPS encrypted,
# the verb of what is said of it, as in "data.HF_TOKEN: must be base64".
_STAND_IN = re.compile(
    r"|os\.environ/\w+|env:[A-Za-z_]\w*|ref\+[a-z0-9]+://\S+|op://\S+|vault:[\w./-]+#[\w.-]+|ENC\[[^\]]*\]"
    r"|https?://[\w.:-]*<[A-Za-z][\w -]*>[\w./:-]*|[\w-]{,40}\.{3}"
    r"|\$\{?\w+\}?|\$\(\w+\)|<[^<>]*>|\{\{[^{}]*\}\}|__\w+__|@@\w+@@|%%\w+%%"
    r"|((hf_|sk-|nvapi-)?your|change|replace|insert|enter)[-_ ][a-z_ -]*"
    r"|(change|replace)me|todo|tbd|value|nothing|(hf_|sk-|nvapi-)?(x+|\*+|\.+)|true|false|none|null"
    r"|must|is|has|needs|empty|unused|not[-_ ]?(used|needed|required|set)"
    r"|dummy([-_ ]?(key|token))?|fake([-_ ]?(key|token))?"
    r"|([a-z0-9]{1,20}[-_]){,4}no[-_ ]?(api[-_]?)?(key|token|auth)([-_ ](is[-_ ])?(needed|required|used))?"
    r"|(test|sample|demo)[-_](api[-_])?(key|token|password)([-_][\w-]{,40})?"
    r"|(hf_|sk-|nvapi-|AKIA|ASIA|gh[pousr]_)[\w-]{,80}(fake|dummy|example)[\w-]{,80}|(?-i:([A-Z]+_)?(KEY|TOKEN|PASSWORD|SECRET|VALUE))",
    re.IGNORECASE,
)


def is_secret_name(name: str) -> bool:
    """Whether a variable of this name usually holds a secret."""
    return bool(_NAME.search(name)) and not _HARMLESS.search(name)


def is_secret_flag(word: str) -> bool:
    """Whether the argument after this one, such as `--api-key`, is a secret."""
    return word.startswith("--") and _NAME_IN_TEXT.fullmatch(word[2:]) is not None


def is_placeholder(text: str) -> bool:
    """Whether a value is a placeholder and not a secret."""
    return _STAND_IN.fullmatch(text) is not None


def remember(*secrets: str) -> None:
    """Redact these secrets from now on, as they are, in base64, and as in a URL."""
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            encoded = base64.b64encode(secret.encode(errors="surrogateescape")).decode().rstrip("=")
            _known.update(dict.fromkeys((secret, quote(secret, safe=""), encoded)))


def forget() -> None:
    """Forget the secrets of an earlier run in this process."""
    _known.clear()
    _hide_short.cache_clear()


def hide(value: Any) -> Any:
    """The value, of strings, lists and dictionaries, with what has the form of a secret redacted."""
    if isinstance(value, str):
        return _hide_form(value)
    if isinstance(value, dict):
        return {hide(key): hide(element) for key, element in value.items()}
    if isinstance(value, list | tuple):
        return [hide(element) for element in value]
    return value


def _hide_form(text: str) -> str:
    for marker, pattern in _BY_MARKER:
        if marker in text:
            text = pattern.sub(_redact, text)
    for secret in _known:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    if len(text) >= _LEAST_ENCODED:
        text = _ENCODED.sub(_redact_encoded, text)
    return _URL_WORD.sub(_redact_quoted, text) if "%" in text and _URL_CODE.search(text) else text


def _redact_encoded(match: re.Match[str]) -> str:
    """A word, redacted if it or a part of it is base64 of a text with a secret."""
    if _encodes_secret(match[0]):
        return HIDDEN
    return _ENCODED_PART.sub(lambda part: HIDDEN if _encodes_secret(part[0]) else part[0], match[0])


def _encodes_secret(word: str) -> bool:
    data = word.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        text = base64.b64decode(data + "=" * (-len(data) % 4)).decode()
    except ValueError:
        return False
    return text.isprintable() and _hide_plain(text) != text


def _redact_quoted(match: re.Match[str]) -> str:
    """A word, redacted if it stands for one with a secret in a URL."""
    text = unquote(match[0]) if "%" in match[0] else match[0]
    return match[0] if text == match[0] or _hide_plain(text) == text else HIDDEN


def _hide_plain(text: str) -> str:
    for marker, pattern in _BY_MARKER:
        if marker in text:
            text = pattern.sub(_redact, text)
    return text


def hide_all(value: Any) -> Any:
    """The same of what comes from outside: also what text assigns to the name of a secret, and the value of
    such a key.
    """
    if isinstance(value, str):
        return hide_assigned(value)
    if isinstance(value, dict):
        return {hide(key): _hide_entry(key, element) for key, element in value.items()}
    if isinstance(value, list | tuple):
        return [hide_all(element) for element in value]
    return value


def _hide_entry(key: Any, value: Any) -> Any:
    if isinstance(value, str) and isinstance(key, str) and _is_secret_key(key):
        return value if is_placeholder(value) else HIDDEN
    return hide_all(value)


def _is_secret_key(key: str) -> bool:
    """Whether a key as in a ConfigMap or a StorageClass, as `adminPassword` or `HF_TOKEN`, has a secret."""
    lower = key.lower()
    if not any(word in lower for word in _WORDS):
        return False
    name = _CAMEL.sub("_", key.rpartition("/")[2])
    upper = name.isupper() and is_secret_name(name)
    return upper or _NAME_IN_TEXT.fullmatch(name) is not None


def clip(text: str, most: int) -> str:
    """The text, of at most so many characters. When it is cut, secrets are redacted first, because a part of
    one cannot be told from other text.
    """
    if len(text) <= most:
        return text
    shown = hide_assigned(text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def _redact(match: re.Match[str]) -> str:
    """What replaces a secret; line breaks stay, so that what follows keeps its line."""
    return match[0] if is_placeholder(match[0]) else HIDDEN + "\n" * match[0].count("\n")


def hide_assigned(text: str) -> str:
    """The text of a script or a configuration file, with secrets redacted by their form and their names."""
    return _hide_short(text, len(_known)) if len(text) <= _SHORT else _hide_assigned(text)


@lru_cache(4096)  # most short texts of a manifest are in many
def _hide_short(text: str, _: int) -> str:
    """The same of a short text, found once for the secrets that are known."""
    return _hide_assigned(text)


def _hide_assigned(text: str) -> str:
    lower = text.lower()
    if any(word in lower for word in _WORDS):
        text = _VARIABLE.sub(lambda match: _redact_value(match, is_secret_name(match["name"])), text)
        text = _ENTRY.sub(lambda match: _redact_value(match, _is_secret_entry(match["name"])), text)
        text = _FLAG.sub(lambda match: _redact_value(match, is_secret_flag(match["name"])), text)
    return _hide_form(text)


def _is_secret_entry(name: str) -> bool:
    return _NAME_IN_TEXT.fullmatch(name) is not None


def _is_in_sentence(match: re.Match[str]) -> bool:
    """Whether name and value are words of a sentence, as in "billed per token: Servers count them"."""
    before, after = match.string[max(match.start() - 2, 0) : match.start()], match.string[match.end() :][:2]
    words = _IN_SENTENCE.fullmatch(f"{before}|{after}") is not None
    return words and match["quote"] is None and match["value"].isalpha()


def _redact_value(match: re.Match[str], is_secret: bool) -> str:
    value = match["value"]
    if not is_secret or is_placeholder(value) or value in _TYPES or _is_in_sentence(match):
        return match[0]
    if match["quote"] is None and value.isidentifier() and value.endswith(f"_{match['name']}"):
        return match[0]  # a variable of the program, as in {"api_key": server_api_key}
    start = match.start("value") - match.start()
    return match[0][:start] + HIDDEN + match[0][start + len(value) :]
