"""Reads files that the user names, which may be pipes or devices."""

import errno
import os
import select
import time
from pathlib import Path

from dynocheck.core.errors import UsageError

MIB = 1024 * 1024
LIMIT_S = 10.0
RENDERED = " (rendered)"  # the end of the path of what a kustomization makes, which is no file


def check_writable(option: str, path: str | None) -> None:
    """:raises UsageError: the option's file cannot be written, which is better told before the work."""
    if path is not None and (not Path(path).absolute().parent.is_dir() or Path(path).is_dir()):
        raise UsageError(f"{option} {path}: not a file in an existing directory")


def read_bounded(path: str | Path, most: int, limit_s: float | None = None) -> bytes:
    """The content of a file, or of a pipe such as <(command).

    :param most: bytes.
    :raises OSError: it cannot be read, is longer, or a pipe or device has no end within the limit; with the
        reason as `strerror`.
    """
    limit_s = limit_s or LIMIT_S
    deadline = time.monotonic() + limit_s
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        content = bytearray()
        while len(content) <= most:
            left = deadline - time.monotonic()
            if left < 0 or not select.select([descriptor], [], [], left)[0]:
                raise OSError(errno.ETIMEDOUT, f"no end of it within {limit_s:g} s")
            more = os.read(descriptor, MIB)
            if not more:
                return bytes(content)
            content += more
    finally:
        os.close(descriptor)
    size = f"{most // MIB} MiB" if most >= MIB else f"{most // 1024} KiB"
    raise OSError(errno.EFBIG, f"larger than {size}")
