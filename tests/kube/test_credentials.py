"""Credentials as kubectl has them, against a real API server: files, plugins, logins, impersonation."""

import base64
import datetime
import json
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dynocheck.kube import (
    Cluster,
    CredentialsFailed,
    KubeError,
    TimedOut,
    config,
    find_connection,
    run_parallel,
)
from tests.command import until
from tests.controlplane.access import User
from tests.controlplane.server import ControlPlane
from tests.kube.servers import SLACK, Request, items, reply, serve

V1 = "client.authentication.k8s.io/v1"
SECRET = "not-to-be-told-0123456789"
FOO = "Zm9v"  # no key and no certificate, as base64
NO_CERTIFICATE: dict[str, Any] = {"client_certificate_data": None, "client_key_data": None}
NO_AUTHORITY = {"certificate_authority_data": None, "certificate_authority": "/nowhere/ca"}
WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


class Who(msgspec.Struct):
    status: dict[str, Any]


def who(kubeconfig: Path, *, timeout_s: float = 10, context: str | None = None) -> dict[str, Any]:
    """The user that the API server sees."""
    return asked(Cluster(find_connection(str(kubeconfig), context), timeout_s=timeout_s))


def asked(cluster: Cluster) -> dict[str, Any]:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    user: dict[str, Any] = cluster.post(WHO, body, Who).status["userInfo"]
    return user


def name_of(kubeconfig: Path) -> str:
    """The name of the user that the API server sees."""
    return str(who(kubeconfig)["username"])


def failing(kubeconfig: Path, kind: type[KubeError] = CredentialsFailed, timeout_s: float = 10) -> KubeError:
    """Why there are no credentials: in one line, without the secret."""
    with pytest.raises(kind) as raised:
        who(kubeconfig, timeout_s=timeout_s)
    assert str(raised.value).isprintable()
    assert SECRET not in str(raised.value) + repr(raised.value) + (raised.value.fix or "")
    return raised.value


@pytest.fixture
def account(cluster: ControlPlane) -> User:
    return cluster.service_account("runner", cluster.namespace())


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def credential(*, version: str = V1, kind: str = "ExecCredential", **status: object) -> str:
    return json.dumps({"apiVersion": version, "kind": kind, "status": status})


Login = Callable[..., Path]


@pytest.fixture
def login(cluster: ControlPlane, tmp_path: Path) -> Login:
    """Write a plugin of this script, and the kubeconfig that names it."""

    def write(text: str, **fields: object) -> Path:
        plugin = script(tmp_path / "login", text)
        entry = {"apiVersion": V1, "command": str(plugin), "interactiveMode": "Never", **fields}
        return cluster.kubeconfig(**NO_CERTIFICATE, exec=entry)

    return write


# Files


