"""The official client: what it does otherwise than kubectl, and what it does as the user that we found."""

import datetime
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import kubernetes
import pytest
from kubernetes.client import ApiClient, AuthenticationV1Api, CoreV1Api
from kubernetes.watch import Watch

from dynocheck.core.errors import UsageError
from dynocheck.kube import (
    Cluster,
    Forbidden,
    InvalidResponse,
    KubeError,
    NotFound,
    StatusError,
    Unreachable,
    find_connection,
)
from dynocheck.kube.official_client import make_official_client
from tests.command import ROOT
from tests.controlplane.access import User
from tests.controlplane.certs import Authority
from tests.controlplane.server import ControlPlane
from tests.kube.servers import SLACK, TOKEN, FakeServer, Request, reply, serve, tls
from tests.kube.test_config import document, write
from tests.kube.test_credentials import NO_CERTIFICATE, V1, credential, script
from tests.kube.test_proxies import proxying

REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


def theirs(path: Path | str) -> ApiClient:
    """The official client as it makes itself of a kubeconfig."""
    return kubernetes.config.new_client_from_config(str(path))


def ours(path: Path, *, timeout_s: float = 10) -> ApiClient:
    return make_official_client(Cluster(find_connection(str(path)), timeout_s=timeout_s))


def core_of(server: FakeServer, folder: Path, **overrides: Any) -> CoreV1Api:
    return CoreV1Api(make_official_client(server.cluster(folder, **overrides)))


def watched(core: CoreV1Api, namespace: str) -> Iterator[dict[str, Any]]:
    """What happens to the pods of a namespace within a second."""
    events: Iterator[dict[str, Any]] = Watch().stream(core.list_namespaced_pod, namespace, timeout_seconds=1)
    return events


def who(client: ApiClient) -> Any:
    """The user that the API server sees."""
    return AuthenticationV1Api(client).create_self_subject_review(REVIEW).status.user_info


# What it does otherwise than kubectl: why `dynocheck.kube` finds the user


def test_of_several_files_it_takes_the_current_context_of_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kubectl: Callable[..., str]
) -> None:
    files = f"{write(tmp_path / 'a', document('one'))}:{write(tmp_path / 'b', document('two'))}"
    monkeypatch.setenv("KUBECONFIG", files)
    assert theirs(files).configuration.host == "https://two.example:6443"
    assert kubectl("config", "current-context") == "one"
    assert find_connection().context == "one"


def test_a_user_that_does_not_exist_it_asks_as_anonymous(
    cluster: ControlPlane, kubectl: Callable[..., str]
) -> None:
    path = cluster.kubeconfig(user := cluster.user("somebody"))
    path.write_text(path.read_text().replace(f"user: {user.name}", "user: nobody"))
    with suppress(Exception):  # which one depends on what RBAC grants to anonymous users
        who(theirs(path))
    assert cluster.audit_events(User("system:anonymous")) != []
    assert "Please enter Username" in kubectl("--kubeconfig", str(path), "auth", "whoami")
    with pytest.raises(UsageError, match="names user 'nobody'"):
        find_connection(str(path))


def test_it_leaves_impersonation_out(cluster: ControlPlane, kubectl: Callable[..., str]) -> None:
    impersonated: dict[str, Any] = {"as": "somebody", "as_groups": ["admins", "people"]}
    path = cluster.kubeconfig(**impersonated)
    assert who(theirs(path)).username == cluster.admin.name
    said = json.loads(kubectl("--kubeconfig", str(path), "auth", "whoami", "-o", "json"))
    assert said["status"]["userInfo"]["groups"][:2] == ["admins", "people"]
    assert (who(ours(path)).username, who(ours(path)).groups[:2]) == ("somebody", ["admins", "people"])


@pytest.fixture
def kubectl(cluster: ControlPlane) -> Callable[..., str]:
    """What kubectl prints; it is given no kubeconfig but those of the test."""
    path = cluster._binary("kubectl")
    quiet = partial(subprocess.run, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)

    def run(*arguments: str) -> str:
        done = quiet([path, *arguments], check=False)
        return str(done.stdout or done.stderr).strip()

    return run


# As the user that we found


def test_by_certificate_and_by_token(cluster: ControlPlane) -> None:
    account = cluster.service_account("runner", cluster.namespace())
    for user in (cluster.user("certified"), account):
        assert who(ours(cluster.kubeconfig(user))).username == user.name


def test_a_certificate_for_another_host(tmp_path: Path) -> None:
    authority = Authority()
    context = tls(authority.issue("server", hosts=["api.example.com"]), tmp_path)
    unchecked = {"insecure_skip_tls_verify": True, "certificate_authority_data": None}

    def read(**overrides: Any) -> Any:
        return core_of(server, tmp_path, **overrides).read_namespaced_pod("pod", "default")

    with serve(reply(200, {"kind": "Pod"}), context, authority.certificate) as server:
        with pytest.raises(Unreachable, match="TLS: IP address mismatch"):
            read()
        with pytest.raises(Unreachable, match="TLS: "):
            read(tls_server_name="api.example.com", certificate_authority_data=None)
        assert read(tls_server_name="api.example.com").kind == "Pod"
        assert read(**unchecked).kind == "Pod"


