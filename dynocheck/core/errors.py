"""Mistakes of the user's that end a run before it began."""


class UsageError(Exception):
    """What the user gave cannot be used; the text says what, where, and what would do. Exit code 2."""
