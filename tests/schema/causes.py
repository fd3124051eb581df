"""Why the real API server refuses an object, and on which lines of the object that is."""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from dynocheck.facts import Value
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane

# Where a message alone names the field: `unknown field "spec.a"`, `Go struct field Job.spec.a of type`.
_IN_TEXT = re.compile(
    r'(?:unknown|duplicate) field "([^"]+)"|Go struct field \w+\.(\S+) of type'
    r"|must be of type .* in (\S+)$"
)
_OF_RESOURCES = re.compile(r"(?<=\.resources)\.(limits|requests)\b.*|(?<=\])\.operator$")


class Cause(NamedTuple):
    """A cause of a refusal, and the field that it names; empty if none."""

    message: str
    field: str = ""


def ask_server(cluster: ControlPlane, item: Object, text: str = "") -> list[Cause]:
    """Every cause for which the API server refuses an object; none if it takes it or has it already.

    :param text: the object as YAML, to be sent as it is.
    """
    resource = cluster.resource(item)
    folder, _, plural = resource.path.rpartition("/")
    answer = cluster.http.post(
        f"{folder}/namespaces/default/{plural}" if resource.namespaced else resource.path,
        params={"dryRun": "All", "fieldValidation": "Strict"},
        content=(text or json.dumps(item)).encode(),
        headers={"Content-Type": "application/yaml" if text else "application/json"},
    )
    if answer.is_success or answer.status_code == 409:  # it exists already, which is told after all else
        return []
    status = answer.json()
    causes = status.get("details", {}).get("causes") or [status]
    return [Cause(cause["message"], field) for cause in causes for field in _find_fields(cause)]


def _find_fields(cause: Object) -> list[str]:
    field = cause.get("field", "<nil>")
    if field != "<nil>":
        return [field]
    message = re.sub(r"(?<=field ObjectMeta\.)(?!metadata\.|spec\.)", "metadata.", cause["message"])
    return ["".join(found) for found in _IN_TEXT.findall(message)] or [""]


def find_lines(root: Value, field: str) -> set[int]:
    """The lines on which a field may be told: its own, and that of each value on the way to it.

    Where it is not there, the lines of the value that it would be in. Either of a request and its limit may
    be told for the other.
    """
    way, further = [[root]], [root]
    for index, key in re.findall(r"\[([^\]]*)\]|([^.\[\]]+)", re.sub(_OF_RESOURCES, "", field)):
        further = [below for value in way[-1] for below in _descend(value, index or key)]
        if not further:
            break
        way.append(further)
    named = way[-1] if field and (further or len(way) > 2) else []
    inside = [line for value in named for line in _list_lines(value)]
    return {*inside, *(value.line for values in way for value in values)}


def _list_lines(value: Value) -> Iterator[int]:
    """The lines of a value and of everything in it, also of what is null."""
    yield value.line
    entries = value.data.values() if isinstance(value.data, dict) else value.sequence
    for entry in entries:
        yield from _list_lines(entry)


def _descend(value: Value, key: str) -> Iterator[Value]:
    """The entry of a key or an index; of a key, in every element of a list: Go's decoder names no index."""
    if isinstance(value.data, dict):
        yield from (entry for name, entry in value.data.items() if name == key)
    elif isinstance(value.data, list):
        if key.isdecimal():
            yield from value.data[int(key) : int(key) + 1]
        else:
            yield from (below for element in value.data for below in _descend(element, key))
