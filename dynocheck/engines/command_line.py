"""The flags of a command line and the options that its program's parser takes them for."""

import json
import re
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

from dynocheck.data.flags import Flag, FlagTable, find_program_release, flag_tables, merged_flag_tables
from dynocheck.facts import Launch, Word

VLLM = ("dynamo.vllm", "vllm serve")
"""The programs that parse as vLLM does."""
_TRTLLM = "trtllm-serve"
_TAKE_MODEL = (  # as a word without a flag
    "vllm serve",
    *(_TRTLLM, f"{_TRTLLM} serve", f"{_TRTLLM} embeddings", f"{_TRTLLM} mm_embedding_serve"),
)
SGLANG = ("dynamo.sglang", "sglang serve")
LLAMACPP = "llama-server"
"""It takes no value behind a `=` (common_params_parse_ex in common/arg.cpp of each release)."""
_MODEL = re.compile(r"[^\s-]\S*/\S+")  # the id of a model, or a path
_NEGATIVE = re.compile(r"-\d+|-\d*\.\d+")
_SWITCH_VALUES = ("true", "false", "yes", "no", "on", "off", "1", "0")  # what a switch is given by mistake
_SWITCH = re.compile(r"--(no|enable|disable|trust|enforce|skip)-.+|--headless")  # usual names of switches


@dataclass(frozen=True)
class FlagOccurrence:
    """A flag as written: `inline` is the text after its `=`, `following` the words up to the next flag.

    `candidates` are the options that the parser takes it for: none if the flag is unknown, several if the
    abbreviation is ambiguous.
    """

    word: Word
    spelled: str
    inline: str | None
    following: tuple[Word, ...]
    candidates: tuple[Flag, ...]

    @cached_property
    def value(self) -> Any:
        """The flag's text, True if it has none, None if only the running container knows it."""
        if self.inline is not None:
            return self.inline
        if self.glued is not None:
            return self.glued
        first = self.following[0] if self.following else None
        if first is None or (first.text is None and not self._takes_value):
            return True
        return first.text

    @property
    def text(self) -> str | None:
        """The flag's value as text; None if it has none or the value is unknown."""
        return self.value if isinstance(self.value, str) else None

    @property
    def json(self) -> Any:
        """The flag's value as JSON, with `--a.b 1` as a mapping; None if it is not JSON."""
        _, *path = self.spelled.removesuffix("+").split(".")
        try:
            data = json.loads(self.text or "")
        except (ValueError, RecursionError):
            data = self.text if path else None
        for key in reversed(path):
            data = {key: data}
        return data

    @cached_property
    def negated(self) -> bool:
        """Whether it is the `--no-` form of a switch."""
        spelled = self.spelled.replace("_", "-")
        own = (name for flag in self.candidates for name in flag.names)
        return (
            self.value is True
            and spelled.startswith("--no-")
            and not any(name.startswith(spelled) for name in own)
        )

    @property
    def glued(self) -> str | None:
        """The value that follows a short flag in the same word, `2` of `-n2`; None if none does."""
        short = self.spelled[:2]
        own = any(short in flag.names and self.spelled not in flag.names for flag in self.candidates)
        return self.spelled[2:] if short != "--" and own else None

    @property
    def surplus(self) -> Word | None:
        """The last of the words up to the next flag, if the flag takes one fewer."""
        kinds = {flag.kind for flag in self.candidates}
        takes = 0 if self.inline is not None or kinds <= {"switch", "negatable"} else 1
        fits = bool(kinds) and kinds <= {"switch", "negatable", "value"}
        return self.following[-1] if fits and len(self.following) == takes + 1 else None

    @property
    def _takes_value(self) -> bool:
        kinds = {flag.kind for flag in self.candidates} or {"unknown"}
        if "unknown" in kinds:
            return not _SWITCH.fullmatch(self.spelled)
        return not kinds <= {"switch", "negatable"}


def is_flag(text: str) -> bool:
    """Whether argparse takes a word for an option rather than a value."""
    head = text.partition("=")[0]
    return text.startswith("-") and len(text) > 1 and " " not in head and not _NEGATIVE.fullmatch(text)


def find_parsers(module: str, image: str | None) -> tuple[FlagTable, ...]:
    """The options of a program in the image's release; if that is unknown, those of every known release.

    A server without Dynamo has one table.

    :return: Dynamo's own options, then those of the engine below it, if it has any.
    """
    release = find_program_release(module, image or "").exact
    return flag_tables(module, release) if release else merged_flag_tables(module)


