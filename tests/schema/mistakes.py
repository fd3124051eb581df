"""Manifests with something wrong in one place, or by luck still right."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from random import Random
from typing import Any

from tests.controlplane.api import Object

Slot = tuple[Any, Any]  # a mapping or list, and a key or index of it
Siblings = dict[str, list[tuple[str, Any]]]  # fields and their values by the key above their mapping

OTHERS: list[Any] = ["text", "8", "", 7, -1, 0, 1.5, 2**40, True, [], ["x"], {}, {"x": "y"}, [{}], None]
AMOUNTS = ["1gi", "80GB", "1.5", "-1", "0", "1e3", "", "1 Gi", "500m", "8Ki", "two", "0x10"]
WORDS = ["Text", "with space", "a_b", "-a", "a" * 64, "a" * 254, "é", "a.b", "A", "a/b", "$"]


def _drop(chance: Random, container: Any, key: Any) -> None:
    del container[key]


def _misspell(chance: Random, container: Any, key: Any) -> None:
    if isinstance(key, str):
        position = chance.randint(0, len(key))
        container[key[:position] + chance.choice("sX-") + key[position:]] = container.pop(key)


def _recase(chance: Random, container: Any, key: Any) -> None:
    """Another case, of a key or of a text."""
    if isinstance(container[key], str) and chance.random() < 0.5:
        container[key] = container[key].swapcase()
    elif isinstance(key, str):
        changed = chance.choice([key.lower(), key.upper(), key[:1].upper() + key[1:]])
        container[changed] = container.pop(key)


def _add(chance: Random, container: Any, key: Any) -> None:
    """A field that was not there."""
    if isinstance(container, dict):
        container[chance.choice(["extra", "replicas", "name", "x-note"])] = chance.choice(OTHERS)


def _null(chance: Random, container: Any, key: Any) -> None:
    container[key] = None


def _replace(chance: Random, container: Any, key: Any) -> None:
    container[key] = chance.choice(OTHERS)


def _measure(chance: Random, container: Any, key: Any) -> None:
    """Another quantity, number or port."""
    if not isinstance(container[key], dict | list):
        container[key] = chance.choice(AMOUNTS)


def _word(chance: Random, container: Any, key: Any) -> None:
    """A text that no name may be, or no choice."""
    if isinstance(container[key], str):
        container[key] = chance.choice(WORDS)


def _quote(chance: Random, container: Any, key: Any) -> None:
    """A number as text, or text that is no number as one."""
    value = container[key]
    if isinstance(value, str) and value.isdecimal():
        container[key] = int(value)
    elif not isinstance(value, dict | list):
        container[key] = str(value)


def _swap(chance: Random, container: Any, key: Any) -> None:
    """A list as a mapping, or the other way round."""
    value = container[key]
    if isinstance(value, list):
        container[key] = {str(index): element for index, element in enumerate(value)}
    elif isinstance(value, dict):
        container[key] = [value] if chance.random() < 0.5 else list(value.values())


def _repeat(chance: Random, container: Any, key: Any) -> None:
    if isinstance(container, list):
        container.append(json.loads(json.dumps(container[key])))
    elif isinstance(container[key], list) and container[key]:
        container[key] = container[key] * 2


def find_siblings(sources: Iterable[str]) -> Siblings:
    """The fields that mappings of these objects have, each mapping by the key that it is under."""
    found: Siblings = defaultdict(list)
    for source in sources:
        for parent, fields in _mappings("", json.loads(source)):
            found[parent] += [entry for entry in fields.items() if entry not in found[parent]]
    return found


def _mappings(parent: str, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        yield parent, value
    for key, entry in value.items() if isinstance(value, dict) else ((parent, each) for each in value or ()):
        if isinstance(entry, dict | list):
            yield from _mappings(key, entry)


def graft(source: str, chance: Random, siblings: Siblings) -> Object:
    """This manifest with one field more, or another value of one, that such a mapping has elsewhere."""
    item: Object = json.loads(source)
    parent, mapping = chance.choice([m for m in _mappings("", item) if m[0] and siblings[m[0]]])
    key, value = chance.choice(siblings[parent])
    mapping[key] = value
    return item


MISTAKES: Sequence[Callable[[Random, Any, Any], None]] = (
    *(_drop, _misspell, _recase, _add, _null, _replace),
    *(_measure, _word, _quote, _swap, _repeat),
)


def mistaken(source: str, chance: Random) -> Object:
    """This manifest, given as JSON, with one mistake."""
    item: Object = json.loads(source)
    container, key = chance.choice(list(_slots(item)))
    chance.choice(MISTAKES)(chance, container, key)
    return item


def _slots(value: Any) -> Iterator[Slot]:
    pairs = enumerate(value) if isinstance(value, list) else ()
    for key, entry in value.items() if isinstance(value, dict) else pairs:
        if key not in ("apiVersion", "kind"):
            yield value, key
        yield from _slots(entry)
