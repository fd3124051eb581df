"""The probes of containers, and the fields that they share."""

from typing import NamedTuple

from dynocheck.facts import Component, Graph, PodTemplate, Recipe, Value

PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


class Probe(NamedTuple):
    """A probe in a component's manifest."""

    recipe: Recipe
    graph: Graph
    component: Component
    template: PodTemplate
    name: str
    value: Value

    @property
    def container(self) -> Value | None:
        """The container that has it."""
        return next((c for c in self.template.containers if c.get(self.name) is self.value), None)


def find_target_port(probe: Value) -> Value | None:
    """The port that a probe requests, by number or name."""
    ports = (probe.get(handler, "port") for handler in ("httpGet", "tcpSocket"))
    return next(filter(None, ports), None)


def find_main(template: PodTemplate) -> Value | None:
    main = template.spec.get("mainContainer")
    named = [container for container in template.containers if container.get_text("name") == "main"]
    return main or next(iter(named or template.containers), None)


def list_named_ports(container: Value | None) -> dict[str, int] | None:
    """The numbers of a container's ports by name, 0 if unknown; None if it lists none, or unknown names."""
    ports = container.get_items("ports") if container is not None else []
    names = [port.get_text("name") for port in ports]
    if not ports or any("$" in name for name in names):
        return None
    numbers = [port.get("containerPort") for port in ports]
    return {
        name: number.data if number is not None and isinstance(number.data, int) else 0
        for name, number in zip(reversed(names), reversed(numbers), strict=True)  # the first of a name counts
        if name
    }
