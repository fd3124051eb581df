"""Whether the pods of a recipe are probed where they answer, and placed by rules that mean somebody."""

from collections.abc import Iterator
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.engines import engine_of
from dynocheck.facts import Recipes
from dynocheck.facts.labels import CLASS, COMPONENT, GRAPH, SUBTYPE, TYPE, LabelledPod, labelled, may_match
from dynocheck.facts.pods import PodTemplate, templates
from dynocheck.facts.recipe import Component, Container, Recipe, Value
from dynocheck.scheduling.selectors import expression_text

_PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
_SYSTEM = 9090  # what the operator has the status server of every component listen on
_HTTP = 8000
_SYSTEM_PATHS = ("/live", "/health", "/metrics")
_HTTP_PATHS = (*_SYSTEM_PATHS, "/v1/models", "/openapi.json", "/docs")
_SIDES = {"podAffinity": "wants to be near", "podAntiAffinity": "keeps away from"}
_RULE = "DuringSchedulingIgnoredDuringExecution"


@check("graph.probes", title="Probes ask where a component answers")
def probes(recipes: Recipes) -> Iterator[Finding]:
    """A probe of a port that nobody listens on fails, and the kubelet starts the container again and again,
    or never calls it ready.

    A worker of Dynamo answers `/live` and `/health` on port 9090, or the one that DYN_SYSTEM_PORT names; a
    frontend on port 8000 too, or the one of `--http-port` or DYN_HTTP_PORT. Named ports, ports that
    the container declares for something else, and containers that start nothing of Dynamo are not judged,
    nor paths where variables may move them.

    Fix: httpGet: {path: /live, port: 9090}
    """
    judged = False
    for recipe in recipes:
        pods = {(t.manifest.file, t.around.line, t.around.column): t for t in templates(recipe) if t.of_graph}
        for graph in recipe.graphs:
            for component in graph.components:
                template = pods.get((graph.file, component.line, component.column))
                answers = _answers(component)
                for name, probe in _probes(template) if template and answers else ():
                    judged = True
                    yield from _asked(template, component, name, probe, answers)
    if not judged:
        raise Skip("no component of a graph brings a probe of its own")


def _answers(component: Component) -> dict[int, tuple[str, ...]]:
    """The paths that its main container answers, by port; none when that is not known."""
    main = component.main
    if main is None:
        return {}
    system = _number(main, "DYN_SYSTEM_PORT", _SYSTEM)
    frontends = [launch for launch in main.launches if launch.module == "dynamo.frontend"]
    if any(engine_of(launch) for launch in main.launches):
        return {system: _SYSTEM_PATHS} if system else {}
    if not frontends:
        return {}
    words = [word.text for word in frontends[0].words]
    http = _number(main, "DYN_HTTP_PORT", _HTTP)
    for i, text in enumerate(words):
        name, equals, value = (text or "").partition("=")
        if name == "--http-port":
            following = words[i + 1] if i + 1 < len(words) else None
            given = value if equals else following or ""
            http = int(given) if given.isdecimal() else None
    return {system: _SYSTEM_PATHS, http: _HTTP_PATHS} if system and http and None not in words else {}


def _number(container: Container, name: str, default: int) -> int | None:
    found = container.variable(name)
    if found is None:
        return default
    return int(found.value) if found.value and found.value.isdecimal() else None


def _main(template: PodTemplate) -> Value | None:
    main = template.spec.get("mainContainer")
    named = [c for c in template.containers if (name := c.get("name")) is not None and name.text == "main"]
    return main or next(iter(named or template.containers), None)


def _probes(template: PodTemplate) -> Iterator[tuple[str, Value]]:
    main = _main(template)
    for holder in (template.around, main):
        for name in _PROBES:
            probe = holder.get(name) if holder is not None else None
            if probe is not None:
                yield name, probe


def _asked(
    template: PodTemplate, component: Component, name: str, probe: Value, answers: dict[int, tuple[str, ...]]
) -> Iterator[Finding]:
    asked = probe.get("httpGet") or probe.get("tcpSocket")
    port = asked.get("port") if asked else None
    if asked is None or port is None or not isinstance(port.data, int) or port.data in _declared(template):
        return
    place = Location(template.manifest.file, port.line, port.column)
    if port.data not in answers:
        ports = " and ".join(map(str, answers))
        yield fail(
            f"{component.name}: its {name} asks port {port.data}, it answers on {ports}",
            fix=f"set port: {next(iter(answers))}",
            location=place,
        )
        return
    path = asked.get("path")
    variables = component.main.env if component.main else ()
    moved = any(each.name.startswith("DYN_") and each.name.endswith("_PATH") for each in variables)
    if path is not None and path.text not in answers[port.data] and not moved:
        yield fail(
            f"{component.name}: its {name} asks for {path.text} on port {port.data}, "
            f"where it answers {', '.join(answers[port.data])}",
            fix="set path: /live, or /health",
            location=Location(template.manifest.file, path.line, path.column),
        )


