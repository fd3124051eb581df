"""Launches made by hand, as the reader of recipes makes them from manifests."""

from collections.abc import Mapping, Sequence

from dynocheck.engines import Arguments, detect_engine
from dynocheck.engines.base import Engine
from dynocheck.facts import ConfigFile, Container, EnvVar, Launch, Value, Word
from dynocheck.recipe.yaml_loader import read_embedded

CONFIG = "/etc/engine.yaml"
Line = Sequence[str | None]
Env = Mapping[str, str | None]


def words(*texts: str | None) -> tuple[Word, ...]:
    """Words, each in a column of its own."""
    return tuple(Word(text, 1, column) for column, text in enumerate(texts, 1))


def launch(module: str, texts: Sequence[str | None]) -> Launch:
    return Launch(module, words(*texts), 1, 1)


def container(
    files: Mapping[str, str] | None = None, env: Mapping[str, str | None] | None = None
) -> Container:
    """A container with some files, YAML by path, and some variables."""
    return Container(
        name="main",
        image="worker:1",
        env=tuple(EnvVar(name, value, 2, 1) for name, value in (env or {}).items()),
        mounts=(),
        launches=(),
        files=tuple(
            ConfigFile(path, "engine.yaml", read_embedded(Value(text, 3, 1), ["", "", "x"]))
            for path, text in (files or {}).items()
        ),
        line=1,
        column=1,
    )


def read_engine(
    module: str, line: Line, file: str | None = None, env: Env | None = None
) -> tuple[Engine, Arguments]:
    """The engine that a module is, and what a command line, a file at CONFIG and variables give it."""
    started = launch(module, line)
    engine = detect_engine(started)
    assert engine is not None
    files = {CONFIG: file} if file is not None else {}
    return engine, engine.arguments(container(files, env), started, "deploy.yaml")
