"""Checks the environment variables of a recipe's pods."""

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

from dynocheck import Finding, Location, Result, Skip, check, same_place, unjudged, warn
from dynocheck.core.fixes import replace_words
from dynocheck.core.spelling import find_slip
from dynocheck.data.servers import name_image_engine
from dynocheck.data.variables import find_misspelt_variable, is_known_variable
from dynocheck.facts import Manifest, PodTemplate, Recipe, Recipes, Value, list_pod_templates

_LISTS = ("env", "envs")
_FOLDERS = ("HF_HOME", "HF_HUB_CACHE")
# Python's, with which vLLM sets up its logging; its plug-ins for other hardware do the same.
_LEVELS = ("CRITICAL", "DEBUG", "ERROR", "FATAL", "INFO", "NOTSET", "WARN", "WARNING")
_LEVEL, _OWN_LOGGING = "VLLM_LOGGING_LEVEL", ("VLLM_CONFIGURE_LOGGING", "VLLM_LOGGING_CONFIG_PATH")
_RELATIVE = re.compile(r"\w[^$<{]*")
_USES = re.compile(r"\$\{?([A-Za-z_]\w{4,60})(?=[^\w:?+=-]|$)")  # without those that have a default
_SETS = re.compile(
    r"(?<![\w$])([A-Za-z_]\w{0,60})(?:\[[^\]\n]{0,60}\])?\+?=|\b(?:for|read|local|export|declare|mapfile)\b([^;\n]{0,200})"
)
_MAX_SCRIPT = 64 * 1024  # characters of a container's commands in which names are sought


class _Variables(NamedTuple):
    """The variables of a container, a component or a whole graph, with the text that may read them."""

    owner: str
    entries: list[Value]
    script: str
    manifest: Manifest
    opaque: str = ""  # the image that starts a program of its own, which may read any variable

    def report(self, entry: Value, message: str, fix: str) -> Finding:
        at = entry.get("name") or entry
        return warn(
            f"{self.owner}: {message}", fix=fix, location=Location(self.manifest.file, at.line, at.column)
        )


@check(
    "manifest.environment",
    title="Environment variables are set once and spelled correctly",
    explained_by={"manifest.schema": same_place},
)
def environment(recipes: Recipes) -> Iterator[Result]:
    """Of a variable that is twice in a list the kubelet takes the last, and `kubectl apply` may drop one. A
    misspelt variable is never read: with HF_HMOE for HF_HOME the weights go to the container's own disk.

    A name is misspelt if it is a letter away from a variable that Dynamo, an engine, Hugging Face, NCCL, UCX
    or PyTorch document, and neither the container's commands nor a script in a ConfigMap use it; what an
    unknown image starts may read a variable of any name. A second value that contains the first, as in
    $(NAME), is fine. In a script it is misspelt if nothing sets it and it is a letter away from one that is
    set. A cache at a relative path is below whichever folder a program
    starts in. With a level that Python's logging does not know, vLLM ends at its start.

    Fix: remove one, or correct the name
    """
    every = [variables for recipe in recipes for variables in _list_variables(recipe)]
    if not every:
        raise Skip("no pod sets an environment variable")
    for variables in every:
        yield from _check_repeats(variables)
        yield from _check_spelling(variables)
        yield from _check_folders(variables)
        yield from _check_level(variables)
    for template in (template for recipe in recipes for template in list_pod_templates(recipe)):
        yield from _check_scripts(template)


def _list_variables(recipe: Recipe) -> Iterator[_Variables]:
    for manifest in recipe.own_manifests:
        if manifest.kind == "DynamoGraphDeployment":
            for key in _LISTS:
                yield from _read_variables(
                    f"graph {manifest.name}", manifest.root.get("spec"), key, "", manifest
                )
    files = _join_files(recipe)
    for template in list_pod_templates(recipe):
        yield from _read_variables(template.owner, template.around, "envs", files, template.manifest)
        for container in template.containers:
            commands = [*container.get_items("command"), *container.get_items("args")]
            script = "\n".join([command.text or "" for command in commands] + [files])[:_MAX_SCRIPT]
            for variables in _read_variables(template.owner, container, "env", script, template.manifest):
                yield variables._replace(opaque=_find_opaque_image(template, container))


def _find_opaque_image(template: PodTemplate, container: Value) -> str:
    """The image of a container of which only the image knows what runs; empty if more is known."""
    image = container.get_text("image")
    known = template.of_graph or container.get_items("command") or container.get_items("args")
    return "" if known or name_image_engine(image) else image


def _join_files(recipe: Recipe) -> str:
    """The files in the recipe's ConfigMaps, such as scripts that containers start."""
    maps = (manifest.root.get("data") for manifest in recipe.own_manifests if manifest.kind == "ConfigMap")
    texts = (value.text for data in maps if data is not None for value in data.mapping.values())
    return "\n".join(text for text in texts if text and "\n" in text)


