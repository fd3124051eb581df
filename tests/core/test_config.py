"""What a configuration file may say, and what is said of one that is wrong."""

import contextlib
import re
from pathlib import Path

import pytest

from dynocheck.core.config import read_config
from dynocheck.core.config_files import ConfigFiles, find_config
from dynocheck.core.errors import UsageError


def complaint(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError) as raised:
        read_config(path)
    message = str(raised.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        (
            "colour = 1",
            "colour",
            "keys: select, skip, levels, thresholds, checks-dirs, limits, junit-unknown, allow-silencing",
        ),
        ("checks_dirs = []", "checks_dirs", "did you mean checks-dirs?"),
        ("Select = ['gpu']", "Select", "did you mean select?"),
        ("thresholds.kubernetes = '1.30'", "thresholds.kubernetes", "did you mean kubernetes-version?"),
        ("thresholds.read-gigabytes = 0", "thresholds.read-gigabytes", "above 0, at most 1000; got 0"),
        ("thresholds.read-gigabytes = nan", "thresholds.read-gigabytes", "above 0, at most 1000; got nan"),
        ("thresholds.kubernetes-version = 1.31", "thresholds.kubernetes-version", "write it in quotes"),
        (
            "thresholds.kubernetes-version = 'new'",
            "thresholds.kubernetes-version",
            'such as "1.31"; got "new"',
        ),
        ("thresholds.credentials-hours = -1", "thresholds.credentials-hours", "from 0 to 1000000; got -1"),
        ("thresholds.credentials-hours = true", "thresholds.credentials-hours", "got true"),
        ("thresholds = 3", "thresholds", "expected a table"),
        ("select = 'graph'", "select", 'write ["graph"]'),
        ("skip = true", "skip", "expected a list of check ids, areas or globs"),
        ("limits = ['error_rate=0', 5]", "limits", 'got ["error_rate=0",5]'),
        ("levels = 'warn'", "levels", 'expected a table of "warn" or "fail"'),
        ("levels = { 'graph.frontend' = 'loud' }", 'levels."graph.frontend"', 'expected "warn" or "fail"'),
        ("levels = { gpu = 'warning' }", "levels.gpu", "did you mean warn?"),
        ("levels = { gpu = 'off' }", "levels.gpu", "name it in skip"),
        ("levels.gpu.mig = 'warn'", "levels.gpu", "an id with a dot needs quotes"),
        ("junit-unknown = 'skip'", "junit-unknown", 'expected "error" or "skipped"'),
        ("junit-unknown = 2026-01-01", "junit-unknown", "got 2026-01-01"),
        ("[tool.dynocheck]\nselect = []", "[tool]", "stand at its top"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_its_choices(
    tmp_path: Path, text: str, key: str, expected: str
) -> None:
    said = complaint(tmp_path / "dynocheck.toml", text)
    assert key in said
    assert expected in said
    assert "$" not in said
    assert "Expected `" not in said


def test_all_problems_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    said = complaint(tmp_path / "dynocheck.toml", "colour = 1\njunit-unknown = 2\nlevels.x = 'loud'")
    assert all(key in said for key in ("colour", "junit-unknown", "levels.x"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("select = [", "not TOML"),
        ("select = 1\nselect = 2", "not TOML"),
        ("a = " + "[" * 5000, "not TOML"),
        ("[tool.dynocheck]\nselect = 'gpu'".encode("utf-16"), "not UTF-8 text"),
        (b"#" * 2_000_000, "larger than 1 MiB"),
    ],
)
def test_a_file_that_is_not_toml(tmp_path: Path, text: str | bytes, says: str) -> None:
    assert says in complaint(tmp_path / "dynocheck.toml", text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tool.dynocheck = 1", "tool.dynocheck: expected a table; got 1"),
        ("[[tool.dynocheck]]\nselect = []", "tool.dynocheck: expected a table"),
        ("[dynocheck]\nselect = []", "did you mean [tool.dynocheck]?"),
        ("[tool.dyno-check]\nselect = []", "did you mean [tool.dynocheck]?"),
        ("[tool.dynocheck]\nselect = [", "not TOML"),
        ("[tool.dynocheck]\nselct = []", "did you mean select?"),
    ],
)
def test_a_wrong_pyproject(tmp_path: Path, text: str, says: str) -> None:
    assert says in complaint(tmp_path / "pyproject.toml", text)


@pytest.mark.parametrize(
    "text", ["", "tool = 1", "[tool.other]\nselect = 1", "[project]\nname = 1\nname = 2"]
)
def test_a_pyproject_of_others_says_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(text)
    assert not read_config(path)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "dynocheck.toml"
    path.write_text("skip = ['gpu']", encoding="utf-8-sig")
    assert read_config(path) == {"skip": ["gpu"]}


# Which files hold


def write(root: Path, **files: str) -> None:
    """Files by their folder, as a_b for a/b; `top` is the root."""
    for place, text in files.items():
        folder = root if place == "top" else root.joinpath(*place.split("_"))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "dynocheck.toml").write_text(text)


