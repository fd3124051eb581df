"""Which flags the programs of each release take."""

import re
from bisect import bisect
from collections.abc import Mapping
from functools import cache, lru_cache
from itertools import groupby

import msgspec

from dynocheck.data import images, parse_version, read_table
from dynocheck.data.servers import PROGRAMS, read_server_release

_TAG = re.compile(r"(\d+\.\d+\.\d+)(\.post\d+)?(-(cuda13|efa|amd64|enterprise))*")
_NUMBER = re.compile(r"v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?!\d)")
_TGI = "text-generation-launcher"
_TGI_RELEASE = "https://github.com/huggingface/text-generation-inference/releases/tag/v{}"
_LLAMA = "llama-server"
_TRTLLM = "trtllm-serve"
_OF_DYNAMO = {"DYN_SYSTEM_ENABLED": "0.6"}  # variables that Dynamo's runtime dropped, with the last release
_TRTLLM_PAGE = "https://nvidia.github.io/TensorRT-LLM/{}/commands/{}trtllm-serve.html"
_LLAMA_BUILD = "https://github.com/ggml-org/llama.cpp/blob/{}/common/arg.cpp"
_ENGINES = {"vLLM": "vllm", "SGLang": "sglang"}


class Flag(msgspec.Struct, frozen=True, rename={"releases": "in"}):
    """An option with all its spellings.

    `kind` is value, optional (a value or none), many (several), switch (none), negatable (none, and `--no-`
    before it), or unknown. A value is one of `choices`, where there are any, or a number of the `type` int,
    float, units (a whole number, or one such as 32k as vLLM reads it) or multiples (the same as SGLang reads
    it) within the bounds, or JSON with the `keys` of the
    mapping of this name, of which the `members` have one of these values. `old` is its former name, if it
    still takes that; `dropped` the release that is to have it no more, and `instead` the option to use.
    `growing`: builds that are no release may take further values.
    `releases` are the places of those that have it so, None for all.
    """

    names: tuple[str, ...]
    kind: str = "value"
    type: str = ""
    choices: tuple[str, ...] = ()
    keys: str = ""
    members: tuple[tuple[str, tuple[str, ...]], ...] = ()
    old: str = ""
    dropped: str = ""
    instead: str = ""
    growing: bool = False
    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None
    releases: tuple[int, ...] | None = None


class _Limit(msgspec.Struct, frozen=True):
    """What programs demand of a flag's value that their parsers do not state."""

    programs: tuple[str, ...]
    flags: tuple[str, ...]
    source: str
    type: str = ""
    choices: tuple[str, ...] = ()
    members: tuple[tuple[str, tuple[str, ...]], ...] = ()
    gt: float | None = None
    ge: float | None = None
    le: float | None = None

    def apply(self, flag: Flag) -> Flag:
        """The flag with these limits, where its parser states none."""
        if flag.choices or not (flag.gt is flag.ge is flag.lt is flag.le is None):
            return flag
        return msgspec.structs.replace(
            flag,
            type=flag.type or self.type,
            choices=self.choices,
            members=self.members,
            gt=self.gt,
            ge=self.ge,
            le=self.le,
        )


class _Mapping(msgspec.Struct, frozen=True, rename={"releases": "in"}):
    """The keys that a mapping has and no others, each with the mapping that its value is, or nothing."""

    name: str
    keys: dict[str, str]
    releases: tuple[int, ...] | None = None


class _Variables(msgspec.Struct, frozen=True):
    """What releases of an engine do with variables that they do not convert.

    `dropped` are by name the last release that reads it and the next one that is known. `variables` are those
    that are held to choices.
    """

    releases: tuple[str, ...]
    dropped: dict[str, tuple[str, str]]
    variables: tuple[Flag, ...]


class _Program(msgspec.Struct, frozen=True):
    releases: tuple[str, ...]
    flags: tuple[Flag, ...]
    mappings: tuple[_Mapping, ...]
    variables: tuple[Flag, ...]


class _Table(msgspec.Struct, frozen=True):
    """The engines of each release, and the programs.

    A release whose own package is not published has the `nearest` version of Dynamo's programs that is.
    `former` are by program the flags of older releases that the last one does not take.
    """

    former: dict[str, frozenset[str]]
    engines: dict[str, dict[str, str]]
    nearest: dict[str, str]
    programs: dict[str, _Program]


