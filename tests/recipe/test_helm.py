"""What Helm makes of a chart is judged like a file."""

from pathlib import Path

import pytest

from dynocheck.checks.manifest.placeholders import placeholders
from dynocheck.checks.manifest.references import references
from dynocheck.checks.manifest.schema import schema
from dynocheck.checks.structure.layout import layout, read_whole
from dynocheck.facts import Recipes
from dynocheck.recipe import helm
from dynocheck.recipe.discover import load_recipes
from dynocheck.recipe.templates import parse_assignments
from tests.checks.judging import get_coverage, outcomes, places, run_check
from tests.helm import build

TEMPLATE = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: a, labels: {gpu: "{{ .Values.label | default "none" }}"}}
spec:
  replicas: {{ .Values.size }}
  template:
    spec:
      containers:
      - name: vllm
        image: "vllm/vllm-openai:{{ .Values.image.tag }}"
        command: [vllm, serve, {{ .Values.model }}]
"""


@pytest.fixture(autouse=True)
def renderer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Helm of the tests; other tests have none."""
    monkeypatch.setattr(helm, "_find_command", lambda: (str(build.helm()), "template"))


def write_chart(
    folder: Path, template: str = TEMPLATE, values: str = "size: 1\nmodel: Qwen/Qwen3-8B\n"
) -> None:
    (folder / "templates").mkdir()
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: chart\nversion: 0.1.0\n")
    (folder / "values.yaml").write_text(values)
    (folder / "templates/a.yaml").write_text(template)


def load(folder: Path, **variables: str) -> Recipes:
    return Recipes(load_recipes([str(folder)], variables, render=True))


def test_a_chart_is_judged_as_helm_renders_it(tmp_path: Path) -> None:
    write_chart(
        tmp_path, TEMPLATE.replace("{{ .Values.model }}", "m").replace("{{ .Values.image.tag }}", "v0.9.1")
    )
    given = load(tmp_path)
    assert [server.name for recipe in given for server in recipe.servers] == ["a"]
    assert outcomes(layout, given) == outcomes(read_whole, given) == outcomes(placeholders, given) == []


@pytest.mark.parametrize("values", ["size: 1\n", "size: 1\nmodel:\nimage: {tag: ''}\n"])
def test_a_value_that_the_chart_leaves_open_is_asked_for_once(tmp_path: Path, values: str) -> None:
    write_chart(tmp_path, values=values)
    _, (what,) = get_coverage(placeholders, load(tmp_path))
    assert what.endswith("Chart.yaml (rendered): .Values.image.tag, .Values.model")


def test_set_gives_a_chart_its_values(tmp_path: Path) -> None:
    write_chart(tmp_path, TEMPLATE.replace("{{ .Values.image.tag }}", "v0.9.1"), "size: 1\n")
    given = load(tmp_path, **parse_assignments(["model=Qwen/Qwen3-8B", "image.pull=no", "other=a"], []))
    assert get_coverage(placeholders, given)[1] == []
    ((launch,),) = [c.launches for r in given for s in r.servers for e in s.components for c in e.containers]
    assert [word.text for word in launch.words] == ["Qwen/Qwen3-8B"]


def test_why_helm_does_not_render_a_chart(tmp_path: Path) -> None:
    write_chart(tmp_path, 'a: {{ fail "model is needed" }}\n')
    assert places(layout, load(tmp_path)) == [("unknown", "Chart.yaml:None")]
    (finding,) = run_check(layout, load(tmp_path))
    assert finding.message.endswith("templates/a.yaml:1: model is needed")


EMPTY = """\
apiVersion: v1
kind: Secret
metadata: {name: a}
data: {{ .Values.keys.all }}
---
apiVersion: v1
kind: Pod
metadata: {name: a}
spec:
  volumes: [{name: , emptyDir: {}}]
  containers:
  - {name: c, image: "i:1", env: [{name: A, valueFrom: {secretKeyRef: {name: a, key: b}}}]}
"""


def test_what_the_values_of_a_chart_leave_empty_is_not_judged(tmp_path: Path) -> None:
    write_chart(tmp_path, EMPTY.replace("{{ .Values.keys.all }}", ""))
    given = load(tmp_path)
    assert outcomes(schema, given) == outcomes(references, given) == []


def test_values_and_tests_of_a_chart_are_no_manifests(tmp_path: Path) -> None:
    write_chart(tmp_path)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/a_test.yaml").write_text("kind: Pod\n")
    (tmp_path / "values-small.yaml").write_text("kind: Pod\nname: '{{ .Release.Name }}'\n")
    assert [file.path.rpartition("/")[2] for r in load(tmp_path) for file in r.files] == [
        "Chart.yaml (rendered)"
    ]


def test_what_values_switch_off_is_not_judged(tmp_path: Path) -> None:
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
    write_chart(tmp_path, f"{service}---\n{{{{- if .Values.on }}}}\nkind: Deployment\n{{{{- end }}}}\n")
    (what,) = get_coverage(read_whole, load(tmp_path))[1]
    assert what.startswith("Deployment, ")


def test_a_chart_whose_values_render_nothing_is_no_failure(tmp_path: Path) -> None:
    write_chart(tmp_path, "# nothing is on\n")
    assert outcomes(layout, load(tmp_path)) == ["unknown"]
