"""The real Dynamo, in processes of its own: a frontend and workers that play an engine."""

import contextlib
import itertools
import json
import os
import random
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

from tests.controlplane.processes import Processes, free_port
from tests.dynamo.build import home

MODEL = "tiny"
CONTEXT = 2048  # tokens that a worker takes


class Dynamo:
    """A frontend on a free port of every address of this machine, with the workers that are asked for.

    Leaving the `with` block, and any end of this process, stops all of them.

    :param workers: how many aggregated workers are there from the start.
    :param prefill: how many prefill workers, and as many for decode in `decode`.
    :param router: the frontend's `--router-mode`.
    :param speedup: how much faster than its model of a GPU a worker is.
    :param model: the name that the workers give to the model.
    :raises Unavailable: Dynamo cannot be had here.
    """

    def __init__(
        self,
        *,
        workers: int = 1,
        prefill: int = 0,
        decode: int = 0,
        router: str = "round-robin",
        frontend: Sequence[str] = (),
        worker: Sequence[str] = (),
        speedup: float = 10.0,
        model: str = MODEL,
    ) -> None:
        self._home = home()
        self.model = model
        self._roles = {"agg": workers, "prefill": prefill, "decode": decode}
        self._frontend = ["--router-mode", router, *frontend]
        self._worker = ["--speedup-ratio", str(speedup), *worker]
        self._processes = Processes()
        self._numbers = itertools.count()
        self.port = 0
        self.status_ports: dict[str, int] = {}  # by worker; each has its own /metrics there

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        try:
            self.port = self._processes.serve("frontend", self._serving, _answers)
            for role, count in self._roles.items():
                for _ in range(count):
                    self.launch(role)
            if self.status_ports:
                self._processes.until("frontend", self._complete)
        except BaseException:
            self._processes.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._processes.close()

    def add_worker(self, role: str = "agg", *more: str) -> str:
        """Start a worker, agg, prefill or decode, wait until the frontend knows it, and return its name."""
        name = self.launch(role, *more)
        self._processes.until("frontend", self._complete)
        return name

    def launch(self, role: str, *more: str) -> str:
        """Start a worker, agg, prefill or decode, and return its name once it answers."""
        name = f"{role}-{next(self._numbers)}"
        command = partial(self._working, role, more)
        self.status_ports[name] = self._processes.serve(name, command, _answers, pick=_status_port)
        return name

    def add_frontend(self) -> str:
        """Start another frontend for the same workers, wait until it knows them, and return its URL."""
        name = f"frontend-{next(self._numbers)}"
        port = self._processes.serve(name, self._serving, _answers)
        url = f"http://127.0.0.1:{port}"
        self._processes.until(name, partial(self._complete, url))
        return url

    def kill(self, name: str) -> None:
        """End a worker, or the frontend, without a goodbye."""
        self._processes.stop(name)
        self.status_ports.pop(name, None)

    def freeze(self, name: str) -> None:
        """Let a worker keep its connections and never answer again."""
        self._processes.freeze(name)

    def log(self, name: str) -> Path:
        """Give the file that holds everything a process said."""
        return self._processes.log(name)

    def get(self, path: str, url: str | None = None) -> Any:
        """Give the JSON answer of the frontend, or of the one at another URL. Raises OSError for none."""
        try:
            with urllib.request.urlopen((url or self.url) + path, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            error.close()
            raise

    def _serving(self, port: int) -> list[str]:
        module = ["-m", "dynamo.frontend", "--http-port", str(port)]
        return [*self._environment(), str(self._home.python), *module, *self._shared, *self._frontend]

    def _working(self, role: str, more: Sequence[str], port: int) -> list[str]:
        status = {"DYN_SYSTEM_PORT": str(port), "DYN_SYSTEM_USE_ENDPOINT_HEALTH_STATUS": '["generate"]'}
        module = ["-m", "dynamo.mocker", "--model-path", str(self._home.model), "--model-name", self.model]
        length = ["--max-model-len", str(CONTEXT)]
        split = ["--disaggregation-mode", role] if role != "agg" else []
        bootstrap = ["--bootstrap-ports", str(free_port())] if role == "prefill" else []
        options = [*self._shared, *length, *split, *bootstrap, *self._worker, *more]
        return [*self._environment(**status), str(self._home.python), *module, *options]

    @property
    def _shared(self) -> list[str]:
        return ["--discovery-backend", "file"]

    def _environment(self, **more: str) -> list[str]:
        """As the command `env` takes it: nothing of ours, what a run without a network needs, and more."""
        folder = self._processes.folder
        given = {
            "DYN_FILE_KV": str(folder / "kv"),
            "HF_HUB_OFFLINE": "1",
            "HOME": str(folder),
            "PATH": os.environ.get("PATH", os.defpath),
            "DYN_LOGGING_JSONL": "0",
            **more,
        }
        return ["env", "-i", *(f"{name}={value}" for name, value in given.items())]

    def _complete(self, url: str | None = None) -> bool:
        """Whether the frontend serves, and knows every worker that runs.

        One that knows its workers for prefill still answers 503 until its way to them stands, so it is asked.
        """
        wanted = Counter(_TYPES[name.partition("-")[0]] for name in self.status_ports)
        try:
            state = self.get(f"/v1/models/{self.model}/ready", url)
        except OSError:
            return False
        have: Counter[str] = Counter()
        for namespace in state["namespaces"].values():
            have.update({name: kind["workers"] for name, kind in namespace["worker_types"].items()})
        return (
            bool(state["ready"]) and wanted <= have and (not wanted["prefill"] or self._answers_prompt(url))
        )

    def _answers_prompt(self, url: str | None) -> bool:
        body = json.dumps({"model": self.model, "prompt": "a", "max_tokens": 1}).encode()
        request = urllib.request.Request(
            f"{url or self.url}/v1/completions", body, {"Content-Type": "application/json"}
        )
        return _is_answered(request)


_TYPES = {"agg": "aggregated", "prefill": "prefill", "decode": "decode"}


def _answers(port: int) -> bool:
    return _is_answered(f"http://127.0.0.1:{port}/health")


def _is_answered(request: str | urllib.request.Request) -> bool:
    try:
        with urllib.request.urlopen(request, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except OSError:
        return False


def _status_port() -> int:
    """A free port that Dynamo can read: it takes that of a worker's status for an i16."""
    while True:
        with contextlib.suppress(OSError):
            return free_port(random.randrange(1 << 14, 1 << 15))
