"""Checks the keys of engine configuration files and of JSON flags."""

import difflib
import posixpath
from collections.abc import Iterator
from functools import partial

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, unjudged, warn
from dynocheck.checks.engine._programs import (
    Problem,
    Program,
    describe_releases,
    judge_programs,
    list_programs,
    suggest_name,
)
from dynocheck.core.fixes import replace_words
from dynocheck.core.outcomes import Unjudged
from dynocheck.data import parse_version
from dynocheck.data.flags import FlagTable, find_flag_releases, find_key_releases
from dynocheck.data.images import parse_image
from dynocheck.data.servers import read_server_release
from dynocheck.data.trtllm_keys import list_trtllm_keys
from dynocheck.engines.arguments import Argument
from dynocheck.engines.command_line import FlagOccurrence, parse_flags
from dynocheck.engines.config_file import ConfigEntry, UnknownKey, find_unknown_keys
from dynocheck.engines.detection import detect_engine, find_keys_file
from dynocheck.facts import ConfigFile, Recipes, Rulings, Value, index_containers

_TRTLLM, _WITHOUT_AUTODEPLOY = "dynamo.trtllm", (1, 6)
_TRTLLM_SERVE, _WITHOUT_FORMER = "trtllm-serve", (1, 1)
_AUTODEPLOY = "_autodeploy"
_TRTLLM_REFERENCE = "https://nvidia.github.io/TensorRT-LLM/llm-api/reference.html"
# Keys of older versions, and such as its documentation had by mistake: what is written instead, and what says
# so. None of the versions in Dynamo 1.0 and later takes them.
_GRAPHS = "https://github.com/NVIDIA/TensorRT-LLM/pull/5014"
_FORMER = {
    "autotuner_enabled": ("enable_autotuner", "https://github.com/ai-dynamo/dynamo/pull/2217"),
    "cuda_graph_batch_sizes": ("cuda_graph_config: {batch_sizes: [...]}", _GRAPHS),
    "cuda_graph_config.padding_enabled": (
        "enable_padding",
        "https://github.com/NVIDIA/TensorRT-LLM/pull/18901",
    ),
    "cuda_graph_max_batch_size": ("cuda_graph_config: {max_batch_size: N}", _GRAPHS),
    "cuda_graph_padding_enabled": ("cuda_graph_config: {enable_padding: true}", _GRAPHS),
    "kv_cache_dtype": ("kv_cache_config: {dtype: fp8}", "https://github.com/NVIDIA/TensorRT-LLM/pull/18901"),
    "use_cuda_graph": ("cuda_graph_config: {}", _GRAPHS),
}
_SURE_SIMILARITY = 0.85  # of difflib: one slip in a long word
_FORMER_EXAMPLES, _EXAMPLES = "/workspace/components/backends", "/workspace/examples/backends"
_MOVE = "https://github.com/ai-dynamo/dynamo/pull/3849"
_FILE_FLAGS = ("--config", "--disagg-config", "--extra-engine-args", "--extra_llm_api_options")


@check("engine.config-keys", title="Engine configuration keys exist in the image's release")
def config_keys(recipes: Recipes, rulings: Rulings | None = None) -> Iterator[Result]:
    """VLLM and SGLang exit at a misspelled key as at a misspelled flag, or silently ignore it if its value is
    false. Each engine exits at a file that is no YAML.

    Checked are the keys of the file of --config, or of SGLang's --disagg-config, if a ConfigMap of the recipe
    contains it, and the keys of vLLM's JSON flags at every depth: --kv-transfer-config, --compilation-config,
    --speculative-config and others. SGLang's keys have hyphens. Both engines read the file only if --config
    and its path are two words. Images of unknown release are judged as for engine.flags-known.

    TensorRT-LLM, also as trtllm-serve, exits at a key that it does not know. Which version has which key is
    unknown: a key that none is known to have is a warning if it looks like a known one, or is known to belong
    to another mapping, and is not judged otherwise. Keys that older versions had, such as use_cuda_graph and
    kv_cache_dtype, are known.

    A file that only the image may have is not judged, but for one below the folder that had Dynamo's examples
    before 1.0, be it the working directory: no image has it.

    Fix: kubectl run flags --rm -i --restart=Never --image=IMAGE -- python3 -m MODULE --help
    """
    programs = list_programs(recipes, rulings)
    configured = [each for each in programs if not _is_trtllm_serve(each) and _has_known_keys(each)]
    unread = [file for program in programs if (file := _find_unread_file(program, recipes)) is not None]
    files = {
        (config.file, config.root.line, config.root.column): (program, config)  # two may have one path
        for program in programs
        for config in _find_trtllm_file(program)
        if config.root is not None
    }
    broken = [finding for program in programs for finding in _find_broken_file(program)]
    if not (configured or unread or files or broken):
        raise Skip("no engine has a configuration file or JSON flag with known keys")
    yield from unread
    yield from broken
    yield from judge_programs(configured, _find_key_problems)
    for program, config in files.values():
        yield from _judge_trtllm_file(program, config)
    yield from (finding for program in programs for finding in _check_trtllm_backend(program))


