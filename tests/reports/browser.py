"""A page as a browser shows it: headless Chromium, by its DevTools protocol."""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
_TROUBLE = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")


class Page:
    """A tab. What a browser says of a page while it loads is kept: its complaints, and what it asked for."""

    def __init__(self, devtools: ClientConnection) -> None:
        self._devtools = devtools
        self._asked = 0
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """What the browser answers."""
        self._asked += 1
        self._devtools.send(json.dumps({"id": self._asked, "method": method, "params": parameters}))
        while True:
            message = self._next()
            if message.get("id") == self._asked:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result

    def _next(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._devtools.recv(timeout=60))
        if "method" in message:
            self.events.append(message)
        return message

    def open(self, file: Path, *, dark: bool = False, width: int = 1100) -> None:
        """Show a file, and wait until all of it is there."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        self.events.clear()
        self.call("Page.navigate", url=file.as_uri())
        while not self.said("Page.loadEventFired"):
            self._next()
        self.run("document.fonts.ready.then(() => 0)")

    def run(self, script: str) -> Any:
        """The value of a script, which the policy of the page does not concern."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def said(self, *methods: str) -> list[dict[str, Any]]:
        """The events of these kinds."""
        return [event["params"] for event in self.events if event["method"] in methods]

    @property
    def requests(self) -> list[str]:
        """The address of all that was asked for."""
        return [each["request"]["url"] for each in self.said("Network.requestWillBeSent")]

    @property
    def trouble(self) -> list[dict[str, Any]]:
        """What stands in the console."""
        return self.said(*_TROUBLE)

    def picture(self) -> bytes:
        """The whole page as PNG."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])


def chromium() -> str:
    """The browser. Without one the test is skipped; in CI, which installs it, it fails."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        reason = f"no browser: none of {', '.join(_NAMES)} is installed"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return found


@contextmanager
def browser(program: str, folder: Path) -> Iterator[Page]:
    """A page of a browser that knows nothing and is gone afterwards.

    :param folder: an empty one, for what the browser writes.
    """
    command = [program, *_FLAGS, f"--user-data-dir={folder}", "about:blank"]
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        with connect(_address(folder, running), max_size=None) as devtools:
            yield Page(devtools)
            devtools.send(json.dumps({"id": 0, "method": "Browser.close"}))
            running.wait(30)
    finally:
        running.kill()
        running.wait()


def _address(folder: Path, running: subprocess.Popen[bytes]) -> str:
    """Where its one tab is debugged."""
    import httpx2

    port = folder / "DevToolsActivePort"
    end = time.monotonic() + 60
    while not (port.exists() and port.read_text().strip()):
        assert running.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < end, "the browser did not start"
        time.sleep(0.05)
    number = port.read_text().split()[0]
    tabs = httpx2.get(f"http://127.0.0.1:{number}/json/list", trust_env=False).json()
    return str(next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page"))
