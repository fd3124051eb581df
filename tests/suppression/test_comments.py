"""Ignore comments in YAML and Markdown."""

from pathlib import Path

import pytest

from dynocheck.facts import IgnoreComment
from dynocheck.recipe.discover import load_recipes
from dynocheck.suppression.comments import find_in_markdown, find_in_yaml


def lines(text: str) -> dict[str, tuple[int, int | None]]:
    """The lines of each comment of a YAML file, by its patterns."""
    return {",".join(ignore.patterns): (ignore.first, ignore.last) for ignore in find_in_yaml("f", text)}


def test_a_comment_has_its_place_its_ids_and_its_reason() -> None:
    (found,) = find_in_yaml("f.yaml", "a: 1\nb: 2  # dynocheck: ignore[a.b, c.*] as agreed # with all\n")
    assert found == IgnoreComment("f.yaml", 2, 7, ("a.b", "c.*"), "as agreed # with all", 2, 2)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("a: 1 # dynocheck: ignore[x] r\nb: 2", (1, 1)),
        ("# dynocheck: ignore[x] r\na: 1", (2, 2)),
        ("a:\n  # dynocheck: ignore[x] r\n\n  # another\n  b: 1", (5, 5)),
        ("a: 1\n# dynocheck: ignore[x] r\n", (2, 2)),
        ("a: [1, # dynocheck: ignore[x] r\n 2]", (1, 1)),
        ('a: "# dynocheck: ignore[no] r" # dynocheck: ignore[x] r', (1, 1)),
        ("a: ' # dynocheck: ignore[no] r' # dynocheck: ignore[x] r", (1, 1)),
        ("a: | # dynocheck: ignore[x] r\n  one\n  two\nb: 1", (1, 3)),
        ("# dynocheck: ignore[x] r\na: >-\n  one\n  # two\nb: 1", (2, 4)),
        ("a: |\n  one\n# dynocheck: ignore[x] r\nb: 1", (4, 4)),
        ("# dynocheck: ignore-file[x] r\na: 1", (1, None)),
        ("---\na: 1\n---\nb: 1 # dynocheck: ignore[x] r", (4, 4)),
        ("a: \u2028 1\r\nb: 1 # dynocheck:ignore[x] r", (3, 3)),
    ],
)
def test_the_lines_of_a_comment(text: str, meant: tuple[int, int | None]) -> None:
    assert lines(text) == {"x": meant}


@pytest.mark.parametrize(
    "text",
    [
        "a: '# dynocheck: ignore[x] r'",
        'a: "one\n  # dynocheck: ignore[x] r\n  two"',
        "a: |\n  # dynocheck: ignore[x] r\n  two",
        "a: >\n\n   one\n\n    # dynocheck: ignore[x] r\n",
        "a: b# dynocheck: ignore[x] r",
        "a: 'b\nc: 1 # dynocheck: ignore[x] r",
        "a: 1 # another",
    ],
)
def test_other_text_is_not_a_comment(text: str) -> None:
    assert lines(text) == {}


@pytest.mark.parametrize("said", ["ignore", "ignore x.y r", "ingore[x] r", "ignore[] r", "ignore[x r", ""])
def test_an_invalid_comment_has_no_patterns(said: str) -> None:
    (found,) = find_in_yaml("f", f"a: 1 # dynocheck: {said}")
    assert found.patterns == ()


def test_a_secret_in_a_reason_is_hidden() -> None:
    (found,) = find_in_yaml("f", "a: 1 # dynocheck: ignore[x] hf_abcdefghijklmnopqrstuvwx is no token")
    assert found.reason == "[hidden] is no token"


def test_markdown() -> None:
    text = """# Title
<!-- dynocheck: ignore[above] r -->
some text

`<!-- dynocheck: ignore[code] r -->`

```
<!-- dynocheck: ignore[fence] r -->
```

| a | b |
|---|---|
| x | y | <!-- dynocheck: ignore[row] r -->

one <!-- dynocheck: ignore[first] r --> two <!-- dynocheck: ignore[second] r -->

- item

  <!-- dynocheck: ignore[item] r -->
  <!-- dynocheck: ignore-file[file] r -->
  below
"""
    found = {",".join(each.patterns): (each.first, each.last) for each in find_in_markdown("f", text)}
    assert found == {
        "above": (3, 3),
        "row": (13, 13),
        "first": (15, 15),
        "second": (15, 15),
        "item": (21, 21),
        "file": (1, None),
    }


def test_a_recipe_has_the_comments_of_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "vllm" / "agg").mkdir(parents=True)
    (tmp_path / "vllm" / "agg" / "deploy.yaml").write_text("a: 1 # dynocheck: ignore[x] r")
    (tmp_path / "README.md").write_text("one <!-- dynocheck: ignore[y] r -->")
    (tmp_path / "vllm" / "README.md").write_bytes("caf\xe9 <!-- dynocheck: ignore[z] r -->".encode("latin-1"))
    (tmp_path / "vllm" / "agg" / "README.md").symlink_to(tmp_path / "nowhere")
    (recipe,) = load_recipes([str(tmp_path)])
    assert [ignore.patterns for ignore in recipe.ignores] == [("x",), ("y",)]


def test_comments_beyond_the_maximum_are_unread(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("# dynocheck: ignore[a, b] r\n" * 501 + "kind: A\n")
    (recipe,) = load_recipes([str(tmp_path)])
    assert len(recipe.ignores) == 500
    assert [(part.line, part.column) for part in recipe.unread] == [(501, 1)]
