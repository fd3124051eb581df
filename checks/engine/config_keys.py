"""Whether engines know the keys of what they are given in files and in JSON."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.checks.engine._programs import Program, describe_releases, find_programs, suggest_name
from dynocheck.data.flags import FlagTable, find_flag_releases, find_key_releases
from dynocheck.engines.command_line import FlagOccurrence, parse_flags
from dynocheck.engines.config_file import ConfigEntry, UnknownKey, find_unknown_keys
from dynocheck.engines.detection import find_keys_file
from dynocheck.facts import Recipes
from dynocheck.facts.recipe.engines import Rulings
from dynocheck.facts.recipe.recipes import Value


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
    for program in find_programs(recipes, rulings):
        if program.engine is None:
            unread = unread or find_keys_file(program.container, program.launch) is not None
            continue
        for entry in program.entries:
            judged = True
            yield from _check_entry(program, program.engine, entry)
        for given in parse_flags(program.launch, program.parsers):
            mapping = given.candidates[0].keys if len(given.candidates) == 1 else ""
            judged = judged or bool(mapping) or _is_inline_config(given)
            yield from _check_flag(program, program.engine, given, mapping)
    if not judged and unread:
        raise Skip("the keys of TensorRT-LLM's file are not known, release by release")
    if not judged:
        raise Skip("no engine is given a file or JSON whose keys are known")


def _is_inline_config(given: FlagOccurrence) -> bool:
    """Whether it names a file in the one way that no engine looks for."""
    return given.spelled == "--config" and given.inline is not None


def _check_flag(
    program: Program, engine: FlagTable, given: FlagOccurrence, mapping: str
) -> Iterator[Finding]:
    """What is wrong with a flag that names a file, or is given JSON with the keys of a mapping."""
    place = program.locate(given)
    if _is_inline_config(given):
        # vLLM takes it for --config-format, and then knows no such format.
        yield (fail if program.launch.module == "dynamo.vllm" else warn)(
            f"{program.component.name}: {engine.title} reads no file for {given.word.text}",
            fix=f"write --config and {given.inline} as two words",
            location=place,
        )
    refused = program.ruling is not None and program.ruling.error is not None  # by the engine's own parser
    if mapping and not refused:
        flag = given.spelled.partition(".")[0]
        for stranger in find_unknown_keys(given.json, mapping, engine.mappings):
            yield _report_unknown_key(program, engine, stranger, flag, place)


def _check_entry(program: Program, engine: FlagTable, entry: ConfigEntry) -> Iterator[Finding]:
    """What is wrong with a key of a file, or with those below it."""
    place = Location(entry.file, entry.value.line, entry.value.column)
    if not entry.given.candidates:
        known = [name.lstrip("-") for name in engine.by_name]
        elsewhere = find_flag_releases(program.launch.module, f"--{entry.key}")
        unsaid = ", and says nothing of it" if entry.silent else ""
        yield (warn if entry.silent else fail)(
            f"{program.component.name}: {engine.title} has no {entry.key}{unsaid}"
            f"{describe_releases(elsewhere)}",
            fix=suggest_name(entry.key, entry.key.replace("_", "-"), known),
            evidence={"source": engine.source},
            location=place,
        )
    elif len(entry.given.candidates) > 1:
        names = sorted(name.lstrip("-") for flag in entry.given.candidates for name in flag.names)
        yield fail(
            f"{program.component.name}: {entry.key} could be {' or '.join(names[:4])}",
            fix=f"write {names[0]} in full, or whichever is meant",
            location=place,
        )
    else:
        for stranger in find_unknown_keys(entry.given.json, entry.given.candidates[0].keys, engine.mappings):
            yield _report_unknown_key(program, engine, stranger, entry.key, _locate_key(entry, stranger.path))


def _report_unknown_key(
    program: Program, engine: FlagTable, stranger: UnknownKey, flag: str, place: Location
) -> Finding:
    """A key that a mapping does not have."""
    key = stranger.path[-1]
    elsewhere = find_key_releases(program.launch.module.removeprefix("dynamo."), stranger.mapping, key)
    return fail(
        f"{program.component.name}: {engine.title} knows no {'.'.join(stranger.path)} in {flag}"
        f"{describe_releases(elsewhere)}",
        fix=suggest_name(key, key, engine.mappings[stranger.mapping]),
        evidence={"class": stranger.mapping, "source": engine.source},
        location=place,
    )


def _locate_key(entry: ConfigEntry, path: tuple[str, ...]) -> Location:
    """Where the value of a nested key stands."""
    value: Value = entry.value
    for key in path:
        below = value.data.get(key) if isinstance(value.data, dict) else None
        value = below if below is not None else value
    return Location(entry.file, value.line, value.column)
