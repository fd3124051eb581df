"""The official Python client, authenticated as the kubeconfig user that `dynocheck.kube` found.

Its configuration cannot express everything a kubeconfig can: several `Impersonate-Group` headers, a client
key that is not in a file, the system's authorities, Go's proxy rules. So it gets a connection pool that sends
through `Cluster`. An error status raises a KubeError rather than an `ApiException`, whose text quotes the
response's headers and body.
"""

import io
from typing import Any

import msgspec
import urllib3
from kubernetes.client import ApiClient, Configuration

from dynocheck.kube.client import Cluster


def make_official_client(cluster: Cluster) -> ApiClient:
    """The official client for this cluster, to pass to `DynamicClient`, `CoreV1Api` and the like.

    Its calls raise KubeError. Watches are streamed; all other responses are read completely, up to a limit.
    """
    configuration = Configuration(host=cluster.connection.server)
    configuration.proxy = None  # not the environment's, which it may not support
    Configuration.set_default(configuration)  # `kubernetes.watch.Watch` creates its own client
    client = ApiClient(configuration)
    client.rest_client.pool_manager = _Pool(cluster)
    return client


class _Object(msgspec.Struct):
    kind: str


class _Pool(urllib3.PoolManager):
    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self._cluster = cluster

    def urlopen(  # type: ignore[override]
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str],
        body: str | None = None,
        timeout: Any = None,
        **_: Any,
    ) -> urllib3.BaseHTTPResponse:
        cluster = self._cluster
        target = url.removeprefix(cluster.connection.server)
        if "watch=true" in target.lower():
            return cluster.stream(target, headers, timeout.total if timeout else cluster.timeout_s)
        response = cluster.send(method, target, headers, body.encode() if body else None)
        path = target.partition("?")[0]
        if not path.endswith("/log"):
            cluster.decode(response, _Object, path)  # otherwise a login page becomes an empty object
        kind = {"Content-Type": response.headers.get("Content-Type", "")}
        return urllib3.HTTPResponse(
            io.BytesIO(response.body), kind, response.status, preload_content=False, request_method=method
        )
