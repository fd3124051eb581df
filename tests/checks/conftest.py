"""Renews tests/wording.txt at the end of a run that asks for it."""

from __future__ import annotations

import os

from tests import wording


def pytest_sessionfinish(exitstatus: int) -> None:
    if wording.RENEW in os.environ and exitstatus == 0:
        wording.write()
