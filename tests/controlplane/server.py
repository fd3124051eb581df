"""A real Kubernetes API server on etcd, for as long as a `with` block lasts.

    with ControlPlane() as cluster:
        cluster.node("gpu-1", gpus=8)
        run("dynocheck", "--kubeconfig", cluster.kubeconfig())

No kubelet runs and, unless started, no scheduler and no controller: the state of every object is
what a test wrote. That is what makes a broken cluster easy to show.
"""

import json
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Self

import httpx2

from tests.controlplane import access, build
from tests.controlplane.accepted import AcceptedDefinitions
from tests.controlplane.access import User
from tests.controlplane.api import Object, Resource, wait
from tests.controlplane.certs import Authority, private_key
from tests.controlplane.objects import WORKERS, Objects
from tests.controlplane.processes import Processes
from tests.controlplane.store import MAX_OPERATIONS, State, Store

HOST = "127.0.0.1"
SERVICES = "10.0.0.0/16"
FIRST_SERVICE = "10.0.0.1"  # the API server's own
ISSUER = "https://kubernetes.default.svc"
FORGETTING = 6.0  # seconds after which it is taken to be stuck


@dataclass(frozen=True)
class Snapshot:
    """A state of the cluster that `ControlPlane.reset` can go back to."""

    state: State
    kinds: dict[tuple[str, str], Resource]


