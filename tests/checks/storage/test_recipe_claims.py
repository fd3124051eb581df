from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.storage import recipe_claims
from tests.checks.judging import get_skip_reason, outcomes, recipes
from tests.checks.manifests import MODEL, claim, dump_objects, graph, job
from tests.checks.storage.manifests import download, load, loading

NODE = "kubernetes.io/hostname"

# storage.access-mode


@pytest.mark.parametrize(
    ("modes", "worker", "expected"),
    [
        (("ReadWriteMany",), loading(replicas=4), []),
        (("ReadWriteOnce",), loading(), []),
        (("ReadWriteOnce",), loading(replicas=4), ["warn"]),
        (("ReadWriteOnce",), loading(multinode={"nodeCount": 2}), ["fail"]),
        (("ReadWriteOnce", "ReadWriteMany"), loading(multinode={"nodeCount": 2}), []),
        (("ReadWriteOncePod",), loading(replicas=2), ["fail"]),
        (("ReadWriteOnce",), loading(replicas=4, pod={"nodeSelector": {NODE: "n"}}), []),
    ],
)
def test_access_mode(
    tmp_path: Path, modes: tuple[str, ...], worker: dict[str, Any], expected: list[str]
) -> None:
    assert outcomes(recipe_claims.access_mode, load(tmp_path, graph(worker), claim(*modes))) == expected


def test_pods_on_one_node_share_a_volume(tmp_path: Path) -> None:
    rule = [{"topologyKey": NODE, "labelSelector": {}}]
    affinity = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": rule}}
    recipe = load(tmp_path, graph(loading(replicas=4, pod={"affinity": affinity})), claim("ReadWriteOnce"))
    assert outcomes(recipe_claims.access_mode, recipe) == []


def test_download_to_a_read_only_claim(tmp_path: Path) -> None:
    recipe = load(tmp_path, graph(loading()), claim("ReadOnlyMany"), download())
    assert outcomes(recipe_claims.access_mode, recipe) == ["fail"]


def test_undeclared_claim_is_not_checked(tmp_path: Path) -> None:
    assert get_skip_reason(recipe_claims.access_mode, load(tmp_path, graph(loading(replicas=4))))


# storage.size


@pytest.mark.parametrize(
    ("size", "script", "expected"),
    [
        ("100Gi", f"hf download {MODEL}", []),
        ("50Gi", f"hf download {MODEL}", ["warn"]),
        ("50G", f"hf download {MODEL}", ["warn"]),
        ("100Gi", f"hf download {MODEL}; hf download openai/gpt-oss-120b", ["warn"]),
        ("1Gi", "hf download org/unheard-of", None),
        ("1e99999999999999999999", f"hf download {MODEL}", None),
        ("1Gi", f"hf download {MODEL} --local-dir /tmp", None),
    ],
)
def test_size(tmp_path: Path, size: str, script: str, expected: list[str] | None) -> None:
    """Qwen3-32B is 61 Gi, gpt-oss-120b 57 Gi."""
    home = {"HF_HOME": "/tmp" if "/tmp" in script else "/models"}
    recipe = load(tmp_path, claim("ReadWriteMany", size=size), job(script, name="get", env=home))
    if expected is None:
        assert get_skip_reason(recipe_claims.size, recipe)
    else:
        assert outcomes(recipe_claims.size, recipe) == expected


def test_downloads_of_several_files_are_alternatives(tmp_path: Path) -> None:
    recipe = recipes(
        tmp_path,
        cache=dump_objects(claim("ReadWriteMany", size="100Gi")),
        one=dump_objects(download()),
        other=dump_objects(download(model="openai/gpt-oss-120b")),
    )
    assert outcomes(recipe_claims.size, recipe) == []
