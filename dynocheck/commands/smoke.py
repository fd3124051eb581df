"""`dynocheck smoke`: after deployment, whether an endpoint serves, by asking it."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dynocheck.commands._endpoint_options import Served
from dynocheck.commands._pipeline import Run, Scene, judge
from dynocheck.commands._settings import Choices
from dynocheck.core.errors import UsageError
from dynocheck.facts import Fact
from dynocheck.facts.endpoint.answers import SIMULATED, Address, EndpointFact, Readiness
from dynocheck.facts.load.run import LoadFact, LoadLimits
from dynocheck.kube import Cluster
from dynocheck.kube.auth_export import lend
from dynocheck.probes.endpoint._client import Target
from dynocheck.probes.endpoint.address import BY_PROXY
from dynocheck.probes.endpoint.graph import Deployment
from dynocheck.probes.load.run import Promised
from dynocheck.serving import Endpoint, Secret


@dataclass(frozen=True, kw_only=True)
class Asked(Served):
    """What the command line says of the endpoint; the times are in seconds."""

    deployment: str | None = None
    via: str | None = None
    budget_s: float = 300.0
    request_s: float = 60.0
    requests: int = 24
    tools: bool = False
    structured: bool = False


def run(choices: Choices, asked: Asked) -> int:
    """Ask and judge.

    :raises UsageError: what the user gave cannot be used.
    """
    if asked.url and (asked.deployment or asked.via):
        raise UsageError("--url says where the endpoint is: leave out the deployment and --via")
    if asked.recipe and not asked.url:
        raise UsageError("--recipe: only with --url; a live graph says itself what it must keep")
    if not choices.select:  # what hangs on a number is load.limits, which says itself where there is none
        choices = replace(choices, skip=(*choices.skip, "load.client"))
    run = Run.begun("smoke", choices, (EndpointFact, LoadFact))
    scene = _named(asked) if asked.url else _found(choices, asked)
    promised = Promised(asked.promised(run.setting))
    return judge(run, scene=replace(scene, sources={**scene.sources, Promised: promised}))


def _named(asked: Asked) -> Scene:
    endpoint = asked.endpoint(asked.url or "")
    target = _target(asked, lambda _: endpoint)
    shown = f"{'https' if endpoint.secure else 'http'}://{endpoint.authority}{endpoint.base}"
    return Scene(
        sources={Target: target},
        facts={Address: Address(url=shown)},
        describe=_described,
        doing=lambda: target.waiting.text,
    )


def _found(choices: Choices, asked: Asked) -> Scene:
    from dynocheck import kube

    connection = kube.find(choices.kubeconfig, choices.context, choices.namespace)
    cluster = Cluster(connection, timeout_s=choices.timeout_s)

    def reach(address: Address) -> Endpoint:
        if address.way != BY_PROXY:
            return asked.endpoint(address.url, headers=address.headers)
        if asked.has_key:
            raise UsageError(
                "a key goes no further than the API server, whose proxy takes it out: "
                "say --via gateway, or kubectl port-forward and --url"
            )
        return _through(cluster, address)

    target = _target(asked, reach)
    return Scene(
        sources={Target: target, Deployment: Deployment(asked.deployment, asked.via), Cluster: cluster},
        describe=_described,
        doing=lambda: target.waiting.text,
    )


def _target(asked: Asked, reach: Any) -> Target:
    return Target(
        reach=reach,
        model=asked.model,
        budget_s=asked.budget_s,
        request_s=asked.request_s,
        requests=asked.requests,
        tools=asked.tools,
        structured=asked.structured,
    )


def _described(facts: Mapping[type[Fact], Any]) -> dict[str, Any]:
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
        found["limits"] = limits.told
    return found


@dataclass(frozen=True)
class _Through(Endpoint):
    """An endpoint behind an API server, which is asked as the user of the kubeconfig."""

    context: ssl.SSLContext | None = None

    @property
    def tls(self) -> ssl.SSLContext | None:
        return self.context


def _through(cluster: Cluster, address: Address) -> Endpoint:
    """What is asked at an address behind the API server.

    :raises Unavailable: its credentials cannot be made.
    """
    lent = lend(cluster.connection, timeout_s=cluster.timeout_s)
    headers = {**lent.headers, **address.headers}
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    key = Secret(token) if scheme == "Bearer" else None
    if key is not None:
        del headers["Authorization"]
    return _Through(address.url, key=key, headers=headers, context=lent.context, chunked=True)
