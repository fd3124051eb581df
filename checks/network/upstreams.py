"""Checks that what calls an engine by URL finds its Service, its port and its model."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, warn
from dynocheck.checks.engine._callers import map_services
from dynocheck.core.fixes import replace_words
from dynocheck.engines import EngineInstance, find_instances
from dynocheck.facts import (
    POD_TEMPLATE_PATHS,
    Manifest,
    PodTemplate,
    Recipe,
    Recipes,
    Value,
    has_variable,
    label_pods,
    list_pod_templates,
    may_match_any,
    to_selector,
)

_URL = re.compile(r"(https?)://([a-z0-9][a-z0-9.-]{0,252})(?::(\d{1,5}))?(/[^\s\"'<>]{0,500})?")
_SEPARATORS = re.compile(r"[,;](?=\s*http)")  # of Open WebUI's addresses, and of those of routers
_PORTS = {"http": 80, "https": 443}
_ENTRY = re.compile(r"\s*(?:-\s+)?(model|api_base):\s+[\"']?([^\s\"'#]{1,300})[\"']?\s*(?:#.*)?")
_ASKS = ("openai/", "hosted_vllm/", "text-completion-openai/")  # providers that send the rest as the model


class _Service(NamedTuple):
    manifest: Manifest
    namespace: str

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def ports(self) -> list[int]:
        ports = self.manifest.root.get_items("spec", "ports")
        found = [each.get("port") for each in ports]
        return [each.data for each in found if each is not None and isinstance(each.data, int)]

    @property
    def forwards(self) -> bool:
        """Whether it has an address of its own, at which its ports alone are open."""
        root = self.manifest.root
        headless = root.get_text("spec", "clusterIP") == "None"
        return not headless and root.get_text("spec", "type") != "ExternalName" and bool(self.ports)


class _Upstream(NamedTuple):
    """A URL that a pod or a router's configuration calls, and the model that it asks for there, if any."""

    owner: str
    namespace: str
    url: str
    place: Location
    model: str = ""
    model_place: Location | None = None


@check("network.upstreams", title="URLs of engines lead to a port of their Service, and to a model there")
def upstreams(recipes: Recipes) -> Iterator[Result]:
    """A router or a client with the URL of an engine gets no answer at a port that the Service does not
    have, and none under the name of a workload: only Services have names in the cluster's DNS. LiteLLM sends
    what follows `openai/` or `hosted_vllm/` as the model, and an engine that serves another answers 404.

    Judged are variables and arguments of containers that are a URL or a list of them, and the `api_base` of
    LiteLLM's models in ConfigMaps, where the host is a Service or a workload of the recipe. A headless
    Service has no ports of its own, and to a URL that ends with the host the program may add one.

    Fix: http://SERVICE:PORT, with the name and a port of kubectl get service
    """
    count = 0
    for recipe in recipes:
        services = list(_list_services(recipe))
        by_place: dict[tuple[str, str], list[_Service]] = {}  # variants use the same names
        for each in services:
            by_place.setdefault((each.namespace, each.name), []).append(each)
        engines = map_services(recipe) if services else {}
        for upstream in _list_upstreams(recipe) if services else ():
            host, port = _read_url(upstream)
            named = by_place.get(host, [])
            if not named:
                findings = list(_check_workload(recipe, upstream, host, services))
            else:
                findings = list(_check_port(upstream, named, port))
                servers = engines.get(host[1], []) if len(named) == 1 else []
                found = [each for server in servers for each in find_instances(server)]
                findings += _check_model(upstream, found[0]) if len(found) == 1 else []
            count += bool(named) or bool(findings)
            yield from findings
    if not count:
        raise Skip("no URL of a Service or a workload of the recipe")
    yield judged(count, "URLs")


def _list_services(recipe: Recipe) -> Iterator[_Service]:
    for manifest in recipe.manifests:
        if manifest.kind == "Service" and not manifest.group:
            yield _Service(manifest, manifest.root.get_text("metadata", "namespace"))


def _list_upstreams(recipe: Recipe) -> Iterator[_Upstream]:
    for template in list_pod_templates(recipe):
        for container in template.containers:
            words = [*container.get_items("command"), *container.get_items("args")]
            values = [value for env in container.get_items("env") if (value := env.get("value")) is not None]
            for value in (*values, *words):
                text = value.text or ""
                listed = text.partition("=")[2] if text.startswith("--") else text
                urls = [url for each in _SEPARATORS.split(listed) if (url := each.strip())]
                place = Location(template.manifest.file, value.line, value.column)
                for url in urls if all(map(_URL.fullmatch, urls)) else ():
                    yield _Upstream(template.owner, template.namespace or "", url, place)
    for manifest in recipe.own_manifests:
        data = manifest.root.get("data") if manifest.kind == "ConfigMap" else None
        for value in data.mapping.values() if data is not None else ():
            yield from _read_models(manifest, value)


