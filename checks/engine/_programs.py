"""The programs of a recipe whose flags are known, with their command lines and parsers."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dynocheck import Location, Skip
from dynocheck.data.flags import FlagTable, dynamo_release, flag_tables
from dynocheck.engines.command_line import FlagOccurrence, parse_flags
from dynocheck.engines.config_file import ConfigEntry, read_config_entries
from dynocheck.engines.detection import find_keys_file
from dynocheck.facts import Component, Container, Graph, Launch, Recipes, Ruling, Rulings

_MIN_SIMILARITY = 0.75  # of difflib: one slip in a word of usual length


@dataclass(frozen=True)
class Program:
    """A program that a component starts, with the options of its image's release.

    `parsers` are Dynamo's own options and those of the engine below it, if any. `ruling` is what the
    engine's own parser says, which overrides the table of options.
    """

    graph: Graph
    component: Component
    container: Container
    launch: Launch
    parsers: tuple[FlagTable, ...]
    ruling: Ruling | None = None

    @property
    def forwards_unknown_flags(self) -> bool:
        """Whether it is a frontend that passes unknown flags to an engine's chat processor."""
        chosen = any((word.text or "").startswith("--dyn-chat") for word in self.launch.words)
        chat = self.container.find_variable("DYN_CHAT_PROCESSOR") is not None
        return self.launch.module == "dynamo.frontend" and (chosen or chat)

    @property
    def title(self) -> str:
        return " and ".join(parser.title for parser in self.parsers)

    @property
    def engine(self) -> FlagTable | None:
        """The options of the engine itself; None if it has none of its own or they are unknown."""
        return self.parsers[1] if len(self.parsers) > 1 else None

    @property
    def flags(self) -> Iterator[FlagOccurrence]:
        """Its flags, without those that the engine's own parser checked."""
        own = self.parsers[0].by_name
        flags = parse_flags(self.launch, self.parsers)
        return (flag for flag in flags if self.ruling is None or flag.spelled in own)

    @property
    def entries(self) -> Iterator[ConfigEntry]:
        """The keys of its engine's file, if the recipe contains it."""
        if self.engine is None:
            return iter(())
        config = find_keys_file(self.container, self.launch)
        return read_config_entries(self.launch.module, config, self.engine)

    def locate(self, flag: FlagOccurrence, file: str = "") -> Location:
        return Location(file or self.graph.file, flag.word.line, flag.word.column)


def find_programs(recipes: Recipes, rulings: Rulings | None) -> Iterator[Program]:
    """Every program with known flags.

    :raises Skip: there is none.
    """
    judged, others = False, set()
    ruled = {(ruling.file, ruling.line, ruling.column): ruling for ruling in rulings or ()}
    for recipe in recipes:
        for graph in recipe.graphs:
            for component in graph.components:
                for container in component.containers:
                    release = dynamo_release(container.image or "")
                    for launch in container.launches:
                        parsers = flag_tables(launch.module, release) if release else ()
                        if parsers:
                            judged = True
                            ruling = ruled.get((graph.file, launch.line, launch.column))
                            yield Program(graph, component, container, launch, parsers, ruling)
                        else:
                            others.add(f"{launch.module} in {container.image or 'no image'}")
    if not judged:
        raise Skip(f"Flags not checked: no flag list for {min(others)}" if others else "no Dynamo program")


def describe_releases(releases: Sequence[str]) -> str:
    """The end of a message: the releases that have the option, if there are several."""
    return f"; {releases[0]} to {releases[-1]} have it" if len(releases) > 1 else ""


def suggest_name(spelled: str, likely: str, known: Iterable[str]) -> str:
    """The fix for an unknown name.

    :param likely: the name in the spelling of the known ones.
    """
    close = difflib.get_close_matches(likely, list(known), n=1, cutoff=_MIN_SIMILARITY)
    return f"write {close[0]}" if close else f"remove {spelled}, or use an image whose release has it"
