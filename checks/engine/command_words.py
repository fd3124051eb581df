"""Checks the words of command lines: whether the program takes them, and whether it is started at all."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, same_place, unjudged
from dynocheck.checks.engine._programs import HARD_BLANK, Program, list_programs
from dynocheck.core.fixes import replace_words
from dynocheck.core.spelling import find_slip
from dynocheck.data.images import parse_image
from dynocheck.engines.command_line import FlagOccurrence, find_model_word
from dynocheck.facts import Container, Graph, PodTemplate, Recipe, Recipes, Value, Word, list_pod_templates
from dynocheck.secrets import clip

_TYPOGRAPHIC = re.compile(r"[\u2010-\u2015\u2212].*|[\u2018-\u201f].*|.*[\u2018-\u201f]")
_STARTS = re.compile(r"(?:\S*/)?python3?\s+-m\s+(?:dynamo|vllm|sglang|tensorrt_llm)\b.*", re.DOTALL)
_MODULE = re.compile(r"(?:dynamo|vllm|sglang|tensorrt_llm)\.\S+")
_SHELL = re.compile(r"(?:\S*/)?(?:ba|da|z)?sh")
_HAS_SCRIPT = re.compile(r"-(?!-)\w*c")
_NO_FILE = re.compile(r"l?c|\S+\s+\S.*", re.DOTALL)  # what is no name that a script has
_HAS_BLANK = re.compile(r"[ \t\n]")  # as text in quotes has
_PRINTS = ("echo", "printf")
_ONE_STRING = re.compile(r"[\w./-]+ +\S.*", re.DOTALL)
_PYTHON = re.compile(r"(?:\S*/)?python[\d.]*")
_WORKERS = ("worker", "prefill", "decode")
_BARE_IMAGES = ("lmsysorg/sglang", "python", "docker.io/library/python")  # without an entry point that serves
_FLAG = re.compile(r"--?[a-zA-Z][^\n]*")
_NAME = re.compile(r"[a-zA-Z/][\w./:-]*")  # of a file, a model or a choice: numbers may have blanks
_TWO = re.compile(r"--?[a-zA-Z][\w-]*(=[^\s'\"{]+)?\s+(?P<next>--[a-z][\w-]*)")
_PADDED = re.compile(rf"(?P<flag>--[a-z][\w-]*)=(\s+{_NAME.pattern}\s*|{_NAME.pattern}\s+)")
_ONE_VALUE = ("value", "optional")


@check(
    "engine.command-words",
    title="Command lines have no stray words",
    explained_by={"engine.shell-quoting": same_place, "manifest.placeholders": same_place},
)
def command_words(recipes: Recipes) -> Iterator[Result]:
    """A word that is no flag and no flag's value ends the program with "unrecognized arguments". Most come
    from a script's layout: a line without its backslash, so that the next begins with `--` and is run as a
    command of its own; a comment amid continued lines; `>-` in YAML, which folds lines into one, so that a
    backslash makes a blank part of the next word and `cd` or `ulimit` takes the program as its arguments; a
    dash, quote or blank that an editor has made typographic; a command that is one string instead of a list.

    Checked are the containers of graphs; of other pods, whether the container starts a program at all: a
    command that is one string, and arguments without a command in an image without an entry point. A launch
    whose words are known only when it runs is not judged.

    Fix: write the script as a block with | and a backslash at the end of each line but the last
    """
    programs = list_programs(recipes, None) if _has_launches(recipes) else []
    containers = [
        (graph, container)
        for recipe in recipes
        for graph in recipe.deployments
        for component in graph.components
        for container in component.containers
        if container.commands
    ]
    starts = [found for recipe in recipes for found in _list_starts(recipe)]
    if not containers and not starts:
        raise Skip("no container has a command or arguments")
    for file, words in _list_commands(recipes):
        yield from _check_blanks(file, words)
    for benchmark in (benchmark for recipe in recipes for benchmark in recipe.benchmarks):
        yield from _check_continuations(benchmark.file, benchmark.commands)
    for template, source in starts:
        yield from _check_start(template, source)
    for graph, container in containers:
        yield from _check_commands(graph, container)
    for program in programs:
        yield from _check_program(program)


def _list_commands(recipes: Recipes) -> Iterator[tuple[str, Sequence[Word]]]:
    """The commands of graphs and benchmarks, each with its file."""
    for recipe in recipes:
        containers = [
            (graph.file, each)
            for graph in recipe.deployments
            for c in graph.components
            for each in c.containers
        ]
        for file, container in containers:
            yield from ((file, words) for words in container.commands)
        for benchmark in recipe.benchmarks:
            yield from ((benchmark.file, words) for words in benchmark.commands)


def _check_blanks(file: str, words: Sequence[Word]) -> Iterator[Finding]:
    """Reports a blank that is none to the shell, so that what it parts is one word."""
    if (words[0].text if words else "") in _PRINTS:
        return
    for word in words:
        if HARD_BLANK.search(word.text or "") and not _HAS_BLANK.search(word.text or ""):
            yield fail(
                f"{_shorten(word.text or '')} has a no-break or invisible blank: it is one word to the shell",
                fix="write plain blanks",
                location=Location(file, word.line, word.column),
            )
            return


def _is_of_unread_script(words: Sequence[Word]) -> bool:
    """Whether they are the `-m MODULE` that is sought in what cannot be parsed, and no command."""
    texts = [word.text for word in words]
    return len(texts) == 3 and texts[0] == "-m" and "." in (texts[1] or "") and texts[2] is None


def _check_continuations(file: str, commands: Sequence[Sequence[Word]]) -> Iterator[Finding]:
    """Reports a flag that is run as a command, as the line before it does not end with a backslash."""
    for words in commands[1:]:
        first = words[0].text or ""
        if _FLAG.fullmatch(first) and not _is_of_unread_script(words):
            yield fail(
                f"{words[0].text} is run as a command",
                fix="end the line before it with a backslash, without a blank behind it",
                location=Location(file, words[0].line, words[0].column),
            )


def _list_starts(recipe: Recipe) -> Iterator[tuple[PodTemplate, Value]]:
    """The containers that set a command or arguments, with their pods."""
    for template in list_pod_templates(recipe):
        if template.manifest.group == "ray.io":
            continue  # the operator joins their words to a script
        for container in template.containers:
            if container.get("command") or container.get("args"):
                yield template, container


def _check_start(template: PodTemplate, container: Value) -> Iterator[Finding]:
    """Reports a container that starts nothing, because of how its command and arguments are given."""
    command, args = container.get_items("command"), container.get_items("args")
    first = next(iter(command or args), None)
    text = (first.text if first is not None else None) or ""
    is_told = template.of_graph and _STARTS.fullmatch(text)  # in _check_commands
    if first is None or is_told:
        return
    place = Location(template.manifest.file, first.line, first.column)
    if (script := _find_misplaced_script([*command, *args])) is not None:
        yield fail(
            f"{template.owner}: {text} runs a file named {_shorten(script.text or '')}: -c is missing",
            fix=f"write -c between {text} and the script",
            location=Location(template.manifest.file, script.line, script.column),
        )
    if command and _ONE_STRING.fullmatch(text):
        message = f"a program of this whole name is started: {_shorten(text)}"
        fix = "write each word as an element of its own, or use sh -c"
        yield fail(f"{template.owner}: {message}", fix=fix, location=place)
    elif not command and text.startswith("-") and (runs := _describe_default(template, container, text)):
        yield fail(
            f"{template.owner}: {_shorten(text)} is an argument of {runs}: no program is started",
            fix="set the command, such as [python3, -m, dynamo.vllm]",
            location=place,
        )
    elif not command and _is_cut_off(template, container, args):
        yield fail(
            f"{template.owner}: /bin/sh -c, the operator's command, runs {text} without the words after it",
            fix="set the command, such as [python3, -m, dynamo.vllm]",
            location=place,
        )


def _is_cut_off(template: PodTemplate, container: Value, args: Sequence[Value]) -> bool:
    """Whether a shell that the operator sets runs only the first argument, and drops the others."""
    text = args[0].text or ""
    runs = _describe_default(template, container, text)
    return len(args) > 1 and _PYTHON.fullmatch(text) is not None and runs.startswith("/bin/sh")


def _find_misplaced_script(words: Sequence[Value]) -> Value | None:
    """The word that a shell takes for the name of a file, though it is a script or a mistyped -c."""
    texts = [word.text or "" for word in words]
    if not texts or not _SHELL.fullmatch(texts[0]):
        return None
    at = next((i for i, text in enumerate(texts) if i and not text.startswith(("-", "+"))), None)
    if at is None or any(_HAS_SCRIPT.match(text) for text in texts[1:at]):
        return None
    return words[at] if _NO_FILE.fullmatch(texts[at]) else None


def _describe_default(template: PodTemplate, container: Value, first: str) -> str:
    """What takes the arguments of a container without a command; empty if unknown, or if it takes them."""
    around, name = template.around, container.get_text("name")
    role = around.get_text("type") or around.get_text("componentType")
    if template.of_graph and name and name == around.get_text("frontendSidecar"):
        role = "frontend"
    elif template.of_graph and name != "main" and container is not template.spec.get("mainContainer"):
        role = ""
    if role == "frontend":
        return "" if first.startswith("-m") else "python3, the operator's command"
    if role in _WORKERS:
        return "/bin/sh -c, the operator's command"
    image = parse_image(container.get_text("image"))
    is_bare = not role and (image.name in _BARE_IMAGES or image.dynamo_name.endswith("-runtime"))
    return f"the image {image.name}, which has no program of its own" if is_bare else ""


def _has_launches(recipes: Recipes) -> bool:
    return any(
        container.launches
        for recipe in recipes
        for graph in recipe.deployments
        for component in graph.components
        for container in component.containers
    )


def _check_commands(graph: Graph, container: Container) -> Iterator[Finding]:
    if container.unclosed is not None:
        shown = _shorten(container.unclosed.text or "")
        yield _report(
            graph, container.unclosed, f"a quote does not end: {shown}", "close the quote in its line"
        )
    else:
        yield from _check_continuations(graph.file, container.commands)
    for words in container.commands:
        first = words[0]
        text = first.text or ""
        yield from _check_python(graph, words)
        if _STARTS.fullmatch(text):
            if not graph.of_dynamo:
                continue  # told by _check_start
            message = f"a program of this whole name is started: {_shorten(text)}"
            yield _report(graph, first, message, "write each word as an element of its own, or use sh -c")
        elif not container.launches:
            yield from _check_swallowed(graph, words)


def _check_python(graph: Graph, words: Sequence[Word]) -> Iterator[Finding]:
    """Reports a misspelt python3 before -m and an engine's module, and one without -m."""
    for program, module in pairwise(words):
        text = module.text or ""
        if _PYTHON.fullmatch(program.text or "") and _MODULE.fullmatch(text) and not text.endswith(".py"):
            yield _report(graph, module, f"{program.text} runs a file named {text}", f"write -m {text}")
            return
    for program, flag, module in zip(words, words[1:], words[2:], strict=False):
        name = (program.text or "").rpartition("/")[2]
        if flag.text == "-m" and _MODULE.fullmatch(module.text or ""):
            if meant := find_slip(name.strip(), ("python3", "python")):
                fix = replace_words(name, meant)
                yield _report(
                    graph, program, f"{name} starts no {module.text}: there is no such program", fix
                )
            return


