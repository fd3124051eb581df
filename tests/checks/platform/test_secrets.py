from pathlib import Path

import pytest

from dynocheck.checks.platform import secrets
from dynocheck.facts import NamedSecret, NamedSecrets, find_secret_references
from tests.checks.judging import outcomes, places, recipes
from tests.checks.platform import HERE, JOB, LEGACY, job


def test_secrets_that_a_recipe_references(tmp_path: Path) -> None:
    brought = 'apiVersion: v1\nkind: Secret\nmetadata: {name: own}\nstringData: {A: "b"}\n'
    line = (
        "env: [{name: T, valueFrom: {secretKeyRef: {name: tok, key: K, optional: true}}}]\n"
        "        envFrom: [{secretRef: {name: own}}, {secretRef: {name: all}}]"
    )
    mine = recipes(tmp_path, a=LEGACY, job=JOB % line, own=brought)
    named = {(r.name, r.key, r.optional, r.pull) for r in find_secret_references(mine)}
    assert named == {
        ("pull", None, False, True),
        ("hf-token-secret", None, False, False),
        ("tok", "K", True, False),
        ("all", None, False, False),
    }


@pytest.mark.parametrize(
    "maker",
    [
        "kind: SealedSecret\nmetadata: {name: tok}",
        "kind: ExternalSecret\nmetadata: {name: tok}\nspec: {target: {creationPolicy: Owner}}",
        "kind: ExternalSecret\nmetadata: {name: other}\nspec: {target: {name: tok}}",
        "kind: VaultStaticSecret\nmetadata: {name: other}\nspec: {destination: {name: tok, create: true}}",
        "kind: Certificate\nmetadata: {name: other}\nspec: {secretName: tok}",
    ],
)
def test_secrets_that_operators_create_from_the_recipe(tmp_path: Path, maker: str) -> None:
    text = JOB % "envFrom: [{secretRef: {name: tok}}]"
    mine = recipes(tmp_path, job=text, maker=f"apiVersion: example.com/v1\n{maker}\n")
    assert find_secret_references(mine) == ()
    assert len(find_secret_references(recipes(tmp_path / "alone", job=text))) == 1


def test_secrets_must_exist(tmp_path: Path) -> None:
    mine = recipes(tmp_path, a=LEGACY)
    token = NamedSecret("default", "hf-token-secret", type="Opaque", keys=("HF_TOKEN",))
    pull = NamedSecret("default", "pull", type="kubernetes.io/dockercfg")
    assert outcomes(secrets.secrets, NamedSecrets((token, pull)), HERE, mine) == []
    gone = NamedSecrets(tuple(NamedSecret("default", s.name, exists=False) for s in (token, pull)))
    found = places(secrets.secrets, gone, HERE, mine)
    assert sorted(found) == [("fail", "Secret default/hf-token-secret"), ("warn", "Secret default/pull")]
    outside_of_the_snapshot = NamedSecrets()
    assert set(outcomes(secrets.secrets, outside_of_the_snapshot, HERE, mine)) == {"unknown"}


def test_secrets_of_one_name_in_two_namespaces_are_two(tmp_path: Path) -> None:
    mine = recipes(tmp_path, a=LEGACY, b=LEGACY.replace("metadata: {", "metadata: {namespace: other, "))
    spaces = {each.namespace or "default" for each in find_secret_references(mine)}
    assert spaces == {"default", "other"}
    gone = NamedSecrets(tuple(NamedSecret(space, "hf-token-secret", exists=False) for space in spaces))
    found = [place for _, place in places(secrets.secrets, gone, HERE, mine)]
    assert {"Secret default/hf-token-secret", "Secret other/hf-token-secret"} <= {*found}


def test_an_optional_secret_may_be_missing(tmp_path: Path) -> None:
    mine = job(tmp_path, "env: [{name: T, valueFrom: {secretKeyRef: {name: t, key: K, optional: true}}}]")
    gone = NamedSecrets((NamedSecret("default", "t", exists=False),))
    assert outcomes(secrets.secrets, gone, HERE, mine) == []
    assert outcomes(secrets.secrets, NamedSecrets(), HERE, job(tmp_path, "env: []")) == ["skip"]
