"""Checks for placeholders and variables that nothing replaces."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, unjudged, warn
from dynocheck.facts import Container, Manifest, Recipe, Recipes, Role, SourceFile, Value

# In words: what people write where a value of the reader's own belongs.
_WORDS = (
    r"your[-_ ][\w. -]+|(?:my|some)[-_](?:tag|image|registry|namespace|storage-?class|secret)|change[-_ ]?me"
    r"|replace[-_ ]?(?:me|this|with[-_ \w]*)|fix[-_]?me|fill[-_ ]?(?:me|in|this)[-_ \w]*|todo|tbd"
    r"|x{3,}|placeholder|(?:hf_|sk-|nvapi-)(?:x{3,}|\.{3,})"
)
_WHOLE = re.compile(rf"<[A-Za-z][\w ./:-]*>|{_WORDS}", re.IGNORECASE)
_WITHIN_IMAGE = re.compile(rf"<[A-Za-z][\w ./-]*>|(?<![\w.-])(?:{_WORDS})(?=[/:@]|$)", re.IGNORECASE)
_TEMPLATE = re.compile(r"\{\{.*?\}\}")
_VARIABLE = re.compile(r"\$\{(\w+)(?::?-[^}]*)?\}")
_SHELL_VARIABLE = re.compile(r"\$[A-Za-z_]\w*")
_REFERENCE = re.compile(r"\$\(([A-Za-z_][\w.-]*)\)")
_OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_FREE_TEXT = ("binaryData", "annotations", "description")
_DATA = ("data", "stringData")
_SCRIPTS = ("command", "args", "script")
_WHY = "a template: envsubst fills it in before it is applied"


class _ManifestText(NamedTuple):
    """A text of a manifest with its key.

    :param parents: the keys above it, from the root on.
    :param variable: the environment variable whose value it is; empty if it is none.
    """

    value: Value
    key: str
    parents: tuple[str, ...] = ()
    variable: str = ""

    @property
    def text(self) -> str:
        return self.value.text or ""

    @property
    def in_command(self) -> bool:
        return self.key in _SCRIPTS

    @property
    def in_data(self) -> bool:
        return any(parent in _DATA for parent in self.parents[:1])

    @property
    def label(self) -> str:
        return self.variable or self.key


@check("manifest.placeholders", title="No placeholders remain")
def placeholders(recipes: Recipes) -> Iterator[Result]:
    """`<your-registry>/image:tag` is no image, and a claim of the StorageClass `your-storage-class` stays
    Pending. A `${NAME}` stays as it is written: kubectl replaces nothing, and the kubelet only the `$(NAME)`
    of variables that the container defines. `{{ }}` is Helm's, and in kinds that are neither Dynamo's nor
    Kubernetes' own it may be theirs.

    It is a warning where the pod starts all the same: a pull secret that does not exist, a variable, the
    data of a ConfigMap. A name that looks like a placeholder and that an object of the recipe has is none. In
    a file that envsubst fills in, as a script, a page or a comment says, `${NAME}` is not judged; give the
    values by --set or --env-file. Comments and scripts do not count.

    Fix: write the value, or say in the README what replaces it
    """
    files = [(recipe, file) for recipe in recipes for file in recipe.own_files if file.role is Role.MANIFEST]
    if not any(manifest.kind for _, file in files for manifest in file.manifests):
        raise Skip("no manifest that is applied as it stands")
    for recipe in recipes:
        yield from _check_references(recipe)
    whole = 0
    for recipe, file in files:
        made = _list_made_names(recipe)
        texts = [(m, text) for m in file.manifests if m.kind for text in _collect_texts(m.root)]
        opened = {name for _, text in texts if file.template for name in _VARIABLE.findall(text.text)}
        for manifest, text in texts:
            if not (file.is_open(text.value) or text.text in made):
                yield from _check_text(manifest, text, file)
        whole += not opened
        if opened:
            names = ", ".join(f"${{{name}}}" for name in sorted(opened))
            yield unjudged(
                f"{file.path}: {names}",
                why=_WHY,
                needs="--set NAME=VALUE or --env-file FILE",
                location=Location(file.path),
            )
    yield judged(whole, "files")


def _list_made_names(recipe: Recipe) -> set[str]:
    """The names of the objects that the recipe makes, itself or through a ComputeDomain."""
    names = set()
    for manifest in recipe.manifests:
        names.add(manifest.name)
        if manifest.kind == "ComputeDomain":
            names.add(manifest.root.get_text("spec", "channel", "resourceClaimTemplate", "name"))
    return {name for name in names if _OBJECT_NAME.fullmatch(name)}


def _check_text(manifest: Manifest, text: _ManifestText, file: SourceFile) -> Iterator[Finding]:
    tell = warn if text.variable or (text.in_data and manifest.kind != "Secret") else fail
    place = Location(manifest.file, text.value.line, text.value.column)
    hint = _find_placeholder(text)
    rendered = "." not in manifest.group or manifest.group.endswith(("nvidia.com", ".k8s.io"))
    if rendered and not text.in_command and (template := _TEMPLATE.search(text.text)):
        yield tell(
            f"{text.label}: nothing replaces {template[0]}",
            fix="helm template CHART > rendered.yaml && dynocheck recipe rendered.yaml",
            location=place,
        )
    elif hint:
        if "imagePullSecrets" in text.parents:
            tell = warn  # the kubelet pulls without it
        yield tell(f"{text.label}: {hint} is not replaced", fix=_suggest_value(text), location=place)
    elif not text.in_command and not text.in_data and (variable := _find_variable(text, file)):
        yield tell(
            f"{text.label}: nothing replaces {variable}",
            fix=_suggest_expansion(text, variable),
            location=place,
        )


def _find_placeholder(text: _ManifestText) -> str | None:
    pattern = _WITHIN_IMAGE.search if text.key == "image" else _WHOLE.fullmatch
    found = pattern(text.text.strip())
    return found[0] if found else None


def _find_variable(text: _ManifestText, file: SourceFile) -> str | None:
    found = _VARIABLE.search(text.text)
    if found is None and text.variable and not file.template:
        found = _SHELL_VARIABLE.fullmatch(text.text)
    return found[0] if found else None


def _suggest_value(text: _ManifestText) -> str:
    if text.key in ("storageClassName", "storageClass"):
        return "kubectl get storageclass, and write one of them"
    if "imagePullSecrets" in text.parents:
        return "kubectl create secret docker-registry NAME, and write its name; or remove imagePullSecrets"
    return "write the value"


def _suggest_expansion(text: _ManifestText, variable: str) -> str:
    if text.variable:
        name = variable.strip("${}").partition(":")[0]
        return f"write $({name}), which the kubelet replaces, or tell the reader to run envsubst"
    return "write the value, or tell the reader to run envsubst < FILE | kubectl apply -f -"


def _check_references(recipe: Recipe) -> Iterator[Finding]:
    """Variables with a `$(NAME)` that their container does not define."""
    for file, container in {(f, c.line, c.column): (f, c) for f, c in _list_containers(recipe)}.values():
        for variable in container.env:
            for name in dict.fromkeys(_REFERENCE.findall(variable.value or "")):
                yield warn(
                    f"{variable.name}: $({name}) stays as written: the container defines no {name} before it",
                    fix=f"define {name} above {variable.name}, or write its value",
                    location=Location(file, variable.line, variable.column),
                )


def _list_containers(recipe: Recipe) -> Iterator[tuple[str, Container]]:
    for graph in recipe.graphs:
        yield from ((graph.file, c) for component in graph.components for c in component.containers)
    yield from ((job.file, job.container) for job in recipe.downloads)
    yield from ((job.file, job.container) for job in recipe.benchmarks)


def _collect_texts(root: Value) -> list[_ManifestText]:
    """The texts in which a placeholder would be one, each with its key."""
    found: list[_ManifestText] = []
    pending = [_ManifestText(root, "")]
    while pending:
        each = pending.pop()
        data = each.value.data
        if isinstance(data, str):
            if "\n" not in data and not (each.in_command and " " in data):
                found.append(each)
        elif isinstance(data, list):
            pending += [each._replace(value=element) for element in data]
        elif isinstance(data, dict):
            pending += _list_entries(each, data)
    return sorted(found, key=lambda text: (text.value.line, text.value.column))


def _list_entries(parent: _ManifestText, data: dict[str, Value]) -> Iterable[_ManifestText]:
    called = data.get("name")
    parents = (*parent.parents, parent.key) if parent.key else ()
    for key, entry in data.items():
        is_file = "." in key and bool(parents) and parents[0] in _DATA
        if key not in _FREE_TEXT and not is_file:
            variable = (called.text or "") if key == "value" and called is not None else ""
            yield _ManifestText(entry, key, parents, variable)
