"""Finds and judges the probes of engines without Dynamo."""

from collections.abc import Iterable, Iterator, Sequence

from dynocheck import Location, Result, fail, judged
from dynocheck.checks.graph._probe_fields import PROBES, Probe, find_target_port, list_named_ports
from dynocheck.core.fixes import set_argument, set_value
from dynocheck.data.servers import find_default_port, find_server
from dynocheck.engines import EngineInstance, find_instances, ollama
from dynocheck.facts import Recipe, Word, find_server_template

OTHER_PORTS = frozenset((6379, 8265, 10001, 52365))
"""What Ray listens on beside an engine: https://docs.ray.io/en/latest/ray-core/configure.html."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_QUIET = {
    *(".", ":", "cd", "chmod", "cp", "echo", "env", "export", "hf", "huggingface-cli", "ln", "mkdir", "mv"),
    *("nvidia-smi", "pip", "pip3", "ray", "rm", "set", "sleep", "source", "ulimit", "unset"),
}
# Paths that some server answers when it is well.
_HEALTH = {
    *("/health", "/health_generate", "/healthy", "/healthz", "/live", "/livez", "/ping", "/ready", "/readyz"),
    *("/health/live", "/health/ready", "/v1/health", "/v1/health/live", "/v1/health/ready"),
    *("/v2/health/live", "/v2/health/ready"),
}


def find_server_probes(recipes: Iterable[Recipe]) -> Iterator[tuple[Probe, EngineInstance]]:
    """The probes of the containers that start an engine without Dynamo, and nothing else."""
    for recipe in recipes:
        for server in recipe.servers:
            for engine in find_instances(server):
                template = find_server_template(recipe, server, engine.component)
                place = engine.container.line, engine.container.column
                sources = template.containers if template is not None else []
                source = next((each for each in sources if (each.line, each.column) == place), None)
                if template is None or source is None or len(engine.container.launches) > 1:
                    continue
                for name in PROBES:
                    if (value := source.get(name)) is not None:
                        yield Probe(recipe, server, engine.component, template, name, value), engine


def check_server_probe(probe: Probe, engine: EngineInstance) -> Iterator[Result]:
    """Judges the port and the path of a probe by what an engine's own server listens on and answers."""
    listens, port = find_listening_port(engine), find_target_port(probe.value)
    number = port.data if port is not None else None
    if isinstance(number, str):
        number = (list_named_ports(probe.container) or {}).get(number)
    if listens is None or not isinstance(number, int) or not number or number in OTHER_PORTS:
        return
    yield judged(1, "probes")
    if port is not None and number != listens:
        yield fail(
            f"{probe.component.name}: its {probe.name} uses port {number}, it listens on {listens}",
            fix=set_value("port", listens),
            location=Location(probe.graph.file, port.line, port.column),
        )
    elif is_local(engine):
        without = "" if engine.given.get("host") is not None else " without --host"
        yield fail(
            f"{probe.component.name}: its {probe.name} reaches nothing, {_name_server(engine)} listens on "
            f"127.0.0.1{without}",
            fix=suggest_host(engine),
            location=locate_host(engine),
        )
    else:
        yield from _check_path(probe, engine)


def _check_path(probe: Probe, engine: EngineInstance) -> Iterator[Result]:
    """Reports a path for health that an engine's server does not have, but others do."""
    path, server = probe.value.get("httpGet", "path"), find_server(engine.launch.module)
    if path is None or server is None or not server.health or engine.given.get("root-path", "api-prefix"):
        return
    if (path.text or "").rstrip("/") in _HEALTH - {*server.health}:
        yield fail(
            f"{probe.component.name}: its {probe.name} asks for {path.text}, which {server.title} has not",
            fix=set_value("path", server.health[0]),
            location=Location(probe.graph.file, path.line, path.column),
        )


def _name_server(engine: EngineInstance) -> str:
    server = find_server(engine.launch.module)
    return server.title if server is not None else engine.name


def find_listening_port(engine: EngineInstance) -> int | None:
    """Where an engine's own server listens; None if that is unknown, or another program may listen too."""
    given = engine.given.get("port")
    default = find_default_port(engine.launch.module, engine.container.image or "")
    others = [words for words in engine.container.commands if not _is_quiet(words)]
    if not engine.given.complete or len(others) > 1 or engine.launch.module == "tritonserver":
        return None
    return default if given is None else given.integer


def _is_quiet(words: Sequence[Word]) -> bool:
    """Whether a command is known to end, or to listen on none but the ports of Ray."""
    texts = [word.text or "" for word in words]
    name = next(iter(texts), "").rpartition("/")[2]
    return name in _QUIET or any(text.endswith("multi-node-serving.sh") for text in texts[:2])


def is_local(engine: EngineInstance) -> bool:
    """Whether an engine's own server is reached from its pod alone."""
    host, server = engine.given.get("host"), find_server(engine.launch.module)
    if host is None:
        return server is not None and server.local
    return host.known and host.value in _LOOPBACK


def locate_host(engine: EngineInstance) -> Location:
    """Where the host is given on which an engine's server listens; the engine where it is not."""
    place = engine.given.get("host") or engine.launch
    return Location(engine.graph.file, place.line, place.column)


def suggest_host(engine: EngineInstance) -> str:
    """The fix for an engine's server that is reached from its pod alone."""
    host = engine.given.get("host")
    everywhere = "0.0.0.0" if engine.engine is not ollama.ENGINE else f"0.0.0.0:{find_listening_port(engine)}"  # noqa: S104
    return set_argument(host.spelled if host is not None else "--host", everywhere)


def limits_start(probe: Probe, engine: EngineInstance | None = None) -> bool:
    """Whether a probe of an engine without Dynamo restarts it when it takes too long to start.

    Ollama loads a model when it is first asked for it.
    """
    if engine is not None and engine.engine is ollama.ENGINE:
        return False
    alone = probe.container is not None and probe.container.get("startupProbe") is None
    return probe.name == "startupProbe" or (probe.name == "livenessProbe" and alone)
