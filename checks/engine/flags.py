"""Checks the flags of Dynamo's programs and engines, and their values."""

import operator
import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import partial

import msgspec

from dynocheck import Finding, Location, Result, Skip, check, fail, same_place, unknown, warn
from dynocheck.checks.engine._connectors import find_misspelt_connector, find_unknown_connector
from dynocheck.checks.engine._programs import (
    HARD_BLANK,
    Problem,
    Program,
    describe_releases,
    judge_programs,
    list_programs,
    suggest_name,
    tells_of_word,
)
from dynocheck.core.fixes import add_flag, remove, remove_argument, replace_words, set_argument, set_value
from dynocheck.data import parse_version
from dynocheck.data.flags import Flag, find_flag_releases
from dynocheck.data.models import WeightPrecisions, find_model
from dynocheck.data.servers import name_image_engine
from dynocheck.engines import EngineInstance, find_instances
from dynocheck.engines.command_line import LLAMACPP, VLLM, FlagOccurrence, find_parsers, parse_flags
from dynocheck.engines.memory_budget import resolve_model_id
from dynocheck.engines.model_lookup import resolve_model
from dynocheck.engines.numbers import parse_length, parse_number
from dynocheck.facts import Container, PodTemplate, Recipe, Recipes, Rulings, find_server_template
from dynocheck.secrets import clip

_SWITCH_VALUES = ("1", "true", "on", "yes", "y", "", "0", "false", "off", "no", "n")
# argparse compares no default with the choices. The runtime parses these itself and returns an error.
_PARSED_CHOICES = ("DYN_REQUEST_PLANE", "DYN_DISCOVERY_BACKEND")
_EVENT_PLANE, _EVENT_PLANE_CHECKED = "DYN_EVENT_PLANE", (1, 6)
# vLLM's flags that register further parsers, and those whose parsers they add to.
_PARSER_PLUGINS = ("--reasoning-parser-plugin", "--tool-parser-plugin")
_EXTENSIBLE = {"--reasoning-parser", "--tool-call-parser"}
_TOOL_PARSERS = ("--tool-call-parser", "--tool_call_parser")  # vLLM looks up none without the next
_CHOOSES_TOOLS = "--enable-auto-tool-choice"
# By variable the value that holds anyway in all releases that do not read it.
_HOLDS = {"VLLM_USE_V1": "1", "DYN_SYSTEM_ENABLED": "true"}
_TOOLS, _TOOLS_VARIABLE = "tool-call-parser", "DYN_TOOL_CALL_PARSER"
_RIVALS = "https://github.com/ai-dynamo/dynamo/pull/5849"
_MAX_CHOICES = 12  # of a flag in a message
_SHARE = "free_gpu_memory_fraction"
# By engine: the flag of the longest sequence, and the variable that lets it exceed the model's positions.
_LENGTHS = {
    "trtllm": ("max-seq-len", "TLLM_ALLOW_LONG_MAX_MODEL_LEN"),
    "trtllm-serve": ("max-seq-len", "TLLM_ALLOW_LONG_MAX_MODEL_LEN"),
    "sglang": ("context-length", "SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN"),
    "vllm": ("max-model-len", "VLLM_ALLOW_LONG_MAX_MODEL_LEN"),
}
_RANKS = ("tensor-parallel-size", "pipeline-parallel-size", "expert-parallel-size")
_SIZES = (*_RANKS, "max-seq-len", "max-num-tokens", "max-batch-size", "max-input-len", "max-beam-width")
_WHOLE = re.compile(r"[+-]?[\d_]{1,20}(\.0*)?|.*\$.*")  # or unknown
_STRETCHES = ("hf-overrides", "rope-scaling", "json-model-override-args", "hf-config-path")
_FLAG_ERRORS = ("unrecognized arguments", "ambiguous option")  # what argparse says of flags, not of values


