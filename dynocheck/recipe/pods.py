"""The containers of a pod: what they run, with which variables, and with which files."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from dynocheck.facts.recipe.recipes import (
    ConfigFile,
    Container,
    EnvVar,
    Launch,
    Manifest,
    Mount,
    UnreadPart,
    Value,
    Word,
)
from dynocheck.recipe import references
from dynocheck.recipe.shell import MAX_SCRIPT, Token, find_processes
from dynocheck.recipe.volumes import (
    Volume,
    list_config_map_files,
    read_items,
    read_mounts,
    read_string,
    resolve_mounted_path,
)
from dynocheck.recipe.yaml_loader import is_literal, read_embedded

NOTHING = Value(None, 1, 1)

_MODULES = ("dynamo.", "vllm.", "sglang.", "tensorrt_llm.")
_SAYING = ("echo", "printf", "cat", ":")
_SEARCH_LINES = 200
_MAX_LAUNCHES = 100  # of one container
_MAX_SCRIPTS = 256 * 1024  # characters of commands and args that are read of one file
_MAX_VALUES = 1024 * 1024  # characters of the variables of one file, once their references are replaced


class DefaultCommand(NamedTuple):
    """What a container runs where it does not say."""

    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()


_Run = tuple[tuple[Word, ...], Mapping[str, str | None]]  # a command's words, and its own variables


class PodReader:
    """Reads the pods of one file. What is too much to be read is noted in `unread`.

    :param file: its path.
    :param lines: the lines of each file of the recipe, to say where in a text something stands.
    :param config_maps: the recipe's ConfigMaps by name.
    """

    def __init__(
        self, file: str, lines: Mapping[str, Sequence[str]], config_maps: Mapping[str, Manifest]
    ) -> None:
        self._file = file
        self._lines = lines
        self._config_maps = config_maps
        self._room = _MAX_VALUES
        self._scripts = _MAX_SCRIPTS
        self._counted: set[tuple[int, int]] = set()
        self.unread: list[UnreadPart] = []
        self._followed: dict[tuple[int, int], tuple[_Run, ...]] = {}

    def read_container(
        self,
        source: Value,
        volumes: Mapping[str, Volume],
        *,
        outer: Sequence[Value] = (),
        mounts: Iterable[Mount] = (),
        name: str = "",
        defaults: DefaultCommand | None = None,
    ) -> Container:
        """One container.

        :param outer: variables set around it, which its own override.
        :param mounts: claims mounted around it.
        :param name: what it is called when it does not say.
        :param defaults: what the operator has it run. None for a container that it leaves as it is.
        """
        entries = [*outer, *read_items(source, "env")]
        env = self._build_environment(entries, source, merged=defaults is not None)
        image = source.get("image") or source
        return Container(
            name=read_string(source, "name") or name,
            image=read_string(source, "image") or None,
            env=tuple(env.values()),
            mounts=(*mounts, *(mount for mount, _ in read_mounts(source, volumes))),
            launches=tuple(self._find_launches(source, env, defaults or DefaultCommand())),
            files=tuple(self._read_config_files(source, volumes)),
            line=source.line,
            column=source.column,
            image_line=image.line,
            image_column=image.column,
        )

    def read_commands(self, source: Value, container: Container) -> tuple[tuple[Word, ...], ...]:
        """The commands that a container runs, word by word."""
        return tuple(words for words, _ in self.read_runs(source, container))

    def read_runs(self, source: Value, container: Container) -> tuple[_Run, ...]:
        """The same, each with the variables that its script gives it. A long script is followed once."""
        place = source.line, source.column
        if place not in self._followed:
            environment = {variable.name: variable.value for variable in container.env}
            self._followed[place] = tuple(self._read_processes(source, environment, DefaultCommand()))
        return self._followed[place]

    def _read_processes(
        self, source: Value, known: references.Environment, defaults: DefaultCommand
    ) -> Iterator[_Run]:
        command, args = _read_elements(source, "command"), _read_elements(source, "args")
        if not command:
            args = args or [Value(text, source.line, source.column) for text in defaults.args]
            command = [Value(text, source.line, source.column) for text in defaults.command]
        elements = [*command, *args]
        if not self._has_room(source, elements):
            return
        cursors = [(element.line, element.column) for element in elements]
        for process in find_processes([e.text for e in elements], known, is_open=self._is_open(source)):
            words = []
            for token in process.words:
                place, cursors[token.source] = self._find(
                    token, elements[token.source], cursors[token.source]
                )
                words.append(Word(token.text, *place))
            yield tuple(words), process.variables

    def _has_room(self, source: Value, elements: Sequence[Value]) -> bool:
        """Whether the commands of a container are read, which count once however often they are."""
        lengths = [len(element.text or "") for element in elements]
        if (source.line, source.column) not in self._counted:
            self._counted.add((source.line, source.column))
            self._scripts -= sum(lengths)
        if self._scripts < 0:
            self._note_unread(
                f"commands of a container: those of this file are more than {_MAX_SCRIPTS} characters", source
            )
        for element, length in zip(elements, lengths, strict=True):
            if length > MAX_SCRIPT:
                self._note_unread(f"the end of a script: it has more than {MAX_SCRIPT} characters", element)
        return self._scripts >= 0

    def _note_unread(self, what: str, place: Value | Launch) -> None:
        self.unread.append(UnreadPart(what, self._file, place.line, place.column))

    def _find_launches(
        self, source: Value, env: Mapping[str, EnvVar], defaults: DefaultCommand
    ) -> Iterator[Launch]:
        count = 0
        for words, given in self._read_processes(source, {v.name: v.value for v in env.values()}, defaults):
            launch = _parse_launch(words, given)
            if launch is not None and count == _MAX_LAUNCHES:
                self._note_unread(f"what a container starts after the first {count} programs", launch)
                return
            if launch is not None:
                count += 1
                yield launch

    def _is_open(self, source: Value) -> bool:
        """Whether variables come from a ConfigMap that the recipe does not hold."""
        names = (entry.get("configMapRef", "name") for entry in read_items(source, "envFrom"))
        return any(name is not None and (name.text or "") not in self._config_maps for name in names)

    def _build_environment(
        self, entries: Sequence[Value], container: Value, *, merged: bool
    ) -> dict[str, EnvVar]:
        """The variables of a container.

        :param merged: whether the operator merges the entries, after which they are in the order of their
            names, or of the manifest: a value that depends on which is not known.
        """
        env: dict[str, EnvVar] = {}
        for source in read_items(container, "envFrom"):
            prefix = read_string(source, "prefix")
            for key, value in self._read_data(read_string(source, "configMapRef", "name")).items():
                env[prefix + key] = EnvVar(prefix + key, value.text, source.line, source.column)
        given = {variable.name: variable.value for variable in env.values()}
        is_open = self._is_open(container)
        if merged:
            entries = list({read_string(entry, "name"): entry for entry in entries}.values())
        values = self._resolve_values(entries, given, is_open=is_open)
        if merged:
            by_name = self._resolve_values(
                sorted(entries, key=lambda e: read_string(e, "name")), given, is_open=is_open
            )
            values = {name: value if by_name[name] == value else None for name, value in values.items()}
        for entry in entries:
            name, place = read_string(entry, "name"), entry.get("value") or entry
            env[name] = EnvVar(name, values[name], place.line, place.column)
        return env

    def _resolve_values(
        self, entries: Iterable[Value], given: references.Environment, *, is_open: bool
    ) -> dict[str, str | None]:
        known = dict(given)
        for entry in entries:
            name, value = read_string(entry, "name"), entry.get("value")
            if value is None or value.data == "":
                known[name] = self._resolve_reference(entry) if entry.get("valueFrom") is not None else ""
            elif value.text is None:
                known[name] = None
            else:
                known[name] = self._expand(value.text, known, is_open=is_open)
        return known

    def _expand(self, text: str, known: references.Environment, *, is_open: bool) -> str | None:
        """The text with its references replaced, and not known where values multiply without end."""
        found = references.expand(text, known, is_open=is_open) if self._room > 0 else None
        self._room -= max(0, len(found or "") - len(text))
        return found

    def _resolve_reference(self, entry: Value) -> str | None:
        data = self._read_data(read_string(entry, "valueFrom", "configMapKeyRef", "name"))
        value = data.get(read_string(entry, "valueFrom", "configMapKeyRef", "key"))
        return value.text if value else None

    def _read_data(self, name: str) -> dict[str, Value]:
        """The entries of a ConfigMap of the recipe; none when it is not there."""
        config_map = self._config_maps.get(name)
        data = config_map.root.get("data") if config_map else None
        return data.mapping if data else {}

    def _read_config_files(self, container: Value, volumes: Mapping[str, Volume]) -> Iterator[ConfigFile]:
        for mount, entry in read_mounts(container, volumes):
            volume = volumes[read_string(entry, "name")].source
            projected = [source.get("configMap") for source in read_items(volume, "projected", "sources")]
            for source in [volume.get("configMap"), *projected]:
                name = read_string(source, "name") if source is not None else ""
                if source is None or name not in self._config_maps or entry.get("subPathExpr") is not None:
                    continue
                file = self._config_maps[name].file
                for path, value in list_config_map_files(source, self._read_data(name)):
                    placed = resolve_mounted_path(path, mount.path, mount.sub_path)
                    if placed is not None:
                        yield ConfigFile(placed, file, read_embedded(value, self._lines.get(file, ())))

    def locate_line(self, element: Value, line: int) -> tuple[int, int]:
        """Where a line of a text stands, or the text when it is not written line by line."""
        lines = self._lines.get(self._file, ())
        if not is_literal(element, lines) or element.line + line >= len(lines):
            return element.line, element.column
        row = lines[element.line + line]
        return element.line + 1 + line, len(row) - len(row.lstrip()) + 1

    def _find(
        self, token: Token, element: Value, cursor: tuple[int, int]
    ) -> tuple[tuple[int, int], tuple[int, int]]:
        """Where a word stands, at or after a cursor, and the cursor behind it.

        Where it is spelled otherwise in the file, it is where the cursor is.
        """
        lines = self._lines.get(self._file, ())
        fragment = token.spelled.partition("\n")[0]
        line, column = max(cursor, self.locate_line(element, token.line))
        for number in range(line, min(line + _SEARCH_LINES, len(lines) + 1)) if fragment else ():
            found = lines[number - 1].find(fragment, column - 1 if number == line else 0)
            if found >= 0:
                return (number, found + 1), (number, found + 1 + len(fragment))
        return (line, column), cursor


def _read_elements(source: Value, key: str) -> list[Value]:
    found = source.get(key)
    return found.sequence if found is not None else []


def _parse_launch(words: Sequence[Word], given: Mapping[str, str | None]) -> Launch | None:
    """The Python module that a command starts, were it wrapped in other commands."""
    if words and (words[0].text or "").rpartition("/")[2] in _SAYING:
        return None
    for i, word in enumerate(words):
        written = word.text or ""
        if written == "-m" and i + 1 < len(words):
            module, rest, place = words[i + 1].text or "", words[i + 2 :], words[i + 1]
        elif written.startswith("-m") and "." in written:
            module, rest, place = written[2:], words[i + 1 :], word
        else:
            continue
        if module.startswith(_MODULES):
            at = place.line, place.column
            env = tuple(EnvVar(name, value, *at) for name, value in sorted(given.items()))
            return Launch(module, tuple(rest), *at, env)
    return None
