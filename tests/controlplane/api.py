"""Talks to an API server in its own words: plain objects and paths, no generated client."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx2

Object = dict[str, Any]

MANAGER = "dynocheck-tests"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
PATIENCE = 5.0  # seconds that a kind may take from its definition to its being served
SETTLING = 120.0  # seconds for the API server to follow; milliseconds on a quiet machine


class ApiError(Exception):
    """The API server refused a request: `code` is the HTTP status, `status` its Status object."""

    def __init__(self, answer: httpx2.Response) -> None:
        try:
            self.status: Object = answer.json()
        except ValueError:
            self.status = {"message": answer.text}
        self.code = answer.status_code
        request = answer.request
        super().__init__(f"{request.method} {request.url.path}: {self.code} {self.status.get('message')}")


@dataclass(frozen=True)
class Resource:
    """How a kind is addressed."""

    path: str
    namespaced: bool
    has_status: bool
    lists: bool

    def url(self, metadata: Object) -> str:
        """Give the path of the object with this metadata."""
        base, _, plural = self.path.rpartition("/")
        inside = f"/namespaces/{metadata.get('namespace', 'default')}" if self.namespaced else ""
        return f"{base}{inside}/{plural}/{metadata['name']}"


class Api:
    """Reads and writes objects over one kept-alive client, which a subclass or caller sets."""

    http: httpx2.Client

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str], Resource] = {}

    def request(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        **parameters: str,
    ) -> Object:
        """Send one request; give the object answered, or raise ApiError."""
        headers = {"Content-Type": content_type, "Accept": accept}
        answer = self.http.request(method, path, json=body, headers=headers, params=parameters or None)
        if answer.is_error:
            raise ApiError(answer)
        content: Object = answer.json()
        return content

    def get(self, path: str) -> Object:
        """Give what lies at a path, such as "/api/v1/nodes"; raise ApiError if nothing does."""
        return self.request("GET", path)

    def apply(self, *objects: Object, workers: int = 1) -> list[Object]:
        """Create or change objects by server-side apply, and give them as the server has them.

        A "status" is written too, through its subresource. The order is kept unless there are
        several workers. Raises ApiError, or LookupError for a kind that is not served.
        """
        if workers == 1:
            return [self._apply(item) for item in objects]
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(self._apply, objects))

    def patch_status(self, item: Object) -> Object:
        """Merge the status of an object, named by its kind and metadata, into what there is."""
        url = self.resource(item).url(item["metadata"])
        body = {"status": item["status"]}
        return self.request("PATCH", f"{url}/status", body, content_type="application/merge-patch+json")

    def delete(self, item: Object) -> None:
        """Delete an object at once. Finalizers hold it, as they would in any cluster."""
        url = self.resource(item).url(item["metadata"])
        self.request("DELETE", url, gracePeriodSeconds="0", propagationPolicy="Background")

    def resource(self, item: Object) -> Resource:
        """Find how the kind of an object is addressed; raise LookupError if it is not served."""
        kind = (item["apiVersion"], item["kind"])
        deadline = time.monotonic() + PATIENCE
        while kind not in self._kinds:
            self._kinds = self.discover()
            if time.monotonic() > deadline:
                raise LookupError(f"the API server serves no {kind[1]} of {kind[0]}")
        return self._kinds[kind]

    def discover(self) -> dict[tuple[str, str], Resource]:
        """Give every kind that is served, by apiVersion and kind."""
        kinds = {}
        for root in ("/api", "/apis"):
            for group in self.request("GET", root, accept=AGGREGATED)["items"]:
                prefix = group["metadata"].get("name", "")
                for version in group["versions"]:
                    name = f"{prefix}/{version['version']}".lstrip("/")
                    for resource in version.get("resources", []):
                        parts = {part["subresource"] for part in resource.get("subresources", [])}
                        kinds[name, resource["responseKind"]["kind"]] = Resource(
                            path=f"{root}/{name}/{resource['resource']}",
                            namespaced=resource["scope"] == "Namespaced",
                            has_status="status" in parts,
                            lists="list" in resource["verbs"],
                        )
        return kinds

    def _apply(self, item: Object) -> Object:
        resource = self.resource(item)
        body = {key: value for key, value in item.items() if key != "status"}
        patch = partial(self.request, "PATCH", content_type="application/apply-patch+yaml")
        made = patch(resource.url(item["metadata"]), body, fieldManager=MANAGER, force="true")
        if "status" in item and resource.has_status:
            return self.patch_status(item)
        return made


def wait(holds: Callable[[], bool], what: str, limit_s: float = SETTLING) -> None:
    """Wait until `holds`. Raises TimeoutError, which says what the API server should have done."""
    deadline, pause = time.monotonic() + limit_s, 0.005
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the API server took over {limit_s:.0f} s to {what}")
        time.sleep(pause)
        pause = min(2 * pause, 0.25)  # asking costs it time too
