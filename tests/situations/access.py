"""The outcomes of the access checks for the healthy cluster."""

from tests.situations import Situation

HEALTHY = {
    "access.api-reachable": "pass",
    "access.credentials": "pass",
    "access.kubernetes-version": "pass",
    "access.permissions": "pass",
}
SITUATIONS: list[Situation] = []