def _read_variables(
    owner: str, holder: Value | None, key: str, script: str, manifest: Manifest
) -> Iterator[_Variables]:
    entries = (
        [entry for entry in holder.get_items(key) if entry.get_text("name")] if holder is not None else []
    )
    if entries:
        yield _Variables(owner, entries, script, manifest)


def _check_repeats(variables: _Variables) -> Iterator[Finding]:
    """Reports variables that hide an earlier one of another value."""
    first: dict[str, Value] = {}
    for entry in variables.entries:
        name, value = entry.get_text("name"), entry.get_text("value")
        earlier = first.setdefault(name, entry)
        same = earlier.get_text("value") == value and entry.get("value") is not None
        if earlier is not entry and not same and f"$({name})" not in value:
            message = f"{name} is set here and in line {earlier.line}: the last one counts"
            yield variables.report(entry, message, f"remove one {name}")


def _check_spelling(variables: _Variables) -> Iterator[Result]:
    names = {entry.get_text("name") for entry in variables.entries}
    for entry in variables.entries:
        name = entry.get_text("name")
        meant = find_misspelt_variable(name)
        if (
            meant
            and not _has_family(name, names)
            and not re.search(rf"\b{re.escape(name)}\b", variables.script)
            and not any(f"$({name})" in each.get_text("value") for each in variables.entries)
        ):
            if variables.opaque:
                yield unjudged(
                    f"{variables.owner}: {name}",
                    why=f"it looks like {meant}, and what {variables.opaque} starts may read it",
                    needs="the container's command",
                    location=Location(variables.manifest.file, entry.line, entry.column),
                )
                continue
            remark = f", and {meant} is set too" if meant in names else ""
            yield variables.report(
                entry, f"nothing reads {name}: it looks like {meant}{remark}", replace_words(name, meant)
            )


def _has_family(name: str, names: Collection[str]) -> bool:
    """Whether other variables, of which none is known, begin as this one does: a program of that name."""
    family = [each for each in names if each.startswith(f"{name.partition('_')[0]}_")]
    return len(family) > 1 and not any(map(is_known_variable, family))


def _check_folders(variables: _Variables) -> Iterator[Finding]:
    for entry in variables.entries:
        name, value = entry.get_text("name"), entry.get_text("value")
        if name in _FOLDERS and _RELATIVE.fullmatch(value):
            message = f"{name} is the relative path {value}: each program has its cache where it starts"
            yield variables.report(entry, message, f"write /{value}, on the claim")


def _check_level(variables: _Variables) -> Iterator[Finding]:
    names = {entry.get_text("name") for entry in variables.entries}
    for entry in variables.entries if names.isdisjoint(_OWN_LOGGING) else ():
        value = entry.get_text("value")
        if entry.get_text("name") == _LEVEL and value.isalpha() and value.upper() not in _LEVELS:
            message = f"{_LEVEL} is {value}, which is no level: vLLM ends at its start"
            yield variables.report(
                entry, message, replace_words(value, find_slip(value.upper(), _LEVELS) or "INFO")
            )


def _check_scripts(template: PodTemplate) -> Iterator[Finding]:
    """Reports variables in scripts that nothing sets, and that look like one that is set."""
    for container in template.containers:
        words = [*container.get_items("command"), *container.get_items("args")]
        if container.get("envFrom") or template.around.get("envFromSecret"):
            continue
        script = "\n".join(word.text or "" for word in words)[:_MAX_SCRIPT]
        known = _list_names(container, template) | _find_assigned(script)
        uses = {name: line for word in words for name, line in _find_uses(word)}
        for name, line in uses.items():
            if meant := find_slip(name, known):
                yield warn(
                    f"{template.owner}: the script uses {name}, which nothing sets: it looks like {meant}",
                    fix=replace_words(name, meant),
                    location=Location(template.manifest.file, line),
                )


def _find_uses(word: Value) -> Iterator[tuple[str, int]]:
    """The variables that a script uses, and the line of each."""
    text = (word.text or "")[:_MAX_SCRIPT]
    first = word.line + ("\n" in text)  # a block begins below its key
    for use in _USES.finditer(text):
        yield use[1], first + text.count("\n", 0, use.start())


def _list_names(container: Value, template: PodTemplate) -> set[str]:
    """The variables that a container has from its manifest."""
    spec = template.manifest.root.get("spec")
    holders = [(container, "env"), (template.around, "envs"), *((spec, key) for key in _LISTS)]
    return {entry.get_text("name") for holder, key in holders if holder for entry in holder.get_items(key)}


def _find_assigned(script: str) -> set[str]:
    """The names that a script may set itself."""
    return {name for found in _SETS.findall(script) for part in found for name in re.findall(r"\w+", part)}
