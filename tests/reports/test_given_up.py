"""What the readers of reports see of a run that ends before it judged anything."""

import os
from pathlib import Path

import pytest

from tests.command import run_inside
from tests.reports.schemas import valid_junit

FORMATS = ("junit", "sarif", "json", "markdown", "html", "github", "table")


@pytest.fixture
def stale(tmp_path: Path) -> Path:
    """A folder with a report of an hour ago in each format."""
    for name in FORMATS:
        (tmp_path / name).write_text("yesterday\n")
        os.utime(tmp_path / name, (1, 1))
    return tmp_path


@pytest.mark.parametrize("words", [("recipe", "/nowhere"), ("recipe", "--no-such-option"), ("recipe", "")])
def test_no_report_of_an_earlier_run_is_left(stale: Path, words: tuple[str, ...]) -> None:
    ended = run_inside(*words, *(f"-o{name}={stale / name}" for name in FORMATS))
    assert ended.code == 2
    assert [path.name for path in stale.iterdir()] == ["junit"]
    (error,) = valid_junit((stale / "junit").read_text()).iter("error")
    assert f"error: {error.get('message')}\n" == ended.err


def test_ci_gets_a_junit_file_where_there_was_none(tmp_path: Path) -> None:
    run_inside("recipe", "/nowhere", "--output", f"junit={tmp_path / 'new.xml'}")
    assert "/nowhere" in (tmp_path / "new.xml").read_text()


def test_a_pull_request_is_told(tmp_path: Path) -> None:
    ended = run_inside("recipe", "/nowhere", "-o", "github")
    assert ended.out == f"::error title=dynocheck::{ended.err.removeprefix('error: ')}"


def test_reports_of_this_run_and_files_that_it_reads_are_kept(stale: Path) -> None:
    recipe = Path(__file__).parents[2] / "recipes" / "qwen3-32b" / "vllm"
    full = "/dev/full"
    ended = run_inside("recipe", str(recipe), "-o", f"junit={stale / 'junit'}", "-o", f"json={full}")
    assert ended.code == 2
    assert "<testcase" in (stale / "junit").read_text()
    assert not list(valid_junit((stale / "junit").read_text()).iter("error"))
    run_inside("load", "--from", str(stale / "json"), "-o", f"json={stale / 'json'}")
    assert (stale / "json").read_text() == "yesterday\n"
