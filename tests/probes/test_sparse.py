"""Every probe on objects that have next to nothing, as servers, people and controllers leave them."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dynocheck.core.declarations import Probe
from dynocheck.core.errors import UsageError
from dynocheck.facts import Unavailable
from dynocheck.kube import KubeError
from tests.command import run_inside
from tests.kube.servers import Handler, items, reply, serve
from tests.probes.looking import ask, with_access

META = {"name": "a", "namespace": "n"}
POD = {"spec": {"containers": [{"name": "c"}]}}
SPARSE: dict[str, dict[str, Any]] = {
    "nothing": {},
    "metadata": {"metadata": META},
    "empty": {"metadata": META, "spec": {}, "status": {}},
    "null": {"metadata": {**META, "labels": None}, "spec": None, "status": None, "data": None},
    "no lists": {
        "metadata": META,
        "spec": {"containers": None, "rules": None, "listeners": None, "template": {"spec": None}},
        "status": {"conditions": None, "parents": None},
    },
    "empty lists": {
        "metadata": {**META, "labels": {}, "annotations": {}},
        "spec": {"containers": [], "rules": [{}], "listeners": [{}], "parentRefs": [{}], "taints": [{}]},
        "status": {"conditions": [{}], "parents": [{}], "containerStatuses": [{}]},
        "webhooks": [],
        "endpoints": [{}],
    },
    "a bare container": {"metadata": META, **POD, "status": {}},
    "a bare template": {"metadata": META, "spec": {"template": POD, "selector": {}}, "status": {}},
    "a bare pool": {
        "metadata": META,
        "spec": {**POD["spec"], "selector": {}, "endpointPickerRef": {"name": ""}, "targetPorts": []},
    },
}


@pytest.mark.parametrize("thing", SPARSE)
@pytest.mark.parametrize("probe", with_access(), ids=lambda probe: probe.name)
def test_objects_with_next_to_nothing(tmp_path: Path, probe: Probe, thing: str) -> None:
    """Whatever it makes of them, it says so as it says what it could not read: nothing crashes."""
    with serve(everywhere(SPARSE[thing])) as server, suppress(KubeError, Unavailable, UsageError):
        ask(probe, server.cluster(tmp_path, timeout_s=5))


@pytest.mark.parametrize("thing", SPARSE)
@pytest.mark.parametrize("recipe", [(), ("--recipe", "recipes/qwen3-32b/vllm/agg-round-robin")])
def test_checks_of_next_to_nothing(tmp_path: Path, recipe: tuple[str, ...], thing: str) -> None:
    with serve(everywhere(SPARSE[thing])) as server:
        config = server.kubeconfig(tmp_path)
        ended = run_inside("preflight", "--kubeconfig", config, "-o", "json", *recipe)
    assert [check for check, outcome in ended.outcomes.items() if outcome == "error"] == []


def everywhere(thing: dict[str, Any]) -> Handler:
    """A server that has this one thing wherever it is asked, in lists and by itself."""
    return lambda *_: reply(200, {**items(thing), **thing})
