"""The pytest fixtures that give tests a real Dynamo."""

from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from tests.controlplane.build import AssetsUnavailable
from tests.controlplane.plugin import missing
from tests.dynamo import build
from tests.dynamo.server import Dynamo


@pytest.fixture(scope="session")
def dynamo_home(request: pytest.FixtureRequest) -> build.Home:
    """Dynamo's installation; asked for by every test that starts a `Dynamo` of its own."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    try:
        with capture.global_and_fixture_disabled():  # the first installation takes a while: show it
            return build.home()
    except AssetsUnavailable as error:
        missing(f"dynamo: {error}")


@pytest.fixture(scope="session")
def dynamo(dynamo_home: build.Home) -> Iterator[Dynamo]:
    """One worker behind a frontend. Tests leave it as they found it."""
    yield from _running(Dynamo())


@pytest.fixture(scope="session")
def dynamo_kv(dynamo_home: build.Home) -> Iterator[Dynamo]:
    """Four workers behind a frontend that routes by what their caches hold."""
    yield from _running(Dynamo(workers=4, router="kv"))


@pytest.fixture(scope="session")
def dynamo_split(dynamo_home: build.Home) -> Iterator[Dynamo]:
    """Disaggregated: a worker for prefill and one for decode."""
    yield from _running(Dynamo(workers=0, prefill=1, decode=1))


def _running(server: AbstractContextManager[Dynamo]) -> Iterator[Dynamo]:
    with server as running:
        yield running
