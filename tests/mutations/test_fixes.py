"""The fixes of findings in recipes, applied as they are written: they mend, and nothing breaks."""

import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.mutations.defect import Defect
from tests.mutations.kinds import KINDS
from tests.mutations.mending import Outcome, find_form, list_findings, mend
from tests.mutations.seeding import CORPUS, RECIPES, apply_defect, sites, texts

# Defects whose fix is advice or has a blank: the reader decides which value, name or design was meant.
DECISIONS = {
    "a blank at the end of a word",
    "a bracket that stays open",
    "a claim nobody makes",
    "a claim to a device that no pod has",
    "a command in one word",
    "a command on no file",
    "a connector there is not",
    "a field there is not",
    "a file that was moved",
    "a flag and its value in one word",
    "a flag without its value",
    "a folder of the node",
    "a job of another name",
    "a job that is always restarted",
    "a key of former versions",
    "a key that only flags have",
    "a label with blanks to select",
    "a limit without its unit",
    "a link to nowhere",
    "a module there is not",
    "a mount of no volume, by its name",
    "a name of a variable that is none",
    "a name that is none",
    "a name too long",
    "a number with its unit",
    "a placeholder for a value",
    "a placeholder for an image",
    "a probe without a handler",
    "a required field left out",
    "a revision nobody loads",
    "a role of KV transfer there is not",
    "a tab for blanks",
    "a token in clear",
    "a toleration that exists with a value",
    "a transceiver on one side",
    "a type there is not",
    "a value and where it is from",
    "a value there is not",
    "a variable twice",
    "a word that nobody takes",
    "an access mode there is not",
    "an alias of nothing",
    "an en dash for two hyphens",
    "an object twice",
    "an object without a name",
    "an operator there is not",
    "another model to serve",
    "another name to serve",
    "half a GPU",
    "no decode side",
    "no frontend",
    "no parallelism at all",
    "percent for a share in YAML",
    "text after ---",
    "text for a number",
    "two handlers of a probe",
    "two mounts at one path",
    "two sources of a volume",
    "two volumes of one name",
    "weights that do not fit",
}


@pytest.mark.parametrize(
    "kind",
    [pytest.param(k, id=k.name, marks=[pytest.mark.verify] if i % 6 else []) for i, k in enumerate(KINDS)],
)
def test_a_fix_mends_its_defect_and_causes_none(tmp_path: Path, kind: Defect) -> None:
    places = [site for model in sorted(RECIPES.iterdir()) for site in sites(kind, model)]
    if not places:
        pytest.skip("only recipes of others have a place for it")
    site = Random(kind.name).choice(places)
    model = tmp_path / site.model.name
    shutil.copytree(site.model, model)
    sound = {(check, finding["message"]) for check, finding in list_findings(model, tmp_path)}
    text, _ = apply_defect(kind, texts()[site.model, site.file], site.start)
    (model / site.file).write_text(text)
    present = list_findings(model, tmp_path)
    own = [each for each in present if each[0] == kind.check and (each[0], each[1]["message"]) not in sound]
    if not own:
        pytest.skip("told by another check, or as it was before")
    if kind.name not in DECISIONS:
        ended = mend(model, tmp_path, own[0], present)
        assert (ended.form, ended.gone, ended.caused) == ("edit", True, ()), own[0][1]["fix"]


def test_few_fixes_are_advice() -> None:
    assert len(DECISIONS) <= 0.35 * len(KINDS)
    assert {kind.name for kind in KINDS} >= DECISIONS


@pytest.mark.verify
@pytest.mark.skipif(not CORPUS.is_dir(), reason="no corpus beside the project")
def test_fixes_of_what_people_run(tmp_path: Path) -> None:
    found: list[tuple[str, Outcome]] = []
    tried: Counter[tuple[str, str]] = Counter()
    for source in sorted(path for path in CORPUS.iterdir() if path.is_dir()):
        model = tmp_path / source.name
        shutil.copytree(source, model)
        present = list_findings(model, tmp_path)
        for each in present:
            tried[each[0], source.name] += 1
            if tried[each[0], source.name] <= 2:
                found.append(
                    (f"{source.name} {each[0]}: {each[1]['fix']}", mend(model, tmp_path, each, present))
                )
    forms = Counter(outcome.form for _, outcome in found)
    print(forms)
    assert [(fix, outcome) for fix, outcome in found if not outcome.is_good] == []
    assert forms["edit"] + forms["shell"] + forms["blank"] > 0.7 * len(found)


HOSTILE = "a b; echo $(id) `id` 'c' \"d"
OLD = """
apiVersion: nvidia.com/v1alpha1
kind: DynamoGraphDeployment
metadata: {name: %(name)s}
spec:
  services:
    Worker:
      componentType: worker
      volumeMounts: [{name: %(name)s, mountPoint: /models}]
      extraPodSpec: {mainContainer: {image: %(name)s}}
"""


def test_names_are_quoted_for_the_shell(tmp_path: Path) -> None:
    (tmp_path / "deploy.yaml").write_text(OLD % {"name": json.dumps(HOSTILE)})
    shell = [f["fix"] for _, f in list_findings(tmp_path, tmp_path) if find_form(f) == "shell"]
    assert any(HOSTILE[:3] in fix for fix in shell)
    for fix in shell:
        ran = subprocess.run(
            ["/bin/bash", "-c", f'kubectl() {{ for word; do echo "$word"; done; }}\n{fix}'],
            env={"PATH": "/nowhere"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert ran.stderr == ""
        assert "uid=" not in ran.stdout
        assert HOSTILE in ran.stdout.splitlines() or HOSTILE[:3] not in fix
