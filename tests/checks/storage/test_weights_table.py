from pathlib import Path
from typing import Any

from dynocheck.checks.storage.weights_table import weights
from dynocheck.facts import (
    PersistentVolumeClaim,
    PersistentVolumeClaims,
    Recipes,
    StorageClass,
    StorageClasses,
)
from tests.checks.judging import deploy, recipes
from tests.checks.manifests import CLAIM, MODEL, claim, engine, graph, job

CLASSES = StorageClasses(
    (
        StorageClass("fast", "csi.fast.example", reclaim_policy="Retain", allows_expansion=True),
        StorageClass("shared", "nfs.csi.k8s.io", is_default=True),
    )
)
DOWNLOAD = job(f"hf download {MODEL}", name="get", env={"HF_HOME": "/models"})
MOUNT = {"volumeMounts": [{"name": "cache", "mountPath": "/cache"}]}
CACHING = graph(engine(env={"HF_HOME": "/cache"}, main=MOUNT, pod={"volumes": [CLAIM]}))


def rows(recipe: Recipes, *existing: PersistentVolumeClaim) -> list[dict[str, Any]]:
    return [dict(row) for row in weights(recipe, CLASSES, PersistentVolumeClaims(existing))]


def test_declared_claim(tmp_path: Path) -> None:
    recipe = deploy(tmp_path, claim("ReadWriteMany", size="200Gi"), DOWNLOAD, CACHING)
    (row,) = rows(recipe)
    expected = {"claim": "model-cache", "holds": (f"{MODEL} 61Gi",), "size": "200Gi"}
    assert row == {**expected, "class": "shared", "reclaim": "Delete", "grows": "no"}


def test_existing_claim(tmp_path: Path) -> None:
    existing = PersistentVolumeClaim(
        name="model-cache", storage_class="fast", requested="1Ti", capacity="2Ti"
    )
    recipe = deploy(tmp_path, claim("ReadWriteMany", size="200Gi"), DOWNLOAD)
    (row,) = rows(recipe, existing)
    assert (row["size"], row["class"], row["reclaim"], row["grows"]) == ("2Ti", "fast", "Retain", "yes")


def test_undeclared_claim_with_the_cache_of_an_engine(tmp_path: Path) -> None:
    recipe = deploy(tmp_path, CACHING)
    classless = PersistentVolumeClaim(name="model-cache", storage_class="", capacity="1Ti")
    (row,) = rows(recipe, classless)
    assert row["holds"] == (f"{MODEL} 61Gi",)
    assert (row["size"], row["class"], row["reclaim"], row["grows"]) == ("1Ti", "?", "?", "?")
    (row,) = rows(recipe)
    assert (row["size"], row["class"]) == ("?", "?")


def test_equal_rows_are_merged_and_empty_claims_left_out(tmp_path: Path) -> None:
    empty = claim("ReadWriteMany", size="200Gi")
    assert rows(deploy(tmp_path / "none", empty)) == []
    for name in ("a", "b"):
        deploy(tmp_path / "two" / name, empty, DOWNLOAD)
    assert len(rows(recipes(tmp_path / "two"))) == 1


def test_cache_that_a_script_sets(tmp_path: Path) -> None:
    script = f"export HF_HOME=/cache; exec python3 -m dynamo.vllm --model {MODEL}"
    main = {"command": ["sh", "-c", script], "args": [], **MOUNT}
    recipe = deploy(tmp_path, graph(engine(env={"HF_HOME": "/tmp"}, main=main, pod={"volumes": [CLAIM]})))
    (row,) = rows(recipe)
    assert (row["claim"], row["holds"]) == ("model-cache", (f"{MODEL} 61Gi",))
