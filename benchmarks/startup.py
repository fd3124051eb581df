"""How long `dynocheck --version` takes, against importing click: at most 4 times as long.

Run it as `python -m benchmarks.startup`.
"""

from benchmarks import installed
from benchmarks.timing import compare, show


def main() -> None:
    ours, peer = "dynocheck --version", "python -c 'import click'"
    with installed.create_environment() as bin_:
        medians = compare(
            {
                ours: [[str(bin_ / "dynocheck"), "--version"]],
                peer: [[str(bin_ / "python"), "-c", "import click"]],
            }
        )
    show(medians, ours, peer)


if __name__ == "__main__":
    main()
