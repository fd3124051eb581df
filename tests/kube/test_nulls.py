"""What API servers write as null, and what it is taken for."""

from pathlib import Path

import msgspec
import pytest

from dynocheck.facts import Workloads
from dynocheck.kube import InvalidResponse
from dynocheck.probes.platform.workloads import workloads
from tests.kube.servers import items, reply, serve

PATH = "/apis/example.com/v1/things"


class Spec(msgspec.Struct):
    name: str = "unnamed"
    labels: dict[str, str] = {}
    sizes: list[int] = []


class Thing(msgspec.Struct):
    spec: Spec = msgspec.field(default_factory=Spec)


def test_pod_templates_of_servers_before_1_34(tmp_path: Path) -> None:
    """Their Go writes the time of creation of a template, which is never created, as null."""
    template = {"metadata": {"creationTimestamp": None, "labels": {"app": "a"}}, "spec": {"containers": []}}
    deployment = {"metadata": {"name": "a", "namespace": "n"}, "spec": {"replicas": 2, "template": template}}
    with serve(reply(200, items(deployment))) as server:
        seen = workloads(server.cluster(tmp_path))
    assert isinstance(seen, Workloads)
    assert {(each.name, each.desired) for each in seen if each.kind == "Deployment"} == {("a", 2)}


@pytest.mark.parametrize(
    "thing",
    [
        {"spec": {"name": None, "labels": None, "sizes": None}},
        {"spec": {"labels": {"a": None}}},
        {"spec": None},
        {},
    ],
)
def test_null_says_nothing(tmp_path: Path, thing: object) -> None:
    with serve(reply(200, thing)) as server:
        assert server.cluster(tmp_path).get(f"{PATH}/a", Thing) == Thing()
    with serve(reply(200, items(thing, {"spec": {"name": "b"}}))) as server:
        assert server.cluster(tmp_path).items(PATH, Thing) == [Thing(), Thing(Spec("b"))]


def test_a_list_may_have_null_for_no_items(tmp_path: Path) -> None:
    with serve(reply(200, {**items(), "items": None})) as server:
        assert server.cluster(tmp_path).items(PATH, Thing) == []


@pytest.mark.parametrize("wrong", [{"spec": {"sizes": ["1"], "name": None}}, {"spec": {"sizes": [None]}}])
def test_what_is_wrong_beside_a_null_stays_wrong(tmp_path: Path, wrong: object) -> None:
    with serve(reply(200, items(wrong))) as server, pytest.raises(InvalidResponse, match="sizes"):
        server.cluster(tmp_path).items(PATH, Thing)
