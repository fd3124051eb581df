"""Checks for placeholders and variables that nothing replaces."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import NamedTuple

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, unjudged, warn
from dynocheck.core.fixes import replace_words, set_value
from dynocheck.facts import (
    POD_TEMPLATE_PATHS,
    Container,
    Manifest,
    Recipe,
    Recipes,
    Role,
    SourceFile,
    Value,
    find_unfilled,
    list_pod_templates,
    list_unfilled,
)

# In a shell that is two redirections, of which the second is a syntax error: it stops there.
_IN_SCRIPT = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Z][A-Z0-9_]*)=(<[A-Za-z][\w -]*>)[ \t]*(?:#.*)?")
_TEMPLATE = re.compile(r"\{\{(?:[^{}\n]|\{(?!\{)|\}(?!\}))*\}{2,3}")
_OF_CHART = re.compile(r"\{\{.*\.(?:Values|Release|Chart)\b|^\.Values\.")
_VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*)(?::?-(?:[^{}]|\$\{[^{}]*\})*)?\}")
_OPEN_VARIABLE = re.compile(rf"{_VARIABLE.pattern}|\$([A-Z][A-Z0-9_]+)\b")
_SHELL_VARIABLE = re.compile(r"\$[A-Za-z_]\w*")
_SHELL_CONSTANT = re.compile(r"(?<!\$)\$[A-Z][A-Z0-9_]+\b")
_CONSTANT = re.compile(r"(?<!\$)\$\(([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\)")  # no program has such a name
_OF_SERVICE = re.compile(r"\w+_SERVICE_(HOST|PORT(_\w+)?)|\w+_PORT(_\d+_\w+)?")  # the kubelet sets them
_OF_GROUP = ("LWS_GROUP_SIZE", "LWS_LEADER_ADDRESS", "LWS_WORKER_INDEX")
_REFERENCE = re.compile(r"\$\(([A-Za-z_][\w.-]*)\)")
_OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_FREE_TEXT = ("binaryData", "annotations", "description")
_DATA = ("data", "stringData")
_SCRIPTS = ("command", "args", "script")
_HOST = re.compile(r"https?://([\w.-]+)")
_TAKES_KEY = re.compile(r"--api-key\b|VLLM_API_KEY|MASTER_KEY")
_PRINTED = re.compile(r"\s*(?:#|//|echo\b|printf\b|print\()")  # a line of a script that is for its reader
_WHY = "a template, whose names are replaced before it is applied"


_find_placeholder = lru_cache(1024)(find_unfilled)  # most texts of a manifest are in many


class _ManifestText(NamedTuple):
    """A text in a manifest with its key.

    :param parents: the keys above it, from the root.
    :param variable: the environment variable that has it as its value, if any.
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
    """`<your-registry>/image:tag` is not an image, and a claim of the StorageClass `your-storage-class` stays
    Pending. kubectl does not replace `${NAME}`, and the kubelet replaces only `$(NAME)`, for variables that
    the container defines. `{{ }}` is Helm's; kinds of neither Dynamo nor Kubernetes may use it themselves.

    If the pod starts anyway, it is a warning: a missing pull secret, a variable, the data of a ConfigMap. The
    name of an object in the recipe is not a placeholder. In a template for envsubst, according to a script, a
    README or a comment, `${NAME}` is not judged; set the values with --set or --env-file. Comments, and
    scripts but for the variables that they set and the words with which they start a program of Dynamo, are
    not judged. A StorageClass
    written out is reported where most other claims leave it open: it is of somebody's cluster.

    Fix: write the value, or document in the README how it is replaced
    """
    named = [(_list_made_names(recipe), recipe) for recipe in recipes]
    files = [(made, file) for made, r in named for file in r.own_files if file.role is Role.MANIFEST]
    if not any(manifest.kind for _, file in files for manifest in file.manifests):
        raise Skip("no manifest")
    unread = {place for recipe in recipes for place in _list_unread_keys(recipe)}
    of_engines = []
    for recipe in recipes:
        yield from _check_references(recipe)
        yield from _check_unset(recipe)
        words = [*_check_words(recipe, [file for _, file in files])]
        of_engines += [(f.location.file, f.location.line) for f in words if f.location]
        yield from words
    yield from _check_classes(recipes)
    whole = 0
    for made, file in files:
        texts = [(m, text) for m in file.manifests if m.kind for text in _collect_texts(m.root)]
        opened = _list_open_names(file, texts) if file.template or file.tags else set()
        for manifest, text in texts:
            at = file.path, text.value.line, text.value.column
            if not (file.is_open(text.value) or text.text in made or at in unread):
                yield from _check_text(manifest, text, file)
        yield from (finding for m in file.manifests if m.kind for finding in _check_scripts(m, of_engines))
        whole += not opened
        if opened:
            names = ", ".join(file.tags.get(name, f"${{{name}}}") for name in sorted(opened))
            yield unjudged(
                f"{file.path}: {names}",
                why=_WHY,
                needs=_suggest_filling(file),
                location=Location(file.path),
            )
    yield judged(whole, "files")


