"""How a recipe's folder is laid out, each with one mistake, and the layouts that people use."""

from pathlib import Path

import pytest

from dynocheck.checks.manifest import schema
from dynocheck.checks.structure import layout
from dynocheck.facts import Recipes
from dynocheck.recipe.discover import load_recipes
from tests.checks.judging import GRAPH, get_coverage, get_skip_reason, outcomes, places, recipes, run_check
from tests.checks.manifests import dump_objects, engine, graph

DEPLOY = dump_objects(graph(engine()))
CLAIM = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: model-cache}\n"
JOB = """
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec: {template: {spec: {containers: [{name: c, image: i, command: [hf, download, Qwen/Qwen3-0.6B]}]}}}
"""
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12345\n"
CACHE = {"model_cache__model_cache": CLAIM, "model_cache__model_download": JOB}
KUSTOMIZATION = "kind: Kustomization\nresources: [./deploy.yaml]\nnamePrefix: a-\n"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def load(folder: Path) -> Recipes:
    return Recipes(load_recipes([str(folder)]))


@pytest.mark.parametrize(
    "files",
    [
        {"vllm__agg__deploy": DEPLOY},
        {"vllm__agg__deploy": DEPLOY, "vllm__agg__perf": JOB},
        {"vllm__agg__deploy": DEPLOY, "perf__perf": JOB},
        {"vllm__agg__deploy": DEPLOY, "perf": JOB},
        {"vllm__agg__deploy_aks": DEPLOY, "vllm__agg__deploy_gke": DEPLOY},
        {"vllm__agg__deploy": DEPLOY, "vllm__agg__gaie__deploy": DEPLOY},
        {"vllm__disagg__wide_ep__gb200__deploy": DEPLOY},
        {"fp8__vllm__agg__deploy": DEPLOY, "bf16__vllm__agg__deploy": DEPLOY},
        {"deploy__agg": DEPLOY},
        {
            "vllm__agg__deploy": DEPLOY,
            "vllm__kustomize__base__deploy": "spec: {}\n",
            "vllm__kustomize__base__kustomization": KUSTOMIZATION,
        },
        {"vllm__agg__deploy": DEPLOY, "model_cache__model_download_nvfp4": JOB},
        {"vllm__agg__deploy": DEPLOY, "model_cache__cache": CLAIM},
    ],
)
def test_layouts_that_people_use(tmp_path: Path, files: dict[str, str]) -> None:
    given = recipes(tmp_path, **CACHE, **files)
    for check in (layout.layout, layout.files):
        assert outcomes(check, given) == [], check.id
    if any("vllm" in name for name in files):
        assert outcomes(layout.framework, given) == []


def test_an_underscore_in_a_name_is_as_good(tmp_path: Path) -> None:
    recipes(tmp_path, **CACHE)
    write(tmp_path, "vllm/agg/deploy_hopper_16gpu.yaml", DEPLOY)
    assert outcomes(layout.files, load(tmp_path)) == []


VALUES = "engine: {image: {repository: registry.example/vllm-openai, tag: v0.11.0}, replicas: 2}\n"
PLAYGROUND = "{apiVersion: llm.example/v1, kind: Playground, metadata: {name: a}}"  # an operator deploys it
MONITOR = "{apiVersion: monitoring.coreos.com/v1, kind: PodMonitor, metadata: {name: a}}"
COMPONENT = DEPLOY.replace("DynamoGraphDeployment", "DynamoComponentDeployment")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"vllm__agg__perf": JOB, **CACHE}, ["fail"]),
        ({"config": "a: b\n"}, ["fail"]),
        ({"stack": VALUES}, ["unknown"]),
        ({"stack": VALUES, "deploy": DEPLOY}, []),
        ({"deploy": DEPLOY}, []),
        ({"deploy": COMPONENT}, []),
        ({"vllm__agg__app": PLAYGROUND, **CACHE}, []),
        ({"vllm__agg__app": MONITOR, **CACHE}, ["fail"]),
        ({"base__deploy": DEPLOY, "base__kustomization": KUSTOMIZATION}, ["unknown"]),
    ],
)
def test_a_folder_with_and_without_a_graph(
    tmp_path: Path, files: dict[str, str], expected: list[str]
) -> None:
    given = recipes(tmp_path, **files)
    assert outcomes(layout.layout, given) == expected
    assert outcomes(layout.files, given) == []


def test_a_file_that_is_no_yaml_may_be_the_claim(tmp_path: Path) -> None:
    write(tmp_path, "vllm/agg/deploy.yaml", DEPLOY)
    write(tmp_path, "model-cache/model-cache.yaml", "a: b: c\n")
    write(tmp_path, "model-cache/model-download.yaml", JOB)
    assert outcomes(layout.layout, load(tmp_path)) == []


