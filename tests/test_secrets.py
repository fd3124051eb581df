"""What is a secret, by its form and by its name."""

import re

import pytest

from dynocheck.secrets import HIDDEN, KINDS, SecretKind, hide, hide_all, hide_assigned


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_kind_is_known_by_its_form(kind: SecretKind) -> None:
    _, _, pattern, example = kind
    (secret,) = re.findall(pattern, example)
    for text in (example, f"a: {example}", f"run '{example}' now\nnext"):
        shown = hide(text)
        assert secret not in shown
        assert HIDDEN in shown
        assert shown.count("\n") == text.count("\n")


VALUE = "Tr0ub4dor"


@pytest.mark.parametrize(
    "text",
    [
        "hf_token: {}",
        "  api-key: '{}'",
        '{{"hf_token": "{}", "b": 1}}',
        '{{\\"api_key\\":\\"{}\\"}}',
        "client_secret: {}",
        "# its token: {} expires",
        "token = '{}'",
        "export DB_PASSWORD={}",
        "HF_TOKEN: {}",
        'export DB_PASSWORD="{} and $more"',
        "python3 -m dynamo.vllm --api-key {} --port 1",
        "serve --admin-api-key={}",
        "hf download --token '{}' org/model",
    ],
)
def test_a_secret_is_known_by_its_name(text: str) -> None:
    shown = hide_assigned(text.format(VALUE))
    assert VALUE not in shown
    assert shown.startswith(text.partition("{")[0].partition(VALUE)[0][:5])


@pytest.mark.parametrize(
    "text",
    [
        "eos_token: <|end|>",
        "bos_token: something",
        "max_num_tokens: 8192000",
        "dbo_decode_token_threshold: 3200000",
        "def f(token: string, password: Optional[str]):",
        "token = get_token(1)",
        "password=os.environ['X']",
        "# billed per image, not per token: Servers count them",
        "password: os.environ/CACHE_PASSWORD",
        'API_TOKEN = os.environ["API_TOKEN"]',
        'TOKEN_MIN    = int(os.environ.get("TOKEN_MIN", "100"))',
        "export TOKEN_MAX=10000",
        "api_key = args.api_key",
        'settings = {"api_key": server_api_key or ""}',
        "--tokenizer org/model-name",
        "--dbo-decode-token-threshold 32",
        '--api-key $API_KEY --token "$HF_TOKEN"',
        "hf_token: ${HF_TOKEN}",
        "VLLM_API_KEY=EMPTY",
        "OPENAI_API_KEY: dummy",
        "api_key: not-needed",
        "api_key: llama-no-key-required",
        "GENERIC_TOKEN_ENDPOINT=https://sso.example/token/",
        "BOUND_TOKEN_AUDIENCE=sts.example",
        "TS_KUBE_SECRET=router-state",
        "PROBE_API_KEY_HEADER=X-Example-Key",
        "PROBE_API_KEY=test-api-key",
        "BOUND_TOKEN_TTL_SECONDS=360000",
        "CACHE_TOKEN_VALIDATION_ENABLED=12345678",
        "DECISION_SIGNING_KEY_ID=team-2026-08",
        "--api-key sk-" + "aB3dEfGhFakeJkLm9QrStUvWx",
        "AWS_ACCESS_KEY_ID=AKIA" + "QWERTYUIOEXAMPLE",
        "secretName: hf-token-secret",
        "hf_token: hf_xxxxxxxxxxxxxxxxxxxx",
        "git clone https://oauth2:$HUGGING_FACE_HUB_TOKEN@huggingface.co/a/b https://u:${PASS}@host",
        "git@github.com:org/repo.git https://host:8000/x",
        'echo "{\\"endpoint\\":\\"tcp://events:5557\\",\\"topic\\":\\"kv@pod\\"}"',
        '{"endpoint":"tcp://events:5557","topic":"kv@pod"}',
        "OPENAI_API_KEY=sk-your-openai-key",
        "sudo: ALL=(ALL) NOPASSWD:ALL",
        "KVC_PER_TOKEN=262144",
        "lists the models, with basic information about each",
        "data.HF_TOKEN: must be base64",  # a problem with a key
    ],
)
def test_what_is_no_secret(text: str) -> None:
    assert hide_assigned(text) == text


@pytest.mark.parametrize("key", ["adminPassword", "HF_TOKEN", "hf-token", "csi.storage.k8s.io/api_key"])
def test_a_value_under_the_name_of_a_secret_is_hidden(key: str) -> None:
    assert hide_all({"a": [{key: VALUE}], "port": "80"}) == {"a": [{key: HIDDEN}], "port": "80"}
    assert hide_all({key: "${TOKEN}"}) == {key: "${TOKEN}"}


@pytest.mark.parametrize("key", ["secretName", "tokenizer", "eos_token", "path"])
def test_a_value_under_another_name_is_not(key: str) -> None:
    assert hide_all({key: VALUE}) == {key: VALUE}
