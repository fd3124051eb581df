"""Engines in images of unknown release, or with arguments that the recipe does not tell."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.engine import config_keys, conflicting_args, flags, kv_router, kv_transfer
from dynocheck.core.declarations import Check
from dynocheck.facts import Recipes
from tests.checks.judging import deploy, get_coverage, judge, outcomes, places, run_check
from tests.checks.manifests import config_map, engine, graph, mount_config

NVIDIA = "nvcr.io/nvidia/ai-dynamo"
NEAR = f"{NVIDIA}/vllm-runtime:1.5.0-nemotron-dev.1"
OLD = f"{NVIDIA}/vllm-runtime:0.9.1"
NEWER = f"{NVIDIA}/vllm-runtime:9.0.0"  # above every release whose flags are known
UNKNOWN = [
    f"{NVIDIA}/vllm-runtime:latest",
    NEWER,
    f"{NVIDIA}/vllm-runtime@sha256:12",
    "own/image:1.3.0",
    "${VLLM_IMAGE}",
]
KV_CONFIG = '--kv-transfer-config={"kv_connector": "NixlConnector"}'
CONFIG = ["--config", "/config/worker.yaml"]
HIDDEN = {"env": [{"name": "MORE", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}


def launch(folder: Path, *args: str, image: str, file: str | None = None, **more: Any) -> Recipes:
    """The recipe of a worker and a frontend without arguments."""
    if file is None:
        return deploy(folder, graph(engine(*args, image=image, **more)))
    worker = engine(*args, image=image, **mount_config("c"), **more)
    return deploy(folder, graph(worker), config_map("c", worker=file))


def pair(folder: Path, prefill: list[str], decode: list[str], **more: Any) -> Recipes:
    p = engine(*prefill, name="p", role="prefill", main=HIDDEN, **more)
    return deploy(folder, graph(p, engine(*decode, name="d", role="decode", main=HIDDEN, **more)))


def route(folder: Path, *args: str, image: str) -> Recipes:
    flags = ("--router-mode", "kv")
    front = engine(*flags, name="f", role="frontend", module="dynamo.frontend", model=None)
    return deploy(folder, graph(front, engine(*args, image=image, main=HIDDEN)))


@pytest.mark.parametrize(("image", "outcome"), [(NEAR, "fail"), *((image, "warn") for image in UNKNOWN)])
@pytest.mark.parametrize(
    ("check", "args", "file"),
    [
        (flags.flags_known, ["--tensor-paralel-size", "2"], None),
        (flags.values, ["--gpu-memory-utilization", "90"], None),
        (flags.values, ["--tensor-parallel-size", "two"], None),
        (config_keys.config_keys, CONFIG, "tensor-paralel-size: 2"),
        (config_keys.config_keys, ['--kv-transfer-config={"kv_conector": "NixlConnector"}'], None),
    ],
)
def test_what_no_release_takes_is_told_of_every_image(
    tmp_path: Path, check: Check, args: list[str], file: str | None, image: str, outcome: str
) -> None:
    given = launch(tmp_path, *args, image=image, file=file)
    assert outcomes(check, given) == [outcome]
    assert len(get_coverage(check, given)[1]) == (image == NEWER)


def test_the_evidence_names_the_release_that_a_tag_is_near(tmp_path: Path) -> None:
    (finding,) = run_check(flags.flags_known, launch(tmp_path, "--typo", image=NEAR))
    assert (finding.evidence["near"], finding.evidence["image"]) == ("1.5.0", NEAR)


@pytest.mark.parametrize("image", [NEAR, *UNKNOWN])
def test_what_every_release_takes_is_judged_in_every_image(tmp_path: Path, image: str) -> None:
    given = launch(tmp_path, "--tensor-parallel-size", "2", *CONFIG, file="max-model-len: 9", image=image)
    for check, count in ((flags.flags_known, 2), (flags.values, 2), (config_keys.config_keys, 1)):
        judged, missing = get_coverage(check, given)
        assert outcomes(check, given) == []
        assert (judged + len(missing), len(missing)) == (count, image == NEWER)


@pytest.mark.parametrize(
    ("tag", "count"), [("latest", 0), ("1.2.0-dev.1", 1), ("1.4.0-mine", 0), ("1.6.0-mine", 0)]
)
def test_what_some_releases_take_is_judged_where_those_around_the_tag_agree(
    tmp_path: Path, tag: str, count: int
) -> None:
    image = f"{NVIDIA}/vllm-runtime:{tag}"
    given = launch(tmp_path, "--is-prefill-worker", image=image)
    assert outcomes(flags.flags_known, given) == []
    left = [] if count else [f"w: --is-prefill-worker in {image}"]
    assert get_coverage(flags.flags_known, given) == (count + 1, left)


def test_an_image_that_is_older_than_every_list_is_not_judged(tmp_path: Path) -> None:
    given = launch(tmp_path, "--typo", image=OLD)
    assert outcomes(flags.flags_known, given) == []
    assert get_coverage(flags.flags_known, given) == (1, [f"w: dynamo.vllm in {OLD}"])


def test_a_program_without_a_list_of_flags_is_not_judged(tmp_path: Path) -> None:
    given = launch(tmp_path, "--typo", image=NEAR, module="dynamo.planner", model=None)
    assert get_coverage(flags.flags_known, given) == (1, ["w: dynamo.planner"])


@pytest.mark.parametrize(
    ("module", "args", "file"),
    [
        ("dynamo.trtllm", ["--extra-engine-args", CONFIG[1]], None),
        ("dynamo.vllm", ["--config", CONFIG[1]], None),
    ],
)
def test_files_that_are_not_judged(tmp_path: Path, module: str, args: list[str], file: str | None) -> None:
    image = f"{NVIDIA}/{module[7:].replace('trt', 'tensorrt')}-runtime:1.3.0"
    given = launch(tmp_path, *args, image=image, module=module, file=file)
    assert get_coverage(config_keys.config_keys, given) == (0, [f"w: engine configuration {CONFIG[1]}"])
    left = 0 if file else 1
    assert get_coverage(conflicting_args.cli_vs_yaml, given) == (1 - left, ["w"][:left])


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (NEAR, ["fail"]),
        (f"{NVIDIA}/vllm-runtime:my-tag", ["warn"]),
        ("own/image:1.3.0", ["warn"]),
        (OLD, ["unjudged"]),  # whose workers have a connector by themselves
    ],
)
def test_no_known_release_prefills_without_a_connector(tmp_path: Path, image: str, told: list[str]) -> None:
    given = pair(tmp_path, [], [], image=image)
    assert judge(kv_transfer.pair_agrees, given) == told
    left = ["p and d: --kv-transfer-config"] if told == ["unjudged"] else []
    assert get_coverage(kv_transfer.pair_agrees, given) == (1 - len(left), left)


@pytest.mark.parametrize(
    ("prefill", "decode", "what"),
    [
        (["--block-size=32"], [], "p and d: --block-size"),
        (["--block-size", "$(MORE)"], ["--block-size", "$(MORE)"], "p and d: --block-size"),
        (["--kv-cache-dtype=fp8"], [], "p and d: --kv-cache-dtype"),  # auto is what an unknown model asks for
        (["$(MORE)"], [], "p and d"),
        ([], ["--kv-transfer-config", "$(MORE)"], "p and d: --kv-transfer-config"),
    ],
)
def test_a_pair_is_not_judged_where_one_side_is_unknown(
    tmp_path: Path, prefill: list[str], decode: list[str], what: str
) -> None:
    given = pair(tmp_path, [KV_CONFIG, *prefill], [KV_CONFIG, *decode], model="own/model")
    assert judge(kv_transfer.pair_agrees, given) == ["unjudged"]
    assert get_coverage(kv_transfer.pair_agrees, given) == (0, [what])


@pytest.mark.parametrize(
    ("tag", "told"),
    [("1.0.2", []), ("1.0.2-mine", []), ("latest", ["warn"]), ("1.4.0-dev.1", ["warn"])],
)
def test_only_releases_before_1_1_publish_events_by_themselves(
    tmp_path: Path, tag: str, told: list[str]
) -> None:
    given = route(tmp_path, image=f"{NVIDIA}/vllm-runtime:{tag}")
    assert outcomes(kv_router.kv_router, given) == told
    assert get_coverage(kv_router.kv_router, given) == (1, [])


@pytest.mark.parametrize(("image", "args"), [(OLD, []), (NEAR, ["$(MORE)"])])
def test_whether_a_worker_publishes_may_be_unknown(tmp_path: Path, image: str, args: list[str]) -> None:
    assert get_coverage(kv_router.kv_router, route(tmp_path, *args, image=image)) == (0, ["w: KV events"])


def test_a_finding_in_a_file_is_at_its_key(tmp_path: Path) -> None:
    given = launch(tmp_path, *CONFIG, image=NEAR, file="typo: 1")
    assert places(config_keys.config_keys, given)[0][1].startswith("deploy.yaml:")
