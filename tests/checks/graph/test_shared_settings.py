"""What all components of a graph must share."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.graph.shared_settings import shared_settings
from tests.checks.judging import deploy, judge, read_lines
from tests.checks.manifests import engine, graph

PLANE, EVENTS, DISCOVERY = "DYN_REQUEST_PLANE", "DYN_EVENT_PLANE", "DYN_DISCOVERY_BACKEND"
OLD, BETWEEN, NEW = (f"nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.{minor}" for minor in ("2.1", "4.0", "6.1"))


UNREAD: dict[str, Any] = {"command": ["./start.sh"], "args": []}


def front(*args: str, image: str = NEW, **more: Any) -> dict[str, Any]:
    return engine(*args, name="f", role="frontend", module="dynamo.frontend", model=None, image=image, **more)


def share(args: list[str], own: dict[str, str], *, image: str = NEW, **spec: Any) -> dict[str, Any]:
    """A graph whose worker has these flags and variables, before it a frontend without any."""
    return graph(front(image=image), engine(*args, env=own, image=image), **spec)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (share([], {}), ["skip"]),
        (share([], {PLANE: "tcp"}), []),  # the default of every known release
        (share([], {PLANE: "nats"}), ["fail"]),
        (share(["--request-plane=nats"], {}), ["fail"]),
        (share(["--request-plane", "tcp"], {PLANE: "nats"}), []),  # the flag wins
        (share(["--request-plane", "$(X)"], {}), ["unjudged"]),
        (share([], {}, env=[{"name": PLANE, "value": "nats"}]), []),
        (share([], {PLANE: "tcp"}, env=[{"name": PLANE, "value": "nats"}]), ["fail"]),
        (share([], {EVENTS: "zmq"}), []),
        (share([], {EVENTS: "nats"}), ["fail"]),
        (share([], {EVENTS: "nats"}, image=OLD), []),
        (share([], {EVENTS: "zmq"}, image=OLD), ["fail"]),
        (share([], {EVENTS: "zmq"}, image=BETWEEN), ["unjudged"]),
        (graph(front(env={EVENTS: "zmq"}), engine(env={EVENTS: "nats"}, image=BETWEEN)), ["fail"]),
        (share([], {DISCOVERY: "etcd"}), ["unjudged"]),  # the operator may have set that too
        (graph(front(env={DISCOVERY: "etcd"}), engine(env={DISCOVERY: "file"})), ["fail"]),
        (share([], {"DYN_NAMESPACE": "mine"}), ["warn"]),
        (graph(front("--namespace=mine"), engine(env={"DYN_NAMESPACE": "mine"})), []),
        (graph(engine(env={PLANE: "nats"}), engine(name="v", env={PLANE: "nats"}), front=False), []),
        (graph(front(env={PLANE: "tcp"}), engine(env={PLANE: "nats"}, main=UNREAD)), ["fail"]),
        (graph(front(env={PLANE: "tcp"}), engine(main=UNREAD)), ["skip"]),  # may set it itself
    ],
)
def test_components_share_their_settings(tmp_path: Path, one: dict[str, Any], expected: list[str]) -> None:
    assert judge(shared_settings, deploy(tmp_path, one)) == expected


def test_a_router_has_a_namespace_of_its_own(tmp_path: Path) -> None:
    router = engine(name="r", module="dynamo.router", model=None)
    one = graph(front("--namespace=a"), router, engine(env={"DYN_NAMESPACE": "b"}))
    assert judge(shared_settings, deploy(tmp_path, one)) == ["skip"]


def test_the_finding_is_where_the_other_value_is_written(tmp_path: Path) -> None:
    one = graph(front(env={PLANE: "tcp"}), engine(env={PLANE: "nats"}))
    assert read_lines(shared_settings, deploy(tmp_path, one)) == ["value: nats"]
