"""Which cluster, as whom: kubectl's rules for kubeconfigs, and what is said of those that cannot be used."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from dynocheck.core.errors import UsageError
from dynocheck.kube import ClusterConnection, config, find_connection
from tests.controlplane import build
from tests.controlplane.server import ControlPlane

SECRET = "not-to-be-told-0123456789"
NO_URL = "the server of its cluster is not an http or https URL"


@pytest.fixture(autouse=True)
def no_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine that runs the tests: no file, no home, no pod."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "POD_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def document(
    name: str = "one",
    *,
    cluster: Mapping[str, Any] | None = None,
    user: Mapping[str, Any] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """A kubeconfig of one context, with its cluster and user of the same name."""
    return {
        "current-context": name,
        "clusters": [{"name": name, "cluster": cluster or {"server": f"https://{name}.example:6443"}}],
        "users": [{"name": name, "user": user or {"token": SECRET}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": f"in-{name}"}}],
    } | fields


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str | bytes) else yaml.safe_dump(content)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def told(path: Path | None = None, context: str | None = None) -> str:
    """What is said of a kubeconfig that cannot be used: one line, no secret."""
    with pytest.raises(UsageError) as raised:
        find_connection(str(path) if path else None, context)
    text = str(raised.value)
    assert text.isprintable()
    assert SECRET not in text
    return text


def server_of(found: ClusterConnection) -> str:
    assert SECRET not in repr(found)
    return found.server


# Where it is looked for


def test_the_flag_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "home/.kube/config", document("home"))
    assert find_connection().context == "home"
    monkeypatch.setenv("KUBECONFIG", str(write(tmp_path / "environment", document("environment"))))
    assert find_connection().context == "environment"
    flag = write(tmp_path / "one:file", document("flag"))
    found = find_connection(str(flag))
    assert (found.context, found.server, found.namespace) == ("flag", "https://flag.example:6443", "in-flag")


def test_a_namespace_is_the_flags_the_contexts_or_default(tmp_path: Path) -> None:
    path = write(tmp_path / "config", document())
    assert find_connection(str(path), namespace="mine").namespace == "mine"
    context = [{"name": "one", "context": {"cluster": "one", "user": "one"}}]
    assert find_connection(str(write(path, document(contexts=context)))).namespace == "default"


def test_nothing_anywhere(tmp_path: Path) -> None:
    at = f"no kubeconfig at {tmp_path}/home/.kube/config"
    assert told() == f"{at}; name one with --kubeconfig or $KUBECONFIG"


@pytest.mark.parametrize("in_a_pod", [False, True])
def test_what_is_named_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_a_pod: bool) -> None:
    if in_a_pod:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    gone = tmp_path / "gone"
    assert told(gone).startswith(f"no kubeconfig at {gone};")
    monkeypatch.setenv("KUBECONFIG", f"{gone}:{gone}2")
    assert told().startswith(f"no kubeconfig at {gone}:{gone}2;")


# Several files


def test_of_several_files_the_first_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = document("one"), document("two")
    second["clusters"] += [{"name": "one", "cluster": {"server": "https://other.example"}}]
    paths = [tmp_path / "missing", write(tmp_path / "a", first), write(tmp_path / "b", second)]
    monkeypatch.setenv("KUBECONFIG", ":".join(["", *map(str, paths), ""]))
    assert (find_connection().context, server_of(find_connection())) == ("one", "https://one.example:6443")
    assert server_of(find_connection(context="two")) == "https://two.example:6443"


@pytest.fixture(scope="module")
def kubectl(controlplane: ControlPlane) -> str:
    """Its path, found while there is a home to find it in."""
    return str(build.assets("kubectl") / "kubectl")


def test_kubectl_reads_them_alike(kubectl: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = document("one"), document("two"), document("three")
    first["current-context"] = ""
    second["clusters"] += [{"name": "one", "cluster": {"server": "https://other.example"}}]
    third["contexts"][0]["name"] = "two"
    files = [write(tmp_path / name, each) for name, each in (("a", first), ("b", second), ("c", third))]
    monkeypatch.setenv("KUBECONFIG", ":".join(map(str, files)))
    command = [kubectl, "config", "view", "--minify", "-o", "json"]
    for context in (None, "one", "two"):
        arguments = ["--context", context] if context else []
        shown = subprocess.run([*command, *arguments], check=True, capture_output=True, timeout=30)
        theirs = json.loads(shown.stdout)
        server = theirs["clusters"][0]["cluster"]["server"]
        namespace = theirs["contexts"][0]["context"]["namespace"]
        ours = find_connection(context=context)
        assert (ours.context, ours.server, ours.namespace) == (theirs["current-context"], server, namespace)


def test_a_context_may_lie_in_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [write(tmp_path / key, {key: value}) for key, value in document().items()]
    monkeypatch.setenv("KUBECONFIG", ":".join(map(str, parts)))
    assert server_of(find_connection()) == "https://one.example:6443"


# Files that cannot be used


def test_a_folder_or_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    assert told(tmp_path) == f"{tmp_path}: Is a directory"
    assert told(path := tmp_path / ("x" * 300)) == f"{path}: File name too long"


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "config", document())
    path.chmod(0)
    if os.access(path, os.R_OK):  # root may read anything

        def forbid(path: Path, *_: object) -> None:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr("dynocheck.kube.kubeconfig.read_bounded", forbid)
    assert told(path) == f"{path}: Permission denied"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "an empty kubeconfig"),
        ("# nothing\n", "an empty kubeconfig"),
        ("null", "an empty kubeconfig"),
        ("{}", "an empty kubeconfig"),
        ("clusters: null\nusers: null\ncontexts: null", "an empty kubeconfig"),
        ("just words", "not a kubeconfig: Expected `object`, got `str`"),
        ("- a\n- b", "not a kubeconfig: Expected `object`, got `array`"),
        ("42", "not a kubeconfig: Expected `object`, got `int`"),
        ("clusters: 7", "not a kubeconfig: Expected `array`, got `int` - at `$.clusters`"),
        ("clusters: [7]", "not a kubeconfig: Expected `object`, got `int` - at `$.clusters[0]`"),
        ("clusters: [{cluster: {}}]", "not a kubeconfig: Object missing required field `name`"),
        (f"users: [{{name: a, user: {SECRET}}}]", "not a kubeconfig: Expected `object`, got `str`"),
        ("users: [{name: a, user: {token: 7}}]", "not a kubeconfig: Expected `str`, got `int`"),
        (
            f"users:\n- token: {SECRET}: x",
            "not a kubeconfig: not YAML: line 2: mapping values are not allowed",
        ),
        (f"users: [\ntoken: {SECRET}", "not a kubeconfig: not YAML: line 3: did not find expected"),
        (f"token: !secret {SECRET}", "not a kubeconfig: not YAML: line 1: could not determine a constructor"),
        ("a: 1\n---\nb: 2", "not a kubeconfig: not YAML: line 2: but found another document"),
        ("\x00\x01", "not a kubeconfig: not YAML: "),
        ("? [a]\n: b", "not a kubeconfig: not YAML: line 1: found unhashable key"),
        ("a: &x [*x]\nclusters: *x", "not a kubeconfig: "),
        ("d: 2026-13-45", "not a kubeconfig: ValueError"),
        (b"\xff\xfe\xfa" * 10, "not "),
        ({**document(), "clusters": document()["clusters"] * 2}, "two clusters are named 'one'"),
    ],
)
def test_a_file_of_another_shape(tmp_path: Path, content: object, says: str) -> None:
    path = write(tmp_path / "config", content)
    assert told(path).startswith(f"{path}: {says}")


# Contexts that lead nowhere


def test_a_context_that_does_not_exist(tmp_path: Path) -> None:
    path = write(tmp_path / "config", document())
    assert told(path, "prod") == f"{path}: no context 'prod'; there is one"
    write(path, document(contexts=[{"name": f"c{n}", "context": {}} for n in range(20)]))
    assert told(path, "prod").endswith("c13, c14, c15 and 12 more")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"current-context": None}, "no current-context; choose one with --context: one"),
        ({"current-context": ""}, "no current-context; choose one with --context: one"),
        ({"current-context": "gone"}, "no context 'gone'; there is one"),
        ({"contexts": None}, "no context 'one'; there is none"),
        ({"clusters": []}, "context 'one' names cluster 'one'; there is none"),
        ({"users": []}, "context 'one' names user 'one'; there is none"),
        ({"contexts": [{"name": "one"}]}, "context 'one' names cluster ''; there is one"),
        ({"clusters": [{"name": "one"}]}, "context 'one': its cluster has no server"),
        ({"clusters": [{"name": "one", "cluster": None}]}, "context 'one': its cluster has no server"),
    ],
)
def test_a_context_that_leads_nowhere(tmp_path: Path, fields: dict[str, Any], says: str) -> None:
    path = write(tmp_path / "config", document(**fields))
    assert told(path) == f"{path}: {says}"


@pytest.mark.parametrize(
    ("cluster", "user", "says"),
    [
        ({"server": "ftp://x"}, {}, NO_URL),
        ({"server": "https://"}, {}, NO_URL),
        ({"server": "https://[::1"}, {}, NO_URL),
        ({"server": "https://x:port"}, {}, NO_URL),
        ({"server": "https://x:0"}, {}, NO_URL),
        ({"certificate-authority": "a", "insecure-skip-tls-verify": True}, {}, "both certificate-authority"),
        ({}, {"client-key": "k"}, "a client-key but no client-certificate"),
        ({}, {"client-certificate-data": "c"}, "a client-certificate but no client-key"),
        ({}, {"token": SECRET, "username": "a", "password": SECRET}, "both a token and a password"),
        ({}, {"exec": {"command": "a"}, "auth-provider": {"name": "oidc"}}, "both exec and auth-provider"),
        ({}, {"as-groups": ["admins"]}, "impersonates groups, a uid or extra fields, but `as` is missing"),
    ],
)
def test_what_kubectl_refuses_too(
    tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any], says: str
) -> None:
    path = write(tmp_path / "config", document(cluster={"server": "https://x", **cluster}, user=user or None))
    text = told(path)
    assert text.startswith(f"{path}: context 'one': ")
    assert says in text


# What is shown


@pytest.mark.parametrize(
    ("server", "shown"),
    [
        (f"https://me:{SECRET}@api.example:6443", "https://api.example:6443"),
        (f"https://{SECRET}@api.example", "https://api.example"),
        ("https://api.example/k8s/clusters/c-1/", "https://api.example/k8s/clusters/c-1"),
        ("https://[::1]:6443", "https://[::1]:6443"),
        ("localhost:8080", "http://localhost:8080"),
    ],
)
def test_a_server_is_shown_without_credentials(tmp_path: Path, server: str, shown: str) -> None:
    path = write(tmp_path / "config", document(cluster={"server": server}))
    assert server_of(find_connection(str(path))) == shown


# In a pod


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a pod's service account, which on a real one has a fixed place."""
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    monkeypatch.setattr(config, "_ACCOUNT", folder)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    return folder


def test_in_a_pod(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(account / "token", SECRET)
    found = find_connection()
    assert (found.context, server_of(found), found.namespace) == (None, "https://10.0.0.1:6443", "default")
    write(account / "namespace", "mine\n")
    assert find_connection().namespace == "mine"
    assert find_connection(namespace="flag").namespace == "flag"
    monkeypatch.setenv("POD_NAMESPACE", "pods")
    assert find_connection().namespace == "pods"
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    assert find_connection().server == "https://[fd00::1]:6443"


def test_a_pod_has_no_contexts_and_a_kubeconfig_wins_over_it(account: Path, tmp_path: Path) -> None:
    assert told().endswith("and this pod has no service account token")
    write(account / "token", SECRET)
    assert told(context="prod").startswith("no kubeconfig at ")
    write(tmp_path / "home/.kube/config", document())
    assert find_connection().context == "one"


def test_a_user_without_a_home(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert told() == "no kubeconfig at ~/.kube/config, and this pod has no service account token"
    write(account / "token", SECRET)
    assert find_connection().context is None