def _list_open_names(file: SourceFile, texts: Iterable[tuple[Manifest, "_ManifestText"]]) -> set[str]:
    """The names that a template has filled in; in a script also the shell may know a `${NAME}`."""
    found = (match for _, text in texts for match in _OPEN_VARIABLE.finditer(text.text))
    names = {name for match in found if file.is_open_name(name := match[1] or match[2])}
    for value in (value for root in file.documents for value in root.walk()) if file.tags else ():
        names |= {match[1] for match in _VARIABLE.finditer(value.text or "") if match[1] in file.tags}
    return names


def _suggest_filling(file: SourceFile) -> str:
    if any(_OF_CHART.search(spelled) for spelled in file.tags.values()):
        return "helm template NAME CHART --set KEY=VALUE > rendered.yaml && dynocheck recipe rendered.yaml"
    return "--set NAME=VALUE or --env-file FILE"


def _check_classes(recipes: Recipes) -> Iterator[Finding]:
    """Reports the StorageClasses of a few claims where most others have a placeholder."""
    claims = [claim for recipe in recipes for claim in recipe.claims if claim.storage_class]
    named = [claim for claim in claims if not find_unfilled(claim.storage_class or "")]
    left_open = len(claims) - len(named)
    for claim in named if left_open > max(1, len(named)) else ():
        yield warn(
            f"claim {claim.name} names class {claim.storage_class}; {left_open} other claims leave it open",
            fix="kubectl get storageclass, and write one of them",
            location=Location(claim.file, claim.line, claim.column),
        )


def _list_made_names(recipe: Recipe) -> set[str]:
    """The names of the objects that the recipe creates, directly or through a ComputeDomain."""
    names = set()
    for manifest in recipe.manifests:
        names.add(manifest.name)
        if manifest.kind == "ComputeDomain":
            names.add(manifest.root.get_text("spec", "channel", "resourceClaimTemplate", "name"))
    return {name for name in names if _OBJECT_NAME.fullmatch(name)}


def _check_text(manifest: Manifest, text: _ManifestText, file: SourceFile) -> Iterator[Finding]:
    report = warn if text.variable or (text.in_data and manifest.kind != "Secret") else fail
    place = Location(manifest.file, text.value.line, text.value.column)
    hint = _find_placeholder(text.text.strip(), is_image=text.key.lower().endswith("image"))
    if text.key == "dynamoNamespace" and _OBJECT_NAME.fullmatch(hint or ""):
        hint = None  # any name serves
    known_group = "." not in manifest.group or manifest.group.endswith(("nvidia.com", ".k8s.io"))
    own = bool(manifest.api_version) and known_group
    if own and not text.in_command and (template := _TEMPLATE.search(text.text)):
        yield report(
            f"{text.label}: nothing replaces {template[0]}",
            fix="judge what the template renders: dynocheck recipe rendered.yaml",
            location=place,
        )
    elif hint:
        if "imagePullSecrets" in text.parents:
            report = warn  # the kubelet pulls without it
        yield report(
            f"{text.label}: {hint} is not replaced",
            fix=_suggest_value(text, hint),
            evidence={"placeholder": hint},
            location=place,
        )
    elif not text.in_command and (variable := _find_variable(text, file, manifest, own=own)):
        yield report(
            f"{text.label}: nothing replaces {variable}",
            fix=_suggest_expansion(text, variable),
            location=place,
        )


def _list_unread_keys(recipe: Recipe) -> Iterator[tuple[str, int, int]]:
    """The places of API keys of clients whose servers are in the recipe and take none: any text will do."""
    pods = [(t, container) for t in list_pod_templates(recipe) for container in t.containers]
    keys = [
        (template.manifest.file, container, key)
        for template, container in pods
        for entry in container.get_items("env")
        if entry.get_text("name").endswith("API_KEY") and (key := entry.get("value")) is not None
    ]
    if not keys or any(_TAKES_KEY.search(_join_texts(container)) for _, container in pods):
        return
    names = {service for graph in recipe.graphs for service in graph.services}
    names.update(manifest.name for manifest in recipe.manifests if manifest.kind == "Service")
    for file, container, key in keys:
        hosts = _HOST.findall(_join_texts(container))
        if hosts and all(host.partition(".")[0] in names for host in hosts):
            yield file, key.line, key.column


