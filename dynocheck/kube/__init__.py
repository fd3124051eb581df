"""Reaching a cluster: credentials as kubectl has them, lists by pages, errors told apart."""

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
