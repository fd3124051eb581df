"""The arguments of an engine, whichever way they are given: flags, environment, a YAML file."""

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dynocheck.facts.recipe import ConfigFile, Container, Launch, Value


@dataclass(frozen=True)
class Argument:
    """A value and where it is written.

    `known` is false when only the running container could tell the value; then `value` is None. A flag
    that takes no value has the value True.
    """

    name: str
    value: Any
    file: str
    line: int
    column: int
    known: bool = True

    @property
    def integer(self) -> int | None:
        """The value as a whole number, or None when it is none."""
        if isinstance(self.value, bool):
            return None
        if isinstance(self.value, int):
            return self.value
        text = str(self.value).strip()
        return int(text) if text.removeprefix("-").isdecimal() and len(text) < 12 else None

    @property
    def on(self) -> bool:
        """Whether it switches something on."""
        return self.value is True or str(self.value).lower() in ("true", "1", "yes", "on")


class Arguments:
    """The arguments of one launch, by the engine's name for each; the winning source last."""

    def __init__(self, *sources: Mapping[str, Argument], complete: bool = True) -> None:
        self._found: dict[str, Argument] = {}
        for source in sources:
            self._found.update(source)
        self.complete = complete  # false when a word of the command line could hold more

    def get(self, *names: str) -> Argument | None:
        """The argument of the first of these names that is given."""
        return next((self._found[name] for name in names if name in self._found), None)

    def integer(self, default: int, *names: str) -> int | None:
        """The number given under one of these names, `default` when none is, None when it is not known."""
        found = self.get(*names)
        return default if found is None else found.integer

    def on(self, *names: str) -> bool:
        """Whether one of these switches is given and not negated."""
        found = self.get(*names)
        return found is not None and found.on


def flags(launch: Launch, file: str, aliases: Mapping[str, str]) -> dict[str, Argument]:
    """The flags of a command line, as argparse reads them: `--a 1`, `--a=1`, `--no-a`, the last one wins.

    :param launch: the words of the command line.
    :param file: the file that they stand in.
    :param aliases: an engine's other spellings, each with its one name here.
    """
    found: dict[str, Argument] = {}
    words = list(launch.words)
    while words:
        word = words.pop(0)
        if word.text is None or not _is_flag(word.text):
            continue
        spelled, equals, inline = word.text.partition("=")
        name = spelled.lstrip("-").replace("_", "-")
        value: Any = inline if equals else True
        known = True
        if not equals and words and not (words[0].text is not None and _is_flag(words[0].text)):
            taken = words.pop(0)
            value, known = taken.text, taken.text is not None
        if name.startswith("no-") and value is True:
            name, value = name[3:], False
        name = aliases.get(name, name)
        found[name] = Argument(name, value, file, word.line, word.column, known)
    return found


def is_complete(launch: Launch) -> bool:
    """Whether every word is known, but for those that are plainly a flag's value."""
    previous: str | None = ""
    for word in launch.words:
        if word.text is None and not (previous or "").startswith("-"):
            return False
        previous = word.text
    return True


def from_file(config: ConfigFile | None, aliases: Mapping[str, str]) -> dict[str, Argument]:
    """The top-level keys of an engine's YAML file."""
    if config is None or config.root is None:
        return {}
    return {
        (name := aliases.get(key.replace("_", "-"), key.replace("_", "-"))): _argument(name, value, config)
        for key, value in config.root.mapping.items()
    }


def _argument(name: str, value: Value, config: ConfigFile) -> Argument:
    return Argument(name, value.plain, config.file, value.line, value.column)


def from_environment(
    container: Container, file: str, names: Iterable[str], prefix: str
) -> dict[str, Argument]:
    """The variables that stand in for flags: `PREFIX_FLAG_NAME`."""
    found = {}
    for name in names:
        variable = container.variable(prefix + name.replace("-", "_").upper())
        if variable is not None:
            known = variable.value is not None
            found[name] = Argument(name, variable.value, file, variable.line, variable.column, known)
    return found


def config_file(container: Container, path: Argument | None) -> ConfigFile | None:
    """The recipe's own file behind a path in the container, or None when the recipe does not hold it."""
    if path is None or not isinstance(path.value, str):
        return None
    wanted = posixpath.normpath(path.value)
    return next((f for f in container.files if posixpath.normpath(f.path) == wanted), None)


def _is_flag(text: str) -> bool:
    return text.startswith("-") and len(text) > 1 and not text[1].isdigit() and text != "--"
