"""The pytest fixtures that give tests a real Kubernetes."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tests.controlplane import build
from tests.controlplane.definitions import crds_dir, published_crds_dir
from tests.controlplane.server import ControlPlane


def missing(reason: str) -> NoReturn:
    """Skip the test by name; fail it in CI, where a test that does not run protects nobody."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None]:
    """Treat what a running test finds missing, such as a scheduler, like a missing fixture."""
    try:
        return (yield)
    except build.AssetsUnavailable as error:
        missing(f"control plane: {error}")


@pytest.fixture(scope="session")
def controlplane(request: pytest.FixtureRequest) -> Iterator[ControlPlane]:
    """The one control plane of this test session, which records every request."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    try:
        with capture.global_and_fixture_disabled():  # the first build takes minutes: show it
            build.assets("etcd", "kube-apiserver", "kubectl")
        server = ControlPlane(audit=True)
    except build.AssetsUnavailable as error:
        missing(f"control plane: {error}")
    with server:
        yield server


@pytest.fixture
def cluster(controlplane: ControlPlane) -> Iterator[ControlPlane]:
    """The control plane of the session, as empty as it was at its start."""
    yield controlplane
    controlplane.reset()


@pytest.fixture(scope="session")
def crds() -> Path:
    """The folder of CRDs that `cluster.load_crds` loads from."""
    return crds_dir()


@pytest.fixture(scope="session")
def published_crds() -> Path:
    """The same as published, where that is at hand; it holds more than decides validity."""
    return published_crds_dir() or crds_dir()
