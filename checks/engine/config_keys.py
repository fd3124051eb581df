"""Checks the keys of engine configuration files and of JSON flags."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.checks.engine._programs import Program, describe_releases, find_programs, suggest_name
from dynocheck.data.flags import FlagTable, find_flag_releases, find_key_releases
from dynocheck.engines.command_line import FlagOccurrence, parse_flags
from dynocheck.engines.config_file import ConfigEntry, UnknownKey, find_unknown_keys
from dynocheck.engines.detection import find_keys_file
from dynocheck.facts import Recipes, Rulings, Value


@check("engine.config-keys", title="Engine configuration keys exist in the image's release")
def config_keys(recipes: Recipes, rulings: Rulings | None = None) -> Iterator[Finding]:
    """VLLM and SGLang exit at a misspelled key as at a misspelled flag, or silently ignore it if its value is
    false.

    Checked are the keys of the file of --config, or of SGLang's --disagg-config, if a ConfigMap of the recipe
    contains it, and the keys of vLLM's JSON flags at every depth: --kv-transfer-config, --compilation-config,
    --speculative-config and others. SGLang's keys have hyphens. Both engines read the file only if --config
    and its path are two words.

    The keys of TensorRT-LLM's file are not checked: no list of them by release is available.

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
        for option in parse_flags(program.launch, program.parsers):
            mapping = option.candidates[0].keys if len(option.candidates) == 1 else ""
            judged = judged or bool(mapping) or _is_inline_config(option)
            yield from _check_flag(program, program.engine, option, mapping)
    if not judged and unread:
        raise Skip("TensorRT-LLM's file not checked: no list of its keys")
    if not judged:
        raise Skip("no engine has a configuration file or JSON flag with known keys")


def _is_inline_config(option: FlagOccurrence) -> bool:
    """Whether it is `--config=FILE`, which no engine reads."""
    return option.spelled == "--config" and option.inline is not None


def _check_flag(
    program: Program, engine: FlagTable, option: FlagOccurrence, mapping: str
) -> Iterator[Finding]:
    """Problems of a `--config=FILE` flag, and unknown keys in the JSON of a flag."""
    place = program.locate(option)
    if _is_inline_config(option):
        # vLLM reads it as --config-format, with an unknown format.
        yield (fail if program.launch.module == "dynamo.vllm" else warn)(
            f"{program.component.name}: {engine.title} does not read the file of {option.word.text}",
            fix=f"write --config and {option.inline} as two words",
            location=place,
        )
    refused = program.ruling is not None and program.ruling.error is not None  # by the engine's own parser
    if mapping and not refused:
        flag = option.spelled.partition(".")[0]
        for stranger in find_unknown_keys(option.json, mapping, engine.mappings):
            yield _report_unknown_key(program, engine, stranger, flag, place)


def _check_entry(program: Program, engine: FlagTable, entry: ConfigEntry) -> Iterator[Finding]:
    """Problems of a file's key and of the keys below it."""
    place = Location(entry.file, entry.value.line, entry.value.column)
    if not entry.flag.candidates:
        known = [name.lstrip("-") for name in engine.by_name]
        elsewhere = find_flag_releases(program.launch.module, f"--{entry.key}")
        effect = " and ignores it silently" if entry.silent else ""
        yield (warn if entry.silent else fail)(
            f"{program.component.name}: {engine.title} has no {entry.key}{effect}"
            f"{describe_releases(elsewhere)}",
            fix=suggest_name(entry.key, entry.key.replace("_", "-"), known),
            evidence={"source": engine.source},
            location=place,
        )
    elif len(entry.flag.candidates) > 1:
        names = sorted(name.lstrip("-") for flag in entry.flag.candidates for name in flag.names)
        yield fail(
            f"{program.component.name}: {entry.key} could be {' or '.join(names[:4])}",
            fix=f"write one of them in full, such as {names[0]}",
            location=place,
        )
    else:
        for stranger in find_unknown_keys(entry.flag.json, entry.flag.candidates[0].keys, engine.mappings):
            yield _report_unknown_key(program, engine, stranger, entry.key, _locate_key(entry, stranger.path))


def _report_unknown_key(
    program: Program, engine: FlagTable, stranger: UnknownKey, flag: str, place: Location
) -> Finding:
    """The finding for a key that a mapping does not have."""
    key = stranger.path[-1]
    elsewhere = find_key_releases(program.launch.module.removeprefix("dynamo."), stranger.mapping, key)
    return fail(
        f"{program.component.name}: {engine.title} has no key {'.'.join(stranger.path)} in {flag}"
        f"{describe_releases(elsewhere)}",
        fix=suggest_name(key, key, engine.mappings[stranger.mapping]),
        evidence={"class": stranger.mapping, "source": engine.source},
        location=place,
    )


def _locate_key(entry: ConfigEntry, path: tuple[str, ...]) -> Location:
    """The position of a nested key's value."""
    value: Value = entry.value
    for key in path:
        below = value.data.get(key) if isinstance(value.data, dict) else None
        value = below if below is not None else value
    return Location(entry.file, value.line, value.column)
