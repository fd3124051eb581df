"""What the recipes of a run hold, counted."""

from collections import Counter
from collections.abc import Iterable

from dynocheck.data.servers import PROGRAMS, name_image_engine
from dynocheck.facts import Graph, Recipe

_KSERVE = "serving.kserve.io"


def describe_inventory(recipes: Iterable[Recipe]) -> str:
    """The graphs, the servers by engine and kind, and the number of all objects; empty if there are none."""
    graphs: set[tuple[str, int]] = set()
    servers: dict[tuple[str, int], str] = {}
    objects: set[tuple[str, int, int]] = set()
    for recipe in recipes:
        graphs |= {(graph.file, graph.line) for graph in recipe.graphs}
        for server in recipe.servers:
            servers.setdefault((server.file, server.line), _name_server(server))
        objects |= {(each.file, each.root.line, each.root.column) for each in recipe.manifests if each.kind}
    counts = {"graph": len(graphs), **Counter(servers.values())}
    parts = [_count(number, name) for name, number in counts.items() if number]
    return "; ".join(filter(None, (", ".join(parts), _count(len(objects), "object") if objects else "")))


def _name_server(server: Graph) -> str:
    if server.group == _KSERVE:
        return "KServe service"
    containers = [each for component in server.components for each in component.containers]
    titles = [
        PROGRAMS[launch.module] for c in containers for launch in c.launches if launch.module in PROGRAMS
    ]
    titles += [title for c in containers if (title := name_image_engine(c.image or ""))]
    return " ".join([*titles[:1], server.kind])


def _count(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"
