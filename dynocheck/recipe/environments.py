"""Builds the environment variables of a container from its manifest."""

from collections.abc import Iterable, Mapping, Sequence

from dynocheck.facts import EnvVar, Manifest, SourceFile, Value
from dynocheck.recipe.references import Environment, expand
from dynocheck.recipe.volumes import read_items

_MAX_VALUES = 1024 * 1024  # characters that references may add to the variables of one file


class EnvironmentReader:
    """Reads the variables of the containers of one file.

    :param config_maps: the recipe's ConfigMaps by name.
    """

    def __init__(self, file: SourceFile, config_maps: Mapping[str, Manifest]) -> None:
        self._file = file
        self._config_maps = config_maps
        self._room = _MAX_VALUES

    def is_open(self, container: Value) -> bool:
        """Whether variables come from a ConfigMap that is not in the recipe."""
        names = (entry.get("configMapRef", "name") for entry in read_items(container, "envFrom"))
        return any(name is not None and (name.text or "") not in self._config_maps for name in names)

    def read_variables(self, container: Value, outer: Sequence[Value], *, merged: bool) -> dict[str, EnvVar]:
        """The variables of a container by name; the value of one is None if unknown.

        :param outer: entries set around the container, which its own override.
        :param merged: whether the operator merges the entries. Depending on its release they end up sorted by
            name or in the manifest's order; a value that depends on the order is unknown.
        """
        env: dict[str, EnvVar] = {}
        for source in read_items(container, "envFrom"):
            prefix = source.get_text("prefix")
            for key, value in self.read_data(source.get_text("configMapRef", "name")).items():
                env[prefix + key] = EnvVar(prefix + key, value.text, source.line, source.column)
        imported = {variable.name: variable.value for variable in env.values()}
        is_open = self.is_open(container)
        entries = [*outer, *read_items(container, "env")]
        if merged:
            entries = list({entry.get_text("name"): entry for entry in entries}.values())
        values = self._resolve_values(entries, imported, is_open=is_open)
        if merged:
            in_order = sorted(entries, key=lambda entry: entry.get_text("name"))
            by_name = self._resolve_values(in_order, imported, is_open=is_open)
            values = {name: value if by_name[name] == value else None for name, value in values.items()}
        for entry in entries:
            name, place = entry.get_text("name"), entry.get("value") or entry
            env[name] = EnvVar(name, values[name], place.line, place.column, self._find_origin(entry))
        return env

    def _find_origin(self, entry: Value) -> tuple[str, int] | None:
        """The file and line of the ConfigMap's value that an entry is from."""
        name, key = (entry.get_text("valueFrom", "configMapKeyRef", part) for part in ("name", "key"))
        value = self.read_data(name).get(key)
        return (self._config_maps[name].file, value.line) if value is not None and name and key else None

    def read_data(self, name: str) -> dict[str, Value]:
        """The `data` of a ConfigMap of the recipe; empty if the recipe has no such ConfigMap."""
        config_map = self._config_maps.get(name)
        data = config_map.root.get("data") if config_map else None
        return data.mapping if data else {}

    def _resolve_values(
        self, entries: Iterable[Value], imported: Environment, *, is_open: bool
    ) -> dict[str, str | None]:
        known = dict(imported)
        for entry in entries:
            name, value = entry.get_text("name"), entry.get("value")
            if value is None or value.data == "":
                known[name] = self._resolve_reference(entry) if entry.get("valueFrom") is not None else ""
            elif value.text is None or self._file.is_open(value):
                known[name] = None
            else:
                known[name] = self._expand(value.text, known, is_open=is_open)
        return known

    def _expand(self, text: str, known: Environment, *, is_open: bool) -> str | None:
        """Replace the references in a text; None if unknown, or once all values exceed the limit."""
        expanded = expand(text, known, is_open=is_open) if self._room > 0 else None
        self._room -= max(0, len(expanded or "") - len(text))
        return expanded

    def _resolve_reference(self, entry: Value) -> str | None:
        data = self.read_data(entry.get_text("valueFrom", "configMapKeyRef", "name"))
        value = data.get(entry.get_text("valueFrom", "configMapKeyRef", "key"))
        return value.text if value else None