def _join_texts(container: Value) -> str:
    return "\n".join(value.text or "" for value in container.walk())


def _check_scripts(manifest: Manifest, judged_lines: Collection[tuple[str, int | None]]) -> Iterator[Finding]:
    """Reports placeholders within scripts: what a variable is set to, and what is in a line.

    :param judged_lines: the files and lines whose words are reported already.
    """
    for value, in_data in _list_scripts(manifest):
        text = value.text or ""
        is_block = text.endswith("\n")  # its lines are those below its own
        for number, line in enumerate(text.splitlines() if _may_be_open(text) else ()):
            place = Location(manifest.file, value.line + (number + 1 if is_block else 0))
            if (place.file, place.line) in judged_lines or _PRINTED.match(line):
                continue
            if set_to := _IN_SCRIPT.fullmatch(line):
                yield _report_in_script(f"{set_to[1]}: {set_to[2]}", set_to[2], place, in_data=in_data)
                continue
            for name in dict.fromkeys(match[0] for match in list_unfilled(line)):
                yield _report_in_script(name, name, place, in_data=in_data)


def _may_be_open(script: str) -> bool:
    """Whether a script may have a placeholder: most have none, and are not read line by line."""
    return "=<" in script or bool(list_unfilled(script))


def _list_scripts(manifest: Manifest) -> Iterator[tuple[Value, bool]]:
    """The texts of more than a word that are commands, and whether they are in the data of a ConfigMap."""
    given = (value for _, value in manifest.root.find_entries(_SCRIPTS))
    for value in (element for each in given for element in (each.sequence or [each])):
        if " " in (value.text or "") or "\n" in (value.text or ""):
            yield value, False
    data = manifest.root.get("data") if manifest.kind == "ConfigMap" else None
    for key, value in data.mapping.items() if data is not None else ():
        if key.endswith(".sh") or (value.text or "").startswith("#!"):
            yield value, True


def _report_in_script(what: str, name: str, place: Location, *, in_data: bool) -> Finding:
    return (warn if in_data else fail)(
        f"{what} is not replaced",
        fix=f"replace {name} with the value",
        evidence={"placeholder": name},
        location=place,
    )


def _find_variable(text: _ManifestText, file: SourceFile, manifest: Manifest, *, own: bool) -> str | None:
    """A variable that neither kubectl nor the kubelet replaces.

    :param own: whether Kubernetes or NVIDIA defined the kind, so that no program of another replaces it.
    """
    if text.in_data:  # of a ConfigMap it may be anything; of a Secret it is no base64
        is_encoded = manifest.kind == "Secret" and "stringData" not in text.parents
        whole = (
            (_VARIABLE.fullmatch(text.text) or _SHELL_VARIABLE.fullmatch(text.text)) if is_encoded else None
        )
        return whole[0] if whole else None
    match = _VARIABLE.search(text.text)
    if match is None and not file.template:
        match = _SHELL_VARIABLE.fullmatch(text.text) if text.variable else None
        match = match or (_SHELL_CONSTANT.search(text.text) if own and not text.variable else None)
    return match[0] if match else None


def _suggest_value(text: _ManifestText, hint: str) -> str:
    if text.in_command:
        return f"replace {hint} with the value"
    if text.key in ("storageClassName", "storageClass"):
        return "kubectl get storageclass, and write one of them"
    if "imagePullSecrets" in text.parents:
        return "kubectl create secret docker-registry NAME, and write its name; or remove imagePullSecrets"
    return set_value(text.key, "VALUE")


def _suggest_expansion(text: _ManifestText, variable: str) -> str:
    """The fix for a `${NAME}` or `${NAME:-DEFAULT}` that stays as it is."""
    name, has_default, default = variable[1:].removeprefix("{").removesuffix("}").partition(":-")
    if text.variable and name != text.variable:  # the kubelet has not replaced it in its own value
        return f"write $({name}), which the kubelet replaces, or document envsubst in the README"
    if has_default:
        return f"write {default or 'the value'} in its place   # GNU envsubst takes no defaults"
    return "write the value, or document envsubst < FILE | kubectl apply -f -"


