"""The programs of a recipe whose flags are known, with their command lines and parsers."""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from dynocheck import Finding, Location, Result, Skip, fail, judged, unjudged, warn
from dynocheck.core.fixes import remove, replace_words
from dynocheck.core.outcomes import Outcome, Unjudged
from dynocheck.data import parse_version
from dynocheck.data.flags import (
    Flag,
    FlagTable,
    ImageRelease,
    describe_span,
    find_flag_releases,
    find_program_release,
    flag_tables,
    is_former_flag,
    list_releases,
)
from dynocheck.data.servers import PROGRAMS
from dynocheck.engines.command_line import FlagOccurrence, parse_flags
from dynocheck.engines.config_file import ConfigEntry, read_config_entries
from dynocheck.engines.detection import find_keys_file
from dynocheck.facts import Component, Container, EnvVar, Graph, Launch, Recipes, Ruling, Rulings

HARD_BLANK = re.compile("[\u00a0\u2000-\u200b\u202f\u3000\ufeff]")  # what a shell takes for a letter
_MIN_SIMILARITY = 0.75  # of difflib: one slip in a word of usual length


class Program(msgspec.Struct, frozen=True, eq=False):
    """A program that a component starts, with the options of one release.

    `release` is from the image's tag; if it is not exact, the options are of one of the releases that it may
    be. `parsers` are Dynamo's own options and those of the engine below it, if any; empty if unknown.
    `ruling` is the result of the engine's own parser, which overrides the table of options.
    """

    graph: Graph
    component: Component
    container: Container
    launch: Launch
    release: ImageRelease
    parsers: tuple[FlagTable, ...]
    ruling: Ruling | None = None

    def forwards(self, flag: str) -> bool:
        """Whether it is a frontend that passes this flag to the engine that processes its chats."""
        if self.launch.module != "dynamo.frontend":
            return False
        processor = self._find_chat_processor()
        if processor in ("sglang", "vllm"):
            return bool(find_flag_releases(f"dynamo.{processor}", flag))
        return processor != "dynamo"

    def _find_chat_processor(self) -> str | None:
        """The chat processor of a frontend, None if unknown. Dynamo's is the default and takes no flags."""
        words = [word.text or "" for word in self.launch.words]
        given = [i for i, word in enumerate(words) if word.startswith("--dyn-chat")]
        if not given:
            variable = self.container.find_variable("DYN_CHAT_PROCESSOR")
            return variable.value if variable is not None else "dynamo"
        _, joined, value = words[given[-1]].partition("=")
        return value if joined else "".join(words[given[-1] + 1 :][:1])

    @property
    def title(self) -> str:
        """The release whose options apply."""
        exact = " and ".join(parser.title for parser in self.parsers)
        return exact if self.release.exact else f"every release from {self.span}"

    @property
    def span(self) -> str:
        """The releases whose options are known."""
        return describe_span(self.launch.module)

    @property
    def engine(self) -> FlagTable | None:
        """The options of the engine itself; None if it has none of its own or they are unknown."""
        if self.launch.module in PROGRAMS:
            return next(iter(self.parsers), None)
        return self.parsers[1] if len(self.parsers) > 1 else None

    @property
    def flags(self) -> Iterator[FlagOccurrence]:
        """Its flags, without those that the engine's own parser checked."""
        own = self.parsers[0].by_name if self.launch.module not in PROGRAMS else ()
        flags = parse_flags(self.launch, self.parsers)
        return (flag for flag in flags if self.ruling is None or flag.spelled in own)

    @property
    def variables(self) -> Iterator[tuple[EnvVar, Flag]]:
        """The variables of its environment that it or its engine takes apart, each with what it takes."""
        by_name = self.container.index_variables(self.launch)
        for name, variable in by_name.items():
            known = [parser.variables[name] for parser in self.parsers if name in parser.variables]
            if known:
                yield variable, known[0]

    @property
    def dropped_variables(self) -> Iterator[tuple[EnvVar, FlagTable]]:
        """The variables of its environment that only earlier releases read, each with this one's table."""
        by_name = self.container.index_variables(self.launch)
        yield from (
            (by_name[name], parser) for parser in self.parsers for name in by_name if name in parser.dropped
        )

    @property
    def entries(self) -> Iterator[ConfigEntry]:
        """The keys of its engine's file, if the recipe contains it."""
        if self.engine is None:
            return iter(())
        config = find_keys_file(self.container, self.launch)
        return read_config_entries(self.launch.module, config, self.engine)

    def locate(self, flag: FlagOccurrence, file: str = "") -> Location:
        return Location(file or self.graph.file, flag.word.line, flag.word.column)

    def locate_value(self, flag: FlagOccurrence, part: str, file: str = "") -> Location:
        """Where a part of a flag's value is written: in a ConfigMap that a variable is from, or here."""
        for variable in self.container.env:
            text = variable.value or ""
            if variable.origin is not None and part in text and text in (flag.text or flag.inline or ""):
                above = text.partition(part)[0].count("\n")
                path, line = variable.origin
                return Location(path, line + above + ("\n" in text), 1)
        return self.locate(flag, file)

    def as_of(self, release: str) -> "Program":
        """The same program with the options of this release."""
        return msgspec.structs.replace(self, parsers=flag_tables(self.launch.module, release))

    def describe_lack(self, title: str, what: str) -> str:
        """A message that this release, or every known one, does not have an option."""
        verb = "have" if " and " in title else "has"
        return (
            f"{title} {verb} no {what}" if self.release.exact else f"no release from {self.span} has {what}"
        )

    def report(
        self, message: str, evidence: Mapping[str, Any], *, harmless: bool = False, **more: Any
    ) -> Finding:
        """A failure; a warning if it is harmless, or the image may have an unknown release."""
        sure = not harmless and (self.release.exact or self.release.near)
        image = {"image": self.container.image, "near": self.release.near} if not self.release.exact else {}
        details = {key: value for key, value in image.items() if value is not None}
        return (fail if sure else warn)(
            f"{self.component.name}: {message}", evidence={**evidence, **details}, **more
        )


