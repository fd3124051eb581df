"""Reaching a cluster: credentials as kubectl has them, lists by pages, errors told apart."""

from dynocheck.kube.client import Cluster
from dynocheck.kube.config import Connection, find
from dynocheck.kube.errors import (
    CredentialsFailed,
    Forbidden,
    Garbled,
    KubeError,
    NotFound,
    Refused,
    TimedOut,
    Unauthorized,
    Unreachable,
)
from dynocheck.kube.parallel import together

__all__ = [
    "Cluster",
    "Connection",
    "CredentialsFailed",
    "Forbidden",
    "Garbled",
    "KubeError",
    "NotFound",
    "Refused",
    "TimedOut",
    "Unauthorized",
    "Unreachable",
    "find",
    "together",
]
