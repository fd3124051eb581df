"""Reads the metrics of pods that serve: from the pods, or what a Prometheus server has of them."""

import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import msgspec

from dynocheck import Unavailable, probe
from dynocheck.facts import (
    Access,
    DeployedPod,
    MetricsPage,
    MetricValue,
    NamespaceState,
    ServingMetrics,
)
from dynocheck.kube import Cluster, KubeError, run_parallel
from dynocheck.probes.endpoint._client import make_limits
from dynocheck.probes.symptom.objects import DiagnosisTarget
from dynocheck.serving.prometheus import parse

if TYPE_CHECKING:  # it takes 60 ms, and only --prometheus needs it
    from dynocheck.serving import Client

_PODS = 2  # of one owner, as replicas share the load
_MOST_PODS = 12
_SAMPLES = 4000  # that are kept of a page
_BYTES = 4 << 20
_SECONDS = 3.0
_WINDOW_S = 300
_SERVERS = re.compile(r"vllm|sglang|tensorrt|trtllm|triton|text-generation|dynamo|(?:^|/)tgi")
_PORTS = ("metrics", "http-metrics", "prometheus", "system", "http")
_WANTED = re.compile(r"(?:vllm|sglang|trtllm|dynamo|nv|tgi|DCGM_FI)[:_]")
_LATENCY = r"(?:time_to_first_token|inter_token_latency|time_per_output_token)_seconds"
_LEFT_OUT = re.compile(rf".*_created|(?!.*{_LATENCY}).*_bucket")
_LABELS = {
    *("le", "model", "model_name", "status", "error_type", "reason", "finished_reason", "err", "phase"),
    *("worker_type", "event_type", "kv_cache_block_type", "request_type", "gpu", "Hostname"),
}


class _Series(msgspec.Struct):
    metric: dict[str, str]
    value: tuple[float, str]


class _Result(msgspec.Struct):
    result: list[_Series]


class _Response(msgspec.Struct):
    data: _Result


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model] | None = None


@probe(access=[Access("get", "pods/proxy", local=True)])
def serving_metrics(cluster: Cluster, state: NamespaceState, target: DiagnosisTarget) -> ServingMetrics:
    """A page that cannot be read is listed with the reason."""
    if target.prometheus is not None:
        return ServingMetrics(tuple(_query(state, target)))
    servers = [pod for pod in state.pods if pod.is_ready and not pod.terminating and _is_server(pod)]
    chosen = [*_choose(servers)][:_MOST_PODS]
    reads = [partial(_read_page, cluster, state.namespace, pod) for pod in chosen]
    return ServingMetrics(tuple(run_parallel(reads)), left=len(servers) - len(chosen))


def _is_server(pod: DeployedPod) -> bool:
    """Whether it is one of a graph, or its image is of a model server; and there is a port to ask."""
    named = any(_SERVERS.search(container.image) for container in pod.containers)
    return bool(pod.component or pod.metrics or named) and bool(_find_place(pod))


def _choose(pods: Iterable[DeployedPod]) -> Iterator[DeployedPod]:
    taken: Counter[object] = Counter()
    for pod in pods:
        owner = pod.owners[0] if pod.owners else pod.key
        taken[owner] += 1
        if taken[owner] <= _PODS:
            yield pod


def _find_place(pod: DeployedPod) -> str:
    """Where the pod serves its metrics, as PORT/PATH; empty if it declares no port."""
    if pod.metrics:
        return pod.metrics
    ports = [port for container in pod.containers if not container.init for port in container.ports]
    named = {port.name: port.number for port in ports}
    numbers = [named[name] for name in _PORTS if name in named] + [port.number for port in ports]
    return f"{numbers[0]}/metrics" if numbers else ""


