"""Checks the shell quoting of command lines."""

import json
import re
from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, check, fail, same_place, warn
from dynocheck.checks.engine._programs import list_programs
from dynocheck.core.fixes import replace_words
from dynocheck.engines.command_line import FlagOccurrence, parse_flags
from dynocheck.facts import (
    POD_TEMPLATE_PATHS,
    Container,
    Graph,
    Launch,
    Manifest,
    Recipe,
    Recipes,
    Value,
    Word,
)
from dynocheck.secrets import clip

_SHELL = re.compile(r"(.*/)?(ba|da|a|z|k)?sh")
_SCRIPT_NEXT = re.compile(r"-[a-z]*c[a-z]*")
_TAKES_WORDS = re.compile(r"\$[@*0-9]|\$\{[@*0-9]")
_GLUED = re.compile(r"(--[a-z][\w.-]*)[ \t]+(\S.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$(\w+)|\$\{(\w+)\}")
_UNITS = re.compile(r"(\d)[kmgtKMGT]\b(?=[\s,}\]])")  # vLLM takes 16k for a number in JSON too
_REFERENCE = re.compile(r"\$\(([A-Za-z_][\w.-]*)\)")
_KNOWN_ENV = (*POD_TEMPLATE_PATHS, "LeaderWorkerSet")  # operators of other kinds may add variables
_JSON = (
    "--compilation-config",
    "--eplb-config",
    "--hf-overrides",
    "--json-model-override-args",
    "--kv-events-config",
    "--kv-transfer-config",
    "--limit-mm-per-prompt",
    "--mm-processor-kwargs",
    "--model-loader-extra-config",
    "--override-engine-args",
    "--speculative-config",
)


@check(
    "engine.shell-quoting",
    title="Shell quoting is correct",
    explained_by={"manifest.placeholders": same_place},
)
def shell_quoting(recipes: Recipes) -> Iterator[Finding]:
    """Four mistakes look right but start something else: words after the script of `sh -c`, which are not
    part of it; a flag and its value in one word, which no parser splits; $VAR where no shell expands it, in a
    list of arguments or in single quotes, and an undefined $(VAR); JSON whose quotes the shell removed. A
    whole argument $VAR that the container does not define is a warning, unless envsubst fills in the file.

    Fix: write the script as one string, flag and value as two words, $(VAR) in lists, JSON in single quotes
    """
    judged = False
    for recipe in recipes:
        for manifest in recipe.manifests:
            yield from _check_leftovers(manifest)
        templates = {file.path for file in recipe.files if file.template}
        for graph, container, launch in _list_launches(recipe):
            if graph.kind == "LLMInferenceService":
                continue  # KServe's own script expands its words, by release in another way
            judged = True
            for word in launch.words:
                yield from _check_word(graph, container, launch, word, replaced=graph.file in templates)
            for flag in parse_flags(launch, ()):
                yield from _check_json(graph.file, flag)
    for entry in (entry for program in list_programs(recipes, None) for entry in program.entries):
        yield from _check_json(entry.file, entry.flag)
    if not judged:
        raise Skip("no command line of Dynamo's programs")


def _list_launches(recipe: Recipe) -> Iterator[tuple[Graph, Container, Launch]]:
    for graph in recipe.deployments:
        for component in graph.components:
            for container in component.containers:
                for launch in container.launches:
                    yield graph, container, launch


def _check_leftovers(manifest: Manifest) -> Iterator[Finding]:
    """Words after the script of a shell, which become its unused $0, $1 and so on."""
    for container in _list_containers(manifest.root):
        words = [*container.get_items("command"), *container.get_items("args")]
        if not words or not _SHELL.fullmatch(words[0].text or ""):
            continue
        at = _find_script([word.text or "" for word in words])
        if at is None or len(words) <= at + 1 or _TAKES_WORDS.search(words[at].text or ""):
            continue
        first = words[at + 1]
        yield fail(
            f"{first.text or 'a word'} and later words are not part of the script of {words[0].text} -c",
            fix="write the whole command as one string after -c",
            location=Location(manifest.file, first.line, first.column),
        )


