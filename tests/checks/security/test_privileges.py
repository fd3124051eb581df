"""Secrets in clear and needless power, each on files that hold one mistake."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dynocheck.checks.security import privileges
from dynocheck.secrets import KINDS, SecretKind
from tests.checks.judging import (
    FRONTEND,
    GRAPH,
    get_skip_reason,
    list_messages,
    outcomes,
    recipes,
    run_check,
    worker,
)
from tests.checks.manifests import dump_objects
from tests.command import dynocheck

TOKEN = "hf_" + "abcdefghijklmnopqrstuvwx"


def graph(container: str = "", pod: str = "") -> str:
    text = worker().replace("resources:", f"{container}\n          resources:") if container else worker()
    return (
        GRAPH + FRONTEND + (text.replace("      spec:\n", f"      spec:\n        {pod}\n") if pod else text)
    )


def job(container: str = "", pod: str = "", script: str = "echo hello") -> str:
    return f"""
apiVersion: batch/v1
kind: Job
metadata: {{name: j}}
spec:
  template:
    spec:
      restartPolicy: Never
      {pod}
      containers:
      - name: c
        image: python:3.12
        command: [sh, -c]
        args: ['{script}']
        {container}
"""


# security.secrets


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (graph(f"env: [{{name: HF_TOKEN, value: {TOKEN}}}]"), "HF_TOKEN is a secret, and spelled out"),
        (graph("env: [{name: NGC_API_KEY, value: abc123}]"), "NGC_API_KEY is a secret, and spelled out"),
        (graph(f"env: [{{name: NOTE, value: {TOKEN}}}]"), "NOTE is a secret, and spelled out"),
        (job(script=f"hf download a/b --token {TOKEN}"), "args is a secret, and spelled out"),
        (job(script="export HF_TOKEN=abc-def; hf download a/b"), "args is a secret, and spelled out"),
        (graph("args: [--model, a/b, --api-key, abc-def]"), "args is a secret, and spelled out"),
        (job(script="serve --api-key abc-def"), "args is a secret, and spelled out"),
        (
            f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{API_KEY: {TOKEN}}}\n",
            "API_KEY is a secret, and spelled out",
        ),
    ],
)
def test_a_secret_is_told_and_never_shown(tmp_path: Path, text: str, message: str) -> None:
    given = recipes(tmp_path, deploy=text)
    (finding,) = run_check(privileges.secrets, given)
    assert (str(finding.outcome), finding.message) == ("fail", message)
    assert TOKEN not in repr((given, finding))
    assert finding.location is not None
    assert finding.location.line is not None


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_is_found_and_never_shown(tmp_path: Path, kind: SecretKind) -> None:
    (secret,) = re.findall(kind.pattern, kind.example)
    objects = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"note": kind.example}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "b", "labels": {"x": kind.example}}},
    ]
    given = recipes(tmp_path, deploy=dump_objects(*objects))
    assert outcomes(privileges.secrets, given) == ["fail", "fail"]
    assert secret not in repr(given)


@pytest.mark.parametrize("value", ["mysecret", "my-token", "yours", "1234567", "changes1", "your-4f3a9c"])
def test_what_may_be_one_is_kept_back(tmp_path: Path, value: str) -> None:
    given = recipes(tmp_path, deploy=graph(f"env: [{{name: HF_TOKEN, value: '{value}'}}]"))
    assert value not in repr(given)
    assert [outcome for outcome, _ in list_messages(privileges.secrets, given)] == ["fail"]


def test_a_password_of_a_test_may_be_harmless(tmp_path: Path) -> None:
    given = recipes(tmp_path, deploy=graph("env: [{name: DB_PASSWORD, value: postgres}]"))
    assert [outcome for outcome, _ in list_messages(privileges.secrets, given)] == ["warn"]


def test_a_secret_with_content_is_a_warning(tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\nstringData: {{HF_TOKEN: {}}}\n"
    kept = recipes(tmp_path / "a", secret=text.format(TOKEN))
    assert list_messages(privileges.secrets, kept) == [("warn", "Secret a: its content stands in the file")]
    for number, hint in enumerate(("<your token>", "your-huggingface-token", "${HF_TOKEN}", "")):
        assert (
            list_messages(
                privileges.secrets, recipes(tmp_path / str(number), secret=text.format(f'"{hint}"'))
            )
            == []
        )


@pytest.mark.parametrize(
    "variable",
    [
        '{name: HF_TOKEN, value: ""}',
        "{name: HF_TOKEN, value: $(OTHER)}",
        "{name: HF_TOKEN, value: <your-token>}",
        "{name: HF_TOKEN, valueFrom: {secretKeyRef: {name: hf-token-secret, key: HF_TOKEN}}}",
        '{name: MAX_TOKEN, value: "4096"}',
        '{name: TOKEN_BUDGET, value: "4096"}',
        "{name: TOKENIZER, value: Qwen/Qwen3-0.6B}",
        "{name: TOKEN_PATH, value: /var/run/token}",
        "{name: VLLM_API_KEY, value: EMPTY}",
        "{name: OPENAI_API_KEY, value: dummy}",
        "{name: EOS_TOKEN, value: <|im_end|>}",
    ],
)
def test_what_only_looks_like_a_secret(tmp_path: Path, variable: str) -> None:
    assert list_messages(privileges.secrets, recipes(tmp_path, deploy=graph(f"env: [{variable}]"))) == []


def test_a_token_reaches_no_report(tmp_path: Path) -> None:
    recipes(tmp_path, deploy=graph(f"env: [{{name: HF_TOKEN, value: {TOKEN}}}]"))
    forms = ("json", "junit", "sarif", "github")
    options = [f"--output={form}={tmp_path / form}" for form in forms]
    done = dynocheck("recipe", tmp_path, "--select", "security.secrets", "-o", "table", *options)
    assert done.code == 1
    for told in (done.out, *((tmp_path / form).read_text() for form in forms)):
        assert "HF_TOKEN" in told
        assert TOKEN not in told


# security.privileges


PRIVILEGED = "securityContext: {privileged: true}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (graph(PRIVILEGED), "component w is privileged, and nothing it says needs that"),
        (
            job(PRIVILEGED, script='sysctl -w net.ipv4.ip_local_port_range="1024 65000"'),
            "Job j is privileged for net.ipv4.ip_local_port_range alone, which a pod may set without",
        ),
        (graph(pod="hostPID: true"), "component w sees every process of its node: hostPID"),
        (
            job(pod="hostNetwork: true"),
            "Job j has its node's network, and its ports meet those of the next pod there: hostNetwork",
        ),
        (graph(pod="volumes: [{name: v, hostPath: {path: /}}]"), "component w mounts / of its node"),
        (
            graph(pod="volumes: [{name: v, hostPath: {path: /var/run/docker.sock}}]"),
            "component w mounts /var/run/docker.sock of its node",
        ),
    ],
)
def test_needless_power(tmp_path: Path, text: str, message: str) -> None:
    assert list_messages(privileges.privileges, recipes(tmp_path, deploy=text)) == [("warn", message)]


@pytest.mark.parametrize(
    "text",
    [
        graph("securityContext: {privileged: false, capabilities: {add: [IPC_LOCK]}}"),
        graph(PRIVILEGED, pod="volumes: [{name: v, hostPath: {path: /dev/infiniband}}]"),
        graph(pod="hostNetwork: true"),
        job('resources: {limits: {rdma/ib: "1"}}', pod="hostNetwork: true"),
        job(PRIVILEGED, script="modprobe nvidia_peermem"),
        job(PRIVILEGED, script="sysctl -w vm.max_map_count=262144"),
        job(PRIVILEGED, script="sysctl -p"),
        graph(pod="volumes: [{name: v, hostPath: {path: /home/kubernetes/bin/nvidia}}]"),
    ],
)
def test_power_that_may_be_needed(tmp_path: Path, text: str) -> None:
    assert list_messages(privileges.privileges, recipes(tmp_path, deploy=text)) == []


def test_there_may_be_nothing_to_judge(tmp_path: Path) -> None:
    claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: a}\n"
    assert get_skip_reason(privileges.privileges, recipes(tmp_path, claim=claim)) == "no pods"


def test_an_engine_among_others_may_take_its_devices_by_privilege(tmp_path: Path) -> None:
    pair = worker("p", role="prefill") + worker("d", role="decode")
    pair = pair.replace("resources:", f"{PRIVILEGED}\n          resources:")
    assert list_messages(privileges.privileges, recipes(tmp_path, deploy=GRAPH + FRONTEND + pair)) == []


def test_a_finding_is_on_its_line(tmp_path: Path) -> None:
    recipes(tmp_path, deploy=graph(PRIVILEGED))
    done = dynocheck("recipe", tmp_path, "--select", "security.privileges", "-o", "json")
    (finding,) = done.findings("security.privileges")
    assert finding["location"]["line"] == graph(PRIVILEGED).splitlines().index(f"          {PRIVILEGED}") + 1
