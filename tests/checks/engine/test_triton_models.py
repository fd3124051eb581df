"""Triton's config.pbtxt is judged as Triton's own parser and loader judge it."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.engine.triton_models import triton_models
from dynocheck.checks.structure.layout import layout
from dynocheck.facts import Recipes
from dynocheck.recipe.discover import load_recipes
from tests.checks.judging import deploy, judge, places
from tests.checks.manifests import dump_objects
from tests.checks.test_servers import serve

TRITON = "nvcr.io/nvidia/tritonserver:25.10-trtllm-python-py3"
SERVE = ["tritonserver", "--model-repository=/models"]
FILLING = ["sh", "-c", "fill_template.py -i /in/llm; tritonserver"]
TENSORS = """
input [ { name: "A" data_type: TYPE_STRING dims: [ 1 ] }, { name: "O" data_type: TYPE_INT32 optional: true } ]
output { name: "B", data_type: TYPE_INT32, dims: [ -1 ] }
"""
TRTLLM = f"""
backend: "tensorrtllm"  # the engine's
max_batch_size: 8
{TENSORS}
model_transaction_policy {{ decoupled: true }}
parameters: {{ key: "gpt_model_type" value: {{ string_value: "inflight_fused_batching" }} }}
parameters {{ key: "gpt_model_path" value {{ string_value: "/engines" '/x' }} }}
parameters [ {{ key: "kv_cache_free_gpu_mem_fraction", value: {{ string_value: "0.9" }} }} ]
instance_group [ {{ count: 1 kind: KIND_CPU }} ]
"""
ENSEMBLE = """
name: "ensemble"
platform: "ensemble"
input { name: "TEXT" data_type: TYPE_STRING dims: [ 1 ] }
output { name: "TOKENS" data_type: TYPE_INT32 dims: [ -1 ] }
ensemble_scheduling { step [
  { model_name: "first" model_version: -1
    input_map { key: "A" value: "TEXT" }
    output_map { key: "B" value: "TOKENS" } }
] }
"""


def lay(folder: Path, **configs: str) -> Recipes:
    """A recipe with a model repository, and a manifest beside it."""
    folder.mkdir(exist_ok=True)
    (folder / "serve.yaml").write_text(dump_objects(serve(TRITON, *SERVE)))
    for name, text in configs.items():
        (folder / name / "1").mkdir(parents=True)
        (folder / name / "config.pbtxt").write_text(text)
    return Recipes(load_recipes([str(folder)]))


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("", "", 0),
        ('"tensorrtllm"  # the engine\'s', "tensorrtllm", 2),  # no text without quotes
        ("max_batch_size: 8", "max_batchsize: 8", 3),
        ("max_batch_size: 8", "max_batch_size: eight", 3),
        ("max_batch_size: 8", "max_batch_size 8", 3),
        ("max_batch_size: 8", "max_batch_size: 8 max_batch_size: 9", 3),
        ("max_batch_size: 8", "max_batch_size: 0x8;", 0),
        ("TYPE_INT32", "TYPE_INT33", 5),
        ("decoupled: true", 'decoupled: "true"', 8),
        ("decoupled: true }", "decoupled: true", 9),  # which is then in the policy
        ("} ]\noutput", "}, ]\noutput", 5),
        ("KIND_CPU", "CPU", 12),
        ("inflight_fused_batching", "inflight_fused", 9),
        ('key: "gpt_model_path"', 'key: "engine_dir"', 11),
        ('"0.9"', '"1.5"', 11),
        ('"0.9"', '"90%"', 11),
    ],
)
def test_a_model(tmp_path: Path, old: str, new: str, line: int) -> None:
    given = lay(tmp_path, model=TRTLLM.replace(old, new, 1))
    expected = [("fail", f"config.pbtxt:{line}")] if line else []
    assert places(triton_models, given) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", []),
        ('"A" value', '"C" value', ["fail", "fail"]),  # none of its inputs, and one of its inputs without
        ('"B" value', '"C" value', ["fail"]),
        ('value: "TEXT"', 'value: "TXT"', ["fail"]),
        ('value: "TOKENS"', 'value: "IDS"', ["fail"]),  # nothing makes TOKENS
        ('"TEXT" data_type: TYPE_STRING', '"TEXT" data_type: TYPE_INT32', ["fail"]),
        ("TYPE_INT32 dims: [ -1 ]", "TYPE_INT64 dims: [ -1 ]", ["fail"]),
        ('model_name: "first"', 'model_name: "fist"', ["fail"]),
        ('model_name: "first"', 'model_name: "elsewhere"', ["unjudged"]),
        ('name: "ensemble"', 'name: "other"', ["fail"]),  # than its folder
    ],
)
def test_an_ensemble(tmp_path: Path, old: str, new: str, expected: list[str]) -> None:
    given = lay(tmp_path, first=TENSORS, ensemble=ENSEMBLE.replace(old, new, 1))
    assert judge(triton_models, given) == expected


def test_a_template_is_filled_in_later(tmp_path: Path) -> None:
    given = lay(tmp_path, model=TRTLLM.replace("size: 8", "size: ${size}"))
    assert judge(triton_models, given) == ["unjudged"]


@pytest.mark.parametrize(
    ("request_", "decoupled", "expected"),
    [
        ("infer", "true", ["fail"]),
        ("infer", "false", []),
        ("generate", "true", []),
        ("generate_stream", "true", []),
        ("generate_stream", "false", ["warn"]),
    ],
)
def test_requests(tmp_path: Path, request_: str, decoupled: str, expected: list[str]) -> None:
    page = f"# Ask\n\n```bash\ncurl -d @x http://t:8000/v2/models/ensemble/{request_}\n```\n"
    (tmp_path / "README.md").write_text(page)
    first = f"{TENSORS} model_transaction_policy {{ decoupled: {decoupled} }}"
    assert judge(triton_models, lay(tmp_path, first=first, ensemble=ENSEMBLE)) == expected


def mount(
    at: str, text: str = TRTLLM, gpus: int = 1, command: list[str] | None = None
) -> list[dict[str, Any]]:
    """A ConfigMap with a model's configuration, mounted by a Triton whose claim has an engine."""
    volumes = [
        {"name": "config", "configMap": {"name": "c"}},
        {"name": "engines", "persistentVolumeClaim": {"claimName": "e"}},
    ]
    mounts = [
        {"name": "config", "mountPath": at},
        {"name": "engines", "mountPath": "/models/llm/1"},
        {"name": "engines", "mountPath": "/engines"},
    ]
    server = serve(TRITON, pod={"volumes": volumes}, gpus=gpus, command=command or SERVE, volumeMounts=mounts)
    data = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c"},
        "data": {"config.pbtxt": text},
    }
    return [server, data]


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        (mount("/models/llm"), []),
        (mount("/models"), ["warn"]),  # in no folder of its name
        (mount("/models/other"), ["fail"]),  # without a version
        (mount("/models/llm", f'name: "other" {TRTLLM}'), ["fail"]),
        (mount("/models/llm", TRTLLM.replace("/x", "").replace("/engines", "/opt/x")), ["warn"]),
        (mount("/models/llm", TRTLLM.replace("KIND_CPU", "KIND_GPU gpus: [ 0, 1 ]")), ["fail"]),
        (mount("/models/llm", TRTLLM.replace("KIND_CPU", "KIND_GPU gpus: [ 0, 1 ]"), gpus=2), []),
        (mount("/models/llm", TRTLLM.replace("KIND_CPU", "KIND_GPU"), gpus=0), ["fail"]),
        (mount("/models/llm", TRTLLM.replace("8", "${size}", 1)), ["fail"]),  # by nobody
        (mount("/in/llm", TRTLLM.replace("8", "${size}", 1), command=FILLING), ["unjudged"]),
    ],
)
def test_a_mounted_model(tmp_path: Path, objects: list[dict[str, Any]], expected: list[str]) -> None:
    assert judge(triton_models, deploy(tmp_path, *objects)) == expected


