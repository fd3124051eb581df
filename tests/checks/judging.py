"""Asks checks, as the runner does."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck import Finding, Skip
from dynocheck.core.declarations import Check
from dynocheck.core.outcomes import Judged, Unjudged
from dynocheck.facts import CustomResourceDefinition, CustomResourceDefinitions, Recipes
from dynocheck.recipe.discover import load_recipes
from tests import wording
from tests.checks.manifests import dump_objects

GRAPH = """
apiVersion: nvidia.com/v1beta1
kind: DynamoGraphDeployment
metadata: {name: g}
spec:
  components:
"""
BUNDLE = {
    "bundle": "inference.networking.k8s.io/bundle-version",
    "gateway_bundle": "gateway.networking.k8s.io/bundle-version",
    "channel": "gateway.networking.k8s.io/channel",
}
FRONTEND = "  - {name: Frontend, type: frontend}\n"


def run_check(check: Check, *facts: Any) -> list[Finding]:
    """Its findings, whose wording is compared with tests/wording.txt."""
    findings = [result for result in check(*facts) or () if isinstance(result, Finding)]
    for finding in findings:
        wording.compare(check.id, finding)
    return findings


def outcomes(check: Check, *facts: Any) -> list[str]:
    """Each finding's outcome; `skip` where the check has nothing to judge."""
    try:
        return [str(finding.outcome) for finding in run_check(check, *facts)]
    except Skip:
        return ["skip"]


def judge(check: Check, *facts: Any) -> list[str]:
    """Each finding's outcome, and `unjudged` for each thing that was not judged; `skip` as above."""
    found = outcomes(check, *facts)
    return found if found == ["skip"] else found + ["unjudged"] * len(get_coverage(check, *facts)[1])


def places(check: Check, *facts: Any) -> list[tuple[str, str]]:
    """Each finding's outcome, and the object or the FILE:LINE that it is about; or `skip`, as above."""
    try:
        return [(str(finding.outcome), _place(finding)) for finding in run_check(check, *facts)]
    except Skip:
        return [("skip", "")]


def get_coverage(check: Check, *facts: Any) -> tuple[int, list[str]]:
    """How many things were judged, and what was not."""
    results = list(check(*facts) or ())
    count = sum(result.count for result in results if isinstance(result, Judged))
    return count, [result.what for result in results if isinstance(result, Unjudged)]


def explain_unjudged(check: Check, *facts: Any) -> str:
    """Why not everything was judged; empty where it was."""
    results = list(check(*facts) or ())
    return "; ".join(result.why for result in results if isinstance(result, Unjudged))


def _place(finding: Finding) -> str:
    if finding.subject is not None:
        return str(finding.subject)
    place = finding.location
    return f"{Path(place.file).name}:{place.line}" if place is not None else ""


def read_lines(check: Check, *facts: Any) -> list[str]:
    """The line that each finding is about, as it stands in its file."""
    places = [finding.location for finding in run_check(check, *facts)]
    return [
        Path(place.file).read_text().splitlines()[place.line - 1].strip() if place and place.line else ""
        for place in places
    ]


def get_skip_reason(check: Check, *facts: Any) -> str:
    """The reason why a check has nothing to judge here."""
    with pytest.raises(Skip) as skip:
        run_check(check, *facts)
    return str(skip.value)


def worker(
    name: str = "w", *, gpus: str = '"1"', args: str = "", role: str = "worker", more: str = ""
) -> str:
    """A component that runs vLLM with these arguments."""
    return f"""
  - name: {name}
    type: {role}
    {more}
    podTemplate:
      spec:
        containers:
        - name: main
          image: registry.example/vllm-runtime:1.3.0
          command: [python3, -m, dynamo.vllm]
          args: [--model, Qwen/Qwen3-0.6B{", " + args if args else ""}]
          resources: {{limits: {{nvidia.com/gpu: {gpus}}}}}
"""


def recipes(folder: Path, **files: str) -> Recipes:
    """The recipe in a folder that holds these files; `a__b` is the file b.yaml in the folder a."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/').replace('_', '-')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Recipes(load_recipes([str(folder)]))


def deploy(folder: Path, *objects: dict[str, Any]) -> Recipes:
    """The recipe in a folder whose one file, deploy.yaml, holds these objects."""
    return recipes(folder, deploy=dump_objects(*objects))


def crd(
    name: str, *versions: str, established: bool = True, reason: str = "", **annotations: str
) -> CustomResourceDefinition:
    """A definition; its annotations are given by the keys of `bundle` and the like."""
    kept = {BUNDLE[key]: value for key, value in annotations.items()}
    return CustomResourceDefinition(name, name.partition(".")[2], versions, established, kept, reason)


def make_definitions(*definitions: CustomResourceDefinition) -> CustomResourceDefinitions:
    return CustomResourceDefinitions(definitions)
