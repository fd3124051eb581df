"""Why something could not be read from a cluster.

KubeError
├── CredentialsFailed  no credentials: a plugin failed, a key file is missing
├── Unreachable        no connection, or no TLS
├── TimedOut           no complete response in time
├── InvalidResponse    a response that no API server sends
└── StatusError        a response with an error status
    ├── Unauthorized   401: the credentials are not accepted
    ├── Forbidden      403: the user lacks the permission
    └── NotFound       404: no such object or resource type
"""

from dynocheck.facts import Unavailable


class KubeError(Unavailable):
    """A fact could not be read from a cluster."""


class CredentialsFailed(KubeError): ...


_BY_HAND = "kubectl config current-context && kubectl cluster-info"


class Unreachable(KubeError):
    """No response. `is_transient`: the connection broke, and another attempt may succeed."""

    def __init__(self, reason: str, *, is_transient: bool = False) -> None:
        super().__init__(reason, fix=_BY_HAND)
        self.is_transient = is_transient


class TimedOut(KubeError):
    """No complete response in time. `silent`: nor has there been one to any other request."""

    def __init__(self, reason: str, *, silent: bool = False, fix: str | None = None) -> None:
        super().__init__(reason, fix=_BY_HAND if silent else fix)


class InvalidResponse(KubeError): ...


class StatusError(KubeError):
    """The server answered with this HTTP error status."""

    def __init__(self, reason: str, status: int, *, fix: str | None = None) -> None:
        super().__init__(reason, fix=fix)
        self.status = status


class Unauthorized(StatusError): ...


class Forbidden(StatusError): ...


class NotFound(StatusError): ...
