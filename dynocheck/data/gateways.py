"""Controllers of the Gateway API that serve inference pools, and how each is found on a cluster."""

from functools import cache
from importlib.resources import files

import msgspec


class GatewayController(msgspec.Struct, frozen=True):
    """A controller, by the name that its GatewayClasses give.

    Its pods carry one of these sets of `labels`, or where none does, those of `fallback`. A `managed` one
    has none that a user sees, one that may run `outside` has them in this cluster or another. `since` is
    the first of its versions that serves pools of inference.networking.k8s.io/v1, where that is known.
    """

    controller: str
    product: str
    source: str
    labels: tuple[dict[str, str], ...] = ()
    fallback: dict[str, str] = {}
    managed: bool = False
    outside: bool = False
    since: str | None = None
    enable: str = ""
    note: str = ""


def gateway_controller(name: str) -> GatewayController | None:
    """The row of a GatewayClass's controller, or None when the table does not have it.

    Where several of one kind run on a cluster, each has a suffix: `agentgateway.dev/agentgateway-tenant-b`.
    """
    rows = (row for row in _rows() if f"{name}-".startswith(f"{row.controller}-"))
    return next(rows, None)


@cache
def _rows() -> tuple[GatewayController, ...]:
    return msgspec.json.decode(
        (files("dynocheck.data") / "gateways.json").read_bytes(), type=tuple[GatewayController, ...]
    )
