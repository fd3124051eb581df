"""Builds the Helm of the tests, into the cache of `tests.controlplane.build`: python -m tests.helm.build."""

import sys
from pathlib import Path

from tests.controlplane.build import AssetsUnavailable, build_program

_HERE = Path(__file__).parent


def helm() -> Path:
    """Give the path of Helm; raises AssetsUnavailable."""
    return build_program("helm", "helm.sh/helm/v4/cmd/helm", _HERE, _HERE / "go.mod")


def main() -> int:
    """Build it if it is missing, say where it lies, and return the exit status."""
    try:
        print(helm())
    except AssetsUnavailable as error:
        print(f"no Helm: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
