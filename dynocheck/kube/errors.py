"""What can stand between us and a cluster.

KubeError
├── CredentialsFailed  no credentials could be made: a plugin failed, a key file is missing
├── Unreachable        nothing answered, or not in TLS
├── TimedOut           it answers too slowly
├── Garbled            it answered, but not as an API server does
└── Refused            it answered no
    ├── Unauthorized   401: it does not know who asks
    ├── Forbidden      403: it knows, and does not allow it
    └── NotFound       404: it does not have that
"""

from dynocheck.facts import Unavailable


class KubeError(Unavailable):
    """A fact could not be had from a cluster."""


class CredentialsFailed(KubeError):
    pass


class Unreachable(KubeError):
    pass


class TimedOut(KubeError):
    pass


class InvalidResponse(KubeError):
    pass


class StatusError(KubeError):
    """The server answered with an error status."""

    def __init__(self, reason: str, status: int, *, fix: str | None = None) -> None:
        super().__init__(reason, fix=fix)
        self.status = status


class Unauthorized(StatusError):
    pass


class Forbidden(StatusError):
    pass


class NotFound(StatusError):
    pass