class FlagTable(msgspec.Struct, frozen=True, eq=False):
    """The options of one release of a program by every spelling; `source` is the package that names them.

    `mappings` are those that it makes of JSON: by name the keys that each has, and no others, with the name
    of the mapping that the value of a key is, empty where that is anything. `variables` are those of the
    environment whose values it takes apart, by name; `dropped` are those that it no longer reads, by name,
    with the last release that did.
    """

    title: str
    source: str
    by_name: Mapping[str, Flag]
    mappings: Mapping[str, Mapping[str, str]]
    variables: Mapping[str, Flag]
    dropped: Mapping[str, str] = {}

    def find_matches(self, spelled: str) -> list[Flag]:
        """What argparse takes this for: the option of that name, or every one that it abbreviates."""
        if spelled in self.by_name:
            return [self.by_name[spelled]]
        if not spelled.startswith("--"):
            short = self.by_name.get(spelled[:2])
            return [short] if short is not None and len(spelled) > 2 else []
        return list(_find_longer(self, spelled))


@lru_cache(1 << 14)  # most flags are asked of several tables, for each worker that has them
def _find_longer(table: FlagTable, prefix: str) -> tuple[Flag, ...]:
    longer = (flag for name, flag in table.by_name.items() if name.startswith(prefix))
    return tuple(dict.fromkeys(longer))


class ImageRelease(msgspec.Struct, frozen=True):
    """The release of Dynamo in an image, as far as its tag tells.

    `exact` is None for a tag that is no known release; `near` is then the one whose number a development or
    own tag begins with, as `1.4.0-kimi-k3-dev.1` is near 1.4.0. `possible` are the releases that it may be
    like: those around `near`, else one of each minor; none for a release that is older than all that are
    known. `newer`: its number is above all that are known.
    """

    exact: str | None
    near: str | None
    possible: tuple[str, ...]
    newer: bool = False


@lru_cache(1024)
def find_release(image: str, runtime: str = "") -> ImageRelease:
    """What the tag of an image tells of its release; only the tags of Dynamo's own images tell anything.

    :param runtime: the release that `runtimeVersionOverride` claims: an image that names none is near it.
    """
    reference = images.parse_image(image)
    row = images.find_image(reference)
    tag = _TAG.fullmatch(reference.tag) if reference.dynamo_name else None
    release = row.release if row is not None else tag[1] if tag else ""
    if release in _table().engines:
        return ImageRelease(release, None, (release,))
    number = _NUMBER.match(runtime) or (_NUMBER.match(reference.tag) if reference.dynamo_name else None)
    return _find_near(number[0].removeprefix("v")) if number else ImageRelease(None, None, list_minors())


def _find_near(number: str) -> ImageRelease:
    """What holds for an image that has the number of a release, and is none."""
    minors = {parse_version(release): release for release in list_minors()}
    major, minor = parse_version(number)
    if (major, minor) not in minors:
        newer = (major, minor) > max(minors)
        return ImageRelease(None, None, list_minors() if newer else (), newer)
    near = number if number in _table().engines else minors[major, minor]
    before = minors.get((major, minor - 1))
    return ImageRelease(None, near, (before, near) if before else (near,))


def find_similar_images(image: str) -> tuple[images.DynamoImage, ...]:
    """The rows that an image of Dynamo may be like: its own, else those of the releases that it may hold."""
    reference = images.parse_image(image)
    row = images.find_image(reference)
    if row is not None:
        return (row,)
    minors = {parse_version(release) for release in find_release(image).possible}
    rows = (row for row in images.engine_images() if row.describes(reference))
    return tuple(row for row in rows if parse_version(row.release) in minors)


@lru_cache(1024)
def find_program_release(module: str, image: str, runtime: str = "") -> ImageRelease:
    """The release of a program in an image: that of Dynamo, or of an engine's own server.

    A post release is near the release that it is of.
    """
    if module not in PROGRAMS:
        return find_release(image, runtime)
    known = list_releases(module)
    release, post = read_server_release(image, module)
    if release + post in known:
        return ImageRelease(release + post, None, (release + post,))
    if release in known:
        return ImageRelease(None, release, tuple(known[known.index(release) :][:2]))
    if release and module.startswith((_LLAMA, _TRTLLM)):
        return _find_between(module, release)
    newer = bool(release and known) and _parse_release(release) > _parse_release(known[-1])
    return ImageRelease(None, None, () if release else _list_server_minors(module), newer)


