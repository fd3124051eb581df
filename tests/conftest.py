"""Fixtures that several test modules share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynocheck.recipe import helm, kustomize
from tests import clusters, outcomes, wording
from tests.controlplane.server import ControlPlane

# Tests start many commands, which need not compile the same modules each time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# What is judged is read with the models in the cache of whoever runs it: tests have none but their own.
os.environ["HF_HOME"] = os.devnull
os.environ.pop("HF_HUB_CACHE", None)


def pytest_sessionfinish(exitstatus: int) -> None:
    """Renew the files of what dynocheck says, in a run that was asked to and in which nothing failed."""
    if wording.RENEW in os.environ and exitstatus == 0:
        wording.write()
        outcomes.write()


@pytest.fixture(autouse=True)
def renderer(monkeypatch: pytest.MonkeyPatch) -> None:
    """No kustomize and no Helm: what is judged must not depend on the programs of whoever runs the tests."""
    monkeypatch.setattr(kustomize, "_find_command", tuple)
    monkeypatch.setattr(helm, "_find_command", tuple)


@pytest.fixture(scope="module")
def furnished(controlplane: ControlPlane, crds: Path) -> Iterator[None]:
    """Make the cluster fit for Dynamo, for the tests of one module."""
    yield from controlplane.share(*clusters.list_crds(crds), furnish=clusters.furnish)


@pytest.fixture
def quiet_cluster(fit_cluster: ControlPlane) -> ControlPlane:
    """The fit cluster, of which `preflight --strict` has nothing to tell."""
    clusters.quieten(fit_cluster)
    return fit_cluster


@pytest.fixture
def fit_cluster(furnished: None, cluster: ControlPlane) -> ControlPlane:
    """The control plane with everything that Dynamo needs, to be spoilt."""
    return cluster
