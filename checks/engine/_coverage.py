"""Explains why checks do not judge an engine."""

from collections.abc import Iterable

from dynocheck import Location, unjudged
from dynocheck.core.outcomes import Unjudged
from dynocheck.engines.instances import EngineInstance


def describe_incomplete(*engines: EngineInstance, what: str = "") -> Unjudged:
    """Engines of which not every argument is known, at the first that it is not known of.

    :param what: as in "DecodeWorker: parallel sizes".
    """
    unread = next((engine for engine in engines if not engine.given.complete), engines[0])
    return describe_unjudged(
        engines,
        what,
        why="not all its arguments can be read from the recipe",
        needs="literal arguments, and engine configuration files in a ConfigMap of the recipe",
        at=unread,
    )


def describe_unjudged(
    engines: Iterable[EngineInstance],
    what: str,
    *,
    why: str,
    needs: str | None = None,
    at: EngineInstance | None = None,
    argument: str = "",
) -> Unjudged:
    """What cannot be judged of engines, at an argument of one of them, or where it is started."""
    named = list(engines)
    names = " and ".join(dict.fromkeys(engine.name for engine in named))
    place = Location(*(at or named[-1]).locate(argument))
    return unjudged(f"{names}: {what}" if what else names, why=why, needs=needs, location=place)
