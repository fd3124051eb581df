"""What another client needs to ask an API server as the same user."""

import ssl
from typing import NamedTuple

from dynocheck.kube import tls
from dynocheck.kube.auth import authenticate
from dynocheck.kube.config import ClusterConnection
from dynocheck.kube.deadline import Deadline
from dynocheck.kube.errors import CredentialsFailed
from dynocheck.kube.proxy_env import find_proxy


class ExportedAuth(NamedTuple):
    """Headers to send and whom to trust; the context is None for plain HTTP."""

    headers: dict[str, str]
    context: ssl.SSLContext | None

    def __repr__(self) -> str:
        return "Lent(...)"


def export_auth(connection: ClusterConnection, *, timeout_s: float) -> ExportedAuth:
    """The credentials of a connection, made anew.

    :raises KubeError: they cannot be made, or the server cannot be reached without a proxy or by the name in
        its URL, which is all that this can express.
    """
    server = connection.chosen.server
    if find_proxy(connection.server, server.proxy_url) is not None or server.tls_server_name:
        raise CredentialsFailed(
            f"{connection.server} is reached by a proxy or under another name: no way through it",
            fix="kubectl port-forward service/NAME 8000, then dynocheck smoke --url http://127.0.0.1:8000",
        )
    identity = authenticate(connection.chosen.user, server, Deadline(timeout_s))
    context = tls.make_context(server, identity) if connection.server.startswith("https:") else None
    return ExportedAuth(dict(identity.headers), context)
