"""The area monitoring."""

from __future__ import annotations

from tests.situations import Situation

HEALTHY: dict[str, str] = {}
SITUATIONS: list[Situation] = []
