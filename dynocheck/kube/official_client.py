"""The official Python client, with requests sent as the user that `dynocheck.kube` found.

Its settings cannot express all that a kubeconfig can: several `Impersonate-Group` headers, a client key that
lies in no file, the system's authorities, Go's rules for proxies. So it gets a connection pool that sends
through `Cluster`. An error status is raised as a KubeError, and never becomes an `ApiException`, whose text
quotes the answer's headers and body.
"""

import io
from typing import Any

import msgspec
import urllib3
from kubernetes.client import ApiClient, Configuration

from dynocheck.kube.client import Cluster


def official_client(cluster: Cluster) -> ApiClient:
    """The official client of this cluster, for `DynamicClient`, `CoreV1Api` and their like.

    Its calls raise KubeError. Watches are read as they come; every other answer is complete and bounded.
    """
    configuration = Configuration(host=cluster.connection.server)
    configuration.proxy = None  # instead of the environment's, which may be one that it cannot use
    Configuration.set_default(configuration)  # `kubernetes.watch.Watch` makes a client of its own
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
        answer = cluster.send(method, target, headers, body.encode() if body else None)
        path = target.partition("?")[0]
        if not path.endswith("/log"):
            cluster.decode(answer, _Object, path)  # or a login page becomes an object without any field
        kind = {"Content-Type": answer.headers.get("Content-Type", "")}
        return urllib3.HTTPResponse(
            io.BytesIO(answer.body), kind, answer.status, preload_content=False, request_method=method
        )