def _find_between(module: str, release: str) -> ImageRelease:
    """What holds for a build or a candidate between two that are known: it is like one of them."""
    known = list_releases(module)
    at = bisect(known, _parse_release(release), key=_parse_release)
    if at == len(known):
        return ImageRelease(None, None, (), newer=True)
    return ImageRelease(None, known[at - 1], known[at - 1 : at + 1]) if at else ImageRelease(None, None, ())


def _parse_release(release: str) -> tuple[list[int], float]:
    """The numbers of a release, and that of its candidate, which is before the release itself."""
    numbers, _, candidate = release.partition("rc")
    return [int(number) for number in re.findall(r"\d+", numbers)], float(candidate or "inf")


def list_releases(module: str) -> tuple[str, ...]:
    """The releases of a program whose options are known, oldest first: of Dynamo, one of each minor."""
    if module not in PROGRAMS:
        return list_minors()
    known = _table().programs.get(module)
    return known.releases if known is not None else ()


@cache
def _list_server_minors(module: str) -> tuple[str, ...]:
    """The last known release of each minor of an engine's own server, oldest first."""
    if module == _LLAMA:
        return list_releases(module)
    return tuple([*group][-1] for _, group in groupby(list_releases(module), parse_version))


def dynamo_release(image: str) -> str | None:
    """The release of Dynamo in one of its images, or None when the tag does not tell."""
    return find_release(image).exact


@cache
def list_minors() -> tuple[str, ...]:
    """The last known release of each minor, oldest first."""
    return tuple([*group][-1] for _, group in groupby(_table().engines, parse_version))


def list_known_releases() -> tuple[str, ...]:
    """The releases of Dynamo that are known, oldest first."""
    return tuple(_table().engines)


def list_variables() -> frozenset[str]:
    """The variables that the programs of any known release take apart."""
    return frozenset(row.names[0] for program in _table().programs.values() for row in program.variables)


def describe_span(module: str = "") -> str:
    """The releases by whose options programs are judged, as in "1.0.0 to 1.6.1".

    :param module: an engine's own server; else those of Dynamo count.
    """
    if module in PROGRAMS:
        releases = list_releases(module)
        return f"{PROGRAMS[module]} {releases[0]} to {releases[-1]}" if releases else ""
    known = list_known_releases()
    return f"{known[0]} to {known[-1]}"


def engine_versions(release: str) -> Mapping[str, str]:
    """The versions of the engines that a release of Dynamo is made with, by their package."""
    return _table().engines[release]


@cache
def flag_tables(module: str, release: str) -> tuple[FlagTable, ...]:
    """The options of a program of this Dynamo release, and after them those of the engine below it.

    Those of Dynamo's own are of the nearest version that is known, whose title they have.

    :param module: such as `dynamo.vllm`; nothing is known of others than Dynamo's own programs.
    """
    if module in PROGRAMS:
        return tuple(each for each in [_flag_table(module, release)] if each is not None)
    engine = module.removeprefix("dynamo.")
    below = _table().engines[release].get(engine)
    own = _table().nearest.get(release, release)
    found = [_flag_table(module, own), _flag_table(engine, below) if below else None]
    return tuple(each for each in found if each is not None)


@cache
def merged_flag_tables(module: str) -> tuple[FlagTable, ...]:
    """The same with the options of every known release together, for a release that is not known."""
    names = dict.fromkeys((module, module.removeprefix("dynamo.")))
    programs = (name for name in names if name in _table().programs)
    return tuple(_merge_releases(program) for program in programs)


def _merge_releases(program: str) -> FlagTable:
    by_name: dict[str, Flag] = {}
    for release in _table().programs[program].releases:
        by_name |= _flags_by_name(program, release)
    return FlagTable(_program_title(program), "", by_name, {}, {})


def is_former_flag(module: str, spelled: str) -> bool:
    """Whether releases older than all that are known have this flag, and the last one does not."""
    return spelled in _table().former.get(module, ())


def find_flag_releases(module: str, spelled: str) -> list[str]:
    """The releases, oldest first, that have an option of exactly this spelling, such as `vLLM 0.19.0`."""
    programs = dict.fromkeys((module, module.removeprefix("dynamo.")))
    return [
        f"{_program_title(name)} {release}"
        for name in programs
        if name in _table().programs
        for release in _table().programs[name].releases
        if spelled in _flags_by_name(name, release)
    ]


