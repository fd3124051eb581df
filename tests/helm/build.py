"""Builds the Helm of the tests, into the cache of `tests.controlplane.build`: python -m tests.helm.build."""

import sys
from pathlib import Path

from tests.controlplane.build import build_program, report

_HERE = Path(__file__).parent


def helm() -> Path:
    """Give the path of Helm; raises AssetsUnavailable."""
    return build_program("helm", "helm.sh/helm/v4/cmd/helm", _HERE, _HERE / "go.mod")


if __name__ == "__main__":
    sys.exit(report("Helm", helm))
