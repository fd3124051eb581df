"""Checks the `# dynocheck: ignore[...]` comments of a recipe."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, check, warn
from dynocheck.facts import IgnoreComment, IgnoreUse, IgnoreUses, Recipes, Role


@check(
    "structure.ignore-comments",
    title="Ignore comments are valid, explained and needed",
)
def ignore_comments(recipes: Recipes, uses: IgnoreUses) -> Iterator[Finding]:
    """A comment `# dynocheck: ignore[id] reason` that is misspelt ignores nothing. One without a reason
    cannot be weighed by who reads it next, and one that outlives its finding hides the next one.

    Whether it is needed is told of folders only: what a single manifest is for, the rest of its folder says.

    Fix: write `# dynocheck: ignore[graph.frontend] why it is right here`, or delete the comment
    """
    ignores = dict.fromkeys(ignore for recipe in recipes for ignore in recipe.ignores)
    if not ignores:
        raise Skip("no comment that ignores a finding")
    partly = _find_partial_files(recipes)
    for ignore in ignores:
        yield from _check_comment(ignore)
    for use in uses:
        yield from _check_use(use, whole=use.ignore.file not in partly)


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
        yield warn(f"{use.pattern} names no check", fix="dynocheck checks", location=_locate(use.ignore))
    elif use.used is False and whole:
        where = "in this file" if use.ignore.last is None else "here"
        yield warn(
            f"{use.pattern} matches no finding {where}",
            fix="delete the comment",
            location=_locate(use.ignore),
        )


def _find_partial_files(recipes: Recipes) -> set[str]:
    """Files whose surroundings are not judged with them."""
    return {
        file.path
        for recipe in recipes
        for file in recipe.files
        if recipe.shape == "manifests" or file.role is Role.CONTEXT
    }


def _locate(ignore: IgnoreComment) -> Location:
    return Location(ignore.file, ignore.line, ignore.column)