def find_key_releases(program: str, mapping: str, key: str) -> list[str]:
    """The releases of an engine, oldest first, whose mapping of this name has this key."""
    known = _table().programs[program]
    return [
        f"{_program_title(program)} {release}"
        for release in known.releases
        if key in _mappings(program, release).get(mapping, ())
    ]


@cache
def _flag_table(program: str, release: str) -> FlagTable | None:
    known = _table().programs.get(program)
    if known is None or release not in known.releases:
        return None
    package = "ai-dynamo" if program.startswith("dynamo.") else program.partition(" ")[0]
    source = f"https://pypi.org/project/{package}/{release}/"
    source = _TGI_RELEASE.format(release) if program == _TGI else source
    source = _LLAMA_BUILD.format(release) if program == _LLAMA else source
    if program.startswith(_TRTLLM):
        source = _TRTLLM_PAGE.format(release, "" if release.startswith("0.") else f"{_TRTLLM}/")
    title = f"{_program_title(program)} {release}"
    flags, mappings = _flags_by_name(program, release), _mappings(program, release)
    dropped = _list_dropped(program, release)
    return FlagTable(title, source, flags, mappings, _variables(program, release), dropped)


@cache
def _flags_by_name(program: str, release: str) -> dict[str, Flag]:
    known = _table().programs[program]
    at = known.releases.index(release)
    found = {"--help": Flag(("--help",), "switch"), "-h": Flag(("-h",), "switch")}
    for flag in known.flags:
        if flag.releases is None or at in flag.releases:
            limits = [limit for name in flag.names if (limit := _limits().get((program, name)))]
            flag = limits[0].apply(flag) if limits else flag
            negated = [f"--no-{name[2:]}" for name in flag.names if flag.kind in ("negatable", "unknown")]
            found |= dict.fromkeys((*flag.names, *negated), flag)
    return found


@cache
def _limits() -> dict[tuple[str, str], _Limit]:
    rows = msgspec.json.decode(read_table("flag_limits.json"), type=list[_Limit])
    return {(program, name): row for row in rows for program in row.programs for name in row.flags}


@cache
def _mappings(program: str, release: str) -> dict[str, dict[str, str]]:
    known = _table().programs[program]
    at = known.releases.index(release)
    return {row.name: row.keys for row in known.mappings if row.releases is None or at in row.releases}


@cache
def _variables(program: str, release: str) -> dict[str, Flag]:
    known = _table().programs[program]
    return {
        row.names[0]: row
        for releases, variables in (
            (known.releases, known.variables),
            *((each.releases, each.variables) for each in _list_engine_variables(program)),
        )
        for row in variables
        if row.releases is None or (release in releases and releases.index(release) in row.releases)
    }


@cache
def _list_dropped(program: str, release: str) -> dict[str, str]:
    """The variables that a release does not read, but an earlier one did, with the last one that did."""
    if program.startswith("dynamo."):
        return _OF_DYNAMO
    return {
        name: last
        for known in _list_engine_variables(program)
        for name, (last, following) in known.dropped.items()
        if release in known.releases[known.releases.index(following) :]
    }


def _list_engine_variables(program: str) -> list[_Variables]:
    table = _engine_variables()
    engine = program.removesuffix(" serve")
    return [table[engine]] if engine in table else []


@cache
def _engine_variables() -> dict[str, _Variables]:
    return msgspec.json.decode(read_table("engine_variables.json"), type=dict[str, _Variables])


def _program_title(program: str) -> str:
    titles = (title for title, name in _ENGINES.items() if name == program)
    return PROGRAMS.get(program) or next(titles, program)


@cache
def _table() -> _Table:
    table = msgspec.json.decode(read_table("flags.json"), type=_Table)
    table.programs[_LLAMA] = msgspec.json.decode(read_table("llamacpp_flags.json"), type=_Program)
    table.programs[_TGI] = msgspec.json.decode(read_table("tgi_flags.json"), type=_Program)
    table.programs.update(msgspec.json.decode(read_table("trtllm_flags.json"), type=dict[str, _Program]))
    table.programs[f"{_TRTLLM} serve"] = table.programs[_TRTLLM]  # its default command
    return table
