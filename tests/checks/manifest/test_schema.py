"""YAML that is broken, and objects that do not fit their schema."""

import sys
from pathlib import Path

import pytest

from dynocheck.checks.manifest import schema
from tests.checks.judging import FRONTEND, GRAPH, get_coverage, outcomes, places, recipes, run_check

TWICE = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  k: 1\n  k: 2\n"
PATCH = "kind: DynamoGraphDeployment\napiVersion: nvidia.com/v1beta1\nspec: {nonsense: 1}\n"


def test_each_yaml_mistake_is_placed(tmp_path: Path) -> None:
    """Kubectl takes the last of two values."""
    given = recipes(tmp_path, broken="a: [1\nb: 2\n", twice=TWICE, words="hello\n")
    assert sorted(places(schema.yaml, given)) == [
        ("fail", "broken.yaml:1"),
        ("fail", "words.yaml:1"),
        ("warn", "twice.yaml:6"),
    ]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"deploy": GRAPH + FRONTEND.replace("type:", "typ:")}, [("fail", "deploy.yaml:7")]),
        ({"half": "kind: ConfigMap\nmetadata: {name: a}\n"}, [("fail", "half.yaml:1")]),
        (
            {"a": "apiVersion: 1\nkind: 5\nmetadata: {name: a}\n", "b": "kind: {a: b}\n"},
            [("fail", "a.yaml:1")],
        ),
        ({"values": "image: x\nreplicas: 3\n", "deploy": GRAPH + FRONTEND}, []),
        # What kustomize reads is not applied.
        (
            {
                "deploy": GRAPH + FRONTEND,
                "kustomize__patch": PATCH,
                "kustomize__kustomization": "patches: [{path: patch.yaml}]\n",
            },
            [],
        ),
    ],
)
def test_schema_mistakes(tmp_path: Path, files: dict[str, str], expected: list[tuple[str, str]]) -> None:
    assert places(schema.schema, recipes(tmp_path, **files)) == expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("- op: replace\n  path: /spec/replicas\n  value: 2\n", []),  # of kustomize, for a target elsewhere
        ("- a\n- b\n", ["fail"]),
        ("[]\n", ["fail"]),
    ],
)
def test_a_json_patch_is_no_object_that_is_applied(
    tmp_path: Path, document: str, expected: list[str]
) -> None:
    given = recipes(tmp_path, deploy=GRAPH + FRONTEND, patch=document)
    assert outcomes(schema.yaml, given) == expected


def test_what_sops_encrypted_is_not_judged(tmp_path: Path) -> None:
    """Flux or helm-secrets decrypts the file before it is applied; `data` is no base64 until then."""
    text = (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {k: 'ENC[AES256_GCM,data:zl==,type:str]'}\n"
        "sops: {mac: 'ENC[AES256_GCM,data:zl==,type:str]', version: 3.9.0}\n"
    )
    given = recipes(tmp_path, a=text)
    assert places(schema.schema, given) == []
    assert get_coverage(schema.schema, given)[1] == ["Secret a"]


