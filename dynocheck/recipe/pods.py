"""Reads the containers of pods: the commands they run, their variables and their files."""

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from dynocheck.data.servers import find_server_program
from dynocheck.facts import (
    ConfigFile,
    Container,
    EnvVar,
    Launch,
    Manifest,
    Mount,
    SourceFile,
    TritonModel,
    UnreadPart,
    Value,
    Word,
)
from dynocheck.recipe.environments import EnvironmentReader
from dynocheck.recipe.positions import Position, locate_line, locate_token
from dynocheck.recipe.references import UNKNOWN, Environment
from dynocheck.recipe.shell import MAX_SCRIPT, Script, find_processes, find_unclosed_quote
from dynocheck.recipe.triton_models import CONFIG, read_triton_model
from dynocheck.recipe.volumes import (
    Volume,
    list_config_map_files,
    read_items,
    read_mounts,
    resolve_mounted_path,
)
from dynocheck.recipe.yaml_loader import parse_embedded

NOTHING = Value(None, 1, 1)

_MODULE_FLAG = re.compile(r"-[BEIOPSUdisuv]*m")  # behind python's own switches, as in -um
_MODULE_BEHIND_FLAG = re.compile(r"-m(\w+\..*)")
_MODULES = ("dynamo.", "vllm.", "sglang.", "tensorrt_llm.")
# They start none of their arguments.
_STARTS_NOTHING = (
    ".",
    ":",
    "cat",
    "cd",
    "chmod",
    "declare",
    "echo",
    "export",
    "mkdir",
    "printf",
    "set",
    "sleep",
    "source",
    "ulimit",
)
_OMNI = "--omni"  # makes `vllm serve` another server, vLLM-Omni, whose stages have GPUs of their own
_DATA = (".yaml", ".yml", ".json")
_MAX_LAUNCHES = 100  # of one container
_MAX_SCRIPTS = 256 * 1024  # characters of command and args in one file


class DefaultCommand(NamedTuple):
    """What a container runs that sets no command or no args: by the operator, or by its image."""

    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    by_operator: bool = True


_Run = tuple[
    tuple[Word, ...], Mapping[str, str | None]
]  # a command's words, and the variables its script sets

_Parse = Callable[[Sequence[Word], Mapping[str, str | None]], Launch | None]