def _check_words(recipe: Recipe, files: Sequence[SourceFile]) -> Iterator[Finding]:
    """Reports the values of flags in scripts that are placeholders.

    :param files: those whose values are judged as such, wherever they are words too.
    """
    suspects = [
        (file, word, flag, value)
        for file, container in _list_containers(recipe)
        for launch in container.launches
        for word in launch.words
        for flag, _, value in [(word.text or "").rpartition("=")]
        if find_unfilled(value)
    ]
    paths = {file for file, *_ in suspects}
    manifests = [manifest for file in files if file.path in paths for manifest in file.manifests]
    listed = {(m.file, value.line, value.column) for m in manifests for value in m.root.walk()}
    for file, word, flag, value in suspects:
        at = word.line, word.column
        if not {(file, *at), (file, at[0], at[1] - 1)} & listed:  # of a quoted one, the quote is before it
            yield fail(
                f"{flag or 'a word of the command'}: {value} is not replaced",
                fix=f"replace {value} with the value",
                evidence={"placeholder": value},
                location=Location(file, word.line, word.column),
            )


def _check_references(recipe: Recipe) -> Iterator[Finding]:
    """Reports variables with a `$(NAME)` that their container does not define."""
    for file, container in {(f, c.line, c.column): (f, c) for f, c in _list_containers(recipe)}.values():
        for variable in container.env:
            for name in dict.fromkeys(_REFERENCE.findall(variable.value or "")):
                yield warn(
                    f"{variable.name}: $({name}) stays as written: the container defines no {name} before it",
                    fix=f"define {name} above {variable.name}, or write its value",
                    location=Location(file, variable.line, variable.column),
                )


def _check_unset(recipe: Recipe) -> Iterator[Finding]:
    """Reports a `$(NAME)` in a command beside an engine without Dynamo that its container does not define.

    The kubelet leaves it as it is, and a shell runs NAME. engine.shell-quoting reports those in the words
    of an engine, but for what LeaderWorkerSet sets (pkg/utils/pod/pod_utils.go), which may be more later.
    """
    deployments = {(server.file, server.kind, server.name) for server in recipe.servers}
    components = [(server.file, component) for server in recipe.servers for component in server.components]
    starts = {
        (f, c.line, c.column) for f, component in components for c in component.containers if c.launches
    }
    for template in list_pod_templates(recipe):
        manifest = template.manifest
        grouped = manifest.kind == "LeaderWorkerSet"
        owned = grouped or manifest.kind in POD_TEMPLATE_PATHS
        if not owned or (manifest.file, manifest.kind, manifest.name) not in deployments:
            continue
        for container in template.containers:
            if container.get("envFrom"):
                continue
            of_engine = (manifest.file, container.line, container.column) in starts
            known = {entry.get_text("name") for entry in container.get_items("env")}
            known.update(_OF_GROUP if grouped else ())
            for word in (*container.get_items("command"), *container.get_items("args")):
                for name in dict.fromkeys(_CONSTANT.findall(word.text or "")):
                    meant = get_close_matches(name, sorted(known), 1, 0.8)
                    if name in known or _OF_SERVICE.fullmatch(name) or (grouped and not meant):
                        continue
                    if of_engine and not name.startswith("LWS_"):
                        continue
                    yield warn(
                        f"{template.owner}: $({name}) stays as written: the container defines no {name}",
                        fix=replace_words(name, meant[0]) if meant else f"define {name} under env",
                        location=Location(manifest.file, word.line, word.column),
                    )


def _list_containers(recipe: Recipe) -> Iterator[tuple[str, Container]]:
    for graph in recipe.deployments:
        yield from ((graph.file, c) for component in graph.components for c in component.containers)
    yield from ((job.file, job.container) for job in recipe.downloads)
    yield from ((job.file, job.container) for job in recipe.benchmarks)


def _collect_texts(root: Value) -> list[_ManifestText]:
    """All texts that may contain a placeholder, in the order of the file."""
    texts: list[_ManifestText] = []
    pending = [_ManifestText(root, "")]
    while pending:
        text = pending.pop()
        data = text.value.data
        if isinstance(data, str):
            is_script = text.in_command and " " in data and data[:1] not in ("{", "[")
            if "\n" not in data and not is_script:
                texts.append(text)
        elif isinstance(data, list):
            pending += [_ManifestText(element, text.key, text.parents, text.variable) for element in data]
        elif isinstance(data, dict):
            pending += _list_entries(text, data)
    return sorted(texts, key=lambda text: (text.value.line, text.value.column))


def _list_entries(parent: _ManifestText, data: dict[str, Value]) -> Iterable[_ManifestText]:
    name = data.get("name")
    parents = (*parent.parents, parent.key) if parent.key else ()
    for key, entry in data.items():
        is_file = "." in key and bool(parents) and parents[0] in _DATA
        if key not in _FREE_TEXT and not is_file:
            variable = (name.text or "") if key == "value" and name is not None else ""
            yield _ManifestText(entry, key, parents, variable)
