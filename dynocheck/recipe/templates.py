"""Templates: manifests with `${NAME}`, `{{ NAME }}` or the like, filled in before they are applied."""

import os
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from dynocheck.core.errors import UsageError
from dynocheck.core.files import MIB, read_bounded

_RENDERER = re.compile(r"\benvsubst\b")
_FILLER = re.compile(r"\b(?:envsubst|sed)\b")
_TAG = re.compile(
    r"\$\{\w+(?::?[-=?+][^{}\n]{0,200})?\}|\{\{\{[^{}]*\}\}\}|\{\{[^{}]*\}\}|\{%[^{}%]*%\}|@@\w+@@|%%\w+%%"
)
_BRANCH = re.compile(r"\{\{-?\s{0,9}(?:if|range|with|for|else|end|define)\b")
_CONTROL = re.compile(r"\{\{-?\s{0,9}(?:if|range|with|for|else|end|define|include|template)\b|\{%")
# `{{ NAME }}` of Jinja, Mustache and Helm; not what begins with a variable of Go's, as `{{ $labels.pod }}`.
_NAMED_TAG = re.compile(
    r"\{\{(?P<third>\{)?[-\s]{0,9}\.?(?P<name>[A-Za-z_][\w.-]*)(?:[ \t]*\|[^{}\n]*)?[-\s]{0,9}"
    r"\}\}(?(third)\})"
    r"|@@(?P<at>\w+)@@|%%(?P<percent>\w+)%%"
)
_ANY_TAG = re.compile(
    r"\{\{(?P<third>\{)?(?P<name>[^{}\n\w]*\w[^{}\n]*)\}\}(?(third)\})|@@(?P<at>\w+)@@|%%(?P<percent>\w+)%%"
)
_DOLLAR = re.compile(r"""\bDOLLAR=['"]?\\?\$['"]?(?:\s|$)""", re.MULTILINE)
_SUBSTITUTION = re.compile(r"\bpostBuild:\s*(?:\{\s*)?substitute(?:From)?:")
_HELM = re.compile(r"\{\{[^{}]*\.(?:Values|Release|Chart)\b")
_SUFFIX = r"template|tmpl|tpl|gotmpl|tftpl|j2|jinja2?|envsubst|mustache|in"
_NAMED = re.compile(rf"[.-](?:{_SUFFIX})(?:\.ya?ml)?$")
_YAML_NAMED = re.compile(rf"(\.ya?ml)[.-](?:{_SUFFIX})$")
_MARK = "\ufdd0"  # no text has this code point
_BRACED = re.compile(r"\$\{(\w+(?::?[-=?+][^{}\n\"']{0,200})?)\}")
_QUOTED = str.maketrans({"\ue010": "{", "\ue011": "}"})  # of private use: YAML takes them for letters
_SCRIPT_SUFFIXES = (".sh", ".bash", ".mk")
_SCRIPT_NAMES = ("makefile", "justfile")
_MAX_SCRIPT = 256 * 1024  # bytes


def is_template_of_yaml(name: str) -> bool:
    """Whether a file's name is that of a template of a manifest, such as `deploy.yaml.tmpl`."""
    return _YAML_NAMED.search(name) is not None


def name_rendered(name: str) -> str:
    """The name of the manifest that is made of a template, as `deploy.yaml` of `deploy.yaml.tmpl`."""
    return _YAML_NAMED.sub(r"\1", name)


def open_tags(text: str, *, every: bool = False) -> tuple[str, dict[str, str]]:
    """A template with `${NAME}` in place of `{{ NAME }}`, `@@NAME@@` and `%%NAME%%`, and what each was.

    :param every: whether whatever is in braces is a value of the template.
    """
    tags: dict[str, str] = {}

    def replace(match: re.Match[str]) -> str:
        if _BRANCH.match(match[0]):
            return match[0]
        inner = match["name"] or match["at"] or match["percent"]
        name = re.sub(r"\W+", "_", inner.partition("|")[0]).strip("_") or "VALUE"
        tags.setdefault(name, match[0])
        return f"${{{name}}}"

    return (_ANY_TAG if every else _NAMED_TAG).sub(replace, text), tags


def quote_variables(text: str) -> str:
    """A template in which each `${NAME}` is a plain word to YAML, also within `[]` and `{}`."""
    return _BRACED.sub("$\ue010\\1\ue011", text)


def unquote_variables(text: str) -> str:
    """What `quote_variables` left as it was."""
    return text.translate(_QUOTED)


def replace_tags(text: str) -> str:
    """A template without the lines that are nothing but tags, and with a word for each other tag."""
    lines = _TAG.sub(_MARK, text).split("\n")
    filled = ("" if line and not line.strip(f"{_MARK} \t") else line.replace(_MARK, "x") for line in lines)
    return "\n".join(filled)


