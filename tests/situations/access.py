"""The outcomes of the access checks for the healthy cluster."""

from tests.situations import Situation

SITUATIONS: list[Situation] = []