OVERLAY = """
resources:
  - ../base
  - https://example.com/objects.yaml
  - github.com/owner/repository//folder?ref=main
components: [../shared]
patches:
  - path: patch.yaml
  - patch: "[]"
"""


@pytest.mark.parametrize(
    ("files", "page", "missing"),
    [
        ({}, "", ["../base", "../shared", "patch.yaml"]),
        ({"base/kustomization": KUSTOMIZATION, "base/deploy": DEPLOY}, "", ["../shared", "patch.yaml"]),
        (
            {"base/kustomization": KUSTOMIZATION, "base/deploy": DEPLOY, "overlay/tpl/patch.tpl": DEPLOY},
            "",
            ["../shared"],  # patch.yaml is made of its template
        ),
        ({}, "```bash\nenvsubst < x > overlay/patch.yaml\n```\n", ["../base", "../shared"]),
    ],
)
def test_what_a_kustomization_names_is_there(
    tmp_path: Path, files: dict[str, str], page: str, missing: list[str]
) -> None:
    for name, text in {"overlay/kustomization": OVERLAY, **files}.items():
        write(tmp_path, f"vllm/{name}.yaml", text)
    write(tmp_path, "vllm/README.md", f"# Overlay\n{page}")
    given = load(tmp_path)
    assert [found.message.partition(" ")[0] for found in run_check(layout.files, given)] == missing
    assert "unknown" not in outcomes(layout.layout, given)


def test_a_cache_or_a_load_test_alone_is_a_part_of_a_model(tmp_path: Path) -> None:
    recipes(tmp_path, **CACHE, perf__perf=JOB)
    for part in ("model-cache", "perf"):
        assert "no folder of a model" in get_skip_reason(layout.layout, load(tmp_path / part))


def test_a_chart_without_values_is_not_empty(tmp_path: Path) -> None:
    write(tmp_path, "chart/templates/graph.yaml", "kind: {{ .Values.kind }}\n")
    write(tmp_path, "chart/Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n")
    assert outcomes(layout.layout, load(tmp_path / "chart")) == ["unknown"]


def test_a_chart_is_not_what_is_applied(tmp_path: Path) -> None:
    write(tmp_path, "chart/templates/graph.yaml", "spec:\n{{- if .Values.x }}\n  a: b\n{{- end }}\n")
    write(tmp_path, "chart/values.yaml", "a: b")
    write(tmp_path, "chart/Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n")
    alone = load(tmp_path / "chart")
    assert outcomes(layout.layout, alone) == ["unknown"]
    for check in (layout.read_whole, layout.files, schema.yaml):
        assert outcomes(check, alone) == [], check.id
    assert "no manifest" in get_skip_reason(schema.schema, alone)
    beside = recipes(tmp_path, **CACHE, vllm__agg__deploy=DEPLOY)
    assert outcomes(layout.layout, beside) == []
    assert outcomes(layout.read_whole, beside) == ["warn"]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("[aws, s3, sync, 's3://bucket/model', /models]", []),
        ("[git, clone, 'https://huggingface.co/org/model']", []),
        ("[sleep, '1']", ["warn"]),
    ],
)
def test_a_cache_that_is_filled_from_elsewhere(tmp_path: Path, command: str, expected: list[str]) -> None:
    job = JOB.replace("[hf, download, Qwen/Qwen3-0.6B]", command)
    given = recipes(tmp_path, vllm__agg__deploy=DEPLOY, model_cache__cache=CLAIM, model_cache__fill=job)
    assert outcomes(layout.layout, given) == expected


@pytest.mark.parametrize(
    ("folder", "expected"),
    [("disagg", ["warn"]), ("agg__kustomize__base", [])],  # what the second renders lies above it
)
def test_a_graph_that_kustomize_changes(tmp_path: Path, folder: str, expected: list[str]) -> None:
    base = {f"vllm__{folder}__deploy": DEPLOY, f"vllm__{folder}__kustomization": KUSTOMIZATION}
    given = recipes(tmp_path, **CACHE, vllm__agg__deploy=DEPLOY, **base)
    assert outcomes(layout.read_whole, given) == expected


def test_a_model_folder_has_a_cache(tmp_path: Path) -> None:
    variant = {"vllm__agg__deploy": DEPLOY}
    caches: list[tuple[dict[str, str], str]] = [
        ({}, "vllm/agg/deploy.yaml"),
        ({"model_cache__download": JOB}, "model-cache/download.yaml"),
    ]
    for number, (files, place) in enumerate(caches):
        folder = tmp_path / str(number)
        (finding,) = run_check(layout.layout, recipes(folder, **variant, **files))
        assert finding.outcome == "warn"
        assert finding.location is not None
        assert Path(finding.location.file) == folder / place


