"""A cache of what is worked out of large facts, by their identity: hashing one hashes all that it holds."""

from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class IdentityCache(Generic[_T]):
    """Keeps up to `size` values; when there are more it starts anew."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: dict[tuple[int, ...], tuple[tuple[object, ...], _T]] = {}

    def get(self, *facts: object, make: Callable[[], _T]) -> _T:
        """The value of these facts, made if it is not known."""
        key = tuple(id(fact) for fact in facts)
        entry = self._entries.get(key)
        if entry is None:  # an entry keeps its facts, so that no others get their identities
            if len(self._entries) >= self._size:
                self._entries.clear()
            entry = self._entries[key] = (facts, make())
        return entry[1]
