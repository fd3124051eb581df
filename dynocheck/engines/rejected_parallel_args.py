"""Parallel arguments that the parser rejects; engine.flags-known, values and config-keys report them."""

import difflib
import re
from functools import lru_cache

from dynocheck.engines.command_line import FlagOccurrence, find_parsers, parse_flags
from dynocheck.engines.config_file import read_config_entries
from dynocheck.engines.detection import find_keys_file
from dynocheck.facts import Container, Launch

_SPLITTING = (
    "--tensor-parallel-size",
    "--pipeline-parallel-size",
    "--data-parallel-size",
    "--expert-parallel-size",
    "--prefill-context-parallel-size",
    "--decode-context-parallel-size",
    "--context-parallel-size",
    "--enable-expert-parallel",
    "--enable-dp-attention",
    "--nnodes",
)
_SHORT = re.compile(r"--?[a-z]{0,2}[dept]p{1,2}([-_]s\w*)?")  # --tp, --tpp, --pp-size and the like
_MIN_SIMILARITY = 0.75


def has_rejected_parallel_args(container: Container, launch: Launch) -> bool:
    """Whether the parser of the image's release, or of every one where that is unknown, rejects a flag, or a
    file's key, that sets a parallel size.

    The remaining arguments do not show the intended parallelism.
    """
    parsers = find_parsers(launch.module, container.image)
    given = [*parse_flags(launch, parsers)] if parsers else []
    file = find_keys_file(container, launch) if parsers[1:] else None
    for engine in parsers[1:]:
        entries = read_config_entries(launch.module, file, engine)
        given += [entry.flag for entry in entries if not entry.silent]
    return any(_is_rejected(each) and _sets_parallel_size(each.spelled) for each in given)


@lru_cache(1024)  # the flags of most command lines are the same
def _sets_parallel_size(flag: str) -> bool:
    spelled = flag.replace("_", "-")
    return bool(
        _SHORT.fullmatch(spelled) or difflib.get_close_matches(spelled, _SPLITTING, 1, _MIN_SIMILARITY)
    )


def _is_rejected(given: FlagOccurrence) -> bool:
    """Whether the flag is unknown or ambiguous, or its value is not a number."""
    if len(given.candidates) != 1:
        return True
    value = given.text
    number = given.candidates[0].type == "int" and given.candidates[0].kind == "value"
    return number and value is not None and "$" not in value and not re.fullmatch(r"[+-]?\d+", value)
