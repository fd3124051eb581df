"""Connects to a cluster with kubectl's credentials, reads lists page by page and classifies errors.

The official Python client resolves credentials differently from kubectl: of several kubeconfigs the last one
decides the current context, a missing user becomes anonymous, and impersonation is ignored
(tests/kube/test_official_client.py shows all three). So this package resolves the user, and reads lists, of
which it decodes only the fields that are used. Writes, watches and streams go through the official client
with that user's credentials (`official_client`). It takes half a second to import, so only the commands that
need it import it.
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