def _find_broken_file(program: Program) -> Iterator[Finding]:
    """Reports a file of the recipe that an engine reads and that is no YAML."""
    config = find_keys_file(program.container, program.launch)
    if config is not None and config.problem is not None:
        yield fail(
            f"{program.component.name}: {config.path} is not valid YAML, it exits: {config.problem.message}",
            fix="correct the text of the file in its ConfigMap",
            location=Location(config.file, config.problem.line, config.problem.column),
        )


def _find_trtllm_file(program: Program) -> Iterator[ConfigFile]:
    config = find_keys_file(program.container, program.launch)
    known = program.launch.module == _TRTLLM or _is_trtllm_serve(program)
    if known and config is not None and config.root is not None:
        yield config


def _is_trtllm_serve(program: Program) -> bool:
    return program.launch.module.startswith(_TRTLLM_SERVE)


def _judge_trtllm_file(program: Program, config: ConfigFile) -> Iterator[Result]:
    strangers = list(_find_trtllm_strangers(config.root)) if config.root is not None else []
    backend = _find_backend(program)
    own = backend is not None and backend.value == _AUTODEPLOY  # which has keys that the others lack
    report = program.report if program.launch.module == _TRTLLM else fail
    doubted = []
    for section, key, value in strangers:
        name = f"{section}.{key}".lstrip(".")
        place = Location(config.file, value.line, value.column)
        if own:
            doubted.append((name, value))
        elif name in _FORMER and (refusing := _name_refusing(program)):
            instead, source = _FORMER[name]
            yield report(
                f"{refusing} and later exits at the key {name}",
                fix=replace_words(key, instead) if instead.isidentifier() else f"write {instead}",
                evidence={"source": source},
                location=place,
            )
        elif name not in _FORMER and (fix := _suggest_trtllm_key(section, key)):
            yield warn(
                f"no known TensorRT-LLM has the key {name}",
                fix=fix,
                evidence={"source": _TRTLLM_REFERENCE},
                location=place,
            )
        else:
            doubted.append((name, value))
    if doubted:
        yield unjudged(
            f"{config.path}: {', '.join(name for name, _ in doubted)}",
            why="not among the known keys of TensorRT-LLM, whose list may lack some",
            needs=_TRTLLM_REFERENCE,
            location=Location(config.file, doubted[0][1].line, doubted[0][1].column),
        )
    else:
        yield judged(1, "TensorRT-LLM files")


def _name_refusing(program: Program) -> str:
    """The first release that has no former keys, if the program is of that or a later one; else empty."""
    if program.launch.module == _TRTLLM:
        return "TensorRT-LLM in Dynamo 1.0" if program.release.possible or program.release.newer else ""
    release, _ = read_server_release(program.container.image or "", _TRTLLM_SERVE)
    known = bool(release) and parse_version(release) >= _WITHOUT_FORMER
    return "TensorRT-LLM 1.1" if known else ""


