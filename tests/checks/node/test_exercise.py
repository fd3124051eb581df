"""`--exercise`: what is said where no GPU can be used, and how what GPUs did is judged.

It was never run on a GPU here. On a machine with one, `dynocheck node --exercise` shows whether it works.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from dynocheck.checks.node.exercise import exercise
from dynocheck.core.cancellation import Interruption
from dynocheck.facts import ExercisedGpu, ExerciseRequest, NodeExercise
from dynocheck.probes.node._exercise import measure_all
from dynocheck.probes.node.exercise import node_exercise
from tests.checks.judging import outcomes, places
from tests.command import ROOT, run_inside, usage_error
from tests.vllm_cpu import build

SOUND = ExercisedGpu(0, "NVIDIA H100 80GB HBM3", device_gb_s=2700, host_gb_s=52, peer_gb_s=370, tflops=640)


def make_gpus(*changed: ExercisedGpu, count: int = 8) -> NodeExercise:
    """Sound GPUs, but for these."""
    by_index = {gpu.index: gpu for gpu in changed}
    return NodeExercise("torch", gpus=tuple(by_index.get(i, replace(SOUND, index=i)) for i in range(count)))


def look(limit_s: float) -> NodeExercise:
    found = node_exercise(ExerciseRequest(limit_s), Interruption())
    assert isinstance(found, NodeExercise)
    return found


def run_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torch: str) -> NodeExercise:
    """What is found beside a torch that does this when it is imported."""
    (tmp_path / "torch.py").write_text(torch)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), str(ROOT))))
    return look(3)


class Values(list[int]):
    def min(self) -> int:
        return min(self)

    def max(self) -> int:
        return max(self)


class PlayedLibrary:
    """Two GPUs in the host's memory, the second of which may copy wrong."""

    name, count = "played", 2

    def __init__(self, *, free: int = 1 << 40, wrong: int = 0) -> None:
        self._free, self._wrong = free, wrong

    def get_name(self, gpu: int) -> str:
        return SOUND.name

    def get_free(self, gpu: int) -> int:
        return self._free

    def fill(self, gpu: int, value: int) -> Values:
        return Values([value] * 8)

    def fill_host(self, value: int) -> Values:
        return Values([value] * 2)

    def copy(self, target: Values, source: Values) -> None:
        target[: len(source)] = [value + self._wrong for value in source]

    def make_product(self, gpu: int) -> tuple[Values, Callable[[], None]]:
        return Values([8192]), lambda: None

    def synchronize(self, gpu: int) -> None:
        pass


@pytest.mark.parametrize(
    ("library", "told"),
    [
        (PlayedLibrary(), {"device_gb_s", "host_gb_s", "peer_gb_s", "tflops"}),
        (PlayedLibrary(free=1 << 30), {"busy"}),
        (PlayedLibrary(wrong=1), {"fault"}),
    ],
    ids=["sound", "busy", "wrong"],
)
def test_each_gpu_is_measured_or_told_why_not(library: PlayedLibrary, told: set[str]) -> None:
    found = list(measure_all(library, 10))
    assert [gpu["index"] for gpu in found] == [0, 1]
    assert all(gpu.keys() - {"index", "name"} == told for gpu in found)


@pytest.mark.parametrize(
    ("torch", "cupy"),
    [
        ("raise ImportError", "raise ImportError"),
        ("class version: cuda = None\n__version__ = '2.9'", "raise ImportError"),
        (
            "raise ImportError",
            "class cuda:\n class runtime:\n  CUDARuntimeError = OSError\n__version__ = '13'",
        ),
    ],
    ids=["neither", "torch for CPUs", "cupy without a driver"],
)
def test_a_library_that_finds_no_gpu_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torch: str, cupy: str
) -> None:
    (tmp_path / "cupy.py").write_text(cupy)
    assert outcomes(exercise, run_with(tmp_path, monkeypatch, torch)) == ["skip"]