class ControlPlane(Objects):
    """etcd and kube-apiserver on loopback ports, and the administrator's hands on them.

    With `audit` every request is recorded, for `audit_events`. With an `address` that pods reach, the API
    server listens there too and admits pods as in any cluster, with service accounts; it is for a real node.
    Entering raises build.Unavailable when the binaries cannot be had, and processes.StartError when a server
    does not come up.
    """

    url: str
    ca_file: Path
    admin: User

    def __init__(self, *, audit: bool = False, address: str | None = None) -> None:
        super().__init__()
        self._audit = audit
        self._address = address
        self._audit_start = 0
        self._numbers = count(1)
        self._granted: list[Object] = []
        self._shared: dict[object, Snapshot] = {}
        self._clients: list[httpx2.Client] = []

    def __enter__(self) -> Self:
        build.assets("etcd", "kube-apiserver")  # before there is anything to clean up
        self._processes = Processes()
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop everything and remove its files, as the end of this process does without it."""
        for client in self._clients:
            client.close()
        if hasattr(self, "_store"):
            self._store.close()
        self._processes.close()

    @property
    def folder(self) -> Path:
        """The temporary folder that holds its logs, certificates and kubeconfigs."""
        return self._processes.folder

    # Users

    def user(self, name: str, *, rules: Sequence[Object] = (), namespace: str | None = None) -> User:
        """Give a user who may do what the RBAC rules say, in one namespace or in the whole cluster.

        The rights are in force when this returns. Without rules it is any authenticated user.
        """
        user = User(name, pair=self._authority.issue(name))
        self._grant(user, rules, namespace)
        return user

    def service_account(self, name: str, namespace: str, *, rules: Sequence[Object] = ()) -> User:
        """Create a service account with these rights cluster-wide; give it, with a token."""
        account = {"name": name, "namespace": namespace}
        self.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        answer = self.request("POST", path, {"apiVersion": "authentication.k8s.io/v1", "spec": {}})
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
        token = answer["status"]["token"]
        user = User(f"system:serviceaccount:{namespace}:{name}", groups, token=token)
        self._grant(user, rules, None)
        return user

    def kubeconfig(
        self,
        user: User | None = None,
        *,
        server: str | None = None,
        namespace: str | None = None,
        **overrides: Any,
    ) -> Path:
        """Write a kubeconfig, for the administrator if no user is named, and give its path.

        Overrides set fields of its cluster or user entry, `token="expired"` or
        `tls_server_name="other"`; None takes one away.
        """
        path = self.folder / f"kubeconfig-{next(self._numbers)}"
        path.touch(mode=0o600)
        text = access.kubeconfig(
            user or self.admin, server or self.url, self._authority.certificate, namespace, overrides
        )
        path.write_text(text)
        return path

    def client(self, user: User) -> httpx2.Client:
        """Give an HTTP client that speaks as this user; it is closed with the control plane."""
        context = access.tls(user, self.ca_file, self.folder / f"user-{next(self._numbers)}.pem")
        headers = {"Authorization": f"Bearer {user.token}"} if user.token else {}
        client = httpx2.Client(
            base_url=self.url, verify=context, headers=headers, timeout=30, trust_env=False
        )
        self._clients.append(client)
        return client

    def kubectl(self, *arguments: str, user: User | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl, as the administrator if no user is named; give its result, good or bad."""
        command = [*self._kubectl(user), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    def shell(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script with bash, in which kubectl is the administrator's; give its result, good or bad."""
        function = f'kubectl() {{ {shlex.join(self._kubectl())} "$@"; }}'
        command = ["/bin/bash", "-o", "pipefail", "-c", f"{function}\n{script}"]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    def _kubectl(self, user: User | None = None) -> list[str]:
        config = self.kubeconfig(user) if user else self._admin_kubeconfig
        cache = str(self._kubectl_cache)
        return [str(self._binary("kubectl")), "--kubeconfig", str(config), "--cache-dir", cache]

    # State

    def define(self, crds: Sequence[Object]) -> None:
        """Define these as they were accepted before, where they were, and wait until they are served.

        Raises TimeoutError for one that is not.
        """
        accepted = AcceptedDefinitions(self._store, Path(self._binary("kube-apiserver")))
        self.apply(*accepted.put(crds), workers=WORKERS)
        self.await_kinds(crds)
        accepted.keep()

    def snapshot(self) -> Snapshot:
        """Take the present state as the one that `reset` goes back to, and give it.

        It is for what is slow to make and many tests share, such as CRDs.
        """
        self._base = Snapshot(self._store.snapshot(), self.discover())
        self._granted.clear()
        return self._base

    def share(self, *crds: Path, furnish: Callable[[Self], object] | None = None) -> Iterator[None]:
        """The body of a fixture: define these types, and furnish the cluster, for all tests of its scope.

        What was made once is put back as it was then, which takes a tenth of the time.
        """
        start = self.snapshot()
        if made := self._shared.get((crds, furnish)):
            self.reset(made)
            self.warm(made.kinds.keys() - start.kinds.keys())
        else:
            self.load_crds(*crds)
            if furnish is not None:
                furnish(self)
            self._shared[crds, furnish] = self.snapshot()
        yield
        self.reset(start)

    def reset(self, to: Snapshot | None = None) -> None:
        """Put every object back as it was, stop scheduler and controllers, forget audited requests.

        That is as it was at the last snapshot, which at first is the start, or at the one given,
        which then is the last. Raises TimeoutError when the API server does not follow.
        """
        self._base = to or self._base
        for name in ("kube-scheduler", "kube-controller-manager"):
            self._processes.stop(name)
        changed = self._store.restore(self._base.state)
        if any("/customresourcedefinitions/" in key or "/apiservices/" in key for key in changed):
            self._serve_as_before()
            shutil.rmtree(self._kubectl_cache, ignore_errors=True)
        for question in self._granted:
            wait(lambda: not self._allowed(question), "take rights back")  # noqa: B023
        self._granted.clear()
        if self._audit:
            self._audit_start = self._audit_log.stat().st_size

    def _serve_as_before(self) -> None:
        """Wait until discovery shows the kinds of the last snapshot. Now and then, on a busy machine, an API
        server that loses many definitions at once keeps some of them in it for good: then it starts anew.
        """
        served = self._base.kinds
        try:
            wait(lambda: self.discover() == served, "serve the kinds it served before", FORGETTING)
        except TimeoutError:
            self._processes.stop("kube-apiserver")
            self._start_api_server()
            self._admin_kubeconfig = self.kubeconfig()
            wait(lambda: self.discover() == served, "serve the kinds it served before")
        self._kinds = served

    def audit_events(self, user: User | None = None) -> list[Object]:
        """Give the audit event of each request since the last reset, in order of arrival.

        With a user only theirs, else everybody's but the API server's own. Needs `audit=True`.
        """
        assert self._audit, "only ControlPlane(audit=True) records requests"
        deadline = time.monotonic() + 1
        while True:
            # Arrival is recorded before a request is served, its completion maybe after the answer.
            requests: dict[str, Object] = {}
            with self._audit_log.open("rb") as log:
                log.seek(max(self._audit_start - 1, 0))
                if self._audit_start:
                    log.readline()  # what was being written at the reset, else the end of the line before
                for line in log.read().splitlines(keepends=True):
                    if line.endswith(b"\n"):
                        event: Object = json.loads(line)
                        requests[event["auditID"]] = event
            chosen = [event for event in requests.values() if _counts(event, user)]
            pending = [event for event in chosen if event["stage"] == "RequestReceived"]
            if not pending or time.monotonic() > deadline:
                return chosen
            time.sleep(0.01)

    # Servers

    def start_scheduler(self) -> None:
        """Start kube-scheduler; it runs until the next reset. Raises Unavailable or StartError."""
        self._start_component("kube-scheduler")

    def start_controller_manager(self) -> None:
        """Start kube-controller-manager; it runs until the next reset.

        All controllers run, but without a real node not the one that taints nodes whose kubelet is silent.
        Raises Unavailable or StartError.
        """
        self._start_component(
            "kube-controller-manager",
            "--controllers=*" if self._address else "--controllers=*,-node-lifecycle-controller",
            f"--service-account-private-key-file={self.folder / 'service-account.key'}",
            f"--root-ca-file={self.ca_file}",
        )

    def _start(self) -> None:
        self._authority = Authority()
        self.ca_file = self._write("ca.crt", self._authority.certificate)
        self.admin = User(
            "dynocheck-admin",
            ("system:masters",),
            self._authority.issue("dynocheck-admin", groups=["system:masters"]),
        )
        inside = [self._address, FIRST_SERVICE, "kubernetes.default.svc"] if self._address else []
        pair = self._authority.issue("kube-apiserver", hosts=[HOST, "localhost", *inside])
        certificate = self._write("server.crt", pair.certificate)
        key = self._write("server.key", pair.key)
        self._serving = [f"--tls-cert-file={certificate}", f"--tls-private-key-file={key}"]
        self._write("service-account.key", private_key())
        self._start_etcd()
        self._start_api_server()
        self._admin_kubeconfig = self.kubeconfig()
        self._kubectl_cache = self.folder / "kubectl"
        # The last objects that a fresh API server makes by itself.
        wait(lambda: self._exists("/api/v1/namespaces/default/services/kubernetes"), "settle")
        self.snapshot()

    def _start_etcd(self) -> None:
        def command(port: int) -> list[str]:
            url = f"http://{HOST}:{port}"
            self._store = Store(url)
            return [
                self._binary("etcd"),
                f"--data-dir={self.folder / 'etcd'}",
                f"--listen-client-urls={url}",
                f"--advertise-client-urls={url}",
                f"--listen-peer-urls=http://{HOST}:0",
                f"--max-txn-ops={MAX_OPERATIONS}",
                "--unsafe-no-fsync",
            ]

        self._etcd_port = self._processes.serve("etcd", command, lambda _: self._store.healthy())

    def _start_api_server(self) -> None:
        service_account = self.folder / "service-account.key"

        def command(port: int) -> list[str]:
            self.url = f"https://{HOST}:{port}"
            self.http = self.client(self.admin)
            return [
                self._binary("kube-apiserver"),
                f"--etcd-servers=http://{HOST}:{self._etcd_port}",
                f"--secure-port={port}",
                f"--client-ca-file={self.ca_file}",
                "--allow-privileged=true",
                "--authorization-mode=RBAC",
                f"--service-account-issuer={ISSUER}",
                f"--service-account-key-file={service_account}",
                f"--service-account-signing-key-file={service_account}",
                f"--service-cluster-ip-range={SERVICES}",
                *self._serving,
                *self._place_flags(),
                *self._audit_flags(),
            ]

        self._processes.serve("kube-apiserver", command, lambda _: self._exists("/readyz"))

    def _start_component(self, name: str, *flags: str) -> None:
        def command(port: int) -> list[str]:
            return [
                self._binary(name),
                f"--kubeconfig={self._admin_kubeconfig}",
                "--leader-elect=false",
                f"--bind-address={HOST}",
                f"--secure-port={port}",
                *self._serving,
                *flags,
            ]

        self._processes.serve(name, command, lambda port: self._exists(f"https://{HOST}:{port}/healthz"))

    def _place_flags(self) -> list[str]:
        if self._address:
            return [
                "--bind-address=0.0.0.0",
                f"--advertise-address={self._address}",
                "--kubelet-preferred-address-types=InternalIP",
            ]
        return [
            f"--bind-address={HOST}",
            f"--advertise-address={HOST}",
            # A loopback address is refused as an endpoint of the service "kubernetes".
            "--endpoint-reconciler-type=none",
            # Nobody runs who would make service accounts or take the taint of a new node off.
            "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
        ]

    def _audit_flags(self) -> list[str]:
        if not self._audit:
            return []
        policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "Metadata"}]}
        path = self._write("audit-policy.yaml", json.dumps(policy).encode())
        return [f"--audit-policy-file={path}", f"--audit-log-path={self._audit_log}"]

    @property
    def _audit_log(self) -> Path:
        return self.folder / "audit.log"

    def _exists(self, url: str) -> bool:
        try:
            return self.http.get(url, timeout=1).is_success
        except httpx2.TransportError:
            return False

    def _grant(self, user: User, rules: Sequence[Object], namespace: str | None) -> None:
        if rules:
            self.apply(*access.grant(user, list(rules), namespace))
            question = access.review(user, rules[0], namespace)
            self._granted.append(question)
            wait(lambda: self._allowed(question), f"give {user.name} its rights")

    def _allowed(self, question: Object) -> bool:
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        return bool(self.request("POST", path, question)["status"]["allowed"])

    def _write(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        return path

    def _binary(self, name: str) -> str:
        path = build.assets(name) / name
        if not path.exists():  # an optional one, whose absence has been told
            raise build.AssetsUnavailable(f"no {name}")
        return str(path)


def _counts(event: Object, user: User | None) -> bool:
    name = event["user"].get("username")
    return bool(name == user.name if user else name != "system:apiserver")