def _check_swallowed(graph: Graph, words: Sequence[Word]) -> Iterator[Finding]:
    """A program that is an argument of another command, of a container that starts no other."""
    for flag, module in pairwise(words):
        if flag.text == "-m" and _MODULE.fullmatch(module.text or ""):
            message = f"{module.text} is an argument of {words[0].text}: nothing starts it"
            yield _report(graph, module, message, "write the script with | instead of >-, a command a line")
            return


def _check_program(program: Program) -> Iterator[Result]:
    words = program.launch.words
    if program.container.unclosed is not None:
        return
    if any(word.text is None for word in words):
        yield unjudged(
            f"{program.component.name}: {program.launch.module}",
            why="some of its words are known only when it runs",
            needs="literal words, or variables that the manifest sets",
            location=Location(program.graph.file, program.launch.line, program.launch.column),
        )
        return
    if words and not (words[-1].text or "").strip() and program.container.is_cut:
        return  # a blank behind the backslash: _check_continuations reports it
    odd = [
        (word, says)
        for word in words
        if (says := _describe_oddity(word.text or "") or _describe_joint(word.text or "", program))
    ]
    for word, (message, fix) in odd[:1]:  # one cause: the others come from the same layout
        more = f", and {len(odd) - 1} more words" if len(odd) > 1 else ""
        yield _report(program.graph, word, message + more, fix)
    if not odd and program.parsers:
        for word in _list_strays(program):
            shown = _shorten(word.text or "")
            yield fail(
                f"{program.launch.module}: {shown} belongs to no flag",
                fix="take it out, or put it behind its flag",
                evidence={"word": shown},
                location=Location(program.graph.file, word.line, word.column),
            )
    yield judged(1, "command lines")