SERVED = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
spec:
  selector: {matchLabels: {app: a}}
  template:
    metadata: {labels: {app: a}}
    spec:
      containers:
        - name: engine
          image: vllm/vllm-openai:v0.11.0
          args: [--model, a/b]
          volumeMounts: [{name: weights, mountPath: %s}]
      volumes: [{name: weights, persistentVolumeClaim: {claimName: c}}]
"""


@pytest.mark.parametrize(("mount", "expected"), [("/root/.cache/huggingface", []), ("/logs", ["warn"])])
def test_a_server_without_dynamo_may_keep_its_weights(
    tmp_path: Path, mount: str, expected: list[str]
) -> None:
    assert outcomes(layout.layout, recipes(tmp_path, vllm__agg__deploy=SERVED % mount)) == expected


CLAIMED = """
apiVersion: nvidia.com/v1alpha1
kind: DynamoGraphDeployment
metadata: {name: g}
spec:
  services:
    Worker:
      componentType: worker
      envs: [{name: HF_HOME, value: %s}]
      volumeMounts: [{name: weights, mountPoint: %s}]
      extraPodSpec: {mainContainer: {image: i, command: [python3, -m, dynamo.vllm, --model, a/b]}}
"""


@pytest.mark.parametrize(
    ("home", "mount", "expected"),
    [
        ("/opt/models/hub", "/opt/models", []),
        ("/tmp", "/home/dynamo/.cache/huggingface", []),
        ("/tmp", "/logs", ["warn"]),
    ],
)
def test_pods_that_mount_a_claim_for_weights_download_nothing_each(
    tmp_path: Path, home: str, mount: str, expected: list[str]
) -> None:
    given = recipes(tmp_path, vllm__agg__deploy=CLAIMED % (home, mount))
    assert outcomes(layout.layout, given) == expected


def test_a_broken_file_may_be_the_graph(tmp_path: Path) -> None:
    assert outcomes(layout.layout, recipes(tmp_path / "a", job=JOB)) == ["skip"]
    assert outcomes(layout.layout, recipes(tmp_path / "b", deploy="a: [", job=JOB)) == ["skip"]


# structure.framework


@pytest.mark.parametrize(
    ("folder", "fix"),
    [("vlm", "vllm"), ("sg-lang", "sglang"), ("tensorrt-llm", "trtllm"), ("TRTLLM", "trtllm")],
)
def test_a_misspelt_framework(tmp_path: Path, folder: str, fix: str) -> None:
    recipes(tmp_path, **CACHE)
    write(tmp_path, f"{folder}/agg/deploy.yaml", DEPLOY)
    (finding,) = run_check(layout.framework, load(tmp_path))
    assert (finding.outcome, finding.fix) == ("warn", f"call it {fix}")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"vllm2__agg__deploy": DEPLOY, "vllm__agg__deploy": DEPLOY}, []),  # more in a name is no misspelling
        ({"sglang__agg__deploy": DEPLOY}, ["warn"]),
        ({"sglang__agg__deploy": DEPLOY.replace("dynamo.vllm", "dynamo.mocker")}, []),
        ({"deploy__agg": DEPLOY}, ["skip"]),
    ],
)
def test_a_graph_in_the_folder_of_a_framework(
    tmp_path: Path, files: dict[str, str], expected: list[str]
) -> None:
    assert outcomes(layout.framework, recipes(tmp_path, **files)) == expected


# structure.files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recipe in which nothing is wrong."""
    recipes(tmp_path, **CACHE, sglang__agg__deploy=DEPLOY)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text", "outcome"),
    [
        ("vllm/agg/deploy.yaml", JOB, "warn"),
        ("vllm/agg/deploy-aks.yaml", CLAIM, "warn"),
        ("vllm/agg/perf.yaml", CLAIM, "warn"),
        ("model-cache/model-download.yaml", CLAIM, "warn"),
        ("model-cache/model-cache.yaml", JOB, "warn"),
        ("vllm/agg/deploy.yaml", "", "fail"),
        ("vllm/agg/deploy.yaml", "# to come\n", "warn"),
        ("traces/chat.jsonl", "", "warn"),
        ("traces/chat.jsonl", POINTER, "warn"),
        ("vllm/agg/deploy.yaml", POINTER, "fail"),
    ],
)
def test_a_file_without_what_it_is_there_for(folder: Path, name: str, text: str, outcome: str) -> None:
    path = write(folder, name, text)
    (finding,) = run_check(layout.files, load(folder))
    assert finding.outcome == outcome
    assert finding.location is not None
    assert finding.location.file == str(path)


