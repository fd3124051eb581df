"""platform.secrets: the Secrets that a recipe's pods reference."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, Subject, check, fail, unknown, warn
from dynocheck.facts import (
    NamedSecret,
    NamedSecrets,
    Namespace,
    Recipes,
    SecretReference,
    find_secret_references,
)

_PULL_TYPES = ("kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg")


@check("platform.secrets", title="Secrets and their keys exist")
def secrets(found: NamedSecrets, namespace: Namespace, recipes: Recipes) -> Iterator[Finding]:
    """A container whose Secret or key is missing stays in CreateContainerConfigError, unless the reference is
    `optional: true`.

    A missing pull secret is only a warning: images are then pulled without credentials, which works for
    public ones. Only the keys of a Secret are read, never its values.

    Fix: kubectl create secret generic hf-token-secret --from-literal=HF_TOKEN=TOKEN -n NAMESPACE
    """
    references = find_secret_references(recipes)
    if not references:
        raise Skip("the recipe references no Secret outside of itself")
    reported: set[tuple[str, str, str]] = set()
    for reference in references:
        secret = found.find(reference.namespace or namespace.name, reference.name)
        if secret is None:
            finding: Finding | None = unknown(
                f"Secret {reference.name} is not in the snapshot",
                fix="dynocheck snapshot FILE --recipe DIR",
                location=_locate(reference),
            )
        else:
            finding = (
                _check_pull_secret(reference, secret) if reference.pull else _check_value(reference, secret)
            )
        key = (reference.namespace or namespace.name, reference.name, finding.message if finding else "")
        if finding is not None and key not in reported:
            reported.add(key)
            yield finding


def _make_subject(secret: NamedSecret) -> Subject:
    return Subject("Secret", secret.name, secret.namespace)


def _locate(reference: SecretReference) -> Location:
    return Location(reference.file, reference.line, reference.column)


def _check_value(reference: SecretReference, secret: NamedSecret) -> Finding | None:
    if reference.optional:
        return None
    create = (
        f"kubectl create secret generic {secret.name} -n {secret.namespace} "
        f"--from-literal={reference.key or 'HF_TOKEN'}=VALUE"
    )
    if not secret.exists:
        return fail(
            "does not exist, but a container needs it to start",
            fix=create,
            subject=_make_subject(secret),
            location=_locate(reference),
        )
    if reference.key is not None and reference.key not in secret.keys:
        return fail(
            f"has no key {reference.key}, which a container needs to start",
            fix=f"{create} --dry-run=client -o yaml | kubectl apply -f -",
            evidence={"keys": list(secret.keys)},
            subject=_make_subject(secret),
            location=_locate(reference),
        )
    return None


def _check_pull_secret(reference: SecretReference, secret: NamedSecret) -> Finding | None:
    create = (
        f"kubectl create secret docker-registry {secret.name} -n {secret.namespace} "
        "--docker-server=nvcr.io --docker-username='$oauthtoken' --docker-password=KEY"
    )
    if not secret.exists:
        return warn(
            "does not exist; images are pulled without credentials",
            fix=create,
            subject=_make_subject(secret),
            location=_locate(reference),
        )
    if secret.type not in _PULL_TYPES:
        return warn(
            f"has type {secret.type}, which is not used for image pulls",
            fix=f"kubectl delete secret {secret.name} -n {secret.namespace} && {create}",
            subject=_make_subject(secret),
            location=_locate(reference),
        )
    return None