class PodReader:
    """Reads the pods of one file. `unread` lists what exceeds a limit and was not read.

    :param lines: the lines of each file of the recipe, for positions inside strings.
    :param config_maps: the recipe's ConfigMaps by name.
    """

    def __init__(
        self, file: SourceFile, lines: Mapping[str, Sequence[str]], config_maps: Mapping[str, Manifest]
    ) -> None:
        self._file = file.path
        self._has_open_name = file.has_open_name
        self._template = file.template or bool(file.tags)
        self._lines = lines
        self._config_maps = config_maps
        self._environments = EnvironmentReader(file, config_maps)
        self._scripts = _MAX_SCRIPTS
        self._counted: set[tuple[int, int]] = set()
        self.unread: list[UnreadPart] = []
        self._followed: dict[Hashable, tuple[_Run, ...]] = {}
        self._written: dict[Position, list[tuple[str, Script, Value]]] = {}  # by the position of a container
        self._scripts_in: dict[Position, dict[str, Value]] = {}  # by path, of the container at a position

    def read_container(
        self,
        source: Value,
        volumes: Mapping[str, Volume],
        *,
        outer: Sequence[Value] = (),
        mounts: Iterable[Mount] = (),
        name: str = "",
        defaults: DefaultCommand | None = None,
        runtime: str = "",
    ) -> Container:
        """Read one container.

        :param outer: variables set around it, which its own override.
        :param mounts: claims mounted around it.
        :param name: its name if it has none of its own.
        :param defaults: what it runs without a command; None for a container that may start no engine.
        :param runtime: its component's runtimeVersionOverride.
        """
        merged = defaults is not None and defaults.by_operator
        env = self._environments.read_variables(source, outer, merged=merged)
        image = source.get("image") or source
        self._scripts_in[source.line, source.column] = self._find_scripts(source, volumes)
        runs = self._follow(source, env.values(), defaults or DefaultCommand())
        parse = _parse_launch if defaults is None or merged else _parse_server
        return Container(
            name=source.get_text("name") or name,
            image=source.get_text("image") or None,
            env=tuple(env.values()),
            mounts=(*mounts, *(mount for mount, _ in read_mounts(source, volumes))),
            launches=tuple(self._find_launches(runs, parse)),
            files=tuple(self._read_config_files(source, volumes)),
            triton_models=tuple(self._read_triton_models(source, volumes)),
            line=source.line,
            column=source.column,
            image_line=image.line,
            image_column=image.column,
            commands=tuple(words for words, _ in runs if words) if defaults is not None else (),
            unclosed=self._find_unclosed(source) if defaults is not None else None,
            runtime=runtime,
            folder=source.get_text("workingDir"),
        )

    def read_commands(self, source: Value, container: Container) -> tuple[tuple[Word, ...], ...]:
        """The commands that a container runs, each as its words."""
        return tuple(words for words, _ in self.read_runs(source, container))

    def read_runs(self, source: Value, container: Container) -> tuple[_Run, ...]:
        """The commands that a container runs, each with the variables that its script sets for it."""
        return self._follow(source, container.env, DefaultCommand())

    def _follow(self, source: Value, env: Iterable[EnvVar], defaults: DefaultCommand) -> tuple[_Run, ...]:
        """The commands that a container runs, found once: launches, downloads and benchmarks ask for them."""
        environment = {variable.name: variable.value for variable in env}
        key = source.line, source.column, defaults, tuple(environment.items())
        if key not in self._followed:
            self._followed[key] = tuple(self._read_processes(source, environment, defaults))
        return self._followed[key]

    def _read_processes(
        self, source: Value, environment: Environment, defaults: DefaultCommand
    ) -> Iterator[_Run]:
        command, args = source.get_items("command"), source.get_items("args")
        if not command:
            args = args or [Value(text, source.line, source.column) for text in defaults.args]
            command = [Value(text, source.line, source.column) for text in defaults.command]
        elements = [*command, *args]
        scripts = self._scripts_in.get((source.line, source.column), {})
        if not elements or not self._has_room(source, [*elements, *scripts.values()]):
            return
        files = {path: value.text or "" for path, value in scripts.items()}
        elements += scripts.values()
        cursors = [(element.line, element.column) for element in elements]
        reached: dict[int, int] = {}  # the line of the last word of each element
        lines = self._lines.get(self._file, ())
        is_open = self._template or self._environments.is_open(source)
        argv = [element.text for element in elements[: len(elements) - len(files)]]
        written = self._written[source.line, source.column] = []
        for process in find_processes(argv, environment, is_open=is_open, files=files):
            written += [(path, text, elements[text.source]) for path, text in process.written]
            words = []
            for token in process.words:
                element, cursor = elements[token.source], cursors[token.source]
                if token.line < reached.get(token.source, 0):
                    cursor = element.line, element.column  # a function that is followed where it is called
                reached[token.source] = token.line
                place, cursors[token.source] = locate_token(token, element, cursor, lines)
                words.append(Word(None if self._is_filled_in(token.text) else token.text, *place))
            yield tuple(words), process.variables

    def _is_filled_in(self, text: str | None) -> bool:
        """Whether a word is only known once the template is filled in."""
        return text is not None and self._has_open_name(text)

    def _find_unclosed(self, source: Value) -> Word | None:
        elements = [*source.get_items("command"), *source.get_items("args")]
        token = find_unclosed_quote([element.text for element in elements])
        if token is None:
            return None
        element = elements[token.source]
        start = element.line, element.column
        place, _ = locate_token(token, element, start, self._lines.get(self._file, ()))
        return Word(token.spelled, *place)

    def _has_room(self, source: Value, elements: Sequence[Value]) -> bool:
        """Whether the commands of a container are within the limits; each container counts once."""
        lengths = [len(element.text or "") for element in elements]
        if (source.line, source.column) not in self._counted:
            self._counted.add((source.line, source.column))
            self._scripts -= sum(lengths)
        if self._scripts < 0:
            self._note_unread(
                f"commands of a container: this file has over {_MAX_SCRIPTS} characters of commands",
                source,
            )
        for element, length in zip(elements, lengths, strict=True):
            if length > MAX_SCRIPT:
                self._note_unread(f"the end of a script with more than {MAX_SCRIPT} characters", element)
        return self._scripts >= 0

    def _note_unread(self, what: str, place: Value | Launch) -> None:
        self.unread.append(UnreadPart(what, self._file, place.line, place.column))

    def _find_launches(self, runs: Iterable[_Run], parse: _Parse) -> Iterator[Launch]:
        count = 0
        for words, variables in runs:
            launch = parse(words, variables)
            if launch is not None and count == _MAX_LAUNCHES:
                self._note_unread(f"the programs of a container after the first {count}", launch)
                return
            if launch is not None:
                count += 1
                yield launch

    def _read_config_files(self, container: Value, volumes: Mapping[str, Volume]) -> Iterator[ConfigFile]:
        for path, file, value in self._list_config_map_files(container, volumes):
            yield ConfigFile(path, file, *parse_embedded(value, self._lines.get(file, ())))
        yield from self._read_written_files(self._written.get((container.line, container.column), ()))

    def _read_written_files(self, written: Iterable[tuple[str, Script, Value]]) -> Iterator[ConfigFile]:
        """The files that a container's script writes: each with one text, which is known."""
        texts: dict[str, set[str]] = {}
        for path, script, _ in written:
            texts.setdefault(path, set()).add(script.text)
        lines = self._lines.get(self._file, ())
        for path, script, element in written:
            if path.endswith(_DATA) and len(texts[path]) == 1 and UNKNOWN not in script.text:
                yield ConfigFile(path, self._file, *parse_embedded(element, lines, script.text, script.line))

    def _read_triton_models(self, container: Value, volumes: Mapping[str, Volume]) -> Iterator[TritonModel]:
        for path, file, value in self._list_config_map_files(container, volumes):
            if path.endswith(f"/{CONFIG}"):
                lines = self._lines.get(file, ())
                yield read_triton_model(value.text or "", path, file, partial(_locate_in, value, lines))

    def _find_scripts(self, container: Value, volumes: Mapping[str, Volume]) -> dict[str, Value]:
        """The mounted files that a container's command names. One of another file has the command's place."""
        command, args = container.get("command"), container.get("args")
        words = [element.text or "" for value in (command, args) if value for element in value.sequence]
        place = command or args or container
        return {
            path: value if file == self._file else Value(value.data, place.line, place.column)
            for path, file, value in self._list_config_map_files(container, volumes)
            if value.text and any(path in word for word in words)
        }

    def _list_config_map_files(
        self, container: Value, volumes: Mapping[str, Volume]
    ) -> Iterator[tuple[str, str, Value]]:
        """The path of each file of a mounted ConfigMap, the recipe's file that has it, and its text."""
        for mount, entry in read_mounts(container, volumes):
            volume = volumes[entry.get_text("name")].source
            projected = [source.get("configMap") for source in read_items(volume, "projected", "sources")]
            for source in [volume.get("configMap"), *projected]:
                name = source.get_text("name") if source is not None else ""
                if source is None or name not in self._config_maps or entry.get("subPathExpr") is not None:
                    continue
                file = self._config_maps[name].file
                for path, value in list_config_map_files(source, self._environments.read_data(name)):
                    placed = resolve_mounted_path(path, mount.path, mount.sub_path)
                    if placed is not None:
                        yield placed, file, value

    def locate_line(self, element: Value, line: int) -> Position:
        """The position of a line of a string of this file, counted from 0."""
        return locate_line(element, line, self._lines.get(self._file, ()))


