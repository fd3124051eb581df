"""The area access."""

from tests.situations import Situation

SITUATIONS: list[Situation] = []
