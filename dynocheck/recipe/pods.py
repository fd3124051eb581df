"""The containers of a pod: what they run, with which variables, and what is mounted where."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from dynocheck.facts.recipe import ConfigFile, Container, EnvVar, Launch, Manifest, Mount, Value, Word
from dynocheck.recipe import shell
from dynocheck.recipe.documents import read

NOTHING = Value(None, 1, 1)

_MODULES = ("dynamo.", "vllm.", "sglang.", "tensorrt_llm.")
_SOURCES = {
    "persistentVolumeClaim": ("claim", "claimName"),
    "configMap": ("configmap", "name"),
    "secret": ("secret", "secretName"),
    "emptyDir": ("empty", ""),
}
_SEARCH_LINES = 200


class Reader:
    """Reads the pods of one file.

    :param lines: the file's source, to say where in a script a word stands.
    :param config_maps: the recipe's ConfigMaps by name.
    """

    def __init__(self, lines: Sequence[str], config_maps: Mapping[str, Manifest]) -> None:
        self.lines = lines
        self.config_maps = config_maps

    def container(
        self,
        source: Value,
        volumes: Mapping[str, Mount],
        *,
        outer: Iterable[Value] = (),
        mounts: Iterable[Mount] = (),
        name: str = "",
        default_module: str | None = None,
    ) -> Container:
        """One container.

        :param outer: variables set around it, which its own override.
        :param mounts: claims mounted around it.
        :param name: what it is called when it does not say.
        :param default_module: what it runs when it has neither command nor args.
        """
        env = self._environment([*outer, *items(source, "env")], items(source, "envFrom"))
        return Container(
            name=text(source, "name") or name,
            image=text(source, "image") or None,
            env=tuple(env.values()),
            mounts=(*mounts, *_mounts(source, volumes)),
            launches=tuple(self._launches(source, env, default_module)),
            files=tuple(self._files(source, volumes)),
            line=source.line,
            column=source.column,
        )

    def processes(self, source: Value, container: Container) -> Iterator[tuple[Word, ...]]:
        """The commands that a container runs, word by word."""
        elements = [*items(source, "command"), *items(source, "args")]
        known = {variable.name: variable.value for variable in container.env}
        return self._processes(elements, known)

    def _processes(
        self, elements: Sequence[Value], known: Mapping[str, str | None]
    ) -> Iterator[tuple[Word, ...]]:
        cursors = [(element.line, element.column) for element in elements]
        for process in shell.processes([element.text for element in elements], known):
            words = []
            for token in process:
                place = self._find(token.spelled, cursors[token.source])
                cursors[token.source] = place
                words.append(Word(token.text, *place))
            yield tuple(words)

    def _launches(
        self, source: Value, env: Mapping[str, EnvVar], default_module: str | None
    ) -> Iterator[Launch]:
        elements = [*items(source, "command"), *items(source, "args")]
        if not elements and default_module is not None:
            yield Launch(default_module, (), source.line, source.column)
        for words in self._processes(elements, {v.name: v.value for v in env.values()}):
            launch = _launch(words)
            if launch is not None:
                yield launch

    def _environment(self, entries: Iterable[Value], sources: Iterable[Value]) -> dict[str, EnvVar]:
        env: dict[str, EnvVar] = {}
        for source in sources:
            prefix = text(source, "prefix")
            for key, value in self._data(text(source, "configMapRef", "name")).items():
                env[prefix + key] = EnvVar(prefix + key, value.text, source.line, source.column)
        known: dict[str, str | None] = {name: variable.value for name, variable in env.items()}
        for entry in entries:
            name, given = text(entry, "name"), entry.get("value")
            if given is not None:
                known[name] = None if given.text is None else shell.expand_references(given.text, known)
            else:
                known[name] = self._referenced(entry) if entry.get("valueFrom") is not None else ""
            place = given or entry
            env[name] = EnvVar(name, known[name], place.line, place.column)
        return env

    def _referenced(self, entry: Value) -> str | None:
        data = self._data(text(entry, "valueFrom", "configMapKeyRef", "name"))
        value = data.get(text(entry, "valueFrom", "configMapKeyRef", "key"))
        return value.text if value else None

    def _data(self, name: str) -> dict[str, Value]:
        """The entries of a ConfigMap of the recipe; none when it is not there."""
        config_map = self.config_maps.get(name)
        data = config_map.root.get("data") if config_map else None
        return data.mapping if data else {}

    def _files(self, container: Value, volumes: Mapping[str, Mount]) -> Iterator[ConfigFile]:
        for mount in _mounts(container, volumes):
            if mount.source != "configmap" or mount.name not in self.config_maps:
                continue
            file = self.config_maps[mount.name].file
            for key, value in self._data(mount.name).items():
                # With subPath the mount's own path is the file; the key then is what subPath names.
                path = mount.path if mount.path.endswith(f"/{key}") else f"{mount.path.rstrip('/')}/{key}"
                yield ConfigFile(path, file, self._inner(value))

    def _inner(self, value: Value) -> Value | None:
        """The YAML in a block of text, its positions those of the recipe's file."""
        rows = self.lines[value.line : value.line + 1]
        indent = len(rows[0]) - len(rows[0].lstrip()) if rows else 0
        documents = read(value.text or "", [], at=(value.line + 1, indent + 1))
        return documents[0] if documents else None

    def _find(self, fragment: str, start: tuple[int, int]) -> tuple[int, int]:
        """Where a word stands in the source, at or after a place; that place when it is spelled otherwise."""
        fragment = fragment.partition("\n")[0]
        if not fragment:
            return start
        line, column = start
        for number in range(line, min(line + _SEARCH_LINES, len(self.lines) + 1)):
            found = self.lines[number - 1].find(fragment, column - 1 if number == line else 0)
            if found >= 0:
                return number, found + 1
        return start


def text(value: Value, *path: str) -> str:
    """The string at this path, or an empty one."""
    found = value.get(*path)
    return (found.text if found else None) or ""


def items(value: Value, *path: str) -> list[Value]:
    """The objects and strings of the list at this path, or none."""
    found = value.get(*path)
    return [item for item in found.sequence if isinstance(item.data, (dict, str))] if found else []


def volumes(pod: Value) -> dict[str, Mount]:
    """The volumes of a pod by name, each as a mount that has no path yet."""
    return {text(volume, "name"): _volume(volume) for volume in items(pod, "volumes")}


def _volume(volume: Value) -> Mount:
    for kind, (source, key) in _SOURCES.items():
        found = volume.get(kind)
        if found is not None:
            place = (found.get(key) if key else None) or found
            return Mount("", source, place.text or "", place.line, place.column)
    return Mount("", "other", "", volume.line, volume.column)


def _mounts(container: Value, volumes: Mapping[str, Mount]) -> Iterator[Mount]:
    for entry in items(container, "volumeMounts"):
        volume = volumes.get(text(entry, "name"))
        if volume is not None:
            path = entry.get("mountPath") or entry
            yield Mount(path.text or "", volume.source, volume.name, path.line, path.column)


def _launch(words: Sequence[Word]) -> Launch | None:
    for i, word in enumerate(words):
        written = word.text or ""
        if written == "-m" and i + 1 < len(words):
            module, rest, place = words[i + 1].text or "", words[i + 2 :], words[i + 1]
        elif written.startswith("-m") and "." in written:
            module, rest, place = written[2:], words[i + 1 :], word
        else:
            continue
        if module.startswith(_MODULES):
            return Launch(module, tuple(rest), place.line, place.column)
    return None