def _read_models(manifest: Manifest, value: Value) -> Iterator[_Upstream]:
    """The models of LiteLLM's configuration, each with its `api_base`."""
    text = value.text or ""
    if "api_base" not in text or "model_list" not in text:
        return
    namespace = manifest.root.get_text("metadata", "namespace")
    found: dict[str, tuple[str, Location]] = {}
    for i, line in enumerate([*text.splitlines(), "- model_name:"]):
        if line.lstrip().startswith("- model_name"):
            url, place = found.get("api_base", ("", Location(manifest.file)))
            if _URL.fullmatch(url):
                owner = f"ConfigMap {manifest.name}"
                yield _Upstream(owner, namespace, url, place, *found.get("model", ("", None)))
            found = {}
        elif match := _ENTRY.fullmatch(line):
            found[match[1]] = (match[2], Location(manifest.file, value.line + 1 + i))


def _read_url(upstream: _Upstream) -> tuple[tuple[str, str], int | None]:
    """The namespace and the name of the Service that a URL names, and its port; None if the program may add
    it to a URL that ends with the name.
    """
    match = _URL.fullmatch(upstream.url)
    assert match is not None
    name, dot, rest = match[2].partition(".")
    namespace, _, domain = rest.partition(".")
    if dot and domain.split(".")[0] not in ("", "svc"):
        return ("", ""), None  # of another domain
    usual = _PORTS[match[1]] if match[4] and match[4] != "/" else None
    return (namespace if dot else upstream.namespace, name), int(match[3]) if match[3] else usual


def _check_port(upstream: _Upstream, services: list[_Service], port: int | None) -> Iterator[Finding]:
    known = sorted({number for service in services for number in service.ports})
    if port is not None and port not in known and all(service.forwards for service in services):
        yield fail(
            f"{upstream.owner} calls port {port} of Service {services[0].name}, which has "
            f"{', '.join(map(str, known))}",
            fix=f"write port {services[0].ports[0]}",
            evidence={"url": upstream.url},
            location=upstream.place,
        )


def _check_workload(
    recipe: Recipe, upstream: _Upstream, host: tuple[str, str], services: list[_Service]
) -> Iterator[Finding]:
    """Reports the name of a workload, whose pods a Service of another name has."""
    templates = [
        each
        for each in list_pod_templates(recipe)
        if each.manifest.kind in POD_TEMPLATE_PATHS  # controllers of others make Services themselves
        and (each.namespace or "", each.manifest.name) == host
    ]
    behind = [each for each in services if any(_selects(recipe, each, template) for template in templates)]
    if behind:
        yield warn(
            f"{upstream.owner} calls {host[1]}, of which there is no Service: {templates[0].owner} is behind "
            f"Service {behind[0].name}",
            fix=replace_words(host[1], behind[0].name),
            evidence={"url": upstream.url},
            location=upstream.place,
        )


def _selects(recipe: Recipe, service: _Service, template: PodTemplate) -> bool:
    selector = service.manifest.root.get("spec", "selector")
    if selector is None or service.namespace != (template.namespace or ""):
        return False
    pod = next(each for each in label_pods(recipe) if each.template is template)
    return may_match_any(to_selector(selector), [pod])


def _check_model(upstream: _Upstream, engine: EngineInstance) -> Iterator[Finding]:
    """Reports a model that LiteLLM asks an engine for, which serves others."""
    provider = next((each for each in _ASKS if upstream.model.startswith(each)), None)
    names = _list_names(engine)
    if (
        provider is None
        or names is None
        or any(map(has_variable, names))
        or upstream.model.removeprefix(provider) in names
    ):
        return
    yield fail(
        f"{upstream.owner} asks {engine.name} for {upstream.model.removeprefix(provider)}, it serves "
        f"{', '.join(sorted(names))}",
        fix=replace_words(upstream.model, f"{provider}{min(names)}"),
        location=upstream.model_place,
    )


def _list_names(engine: EngineInstance) -> set[str] | None:
    """The names under which an engine serves; None if they are not all known, as with adapters."""
    named = engine.given.get("served-model-name")
    adapters = engine.given.get("enable-lora", "lora-modules", "lora-paths", "lora-adapters")
    if engine.engine.name not in ("vllm", "sglang") or not engine.given.complete or adapters is not None:
        return None
    if named is None:
        return {engine.model} if engine.model else None
    if isinstance(named.value, list) and all(isinstance(each, str) for each in named.value):
        return set(named.value)
    words = [word.text for word in engine.launch.words]
    at = next((i for i, word in enumerate(words) if word == "--served-model-name"), None)
    following = [] if at is None else words[at + 1 :]
    names: set[str] = {named.value} if isinstance(named.value, str) else set()
    for word in following:
        if word is None:
            return None
        if word.startswith("-"):
            break
        names.add(word)
    return names or None
