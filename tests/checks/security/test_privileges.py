"""Secrets in clear and needless power, each on files that hold one mistake."""

import base64
import re
from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.security import privileges
from dynocheck.secrets import KINDS, SecretKind
from tests.checks.judging import deploy, get_skip_reason, outcomes, read_lines, run_check
from tests.checks.manifests import claim, engine, graph, job
from tests.command import dynocheck

TOKEN = "hf_" + "abcdefghijklmnopqrstuvwx"
Object = dict[str, Any]


def with_env(name: str, value: Any) -> Object:
    """A graph whose worker has a variable."""
    return graph(engine(main={"env": [{"name": name, "value": value}]}))


def make_secret(value: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "a"},
        "stringData": {"HF_TOKEN": value},
    }


# security.secrets

REFERENCE = {"name": "hf-token-secret", "key": "HF_TOKEN"}
CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"API_KEY": TOKEN}}


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (with_env("HF_TOKEN", TOKEN), "HF_TOKEN"),
        (with_env("NGC_API_KEY", "abc123"), "NGC_API_KEY"),
        (with_env("NOTE", TOKEN), "NOTE"),
        (job(f"hf download a/b --token {TOKEN}"), "args"),
        (job("export HF_TOKEN=abc-def; hf download a/b"), "args"),
        (graph(engine("--api-key", "abc-def")), "args"),
        (job("serve --api-key abc-def"), "args"),
        (CONFIG, "API_KEY"),
    ],
)
def test_a_secret_is_told_and_never_shown(tmp_path: Path, given: Object, name: str) -> None:
    recipe = deploy(tmp_path, given)
    (finding,) = run_check(privileges.secrets, recipe)
    assert (finding.outcome, finding.message.split()[0]) == ("fail", name)
    assert TOKEN not in repr((recipe, finding))
    assert finding.location is not None
    assert finding.location.line is not None


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_is_found_and_never_shown(tmp_path: Path, kind: SecretKind) -> None:
    (secret,) = re.findall(kind.pattern, kind.example)
    labelled = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "b", "labels": {"x": kind.example}}}
    recipe = deploy(tmp_path, CONFIG | {"data": {"note": kind.example}}, labelled)
    assert outcomes(privileges.secrets, recipe) == ["fail", "fail"]
    assert secret not in repr(recipe)


@pytest.mark.parametrize("value", ["mysecret", "my-token", "yours", "1234567", "changes1", "your-4f3a9c"])
def test_what_may_be_one_is_kept_back(tmp_path: Path, value: str) -> None:
    recipe = deploy(tmp_path, with_env("HF_TOKEN", value))
    assert value not in repr(recipe)
    assert outcomes(privileges.secrets, recipe) == ["fail"]


def router(line: str) -> Object:
    """The configuration of a router in a ConfigMap, with this line among the parameters of a model."""
    text = f"model_list:\n  - model_name: chat\n    litellm_params:\n      model: openai/chat\n      {line}\n"
    return CONFIG | {"data": {"config.yaml": text}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (with_env("DB_PASSWORD", "postgres"), ["warn"]),  # a password of a test may be harmless
        (make_secret(TOKEN), ["warn"]),
        (make_secret("<your token>"), []),
        (make_secret("your-huggingface-token"), []),
        (make_secret("${HF_TOKEN}"), []),
        (make_secret(""), []),
        (with_env("HF_TOKEN", ""), []),
        (with_env("HF_TOKEN", "$(OTHER)"), []),
        (with_env("HF_TOKEN", "<your-token>"), []),
        (graph(engine(main={"env": [{"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": REFERENCE}}]})), []),
        (with_env("MAX_TOKEN", "4096"), []),
        (with_env("TOKEN_BUDGET", "4096"), []),
        (with_env("TOKENIZER", "Qwen/Qwen3-0.6B"), []),
        (with_env("TOKEN_PATH", "/var/run/token"), []),
        (with_env("VLLM_API_KEY", "EMPTY"), []),
        (with_env("OPENAI_API_KEY", "dummy"), []),
        (with_env("EOS_TOKEN", "<|im_end|>"), []),
        # a router's configuration that refers to variables, and a master key in one
        (router("api_key: os.environ/UPSTREAM_KEY"), []),
        (router('password: "os.environ/CACHE_PASSWORD"'), []),
        (router("api_key: dummy"), []),
        (router("master_key: os.environ/MASTER_KEY"), []),
        (router("master_key: sk-4821"), ["fail"]),
        (with_env("LITELLM_MASTER_KEY", "sk-4821"), ["fail"]),
        (make_secret("https://<POD_ID>-8000.proxy.example/v1"), []),
        (make_secret("sk-lab-..."), []),
        (make_secret("https://user:abc@proxy.example/v1"), ["warn"]),
        (make_secret("ENC[AES256_GCM,data:zlRq,iv:AB=,tag:cd==,type:str]"), []),
    ],
)
def test_what_only_looks_like_a_secret(tmp_path: Path, given: Object, expected: list[str]) -> None:
    assert outcomes(privileges.secrets, deploy(tmp_path, given)) == expected


