"""`python -m dynocheck`, and the command `dynocheck`.

Little is imported until `main` runs, so that Ctrl-C in the first moments ends like Ctrl-C later.
"""

import os
import sys


def main() -> int:
    """Run the command line of this process and return its exit code.

    Under a limit of memory, libraries may not load, and the message about it may not be printed either.
    """
    try:
        _leave_folder_out()
        from dynocheck.cli import main as run

        return run()
    except KeyboardInterrupt:
        os.write(2, b"error: interrupted\n")
        return 130
    except (MemoryError, ImportError) as error:
        if os.environ.get("DYNOCHECK_DEBUG"):
            raise
        os.write(2, f"error: cannot start: {error or 'out of memory'}\n".encode())
        return 3


def _leave_folder_out() -> None:
    """Import nothing from the working folder, which `python -m` puts first and may hold a yaml.py."""
    try:
        if not sys.flags.safe_path and os.path.samefile(sys.path[0], "."):  # noqa: PTH121 - pathlib takes long
            del sys.path[0]
    except OSError:  # the working folder is gone
        pass


if __name__ == "__main__":
    sys.exit(main())
