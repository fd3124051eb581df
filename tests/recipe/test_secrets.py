"""Secrets in manifests never become facts."""

import base64
from typing import Any

import msgspec
import pytest

from dynocheck.facts import Recipe
from dynocheck.secrets import HIDDEN
from tests.recipe.conftest import Written

PLAIN = "s3cr3t-of-mine"
TOKEN = "hf_" + "abcdefghijklmnopqrstuvwx"
ENCODED = base64.b64encode(PLAIN.encode()).decode()

GRAPH = """\
apiVersion: nvidia.com/{version}
kind: DynamoGraphDeployment
metadata:
  name: g
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: |
      {{"spec": {{"env": [{{"name": "HF_TOKEN", "value": "s3cr3t-of-mine"}}]}}}}
spec:
{spec}
"""
ALPHA = """\
  envs: [{name: HF_TOKEN, value: s3cr3t-of-mine}]
  services:
    w:
      componentType: worker
      envs: [{name: NGC_API_KEY, value: s3cr3t-of-mine}]
      frontendSidecar: {image: x, envs: [{name: HF_TOKEN, value: s3cr3t-of-mine}]}
      extraPodSpec:
        mainContainer:
          env: [{name: AWS_SECRET_ACCESS_KEY, value: s3cr3t-of-mine}, {name: COPY, value: $(HF_TOKEN)}]
          command: [sh, -c]
          args: ["export OTHER_PASSWORD=s3cr3t-of-mine; python3 -m dynamo.vllm --model $COPY $HF_TOKEN"]
        containers: [{name: side, env: [{name: DB_PASSWORD, value: s3cr3t-of-mine}]}]
"""
BETA = """\
  env: [{name: HF_TOKEN, value: s3cr3t-of-mine}]
  components:
  - name: w
    type: worker
    podTemplate:
      spec:
        initContainers: [{name: init, env: [{name: HF_TOKEN, value: s3cr3t-of-mine}]}]
        containers:
        - name: main
          env: [{name: HUGGING_FACE_HUB_TOKEN, value: s3cr3t-of-mine}]
          envFrom: [{configMapRef: {name: values}}, {secretRef: {name: token}}]
          command: [python3, -m, dynamo.vllm, --api-key, $(HF_TOKEN), --other, $(HUGGING_FACE_HUB_TOKEN)]
"""
CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: values}
data:
  HF_TOKEN: s3cr3t-of-mine
  apiKey: s3cr3t-of-mine
  run.sh: |
    export HF_TOKEN="s3cr3t-of-mine"
    NGC_API_KEY='s3cr3t-of-mine' exec x
  .env: |
    HF_TOKEN=s3cr3t-of-mine
    MODEL=org/model
  values.yaml: |
    env:
      HF_TOKEN: s3cr3t-of-mine
binaryData: {TOKEN: czNjcjN0LW9mLW1pbmU=}
"""
SECRET = """\
apiVersion: v1
kind: Secret
metadata: {name: token}
data: {HF_TOKEN: czNjcjN0LW9mLW1pbmU=, other: czNjcjN0LW9mLW1pbmU=}
stringData: {HF_TOKEN: s3cr3t-of-mine, harmless: s3cr3t-of-mine, deep: {er: s3cr3t-of-mine}}
"""
JOB = """\
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec:
  template:
    spec:
      containers:
      - name: c
        env: [{name: HF_TOKEN, value: s3cr3t-of-mine}]
        command: [hf, download, org/model, --token, $(HF_TOKEN)]
"""


def _listed(text: str) -> str:
    body = "\n".join(f"  {line}" for line in text.splitlines())
    return f"apiVersion: v1\nkind: List\nitems:\n-{body[1:]}\n"


TEXTS = {
    "v1alpha1": GRAPH.format(version="v1alpha1", spec=ALPHA) + "---\n" + CONFIG_MAP,
    "v1beta1": GRAPH.format(version="v1beta1", spec=BETA) + "---\n" + CONFIG_MAP,
    "secret": SECRET,
    "secret in a list": _listed(SECRET),
    "config map": CONFIG_MAP,
    "job": JOB,
    "values": "env:\n  HF_TOKEN: s3cr3t-of-mine\nother: {GITHUB_TOKEN: s3cr3t-of-mine}\n",
    "broken": JOB + "oops: [\n",
}


def encoded(recipe: Recipe) -> str:
    return msgspec.json.encode(recipe).decode()


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_secret_becomes_a_fact(written: Written, text: str) -> None:
    facts = encoded(written(text))
    assert PLAIN not in facts
    assert ENCODED not in facts


@pytest.mark.parametrize(
    "text",
    [
        "kind: X\napiVersion: v1\na: {b: [%s]}\n",
        "kind: X\napiVersion: v1\na: 'Authorization: Bearer %s'\n",
        "kind: X\napiVersion: v1\na: |\n  curl -H 'Authorization: Bearer %s' http://x\n",
        "kind: X\napiVersion: v1\na: https://user:%s@host/x\n",
        "kind: X\napiVersion: v1\na: [--api-key, %s]\n",
    ],
)
def test_tokens_are_hidden_anywhere(written: Written, text: str) -> None:
    assert TOKEN not in encoded(written(text % TOKEN))


def test_a_secret_keeps_its_shape(written: Written) -> None:
    (manifest,) = written(SECRET).manifests
    hidden = base64.b64encode(HIDDEN.encode()).decode()
    assert manifest.root.plain["data"] == {"HF_TOKEN": hidden, "other": hidden}
    assert manifest.root.plain["stringData"] == {"HF_TOKEN": HIDDEN, "harmless": HIDDEN, "deep": {}}


def test_values_that_only_refer_to_secrets_are_kept(written: Written) -> None:
    reference = {"secretKeyRef": {"name": "hf-token-secret", "key": "HF_TOKEN"}}
    values = {
        "MAX_TOKENS": "4096",
        "TOKENIZER": "org/model",
        "HF_TOKEN_PATH": "/run/token",
        "MODEL": "org/model",
    }
    words = ["--dbo-decode-token-threshold", "32", "export HF_TOKEN=$(cat /run/token)", "--token $HF_TOKEN"]
    plain = [{"name": name, "value": value} for name, value in values.items()]
    kept: dict[str, Any] = {
        "envFromSecret": "hf-token-secret",
        "imagePullSecrets": [{"name": "nvcr"}],
        "env": [{"name": "HF_TOKEN", "valueFrom": reference}, *plain],
        "args": words,
        "engine": "max_num_tokens: 8192\ndbo_decode_token_threshold: 32\n",
    }
    text = msgspec.yaml.encode({"apiVersion": "v1", "kind": "X", "metadata": {"name": "x"}, **kept}).decode()
    (manifest,) = written(text).manifests
    assert {key: manifest.root.plain[key] for key in kept} == kept


def test_hiding_secrets_keeps_positions(written: Written) -> None:
    (component,) = written(TEXTS["v1alpha1"]).graphs[0].components
    assert component.main is not None
    (launch,) = component.main.launches
    assert [word.text for word in launch.words] == ["--model", None, None]
    row = TEXTS["v1alpha1"].splitlines()[launch.line - 1]
    assert row[launch.column - 1 :].startswith("dynamo.vllm --model")
