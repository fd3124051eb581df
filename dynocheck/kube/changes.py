"""Watches lists of a namespace by the official client, and tells when something in them has changed."""

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Self

from kubernetes.client import ApiException
from kubernetes.dynamic import DynamicClient, Resource

from dynocheck.core.threads import start_thread
from dynocheck.kube.client import Cluster
from dynocheck.kube.errors import KubeError, StatusError
from dynocheck.kube.official_client import make_official_client

_STREAM_S = 50  # after which a watch is begun anew
_AGAIN_S = 2.0  # after one that failed
_DEBOUNCE_S = 0.3  # so that changes that come together cost one look
_GONE = 410


class ChangeWatch:
    """A watch of several lists, each in a thread of its own, from before the first look on.

    `unwatched` gives, for what cannot be watched, the reason; a kind that is not served is left out.

    :param lists: each by the path of its API, such as /apis/apps/v1, and its resource.
    """

    def __init__(self, cluster: Cluster, namespace: str, lists: Sequence[tuple[str, str]]) -> None:
        client = DynamicClient(make_official_client(cluster), discoverer=lambda *_: None)
        self.unwatched: dict[str, str] = {}
        self._namespace = namespace
        self._resources = [_make_resource(client, *each) for each in lists]
        self._changed, self._ended, self._answered = (threading.Event() for _ in range(3))

    def __enter__(self) -> Self:
        for resource in self._resources:
            start_thread(partial(self._watch, resource))
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def has_answered(self, timeout_s: float) -> bool:
        """Whether the server has ever answered a request, if need be after so many seconds."""
        return self._answered.wait(timeout_s)

    def wait(self, timeout_s: float) -> bool:
        """Return as soon as something has changed since the last call, or after `timeout_s` seconds.

        :return: whether something has.
        """
        end = time.monotonic() + timeout_s
        while not self._changed.is_set() and (left := end - time.monotonic()) > 0:
            self._changed.wait(min(left, 0.5))  # so that Ctrl-C comes through
        if not self._changed.is_set():
            return False
        time.sleep(_DEBOUNCE_S)
        self._changed.clear()
        return True

    def _watch(self, resource: Resource) -> None:
        """Follow a list until the block ends; a version that the server has forgotten is asked for anew."""
        version = ""
        while not self._ended.is_set():
            try:
                version = version or self._read_version(resource)
                self._answered.set()
                version = self._follow(resource, version)
            except (KubeError, ApiException) as error:
                status = error.status if isinstance(error, StatusError | ApiException) else None
                if status:
                    self._answered.set()
                if status in (401, 403, 404, 405):
                    if status != 404:
                        self.unwatched[resource.name] = str(error)
                    return
                if status == _GONE:
                    self._changed.set()
                version = ""
                self._ended.wait(_AGAIN_S)
            except Exception:  # a stream that breaks off raises what its library likes
                self._ended.wait(_AGAIN_S)

    def _read_version(self, resource: Resource) -> str:
        return str(resource.get(namespace=self._namespace, limit=1).metadata.resourceVersion)

    def _follow(self, resource: Resource, version: str) -> str:
        """Tell of each change of a list since this version; return the last version when the stream ends."""
        events = resource.watch(namespace=self._namespace, resource_version=version, timeout=_STREAM_S)
        for event in events:
            with suppress(KeyError, TypeError):
                version = event["raw_object"]["metadata"]["resourceVersion"]
            self._changed.set()
            if self._ended.is_set():
                break
        return version


def _make_resource(client: DynamicClient, api: str, name: str) -> Resource:
    """What the client needs to address a list; the kind of its items is not used."""
    prefix, _, path = api.strip("/").partition("/")
    group, _, version = path.rpartition("/")
    known: dict[str, Any] = {"client": client, "api_version": version, "namespaced": True}
    return Resource(prefix=prefix, group=group, kind=name, name=name, **known)