def _describe_oddity(text: str) -> tuple[str, str] | None:
    """What is wrong with a word itself, and how to mend it."""
    if _TYPOGRAPHIC.fullmatch(text):
        return f"{_shorten(text)} has a typographic dash or quote", "write plain - and quotes"
    stripped = text.strip()
    if stripped != text and (not stripped or stripped.startswith("-") or _NAME.fullmatch(stripped)):
        shown = f"{_shorten(text)!r} has a blank at its edge"
        return shown, "write the script with | instead of >-, or take the backslash before the blank out"
    return None


def _describe_joint(text: str, program: Program) -> tuple[str, str] | None:
    """What is wrong with a word that holds a flag with a blank in it, and how to mend it."""
    two = _TWO.match(text)
    known = [parser.by_name for parser in program.parsers if parser.by_name] if two is not None else []
    if two is not None and (not known or any(two["next"] in names for names in known)):
        return f"{_shorten(text)} is one word with two flags", "write each flag as an element of its own"
    value = _PADDED.fullmatch(text)
    if value is not None:
        return f"the value of {value['flag']} has a blank at its edge", "take the blank out"
    return None


def _list_strays(program: Program) -> Iterator[Word]:
    """The words that are neither flags nor values of flags."""
    flags = list(program.flags)
    first = flags[0].word if flags else None
    model = find_model_word(program.launch, program.parsers)
    for word in (word for word in program.launch.words if word is not model):
        if word == first:
            break
        if word.text != "--":
            yield word
    for given in flags:
        yield from _list_leftovers(given)


def _list_leftovers(given: FlagOccurrence) -> Sequence[Word]:
    """The words behind a flag that it does not take; none where that is not known."""
    kinds = {flag.kind for flag in given.candidates}
    if len(kinds) != 1:
        return ()
    (kind,) = kinds
    if kind in _ONE_VALUE:
        return given.following[0 if given.inline is not None else 1 :]
    return given.following[1:] if kind in ("switch", "negatable") else ()  # engine.values tells the first


def _shorten(text: str) -> str:
    return clip(text, 60)


def _report(graph: Graph, word: Word, message: str, fix: str) -> Finding:
    return fail(message, fix=fix, location=Location(graph.file, word.line, word.column))
