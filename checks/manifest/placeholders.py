"""Checks for placeholders and variables that nothing replaces."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.facts import Manifest, Recipe, Recipes, Role, Value

# In words: what people write where a value of the reader's own belongs.
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
    """A text of a manifest, the key that it is the value of, and whether that is an element of a command."""

    value: Value
    key: str
    in_command: bool
    in_variable: bool

    @property
    def text(self) -> str:
        return self.value.text or ""


@check("manifest.placeholders", title="No placeholders remain")
def placeholders(recipes: Recipes) -> Iterator[Finding]:
    """`<your-registry>/image:tag` is no image, and a pod waits for ever on the StorageClass
    `your-storage-class`. A `${NAME}` in a manifest stays as it is written: kubectl replaces nothing, and the
    kubelet only `$(NAME)`. Where a README of the recipe has its reader run envsubst, it is meant so. Of a
    chart that Helm renders, with its `{{ }}`, what it renders is to be judged; in kinds that are neither
    Dynamo's nor Kubernetes' own those may mean something else.

    A StorageClass is the cluster's own, and every reader has to choose one: that is a warning, as is a
    variable, whose reader may know better. Comments, scripts and the contents of ConfigMaps do not count.

    Fix: write the value, or name in the README what replaces it
    """
    judged = False
    for recipe in recipes:
        expanded = runs_envsubst(recipe)
        for manifest in _list_manifests(recipe):
            judged = True
            for text in _collect_texts(manifest.root):
                yield from _check_text(manifest, text, expanded=expanded)
    if not judged:
        raise Skip("no manifest that is applied as it stands")


def _list_manifests(recipe: Recipe) -> Iterator[Manifest]:
    for file in recipe.own_files:
        if file.role is Role.MANIFEST:
            yield from (manifest for manifest in file.manifests if manifest.kind)


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
            evidence={"placeholder": hint},
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
    found = pattern(text.text.strip())
    return found[0] if found else None


def _suggest_fix(text: _ManifestText, variable: str) -> str:
    if text.in_variable:
        return f"write $({variable[2:-1]}), which the kubelet replaces, or tell the reader to run envsubst"
    return "write the value, or tell the reader to run envsubst < FILE | kubectl apply -f -"


def _collect_texts(root: Value) -> list[_ManifestText]:
    """The texts in which a placeholder would be one, each with its key."""
    found: list[_ManifestText] = []
    pending = [_ManifestText(root, "", in_command=False, in_variable=False)]
    while pending:
        each = pending.pop()
        data = each.value.data
        if isinstance(data, str):
            if "\n" not in data and not (each.in_command and " " in data):
                found.append(each)
        elif isinstance(data, list):
            pending += [each._replace(value=element) for element in data]
        elif isinstance(data, dict):
            pending += _list_entries(data)
    return sorted(found, key=lambda text: (text.value.line, text.value.column))


def _list_entries(data: dict[str, Value]) -> Iterator[_ManifestText]:
    called = data.get("name")
    variable = called.text if called is not None else None
    for key, entry in data.items():
        of_variable = key == "value" and bool(variable)
        name = variable if of_variable and variable else key
        if key not in _FREE_TEXT:
            yield _ManifestText(entry, name, in_command=key in _SCRIPTS, in_variable=of_variable)


def runs_envsubst(recipe: Recipe) -> bool:
    """Whether a README has its reader run what replaces variables."""
    return any(
        word.text == "envsubst" for page in recipe.pages for command in page.commands for word in command[:1]
    )