def tells_of_word(cause: Finding, effect: Finding) -> bool:
    """A relation: the cause is about a word that the effect finds behind a flag."""
    return cause.evidence.get("word") in (effect.evidence.get("words") or ())


@dataclass(frozen=True)
class Problem:
    """A problem of a flag or key, identified by its place and name: messages differ between releases.

    `report` makes the finding. `growing`: a build that is no known release may not have the problem.
    """

    place: Location
    name: str
    report: Callable[[], Finding]
    growing: bool = False


Judge = Callable[[Program], Iterable[Problem]]


def judge_programs(programs: Iterable[Program], judge: Judge) -> Iterator[Result]:
    """The problems of command lines, and the number of those that could be judged.

    With an unknown release, a command line is judged by all known ones: problems in all of them are reported;
    if the releases that the image may have differ, or older ones had a flag, it is not judged. What several
    programs share, such as a file or a variable of the graph, is reported once, as the worst that it is to
    one of them.
    """
    found: dict[Location | None, Finding] = {}
    for result in _judge_each(programs, judge):
        if not isinstance(result, Finding):
            yield result
        elif result.location not in found or found[result.location].outcome is not Outcome.FAIL:
            found[result.location] = result
    yield from found.values()


def _judge_each(programs: Iterable[Program], judge: Judge) -> Iterator[Result]:
    for program in programs:
        if not program.parsers:
            yield _describe_unlisted(program)
        elif program.release.exact:
            yield from (problem.report() for problem in judge(program))
            yield judged(1, "command lines")
        else:
            yield from _judge_in_every_release(program, judge)


