"""Metrics that a real Prometheus, from Debian's package, has scraped."""

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.controlplane.processes import free_port
from tests.diagnosis.conftest import diagnose, list_problems
from tests.diagnosis.pages import serve_http
from tests.diagnosis.stage import POD, Stage, running
from tests.node.packages import unpack

pytestmark = pytest.mark.verify

PAGE = """\
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0"} %s
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0"} 0.4
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{le="0.1"} 500
vllm:time_to_first_token_seconds_bucket{le="+Inf"} 500
vllm:time_to_first_token_seconds_count 500
vllm:time_to_first_token_seconds_sum 20
# TYPE DCGM_FI_DEV_ROW_REMAP_FAILURE gauge
DCGM_FI_DEV_ROW_REMAP_FAILURE{gpu="0",exported_namespace="%s",exported_pod="%s"} %s
"""


@contextmanager
def scrape(port: int, namespace: str, folder: Path) -> Iterator[str]:
    """A Prometheus that has scraped a page as that of the pod; its URL."""
    scraped = {
        "job_name": "pods",
        "honor_labels": True,
        "static_configs": [
            {"targets": [f"127.0.0.1:{port}"], "labels": {"namespace": namespace, "pod": POD}}
        ],
    }
    config = folder / "prometheus.yml"
    config.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [scraped]}))
    own = free_port()
    url = f"http://127.0.0.1:{own}"
    program = unpack("prometheus", without="libc6") / "usr" / "bin" / "prometheus"
    command = [str(program), f"--config.file={config}", f"--web.listen-address=127.0.0.1:{own}"]
    with subprocess.Popen(
        [*command, f"--storage.tsdb.path={folder / 'data'}"], stderr=subprocess.DEVNULL
    ) as process:
        try:
            deadline = time.monotonic() + 60
            while not has_scraped(url):
                assert time.monotonic() < deadline
                time.sleep(0.2)
            yield url
        finally:
            process.kill()


def has_scraped(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/api/v1/query?query=vllm:num_requests_waiting") as answer:
            return bool(json.load(answer)["data"]["result"])
    except OSError:
        return False


@pytest.mark.parametrize(
    ("waiting", "failed", "expected"),
    [(0, 0, []), (40, 0, ["vllm.queue"]), (0, 1, ["dcgm.row-remap"])],
    ids=["healthy", "queue", "GPU"],
)
def test_what_it_has(stage: Stage, tmp_path: Path, waiting: int, failed: int, expected: list[str]) -> None:
    stage.deploy(ready=True, status=running(900, ready=True))
    page = PAGE % (waiting, stage.namespace, POD, failed)
    with serve_http(lambda _: page) as port, scrape(port, stage.namespace, tmp_path) as url:
        _, verdicts = diagnose(stage, "--prometheus", url)
    assert [finding["evidence"]["rule"] for _, finding in list_problems(verdicts)] == expected
    assert next(v for v in verdicts if v["check"] == "symptom.load")["judged"] == 1
