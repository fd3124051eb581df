"""Flags of llama.cpp's server are those of the build in its image's tag."""

from pathlib import Path

import pytest

from dynocheck.checks.engine.flags import flags_known, values
from tests.checks.judging import deploy, judge
from tests.checks.test_servers import serve

IMAGE = "ghcr.io/ggml-org/llama.cpp"


@pytest.mark.parametrize(
    ("tag", "args", "expected"),
    [
        ("server-cuda-b9093", "-m /models/a.gguf --ctx-size 4096 -ngl 99 --metrics --no-webui", []),
        ("server-b9093", "--ctx_size 4096 --flash-attn on", []),
        ("server-b9093", "--ctx-siz 4096", ["fail"]),  # it takes no abbreviations
        ("server-cuda13-b9093", "--max-model-len 4096", ["fail"]),
        ("server-b8672", "--lazy-mode", ["fail"]),  # there since b10809
        ("server-b10809", "--lazy-mode on", []),
        ("server-b9100", "--ctx-size 4096", []),  # between two that are known
        ("server-b9100", "--bogus 1", ["fail"]),
        ("server-b10300", "--tools-runtime x", ["unjudged"]),  # only the later of the two has it
        ("server", "--bogus 1", ["warn"]),
        ("server-cuda", "--lazy-mode on", ["unjudged"]),
        ("server-b9093", "--port=8080", ["fail"]),  # no release splits it
        ("server-cuda", "--ctx-size=4096 -m /a.gguf", ["fail"]),
        ("server-b4000", "--bogus 1", ["unjudged"]),
        ("server-b99999", "--bogus 1", ["unjudged"]),
    ],
)
def test_flags_of_a_build(tmp_path: Path, tag: str, args: str, expected: list[str]) -> None:
    assert judge(flags_known, deploy(tmp_path, serve(f"{IMAGE}:{tag}", *args.split()))) == expected


def test_values_and_variables_of_a_build(tmp_path: Path) -> None:
    env = [{"name": "LLAMA_ARG_CTX_SIZE", "value": "large"}]
    one = serve(f"{IMAGE}:server-b9093", "--port", "http", env=env)
    assert judge(values, deploy(tmp_path, one)) == ["fail", "fail"]