def test_what_a_plugin_makes_is_renewed_when_it_has_expired(cluster: ControlPlane, tmp_path: Path) -> None:
    account = cluster.service_account("runner", cluster.namespace())
    soon = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=1)).isoformat()
    made = credential(token=account.token, expirationTimestamp=soon)
    plugin = script(tmp_path / "login", f"echo run >> {tmp_path}/runs; echo '{made}'")
    entry = {"apiVersion": V1, "command": str(plugin), "interactiveMode": "Never"}
    client = ours(cluster.kubeconfig(**NO_CERTIFICATE, exec=entry))
    assert who(client).username == account.name
    time.sleep(1)
    assert who(client).username == account.name
    assert (tmp_path / "runs").read_text().count("run") > 1


def test_through_the_proxy_of_the_kubeconfig_and_not_another(
    cluster: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy.invalid:1")
    with proxying() as proxy:
        client = ours(cluster.kubeconfig(proxy_url=proxy.url))
        assert who(client).username == cluster.admin.name
        namespaces = Watch().stream(CoreV1Api(client).list_namespace, timeout_seconds=1)
        assert "default" in [event["object"].metadata.name for event in namespaces]
    assert len(proxy.requests) >= 1


def test_a_watch_is_read_as_it_comes(cluster: ControlPlane) -> None:
    core = CoreV1Api(ours(cluster.kubeconfig()))
    version = core.list_namespace().metadata.resource_version
    begun = time.monotonic()
    events = Watch().stream(core.list_namespace, resource_version=version, timeout_seconds=30)
    made = cluster.namespace()
    event = next(events)
    events.close()
    assert (event["type"], event["object"].metadata.name) == ("ADDED", made)
    assert time.monotonic() - begun < 30 - SLACK


# What stands in the way


def test_refusals_are_told_apart_as_everywhere(cluster: ControlPlane) -> None:
    core = CoreV1Api(ours(cluster.kubeconfig(cluster.user("stranger"))))
    with pytest.raises(Forbidden, match="cannot list resource"):
        core.list_namespace()
    with pytest.raises(Forbidden):
        next(watched(core, "default"))
    with pytest.raises(NotFound, match=r"/api/v1/namespaces/none: not found"):
        CoreV1Api(ours(cluster.kubeconfig())).read_namespace("none")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 500])
def test_a_server_that_sends_our_token_back(tmp_path: Path, status: int) -> None:
    """The text of an ApiException would hold what it sent."""

    def echo(request: Request, _: object) -> bytes:
        told = request.headers["authorization"]
        return reply(status, {"kind": "Status", "message": told, "reason": told}, WWW_Authenticate=told)

    with serve(echo) as server:
        core = core_of(server, tmp_path)
        asked = (
            lambda: core.read_namespaced_pod("pod", "default"),
            lambda: core.create_namespaced_pod("default", {"kind": "Pod"}),
            lambda: core.delete_namespaced_pod("pod", "default", _preload_content=False),
            lambda: core.read_namespaced_pod_log("pod", "default", _preload_content=False),
            lambda: next(watched(core, "default"), None),
        )
        for ask in asked:
            with pytest.raises(KubeError) as raised:
                ask()
            assert TOKEN not in f"{raised.value} {raised.value!r} {raised.value.fix}"


@pytest.mark.parametrize("body", ["<html>log in</html>", "{}", "[1]", "7", "{", "", b"\xff"])
def test_what_is_no_object_is_not_taken_for_one(tmp_path: Path, body: str | bytes) -> None:
    kind = "text/html" if str(body).startswith("<html>") else "application/json"
    unlike = pytest.raises(InvalidResponse, match="not a Kubernetes API response")
    with serve(reply(200, body, kind)) as server, unlike:
        core_of(server, tmp_path).read_namespaced_pod("pod", "default")


def test_credentials_follow_no_redirect(tmp_path: Path) -> None:
    with (
        serve(reply(200, {"kind": "Pod"})) as other,
        serve(reply(307, "", Location=f"{other.url}/x")) as server,
    ):
        core = core_of(server, tmp_path)
        with pytest.raises(StatusError, match="redirected"):
            core.read_namespaced_pod("pod", "default")
        with pytest.raises(StatusError, match="redirected"):
            next(watched(core, "default"))
    assert other.requests == []


def test_a_log_that_is_json_stays_as_it_is(tmp_path: Path) -> None:
    with serve(reply(200, '{"a": 1}', "text/plain")) as server:
        answer = core_of(server, tmp_path).read_namespaced_pod_log("pod", "default", _preload_content=False)
        assert answer.data == b'{"a": 1}'


# Who imports it


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("preflight", "--kubeconfig", "/nowhere"),
        ("recipe", "recipes"),
        ("smoke", "--url", "http://127.0.0.1:9", "--timeout", "0.1"),
        ("load", "--url", "http://127.0.0.1:9", "--in-cluster", "--image", "i", "--model", "m"),
        ("rbac", "--load"),
    ],
    ids=" ".join,
)
def test_verbs_that_do_not_need_it_do_not_import_it(arguments: tuple[str, ...]) -> None:
    """It takes half a second and 25 MB."""
    program = "import sys; from dynocheck.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", f"{program}; assert 'kubernetes' not in sys.modules", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
