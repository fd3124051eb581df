"""Finds and judges the probes of engines without Dynamo."""

from collections.abc import Iterable, Iterator

from dynocheck import Location, Result, fail, judged
from dynocheck.checks.graph._probe_fields import PROBES, Probe, find_target_port, list_named_ports
from dynocheck.core.fixes import set_flag, set_value
from dynocheck.data.servers import find_default_port, find_server
from dynocheck.engines import EngineInstance, find_instances
from dynocheck.facts import Recipe, find_server_template


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
    """Judges the port of a probe by the one on which an engine's own server listens."""
    given, port = engine.given.get("port"), find_target_port(probe.value)
    server = find_server(engine.launch.module)
    default = find_default_port(engine.launch.module, engine.container.image or "")
    listens = default if given is None else given.integer
    alone = len(engine.container.commands) == 1
    number = port.data if port is not None else None
    if isinstance(number, str):
        number = (list_named_ports(probe.container) or {}).get(number)
    if not engine.given.complete or listens is None or not isinstance(number, int) or not number or not alone:
        return
    yield judged(1, "probes")
    if port is not None and number != listens:
        yield fail(
            f"{probe.component.name}: its {probe.name} uses port {number}, it listens on {listens}",
            fix=set_value("port", listens),
            location=Location(probe.graph.file, port.line, port.column),
        )
    elif server is not None and server.local and engine.given.get("host") is None:
        yield fail(
            f"{probe.component.name}: its {probe.name} reaches nothing, {server.title} listens on 127.0.0.1 "
            "without --host",
            fix=set_flag("--host", "0.0.0.0"),  # noqa: S104
            location=Location(probe.graph.file, engine.launch.line, engine.launch.column),
        )


def limits_start(probe: Probe) -> bool:
    """Whether a probe of an engine without Dynamo restarts it when it takes too long to start."""
    alone = probe.container is not None and probe.container.get("startupProbe") is None
    return probe.name == "startupProbe" or (probe.name == "livenessProbe" and alone)
