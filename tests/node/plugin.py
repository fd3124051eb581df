"""Keeps the tests on a real node together."""

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

_FOLDER = "tests/node/"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Files go to the processes of a run as they come, but for those here: one process, and so one node."""
    if config.getvalue("dist") != "loadfile":
        return None
    scheduler = LoadFileScheduling(config, log)
    by_file = scheduler._split_scope
    scheduler._split_scope = lambda test: _FOLDER if test.startswith(_FOLDER) else by_file(test)
    return scheduler
