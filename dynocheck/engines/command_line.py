"""A command line as it is written, flag by flag, beside what its program takes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from dynocheck.data.flags import Flag, FlagTable
from dynocheck.engines.flags import is_flag
from dynocheck.facts.recipe.recipes import Launch, Word


@dataclass(frozen=True)
class FlagOccurrence:
    """A flag of a command line, `inline` after its `=`, and the words up to the next one.

    `candidates` are the options that its parser takes it for: none when it knows no such, several when the
    abbreviation is ambiguous.
    """

    word: Word
    spelled: str
    inline: str | None
    following: tuple[Word, ...]
    candidates: tuple[Flag, ...]


def parse_flags(launch: Launch, parsers: Sequence[FlagTable]) -> Iterator[FlagOccurrence]:
    """The flags of a launch.

    :param parsers: Dynamo's own and, where there is one, the engine's, which gets what that does not know.
    """
    words = launch.words
    ends = next((i for i, word in enumerate(words) if word.text == "--"), len(words))
    places = [i for i in range(ends) if (text := words[i].text) is not None and is_flag(text)]
    for place, following in pairwise([*places, ends]):
        spelled, equals, inline = (words[place].text or "").partition("=")
        yield FlagOccurrence(
            words[place],
            spelled,
            inline if equals else None,
            tuple(words[place + 1 : following]),
            tuple(_find_candidates(launch.module, spelled, parsers)),
        )


def parse_flag_values(launch: Launch) -> dict[str, str]:
    """Each flag as it is spelled with the word that it is given, empty where that is none or not known."""
    found = {}
    for each in parse_flags(launch, ()):
        first = each.following[0].text if each.following else None
        found[each.spelled] = each.inline if each.inline is not None else first or ""
    return found


def _find_candidates(module: str, spelled: str, parsers: Sequence[FlagTable]) -> list[Flag]:
    """Dynamo beside vLLM takes no abbreviations; vLLM takes underscores, `--a.b` for JSON and `-O2`."""
    if module == "dynamo.trtllm" and spelled.startswith("--trtllm."):
        return [Flag((spelled,), "unknown")]
    if module != "dynamo.vllm" or not parsers:
        return next((found for each in parsers if (found := each.find_matches(spelled))), [])
    own, *engine = parsers
    if spelled in own.by_name:
        return [own.by_name[spelled]]
    return find_engine_candidates(module, spelled, engine[0]) if engine else []


def find_engine_candidates(module: str, spelled: str, engine: FlagTable) -> list[Flag]:
    """What the parser of the engine below one of Dynamo's workers takes a flag for."""
    if module != "dynamo.vllm":
        return engine.find_matches(spelled)
    if spelled.startswith("-O"):
        return [Flag((spelled,), "unknown")]
    head, dot, _ = spelled.removesuffix("+").partition(".")
    found = engine.find_matches(head.replace("_", "-") if head.startswith("--") else head)
    return [Flag(flag.names, "unknown", keys=flag.keys) for flag in found] if dot else found
