"""Single files of published wheels, fetched without the rest of them."""

import io
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import urllib3

_HTTP = urllib3.PoolManager()
_BUFFER = 1 << 20
_SIMPLE = "application/vnd.pypi.simple.v1+json"
_DRY = ("install", "--dry-run", "--no-deps", "--ignore-installed", "--quiet")


def open_wheel(requirement: str) -> zipfile.ZipFile:
    """The wheel that pip would install for `name==version`, read piece by piece over HTTP."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        subprocess.run(
            [sys.executable, "-m", "pip", *_DRY, "--report", str(report), requirement],
            check=True,
        )
        url = json.loads(report.read_text())["install"][0]["download_info"]["url"]
    return zipfile.ZipFile(io.BufferedReader(_RemoteFile(url), _BUFFER))


class _RemoteFile(io.RawIOBase):
    """A file behind a URL, by range requests."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._at = 0
        self._size = int(_HTTP.request("HEAD", url).headers["Content-Length"])

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = start + offset
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        wanted = min(len(buffer), self._size - self._at)
        if wanted <= 0:
            return 0
        headers = {"Range": f"bytes={self._at}-{self._at + wanted - 1}"}
        buffer[:wanted] = _HTTP.request("GET", self._url, headers=headers).data
        self._at += wanted
        return wanted


def list_versions(name: str) -> list[str]:
    """The versions of a package that have a source distribution."""
    return list(_list_sources(name))


def open_source(name: str, version: str) -> tarfile.TarFile:
    """The source distribution of a version, fetched as a whole."""
    answer = _HTTP.request("GET", _list_sources(name)[version])
    return tarfile.open(fileobj=io.BytesIO(answer.data), mode="r:gz")


def _list_sources(name: str) -> dict[str, str]:
    """The URL of each source distribution, by its version: see PEP 691."""
    answer = _HTTP.request("GET", f"https://pypi.org/simple/{name}/", headers={"Accept": _SIMPLE})
    files = [(file["filename"], file["url"]) for file in answer.json()["files"]]
    start, end = f"{name}-", ".tar.gz"
    return {
        filename.removeprefix(start).removesuffix(end): url
        for filename, url in files
        if filename.endswith(end)
    }
