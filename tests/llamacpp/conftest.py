"""The folder that has llama.cpp."""

from pathlib import Path

import pytest

from tests.controlplane.build import AssetsUnavailable
from tests.controlplane.plugin import missing
from tests.llamacpp.build import home


@pytest.fixture(scope="session")
def llamacpp() -> Path:
    """The folder of its virtual environment and model."""
    try:
        return home()
    except AssetsUnavailable as error:
        missing(str(error))