@lru_cache(16_384)  # many checks ask for the flags of the same launch
def parse_flags(launch: Launch, parsers: tuple[FlagTable, ...]) -> tuple[FlagOccurrence, ...]:
    """The flags of a launch, in order, up to a word `--`.

    :param parsers: Dynamo's own options, then those of the engine, which gets what Dynamo does not know.
    """
    module = ".".join(launch.module.split(".")[:2])
    words = launch.words
    ends = next((i for i, word in enumerate(words) if word.text == "--"), len(words))
    places = [i for i in range(ends) if (text := words[i].text) is not None and is_flag(text)]
    found = []
    takes_word = module in _TAKE_MODEL and not (ends and places[:1] != [0])
    for place, following in pairwise([*places, ends]):
        spelled, equals, inline = (words[place].text or "").partition("=")
        given, after = inline if equals else None, words[place + 1 : following]
        joined = bool(equals) and module == LLAMACPP
        candidates = () if joined else tuple(_find_candidates(module, spelled, parsers))
        found.append(FlagOccurrence(words[place], spelled, given, after, candidates))
    model = _find_model_behind(found) if takes_word else None
    return tuple(replace(f, following=f.following[:-1]) if f is model else f for f in found)


def _find_model_behind(flags: list[FlagOccurrence]) -> FlagOccurrence | None:
    """The flag with the model behind it: a surplus word that looks like one, else the only surplus word."""
    surplus = [flag for flag in flags if flag.surplus is not None]
    likely = [flag for flag in surplus if flag.surplus and _MODEL.fullmatch(flag.surplus.text or "")]
    if likely or len(surplus) > 1 or any(flag.spelled == "--model" for flag in flags):
        return next(iter(likely), None)
    return next(
        (f for f in surplus if f.surplus and (f.surplus.text or "").lower() not in _SWITCH_VALUES), None
    )


def find_model_word(launch: Launch, parsers: tuple[FlagTable, ...]) -> Word | None:
    """The word of a command line that names the model without a flag; None without one."""
    if launch.module not in _TAKE_MODEL or not launch.words:
        return None
    first = launch.words[0]
    if first.text is not None and not is_flag(first.text):
        return first
    flags = parse_flags.__wrapped__(launch, parsers)  # of these very words: an equal launch has others
    taken = {id(word) for flag in flags for word in flag.following}
    alone = (w for w in launch.words if w.text is not None and not is_flag(w.text) and id(w) not in taken)
    return next(alone, None)


def parse_flag_values(launch: Launch) -> dict[str, str]:
    """The value of each flag by its spelling; empty if the flag has none or the value is unknown."""
    return {flag.spelled: flag.text or "" for flag in parse_flags(launch, ())}


def _find_candidates(module: str, spelled: str, parsers: tuple[FlagTable, ...]) -> list[Flag]:
    """Dynamo's own options beside vLLM take no abbreviations; TensorRT-LLM's take `--trtllm.KEY`.

    llama.cpp takes none either, and underscores for hyphens (common_params_parse_ex in common/arg.cpp), nor
    does click, by which trtllm-serve parses.
    """
    if module == LLAMACPP and parsers:
        name = spelled.replace("_", "-") if spelled.startswith("--") else spelled
        return [parsers[0].by_name[name]] if name in parsers[0].by_name else []
    if module.startswith(_TRTLLM) and parsers:
        return (
            parsers[0].find_matches(spelled) if spelled in parsers[0].by_name or spelled[:2] != "--" else []
        )
    if module == "dynamo.trtllm" and spelled.startswith("--trtllm."):
        return [Flag((spelled,), "unknown")]
    if module == "vllm serve" and parsers:
        return find_engine_candidates(module, spelled, parsers[0])
    if module != "dynamo.vllm" or not parsers:
        return next((matches for table in parsers if (matches := table.find_matches(spelled))), [])
    own, *engine = parsers
    if spelled in own.by_name:
        return [own.by_name[spelled]]
    return find_engine_candidates(module, spelled, engine[0]) if engine else []


def find_engine_candidates(module: str, spelled: str, engine: FlagTable) -> list[Flag]:
    """The engine's options that a flag may stand for; vLLM takes underscores, `--a.b` for JSON and `-O2`."""
    if module not in VLLM:
        return engine.find_matches(spelled)
    if spelled.startswith("-O"):
        return [Flag((spelled,), "unknown")]
    head, dot, _ = spelled.removesuffix("+").partition(".")
    matches = engine.find_matches(head.replace("_", "-") if head.startswith("--") else head)
    return [Flag(flag.names, "unknown", keys=flag.keys) for flag in matches] if dot else matches