def test_a_token_reaches_no_report(tmp_path: Path) -> None:
    deploy(tmp_path, with_env("HF_TOKEN", TOKEN))
    forms = ("json", "junit", "sarif", "github")
    options = [f"--output={form}={tmp_path / form}" for form in forms]
    done = dynocheck("recipe", tmp_path, "--select", "security.secrets", "-o", "table", *options)
    assert done.code == 1
    for told in (done.out, *((tmp_path / form).read_text() for form in forms)):
        assert "HF_TOKEN" in told
        assert TOKEN not in told


# security.privileges


PRIVILEGED = {"securityContext": {"privileged": True}}
MODEST = {"securityContext": {"privileged": False, "capabilities": {"add": ["IPC_LOCK"]}}}


def mounting(path: str) -> Object:
    return {"volumes": [{"name": "v", "hostPath": {"path": path}}]}


@pytest.mark.parametrize(
    ("given", "power"),
    [
        (graph(engine(main=PRIVILEGED)), "is privileged"),
        (job("sysctl -w net.ipv4.ip_local_port_range='1024 65000'", name="j", main=PRIVILEGED), "net.ipv4"),
        (graph(engine(pod={"hostPID": True})), "hostPID"),
        (job("echo hello", name="j", pod={"hostNetwork": True}), "hostNetwork"),
        (graph(engine(pod=mounting("/"))), "mounts / "),
        (graph(engine(pod=mounting("/var/run/docker.sock"))), "/var/run/docker.sock"),
        (graph(engine(pod=mounting("/root/.ssh"))), "/root/.ssh"),
    ],
)
def test_needless_power(tmp_path: Path, given: Object, power: str) -> None:
    (finding,) = run_check(privileges.privileges, deploy(tmp_path, given))
    assert finding.outcome == "warn"
    assert power in finding.message


@pytest.mark.parametrize(
    ("kind", "path", "expected"),
    [
        ("DaemonSet", "/var/lib/kubelet/device-plugins", []),
        ("DaemonSet", "/var/lib/kubelet/pod-resources", []),
        ("DaemonSet", "/var/lib/kubelet/pki", ["warn"]),
        ("Deployment", "/var/lib/kubelet/device-plugins", ["warn"]),
    ],
)
def test_a_plugin_of_the_node_reaches_the_kubelet(
    tmp_path: Path, kind: str, path: str, expected: list[str]
) -> None:
    pod = {"containers": [{"name": "c", "image": "registry.example/plugin:1"}], **mounting(path)}
    labels = {"app": "p"}
    spec = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    given = {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "p"}, "spec": spec}
    assert outcomes(privileges.privileges, deploy(tmp_path, given)) == expected


@pytest.mark.parametrize(
    "given",
    [
        graph(engine(main=MODEST)),
        graph(engine(main=PRIVILEGED, pod=mounting("/dev/infiniband"))),
        graph(engine(pod={"hostNetwork": True})),
        job("x", main={"resources": {"limits": {"rdma/ib": "1"}}}, pod={"hostNetwork": True}),
        job("modprobe nvidia_peermem", main=PRIVILEGED),
        job("sysctl -w vm.max_map_count=262144", main=PRIVILEGED),
        job("sysctl -p", main=PRIVILEGED),
        job("serve", main=PRIVILEGED | {"resources": {"limits": {"google.com/tpu": 4}}}),
        job("serve", main=PRIVILEGED | {"image": "registry.example/server:rocm"}),
        graph(engine(pod=mounting("/home/kubernetes/bin/nvidia"))),
        graph(engine(pod=mounting("/root/models"))),
        # An engine among others may take its devices by privilege.
        graph(*(engine(name=role, role=role, main=PRIVILEGED) for role in ("prefill", "decode"))),
    ],
)
def test_power_that_may_be_needed(tmp_path: Path, given: Object) -> None:
    assert outcomes(privileges.privileges, deploy(tmp_path, given)) == []


def test_there_may_be_nothing_to_judge(tmp_path: Path) -> None:
    assert get_skip_reason(privileges.privileges, deploy(tmp_path, claim("ReadWriteMany"))) == "no pods"


def test_a_finding_is_on_its_line(tmp_path: Path) -> None:
    recipe = deploy(tmp_path, graph(engine(main=PRIVILEGED)))
    assert read_lines(privileges.privileges, recipe) == ["privileged: true"]


@pytest.mark.parametrize(
    ("plain", "expected"),
    [("hf_AbCdEfGhIjKlMnOpQrStUvWxYz12345678", ["warn"]), ("<your-token>", []), ("changeme", []), ("", [])],
)
def test_a_secret_in_base64_stands_in_the_file_too(tmp_path: Path, plain: str, expected: list[str]) -> None:
    data = {"token": base64.b64encode(plain.encode()).decode()}
    given = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": data}
    assert outcomes(privileges.secrets, deploy(tmp_path, given)) == expected


def test_a_secret_in_a_file_of_a_config_map_is_named_by_its_own_key(tmp_path: Path) -> None:
    config = "servers:\n- name: a\n  api_key: sk-9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c\n"
    given = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "proxy"},
        "data": {"config.yaml": config},
    }
    (finding,) = run_check(privileges.secrets, deploy(tmp_path, given))
    assert finding.message.startswith("api_key in config.yaml of ConfigMap proxy ")
    assert read_lines(privileges.secrets, deploy(tmp_path, given))[0].startswith("api_key: ")
