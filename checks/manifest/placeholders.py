"""Checks for placeholders and variables that nothing replaces."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.facts import Manifest, Recipe, Recipes, Value

# The usual texts in place of the reader's own value.
_WORDS = (
    r"your[-_ ][\w. -]+|(?:my|some)[-_](?:tag|image|registry|namespace|storage-?class|secret)|change[-_ ]?me"
    r"|replace[-_ ]?(?:me|this|with[-_ \w]*)|fix[-_]?me|todo|tbd|x{3,}|placeholder"
)
_WHOLE = re.compile(rf"<[A-Za-z][\w ./:-]*>|{_WORDS}", re.IGNORECASE)
_WITHIN_IMAGE = re.compile(rf"<[A-Za-z][\w ./-]*>|(?<![\w.-])(?:{_WORDS})(?=[/:@]|$)", re.IGNORECASE)
_TEMPLATE = re.compile(r"\{\{.*?\}\}")
_VARIABLE = re.compile(r"\$\{\w+(?::?-[^}]*)?\}")
_FREE_TEXT = ("data", "stringData", "binaryData", "annotations", "description")
_SCRIPTS = ("command", "args", "script")
_OF_CLUSTER = ("storageClassName", "storageClass")


class _ManifestText(NamedTuple):
    """A text in a manifest with its key or, for the value of a variable, the variable's name."""

    value: Value
    key: str
    in_command: bool
    in_variable: bool

    @property
    def text(self) -> str:
        return self.value.text or ""


@check("manifest.placeholders", title="No placeholders remain")
def placeholders(recipes: Recipes) -> Iterator[Finding]:
    """`<your-registry>/image:tag` is not an image, and a pod waits for ever for the StorageClass
    `your-storage-class`. kubectl does not replace `${NAME}`, and the kubelet only `$(NAME)`; such variables
    are accepted if a README of the recipe runs envsubst. Of a Helm chart, with its `{{ }}`, check the
    rendered output. In kinds of neither Dynamo nor Kubernetes, braces may mean something else.

    Placeholders in a StorageClass, which depends on the cluster, and in environment variables are warnings.
    Comments, scripts and the contents of ConfigMaps are not judged.

    Fix: write the value, or run envsubst in the README
    """
    judged = False
    for recipe in recipes:
        expanded = runs_envsubst(recipe)
        for manifest in (manifest for manifest in recipe.own_manifests if manifest.kind):
            judged = True
            for text in _collect_texts(manifest.root):
                yield from _check_text(manifest, text, expanded=expanded)
    if not judged:
        raise Skip("no manifest")


def _check_text(manifest: Manifest, text: _ManifestText, *, expanded: bool) -> Iterator[Finding]:
    place = Location(manifest.file, text.value.line, text.value.column)
    hint = _find_placeholder(text)
    rendered = "." not in manifest.group or manifest.group.endswith(("nvidia.com", ".k8s.io"))
    if rendered and not text.in_command and (template := _TEMPLATE.search(text.text)):
        yield fail(
            f"{text.key}: nothing replaces {template[0]}",
            fix="helm template CHART > rendered.yaml && dynocheck recipe rendered.yaml",
            location=place,
        )
    elif hint:
        soft = text.key in _OF_CLUSTER or text.in_variable
        yield (warn if soft else fail)(
            f"{text.key}: {hint} is not replaced",
            fix="kubectl get storageclass, and write one of them" if text.key in _OF_CLUSTER else "write it",
            location=place,
        )
    elif not (expanded or text.in_command) and (variable := _VARIABLE.search(text.text)):
        yield (warn if text.in_variable else fail)(
            f"{text.key}: nothing replaces {variable[0]}",
            fix=_suggest_fix(text, variable[0]),
            location=place,
        )


def _find_placeholder(text: _ManifestText) -> str | None:
    pattern = _WITHIN_IMAGE.search if text.key == "image" else _WHOLE.fullmatch
    match = pattern(text.text.strip())
    return match[0] if match else None


def _suggest_fix(text: _ManifestText, variable: str) -> str:
    if text.in_variable:
        return f"write $({variable[2:-1]}), which the kubelet replaces, or run envsubst in the README"
    return "write the value, or document envsubst < FILE | kubectl apply -f -"


def _collect_texts(root: Value) -> list[_ManifestText]:
    """All texts that may contain a placeholder, in the order of the file."""
    texts: list[_ManifestText] = []
    pending = [_ManifestText(root, "", in_command=False, in_variable=False)]
    while pending:
        text = pending.pop()
        data = text.value.data
        if isinstance(data, str):
            if "\n" not in data and not (text.in_command and " " in data):
                texts.append(text)
        elif isinstance(data, list):
            pending += [text._replace(value=element) for element in data]
        elif isinstance(data, dict):
            pending += _list_entries(data)
    return sorted(texts, key=lambda text: (text.value.line, text.value.column))


def _list_entries(data: dict[str, Value]) -> Iterator[_ManifestText]:
    name = data.get("name")
    variable = (name.text if name is not None else None) or ""
    for key, entry in data.items():
        of_variable = key == "value" and bool(variable)
        if key not in _FREE_TEXT:
            label = variable if of_variable else key
            yield _ManifestText(entry, label, in_command=key in _SCRIPTS, in_variable=of_variable)


def runs_envsubst(recipe: Recipe) -> bool:
    """Whether a README of the recipe runs envsubst, which replaces variables."""
    return any(
        word.text == "envsubst" for page in recipe.pages for command in page.commands for word in command[:1]
    )
