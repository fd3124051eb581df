"""Parsing of READMEs, including hostile ones."""

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
def test_which_files_are_readmes(name: str, read: bool) -> None:
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
def test_hostile_readmes_are_parsed_quickly(tmp_path: Path, text: str) -> None:
    found = parse_page(text, tmp_path / "README.md", tmp_path, "README.md")
    assert found.path == "README.md"


def test_a_long_readme_is_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    whole = parse_page("[x](y)\n" * 3, path, tmp_path, "README.md")
    assert [link.found for link in whole.links] == [False] * 3
    assert parse_page("[x](y)\n" * MAX_CHARACTERS, path, tmp_path, "README.md").links == ()


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.sampled_from(LETTERS), max_size=300))
def test_any_text_can_be_parsed(text: str) -> None:
    found = parse_page(text, Path("README.md"), Path(), "README.md")
    assert all(words for words in found.commands)


def test_matching_placeholders_is_fast() -> None:
    assert not is_placeholder("your" + "_a" * 50_000 + "!")
    assert is_placeholder("your" + "_a" * 50)


def test_a_command_has_the_line_of_its_first_word(tmp_path: Path) -> None:
    fence = "   ```bash\n   kubectl create secret generic a \\\n     --from-literal=A=b\n   ```\n"
    found = parse_page(f"# T\n\n1. first\n\n{fence}", tmp_path / "README.md", tmp_path, "README.md")
    (command,) = found.commands
    assert [word.text for word in command[:3]] == ["kubectl", "create", "secret"]
    assert command[0].line == 6
