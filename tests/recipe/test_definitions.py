"""Loading CustomResourceDefinitions from valid and invalid files."""

import json
from pathlib import Path

import pytest
import yaml

from dynocheck.core.errors import UsageError
from dynocheck.recipe.definitions import load_definitions
from tests.recipe.widgets import WIDGET


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_yaml_json_and_lists_are_read_and_other_objects_ignored(tmp_path: Path) -> None:
    put(tmp_path, "a/widgets.yaml", f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\n---\n{WIDGET}")
    crd = yaml.safe_load(WIDGET)
    crd["spec"]["names"]["kind"] = "Gadget"
    put(tmp_path, "b/gadgets.json", json.dumps({"apiVersion": "v1", "kind": "List", "items": [crd]}))
    put(tmp_path, "README.md", "kind: [")
    widget, gadget = load_definitions((str(tmp_path),))
    assert (widget.group, widget.kind, widget.served_versions) == ("house.example", "Widget", ("v2", "v1"))
    assert [version.name for version in widget.versions] == ["v2", "v1", "v0"]
    assert widget.source == f"{tmp_path}/a/widgets.yaml:5"
    assert gadget.kind == "Gadget"


def test_only_the_crds_of_a_chart_are_read(tmp_path: Path) -> None:
    put(tmp_path, "Chart.yaml", "name: chart")
    put(tmp_path, "templates/deployment.yaml", "kind: {{ .Values.kind }}: {")
    put(tmp_path, "crds/widgets.yaml", WIDGET)
    (widget,) = load_definitions((str(tmp_path),))
    assert widget.kind == "Widget"


def test_nulls_are_dropped(tmp_path: Path) -> None:
    file = put(tmp_path, "crd.yaml", WIDGET.replace("required: [size]", "required: null"))
    (widget,) = load_definitions((str(file),))
    schema = widget.versions[0].schema
    assert schema is not None
    assert "required" not in schema["properties"]["spec"]


def test_a_definition_may_be_given_twice(tmp_path: Path) -> None:
    file = put(tmp_path, "widgets.yaml", WIDGET)
    put(tmp_path, "again.yaml", f"# the same\n{WIDGET}")
    assert load_definitions((str(file),)) == load_definitions((str(file), str(file)))
    assert len(load_definitions((str(tmp_path),))) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: [", "crd.yaml:2: not YAML: "),
        ("kind: ConfigMap\napiVersion: v1\n", "no CustomResourceDefinition in it"),
        ("", "no CustomResourceDefinition in it"),
        (
            WIDGET.replace("/v1\n", "/v1beta1\n", 1),
            "crd.yaml:1: definition of apiextensions.k8s.io/v1beta1, not",
        ),
        (WIDGET.replace("  group: house.example\n", ""), "crd.yaml:1: definition without spec.group"),
        (WIDGET.replace("kind: Widget", "kind: [Widget]"), "crd.yaml:6: definition without spec.names.kind"),
        (WIDGET.partition("  versions:")[0], "crd.yaml:1: definition without spec.versions"),
        (WIDGET.replace("name: v2", "name: 2"), "crd.yaml:8: definition without name"),
        (WIDGET.replace("required: [size]", "required: size"), "required has the wrong type"),
        (WIDGET.replace("{type: integer, minimum: 1}", "5"), "schema is not a mapping"),
        (WIDGET.replace("minimum: 1", "minimum: one"), "minimum has the wrong type"),
        (WIDGET.replace("{type: string}", "{type: text}", 1), "type is not one of array, boolean"),
        (WIDGET.replace("- rule:", "- rules:"), "definition without rule"),
    ],
)
def test_errors_have_the_file_and_line(tmp_path: Path, text: str, says: str) -> None:
    file = put(tmp_path, "crd.yaml", text)
    with pytest.raises(UsageError) as error:
        load_definitions((str(file),))
    assert says in str(error.value)
    assert str(file) in str(error.value)


def test_unreadable_files(tmp_path: Path) -> None:
    put(tmp_path, "latin.yaml", "")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    for path, says in (
        (tmp_path / "none", "No such file or directory"),
        (Path("/dev/null"), "not a file"),
        (tmp_path, "not UTF-8 text"),
    ):
        with pytest.raises(UsageError, match=says):
            load_definitions((str(path),))


def test_two_different_definitions_of_a_kind_are_an_error(tmp_path: Path) -> None:
    put(tmp_path, "a.yaml", WIDGET)
    put(tmp_path, "b.yaml", WIDGET.replace("minimum: 1", "minimum: 2"))
    with pytest.raises(UsageError, match=r"Widget .*a.yaml:1, .*b.yaml:1"):
        load_definitions((str(tmp_path),))