def test_sound_gpus_have_no_findings() -> None:
    assert places(exercise, make_gpus()) == []


@pytest.mark.parametrize(
    ("gpu", "found"),
    [
        (replace(SOUND, index=3, fault="RuntimeError: a copy holds 0 to 7, not 7"), "fail"),
        (replace(SOUND, index=3, tflops=300), "warn"),
        (replace(SOUND, index=3, device_gb_s=900), "warn"),
        (replace(SOUND, index=3, host_gb_s=6), "warn"),
        (replace(SOUND, index=3, peer_gb_s=40), "warn"),
        (replace(SOUND, index=3, tflops=530), "warn"),
        (ExercisedGpu(3, SOUND.name, busy=True), "unknown"),
    ],
    ids=["wrong", "slow", "slow memory", "narrow PCIe", "no NVLink", "slower than its neighbours", "busy"],
)
def test_the_bad_one_is_named(gpu: ExercisedGpu, found: str) -> None:
    assert places(exercise, make_gpus(gpu)) == [(found, "GPU 3")]


@pytest.mark.parametrize(
    "gpu",
    [
        replace(SOUND, peer_gb_s=131),
        ExercisedGpu(0, "NVIDIA A100-SXM4-40GB", device_gb_s=1290, host_gb_s=24, peer_gb_s=92, tflops=255),
        ExercisedGpu(0, "NVIDIA H100 PCIe", device_gb_s=1700, host_gb_s=25, peer_gb_s=20, tflops=430),
        ExercisedGpu(0, "NVIDIA L4", device_gb_s=240, host_gb_s=23, peer_gb_s=19, tflops=52),
    ],
    ids=["HGX H100 of 4", "HGX A100 of 4", "in a PCIe 4.0 server", "of 72 watts"],
)
def test_four_sound_gpus_of_another_board_have_no_findings(gpu: ExercisedGpu) -> None:
    four = NodeExercise("torch", gpus=tuple(replace(gpu, index=index) for index in range(4)))
    assert places(exercise, four) == []


@pytest.mark.parametrize("name", ["NVIDIA H100 80GB HBM3 MIG 1g.10gb", "NVIDIA H200 NVL", "NVIDIA L40"])
def test_a_gpu_is_not_measured_by_one_whose_name_begins_alike(name: str) -> None:
    gpu = ExercisedGpu(0, name, device_gb_s=150, host_gb_s=11, tflops=21)
    assert "warn" not in outcomes(exercise, NodeExercise("torch", gpus=(gpu,)))


def test_what_was_not_done_is_unknown_and_what_cannot_be_done_is_skipped() -> None:
    assert outcomes(exercise, replace(make_gpus(count=2), unfinished="it was not done in time")) == [
        "unknown"
    ]
    assert outcomes(exercise, NodeExercise(absent="torch is not installed")) == ["skip"]


def test_without_torch_it_says_so() -> None:
    ended = run_inside("node", "--exercise", "--select", "node.exercise", "-o", "json")
    (verdict,) = ended.report["verdicts"]
    assert (verdict["outcome"], "neither torch nor cupy" in verdict["message"]) == ("skip", True)


def test_a_torch_that_hangs_is_ended_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = time.monotonic()
    found = run_with(tmp_path, monkeypatch, "import time; time.sleep(600)")
    assert (found.gpus, found.unfinished is not None, time.monotonic() - started < 10) == ((), True, True)


def test_a_torch_that_crashes_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = run_with(tmp_path, monkeypatch, "import os; os.abort()")
    assert outcomes(exercise, found) == ["unknown"]


@pytest.mark.verify
def test_a_real_torch_without_a_gpu_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(build.python()))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    found = look(60)
    assert found.absent is not None
    assert found.absent.endswith(("finds no GPU", "is built without CUDA"))


@pytest.mark.parametrize("other", ["--cluster", "--snapshot=node.json"])
def test_it_is_for_this_machine_only(other: str) -> None:
    assert "--exercise" in usage_error("node", "--exercise", other)
