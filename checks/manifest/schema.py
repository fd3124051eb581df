"""Whether the API server would take the files as they stand."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, check, fail, unknown, warn
from dynocheck.facts import Recipes
from dynocheck.facts.k8s.definitions import GivenKinds, ServedKinds
from dynocheck.facts.recipe.recipes import Manifest, Role


@check("manifest.yaml", title="Every file is YAML that kubectl reads")
def yaml(recipes: Recipes) -> Iterator[Finding]:
    """A file that does not parse is applied in part or not at all. Of a key that stands twice in one mapping
    kubectl silently takes the last, and kustomize refuses the file. kubectl reads UTF-16 too, where the file
    begins with its mark, and puts a replacement for bytes that are no UTF-8; hardly another tool does.

    Fix: kubectl apply --dry-run=server -f FILE
    """
    for recipe in recipes:
        for file in recipe.own_files:
            for problem in file.problems:
                place = Location(file.path, problem.line, problem.column)
                if problem.fatal:
                    yield fail(problem.message, location=place)
                else:
                    yield warn(problem.message, fix=problem.fix, location=place)
            for document in file.documents:
                if not isinstance(document.data, dict) and file.role is Role.MANIFEST:
                    yield fail(
                        "a document that is no object: kubectl expects a mapping with apiVersion and kind",
                        location=Location(file.path, document.line, document.column),
                    )


@check("manifest.schema", title="Every manifest fits the schema of its kind")
def schema(
    recipes: Recipes, given: GivenKinds | None = None, served: ServedKinds | None = None
) -> Iterator[Finding]:
    """What the API server refuses: unknown fields, wrong types, missing or impossible values, broken rules in
    CEL, mounts without a volume, requests above their limit.

    Kubernetes' own kinds, Dynamo's, those of Gateway API and its inference extension, ComputeDomains and
    PodMonitors are known; another kind is a warning. With --crds or --cluster the definitions that are found
    there count for the kinds that they define. What Dynamo's webhooks refuse is looked at by
    manifest.admission.

    Fix: kubectl apply --dry-run=server --validate=strict -f FILE
    """
    from dynocheck.schema import Definitions, evaluates_rules, validate  # schemas are read only here

    definitions = Definitions([*(given or ()), *(served or ())])
    if served is not None and served.reason:
        yield unknown(
            f"the cluster's own definitions could not be read: {served.reason}", fix="dynocheck rbac"
        )
    judged = False
    for manifest in _list_manifests(recipes):
        judged = True
        place = Location(manifest.file, manifest.root.line, manifest.root.column)
        if not (manifest.kind and manifest.api_version):
            missing = "apiVersion" if manifest.kind else "kind"
            yield fail(f"an object without {missing}", location=place)
            continue
        violations = validate(manifest, definitions)
        if violations is None:
            yield warn(
                f"no schema for {manifest.kind} of {manifest.api_version} here: not judged",
                fix=f"kubectl apply --dry-run=server --validate=strict -f {manifest.file}",
                location=place,
            )
        for violation in violations or ():
            yield fail(
                f"{violation.path}: {violation.message}" if violation.path else violation.message,
                location=Location(manifest.file, violation.line, violation.column),
            )
    if not judged:
        raise Skip("no manifest that is applied as it stands")
    if not evaluates_rules():
        yield warn(
            "the rules in CEL of custom kinds were not evaluated: this Python has no cel-expr-python",
            fix="pip install cel-expr-python, where there is a build of it",
        )


def _list_manifests(recipes: Recipes) -> Iterator[Manifest]:
    """Every object that is applied as it stands. A mapping with neither kind nor apiVersion is another
    tool's file, such as a list of values.
    """
    for recipe in recipes:
        for file in recipe.own_files:
            if file.role is Role.MANIFEST:
                yield from (m for m in file.manifests if m.kind or m.api_version or _has_type_keys(m))


def _has_type_keys(manifest: Manifest) -> bool:
    return all(manifest.root.get(key) is not None for key in ("apiVersion", "kind"))
