"""Puts the whole cluster back as it was, by putting etcd back as it was.

Deleting through the API server would be slow and would not end: without a controller-manager no
namespace finishes terminating, without a kubelet no pod does, and finalizers of operators that do
not run hold the rest. The API server follows etcd by watching it, so that a key which is gone there
is gone everywhere, at once and whatever its kind.
"""

import base64
from collections.abc import Set
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import httpx2

ROOT = "/registry/"
# Renewed by the API server for as long as it lives: neither a change nor to be undone.
ALIVE = (f"{ROOT}leases/kube-system/apiserver-", f"{ROOT}peerserverleases/")
MAX_OPERATIONS = 10_000  # etcd is started with --max-txn-ops at this


@dataclass(frozen=True)
class State:
    """Everything etcd held at one moment."""

    values: dict[str, str]
    revisions: dict[str, int]


class Store:
    """The etcd under an API server."""

    def __init__(self, url: str) -> None:
        self._http = httpx2.Client(base_url=url, timeout=30)

    def healthy(self) -> bool:
        """Tell whether etcd answers and takes writes."""
        try:
            return bool(self._http.get("/health", timeout=1).json()["health"] == "true")
        except (httpx2.TransportError, ValueError, LookupError):
            return False

    def snapshot(self) -> State:
        """Give the present state, for `restore` to go back to."""
        found = self._range(keys_only=False)
        return State(
            values={key: entry["value"] for key, entry in found.items()},
            revisions={key: int(entry["mod_revision"]) for key, entry in found.items()},
        )

    def restore(self, state: State) -> set[str]:
        """Go back to a state; give the keys that were made, changed or deleted since."""
        now = {key: int(entry["mod_revision"]) for key, entry in self._range().items()}
        touched = {key for key, _ in now.items() ^ state.revisions.items()}
        changed = {key for key in touched if not key.startswith(ALIVE)}
        repairs = sorted(changed & state.values.keys())
        deletions = [_delete(run) for run in _runs(now.keys() | touched, changed - set(repairs))]
        puts = [{"request_put": {"key": _encode(k), "value": state.values[k]}} for k in repairs]
        operations = deletions + puts
        for start in range(0, len(operations), MAX_OPERATIONS):
            batch = operations[start : start + MAX_OPERATIONS]
            answer = self._post("/v3/kv/txn", {"success": batch})
            state.revisions.update(dict.fromkeys(repairs, int(answer["header"]["revision"])))
        return changed

    def get(self, key: str) -> str | None:
        """Give the value of a key, as `put` takes it; None where there is none."""
        found = self._post("/v3/kv/range", {"key": _encode(key)}).get("kvs")
        return str(found[0]["value"]) if found else None

    def put(self, key: str, value: str) -> None:
        """Set a key."""
        self._post("/v3/kv/put", {"key": _encode(key), "value": value})

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _range(self, *, keys_only: bool = True) -> dict[str, dict[str, Any]]:
        body = {"key": _encode(ROOT), "range_end": _encode(_after(ROOT)), "keys_only": keys_only}
        entries = self._post("/v3/kv/range", body).get("kvs", [])
        return {base64.b64decode(entry["key"]).decode(): entry for entry in entries}

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self._http.post(path, json=body)
        answer.raise_for_status()
        content: dict[str, Any] = answer.json()
        return content


def _runs(keys: Set[str], doomed: Set[str]) -> list[list[str]]:
    """Give the doomed keys in runs that no other key lies in: few, even for 50,000 pods."""
    runs = groupby(sorted(keys), key=doomed.__contains__)
    return [list(run) for dies, run in runs if dies]


def _delete(run: list[str]) -> dict[str, Any]:
    end = run[-1] + "\0"  # the range leaves its end out
    return {"request_delete_range": {"key": _encode(run[0]), "range_end": _encode(end)}}


def _after(prefix: str) -> str:
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _encode(key: str) -> str:
    return base64.b64encode(key.encode()).decode()
