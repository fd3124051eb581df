"""`dynocheck smoke`: after deployment, whether an endpoint serves, by asking it."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dynocheck.commands._endpoint_options import EndpointOptions
from dynocheck.commands._pipeline import Run, RunContext, judge
from dynocheck.commands._settings import CommonOptions
from dynocheck.core.errors import UsageError
from dynocheck.facts import Fact
from dynocheck.facts.endpoint.answers import SIMULATED, Address, EndpointFact, Readiness
from dynocheck.facts.load.run import LoadFact, LoadLimits
from dynocheck.kube import Cluster
from dynocheck.kube.auth_export import export_auth
from dynocheck.probes.endpoint._client import Target
from dynocheck.probes.endpoint.address import BY_PROXY
from dynocheck.probes.endpoint.graph import DeploymentRef
from dynocheck.probes.load.run import UserLimits
from dynocheck.serving import Endpoint, SecretValue


@dataclass(frozen=True, kw_only=True)
class SmokeOptions(EndpointOptions):
    """What the command line says of the endpoint; the times are in seconds."""

    deployment: str | None = None
    via: str | None = None
    budget_s: float = 300.0
    request_s: float = 60.0
    requests: int = 24
    tools: bool = False
    structured: bool = False


def run(choices: CommonOptions, asked: SmokeOptions) -> int:
    """Ask and judge.

    :raises UsageError: what the user gave cannot be used.
    """
    if asked.url and (asked.deployment or asked.via):
        raise UsageError("--url says where the endpoint is: leave out the deployment and --via")
    if asked.recipe and not asked.url:
        raise UsageError("--recipe: only with --url; a live graph says itself what it must keep")
    if not choices.select:  # what hangs on a number is load.limits, which says itself where there is none
        choices = replace(choices, skip=(*choices.skip, "load.client"))
    run = Run.begin("smoke", choices, (EndpointFact, LoadFact))
    scene = _make_url_context(asked) if asked.url else _make_cluster_context(choices, asked)
    promised = UserLimits(asked.resolve_limits(run.setting))
    return judge(run, scene=replace(scene, sources={**scene.sources, UserLimits: promised}))


def _make_url_context(asked: SmokeOptions) -> RunContext:
    endpoint = asked.make_endpoint(asked.url or "")
    target = _make_target(asked, lambda _: endpoint)
    shown = f"{'https' if endpoint.is_secure else 'http'}://{endpoint.authority}{endpoint.base_path}"
    return RunContext(
        sources={Target: target},
        facts={Address: Address(url=shown)},
        describe=_describe_run,
        doing=lambda: target.waiting.text,
    )


def _make_cluster_context(choices: CommonOptions, asked: SmokeOptions) -> RunContext:
    from dynocheck import kube

    connection = kube.find_connection(choices.kubeconfig, choices.context, choices.namespace)
    cluster = Cluster(connection, timeout_s=choices.timeout_s)

    def reach(address: Address) -> Endpoint:
        if address.way != BY_PROXY:
            return asked.make_endpoint(address.url, headers=address.headers)
        if asked.has_key:
            raise UsageError(
                "a key goes no further than the API server, whose proxy takes it out: "
                "say --via gateway, or kubectl port-forward and --url"
            )
        return _make_proxied_endpoint(cluster, address)

    target = _make_target(asked, reach)
    return RunContext(
        sources={Target: target, DeploymentRef: DeploymentRef(asked.deployment, asked.via), Cluster: cluster},
        describe=_describe_run,
        doing=lambda: target.waiting.text,
    )


def _make_target(asked: SmokeOptions, reach: Any) -> Target:
    return Target(
        reach=reach,
        model=asked.model,
        budget_s=asked.budget_s,
        request_s=asked.request_s,
        requests=asked.requests,
        tools=asked.tools,
        structured=asked.structured,
    )


def _describe_run(facts: Mapping[type[Fact], Any]) -> dict[str, Any]:
    """The way that was taken is said: numbers that were measured on it are of it too."""
    address: Address | None = facts.get(Address)
    readiness: Readiness | None = facts.get(Readiness)
    limits: LoadLimits | None = facts.get(LoadLimits)
    found: dict[str, Any] = {}
    if address is not None:
        found |= {"deployment": address.deployment} if address.deployment else {}
        found |= {"url": address.url, "way": address.way}
    if readiness is not None and readiness.model:
        found["model"] = readiness.model
    if readiness is not None and readiness.owner == SIMULATED:
        found["engine"] = "simulated: no model, no GPU"
    if limits is not None and limits.items:
        found["limits"] = limits.descriptions
    return found


@dataclass(frozen=True)
class _ProxiedEndpoint(Endpoint):
    """An endpoint behind an API server, which is asked as the user of the kubeconfig."""

    context: ssl.SSLContext | None = None

    @property
    def tls(self) -> ssl.SSLContext | None:
        return self.context


def _make_proxied_endpoint(cluster: Cluster, address: Address) -> Endpoint:
    """What is asked at an address behind the API server.

    :raises Unavailable: its credentials cannot be made.
    """
    lent = export_auth(cluster.connection, timeout_s=cluster.timeout_s)
    headers = {**lent.headers, **address.headers}
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    key = SecretValue(token) if scheme == "Bearer" else None
    if key is not None:
        del headers["Authorization"]
    return _ProxiedEndpoint(address.url, key=key, headers=headers, context=lent.context, chunked=True)
