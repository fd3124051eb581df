"""Recognizes names that are a slip of the keyboard away from a known one."""

from collections.abc import Iterable


def find_slip(written: str, known: Iterable[str]) -> str | None:
    """The known name from which this one differs by a slip: a letter too many, missing or wrong, or two
    letters swapped. None if the name is known itself, or like none; numbers are no slips.
    """
    names = set(known)
    if written in names:
        return None
    half = max((len(written) - 3) // 2, 0)  # either half is right, whichever the slip is in
    start, end = written[:half], written[len(written) - half :]
    near = (name for name in names if name.startswith(start) or name.endswith(end))
    return min((name for name in near if _is_slip(written, name)), default=None)


def _is_slip(written: str, name: str) -> bool:
    if abs(len(written) - len(name)) > 1:
        return False
    start = next((i for i, (a, b) in enumerate(zip(written, name, strict=False)) if a != b), -1)
    if start < 0:
        start = min(len(written), len(name))
    left, right = written[start:], name[start:]
    if any(char.isdigit() for char in left[:1] + right[:1]):
        return False
    swapped = left[1:2] + left[:1] + left[2:]
    return right in (left[1:], swapped) or left[1:] in (right, right[1:]) or left == right[1:]