@check("engine.flags-known", title="Flags exist in the image's release")
def flags_known(recipes: Recipes, rulings: Rulings | None = None) -> Iterator[Result]:
    """A program exits at an unknown flag or an ambiguous abbreviation, which on Kubernetes is a crash loop.
    Flags come and go with each release.

    Checked are Dynamo's frontend and mocker and its vLLM, SGLang and TensorRT-LLM workers in images of
    Dynamo 1.0.0 and later. An image whose tag is no release is checked for flags that no release has; those
    that only some have are not judged, unless the tag begins with a release's number and the releases around
    it agree. Nor are the flags that a frontend with --dyn-chat-processor passes to an engine.

    With --engine-parser, the installed vLLM's own parser checks the workers whose image has the same vLLM
    release. It reports the first error of a command line.

    Fix: kubectl run flags --rm -i --restart=Never --image=IMAGE -- python3 -m MODULE --help
    """
    if rulings is not None and rulings.reason:
        yield unknown(
            f"engine parser not used: {rulings.reason}",
            fix="pip install vllm==RELEASE beside dynocheck",
        )
    yield from judge_programs(list_programs(recipes, rulings), _find_flag_problems)


def _find_flag_problems(program: Program) -> Iterator[Problem]:
    yield from _report_ruling(program, of_flags=True)
    yield from _find_misplaced(program)
    for option in program.flags:
        if HARD_BLANK.search(option.spelled):
            continue  # engine.command-words reports it
        place = program.locate(option)
        if len(option.candidates) > 1:
            yield Problem(place, option.spelled, partial(_report_ambiguous, program, option))
        elif not option.candidates and not program.forwards(option.spelled):
            yield Problem(place, option.spelled, partial(_report_unknown, program, option))
        elif program.release.exact and (end := _describe_end(option)):
            yield Problem(place, option.spelled, partial(_report_end, program, option, *end))


def _find_misplaced(program: Program) -> Iterator[Problem]:
    """The first flag of a trtllm-serve without a command: click takes what is before one for its own.

    Up to 0.18 there were no commands.
    """
    first = next(iter(program.launch.words), None)
    option = next(program.flags, None)
    if program.launch.module == "trtllm-serve" and option is not None and option.word == first:
        if option.spelled == "--help":
            return
        report = partial(
            program.report,
            f"trtllm-serve takes no {option.spelled} before its command or model",
            fix="write serve before it, or the model first",
            evidence={"release": program.title},
            location=program.locate(option),
        )
        yield Problem(program.locate(option), option.spelled, report, growing=not program.release.near)


def _describe_end(option: FlagOccurrence) -> tuple[str, str] | None:
    """That an option, or this name of it, is deprecated, and what to write; None if it stays."""
    for flag in option.candidates:
        if flag.dropped:
            return f"is deprecated, to be removed in Dynamo {flag.dropped}", f"use {flag.instead}"
        if flag.old == option.spelled:
            return f"is the old name of {flag.names[0]}", f"write {flag.names[0]}"
    return None


def _report_end(program: Program, option: FlagOccurrence, end: str, fix: str) -> Finding:
    return program.report(
        f"{option.spelled} {end}",
        harmless=True,
        fix=fix,
        evidence={"release": program.title},
        location=program.locate(option),
    )


def _report_ambiguous(program: Program, option: FlagOccurrence) -> Finding:
    start = option.spelled.partition(".")[0].replace("_", "-")  # vLLM's --a_b.c is the c of --a-b
    every = sorted(name for flag in option.candidates for name in flag.names)
    names = [name for name in every if name.startswith(start)] or every
    return program.report(
        f"{option.spelled} could be {' or '.join(names[:4])}",
        fix=replace_words(option.spelled, names[0], f"or {', '.join(names[1:4])}"),
        evidence={"release": program.title},
        location=program.locate(option),
    )


