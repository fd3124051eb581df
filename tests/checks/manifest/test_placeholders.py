"""What was left to be filled in, and what only looks like it."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.manifest.placeholders import placeholders
from dynocheck.facts import Recipes
from dynocheck.recipe.discover import load_recipes
from tests.checks import manifests
from tests.checks.judging import deploy, get_skip_reason, outcomes, read_lines, recipes, run_check
from tests.checks.manifests import dump_objects, engine, graph

IMAGE = "registry.example/vllm-runtime:1.3.0"


def claim(name: str) -> dict[str, Any]:
    made = manifests.claim()
    return {**made, "spec": {**made["spec"], "storageClassName": name}}


def image(text: str) -> dict[str, Any]:
    return graph(engine(image=text))


def profiler(text: str) -> dict[str, Any]:
    """A request whose image is under a key of another name than `image`."""
    spec = {"model": "m", "backend": "vllm", "profilingConfig": {"profilerImage": text}}
    kind = {"apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoGraphDeploymentRequest"}
    return {**kind, "metadata": {"name": "r"}, "spec": spec}


def variable(text: str) -> dict[str, Any]:
    return graph(engine(image=IMAGE, env={"SIZE": text}))


SCRIPTS = {"data": {"engine.yaml": "<x>", "run.sh": "a ${B}"}}
CONTAINER = {"name": "c", "image": "i:1.0.0", "command": ["sh", "-c", "cat <file> ${A}"]}
POD = {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [CONTAINER]}}


def in_namespace(name: str) -> dict[str, Any]:
    """A v1alpha1 graph whose service names a Dynamo namespace."""
    main = {"mainContainer": {"image": IMAGE}}
    service = {"componentType": "worker", "dynamoNamespace": name, "extraPodSpec": main}
    one = graph() | {"apiVersion": "nvidia.com/v1alpha1"}
    return one | {"spec": {"services": {"W": service}}}


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (image("<your-registry>/vllm:1.3.0"), ["fail"]),
        (image("nvcr.io/x/vllm-runtime:<IMAGE_TAG>"), ["fail"]),
        (image("nvcr.io/x/vllm-runtime-xpu:my-tag"), ["fail"]),
        (image("your-registry/vllm:1.3.0"), ["fail"]),
        (profiler("nvcr.io/nvidia/ai-dynamo/vllm-runtime:my-tag"), ["fail"]),
        (profiler("nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.3.0"), []),
        (image("{{ image }}"), ["fail"]),
        (image("registry.example/vllm:__TAG__"), ["fail"]),
        (variable("@@GPUS@@"), ["warn"]),
        (image("${VLLM_IMAGE}"), ["fail"]),
        (claim("your-storage-class"), ["fail"]),
        (claim("<class>"), ["fail"]),
        (claim("${CLASS}"), ["fail"]),
        (variable("${GPUS}"), ["warn"]),
        (variable("changeme"), ["warn"]),
        (variable("<>"), ["warn"]),
        (variable("https://<POD_ID>-8000.proxy.example/v1"), ["warn"]),
        (variable("http://searx.example:8080/search?q=<query>&format=json"), []),
        (variable("sk-lab-..."), ["warn"]),
        (variable("sk-your-openai-key"), ["warn"]),
        (manifests.config_map("a") | {"kind": "Secret", "stringData": {"URL": "http://<HOST>/v1"}}, ["fail"]),
        (manifests.config_map("a") | {"kind": "Secret", "data": {"token": "$HF_TOKEN"}}, ["fail"]),
        (manifests.config_map("a") | {"kind": "Secret", "stringData": {"password": "$Secret1"}}, []),
        (graph(engine("--served-model-name", "<model>", image=IMAGE)), ["fail"]),
        (graph(engine(image=IMAGE, pod={"nodeSelector": {"pool": "todo"}})), ["fail"]),
        # what only looks like it, or what Helm fills in
        (image("{{ .Values.image }}"), []),
        (claim("${1}.example"), []),  # a group of a regular expression: no variable has such a name
        (image(IMAGE), []),
        (image("registry.example/your/vllm:1.3.0"), []),
        (image("registry.example/myself/my-tagger:1.3.0"), []),
        (claim("fast"), []),
        (claim(""), []),
        (variable("$(HOSTNAME)"), []),
        (variable("a < b > c"), []),
        (variable("<|im_start|>"), []),
        (graph(engine(image=IMAGE), name="my-graph"), []),
        (in_namespace("my-namespace"), []),
        (in_namespace("<namespace>"), ["fail"]),
        (graph(engine("${MODEL_PATH}", image=IMAGE)), []),
        (manifests.config_map("a") | SCRIPTS, []),
        ({**POD, "metadata": {"name": "a", "annotations": {"note": "todo"}}}, []),
    ],
)
def test_what_was_left(tmp_path: Path, one: dict[str, Any], expected: list[str]) -> None:
    given = deploy(tmp_path, one)
    assert outcomes(placeholders, given) == expected
    assert all(read_lines(placeholders, given))


@pytest.mark.parametrize(("value", "expected"), [("SET-ME", ["fail"]), ("mlx5_0", [])])
@pytest.mark.parametrize("start", ["{} {}", "{}={}"])
def test_a_script_starts_nothing_with_a_placeholder(
    tmp_path: Path, start: str, value: str, expected: list[str]
) -> None:
    words = start.format("--mooncake-ib-device", value)
    main = {"command": ["bash", "-c"], "args": [f"exec python3 -m dynamo.sglang {words}"]}
    assert outcomes(placeholders, deploy(tmp_path, graph(engine(main=main)))) == expected


def test_what_has_a_default_is_not_left_to_envsubst(tmp_path: Path) -> None:
    given = deploy(tmp_path, image("registry.example/vllm-runtime:${TAG:-1.3.0}"))
    assert [finding.fix for finding in run_check(placeholders, given)] == [
        "write 1.3.0 in its place   # GNU envsubst takes no defaults"
    ]


def test_a_comment_is_not_read(tmp_path: Path) -> None:
    text = f"# image: <your-registry>/x\n{dump_objects(image(IMAGE))}"
    assert outcomes(placeholders, recipes(tmp_path, deploy=text)) == []


def test_a_readme_may_say_what_replaces_variables(tmp_path: Path) -> None:
    recipes(tmp_path, vllm__agg__deploy=dump_objects(image("${VLLM_IMAGE}")))
    command = "envsubst < vllm/agg/deploy.yaml | kubectl apply -f -"
    (tmp_path / "README.md").write_text(f"```bash\n{command}\n```\n")
    assert outcomes(placeholders, Recipes(load_recipes([str(tmp_path)]))) == []


def test_files_of_other_tools(tmp_path: Path) -> None:
    values = "nameTemplate: deploy-${variant}\n"
    assert (
        outcomes(placeholders, recipes(tmp_path / "a", deploy=dump_objects(image(IMAGE)), values=values))
        == []
    )
    base = {"deploy": dump_objects(image("<image>")), "kustomization": "resources: [deploy.yaml]\n"}
    rendered = recipes(tmp_path / "b", **base)
    assert "no manifest" in get_skip_reason(placeholders, rendered)


def test_a_class_of_one_cluster_among_placeholders(tmp_path: Path) -> None:
    for name, storage in (("a", "your-class"), ("b", "your-class"), ("c", "fast-nfs")):
        folder = tmp_path / name / "model-cache"
        folder.mkdir(parents=True)
        (folder / "model-cache.yaml").write_text(dump_objects(claim(storage)))
    given = Recipes(load_recipes([str(tmp_path)]))
    assert sorted(outcomes(placeholders, given)) == ["fail", "fail", "warn"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("export HF_TOKEN=<YOUR_TOKEN>  # of the hub", ["  export HF_TOKEN=<YOUR_TOKEN>  # of the hub"]),
        ("  MODEL=<org name>", ["    MODEL=<org name>"]),
        ("export MODEL=$OTHER", []),
        ("MODEL=<names.txt cat", []),  # which reads a file
        ("echo MODEL=<org>", []),
    ],
)
def test_a_script_that_sets_a_placeholder(tmp_path: Path, line: str, expected: list[str]) -> None:
    script = f"set -x\n{line}\nserve $MODEL\n"
    head = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - name: c\n"
    rows = "".join(f"      {row}\n" for row in script.splitlines())
    given = recipes(tmp_path, pod=f"{head}    command: [sh, -c]\n    args:\n    - |\n{rows}")
    assert [row.strip() for row in read_lines(placeholders, given)] == [each.strip() for each in expected]


def test_a_quoted_word_of_a_command_is_told_once(tmp_path: Path) -> None:
    text = dump_objects(graph(engine("--mooncake-ib-device", "SET-ME"))).replace("SET-ME", '"SET-ME"')
    assert outcomes(placeholders, recipes(tmp_path, deploy=text)) == ["fail"]


def test_a_default_that_is_a_variable_too(tmp_path: Path) -> None:
    (finding,) = run_check(placeholders, deploy(tmp_path, image("${IMAGE:-${REGISTRY}}")))
    assert finding.message.endswith("${IMAGE:-${REGISTRY}}")
    assert str(finding.fix).startswith("write ${REGISTRY} in its place")


SCRIPT = """\
# set <YOUR_KEY> below
echo "without <YOUR_KEY> nothing answers"
curl -H "Authorization: Bearer <YOUR_KEY>" http://vllm:8000/v1/models
curl -H "Authorization: Bearer YOUR_API_KEY" http://vllm:8000/v1/models
curl -H "Authorization: Bearer $YOUR_API_KEY" http://vllm:8000/v1/models
cat <<EOF >/tmp/a.html
<HTML><BODY></BODY></HTML>
EOF
hf download <MODEL_ID> --local-dir /models
"""


def test_what_a_command_that_starts_no_engine_leaves_open(tmp_path: Path) -> None:
    pod = {**CONTAINER, "command": ["sh", "-c", SCRIPT]}
    given = deploy(tmp_path, {**POD, "spec": {"containers": [pod]}})
    found = [(str(f.outcome), (f.evidence or {})["placeholder"]) for f in run_check(placeholders, given)]
    assert found == [("fail", "<YOUR_KEY>"), ("fail", "YOUR_API_KEY"), ("fail", "<MODEL_ID>")]


def test_what_a_script_of_a_config_map_leaves_open(tmp_path: Path) -> None:
    given = deploy(tmp_path, manifests.config_map("a") | {"data": {"run.sh": "hf download <MODEL_ID>\n"}})
    assert outcomes(placeholders, given) == ["warn"]


@pytest.mark.parametrize(
    ("url", "words", "expected"),
    [
        ("http://vllm:8000/v1", [], []),
        ("http://vllm.serving.svc.cluster.local/v1", [], []),
        ("http://vllm:8000/v1", ["--api-key", "$(KEY)"], ["warn"]),
        ("http://other:8000/v1", [], ["warn"]),
        ("https://api.openai.com/v1", [], ["warn"]),
    ],
)
def test_a_key_that_no_server_asks_for(
    tmp_path: Path, url: str, words: list[str], expected: list[str]
) -> None:
    env = [{"name": "OPENAI_API_BASE", "value": url}, {"name": "OPENAI_API_KEY", "value": "xxx"}]
    server = {"name": "s", "image": "vllm/vllm-openai:v0.9.1", "args": ["--model", "m", *words]}
    pods = [{**POD, "spec": {"containers": [each]}} for each in ({**CONTAINER, "env": env}, server)]
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "vllm"}}
    assert outcomes(placeholders, deploy(tmp_path, *pods, service)) == expected
