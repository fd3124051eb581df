"""Each release of the Gateway API and its inference extension, by its own definitions on a real server."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dynocheck.cli import main
from tests.controlplane.definitions import crds_dir
from tests.controlplane.objects import read_crds
from tests.controlplane.server import ControlPlane

CRDS = crds_dir()
GAIE = sorted(folder.name for folder in CRDS.glob("gaie/v*"))
GATEWAY_API = sorted(folder.name for folder in CRDS.glob("gateway-api/v*"))
NEEDED = {"gatewayclasses", "gateways", "httproutes", "referencegrants"}


def shipped(folder: str) -> list[str]:
    """The names of the definitions in a folder of CRDs."""
    return sorted(
        crd["metadata"]["name"] for file in (CRDS / folder).glob("*.yaml") for crd in read_crds(file)
    )


EACH_OF_GAIE = [(release, name) for release in GAIE for name in shipped(f"gaie/{release}")]
EACH_OF_GATEWAY_API = [(each, name) for each in GATEWAY_API for name in shipped(f"gateway-api/{each}")]
WHOLE = [("gaie.crds", f"gaie/{release}") for release in GAIE]
WHOLE += [("gaie.gateway-crds", f"gateway-api/{release}") for release in GATEWAY_API]
Install = Callable[[str], None]


@pytest.fixture(scope="module")
def install(controlplane: ControlPlane, crds: Path) -> Iterator[Install]:
    """Bring the cluster to a state in which it has one release, made when first asked for."""
    start = controlplane.snapshot()
    states: dict[str, Any] = {}

    def bring(folder: str) -> None:
        if folder not in states:
            controlplane.reset(start)
            controlplane.load_crds(crds / folder)
            states[folder] = controlplane.snapshot()
        controlplane.reset(states[folder])

    yield bring
    controlplane.reset(start)


def verdict(cluster: ControlPlane, folder: Path, check: str) -> dict[str, Any]:
    report = folder / "report.json"
    config = str(cluster.kubeconfig())
    main(["preflight", "--kubeconfig", config, "--select", check, "-o", f"json={report}"])
    (found,) = json.loads(report.read_text())["verdicts"]
    assert found["check"] == check
    return dict(found)


def subjects(found: dict[str, Any]) -> list[str]:
    return [finding["subject"]["name"] for finding in found["findings"]]


def test_the_releases_are_there(crds: Path) -> None:
    assert GAIE == ["v1.0.2", "v1.2.1", "v1.4.0", "v1.5.0", "v1.6.0"]
    assert GATEWAY_API == ["v1.3.0", "v1.5.1"]
    assert len({tuple(shipped(f"gaie/{release}")) for release in GAIE}) == 4, "they ship different sets"


@pytest.mark.parametrize(("check", "folder"), WHOLE)
def test_a_whole_release_passes(
    install: Install, cluster: ControlPlane, tmp_path: Path, check: str, folder: str
) -> None:
    install(folder)
    found = verdict(cluster, tmp_path, check)
    assert (found["outcome"], found["findings"]) == ("pass", [])


@pytest.mark.parametrize(("release", "name"), EACH_OF_GAIE, ids=" ".join)
def test_an_inference_extension_without_one_of_its_types_fails(
    install: Install, cluster: ControlPlane, tmp_path: Path, release: str, name: str
) -> None:
    install(f"gaie/{release}")
    cluster.remove_crds(name)
    found = verdict(cluster, tmp_path, "gaie.crds")
    assert (found["outcome"], subjects(found)) == ("fail", [name])
    assert found["message"] == f"is part of bundle {release}, but does not exist"
    assert f"/{release}/" in found["findings"][0]["fix"]


@pytest.mark.parametrize(("release", "name"), EACH_OF_GATEWAY_API, ids=" ".join)
def test_a_gateway_api_needs_what_dynamo_routes_through_and_no_more(
    install: Install, cluster: ControlPlane, tmp_path: Path, release: str, name: str
) -> None:
    install(f"gateway-api/{release}")
    cluster.remove_crds(name)
    found = verdict(cluster, tmp_path, "gaie.gateway-crds")
    if name.partition(".")[0] not in NEEDED:
        assert (found["outcome"], found["findings"]) == ("pass", [])
        return
    # Without any type of the inference extension, nothing asks for it yet.
    assert (found["outcome"], subjects(found)) == ("warn", [name])
    assert f"/{release}/" in found["findings"][0]["fix"]
