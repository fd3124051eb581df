"""Reaching a cluster: credentials as kubectl has them, lists by pages, errors told apart.

The official Python client does not find the credentials that kubectl finds: of several kubeconfigs the last
one decides the current context, a missing user becomes an anonymous one, and impersonation is left out
(tests/kube/test_official_client.py shows all three). So this package finds the user and reads lists, of which
it decodes only the fields that are used. What writes, watches or streams is done by the official client, as
the user that was found (`official_client`). Only verbs that need it import it, for that takes half a second.
"""

from dynocheck.kube.client import Cluster
from dynocheck.kube.config import ClusterConnection, find_connection
from dynocheck.kube.errors import (
    CredentialsFailed,
    Forbidden,
    InvalidResponse,
    KubeError,
    NotFound,
    StatusError,
    TimedOut,
    Unauthorized,
    Unreachable,
)
from dynocheck.kube.parallel import run_parallel

__all__ = [
    "Cluster",
    "ClusterConnection",
    "CredentialsFailed",
    "Forbidden",
    "InvalidResponse",
    "KubeError",
    "NotFound",
    "StatusError",
    "TimedOut",
    "Unauthorized",
    "Unreachable",
    "find_connection",
    "run_parallel",
]
