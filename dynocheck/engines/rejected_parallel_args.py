"""Arguments that end their engine before it is split: checks of flags, of values and of keys tell those."""

import difflib
import re

from dynocheck.data.flags import dynamo_release, options
from dynocheck.engines.command_line import Written, written
from dynocheck.engines.config_file import entries
from dynocheck.facts.recipe.recipes import Container, Launch

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
_LIKE = 0.75


def misread(container: Container, launch: Launch) -> bool:
    """Whether the parser of its release refuses a flag, or a key of a file, that was to say how the engine is
    split.

    What it would do without that flag says nothing of what was meant.
    """
    release = dynamo_release(container.image or "")
    parsers = options(launch.module, release) if release else ()
    given = list(written(launch, parsers)) if parsers else []
    for engine in parsers[1:]:
        given += [entry.given for entry in entries(container, launch, engine) if not entry.silent]
    return any(_refused(each) and _splits(each) for each in given)


def _splits(given: Written) -> bool:
    spelled = given.spelled.replace("_", "-")
    return bool(_SHORT.fullmatch(spelled) or difflib.get_close_matches(spelled, _SPLITTING, 1, _LIKE))


def _refused(given: Written) -> bool:
    """Whether it is unknown, could be several, or has a value that is no number."""
    if len(given.meant) != 1:
        return True
    value = given.inline if given.inline is not None else given.following[0].text if given.following else None
    number = given.meant[0].type == "int" and given.meant[0].kind == "value"
    return number and value is not None and "$" not in value and not re.fullmatch(r"[+-]?\d+", value)
