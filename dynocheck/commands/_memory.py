"""What a limit of the address space, such as `ulimit -v`, asks of this process."""

import sys
from contextlib import suppress

_M_ARENA_MAX = -8  # malloc.h of glibc


def share_arena() -> None:
    """Let all threads allocate from one arena where the address space is limited.

    glibc reserves 64 MiB of it for each thread that allocates. Beside them the stack may find no room to
    grow, which ends the process by a signal.
    """
    if sys.platform != "linux":
        return
    import resource

    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        import ctypes

        with suppress(AttributeError):  # a libc without arenas, such as musl
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