def _find_script(texts: list[str]) -> int | None:
    """The index of the script among a shell's arguments: the first that is no option, if `-c` is one."""
    at = next((i for i, text in enumerate(texts) if _SCRIPT_NEXT.fullmatch(text)), None)
    if at is None:
        return None
    for i in range(at + 1, len(texts)):
        if texts[i] in ("-", "--"):
            return i + 1
        if not texts[i].startswith(("-", "+")) and texts[i - 1] not in ("-o", "+o", "-O", "+O"):
            return i
    return None


def _list_containers(root: Value) -> Iterator[Value]:
    """The containers of a graph, a Job, a CronJob, a Deployment or a Pod."""
    services = root.get("spec", "services")
    pods = [
        root.get("spec"),
        root.get("spec", "template", "spec"),
        root.get("spec", "jobTemplate", "spec", "template", "spec"),
        *(component.get("podTemplate", "spec") for component in root.get_items("spec", "components")),
        *(service.get("extraPodSpec") for service in (services.mapping.values() if services else ())),
    ]
    for pod in pods:
        if pod is None:
            continue
        yield from (*pod.get_items("containers"), *pod.get_items("initContainers"))
        main = pod.get("mainContainer")
        yield from (main,) if main is not None else ()


def _check_word(
    graph: Graph, container: Container, launch: Launch, word: Word, *, replaced: bool
) -> Iterator[Finding]:
    place = Location(graph.file, word.line, word.column)
    glued = _GLUED.fullmatch(word.text or "")
    if glued and "=" not in glued[1]:
        yield fail(
            f"{glued[1]} and its value are one word, which {launch.module} does not split",
            fix=replace_words(glued[0], f"{glued[1]}={glued[2].strip()}"),
            evidence={"word": clip(glued[0], 60)},
            location=place,
        )
    undefined = sorted({match[1] for match in _REFERENCE.finditer(word.text or "")})
    for name in undefined if graph.of_dynamo or graph.kind in _KNOWN_ENV else ():
        yield fail(
            f"$({name}) reaches {launch.module} unexpanded: the container has no such variable",
            fix=f"define {name} in the container's env, or write its value",
            location=place,
        )
    known = {variable.name for variable in (*container.env, *launch.env)}
    names = {match[1] or match[2] for match in _VARIABLE.finditer(word.text or "")}
    whole = _VARIABLE.fullmatch(word.text or "")
    for name in sorted(names & known):
        yield fail(
            f"${name} reaches {launch.module} unexpanded: no shell expands it there",
            fix=replace_words(
                f"${name}", f"$({name})", "in a list of arguments; use double quotes in a script"
            ),
            location=place,
        )
    if whole and not names & known and not replaced:
        yield warn(
            f"{whole[0]} reaches {launch.module} unexpanded: no shell expands it there, "
            "and the container has no such variable",
            fix="write its value, or document envsubst < FILE | kubectl apply -f -",
            location=place,
        )


def _check_json(file: str, flag: FlagOccurrence) -> Iterator[Finding]:
    first = flag.text
    if flag.spelled.replace("_", "-") not in _JSON or not (first or "").startswith("{"):
        return
    try:
        json.loads(_UNITS.sub(r"\1", first or ""))
    except (ValueError, RecursionError) as error:
        quoted = '"' in (first or "")
        where = "" if quoted else " after the shell"
        yield fail(
            f"{flag.spelled} is not valid JSON{where}: {clip(first or '', 60)}",
            fix=_suggest_json(error)
            if quoted
            else f'put it in single quotes: {flag.spelled} \'{{"key": "value"}}\'',
            location=Location(file, flag.word.line, flag.word.column),
        )


def _suggest_json(error: ValueError | RecursionError) -> str:
    """The fix for JSON whose quotes reached the parser."""
    if isinstance(error, json.JSONDecodeError):
        return f"mend the JSON at character {error.pos + 1}: {error.msg[:1].lower()}{error.msg[1:]}"
    return "nest the JSON less deep"