def test_paths_are_relative_to_the_file_that_has_them(
    cluster: ControlPlane, account: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when one file has the cluster and another the user, and both are read from elsewhere."""
    user = cluster.user("split")
    assert user.pair is not None
    (tmp_path / "a" / "pki").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "a/pki/ca.crt").write_bytes(cluster.ca_file.read_bytes())
    (tmp_path / "b/user.crt").write_bytes(user.pair.certificate)
    (tmp_path / "b/user.key").write_bytes(user.pair.key)
    (tmp_path / "b/token").write_text(f"{account.token}\n")
    by_certificate = {"client-certificate": "user.crt", "client-key": "user.key"}
    server = {"server": cluster.url, "certificate-authority": "pki/ca.crt"}
    (tmp_path / "a/config").write_text(json.dumps({"clusters": [{"name": "c", "cluster": server}]}))
    people = {"certified": by_certificate, "token": {"tokenFile": "../b/token"}}
    parts = {
        "users": [{"name": name, "user": entry} for name, entry in people.items()],
        "contexts": [{"name": name, "context": {"cluster": "c", "user": name}} for name in people],
    }
    (tmp_path / "b/config").write_text(json.dumps(parts))
    monkeypatch.setenv("KUBECONFIG", "a/config:b/config")
    monkeypatch.chdir(tmp_path)
    for context, name in (("certified", "split"), ("token", account.name)):
        assert asked(Cluster(find_connection(context=context), timeout_s=10))["username"] == name


def test_the_token_file_is_read_and_wins(cluster: ControlPlane, account: User, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"\n{account.token}\n")
    by_file = {**NO_CERTIFICATE, "tokenFile": str(file)}
    assert name_of(cluster.kubeconfig(**by_file)) == account.name
    assert name_of(cluster.kubeconfig(**by_file, token="old")) == account.name
    file.unlink()
    assert name_of(cluster.kubeconfig(**by_file, token=account.token)) == account.name


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"tokenFile": "/nowhere/token"}, "token file /nowhere/token: No such file or directory"),
        ({"tokenFile": "/"}, "token file /: Is a directory"),
        ({"token": f"{SECRET}\nX-Remote-User: admin"}, "Authorization contains characters that are invalid"),
        ({"token": f"{SECRET}\u20ac"}, "Authorization contains characters that are invalid"),
        (
            {"client_key_data": "!", "client_certificate_data": FOO},
            "client-key-data of the kubeconfig is not",
        ),
        ({"client_key_data": FOO, "client_certificate_data": FOO}, "certificate and key: not a PEM pair"),
        ({"certificate_authority_data": "!!"}, "certificate-authority-data of the kubeconfig is not base64"),
        ({"certificate_authority_data": FOO}, "certificate-authority of the kubeconfig: not a certificate"),
        (NO_AUTHORITY, "certificate-authority /nowhere/ca: No such file or directory"),
        ({"auth_provider": {"name": "gcp"}}, "auth-provider 'gcp' is not supported"),
        ({"auth_provider": {"name": "oidc", "config": {}}}, "OpenID Connect id-token of the kubeconfig is"),
        ({"proxy_url": "gopher://x"}, "the proxy is not an http, https or socks5 URL"),
    ],
)
def test_what_cannot_be_used(cluster: ControlPlane, overrides: dict[str, Any], says: str) -> None:
    assert says in str(failing(cluster.kubeconfig(**(NO_CERTIFICATE | overrides))))


def test_a_key_of_somebody_else(cluster: ControlPlane) -> None:
    one, other = cluster.user("one"), cluster.user("other")
    assert other.pair is not None
    key = base64.b64encode(other.pair.key).decode()
    assert "not a PEM pair" in str(failing(cluster.kubeconfig(one, client_key_data=key)))


def test_no_private_key_is_left_on_disk(
    cluster: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert name_of(cluster.kubeconfig()) == cluster.admin.name
    assert list(tmp_path.iterdir()) == []


def test_in_a_pod(
    cluster: ControlPlane, account: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "_ACCOUNT", tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    host, port = cluster.url.removeprefix("https://").split(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    assert account.token is not None
    (tmp_path / "token").write_text(account.token)
    (tmp_path / "ca.crt").write_bytes(cluster.ca_file.read_bytes())
    assert asked(Cluster(find_connection(), timeout_s=10))["username"] == account.name


def test_a_login_is_sent(tmp_path: Path) -> None:
    expected = "Basic " + base64.b64encode(b"me:pass:word").decode()

    def handle(request: Request, _: object) -> bytes:
        return reply(200 if request.headers.get("authorization") == expected else 401, items())

    with serve(handle) as server:
        named = server.cluster(tmp_path, token=None, username="me", password="pass:word")
        assert named.items("/x", Who) == []
        server.url = server.url.replace("//", "//me:pass%3Aword@")
        assert server.cluster(tmp_path, token=None).items("/x", Who) == []


# Plugins


def test_a_plugin_makes_a_token(account: User, login: Login) -> None:
    assert name_of(login(f"echo '{credential(token=account.token)}'")) == account.name


def test_a_plugin_makes_a_certificate(cluster: ControlPlane, login: Login) -> None:
    pair = cluster.user("certified").pair
    assert pair is not None
    halves = {"clientCertificateData": pair.certificate.decode(), "clientKeyData": pair.key.decode()}
    text = credential(**halves, expirationTimestamp="2999-01-01T00:00:00Z")
    assert name_of(login(f"cat <<'END'\n{text}\nEND")) == "certified"


def test_a_plugin_is_told_what_kubectl_tells(cluster: ControlPlane, account: User, login: Login) -> None:
    seen = login("true").parent / "seen"
    text = f"""printf '%s' "$KUBERNETES_EXEC_INFO" > {seen}
echo '{{"apiVersion": "{V1}", "kind": "ExecCredential", "status": {{"token": "'"$1$TOKEN_REST"'"}}}}'"""
    assert account.token is not None
    start, rest = account.token[:20], account.token[20:]
    env = [{"name": "TOKEN_REST", "value": rest}]
    kubeconfig = login(text, args=[start], env=env, provideClusterInfo=True)
    assert name_of(kubeconfig) == account.name
    authority = base64.b64encode(cluster.ca_file.read_bytes()).decode()
    about = {"server": cluster.url, "certificate-authority-data": authority}
    spec = {"interactive": False, "cluster": about}
    assert json.loads(seen.read_text()) == {"apiVersion": V1, "kind": "ExecCredential", "spec": spec}


def test_a_command_is_relative_to_its_kubeconfig_or_in_the_path(
    cluster: ControlPlane, account: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"echo '{credential(token=account.token)}'"
    entry = {"apiVersion": V1, "command": "./bin/login"}
    kubeconfig = cluster.kubeconfig(**NO_CERTIFICATE, exec=entry)
    plugin = script(kubeconfig.parent / "bin/login", text)
    monkeypatch.chdir(tmp_path)
    assert name_of(kubeconfig) == account.name
    plugin.unlink()

    script(tmp_path / "path/own-login", text)
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:{os.environ['PATH']}")
    by_name = cluster.kubeconfig(**NO_CERTIFICATE, exec=entry | {"command": "own-login"})
    assert name_of(by_name) == account.name


def test_a_token_of_the_user_comes_before_a_plugin(cluster: ControlPlane, account: User) -> None:
    entry = {"apiVersion": V1, "command": "/nowhere/login"}
    kubeconfig = cluster.kubeconfig(**NO_CERTIFICATE, exec=entry, token=account.token)
    assert name_of(kubeconfig) == account.name


def test_a_plugin_that_is_not_installed_or_may_not_be_run(cluster: ControlPlane, tmp_path: Path) -> None:
    entry = {"apiVersion": V1, "command": "no-such-login", "installHint": "brew install\n  no-such-login"}
    error = failing(cluster.kubeconfig(**NO_CERTIFICATE, exec=entry))
    assert str(error) == "the credential plugin 'no-such-login' cannot be run: No such file or directory"
    assert error.fix == "brew install no-such-login"
    (tmp_path / "login").write_text("#!/bin/sh\n")
    error = failing(cluster.kubeconfig(**NO_CERTIFICATE, exec={**entry, "command": str(tmp_path / "login")}))
    assert "cannot be run: Permission denied" in str(error)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"echo {SECRET} >&2; echo {SECRET}; exit 3", "exited with 3"),
        ("kill -9 $$", "exited with -9"),
        ("true", "printed no ExecCredential: Input data was truncated"),
        (f"echo {SECRET}", "printed no ExecCredential: JSON is malformed"),
        ("printf '\\377\\376'", "printed no ExecCredential: "),
        (f"echo '[\"{SECRET}\"]'", "printed no ExecCredential: Expected `object`, got `array`"),
        (f"echo '{credential(token=7)}'", "printed no ExecCredential: Expected `str`, got `int`"),
        (f"echo '{credential(kind='Secret', token=SECRET)}'", f"printed no ExecCredential of {V1}"),
        (f"echo '{credential(version=V1 + 'beta1', token=SECRET)}'", f"printed no ExecCredential of {V1}"),
        (f"echo '{credential()}'", "printed no token and no client certificate"),
        (f"echo '{credential(clientKeyData=SECRET)}'", "printed only one of client certificate and key"),
        (
            f"echo '{credential(token=SECRET, expirationTimestamp=SECRET)}'",
            "no ExecCredential: Invalid RFC3339",
        ),
        ("yes", "printed more than a credential"),
    ],
)
def test_a_plugin_that_fails(cluster: ControlPlane, login: Login, text: str, says: str) -> None:
    """It does not make us anonymous, and nothing of what it printed is told."""
    error = failing(login(text))
    assert says in str(error)
    assert str(error).startswith("the credential plugin '")
    assert "kubectl auth whoami" in (error.fix or "")
    assert cluster.audit_events(User("system:anonymous")) == []


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"command": ""}, "the kubeconfig's exec has no command"),
        ({"apiVersion": "client.authentication.k8s.io/v1alpha1"}, "has apiVersion 'client.authentication"),
        ({"interactiveMode": "Always"}, "requires a terminal"),
        ({"args": ["a\x00b"]}, "cannot be run: its arguments are invalid"),
    ],
)
def test_a_plugin_that_cannot_be_asked(login: Login, fields: dict[str, Any], says: str) -> None:
    assert says in str(failing(login("echo unasked", **fields)))


@pytest.mark.parametrize(
    "text",
    [
        "echo $$ > {pid}; exec sleep 60",
        "sleep 60 & echo $! > {pid}; wait",
        "sleep 60 & echo $! > {pid}; exit 0",
        "echo $$ > {pid}; exec >&-; exec sleep 60",
        "trap '' TERM INT HUP; echo $$ > {pid}; while true; do sleep 0.1; done",
    ],
    ids=["hangs", "waits for a child", "leaves a child behind", "closes its output", "ignores signals"],
)
def test_a_plugin_that_hangs_is_ended(login: Login, tmp_path: Path, text: str) -> None:
    pid = tmp_path / "pid"
    kubeconfig = login(text.format(pid=pid))
    start = time.monotonic()
    error = failing(kubeconfig, TimedOut, timeout_s=0.6)
    assert time.monotonic() - start < 0.6 + SLACK
    assert "did not finish within 0.6 s" in str(error)
    until(lambda: gone(int(pid.read_text())), 2)


def gone(pid: int) -> bool:
    try:  # a zombie has ended; whoever adopted it has yet to notice
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_plugin_runs_once_however_many_ask(account: User, login: Login, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    kubeconfig = login(f"echo run >> {runs}; sleep 0.2; echo '{credential(token=account.token)}'")
    cluster = Cluster(find_connection(str(kubeconfig)), timeout_s=10)
    seen = run_parallel([lambda: asked(cluster)["username"]] * 10)
    assert seen == [account.name] * 10
    assert runs.read_text() == "run\n"


def test_all_who_wait_for_a_plugin_that_hangs_end_in_time(login: Login) -> None:
    cluster = Cluster(find_connection(str(login("sleep 60"))), timeout_s=1)

    def attempt() -> str:
        with pytest.raises(TimedOut) as raised:
            asked(cluster)
        return str(raised.value)

    start = time.monotonic()
    assert len(run_parallel([attempt] * 10)) == 10
    assert time.monotonic() - start < 1 + SLACK


def test_what_has_expired_is_made_anew(account: User, login: Login, tmp_path: Path) -> None:
    runs, soon = tmp_path / "runs", tmp_path / "soon"
    kubeconfig = login(
        f"echo run >> {runs}\n"
        f'echo \'{{"apiVersion": "{V1}", "kind": "ExecCredential", "status": {{"token": "{account.token}", '
        f'"expirationTimestamp": "\'$(cat {soon})\'"}}}}\''
    )

    def expires(seconds: float) -> None:
        when = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
        soon.write_text(when.isoformat(timespec="milliseconds").replace("+00:00", "Z"))

    expires(0.5)
    cluster = Cluster(find_connection(str(kubeconfig)), timeout_s=10)
    asked(cluster)
    asked(cluster)
    assert runs.read_text().count("run") == 1
    time.sleep(0.6)
    expires(3600)
    assert asked(cluster)["username"] == account.name
    asked(cluster)
    assert runs.read_text().count("run") == 2


# OpenID Connect


def id_token(seconds: float) -> str:
    claims = json.dumps({"exp": time.time() + seconds}).encode()
    return f"eyJh.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.{SECRET}"


def test_an_id_token_is_used_while_it_lasts(tmp_path: Path) -> None:
    token = id_token(600)

    def handle(request: Request, _: object) -> bytes:
        return reply(200 if request.headers["authorization"] == f"Bearer {token}" else 401, items())

    with serve(handle) as server:
        provider = {"name": "oidc", "config": {"id-token": token, "refresh-token": SECRET}}
        assert server.cluster(tmp_path, token=None, auth_provider=provider).items("/x", Who) == []


def test_an_expired_id_token_is_left_to_kubectl(cluster: ControlPlane) -> None:
    """Renewing it may use up the refresh token, which only kubectl writes back."""
    provider = {"name": "oidc", "config": {"id-token": id_token(5), "refresh-token": SECRET}}
    error = failing(cluster.kubeconfig(**NO_CERTIFICATE, auth_provider=provider))
    assert str(error) == "the OpenID Connect id-token of the kubeconfig has expired"
    assert "kubectl auth whoami" in (error.fix or "")


# Impersonation


def test_impersonation_is_honoured(cluster: ControlPlane) -> None:
    """As kubectl honours it."""
    extra = {"Example.com/Team": ["a", "b"]}
    impersonated: dict[str, Any] = {"as": "somebody", "as_uid": "u-1", "as_groups": ["admins", "people"]}
    kubeconfig = cluster.kubeconfig(**impersonated, as_user_extra=extra)
    user = who(kubeconfig)
    assert (user["username"], user["uid"]) == ("somebody", "u-1")
    assert user["groups"] == ["admins", "people", "system:authenticated"]
    assert user["extra"] == {"example.com/team": ["a", "b"]}
    shown = cluster.kubectl("--kubeconfig", str(kubeconfig), "auth", "whoami", "-o", "json").stdout
    assert json.loads(shown)["status"]["userInfo"] == user