@pytest.mark.parametrize(
    ("version", "kind", "fix"),
    [
        ("nvidia.com/v1beta1", "DynamoGraphDeploymnt", "set kind: DynamoGraphDeployment"),
        ("v1", "Configmap", "set kind: ConfigMap"),
    ],
)
def test_a_misspelt_kind_fails(tmp_path: Path, version: str, kind: str, fix: str) -> None:
    given = recipes(tmp_path, a=f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\n")
    assert places(schema.schema, given) == [("fail", "a.yaml:2")]
    assert [finding.fix for finding in run_check(schema.schema, given)] == [fix]


def test_variables_of_the_whole_graph_are_those_of_its_pods(tmp_path: Path) -> None:
    pod = "{containers: [{name: main, image: a}]}"
    component = f"  - {{name: A, type: frontend, podTemplate: {{spec: {pod}}}}}\n"
    graph = GRAPH.replace("spec:\n", "spec:\n  env: [{name: A=1, value: x}]\n") + component
    assert places(schema.schema, recipes(tmp_path, deploy=graph)) == [("fail", "deploy.yaml:6")]


def test_a_template_is_broken_where_rendering_does_not_mend_it(tmp_path: Path) -> None:
    """The line that is nothing but a variable may be anything."""
    given = recipes(tmp_path, a="a: 1\n${MORE}\nb: 2\n", b="a: ${A}\n${MORE}\nb: [1\n")
    assert places(schema.yaml, given) == [("fail", "b.yaml:3")]


@pytest.mark.parametrize(
    "text",
    [
        "${HEADER}\na: 1\n",
        "a:\n${BLOCK}\nb: 1\n",
        "{{ toYaml .Values.a }}\na: {{ .Values.a }}-b\n",
        "a: {{/* two\nlines */}}\n{{- toYaml .Values.b | nindent 2 }}\n",
        "a:\n{{- if .b }}\n  - c\n{{- else }}\n  d: e\n{{- end }}\n",
    ],
)
def test_a_template_that_is_no_yaml_before_it_is_rendered_is_not_judged(tmp_path: Path, text: str) -> None:
    given = recipes(tmp_path, a=text)
    assert outcomes(schema.yaml, given) == []
    judged, skipped = get_coverage(schema.yaml, given)
    assert (judged, len(skipped)) == (0, 1)


def test_the_name_of_a_templates_field_is_judged_and_its_value_is_not(tmp_path: Path) -> None:
    text = "# envsubst < a.yaml | kubectl apply -f -\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
    given = recipes(tmp_path, a=f"{text}data: ${{DATA}}\ndatas: ${{DATA}}\n")
    assert places(schema.schema, given) == [("fail", "a.yaml:6")]


def test_components_in_the_field_of_another_version(tmp_path: Path) -> None:
    graph = (
        "kind: DynamoGraphDeployment\nmetadata: {name: a}\nspec: {services: {A: {componentType: frontend}}}\n"
    )
    given = recipes(tmp_path, a=f"apiVersion: nvidia.com/v1beta1\n{graph}")
    assert "set apiVersion: nvidia.com/v1alpha1" in {f.fix for f in run_check(schema.schema, given)}


def test_the_claim_field_of_older_releases_has_moved(tmp_path: Path) -> None:
    worker = "{componentType: worker, pvc: {name: cache, mountPoint: /models}}"
    head = "apiVersion: nvidia.com/v1alpha1\nkind: DynamoGraphDeployment\nmetadata: {name: a}\n"
    (finding,) = run_check(schema.schema, recipes(tmp_path, a=f"{head}spec: {{services: {{W: {worker}}}}}\n"))
    assert "spec.pvcs" in (finding.fix or "")


@pytest.mark.parametrize(
    ("field", "fix"),
    [
        ("image: v:1.0.0", "move image to extraPodSpec.mainContainer"),
        ("args: [--model, m]", "move args to extraPodSpec.mainContainer"),
        ("tolerations: []", "move tolerations to extraPodSpec"),
        ("imag: v:1.0.0", "remove imag"),
    ],
)
def test_what_is_written_beside_the_pod_is_moved_into_it(tmp_path: Path, field: str, fix: str) -> None:
    head = "apiVersion: nvidia.com/v1alpha1\nkind: DynamoGraphDeployment\nmetadata: {name: a}\n"
    worker = f"{{componentType: worker, {field}}}"
    (finding,) = run_check(schema.schema, recipes(tmp_path, a=f"{head}spec: {{services: {{W: {worker}}}}}\n"))
    assert finding.fix == fix


def test_a_kind_without_a_schema_is_not_judged(tmp_path: Path) -> None:
    widget = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: a}\n"
    given = recipes(tmp_path, widget=widget)
    assert outcomes(schema.schema, given) == []
    assert get_coverage(schema.schema, given) == (0, ["Widget a of example.com/v1"])


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [("{name: My_a}", ["fail"]), ("{labels: {a: b}}", ["fail"]), ("{name: a, labels: {a: '-b'}}", ["fail"])],
)
def test_the_metadata_of_a_kind_without_a_schema_is_judged(
    tmp_path: Path, metadata: str, expected: list[str]
) -> None:
    given = recipes(tmp_path, a=f"apiVersion: example.com/v1\nkind: Widget\nmetadata: {metadata}\n")
    assert outcomes(schema.schema, given) == expected


