"""How long `dynocheck --version` takes, against importing click: at most 4 times as long.

Run it as `python -m benchmarks.startup`.
"""

import sys

from benchmarks.timing import compare, show


def main() -> None:
    ours, peer = "dynocheck --version", "python -c 'import click'"
    medians = compare(
        {
            ours: [[sys.executable, "-m", "dynocheck", "--version"]],
            peer: [[sys.executable, "-c", "import click"]],
        }
    )
    show(medians, ours, peer)


if __name__ == "__main__":
    main()
