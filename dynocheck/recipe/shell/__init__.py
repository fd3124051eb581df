"""Bash as recipes use it: a script is taken apart and followed, as far as its manifest tells what happens.

From characters to meaning: `lexer`, `parser` with `compounds`, into the tree of `syntax`; then `variables`
and `words`, which expand what can be known; `processes` says what a container runs.
"""

from dynocheck.recipe.shell.processes import MAX_SCRIPT, Token, find_processes

__all__ = ["MAX_SCRIPT", "Token", "find_processes"]
