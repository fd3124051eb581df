"""A static interpreter of shell scripts: lists the commands of a container as far as its manifest fixes them.

`lexer`, `commands`, `compounds` and `parser` build the tree of `syntax`; `variables` and `words` expand
what is known without running anything; `processes` lists the commands.
"""

from dynocheck.recipe.shell.processes import (
    MAX_SCRIPT,
    Process,
    Token,
    find_pasted,
    find_processes,
    find_unclosed_quote,
)
from dynocheck.recipe.shell.scripts import Script
from dynocheck.recipe.shell.variables import Variables

__all__ = [
    "MAX_SCRIPT",
    "Process",
    "Script",
    "Token",
    "Variables",
    "find_pasted",
    "find_processes",
    "find_unclosed_quote",
]