def test_a_repository_alone_is_judged(tmp_path: Path) -> None:
    lay(tmp_path, model=TRTLLM.replace("decoupled: true", "decoupled: maybe"))
    (tmp_path / "serve.yaml").unlink()
    given = Recipes(load_recipes([str(tmp_path)]))
    assert judge(triton_models, given) == ["fail"]
    assert judge(layout, given) == ["skip"]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--model-control-mode=explicit"], ["warn"]),
        (["--model-control-mode", "explicit"], ["warn"]),
        (["--model-control-mode=explicit", "--load-model=llama"], []),
        (["--model-control-mode=explicit", "--load-model", "*"], []),
        (["--model-control-mode=poll"], []),
    ],
)
def test_a_server_that_loads_no_model(tmp_path: Path, args: list[str], expected: list[str]) -> None:
    lay(tmp_path, model=TRTLLM)
    (tmp_path / "serve.yaml").write_text(dump_objects(serve(TRITON, *SERVE, *args)))
    assert judge(triton_models, Recipes(load_recipes([str(tmp_path)]))) == expected


def test_none(tmp_path: Path) -> None:
    assert judge(triton_models, deploy(tmp_path, serve(TRITON, *SERVE))) == ["skip"]


HOSTILE = ["{" * 9999, "a:" * 99999, "input {" * 60, '"' * 99999, "input [" * 99999, "\\" * 9]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_an_error(tmp_path: Path, text: str) -> None:
    assert judge(triton_models, lay(tmp_path, model=text)) == ["fail"]