def test_without_dynamo_a_file_may_be_named_after_what_it_deploys(tmp_path: Path) -> None:
    write(tmp_path, "deploy-model.yaml", JOB)
    write(tmp_path, "deploy-metrics.yaml", CLAIM)
    assert run_check(layout.files, load(tmp_path)) == []


def test_a_link_to_nothing(folder: Path) -> None:
    (folder / "traces").mkdir()
    (folder / "traces" / "chat.jsonl").symlink_to("../../other/chat.jsonl")
    (folder / "traces" / "good.jsonl").symlink_to(folder / "sglang" / "agg" / "deploy.yaml")
    assert outcomes(layout.files, load(folder)) == ["warn"]


@pytest.mark.parametrize("name", ["data-gen/__init__.py", ".gitkeep", "data-gen/.gitignore"])
def test_files_that_are_meant_to_be_empty(folder: Path, name: str) -> None:
    write(folder, name, "")
    assert outcomes(layout.files, load(folder)) == []


def test_an_empty_manifest_is_passed_over_by_kubectl(folder: Path) -> None:
    write(folder, "sglang/agg/more.yaml", "")
    assert outcomes(layout.files, load(folder)) == ["warn"]


def test_a_file_that_cannot_be_read_is_told_once(tmp_path: Path) -> None:
    assert outcomes(layout.files, recipes(tmp_path, **CACHE, vllm__agg__deploy="a: [\n")) == []


# structure.read-whole


def launching(script: str) -> str:
    """A graph whose worker runs this script, which stands on line 11."""
    command = f"        - {{name: main, image: x:1, command: [bash, -c, {script!r}]}}\n"
    return f"{GRAPH}  - name: w\n    podTemplate:\n      spec:\n        containers:\n{command}"


def test_what_people_write_is_read(tmp_path: Path) -> None:
    recipes(tmp_path, **CACHE, vllm__agg__deploy=launching("x; " * 5_000 + "python3 -m dynamo.vllm & " * 100))
    write(tmp_path, "README.md", "# dynocheck\n" * 1_000)
    assert outcomes(layout.read_whole, load(tmp_path)) == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (launching("x" * 131_073), 11),
        (launching("python3 -m dynamo.vllm & " * 101), 11),
        ("---".join([launching("x" * 100_000)] * 3), 33),
        ("# dynocheck: ignore[a] r\n" * 1_001 + CLAIM, 1_001),
    ],
    ids=["a long script", "many programs", "long commands in all", "many comments"],
)
def test_what_is_too_much_to_be_read(tmp_path: Path, text: str, line: int) -> None:
    given = recipes(tmp_path, **CACHE, vllm__agg__deploy=text)
    assert places(layout.read_whole, given) == [("warn", f"deploy.yaml:{line}")]


def test_a_page_that_is_too_long(tmp_path: Path) -> None:
    recipes(tmp_path, **CACHE, vllm__agg__deploy=DEPLOY)
    write(tmp_path, "README.md", "dynocheck: [" * 10_000)
    assert outcomes(layout.read_whole, load(tmp_path)) == ["warn"]


@pytest.mark.parametrize(
    ("group", "kind", "spec", "expected"),
    [
        (
            "argoproj.io/v1alpha1",
            "Application",
            {"source": {"chart": "c", "repoURL": "https://a.example"}},
            1,
        ),
        ("argoproj.io/v1alpha1", "Application", {"source": {"path": "apps/chat"}}, 1),
        ("argoproj.io/v1alpha1", "Application", {"source": {"path": "vllm/agg"}}, 0),
        (
            "helm.toolkit.fluxcd.io/v2",
            "HelmRelease",
            {"chart": {"spec": {"chart": "c"}}, "values": {"a": 1}},
            1,
        ),
        ("argoproj.io/v1alpha1", "Rollout", {"replicas": 1}, 0),
    ],
)
def test_what_a_controller_deploys_from_elsewhere_is_not_judged(
    tmp_path: Path, group: str, kind: str, spec: dict[str, object], expected: int
) -> None:
    made = {"apiVersion": group, "kind": kind, "metadata": {"name": "a"}, "spec": spec}
    given = recipes(tmp_path, app=dump_objects(made), vllm__agg__deploy=dump_objects(graph(engine())))
    assert len(get_coverage(layout.read_whole, given)[1]) == expected
