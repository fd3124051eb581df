"""Whether benchmarks reach what they are meant to measure."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from dynocheck import Finding, Location, Skip, check, fail
from dynocheck.facts import Recipes
from dynocheck.facts.recipe import Benchmark, EnvVar, Graph

_PORT = 8000  # what the operator's Service of a frontend listens on


@check("perf.endpoint", title="Every benchmark sends its load to a graph of the recipe")
def endpoint(recipes: Recipes) -> Iterator[Finding]:
    """The operator names a frontend's Service `<graph>-<component>`, in lower case, and gives it port 8000.

    It measures the graph of its own folder, or one of the recipe where its folder has none. A benchmark
    that names another service waits until its deadline, or measures somebody else's service.

    Fix: set the endpoint to <graph>-<component>:8000
    """
    judged = False
    for recipe in recipes:
        for benchmark in recipe.benchmarks:
            graphs = [g for g in recipe.graphs if benchmark.beside(g)] or recipe.graphs
            services = [name for graph in graphs for name in _services(graph)]
            target = benchmark.endpoint
            if services and target is not None and target.value:
                judged = True
                yield from _judge(benchmark, target, target.value, services)
    if not judged:
        raise Skip("no benchmark that names its endpoint, or no graph with a frontend")


def _services(graph: Graph) -> list[str]:
    return [f"{graph.name}-{c.name.lower()}" for c in graph.components if c.role == "frontend"]


def _judge(benchmark: Benchmark, target: EnvVar, value: str, services: list[str]) -> Iterator[Finding]:
    place = Location(benchmark.file, target.line, target.column)
    fix = f"set {target.name} to {services[0]}:{_PORT}"
    try:
        url = urlsplit(value if "://" in value else f"//{value}")
        host, port = url.hostname or "", url.port
    except ValueError:
        yield fail(
            f"{benchmark.name} sends its load to {value!r}, which is no address", fix=fix, location=place
        )
        return
    if host.partition(".")[0] not in services:
        yield fail(
            f"{benchmark.name} sends its load to {host}, the graph answers at {' or '.join(services)}",
            fix=fix,
            location=place,
        )
    elif port is not None and port != _PORT:
        yield fail(
            f"{benchmark.name} sends its load to port {port}, the Service of a frontend listens on {_PORT}",
            fix=fix,
            location=place,
        )
