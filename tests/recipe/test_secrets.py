"""Secrets in manifests never become facts."""

import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dynocheck.facts import Recipe
from dynocheck.secrets import HIDDEN
from tests.recipe.conftest import Written

PLAIN = "s3cr3t-of-mine"
TOKEN = "hf_" + "abcdefghijklmnopqrstuvwx"
ENCODED = base64.b64encode(PLAIN.encode()).decode()

TEXTS = {path.stem: path.read_text() for path in sorted(Path(__file__).with_name("secrets").iterdir())}


def _listed(text: str) -> str:
    body = "\n".join(f"  {line}" for line in text.splitlines())
    return f"apiVersion: v1\nkind: List\nitems:\n-{body[1:]}\n"


TEXTS["secret in a list"] = _listed(TEXTS["secret"])
TEXTS["broken"] = TEXTS["job"] + "oops: [\n"


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
    (manifest,) = written(TEXTS["secret"]).manifests
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
