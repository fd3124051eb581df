"""Whether engines know the keys of what they are given in files and in JSON."""

import difflib
from collections.abc import Iterable, Iterator

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.checks.engine_programs import Program, programs
from dynocheck.data.flags import having, having_key
from dynocheck.engines.base import engine_of
from dynocheck.engines.configured import Entry, Stranger, strangers, told
from dynocheck.engines.written import Written, written
from dynocheck.facts import Recipes
from dynocheck.facts.engines import Rulings
from dynocheck.facts.recipe import Value

_LIKE = 0.75  # of difflib: one slip in a word of usual length


@check("engine.config-keys", title="Every key of an engine's configuration exists in its release")
def config_keys(recipes: Recipes, rulings: Rulings | None = None) -> Iterator[Finding]:
    """A misspelt key ends vLLM and SGLang as a misspelt flag does, and where it only switches something off
    they may not even say so.

    Judged are the keys of the file that --config names, or SGLang's --disagg-config, where a ConfigMap of the
    recipe holds it, and those of the JSON that vLLM takes: --kv-transfer-config, --compilation-config,
    --speculative-config and their like, nested ones too. In SGLang's file they are spelled with hyphens. Both
    read that file only where --config and its path are two words.

    The keys of TensorRT-LLM's file are not judged: what each of its releases takes is not known here.

    Fix: kubectl run flags --rm -i --restart=Never --image=IMAGE -- python3 -m MODULE --help
    """
    judged = unread = False
    for program in programs(recipes, rulings):
        engine = engine_of(program.launch)
        for entry in program.entries:
            judged = True
            yield from _of_file(program, entry)
        for given in written(program.launch, program.parsers):
            mapping = given.meant[0].keys if len(given.meant) == 1 else ""
            judged = judged or bool(mapping) or _unread(program, given)
            yield from _of_flag(program, given, mapping)
        if program.engine is None and engine is not None:
            unread = unread or engine.config(program.container, program.launch) is not None
    if not judged and unread:
        raise Skip("the keys of TensorRT-LLM's file are not known, release by release")
    if not judged:
        raise Skip("no engine is given a file or JSON whose keys are known")


def _unread(program: Program, given: Written) -> bool:
    """Whether it names a file in the one way that no engine looks for."""
    return program.engine is not None and given.spelled == "--config" and given.inline is not None


def _of_flag(program: Program, given: Written, mapping: str) -> Iterator[Finding]:
    """What is wrong with a flag that names a file, or is given JSON with the keys of a mapping."""
    if program.engine is not None and _unread(program, given):
        takes = (
            program.launch.module == "dynamo.vllm"
        )  # it for --config-format, and then knows no such format
        yield (fail if takes else warn)(
            f"{program.component.name}: {program.engine.title} reads no file for {given.word.text}",
            fix=f"write --config and {given.inline} as two words",
            location=program.place(given),
        )
    if mapping and not _refused(program):
        for stranger in strangers(told(given), mapping, _mappings(program)):
            yield _strange(program, stranger, given.spelled.partition(".")[0], program.place(given))


def _refused(program: Program) -> bool:
    """Whether the engine's own parser has refused the command line, and said why."""
    return program.ruling is not None and program.ruling.error is not None


def _mappings(program: Program) -> dict[str, dict[str, str]]:
    known = program.engine.mappings if program.engine is not None else {}
    return {name: dict(keys) for name, keys in known.items()}


def _of_file(program: Program, entry: Entry) -> Iterator[Finding]:
    """What is wrong with a key of a file, or with those below it."""
    title = program.engine.title if program.engine is not None else ""
    place = Location(entry.file, entry.value.line, entry.value.column)
    if not entry.given.meant:
        known = [name.lstrip("-") for name in (program.engine.by_name if program.engine else ())]
        elsewhere = having(program.launch.module, f"--{entry.key}")
        yield (warn if entry.silent else fail)(
            f"{program.component.name}: {title} has no {entry.key}"
            + (", and says nothing of it" if entry.silent else "")
            + _since(elsewhere),
            fix=_instead(entry.key, entry.key.replace("_", "-"), known),
            evidence={"source": program.engine.source if program.engine else ""},
            location=place,
        )
    elif len(entry.given.meant) > 1:
        names = sorted(name for flag in entry.given.meant for name in flag.names)
        yield fail(
            f"{program.component.name}: {entry.key} could be {' or '.join(n.lstrip('-') for n in names[:4])}",
            fix=f"write {names[0].lstrip('-')} in full, or whichever is meant",
            location=place,
        )
    else:
        for stranger in strangers(told(entry.given), entry.given.meant[0].keys, _mappings(program)):
            yield _strange(program, stranger, entry.key, _within(entry, stranger.path))


def _strange(program: Program, stranger: Stranger, flag: str, place: Location) -> Finding:
    """A key that a mapping does not have."""
    engine = program.launch.module.removeprefix("dynamo.")
    title = program.engine.title if program.engine is not None else ""
    key = stranger.path[-1]
    elsewhere = having_key(engine, stranger.mapping, key)
    return fail(
        f"{program.component.name}: {title} knows no {'.'.join(stranger.path)} in {flag}{_since(elsewhere)}",
        fix=_instead(key, key, _mappings(program)[stranger.mapping]),
        evidence={"class": stranger.mapping, "source": program.engine.source if program.engine else ""},
        location=place,
    )


def _since(releases: list[str]) -> str:
    return f"; {releases[0]} to {releases[-1]} have it" if len(releases) > 1 else ""


def _instead(key: str, likely: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(likely, list(known), n=1, cutoff=_LIKE)
    return f"write {close[0]}" if close else f"leave {key} out, or take an image that has it"


def _within(entry: Entry, path: tuple[str, ...]) -> Location:
    """Where the value of a nested key stands."""
    value: Value = entry.value
    for key in path:
        below = value.data.get(key) if isinstance(value.data, dict) else None
        value = below if below is not None else value
    return Location(entry.file, value.line, value.column)