def _locate_in(value: Value, lines: Sequence[str], line: int, _: int) -> Position:
    return locate_line(value, line - 1, lines)


def _parse_launch(words: Sequence[Word], variables: Mapping[str, str | None]) -> Launch | None:
    """The Python module that a command starts, directly or through wrapper commands."""
    if words and (words[0].text or "").rpartition("/")[2] in _STARTS_NOTHING:
        return None
    for i, word in enumerate(words):
        text = word.text or ""
        if _MODULE_FLAG.fullmatch(text) and i + 1 < len(words):
            module, rest, place = words[i + 1].text or "", words[i + 2 :], words[i + 1]
        elif found := _MODULE_BEHIND_FLAG.fullmatch(text):
            module, rest, place = found.group(1), words[i + 1 :], word
        else:
            continue
        if module.startswith(_MODULES):
            at = place.line, place.column
            env = tuple(EnvVar(name, value, *at) for name, value in sorted(variables.items()))
            return Launch(module, tuple(rest), *at, env)
    return None


def _parse_server(words: Sequence[Word], variables: Mapping[str, str | None]) -> Launch | None:
    """The engine's own server that a command starts: as a program, or as a Python module."""
    launch = _parse_launch(words, variables)
    if launch is not None:
        program = find_server_program(["-m", launch.module, *(word.text or "" for word in launch.words[:1])])
        if program is None:
            return launch
        return msgspec.structs.replace(launch, module=program[0], words=launch.words[program[1] - 2 :])
    if words and (words[0].text or "").rpartition("/")[2] in _STARTS_NOTHING:
        return None
    for i, word in enumerate(words):
        program = find_server_program([each.text or "" for each in words[i : i + 2]])
        if program is not None and all(each.text != _OMNI for each in words):
            at = word.line, word.column
            env = tuple(EnvVar(name, value, *at) for name, value in sorted(variables.items()))
            return Launch(program[0], tuple(words[i + program[1] :]), *at, env)
    return None