def _judge_in_every_release(program: Program, judge: Judge) -> Iterator[Result]:
    possible = program.release.possible

    def find_problems(release: str) -> dict[tuple[Location, str], Problem]:
        return {(problem.place, problem.name): problem for problem in judge(program.as_of(release))}

    found = {release: find_problems(release) for release in possible}
    doubted = {problem for problems in found.values() for problem in problems}
    if doubted:
        known = list_releases(program.launch.module)
        others = (r for r in known if r not in found and not _is_far_ahead(r, program.release.near))
        everywhere = doubted.intersection(*found.values(), *map(find_problems, others))
        everywhere = {key for key in everywhere if not found[possible[-1]][key].growing}
        if not program.release.near:
            everywhere = {key for key in everywhere if not is_former_flag(program.launch.module, key[1])}
        yield from (problem.report() for key, problem in found[possible[-1]].items() if key in everywhere)
        doubted -= everywhere
    if doubted or not possible or program.release.newer:
        yield _describe_doubt(program, sorted({name for _, name in doubted}))
    else:
        yield judged(1, "command lines")


def _is_far_ahead(release: str, near: str | None) -> bool:
    """Whether a release is over two minors ahead of the one that a build is near, so that it is not in it."""
    if near is None or "." not in near:  # of builds that have no minors
        return False
    (major, minor), (near_major, near_minor) = parse_version(release), parse_version(near)
    return major > near_major or minor > near_minor + 2


def _describe_doubt(program: Program, names: list[str]) -> Unjudged:
    release = program.release
    if release.newer:
        newest = list_releases(program.launch.module)[-1]
        why = f"the image's release is newer than {newest}, the newest whose flags are known"
    elif release.possible:
        around = f" around {release.near}" if release.near else ""
        why = f"the image's release is unknown, and releases{around} differ"
    else:
        why = f"the image's release is not among those whose flags are known, {program.span}"
    return unjudged(
        f"{program.component.name}: {', '.join(names) or program.launch.module} in {program.container.image}",
        why=why,
        needs=f"an image whose tag is a release from {program.span}",
        location=Location(program.graph.file, program.launch.line, program.launch.column),
    )


def _describe_unlisted(program: Program) -> Unjudged:
    return unjudged(
        f"{program.component.name}: {program.launch.module}",
        why="no list of its flags",
        location=Location(program.graph.file, program.launch.line, program.launch.column),
    )


def list_programs(recipes: Recipes, rulings: Rulings | None) -> list[Program]:
    """Every program of Dynamo that a graph starts, and every engine without Dynamo.

    :raises Skip: there is none.
    """
    programs = list(_find_programs(recipes, rulings))
    if not programs:
        raise Skip("no program of Dynamo or of an engine")
    return programs


def _find_programs(recipes: Recipes, rulings: Rulings | None) -> Iterator[Program]:
    ruled = {(ruling.file, ruling.line, ruling.column): ruling for ruling in rulings or ()}
    for recipe in recipes:
        for graph in recipe.deployments:
            for component in graph.components:
                for container in component.containers:
                    for launch in container.launches:
                        release = find_program_release(
                            launch.module, container.image or "", container.runtime
                        )
                        known = list_releases(launch.module)
                        parsers = flag_tables(launch.module, release.exact or known[-1]) if known else ()
                        ruling = ruled.get((graph.file, launch.line, launch.column))
                        yield Program(graph, component, container, launch, release, parsers, ruling)


def describe_releases(releases: Sequence[str]) -> str:
    """The end of a message: the releases that have the option, if there are several."""
    return f"; {releases[0]} to {releases[-1]} have it" if len(releases) > 1 else ""


@lru_cache
def _find_close(name: str, known: tuple[str, ...]) -> str | None:
    """The known name that is most like this one, if one is; their dashes do not count."""
    bare = {each.lstrip("-"): each for each in known}
    close = difflib.get_close_matches(name.lstrip("-"), bare, n=1, cutoff=_MIN_SIMILARITY)
    return bare[close[0]] if close else None


def suggest_name(spelled: str, likely: str, known: Iterable[str]) -> str:
    """The fix for an unknown name.

    :param likely: the name in the spelling of the known ones.
    """
    close = _find_close(likely, tuple(known))
    if close:
        return replace_words(spelled, close)
    return remove(spelled, "or use an image whose release has it")
