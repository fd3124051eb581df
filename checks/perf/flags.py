"""Checks the flags of load generators."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, unjudged, warn
from dynocheck.core.fixes import remove, replace_words, set_argument
from dynocheck.data.aiperf import AiperfFlag, find_flags, list_releases
from dynocheck.facts import Benchmark, Recipes, Word

_PINNED = re.compile(r"aiperf(?:\[[\w,-]*\])?==([\w.]+)")
_COUNTS = ("--concurrency", "--num-requests", "--request-count")  # at least 1
# Where the API of OpenAI takes requests of each kind.
_PATHS = {
    "chat": "v1/chat/completions",
    "completions": "v1/completions",
    "embeddings": "v1/embeddings",
    "responses": "v1/responses",
}
_FLAG = re.compile(r"--?[A-Za-z][\w.-]*")


class _Flag(NamedTuple):
    """A flag on the command line of AIPerf, and its value if it is known."""

    word: Word
    name: str
    value: str | None

    def normalize(self) -> str:
        """Its name as the tables have it: AIPerf does not tell - from _, and keys may follow a dot."""
        return self.name.partition(".")[0].replace("_", "-")


@check("perf.flags", title="Flags exist in the load generator's release")
def flags(recipes: Recipes) -> Iterator[Result]:
    """AIPerf exits at an unknown flag or kind of endpoint, and at a load of nothing: the benchmark fails once
    its model is loaded, and a Job runs it again and again. Requests that go to the path of another kind are
    refused, each one.

    Checked is `aiperf profile`, by the flags of the release that the benchmark installs with `==`. Without
    one, only what no known release has is reported. Flags of other load generators are not judged.

    Fix: aiperf profile --help
    """
    runs = [(benchmark, [*_list_flags(benchmark)]) for recipe in recipes for benchmark in recipe.benchmarks]
    runs = [(benchmark, given) for benchmark, given in runs if given]
    if not runs:
        raise Skip("no benchmark runs aiperf profile")
    for benchmark, given in runs:
        pinned = _find_release(benchmark)
        releases = [pinned] if pinned in list_releases() else list_releases()
        doubted = []
        for flag in given:
            problems = [_find_problem(flag, find_flags(release)) for release in releases]
            if all(problems):
                yield _report(benchmark, flag, releases, problems[-1] or "")
            elif any(problems):
                doubted.append(flag.name)
        yield from _check_paths(benchmark, given)
        if doubted:
            yield unjudged(
                f"{benchmark.name}: {', '.join(doubted)}",
                why="releases of AIPerf differ, and the benchmark pins none that is known",
                needs=f"aiperf==RELEASE, from {list_releases()[0]} to {list_releases()[-1]}",
                location=Location(benchmark.file, benchmark.line, benchmark.column),
            )
        else:
            yield judged(1, "benchmarks")


def _check_paths(benchmark: Benchmark, given: Sequence[_Flag]) -> Iterator[Finding]:
    """Reports a path that takes requests of another kind than the one that is sent: each is refused."""
    kinds = {flag.value for flag in given if flag.normalize() == "--endpoint-type"}
    path = next((flag for flag in given if flag.normalize() in ("--endpoint", "--custom-endpoint")), None)
    if path is None or len(kinds) != 1:
        return
    (kind,) = kinds
    own = _PATHS.get(kind or "")
    meant = next((each for each, at in _PATHS.items() if (path.value or "").strip("/") == at), None)
    if own is not None and meant not in (None, kind):
        yield fail(
            f"{benchmark.name}: requests of type {kind} go to {path.value}, which takes those of {meant}",
            fix=set_argument(path.name, f"/{own}", f"or --endpoint-type {meant}"),
            location=Location(benchmark.file, path.word.line, path.word.column),
        )


def _find_release(benchmark: Benchmark) -> str | None:
    """The release of AIPerf that a benchmark installs; None if it pins none."""
    texts = (word.text or "" for words in benchmark.commands for word in words)
    return next((match[1] for text in texts if (match := _PINNED.fullmatch(text))), None)


def _list_flags(benchmark: Benchmark) -> Iterator[_Flag]:
    """The flags of each `aiperf profile` of a benchmark."""
    for words in benchmark.commands:
        texts = [word.text or "" for word in words]
        starts = (i for i, text in enumerate(texts) if text.rpartition("/")[2] == "aiperf")
        start = next((i + 2 for i in starts if texts[i + 1 : i + 2] == ["profile"]), len(words))
        for word, following in zip(words[start:], [*words[start + 1 :], None], strict=False):
            name, equals, inline = (word.text or "").partition("=")
            if _FLAG.fullmatch(name):
                yield _Flag(word, name, inline if equals else following.text if following else None)


def _find_problem(flag: _Flag, known: Mapping[str, AiperfFlag]) -> str | None:
    """Why a release refuses a flag; None if it takes it."""
    row = known.get(flag.normalize())
    if row is None:
        return f"has no {flag.name}"
    value = (flag.value or "").lower().replace("-", "_")
    if flag.normalize() in _COUNTS and value and not value.strip("0"):
        return f"takes no {flag.name} {flag.value}: at least 1"
    if row.choices and value and "$" not in value and value not in row.choices:
        return f"takes no {flag.name} {flag.value}"
    return None


def _report(benchmark: Benchmark, flag: _Flag, releases: Iterable[str], problem: str) -> Finding:
    known = [*releases]
    sure = len(known) == 1
    row = find_flags(known[-1]).get(flag.normalize())
    title = f"aiperf {known[0]}" if sure else f"aiperf {known[0]} to {known[-1]}"
    return (fail if sure else warn)(
        f"{benchmark.name}: {title} {problem}",
        fix=_suggest_name(flag, find_flags(known[-1])) if row is None else _suggest_value(flag, row),
        evidence={"source": f"https://pypi.org/project/aiperf/{known[-1]}/"},
        location=Location(benchmark.file, flag.word.line, flag.word.column),
    )


def _suggest_name(flag: _Flag, known: Iterable[str]) -> str:
    close = get_close_matches(flag.normalize(), known, n=1, cutoff=0.75)
    return replace_words(flag.name, close[0]) if close else remove(flag.name, "or pin a release that has it")


def _suggest_value(flag: _Flag, row: AiperfFlag) -> str:
    if not row.choices:
        return set_argument(flag.name, 1, "or more")
    close = get_close_matches(flag.value or "", row.choices, n=1)
    others = f"one of {', '.join(row.choices)}"
    return set_argument(flag.name, close[0] if close else "VALUE", others)
