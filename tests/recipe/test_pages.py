"""READMEs that nobody wrote with care: they say little, soon, and break nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynocheck.recipe.markdown_docs import MAX_CHARACTERS, is_page, parse_page
from dynocheck.secrets import is_placeholder

LETTERS = "`#|[]()<>-$\\'\"{}\n \0kubectl apply -f x.yaml ```bash cd"


@pytest.mark.parametrize(
    ("name", "read"),
    [("README.md", True), ("readme.md", True), ("README-efa.md", True), ("NOTES.md", False), ("READ", False)],
)
def test_which_files_are_pages(name: str, read: bool) -> None:
    assert is_page(name) is read


@pytest.mark.parametrize(
    "text",
    [
        "> " * 20_000 + "deep",
        "[" * 20_000,
        "```bash\n" + "echo 'never closed\n" * 3_000,
        "```bash\n" + "kubectl get pods \\\n" * 3_000 + "```\n",
        "| GPUs |\n|---|\n" + "| 8 x " + " " * 50_000 + "! |\n",
        "```bash\n" + "a" * (MAX_CHARACTERS - 10),
        "# " + "h" * 50_000 + "\n[x](#h)",
        "[x](" + "../" * 5000 + ")\n[y](%00)\n[z](" + "n" * 5000 + ")",
        "```bash\nkubectl apply -f " + "x" * 5000 + "\ncd \0\nkubectl apply -f a\n```",
    ],
    ids=range(9),
)
def test_hostile_pages_end(tmp_path: Path, text: str) -> None:
    found = parse_page(text, tmp_path / "README.md", tmp_path, "README.md")
    assert found.path == "README.md"


def test_a_page_that_is_too_long_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    whole = parse_page("[x](y)\n" * 3, path, tmp_path, "README.md")
    assert [link.found for link in whole.links] == [False] * 3
    assert parse_page("[x](y)\n" * MAX_CHARACTERS, path, tmp_path, "README.md").links == ()


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.sampled_from(LETTERS), max_size=300))
def test_any_text_is_a_page(text: str) -> None:
    found = parse_page(text, Path("README.md"), Path(), "README.md")
    assert all(words for words in found.commands)


def test_a_value_that_only_begins_like_a_stand_in_takes_no_time() -> None:
    assert not is_placeholder("your" + "_a" * 50_000 + "!")
    assert is_placeholder("your" + "_a" * 50)


def test_a_command_is_on_the_line_of_its_beginning(tmp_path: Path) -> None:
    fence = "   ```bash\n   kubectl create secret generic a \\\n     --from-literal=A=b\n   ```\n"
    found = parse_page(f"# T\n\n1. first\n\n{fence}", tmp_path / "README.md", tmp_path, "README.md")
    (command,) = found.commands
    assert [word.text for word in command[:3]] == ["kubectl", "create", "secret"]
    assert command[0].line == 6
