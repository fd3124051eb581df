"""Checks that the traces of engines arrive at a collector."""

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, unjudged, warn
from dynocheck.core.fixes import set_argument, set_variable
from dynocheck.engines import EngineInstance, find_instances
from dynocheck.facts import (
    Graph,
    Manifest,
    Namespace,
    Recipe,
    Recipes,
    ServiceEndpoints,
    find_server_template,
)

_FLAG = "otlp-traces-endpoint"
_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOL = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
_PROTOCOLS = {"grpc": 4317, "http/protobuf": 4318}
_INJECTED = "sidecar.opentelemetry.io/inject"  # to OpenTelemetry's operator
_LOCAL = ("localhost", "127.0.0.1", "0.0.0.0", "::1")  # noqa: S104


class _Endpoint(NamedTuple):
    """Where an engine sends its traces, with the flag or variable that says so, and that one's value."""

    recipe: Recipe
    graph: Graph
    engine: EngineInstance
    spelled: str
    text: str
    location: Location

    @property
    def host(self) -> str:
        try:
            return urlsplit(self.text if "://" in self.text else f"//{self.text}").hostname or ""
        except ValueError:
            return ""

    @property
    def port(self) -> int | None:
        try:
            return urlsplit(self.text if "://" in self.text else f"//{self.text}").port
        except ValueError:
            return None

    @property
    def namespace(self) -> str | None:
        """The namespace in its manifest; None if it names none."""
        manifests = (m for m in self.recipe.manifests if m.file == self.graph.file)
        found = (m.root.get_text("metadata", "namespace") for m in manifests if m.name == self.graph.name)
        return next(found, "") or None


@check("monitoring.traces", title="Traces are sent to a collector that exists")
def traces(
    recipes: Recipes, services: ServiceEndpoints | None = None, namespace: Namespace | None = None
) -> Iterator[Result]:
    """An engine whose OTLP endpoint does not resolve serves on, but its traces are lost, and each batch of
    them is tried again and logged as an error. localhost is the pod itself. vLLM sends gRPC, for which
    collectors listen on port 4317, unless OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is http/protobuf, for which they
    listen on 4318 at the path /v1/traces; it ends at another protocol.

    Services are looked up in the recipe, and with --cluster in the cluster; hosts outside are not judged.

    Source: vllm/tracing/otel.py of vLLM 0.32.0, https://opentelemetry.io/docs/specs/otlp/

    Fix: --otlp-traces-endpoint http://COLLECTOR.NAMESPACE:4317
    """
    endpoints = [
        endpoint
        for recipe in recipes
        for graph in recipe.deployments
        for engine in find_instances(graph)
        for endpoint in _find_endpoints(recipe, graph, engine)
    ]
    if not endpoints:
        raise Skip("no engine with an OTLP endpoint that the recipe spells out")
    for endpoint in endpoints:
        yield from _check_protocol(endpoint)
        yield from _check_host(endpoint, services, namespace)


def _find_endpoints(recipe: Recipe, graph: Graph, engine: EngineInstance) -> Iterator[_Endpoint]:
    """The endpoint of an engine's flag, else of its variable, if it is known."""
    given = engine.given.get(_FLAG)
    if given is not None:
        if isinstance(given.value, str) and "$" not in given.value:
            place = Location(given.file, given.line, given.column)
            yield _Endpoint(recipe, graph, engine, given.spelled or given.name, given.value, place)
        return
    for name in _VARIABLES:
        variable = engine.find_variable(name)
        if variable is not None:
            if variable.value and "$" not in variable.value:
                place = Location(graph.file, variable.line, variable.column)
                yield _Endpoint(recipe, graph, engine, name, variable.value, place)
            return


