"""aiperf and guidellm, told to make the same load: their own words for it."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple


class Sizes(NamedTuple):
    """How many requests, how many at a time, and tokens in and out of each."""

    requests: int
    concurrency: int
    input: int
    output: int


def make_environment() -> dict[str, str]:
    """Of this process, but free to look for the tokenizer where it is."""
    return {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}


def aiperf(venv: Path, url: str, model: str, tokenizer: Path, sizes: Sizes, folder: Path) -> list[str]:
    """The command, which leaves its results in the folder."""
    lengths = ["--isl", sizes.input, "--osl", sizes.output, "--extra-inputs", "ignore_eos:true"]
    load = ["--concurrency", sizes.concurrency, "--request-count", sizes.requests, "--streaming"]
    where = ["-m", model, "--tokenizer", tokenizer, "--url", url, "--endpoint-type", "chat"]
    command = [venv / "bin" / "aiperf", "profile", *where, *load, *lengths, "--ui", "none"]
    return [*map(str, command), "--artifact-dir", str(folder / "aiperf")]


def guidellm(venv: Path, url: str, model: str, tokenizer: Path, sizes: Sizes, folder: Path) -> list[str]:
    """The command, which leaves its results in the folder."""
    given = {
        "backend": f"kind=openai_http,target={url},model={model}",
        "tokenizer": f"kind=huggingface_auto,model={tokenizer}",
        "data": f"kind=synthetic_text,prompt_tokens={sizes.input},output_tokens={sizes.output}",
        "profile": f"kind=concurrent,streams={sizes.concurrency}",
        "constraint": f"kind=max_requests,count={sizes.requests}",
        "output": f"kind=json,path={folder / 'guidellm.json'}",
    }
    options = [part for name, value in given.items() for part in (f"--{name}", value)]
    return [str(venv / "bin" / "guidellm"), "run", *options, "--disable-console"]


def read_aiperf_ttft(folder: Path) -> dict[str, float]:
    """Milliseconds by percentile, as aiperf reported them."""
    found: dict[str, Any] = json.loads((folder / "aiperf" / "profile_export_aiperf.json").read_text())
    return {name: found["time_to_first_token"][name] for name in ("p50", "p90", "p99")}


def read_guidellm_ttft(folder: Path) -> dict[str, float]:
    """Milliseconds by percentile, as guidellm reported them."""
    found: dict[str, Any] = json.loads((folder / "guidellm.json").read_text())
    ttft = found["benchmarks"][0]["metrics"]["time_to_first_token_ms"]["successful"]["percentiles"]
    return {name: ttft[name] for name in ("p50", "p90", "p99")}