def _suggest_trtllm_key(section: str, key: str) -> str:
    """The fix for a key that looks like a known one, or that one other mapping has; empty if neither."""
    known = list_trtllm_keys()
    letters = _sort_letters(key)
    close = [name for name in known[section] if _sort_letters(name) == letters]
    close = close or difflib.get_close_matches(key, known[section], n=1, cutoff=_SURE_SIMILARITY)
    if close:
        return f"write {close[0]}"
    owners = [owner for owner, keys in known.items() if key in keys]
    if len(owners) != 1 or owners[0].startswith("sparse_"):  # whose kinds share names with other parts
        return ""
    return f"move it to {owners[0]}" if owners[0] else "move it to the top level"


def _sort_letters(key: str) -> list[str]:
    """What a key has in common with those of other case, with hyphens, and with two letters exchanged."""
    return sorted(key.lower().replace("_", "").replace("-", ""))


def _find_trtllm_strangers(value: Value, section: str = "") -> Iterator[tuple[str, str, Value]]:
    """The keys that no known version has, each with the mapping that it is in."""
    known = list_trtllm_keys().get(section)
    if known is None:
        return
    for key, below in value.mapping.items():
        if key in known:
            yield from _find_trtllm_strangers(below, f"{section}.{key}".lstrip("."))
        else:
            yield section, key, below


def _check_trtllm_backend(program: Program) -> Iterator[Finding]:
    """The AutoDeploy backend in an image whose release has it no more."""
    release = program.release.exact or program.release.near
    if program.launch.module != _TRTLLM or release is None or parse_version(release) < _WITHOUT_AUTODEPLOY:
        return
    given = _find_backend(program)
    if given is not None and given.value == _AUTODEPLOY:
        yield program.report(
            f"Dynamo {release} has no AutoDeploy backend",
            fix="backend: pytorch",
            evidence={"source": "https://pypi.org/project/ai-dynamo/1.6.0/"},
            location=Location(given.file, given.line, given.column),
        )


def _find_backend(program: Program) -> Argument | None:
    engine = detect_engine(program.launch)
    if engine is None:
        return None
    return engine.arguments(program.container, program.launch, program.graph.file).get("backend")


def _has_known_keys(program: Program) -> bool:
    flags = parse_flags(program.launch, program.parsers) if program.engine is not None else ()
    return any(program.entries) or any(_find_mapping(option) or _is_inline_config(option) for option in flags)


def _find_mapping(option: FlagOccurrence) -> str:
    """The name of the mapping that a flag's JSON becomes, empty if there is none."""
    return option.candidates[0].keys if len(option.candidates) == 1 else ""


def _find_unread_file(program: Program, recipes: Recipes) -> Unjudged | Finding | None:
    """The engine's file, if the recipe does not contain it; a failure if the image does not either."""
    if detect_engine(program.launch) is None:
        return None
    flags = parse_flags(program.launch, program.parsers)
    option = next((flag for flag in flags if flag.spelled in _FILE_FLAGS and flag.following), None)
    if option is None or find_keys_file(program.container, program.launch) is not None:
        return None
    if (missing := _find_missing_file(program, recipes, option.text or "")) is not None:
        return program.report(
            f"{missing} is not in the image: Dynamo 1.0 and later have their examples in {_EXAMPLES}",
            fix=f"write its path below {_EXAMPLES}",
            evidence={"source": _MOVE},
            location=program.locate(option),
        )
    named = f" {option.text}" if option.text else ""
    return unjudged(
        f"{program.component.name}: engine configuration{named}",
        why="the file is not in the recipe",
        needs="a ConfigMap of the recipe with the file",
        location=program.locate(option),
    )


def _find_missing_file(program: Program, recipes: Recipes, path: str) -> str | None:
    """The full path of a file where no image of Dynamo has one any more; None if it may be there.

    A container runtime makes a working directory that the image lacks, so that only its files are missing.
    """
    container = program.container
    place = program.graph.file, container.line, container.column
    own = (recipe for recipe in recipes if any(graph is program.graph for graph in recipe.deployments))
    source = next((found[1] for recipe in own if (found := index_containers(recipe).get(place))), None)
    if (
        source is None
        or not program.release.possible
        or not path
        or "$" in path
        or (container.moves and not path.startswith("/"))
    ):
        return None
    full = posixpath.normpath(posixpath.join(source.get_text("workingDir") or "/workspace", path))
    mounts = (
        posixpath.normpath(mount.get_text("mountPath") or "/") for mount in source.get_items("volumeMounts")
    )
    if not full.startswith(f"{_FORMER_EXAMPLES}/") or any(
        f"{full}/".startswith(f"{each}/") for each in mounts
    ):
        return None
    return full if parse_image(container.image or "").dynamo_name else None