def _read_page(cluster: Cluster, namespace: str, pod: DeployedPod) -> MetricsPage:
    port, _, path = _find_place(pod).partition("/")
    base = f"/api/v1/namespaces/{namespace}/pods/{pod.name}:{port}/proxy"
    try:
        text = _read(cluster, f"{base}/{quote(path)}")
        listed = _read(cluster, f"{base}/v1/models") if pod.component == "frontend" else None
    except KubeError as error:
        return MetricsPage(pod=pod.name, source=f"port {port}", problem=str(error))
    lines = "\n".join(line for line in text.splitlines() if _WANTED.match(line))
    samples = (MetricValue(s.name, s.value, _shorten(s.labels)) for s in parse(lines).samples)
    return MetricsPage(
        pod=pod.name,
        source=f"port {port}",
        samples=tuple(islice((s for s in samples if not _LEFT_OUT.fullmatch(s.name)), _SAMPLES)),
        models=_decode_models(listed),
    )


def _read(cluster: Cluster, target: str) -> str:
    """A text of a pod, read to its end or to _BYTES.

    :raises KubeError: it cannot be read.
    """
    end = time.monotonic() + _SECONDS
    body = bytearray()
    response = cluster.stream(target, {"Accept": "text/plain, application/json"}, _SECONDS, repeat=False)
    try:
        for chunk in response.stream(1 << 16, decode_content=False):
            body += chunk
            if len(body) > _BYTES or time.monotonic() > end:
                break
    except Exception as error:  # of urllib3, which probes do not import
        raise KubeError(f"the response broke off: {type(error).__name__}") from None
    finally:
        response.close()
    return body[:_BYTES].decode("utf-8", "replace")


def _decode_models(text: str | None) -> tuple[str, ...] | None:
    """The names in a list of models; None if there is none."""
    try:
        return tuple(model.id for model in msgspec.json.decode(text or "", type=_Models).data or ())
    except msgspec.MsgspecError:
        return None


def _shorten(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if name in _LABELS}


def _query(state: NamespaceState, target: DiagnosisTarget) -> Iterator[MetricsPage]:
    """What Prometheus has of the pods: now, and _WINDOW_S seconds before.

    :raises Unavailable: it cannot be asked.
    """
    import asyncio

    from dynocheck.serving import Client

    endpoint = target.prometheus
    assert endpoint is not None

    async def run() -> "list[list[_Series]]":
        async with Client(endpoint) as client:
            queries = (_make_query(state.namespace, offset) for offset in ("", f" offset {_WINDOW_S}s"))
            return await asyncio.gather(*(_ask(client, query) for query in queries))

    now, before = map(_group, asyncio.run(run()))
    for pod in state.pods:
        if pod.name in now:
            yield MetricsPage(
                pod=pod.name,
                source="Prometheus",
                samples=tuple(now[pod.name]),
                earlier=tuple(before.get(pod.name, ())),
                window_s=_WINDOW_S,
            )


def _make_query(namespace: str, offset: str) -> str:
    named = "(vllm|sglang|trtllm|dynamo|nv|tgi|DCGM_FI)[:_].*"
    return " or ".join(
        [
            f'{{__name__=~"{named}",__name__!~".*_(created|bucket)",namespace="{namespace}"}}{offset}',
            f'{{__name__=~".*{_LATENCY.replace("?:", "")}_bucket",namespace="{namespace}"}}{offset}',
            f'{{__name__=~"DCGM_FI_DEV_.*",exported_namespace="{namespace}"}}{offset}',
        ]
    )


async def _ask(client: "Client", query: str) -> list[_Series]:
    response = await client.get(f"/api/v1/query?{urlencode({'query': query})}", limits=make_limits(10.0))
    if response.failure is not None:
        raise Unavailable(f"--prometheus: {response.failure.message}")
    try:
        return msgspec.json.decode(response.body, type=_Response).data.result
    except msgspec.MsgspecError as error:
        raise Unavailable(f"--prometheus: not an answer of Prometheus: {error}") from None


def _group(series: Iterable[_Series]) -> dict[str, list[MetricValue]]:
    """The samples by pod."""
    found: dict[str, list[MetricValue]] = defaultdict(list)
    for each in series:
        labels: dict[str, Any] = each.metric
        pod = labels.get("exported_pod") or labels.get("pod", "")
        if len(found[pod]) < _SAMPLES:
            found[pod].append(MetricValue(labels.get("__name__", ""), float(each.value[1]), _shorten(labels)))
    return found
