"""Checks the `# dynocheck: ignore[...]` comments of a recipe."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, check, warn
from dynocheck.facts import IgnoreComment, IgnoreUse, IgnoreUses, Recipes, Role


@check(
    "structure.ignore-comments",
    title="Ignore comments are valid, explained and needed",
)
def ignore_comments(recipes: Recipes, uses: IgnoreUses) -> Iterator[Finding]:
    """A misspelled `# dynocheck: ignore[id] reason` ignores nothing. Without a reason the next reader cannot
    judge it, and without a finding it may hide a later one.

    Needless comments are reported in folders only: in a single manifest, a check may find less than in its
    folder.

    Fix: write `# dynocheck: ignore[graph.frontend] why it is right here`, or delete the comment
    """
    ignores = dict.fromkeys(ignore for recipe in recipes for ignore in recipe.ignores)
    if not ignores:
        raise Skip("no ignore comment")
    partial = _find_partial_files(recipes)
    for ignore in ignores:
        yield from _check_comment(ignore)
    for use in uses:
        yield from _check_use(use, whole=use.ignore.file not in partial)


def _check_comment(ignore: IgnoreComment) -> Iterator[Finding]:
    if not ignore.patterns:
        yield warn(
            "dynocheck comment not understood",
            fix="# dynocheck: ignore[id] reason",
            location=_locate(ignore),
        )
    elif not ignore.reason:
        yield warn(
            f"ignores {', '.join(ignore.patterns)} without a reason",
            fix=f"# dynocheck: ignore[{', '.join(ignore.patterns)}] reason",
            location=_locate(ignore),
        )


def _check_use(use: IgnoreUse, *, whole: bool) -> Iterator[Finding]:
    if not use.known:
        yield warn(f"{use.pattern} matches no check", fix="dynocheck checks", location=_locate(use.ignore))
    elif use.used is False and whole:
        where = "in this file" if use.ignore.last is None else "here"
        yield warn(
            f"{use.pattern} matches no finding {where}",
            fix="delete the comment",
            location=_locate(use.ignore),
        )


def _find_partial_files(recipes: Recipes) -> set[str]:
    """Files that are judged without the rest of their folder."""
    return {
        file.path
        for recipe in recipes
        for file in recipe.files
        if recipe.shape == "manifests" or file.role is Role.CONTEXT
    }


def _locate(ignore: IgnoreComment) -> Location:
    return Location(ignore.file, ignore.line, ignore.column)