def _declared(template: PodTemplate) -> set[int]:
    """The ports that its main container declares."""
    main = _main(template)
    ports = main.get("ports") if main is not None else None
    numbers = (port.get("containerPort") for port in (ports.sequence if ports else ()))
    return {number.data for number in numbers if number is not None and isinstance(number.data, int)}


class _Term(NamedTuple):
    """A rule that places a pod near others or away from them."""

    pod: LabelledPod
    side: str
    required: bool
    selector: Value

    @property
    def text(self) -> str:
        exact = self.selector.get("matchLabels")
        parts = [f"{key}={value.text}" for key, value in exact.mapping.items()] if exact else []
        expressions = self.selector.get("matchExpressions")
        parts += [expression_text(each.plain) for each in (expressions.sequence if expressions else ())]
        return ", ".join(parts)

    @property
    def keys(self) -> dict[str, set[str]]:
        """The values that are named for each label."""
        exact, expressions = self.selector.get("matchLabels"), self.selector.get("matchExpressions")
        found = {key: {value.text or ""} for key, value in exact.mapping.items()} if exact else {}
        for each in expressions.sequence if expressions else ():
            key, values = each.get("key"), each.get("values")
            named = {value.text or "" for value in values.sequence} if values else set()
            found.setdefault((key.text or "") if key else "", set()).update(named)
        return found


@check("graph.placement", title="Affinity rules mean pods that are there")
def placement(recipes: Recipes) -> Iterator[Finding]:
    """A rule to keep away from pods that no label fits keeps away from nobody; one that demands to be near
    them leaves its own pod Pending.

    The operator labels the pods of a graph with its name (`nvidia.com/dynamo-graph-deployment-name`, without
    the component's), the component's name and its type; workers have a class only beside an endpoint picker.
    Rules on those labels alone are judged, in recipes that hold a graph, and none that names another graph or
    other namespaces.

    Fix: select nvidia.com/dynamo-graph-deployment-name In [GRAPH] and nvidia.com/dynamo-component-type
    """
    judged = False
    for recipe in recipes:
        pods = list(labelled(recipe)) if recipe.graphs else []
        for term in (term for pod in pods for term in _terms(pod)):
            judged = True
            if not any(may_match(term.selector, pod.labels) for pod in pods):
                yield from _idle(recipe, term)
    if not judged:
        raise Skip("no pod is placed by the labels that Dynamo's operator gives")


def _terms(pod: LabelledPod) -> Iterator[_Term]:
    affinity = pod.template.spec.get("affinity")
    for side in _SIDES:
        for word in ("required", "preferred"):
            rules = affinity.get(side, f"{word}{_RULE}") if affinity else None
            for rule in rules.sequence if rules else ():
                term = rule.get("podAffinityTerm") or rule
                selector = term.get("labelSelector")
                elsewhere = term.get("namespaces") or term.get("namespaceSelector")
                if selector is not None and elsewhere is None:
                    found = _Term(pod, side, word == "required", selector)
                    if found.keys and set(found.keys) <= {GRAPH, COMPONENT, TYPE, SUBTYPE, CLASS}:
                        yield found


def _idle(recipe: Recipe, term: _Term) -> Iterator[Finding]:
    graphs = sorted(graph.name for graph in recipe.graphs)
    named = term.keys.get(GRAPH, set())
    meant = [graph for graph in graphs if any(name.startswith(f"{graph}-") for name in named)]
    if named and not named & set(graphs) and not meant:
        return  # of another deployment, which may be there
    waits = term.side == "podAffinity" and term.required
    hint = f"; the label holds the graph's name alone: {meant[0]}" if meant else ""
    effect = "it stays Pending" if waits else "the rule does nothing"
    where = term.pod.template
    yield (fail if waits else warn)(
        f"{where.owner} {_SIDES[term.side]} pods with {term.text}, and the recipe has none: {effect}{hint}",
        fix=f"select {GRAPH}={meant[0] if meant else graphs[0]} and {TYPE}",
        location=Location(where.manifest.file, term.selector.line, term.selector.column),
    )