def _check_protocol(endpoint: _Endpoint) -> Iterator[Finding]:
    """Reports a protocol that vLLM does not know, or another one's port or path."""
    engine, variable = endpoint.engine, endpoint.engine.find_variable(_PROTOCOL)
    protocol = "grpc" if variable is None else variable.value
    if engine.engine.name != "vllm" or endpoint.graph.of_dynamo or protocol is None:
        return
    if protocol not in _PROTOCOLS:
        yield fail(
            f"{engine.name}: {_PROTOCOL} is {protocol}, vLLM takes grpc and http/protobuf: it does not start",
            fix=set_variable(_PROTOCOL, "grpc"),
            location=Location(endpoint.graph.file, variable.line, variable.column) if variable else None,
        )
    elif endpoint.port in _PROTOCOLS.values() and endpoint.port != _PROTOCOLS[protocol]:
        yield warn(
            f"{engine.name} sends {protocol} to port {endpoint.port}, at which collectors expect "
            + ("HTTP" if protocol == "grpc" else "gRPC"),
            fix=set_argument(
                endpoint.spelled, endpoint.text.replace(str(endpoint.port), str(_PROTOCOLS[protocol]))
            ),
            location=endpoint.location,
        )
    elif protocol != "grpc" and not urlsplit(endpoint.text).path.strip("/"):
        yield warn(
            f"{engine.name} sends its traces to {endpoint.text} as it is, collectors take them at /v1/traces",
            fix=set_argument(endpoint.spelled, f"{endpoint.text.rstrip('/')}/v1/traces"),
            location=endpoint.location,
        )


def _check_host(
    endpoint: _Endpoint, services: ServiceEndpoints | None, namespace: Namespace | None
) -> Iterator[Result]:
    host, engine = endpoint.host, endpoint.engine
    name, *labels = host.split(".")
    own = endpoint.namespace or (namespace.name if namespace is not None else None)
    wanted = labels[0] if labels else own
    alike = [m for m in endpoint.recipe.manifests if m.kind == "Service" and m.name == name]
    found = [m for m in alike if wanted in (None, _get_namespace(m, own)) or _get_namespace(m, own) is None]
    if host in _LOCAL:
        yield judged(1, "endpoints")
        if not _has_company(endpoint):
            yield _report(endpoint, f"{engine.name} sends its traces to its own pod, which has no collector")
    elif not host or (len(labels) > 1 and labels[1] != "svc"):
        return  # outside of the cluster
    elif found:
        yield judged(1, "endpoints")
        if endpoint.port is not None and not any(_has_port(m, endpoint.port) for m in found):
            yield _report(endpoint, f"{engine.name}: Service {name} has no port {endpoint.port}")
    elif alike and not labels:
        yield judged(1, "endpoints")
        other = _get_namespace(alike[0], own)
        yield warn(
            f"{engine.name} sends its traces to {host}, a Service of namespace {other}, not of its own",
            fix=set_argument(endpoint.spelled, endpoint.text.replace(host, f"{host}.{other}")),
            location=endpoint.location,
        )
    elif services is not None and wanted is not None:
        yield from _check_live(endpoint, f"{wanted}/{name}", services)
    else:
        yield unjudged(
            f"{engine.name}: {host}",
            why="the Service to which it sends its traces is not in the recipe",
            needs="--cluster",
            location=endpoint.location,
        )


def _check_live(endpoint: _Endpoint, service: str, services: ServiceEndpoints) -> Iterator[Result]:
    yield judged(1, "endpoints")
    ready = services.ready.get(service)
    if not ready and service not in services.external:
        problem = "does not exist or has no endpoints" if ready is None else "has no ready endpoint"
        yield _report(endpoint, f"{endpoint.engine.name} sends its traces to {service}, which {problem}")


def _report(endpoint: _Endpoint, message: str) -> Finding:
    return warn(
        f"{message}: they are lost",
        fix="kubectl get service -A | grep -e otel -e tempo -e jaeger, and name one of them",
        location=endpoint.location,
    )


def _has_company(endpoint: _Endpoint) -> bool:
    """Whether a collector may listen in the engine's pod or on its node, or what else is in it is unknown."""
    template = find_server_template(endpoint.recipe, endpoint.graph, endpoint.engine.component)
    if template is None or template.partial:
        return True
    host = template.spec.get("hostNetwork")
    injected = any(template.manifest.root.find_all(_INJECTED))
    return injected or len(template.containers) > 1 or (host is not None and host.data is True)


def _get_namespace(manifest: Manifest, own: str | None) -> str | None:
    """The namespace of an object, which is that of the engine if it names none."""
    return manifest.root.get_text("metadata", "namespace") or own


def _has_port(service: Manifest, port: int) -> bool:
    """Whether a Service listens on a port; one without a virtual address leads to each port of its pods."""
    if service.root.get_text("spec", "clusterIP") == "None" or service.root.get("spec", "externalName"):
        return True
    return any(
        each.data == port
        for item in service.root.get_items("spec", "ports")
        for each in [item.get("port")]
        if each
    )
