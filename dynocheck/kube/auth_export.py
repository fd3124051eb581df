"""Headers and SSL context with which another HTTP client authenticates as the kubeconfig user."""

import ssl
from typing import NamedTuple

from dynocheck.kube import tls
from dynocheck.kube.auth import authenticate
from dynocheck.kube.config import ClusterConnection
from dynocheck.kube.deadline import Deadline
from dynocheck.kube.errors import CredentialsFailed
from dynocheck.kube.proxy_env import find_proxy


class ExportedAuth(NamedTuple):
    """Headers to send, and the SSL context; None for plain HTTP."""

    headers: dict[str, str]
    context: ssl.SSLContext | None

    def __repr__(self) -> str:
        return "ExportedAuth(...)"


def export_auth(connection: ClusterConnection, *, timeout_s: float) -> ExportedAuth:
    """Fresh credentials for a connection.

    :raises KubeError: they cannot be obtained, or the connection needs a proxy or a tls-server-name, which
        ExportedAuth cannot express.
    """
    server = connection.chosen.server
    if find_proxy(connection.server, server.proxy_url) is not None or server.tls_server_name:
        raise CredentialsFailed(
            f"{connection.server} needs a proxy or tls-server-name, which is not supported here",
            fix="kubectl port-forward service/NAME 8000, then dynocheck smoke --url http://127.0.0.1:8000",
        )
    identity = authenticate(connection.chosen.user, server, Deadline(timeout_s))
    context = tls.make_context(server, identity) if connection.server.startswith("https:") else None
    return ExportedAuth(dict(identity.headers), context)
