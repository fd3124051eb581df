"""Applies the parsers of locally installed engines to the workers of recipes."""

from collections.abc import Iterator

from dynocheck import probe
from dynocheck.engines import local_parser
from dynocheck.engines.engine_versions import VersionedLaunch, find_versioned_launches
from dynocheck.facts import EngineParsers, Recipes, Ruling, Rulings

_LIMIT_S = 180.0  # an engine on a cold disk


@probe(limit=lambda parsers, recipes: _LIMIT_S)
def rulings(parsers: EngineParsers, recipes: Recipes) -> Rulings:
    versions = {engine: local_parser.find_version(engine) for engine in parsers.engines}
    if not any(versions.values()):
        return Rulings(reason=f"none of {', '.join(versions)} is installed here")
    try:
        found = [
            ruling
            for engine in parsers.engines
            for ruling in _collect_rulings(engine, versions[engine], recipes)
        ]
    except local_parser.ParserUnavailable as error:
        return Rulings(reason=str(error))
    return Rulings(tuple(found))


def _collect_rulings(engine: str, version: str | None, recipes: Recipes) -> Iterator[Ruling]:
    """The rulings of one engine on the launches of its version."""
    lines: list[tuple[VersionedLaunch, list[str]]] = []
    for each in find_versioned_launches(recipes, engine):
        words = local_parser.select_engine_words(each.launch, each.own) if each.version == version else None
        lines += [] if words is None else [(each, words)]
    if version is None or not lines:
        return
    errors = local_parser.check_command_lines(engine, [words for _, words in lines], _LIMIT_S - 5)
    for (each, _), error in zip(lines, errors, strict=True):
        yield Ruling(
            file=each.file,
            line=each.launch.line,
            column=each.launch.column,
            engine=engine,
            version=version,
            error=error,
        )
