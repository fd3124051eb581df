"""Whether a load generator takes its flags."""

from pathlib import Path

import pytest

from dynocheck.checks.perf.flags import flags
from tests.checks.judging import deploy, judge
from tests.checks.manifests import job

PIN = "pip install aiperf==0.10.0\n"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (f"{PIN}aiperf profile --concurrency 4 --endpoint-type chat -m x", []),
        (f"{PIN}aiperf profile --concurency 4", ["fail"]),
        (f"{PIN}aiperf profile --concurrency 0", ["fail"]),
        (f"{PIN}aiperf profile --concurrency 10 --request_count 0", ["fail"]),
        (f"{PIN}aiperf profile --endpoint-type=chats", ["fail"]),
        (f"{PIN}aiperf profile --endpoint-type $KIND --extra_inputs a:1", []),
        ("aiperf profile --concurency 4", ["warn"]),
        (f"{PIN}aiperf profile --wait-for-model-timeout 9", []),
        ("aiperf profile --wait-for-model-timeout 9", ["unjudged"]),
        (f"{PIN}aiperf profile --endpoint-type chat --endpoint /v1/chat/completions", []),
        (f"{PIN}aiperf profile --endpoint-type chat --endpoint /v1/completions", ["fail"]),
        (f"{PIN}aiperf profile --endpoint-type=completions --endpoint=v1/chat/completions", ["fail"]),
        (f"{PIN}aiperf profile --endpoint-type chat --endpoint /own/path", []),
        (f"{PIN}aiperf profile --endpoint-type chat_embeddings --endpoint /v1/embeddings", []),
        ("aiperf plot --concurency 4", ["skip"]),
        ("genai-perf profile --concurency 4", ["skip"]),
    ],
)
def test_flags_of_aiperf(tmp_path: Path, script: str, expected: list[str]) -> None:
    assert judge(flags, deploy(tmp_path, job(script))) == expected
