"""Suggests the word that a misspelt one was meant to be."""

from collections.abc import Iterable


def suggest(word: str, choices: Iterable[str], likeness: float = 0.6) -> str:
    """`; did you mean X?`, to be added to an error message; empty when no choice is spelt like the word.

    :param likeness: of the choice, between 0 and 1; upper and lower case, _ and - count as equal.
    """
    from difflib import get_close_matches  # only errors need it

    by_spelling = {choice.lower(): choice for choice in choices}
    close = get_close_matches(word.lower().replace("_", "-"), by_spelling, n=1, cutoff=likeness)
    return f"; did you mean {by_spelling[close[0]]}?" if close else ""