def _is_inline_config(option: FlagOccurrence) -> bool:
    """Whether it is `--config=FILE`, which no engine reads."""
    return option.spelled == "--config" and option.inline is not None


def _find_key_problems(program: Program) -> Iterator[Problem]:
    if program.engine is None:
        return
    for entry in program.entries:
        yield from _check_entry(program, program.engine, entry)
    for option in parse_flags(program.launch, program.parsers):
        yield from _check_flag(program, program.engine, option)


def _check_flag(program: Program, engine: FlagTable, option: FlagOccurrence) -> Iterator[Problem]:
    """Problems of a `--config=FILE` flag, and unknown keys in the JSON of a flag."""
    place = program.locate(option)
    if _is_inline_config(option):
        # vLLM reads it as --config-format, with an unknown format.
        report = partial(
            program.report,
            f"{engine.title if program.release.exact else 'the engine'} does not read the file of "
            f"{option.word.text}",
            harmless=program.launch.module != "dynamo.vllm",
            fix=replace_words(f"--config={option.inline}", f"--config {option.inline}", "as two words"),
            evidence={},
            location=place,
        )
        yield Problem(place, option.spelled, report)
    refused = program.ruling is not None and program.ruling.error is not None  # by the engine's own parser
    mapping = _find_mapping(option)
    if mapping and not refused:
        flag = option.spelled.partition(".")[0]
        for stranger in find_unknown_keys(option.json, mapping, engine.mappings):
            report = partial(_report_unknown_key, program, engine, stranger, flag, place)
            yield Problem(place, ".".join(stranger.path), report)


def _check_entry(program: Program, engine: FlagTable, entry: ConfigEntry) -> Iterator[Problem]:
    """Problems of a file's key and of the keys below it."""
    place = Location(entry.file, entry.value.line, entry.value.column)
    if not entry.flag.candidates:
        yield Problem(place, entry.key, partial(_report_unknown_entry, program, engine, entry, place))
    elif len(entry.flag.candidates) > 1:
        names = sorted(name.lstrip("-") for flag in entry.flag.candidates for name in flag.names)
        report = partial(
            program.report,
            f"{entry.key} could be {' or '.join(names[:4])}",
            fix=replace_words(entry.key, names[0], f"or {', '.join(names[1:4])}"),
            evidence={},
            location=place,
        )
        yield Problem(place, entry.key, report)
    else:
        for stranger in find_unknown_keys(entry.flag.json, entry.flag.candidates[0].keys, engine.mappings):
            at = _locate_key(entry, stranger.path)
            report = partial(_report_unknown_key, program, engine, stranger, entry.key, at)
            yield Problem(at, ".".join(stranger.path), report)


def _report_unknown_entry(
    program: Program, engine: FlagTable, entry: ConfigEntry, place: Location
) -> Finding:
    """The finding for a key of a file that is no flag."""
    known = [name.lstrip("-") for name in engine.by_name]
    elsewhere = find_flag_releases(program.launch.module, f"--{entry.key}")
    effect = " and ignores it silently" if entry.silent else ""
    return program.report(
        f"{program.describe_lack(engine.title, entry.key)}{effect}{describe_releases(elsewhere)}",
        harmless=entry.silent,
        fix=suggest_name(entry.key, entry.key.replace("_", "-"), known),
        evidence={"source": engine.source},
        location=place,
    )


def _report_unknown_key(
    program: Program, engine: FlagTable, stranger: UnknownKey, flag: str, place: Location
) -> Finding:
    """The finding for a key that a mapping does not have."""
    key, name = stranger.path[-1], ".".join(stranger.path)
    elsewhere = find_key_releases(program.launch.module.removeprefix("dynamo."), stranger.mapping, key)
    return program.report(
        f"{program.describe_lack(engine.title, f'key {name} in {flag}')}{describe_releases(elsewhere)}",
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
