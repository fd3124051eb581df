"""A run of recipes says first what it found in them."""

from pathlib import Path

from tests.checks.manifests import dump_objects
from tests.checks.test_server_kinds import VLLM, group, kserve, pod
from tests.command import run_inside

SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "s"},
    "spec": {"ports": [{"port": 80}]},
}


def deployment(name: str, command: str, image: str = VLLM) -> dict[str, object]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"template": pod(command, image=image)},
    }


def find(path: Path) -> str | None:
    report = run_inside("recipe", str(path), "-o", "json", "--select", "manifest.yaml").report
    found: str | None = report["target"].get("found")
    return found


def test_servers_are_counted_by_engine_and_kind(tmp_path: Path) -> None:
    objects = [
        deployment("a", "vllm serve a/b"),
        deployment("b", "vllm serve a/b"),
        group(2, pod("vllm serve a/b -tp 16"), pod("ray start")),
        kserve(),
        SERVICE,
    ]
    (tmp_path / "all.yaml").write_text(dump_objects(*objects))
    assert find(tmp_path) == "2 vLLM Deployments, 1 vLLM LeaderWorkerSet, 1 KServe service; 5 objects"


def test_one_object_without_an_engine(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(dump_objects(SERVICE))
    assert find(tmp_path) == "1 object"
