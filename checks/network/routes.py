"""Checks the routes to engines in front of their Services."""

import re
from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, check, warn
from dynocheck.core.fixes import remove, set_value
from dynocheck.facts import Manifest, Recipe, Recipes, Value, label_pods, may_match_any, to_selector

_REPEATS = re.compile(r"(^|,)\s*(5xx|gateway-error|reset|retriable-status-codes|5\d\d)\s*(,|$)")
_CLASS = "kubernetes.io/ingress.class"
_HASH = "nginx.ingress.kubernetes.io/upstream-hash-by"
_PATHS = ("$request_uri", "$uri", "$host$request_uri", "$host", "$http_host")  # the same for all requests
_SAME = (":path", ":authority", ":method", "host", "content-type")  # headers that are so too


@check("network.routes", title="Routes spread requests over pods and do not repeat them")
def routes(recipes: Recipes) -> Iterator[Finding]:
    """A generation that a proxy sends again, because its connection was reset or its answer was 5xx, is
    computed twice, by servers that were too slow already. A hash of the request's path is the same for every
    request, so that one pod gets them all. The API server warns of an Ingress that names its class by an
    annotation, which is deprecated since Kubernetes 1.18 (pkg/registry/networking/ingress/strategy.go).

    Judged are Istio's VirtualServices and DestinationRules, HTTPRoutes and ingress-nginx' Ingresses that lead
    to a Service of the recipe which selects pods with an engine.

    Fix: retries: {attempts: 2, retryOn: "connect-failure,refused-stream"}
    """
    judged = False
    for recipe in recipes:
        services = _list_engine_services(recipe)
        for manifest in recipe.own_manifests if services else ():
            for findings in _judge_routes(manifest, services):
                judged = True
                yield from findings
    if not judged:
        raise Skip("no route of Istio, of a Gateway or of ingress-nginx leads to an engine")


def _judge_routes(manifest: Manifest, services: set[str]) -> Iterator[Iterator[Finding]]:
    """The findings of each route of an object that leads to one of these Services."""
    root = manifest.root
    if manifest.kind == "VirtualService":
        for route in root.get_items("spec", "http"):
            if any(_get_service(host) in services for host in _list_hosts(route)):
                yield _check_retries(manifest, route)
    elif manifest.kind == "HTTPRoute":
        for rule in root.get_items("spec", "rules"):
            if any(each.get_text("name") in services for each in rule.get_items("backendRefs")):
                yield _check_codes(manifest, rule)
    elif manifest.kind == "DestinationRule" and _get_service(root.get_text("spec", "host")) in services:
        yield _check_header(manifest)
    elif manifest.kind == "Ingress" and _leads_to(manifest, services):
        yield _check_hash(manifest)
        yield _check_class(manifest)


def _list_engine_services(recipe: Recipe) -> set[str]:
    """The names of the Services that select pods with an engine."""
    places = {
        (server.file, each.line, each.column) for server in recipe.servers for each in server.components
    }
    graphs = {(graph.file, graph.name) for graph in recipe.graphs}
    pods = [
        pod
        for pod in label_pods(recipe)
        if (pod.template.manifest.file, pod.template.spec.line, pod.template.spec.column) in places
        or (pod.template.of_graph and (pod.template.manifest.file, pod.template.manifest.name) in graphs)
    ]
    selectors = [
        (manifest.name, selector)
        for manifest in recipe.manifests
        if manifest.kind == "Service" and (selector := manifest.root.get("spec", "selector")) is not None
    ]
    return {name for name, labels in selectors if may_match_any(to_selector(labels), pods)}


def _list_hosts(route: Value) -> Iterator[str]:
    for target in route.get_items("route"):
        yield target.get_text("destination", "host")


def _get_service(host: str) -> str:
    """The Service that a host such as NAME.NAMESPACE.svc.cluster.local names."""
    return host.partition(".")[0]


def _leads_to(ingress: Manifest, services: set[str]) -> bool:
    backends = [*(ingress.root.get("spec") or Value(None, 1, 1)).find_all("service")]
    return any(each.get_text("name") in services for each in backends)


def _check_retries(manifest: Manifest, route: Value) -> Iterator[Finding]:
    retries = route.get("retries")
    attempts = retries.get("attempts") if retries is not None else None
    when = retries.get("retryOn") if retries is not None else None
    if when is None or attempts is None or not attempts.data or not _REPEATS.search(when.text or ""):
        return
    yield warn(
        f"VirtualService {manifest.name} sends a request again after {when.text}: "
        "a generation that has begun is computed again",
        fix=set_value("retries.retryOn", "connect-failure,refused-stream"),
        location=Location(manifest.file, when.line, when.column),
    )


def _check_codes(manifest: Manifest, rule: Value) -> Iterator[Finding]:
    """Reports a rule of an HTTPRoute that sends a request again after an answer of 5xx."""
    codes = rule.get("retry", "codes")
    numbers = [each.data for each in codes.sequence] if codes is not None else []
    failed = [number for number in numbers if isinstance(number, int) and number >= 500]
    attempts = rule.get("retry", "attempts")
    if codes is not None and failed and (attempts is None or attempts.data):
        yield warn(
            f"HTTPRoute {manifest.name} sends a request again after {', '.join(map(str, failed))}: "
            "a generation that has begun is computed again",
            fix=remove("retry.codes"),
            location=Location(manifest.file, codes.line, codes.column),
        )


def _check_header(rule: Manifest) -> Iterator[Finding]:
    """Reports a hash of a header that all requests have alike."""
    for policy in rule.root.find_all("consistentHash"):
        header = policy.get("httpHeaderName")
        if header is not None and (header.text or "").lower() in _SAME:
            yield warn(
                f"DestinationRule {rule.name} chooses the pod by {header.text}, which all completions share: "
                "one pod gets them all",
                fix=set_value("httpHeaderName", "x-user-id", "or another header that differs between users"),
                location=Location(rule.file, header.line, header.column),
            )


def _check_hash(ingress: Manifest) -> Iterator[Finding]:
    key = ingress.root.get("metadata", "annotations", _HASH)
    if key is not None and key.text in _PATHS:
        yield warn(
            f"Ingress {ingress.name} chooses the pod by {key.text}, which all completions share: "
            "one pod gets them all",
            fix=remove(_HASH, "or hash a header that differs between users"),
            location=Location(ingress.file, key.line, key.column),
        )


def _check_class(ingress: Manifest) -> Iterator[Finding]:
    name = ingress.root.get("metadata", "annotations", _CLASS)
    if name is not None and ingress.root.get("spec", "ingressClassName") is None:
        yield warn(
            f"Ingress {ingress.name} names its class by an annotation, deprecated since Kubernetes 1.18",
            fix=set_value("spec.ingressClassName", name.text, "in place of the annotation"),
            location=Location(ingress.file, name.line, name.column),
        )