def test_fields_of_gateway_apis_other_channel_are_not_judged(tmp_path: Path) -> None:
    route = (
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: a}\nspec: {rules: [{\n"
    )
    rule = "retry: {attempts: 2},\nretri: {},\nsessionPersistence: {sessionName: s}}]}\n"
    given = recipes(tmp_path, a=f"{route}{rule}")
    assert places(schema.schema, given) == [("fail", "a.yaml:6")]
    unjudged = ["HTTPRoute a: spec.rules[0].retry", "HTTPRoute a: spec.rules[0].sessionPersistence"]
    assert get_coverage(schema.schema, given)[1] == unjudged


def test_rules_that_nothing_evaluates_are_no_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twice = recipes(tmp_path, deploy=GRAPH + FRONTEND + FRONTEND.replace("Frontend", "frontend"))
    assert outcomes(schema.schema, twice) == ["fail"]
    monkeypatch.setitem(sys.modules, "cel_expr_python.cel", None)
    assert outcomes(schema.schema, twice) == ["warn"]


GROUP = """
apiVersion: leaderworkerset.x-k8s.io/v1
kind: LeaderWorkerSet
metadata: {name: a}
spec:
  replicas: 1
  leaderWorkerTemplate:
    size: 2
    workerTemplate:
      spec:
        containers: [{name: w, image: busybox}]
"""
OF_GRAPH = """
apiVersion: nvidia.com/v1alpha1
kind: DynamoComponentDeployment
metadata: {name: a}
spec:
  backendFramework: vllm
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GROUP, []),
        (GROUP.replace("size: 2", "size: two"), [("fail", "a.yaml:8")]),
        (GROUP.replace("size: 2", "sice: 2"), [("fail", "a.yaml:8")]),
        (GROUP.replace("image:", "imag:"), [("fail", "a.yaml:11")]),
        (OF_GRAPH, []),
        (OF_GRAPH.replace("vllm", "vlm"), [("fail", "a.yaml:6")]),
    ],
)
def test_groups_of_pods_and_parts_of_graphs_have_a_schema(
    tmp_path: Path, text: str, expected: list[tuple[str, str]]
) -> None:
    assert places(schema.schema, recipes(tmp_path, a=text)) == expected


def test_a_count_below_zero_is_mended_to_one(tmp_path: Path) -> None:
    job = (
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: a}\nspec:\n  parallelism: -1\n  backoffLimit: -1\n"
    )
    found = run_check(schema.schema, recipes(tmp_path, a=job))
    fixes = [str(finding.fix) for finding in found if "-1" in finding.message]
    assert fixes == ["set parallelism: 1", "set backoffLimit: 0"]


def test_a_port_that_is_too_high_is_not_mended_to_the_last_one(tmp_path: Path) -> None:
    pod = (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"
        "spec: {containers: [{name: c, image: i, ports: [{containerPort: 80000}]}]}\n"
    )
    (finding,) = run_check(schema.schema, recipes(tmp_path, a=pod))
    assert finding.fix == "set containerPort: VALUE"


def test_what_only_a_tool_reads_has_no_metadata_of_an_object(tmp_path: Path) -> None:
    text = "apiVersion: eksctl.io/v1alpha5\nkind: ClusterConfig\nmetadata: {name: a, region: us-east-1}\n"
    assert outcomes(schema.schema, recipes(tmp_path, a=text)) == []