@check(
    "engine.values",
    title="Flag values are valid",
    explained_by={
        "engine.command-words": tells_of_word,
        "engine.shell-quoting": tells_of_word,
        "manifest.placeholders": same_place,
    },
)
def values(recipes: Recipes, rulings: Rulings | None = None) -> Iterator[Result]:
    """A program exits at a value that is not a number, is out of bounds or is none of the choices, at a flag
    without a value, at a switch with one: `--enforce-eager true`, and at sequences longer than the model's.
    TGI exits at a --dtype beside a --quantize and at input as long as all tokens together, vLLM's server at
    tools that are to be chosen without a --tool-call-parser, Dynamo at SGLang's --tool-call-parser beside its
    own, and each engine at AWQ or GPTQ for a model whose weights are not quantized.

    Checked are the flags, and the keys of the file of --config, by the options of the image's release, or of
    every known one, as for engine.flags-known; and the variables that stand for flags (DYN_) or that the
    engine converts (VLLM_, SGLANG_). Some of these have an invalid value replaced by their default, which is
    a warning, as is a variable that the release no longer reads. Values that only the running container knows
    are not checked. With --engine-parser, vLLM's own parser checks the flags.

    Fix: kubectl run flags --rm -i --restart=Never --image=IMAGE -- python3 -m MODULE --help
    """
    set_by_services = [finding for recipe in recipes for finding in _check_service_variables(recipe)]
    yield from set_by_services
    try:
        programs = list_programs(recipes, rulings)
    except Skip:
        if set_by_services:
            return  # of an image of vLLM whose command is its own
        raise
    yield from judge_programs(programs, _find_value_problems)
    for recipe in recipes:
        for engine in (engine for graph in recipe.deployments for engine in find_instances(graph)):
            yield from _check_share(engine)
            yield from _check_dtype(engine)
            yield from _check_quantized(recipe, engine)
            yield from _check_sizes(engine)
            yield from _check_length(recipe, engine)
            yield from _check_tools(engine)
            yield from _check_tokens(engine)


def _check_tools(engine: EngineInstance) -> Iterator[Finding]:
    """Reports tools that are to be chosen without a parser (vLLM's entrypoints/openai/cli_args.py)."""
    chosen = engine.given.get("enable-auto-tool-choice")
    lacks = engine.given.complete and engine.given.get("tool-call-parser") is None
    if engine.launch.module == "vllm serve" and chosen is not None and chosen.value is True and lacks:
        yield fail(
            f"{engine.name}: {chosen.spelled} needs --tool-call-parser: vLLM ends without it",
            fix="add --tool-call-parser NAME, that of the model",
            location=Location(chosen.file, chosen.line, chosen.column),
        )


