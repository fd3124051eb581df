"""The table of where a recipe's weights go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dynocheck.checks.storage.weights_table import weights
from dynocheck.facts import Recipes, StorageClass, StorageClasses
from dynocheck.facts.k8s.storage import PersistentVolumeClaim, PersistentVolumeClaims
from tests.checks.judging import recipes
from tests.checks.manifests import CLAIM, MODEL, claim, dump_objects, engine, graph, job

CLASSES = StorageClasses(
    (
        StorageClass("fast", "csi.fast.example", reclaim_policy="Retain", allows_expansion=True),
        StorageClass("shared", "nfs.csi.k8s.io", is_default=True),
    )
)
DOWNLOAD = job(f"hf download {MODEL}", name="get", env={"HF_HOME": "/models"})
CACHING = graph(
    engine(
        env={"HF_HOME": "/cache"},
        main={"volumeMounts": [{"name": "cache", "mountPath": "/cache"}]},
        pod={"volumes": [CLAIM]},
    )
)


def rows(given: Recipes, *there: PersistentVolumeClaim) -> list[dict[str, Any]]:
    return [dict(row) for row in weights(given, CLASSES, PersistentVolumeClaims(there))]


def test_a_claim_as_it_will_be_made(tmp_path: Path) -> None:
    (row,) = rows(
        recipes(tmp_path, deploy=dump_objects(claim("ReadWriteMany", size="200Gi"), DOWNLOAD, CACHING))
    )
    assert row == {
        "claim": "model-cache",
        "holds": (f"{MODEL} 61Gi",),
        "size": "200Gi",
        "class": "shared",
        "reclaim": "Delete",
        "grows": "no",
    }


def test_a_claim_as_it_is(tmp_path: Path) -> None:
    made = PersistentVolumeClaim(name="model-cache", storage_class="fast", requested="1Ti", capacity="2Ti")
    (row,) = rows(
        recipes(tmp_path, deploy=dump_objects(claim("ReadWriteMany", size="200Gi"), DOWNLOAD)), made
    )
    assert (row["size"], row["class"], row["reclaim"], row["grows"]) == ("2Ti", "fast", "Retain", "yes")


def test_an_engine_that_fetches_its_model_to_a_claim_of_others(tmp_path: Path) -> None:
    relying = recipes(tmp_path, deploy=dump_objects(CACHING))
    by_hand = PersistentVolumeClaim(name="model-cache", storage_class="", capacity="1Ti")
    (row,) = rows(relying, by_hand)
    assert row["holds"] == (f"{MODEL} 61Gi",)
    assert (row["size"], row["class"], row["reclaim"], row["grows"]) == ("1Ti", "?", "?", "?")
    (row,) = rows(relying)
    assert (row["size"], row["class"]) == ("?", "?")


def test_recipes_alike_are_told_once_and_others_not_at_all(tmp_path: Path) -> None:
    assert rows(recipes(tmp_path / "none", deploy=dump_objects(claim("ReadWriteMany", size="200Gi")))) == []
    for name in ("a", "b"):
        recipes(tmp_path / "two" / name, deploy=dump_objects(claim("ReadWriteMany", size="200Gi"), DOWNLOAD))
    assert len(rows(recipes(tmp_path / "two"))) == 1


def test_a_cache_that_the_script_around_the_engine_names(tmp_path: Path) -> None:
    script = f"export HF_HOME=/cache; exec python3 -m dynamo.vllm --model {MODEL}"
    mounts = [{"name": "cache", "mountPath": "/cache"}]
    started = {"command": ["sh", "-c", script], "args": [], "volumeMounts": mounts}
    relying = graph(engine(env={"HF_HOME": "/tmp"}, main=started, pod={"volumes": [CLAIM]}))
    (row,) = rows(recipes(tmp_path, deploy=dump_objects(relying)))
    assert (row["claim"], row["holds"]) == ("model-cache", (f"{MODEL} 61Gi",))
