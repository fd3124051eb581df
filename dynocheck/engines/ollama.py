"""Ollama, which has variables alone, and loads the model that it is asked for."""

import re

from dynocheck.engines.arguments import Argument, Arguments
from dynocheck.engines.base import Engine
from dynocheck.facts import Container, Launch

_ADDRESS = re.compile(r"(?:(https?)://)?(\[[\da-fA-F:.]*\]|[^:/\[\]]*)(?::(\d+))?(?:/.*)?")
_PORTS = {"": 11434, "http": 80, "https": 443}  # without a port in OLLAMA_HOST


def read_arguments(container: Container, launch: Launch, file: str) -> Arguments:
    """The host and the port of OLLAMA_HOST, which envconfig/config.go of Ollama takes apart."""
    variable = container.find_variable("OLLAMA_HOST", launch)
    if variable is None:
        return Arguments()
    match = _ADDRESS.fullmatch((variable.value or "").strip(" \"'"))
    if variable.value is None or match is None:
        return Arguments(complete=False)
    scheme, host, port = match[1] or "", match[2].strip("[]"), match[3]
    parts = {"host": host or ("0.0.0.0" if port else "127.0.0.1"), "port": port or _PORTS[scheme]}  # noqa: S104
    place = file, variable.line, variable.column
    return Arguments(
        {name: Argument(name, value, *place, spelled=variable.name) for name, value in parts.items()}
    )


ENGINE = Engine(
    "ollama",
    ("ollama serve",),
    read_arguments,
    lambda given: None,
    lambda given: None,
    lambda container, launch: None,
    (),
    adapts=True,
)