def _check_tokens(engine: EngineInstance) -> Iterator[Finding]:
    """Reports input that leaves no tokens for output, which TGI refuses (launcher/src/main.rs)."""
    longest, total = (
        engine.given.get("max-input-tokens", "max-input-length"),
        engine.given.get("max-total-tokens"),
    )
    if engine.engine.name != "tgi" or longest is None or total is None:
        return
    if longest.integer is not None and total.integer is not None and longest.integer >= total.integer:
        yield fail(
            f"{engine.name}: {longest.spelled} is {longest.value}, and {total.spelled} {total.value}",
            fix=set_argument(longest.spelled or "--max-input-tokens", total.integer // 2),
            location=Location(longest.file, longest.line, longest.column),
        )


def _check_dtype(engine: EngineInstance) -> Iterator[Finding]:
    """TGI takes no type beside a quantization of the checkpoint (server/text_generation_server/cli.py)."""
    dtype, way = engine.given.get("dtype"), engine.given.get("quantize")
    if engine.engine.name != "tgi" or dtype is None or way is None or not way.known:
        return
    if not str(way.value).startswith("bitsandbytes"):
        yield fail(
            f"{engine.name}: {dtype.spelled} beside {way.spelled} {way.value}, of which TGI takes only one",
            fix=remove_argument(dtype.spelled or "--dtype"),
            location=Location(dtype.file, dtype.line, dtype.column),
        )


def _check_quantized(recipe: Recipe, engine: EngineInstance) -> Iterator[Finding]:
    """Reports AWQ or GPTQ for weights that are stored in 16 bits: no engine quantizes them so as it loads.

    vLLM and SGLang end without a quantize_config.json (get_quant_config in model_loader/weight_utils.py), TGI
    without a qweight in the weights (server/text_generation_server/utils/weights.py).
    """
    way = engine.given.get("quantization", "quantize")
    method = str(way.value).lower() if way is not None else ""
    if way is None or not method.startswith(("awq", "gptq")) or engine.model is None:
        return
    mounts = (*engine.container.mounts, *engine.component.claims)
    name = resolve_model_id(recipe, mounts, engine.model)
    model = resolve_model(recipe, engine.graph, engine.model, name)
    if model is not None and not model.opaque and model.stored == WeightPrecisions():
        yield fail(
            f"{engine.name}: {way.spelled} {way.value} needs weights in {method[:4].rstrip('_').upper()}; "
            f"those of {model.names[0]} are BF16",
            fix=remove_argument(way.spelled, "or load a checkpoint that is quantized so"),
            evidence={"source": model.source},
            location=Location(way.file, way.line, way.column),
        )


def _check_service_variables(recipe: Recipe) -> Iterator[Finding]:
    """Reports a Service named vllm: the kubelet sets VLLM_PORT=tcp://... from it, which vLLM cannot convert.

    See https://docs.vllm.ai/en/latest/configuration/env_vars.html. A headless Service sets no variable.
    """
    services = [
        service
        for service in recipe.own_manifests
        if (service.kind, service.name) == ("Service", "vllm")
        and service.root.get_text("spec", "clusterIP") != "None"
        and service.root.get_text("spec", "type") != "ExternalName"
    ]
    for server in recipe.servers if services else ():
        for component in server.components:
            pod = find_server_template(recipe, server, component)
            links = pod.spec.get("enableServiceLinks") if pod is not None else None
            if (
                pod is None
                or (links is not None and links.data is False)
                or not any(_reads_port(pod, each) for each in component.containers)
            ):
                continue
            beside = [
                each
                for each in services
                if pod.namespace == (each.root.get_text("metadata", "namespace") or None)
            ]
            for service in beside[:1]:  # further ones of the name are duplicates
                name = service.root.get("metadata", "name") or service.root
                yield fail(
                    f"{component.name}: the Service named vllm sets VLLM_PORT to a URL in its pods, "
                    "at which vLLM ends",
                    fix=set_value(f"{pod.path}.enableServiceLinks", False, "or rename the Service"),
                    location=Location(service.file, name.line, name.column),
                )


def _reads_port(pod: PodTemplate, container: Container) -> bool:
    """Whether a container runs vLLM, by its command or as its image does, with the kubelet's VLLM_PORT."""
    given = (*container.env, *(each for launch in container.launches for each in launch.env))
    if any(each.name == "VLLM_PORT" for each in given):
        return False
    place = container.line, container.column
    source = next((each for each in pod.containers if (each.line, each.column) == place), None)
    own = source is not None and source.get("command") is None and bool(source.get("args"))
    starts = any(launch.module in VLLM for launch in container.launches)
    return starts or (own and not container.launches and name_image_engine(container.image or "") == "vLLM")


def _check_share(engine: EngineInstance) -> Iterator[Finding]:
    """TensorRT-LLM refuses another share of memory in its YAML (KvCacheConfig in llmapi/llm_args.py)."""
    cache = engine.given.get("kv-cache-config")
    share = (cache.entries or {}).get(_SHARE) if cache is not None else None
    if cache is not None and isinstance(share, int | float) and not 0 <= share <= 1:
        yield fail(
            f"{engine.name}: {_SHARE} is {share}; it must be at least 0 and at most 1",
            fix=f"set {_SHARE} to a fraction, such as 0.9",
            location=Location(cache.file, cache.line, cache.column),
        )


def _check_sizes(engine: EngineInstance) -> Iterator[Finding]:
    """TensorRT-LLM takes no text, such as 128k, for the whole numbers of its YAML (llmapi/llm_args.py)."""
    for name in _SIZES if engine.engine.name.startswith("trtllm") else ():
        size = engine.given.get(name)
        told = size is None or not isinstance(size.value, str) or not size.spelled.islower()
        if size is None or told or size.spelled.startswith("-") or _WHOLE.fullmatch(size.value):
            continue
        yield fail(
            f"{engine.name}: {size.spelled} is {clip(size.value, 40)}, not a whole number",
            fix=set_value(size.spelled, parse_length(size.value, "sglang") or "NUMBER"),
            location=Location(size.file, size.line, size.column),
        )


def _check_length(recipe: Recipe, engine: EngineInstance) -> Iterator[Finding]:
    """Reports a sequence of more tokens than the model has positions for.

    vLLM (ModelConfig._get_and_verify_max_len) and SGLang (ModelConfig._derive_context_length) refuse it,
    unless a variable allows it; TensorRT-LLM (PyTorchModelEngine._init_max_seq_len) uses the positions that
    there are. An overridden configuration is not judged.
    """
    flag, variable = _LENGTHS.get(engine.engine.name, ("", ""))
    argument, allowed = engine.given.get(flag), engine.find_variable(variable)
    mounts = (*engine.container.mounts, *engine.component.claims)
    model = find_model(resolve_model_id(recipe, mounts, engine.model) or "")
    if argument is None or model is None or engine.given.get(*_STRETCHES) or not engine.given.complete:
        return
    parsers = find_parsers(engine.launch.module, engine.container.image)
    options = [option for parser in parsers if (option := parser.by_name.get(argument.spelled)) is not None]
    if any(_find_bad_value(str(argument.value), option) for option in options):
        return  # told already
    length = parse_length(argument.value, engine.engine.name)
    if length is None or length <= model.context or (allowed and allowed.value not in ("0", "false")):
        return
    remark = f"or set {variable}=1, at the cost of wrong output"
    given = f"{argument.spelled} is {argument.value}"
    yield (warn if engine.engine.name.startswith("trtllm") else fail)(
        f"{engine.name}: {given}; {model.names[0]} has {model.context} positions",
        fix=set_argument(argument.spelled, model.context, remark),
        evidence={"source": model.source},
        location=Location(argument.file, argument.line, argument.column),
    )


def _find_value_problems(program: Program) -> Iterator[Problem]:
    yield from _report_ruling(program, of_flags=False)
    spelled = {option.spelled.replace("_", "-") for option in program.flags}
    plugin, chooses = not spelled.isdisjoint(_PARSER_PLUGINS), _CHOOSES_TOOLS in spelled
    for option, file in _list_flags(program):
        flag = option.candidates[0] if len(option.candidates) == 1 else None
        added = plugin and flag is not None and not _EXTENSIBLE.isdisjoint(flag.names)  # perhaps
        problem = _find_problem(option, flag) if flag is not None and not added else None
        if program.launch.module == "vllm serve" and option.spelled in _TOOL_PARSERS and not chooses:
            continue
        if problem is not None:
            slip = find_misspelt_connector(option.json)
            place = program.locate_value(option, slip[0], file) if slip else program.locate(option, file)
            report = partial(
                program.report,
                f"{option.spelled} {problem}",
                fix=_suggest_value(option, option.candidates[0]),
                evidence={"release": program.title, **_list_words(option)},
                location=place,
            )
            yield Problem(place, option.spelled, report, growing=option.candidates[0].growing)
    yield from _find_connector_problems(program)
    yield from _find_rival_problems(program)
    for variable, known in program.variables:
        if variable.value and (problem := _find_bad_variable(variable.value, known)):
            place = Location(program.graph.file, variable.line, variable.column)
            report = partial(
                program.report,
                f"{variable.name} {problem}",
                harmless=not _is_fatal(program, known),
                fix=_suggest_choice(variable.name, variable.value, known.choices)
                if known.choices
                else remove_argument(variable.name),
                evidence={"release": program.title},
                location=place,
            )
            yield Problem(place, variable.name, report, growing=known.growing)
    yield from _find_dropped_variables(program)


def _find_dropped_variables(program: Program) -> Iterator[Problem]:
    """The variables that this release no longer reads, if the image tells its release."""
    if program.release.exact is None and program.release.near is None:
        return
    for variable, table in program.dropped_variables:
        if variable.value in ("", _HOLDS.get(variable.name)):
            continue
        place = Location(program.graph.file, variable.line, variable.column)
        twin = f"--{variable.name.partition('_')[2].lower().replace('_', '-')}"
        last = table.dropped[variable.name]
        report = partial(
            program.report,
            f"{variable.name} does nothing in {table.title}: {last} was the last release to read it",
            harmless=True,
            fix=f"use {twin}" if twin in table.by_name else remove_argument(variable.name),
            evidence={"release": table.title},
            location=place,
        )
        yield Problem(place, variable.name, report)


def _list_words(option: FlagOccurrence) -> dict[str, list[str]]:
    """The words behind a flag, if there are several, as evidence."""
    words = [clip(word.text or "", 60) for word in option.following]
    return {"words": words} if len(words) > 1 else {}


def _find_rival_problems(program: Program) -> Iterator[Problem]:
    """SGLang's own parser of tool calls beside Dynamo's, at which dynamo.sglang exits."""
    if program.launch.module != "dynamo.sglang":
        return
    given = {option.spelled: (option, file) for option, file in _list_flags(program)}
    own, ours = f"--{_TOOLS}", f"--dyn-{_TOOLS}"
    set_by = (variable for variable, _ in program.variables if variable.name == _TOOLS_VARIABLE)
    rival = ours if ours in given else next((each.name for each in set_by if each.value), "")
    if own in given and rival:
        option, file = given[own]
        place = program.locate(option, file)
        report = partial(
            program.report,
            f"{own} beside {rival}, of which Dynamo takes only one",
            fix=remove_argument(own, f"or {rival}"),
            evidence={"source": _RIVALS},
            location=place,
        )
        yield Problem(place, rival, report)


def _find_connector_problems(program: Program) -> Iterator[Problem]:
    """The connectors that only a plug-in may bring."""
    for option, file in _list_flags(program):
        is_transfer = option.spelled.replace("_", "-") == "--kv-transfer-config"
        if is_transfer and (connector := find_unknown_connector(option.json)) is not None:
            place = program.locate_value(option, connector, file)
            report = partial(
                program.report,
                f"{option.spelled} has kv_connector {connector}, which vLLM has only from a plug-in",
                harmless=True,
                fix="use one that vLLM has, such as NixlConnector, or name its kv_connector_module_path",
                evidence={"release": program.title},
                location=place,
            )
            yield Problem(place, connector, report, growing=True)


def _find_bad_variable(value: str, known: Flag) -> str | None:
    """Why a program does not take a variable's value; Dynamo's choices are also known in capitals."""
    if known.type == "bool":
        return None if value.strip().lower() in _SWITCH_VALUES else f"is {value}, not true or false"
    own = known.names[0].startswith("DYN_") and known.choices
    return _find_bad_value(value.lower() if own else value, known)


def _is_fatal(program: Program, known: Flag) -> bool:
    """Whether a program exits at an invalid value of a variable instead of using the default."""
    name = known.names[0]
    if name.startswith("SGLANG_") or known.type == "bool":
        return False
    if name == _EVENT_PLANE:
        release = program.release.exact or program.release.near
        return release is not None and parse_version(release) >= _EVENT_PLANE_CHECKED
    return not (name.startswith("DYN_") and known.choices) or name in _PARSED_CHOICES


def _list_flags(program: Program) -> Iterator[tuple[FlagOccurrence, str]]:
    """A program's flags and those of its engine's file, each with the file that contains it."""
    yield from ((option, program.graph.file) for option in program.flags)
    yield from ((entry.flag, entry.file) for entry in program.entries if not entry.silent)


def _report_ruling(program: Program, *, of_flags: bool) -> Iterator[Problem]:
    """The finding for a flag, or a value, that the engine's own parser rejects."""
    ruling = program.ruling
    if ruling is None or ruling.error is None or ruling.error.startswith(_FLAG_ERRORS) is not of_flags:
        return
    named = [w for w in parse_flags(program.launch, program.parsers) if _mentions(ruling.error, w.spelled)]
    place = program.locate(named[0]) if named else Location(ruling.file, ruling.line, ruling.column)
    report = partial(
        program.report,
        ruling.error,
        fix=f"see python3 -m {program.launch.module} --help in the image",
        evidence={"parser": f"{ruling.engine} {ruling.version}, as it is installed here"},
        location=place,
    )
    yield Problem(place, ruling.error, report)


def _mentions(error: str, spelled: str) -> bool:
    """Whether a parser's error is about a flag: `argument --a/-b: ...`, `unrecognized arguments: --c 1`."""
    return spelled.replace("_", "-") in re.split(r"[\s/:=,]+", error)


def _report_unknown(program: Program, option: FlagOccurrence) -> Finding:
    if program.launch.module == LLAMACPP and option.inline is not None:
        shown = clip(option.inline, 200)
        return fail(
            f"{program.component.name}: llama.cpp takes no {option.spelled}=VALUE: it exits",
            fix=f"{remove(f'{option.spelled}={shown}')}; {add_flag(option.spelled, shown)}",
            location=program.locate(option),
        )
    known = sorted({name for each in program.parsers for name in each.by_name})
    elsewhere = find_flag_releases(program.launch.module, option.spelled)
    title = " and ".join(each.title for each in program.parsers)
    return program.report(
        f"{program.describe_lack(title, option.spelled)}{describe_releases(elsewhere)}",
        fix=suggest_name(option.spelled, option.spelled.replace("_", "-"), known),
        evidence={"sources": [each.source for each in program.parsers]},
        location=program.locate(option),
    )


def _find_problem(option: FlagOccurrence, flag: Flag) -> str | None:
    """Why a parser would reject the words after a flag; None if it would not or that is unknown."""
    inline = option.glued if option.glued is not None else option.inline
    texts = [inline] if inline is not None else [word.text for word in option.following]
    if flag.kind in ("switch", "negatable"):
        return _find_needless_value(option)
    if flag.kind != "value":
        return None
    if not texts:
        return "has no value"
    if len(texts) > 1 and not all(map(str.strip, filter(None, texts))):
        return None  # a blank behind a backslash, which engine.command-words reports
    if len(texts) > 1 and None not in texts:
        return f"takes one value, but is followed by {' '.join(map(str, texts))}"
    return _find_bad_value(texts[0], flag) if texts[0] is not None else None


def _suggest_value(option: FlagOccurrence, flag: Flag) -> str:
    """The fix for a value that a parser rejects."""
    value, switch = option.text or "", flag.kind in ("switch", "negatable")
    if switch and option.inline is not None:
        return replace_words(f"{option.spelled}={option.inline}", option.spelled)
    if switch:
        return f"remove the words behind {option.spelled}"
    if flag.members:
        return f"correct the JSON of {option.spelled}"
    if flag.choices:
        return _suggest_choice(option.spelled, value, flag.choices)
    try:
        number = parse_number(value, flag.type) if flag.type else 0.0
    except (ValueError, OverflowError):
        return set_argument(option.spelled, "VALUE", "a number")
    if flag.le == 1 and 10 <= number <= 100:
        return set_argument(option.spelled, f"{number / 100:g}")  # it was meant in percent
    return set_argument(option.spelled, "VALUE", "within its bounds")


def _suggest_choice(name: str, value: str, choices: Sequence[str]) -> str:
    close = get_close_matches(value, choices, n=1)
    if not close:
        return set_argument(name, "VALUE", f"one of {_join(choices)}")
    others = _join([choice for choice in choices if choice not in close])
    return set_argument(name, close[0], f"or {others}" if others else "")


def _join(choices: Sequence[str]) -> str:
    """The choices in one line, without most of them if there are many."""
    more = len(choices) - _MAX_CHOICES
    return ", ".join(choices) if more < 2 else f"{', '.join(choices[:_MAX_CHOICES])} and {more} more"


def _find_needless_value(option: FlagOccurrence) -> str | None:
    if option.inline is not None:
        return f"takes no value, but has {option.inline}"
    stray = next((word.text for word in option.following if word.text is not None), None)
    return f"takes no value, but is followed by {stray}" if stray is not None else None


def _find_bad_value(value: str, flag: Flag) -> str | None:
    if value in ("None", "") or "$" in value:  # engine.shell-quoting says why it is written so
        return None
    if flag.choices:
        return None if value in flag.choices else f"is {value}; it takes {_join(flag.choices)}"
    if flag.members:
        return _find_bad_member(value, flag)
    if not flag.type:
        return None
    try:
        number = parse_number(value, flag.type)
    except (ValueError, OverflowError):
        return f"is {value}, not a {'' if flag.type == 'float' else 'whole '}number"
    bounds = (
        (flag.gt, "above", operator.gt),
        (flag.ge, "at least", operator.ge),
        (flag.lt, "below", operator.lt),
        (flag.le, "at most", operator.le),
    )
    missed = [
        f"{word} {bound:g}" for bound, word, holds in bounds if bound is not None and not holds(number, bound)
    ]
    return f"is {value}; it must be {' and '.join(missed)}" if missed else None


def _find_bad_member(value: str, flag: Flag) -> str | None:
    """Why a JSON object is refused for a value in it; engine.shell-quoting tells of what is no JSON."""
    try:
        members = msgspec.json.decode(value, type=dict[str, object])
    except msgspec.DecodeError:
        return None
    for name, choices in flag.members:
        member = members.get(name)
        if member is None and name == "kv_role" and members.get("kv_connector"):
            return f"has a kv_connector and no kv_role, which is one of {', '.join(choices)}"
        if isinstance(member, str) and member not in choices:
            return f"has {name} {member}; it takes {', '.join(choices)}"
    misspelt = find_misspelt_connector(members)
    return f"has kv_connector {misspelt[0]}, which is a misspelt {misspelt[1]}" if misspelt else None
