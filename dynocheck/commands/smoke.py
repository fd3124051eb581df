"""`dynocheck smoke`: sends requests to a deployment or URL and judges the answers."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

from dynocheck.commands._endpoint_options import EndpointOptions
from dynocheck.commands._run import Run, RunContext
from dynocheck.core.errors import UsageError
from dynocheck.core.options import CommonOptions
from dynocheck.facts import (
    SIMULATED_OWNER,
    Address,
    EndpointFact,
    Fact,
    LoadFact,
    LoadLimits,
    Readiness,
    Server,
)
from dynocheck.kube import Cluster
from dynocheck.kube.auth_export import export_auth
from dynocheck.probes.endpoint._client import Target
from dynocheck.probes.endpoint.graph import DeploymentRef
from dynocheck.probes.endpoint.workload import BY_PROXY, read_key_secret
from dynocheck.probes.load.run import UserLimits
from dynocheck.serving import Endpoint, SecretValue


@dataclass(frozen=True, kw_only=True)
class SmokeOptions(EndpointOptions):
    """The options of smoke; times are in seconds."""

    deployment: str | None = None
    via: str | None = None
    budget_s: float = 300.0
    request_s: float = 60.0
    requests: int = 24
    tools: bool = False
    structured: bool = False


def run(common: CommonOptions, options: SmokeOptions) -> int:
    """Probe the endpoint and judge it.

    :return: the exit code.
    :raises UsageError: an option cannot be used.
    """
    if options.url and (options.deployment or options.via):
        raise UsageError("--url: not with a deployment or --via")
    if options.recipe and not options.url:
        raise UsageError("--recipe: only with --url; a live graph has its own limits")
    if not common.select:  # load.limits reports what load.client would, where there are limits
        common = replace(common, skip=(*common.skip, "load.client"))
    run = Run.begin("smoke", common, (EndpointFact, LoadFact), options.judged_paths)
    context = _make_url_context(options) if options.url else _make_cluster_context(common, options)
    limits = UserLimits(options.resolve_limits(run.config))
    return run.judge(context=replace(context, sources={**context.sources, UserLimits: limits}))


def _make_url_context(options: SmokeOptions) -> RunContext:
    endpoint = options.make_endpoint(options.url or "")
    target = _make_target(options, lambda _: endpoint)
    shown = f"{'https' if endpoint.is_secure else 'http'}://{endpoint.authority}{endpoint.base_path}"
    return RunContext(
        sources={Target: target},
        facts={Address: Address(url=shown)},
        describe_target=_describe_target,
        describe_waiting=lambda: target.waiting.text,
    )


def _make_cluster_context(common: CommonOptions, options: SmokeOptions) -> RunContext:
    from dynocheck import kube

    connection = kube.find_connection(common.kubeconfig, common.context, common.namespace)
    cluster = Cluster(connection, timeout_s=common.timeout_s)
    read_key = cache(partial(read_key_secret, cluster))

    def reach(address: Address) -> Endpoint:
        if address.way != BY_PROXY:
            key = None if options.has_key else read_key(address.key_secret)
            return options.make_endpoint(address.url, key, headers=address.headers)
        if options.has_key:
            raise UsageError(
                "the API server's proxy removes the key; use --via gateway, or kubectl port-forward and --url"
            )
        return _make_proxied_endpoint(cluster, address)

    target = _make_target(options, reach)
    return RunContext(
        sources={
            Target: target,
            DeploymentRef: DeploymentRef(options.deployment, options.via),
            Cluster: cluster,
        },
        describe_target=_describe_target,
        describe_waiting=lambda: target.waiting.text,
    )


def _make_target(options: SmokeOptions, reach: Any) -> Target:
    return Target(
        reach=reach,
        model=options.model,
        budget_s=options.budget_s,
        request_s=options.request_s,
        requests=options.requests,
        tools=options.tools,
        structured=options.structured,
    )


def _describe_target(facts: Mapping[type[Fact], Any]) -> dict[str, Any]:
    """The endpoint in the target of a report, with the way to it, which measured times include."""
    address: Address | None = facts.get(Address)
    readiness: Readiness | None = facts.get(Readiness)
    server: Server | None = facts.get(Server)
    limits: LoadLimits | None = facts.get(LoadLimits)
    target: dict[str, Any] = {}
    if address is not None:
        target |= {"deployment": address.deployment} if address.deployment else {}
        target |= {"url": address.url, "way": address.way}
    if readiness is not None and readiness.model:
        target["model"] = readiness.model
    if server is not None and server.name:
        target["server"] = f"{server.name} {server.version}".strip()
    elif readiness is not None and readiness.stage != "connect":
        target["server"] = "unknown; it does not say"
    if readiness is not None and readiness.owner == SIMULATED_OWNER:
        target["engine"] = "simulated: no model, no GPU"
    if limits is not None and limits.items:
        target["limits"] = limits.descriptions
    return target


@dataclass(frozen=True)
class _ProxiedEndpoint(Endpoint):
    """An endpoint behind the API server's proxy, with the credentials of the kubeconfig user."""

    context: ssl.SSLContext | None = None

    @property
    def ssl_context(self) -> ssl.SSLContext | None:
        return self.context


def _make_proxied_endpoint(cluster: Cluster, address: Address) -> Endpoint:
    """The endpoint at an address behind the API server's proxy.

    :raises Unavailable: the credentials cannot be loaded.
    """
    auth = export_auth(cluster.connection, timeout_s=cluster.timeout_s)
    headers = {**auth.headers, **address.headers}
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    key = SecretValue(token) if scheme == "Bearer" else None
    if key is not None:
        del headers["Authorization"]
    return _ProxiedEndpoint(address.url, key=key, headers=headers, context=auth.context, chunked=True)