def has_parts(text: str) -> bool:
    """Whether a tag of a template may stand for any number of lines, or for none."""
    lines = _TAG.sub(_MARK, text).split("\n")
    return has_branches(text) or any(line and not line.strip(f"{_MARK} \t") for line in lines)


def has_branches(text: str) -> bool:
    """Whether a template has parts that only some values render."""
    return _CONTROL.search(text) is not None


def is_of_helm(text: str) -> bool:
    """Whether a text has values of a chart."""
    return "{{" in text and _HELM.search(text) is not None


def suggest_rendering(text: str) -> str:
    """What lets a template be judged."""
    if is_of_helm(text):
        return "the rendered file: helm template NAME CHART > rendered.yaml && dynocheck recipe rendered.yaml"
    if has_branches(text):
        return "the rendered file, which the program that fills in the template writes"
    return "--set NAME=VALUE or --env-file FILE"


def runs_envsubst(text: str) -> bool:
    """Whether a script or a page mentions envsubst."""
    return _RENDERER.search(text) is not None


def has_substitutions(manifest: str) -> bool:
    """Whether a manifest has Flux fill in the `${NAME}` of others."""
    return "postBuild" in manifest and _SUBSTITUTION.search(manifest) is not None


def names_dollar(script: str) -> bool:
    """Whether a script fills in `${DOLLAR}` with a dollar, which leaves variables to a shell."""
    return _DOLLAR.search(script) is not None


def is_named_template(path: str) -> bool:
    """Whether a file's name says that it is filled in."""
    return _NAMED.search(path) is not None


def is_marked(path: str, manifest: str) -> bool:
    """Whether a manifest's name or a comment in it says that it is filled in."""
    if is_named_template(path):
        return True
    lines = manifest.splitlines() if "envsubst" in manifest else []
    return any(line.lstrip().startswith("#") and runs_envsubst(line) for line in lines)


def read_scripts(folder: Path, names: Iterable[str]) -> list[str]:
    """The texts of the scripts and pages of a folder that mention envsubst or sed.

    :param names: the names of the files in the folder.
    """
    suffixes = (*_SCRIPT_SUFFIXES, ".md", *((".yml", ".yaml") if folder.name == "workflows" else ()))
    likely = (n for n in names if n.lower() in _SCRIPT_NAMES or n.endswith(suffixes))
    texts = (_read_start(folder / name) for name in likely)
    return [text for text in texts if _FILLER.search(text)]


def _read_start(path: Path) -> str:
    if not os.path.isfile(path):  # noqa: PTH113 - never raises
        return ""
    try:
        with path.open("rb") as stream:
            return stream.read(_MAX_SCRIPT).decode(errors="replace")
    except OSError:
        return ""


def fill(text: str, variables: Mapping[str, str]) -> str:
    """The text with these variables alone filled in: `$NAME` and `${NAME}`, as envsubst does it, and
    `{{ NAME }}`, `@@NAME@@`, `%%NAME%%`, `__NAME__` and `<NAME>`.
    """
    if not variables:
        return text
    names = "|".join(map(re.escape, sorted(variables, key=len, reverse=True)))
    forms = (
        rf"\$\{{({names})(?::?[-=][^{{}}\n]{{0,200}})?\}}",
        rf"\$({names})\b",
        rf"\{{\{{[ \t]*({names})[ \t]*\}}\}}",
        rf"@@({names})@@",
        rf"%%({names})%%",
        rf"__({names})__",
        rf"<({names})>",
    )
    return re.sub("|".join(forms), lambda match: variables[match[match.lastindex or 0]], text)


def parse_assignments(assignments: Iterable[str], files: Iterable[str]) -> dict[str, str]:
    """The variables of `--set NAME=VALUE` and `--env-file FILE`; --set overrides a file.

    A file has a line NAME=VALUE for each, with quotes, comments and `export` as a shell reads them.

    :raises UsageError: a file cannot be read, or a line or an assignment has no NAME=VALUE.
    """
    variables: dict[str, str] = {}
    for file in files:
        try:
            lines = read_bounded(file, MIB).decode().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise UsageError(f"--env-file {file}: {reason}") from None
        for number, line in enumerate(lines, 1):
            variables |= _parse_line(line, f"--env-file {file}:{number}")
    for assignment in assignments:
        name, value = _split(assignment, f"--set {assignment}")
        variables[name] = value
    return variables


def _parse_line(line: str, place: str) -> dict[str, str]:
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        raise UsageError(f"{place}: {error}") from None
    return dict(_split(word, place) for word in words if word != "export")


def _split(assignment: str, place: str) -> tuple[str, str]:
    name, equals, value = assignment.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_][\w.]*", name):
        raise UsageError(f"{place}: write NAME=VALUE")
    return name, value