def found(cwd: Path, *judged: Path) -> ConfigFiles:
    with contextlib.chdir(cwd):
        return find_config([str(path) for path in judged])


def names(files: ConfigFiles, cwd: Path) -> list[str]:
    return [str((cwd / file.path).resolve().parent.relative_to(cwd.parent)) for file in files.files]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    (root / ".git").mkdir(parents=True)
    write(tmp_path, top="skip = ['outside']")
    write(
        root,
        top="skip = ['top']",
        models="skip = ['models']",
        models_a="levels.gpu = 'warn'",
        ci="limits = []",
    )
    return root


def test_files_are_found_upward_to_the_root_of_the_repository(repository: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    judged = repository / "models" / "a"
    files = found(elsewhere, judged)
    assert names(files, elsewhere) == ["repository", "repository/models", "repository/models/a"]
    assert files.site.skip == ("models",)
    assert files.get_file("skip") == files.files[1].path
    assert files.site.levels == {"gpu": "warn"}


def test_the_working_folder_wins_only_where_it_is_not_above(repository: Path) -> None:
    from_top = found(repository, repository / "models")
    assert from_top.site.skip == ("models",)
    write(repository, ci="skip = ['ci']")
    from_ci = found(repository / "ci", repository / "models")
    assert from_ci.site.skip == ("ci",)


def test_a_file_above_a_part_of_the_paths_does_not_apply(repository: Path) -> None:
    (repository / "models" / "b").mkdir()
    files = found(repository, repository / "models" / "a", repository / "models" / "b")
    assert files.site.levels == {}
    assert [str(path) for path, _ in files.ignored] == ["models/a/dynocheck.toml"]
    assert "models/a/dynocheck.toml" in files.describe()["config notes"][0]


def test_a_pyproject_beside_a_file_of_our_own_does_not_apply(repository: Path) -> None:
    (repository / "pyproject.toml").write_text("[tool.dynocheck]\nskip = ['shared']")
    files = found(repository)
    assert files.site.skip == ("top",)
    assert [str(path) for path, _ in files.ignored] == ["pyproject.toml"]


@pytest.mark.parametrize(("name", "says"), [("", "an empty path"), ("pyproject.toml", "no [tool.dynocheck]")])
def test_a_named_file_without_configuration(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]")
    with contextlib.chdir(tmp_path), pytest.raises(UsageError, match=re.escape(says)):
        find_config(named=name)


def test_outside_a_repository_only_the_folder_itself_counts(tmp_path: Path) -> None:
    write(tmp_path, top="skip = ['top']", a_b="skip = ['b']")
    assert found(tmp_path / "a", tmp_path / "a" / "b").site.skip == ("b",)
    assert found(tmp_path / "a").files == ()


def test_levels_merge_by_entry_and_the_nearest_decides(repository: Path) -> None:
    write(
        repository,
        top="levels = {'gpu.*' = 'warn', 'gpu.mig' = 'fail', rdma = 'warn'}",
        models="levels = {'gpu.*' = 'fail'}",
    )
    site = found(repository, repository / "models").site
    assert list(site.levels.items()) == [("gpu.mig", "fail"), ("rdma", "warn"), ("gpu.*", "fail")]


def test_code_is_loaded_only_where_the_user_says_so(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(repository, top="checks-dirs = ['ops']")
    with contextlib.chdir(repository):
        assert find_config(trusted=True).site.checks_dirs == ("ops",)
        assert find_config(named="dynocheck.toml").site.checks_dirs == ("ops",)
    for cwd, judged in ((repository, ()), (repository / "ci", ()), (repository.parent, (repository,))):
        files = found(cwd, *judged)
        assert files.site.checks_dirs == ()
        assert [Path(cwd, folder).resolve() for _, folder in files.unloaded_dirs] == [repository / "ops"]


def test_the_users_own_file_is_trusted_and_comes_first(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "home" / "dynocheck" / "dynocheck.toml"
    own.parent.mkdir(parents=True)
    own.write_text("checks-dirs = ['mine']\nskip = ['gpu']")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    write(repository, top="skip = ['rdma']")
    with contextlib.chdir(repository):
        site, isolated = find_config().site, find_config(isolated=True).site
    assert (site.checks_dirs, site.skip) == ((str(own.parent / "mine"),), ("rdma",))
    assert (isolated.checks_dirs, isolated.skip) == (site.checks_dirs, ("gpu",))


def test_a_named_file_replaces_all(repository: Path) -> None:
    with contextlib.chdir(repository):
        files = find_config(["models"], "ci/dynocheck.toml")
    assert [str(file.path) for file in files.files] == ["ci/dynocheck.toml"]


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("nowhere")])
def test_what_is_no_file_is_told(tmp_path: Path, make: object) -> None:
    assert callable(make)
    make(tmp_path / "dynocheck.toml")
    with pytest.raises(UsageError, match=r"dynocheck\.toml: not a file"):
        found(tmp_path)
