"""What a violation tells a user."""

import pytest

from dynocheck.schema import validate
from dynocheck.schema.validator import MAX_VIOLATIONS
from tests.schema.samples import (
    POOL,
    STORAGE,
    claim,
    config_map,
    dgd,
    job,
    judge,
    manifests,
    pod,
    pool,
    route,
    said,
    secret,
    service,
    worker,
    write,
)


def test_a_good_manifest_has_no_violations() -> None:
    assert judge(worker("replicas: 2, ", container="resources: {limits: {nvidia.com/gpu: 8}}")) == []


def test_a_kind_without_schema_is_told_apart_from_a_good_one() -> None:
    (manifest,) = manifests("{apiVersion: example.com/v1, kind: Widget, metadata: {name: a}}")
    assert validate(manifest) is None


@pytest.mark.parametrize("kind", ["ConfigMapList", "List", "Status", "DeleteOptions"])
def test_what_is_no_object_of_its_own_is_not_judged(kind: str) -> None:
    (manifest,) = manifests(f"{{apiVersion: v1, kind: {kind}}}")
    assert validate(manifest) is None


def test_a_violation_stands_where_the_mistake_stands() -> None:
    text = "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\nspec:\n  ports:\n    - port: '80'\n"
    (violation,) = judge(text)
    assert (violation.path, violation.line, violation.column) == ("spec.ports[0].port", 7, 13)


def test_violations_come_in_the_order_of_lines() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: A\ndata:\n  a: 1\nextra: 1\n"
    assert [violation.line for violation in judge(text)] == [4, 6, 7]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (worker("replica: 2, "), "spec.components[0].replica: is no known field, did you mean replicas?"),
        (
            route("[{backendRefs: [{name: a, port: 80}], timeouts: {zzz: 1s}}]"),
            "spec.rules[0].timeouts.zzz: is no known field, known here: backendRequest, request",
        ),
        (
            worker('replicas: "2", '),
            'spec.components[0].replicas: is a string ("2"), must be an integer: leave out the quotes',
        ),
        (
            pod(container="env: [{name: A, value: 1}]"),
            "spec.containers[0].env[0].value: is an integer (1), must be a string: put it in quotes",
        ),
        (
            pod(container="env: [{name: A, value: yes}]"),
            "spec.containers[0].env[0].value: is a boolean (true), must be a string: put it in quotes",
        ),
        (
            pod(container="tty: 'true'"),
            'spec.containers[0].tty: is a string ("true"), must be a boolean: leave out the quotes',
        ),
        (pod(container="args: --port"), 'spec.containers[0].args: is a string ("--port"), must be a list'),
        (
            pod(container="resources: {limits: {memory: 80GB}}"),
            "spec.containers[0].resources.limits.memory:"
            ' is "80GB", must be a quantity such as 500m, 8 or 16Gi',
        ),
        (
            worker(container="resources: {limits: {nvidia.com/gpu: eight}}"),
            "spec.components[0].podTemplate.spec.containers[0].resources.limits[nvidia.com/gpu]:"
            ' is "eight", must be a quantity such as 500m, 8 or 16Gi',
        ),
        (
            claim(f"accessModes: [ReadWriteMany, RWX], {STORAGE}"),
            'spec.accessModes[1]: is "RWX", must be one of "ReadWriteOnce", "ReadOnlyMany",'
            ' "ReadWriteMany", "ReadWriteOncePod"',
        ),
        (claim(STORAGE), "spec.accessModes: is required"),
        (claim(f"accessModes: null, {STORAGE}"), "spec.accessModes: is required, and null does not count"),
        (job("restartPolicy: ''"), "spec.template.spec.restartPolicy: is required, and empty does not count"),
        (worker("replicas: -1, "), "spec.components[0].replicas: is -1, must be at least 0"),
        (pool(f"{POOL}targetPorts: []"), "spec.targetPorts: has 0 items, must have at least 1"),
        (
            pod("activeDeadlineSeconds: 8000000000, ", container="ports: [{containerPort: 8000000000}]"),
            "spec.containers[0].ports[0].containerPort: is 8000000000, must be an integer of 32 bits",
        ),
        (pod("volumes: [{name: v}, {name: v}], "), "spec.volumes[1]: has the same name as item 0"),
        (
            worker(container="args: [null]"),
            "spec.components[0].podTemplate.spec.containers[0].args[0]: is null, must be a string",
        ),
        (config_map("data: {}", metadata=""), "metadata.name: is required"),
        (
            config_map("data: {}", metadata="generateName: A_"),
            'metadata.generateName: is "A_", which begins no valid name',
        ),
        (
            config_map("data: {}", metadata="name: a, labels: {a: 'b c'}"),
            "metadata.labels.a: is \"b c\", must be at most 63 letters, digits, '-', '_' or '.',"
            " with a letter or digit at both ends",
        ),
        (
            config_map("data: {a/b: c}"),
            "data[a/b]: has a key that must be at most 253 letters, digits, '-', '_' or '.'",
        ),
        (service("selector: {a: b}"), "spec: needs ports, unless it is headless (clusterIP: None) or"
         " of type ExternalName"),
    ],
)  # fmt: skip
def test_a_message_names_the_field_and_what_would_be_right(text: str, message: str) -> None:
    assert message in said(text)


def test_a_long_value_and_a_long_list_are_shortened() -> None:
    text = pod(container=f"imagePullPolicy: {'x' * 5000}, workingDir: [{'y' * 5000}]", spec="")
    for message in [*said(text), *said(config_map(f"data: {{{'k' * 900}: 1}}"))]:
        assert len(message) < 300


def test_a_message_is_one_line_whatever_the_value() -> None:
    text = pod(container='imagePullPolicy: "a\\nb\\u2028c\\x85", "k\\ney": 1')
    assert all(len(message.splitlines()) == 1 for message in said(text))


def test_what_a_secret_holds_is_never_quoted() -> None:
    hidden = ["hunter2", "31337", "0x7e57", "s3same"]
    text = secret("data: {a: hunter2!, b: 31337, c: [s3same]}, stringData: {d: 31337, e: {s3same: hunter2}}")
    messages = said(text)
    assert len(messages) == 5
    assert not [word for word in hidden for message in messages if word in message]


def test_of_a_list_element_that_repeats_the_first_is_named() -> None:
    text = pod(container="volumeMounts: [{name: v, mountPath: /a}, {name: w, mountPath: /a}]")
    assert "spec.containers[0].volumeMounts[1]: has the same mountPath as item 0" in said(text)


def test_schemas_that_contain_themselves_end() -> None:
    deep = "{type: object, properties: {a: " * 90 + "{type: string, maxLen: 1}" + "}}" * 90
    version = f"{{name: v1, served: true, storage: true, schema: {{openAPIV3Schema: {deep}}}}}"
    spec = "group: example.com, scope: Namespaced, names: {plural: xs, kind: X}, versions"
    given = ("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"spec: {{{spec}: [{version}]}}")
    (message,) = said(write(*given, "name: xs.example.com"))
    assert message.endswith("maxLen: is no known field, did you mean maxLength?")


def test_a_status_is_left_alone() -> None:
    assert judge(dgd() + "status: {anything: 1}\n") == []
    assert judge(pod() + "status: {phase: Running}\n") == []
    assert said(config_map("status: {}"))[0].startswith("status: is no known field")


@pytest.mark.timeout(20)
def test_a_manifest_made_of_mistakes_is_judged_in_time() -> None:
    fields = "".join(f"replica{number}: 1, " for number in range(20_000))
    digits = "1" * 1_000_000
    (manifest,) = manifests(worker(fields, container=f"resources: {{limits: {{cpu: '{digits}x'}}}}"))
    assert len(validate(manifest) or ()) == MAX_VIOLATIONS


def test_an_object_inside_another_is_judged_as_one() -> None:
    inside = '{apiVersion: "", metadata: {labels: {a: 1}}, spec: {any: thing}}'
    given = f"spec: {{model: m, overrides: {{dgd: {inside}}}}}"
    found = judge(write("nvidia.com/v1beta1", "DynamoGraphDeploymentRequest", given))
    assert [violation.path for violation in found] == [
        "spec.overrides.dgd.kind",  # missing, so told of the mapping that begins before the others
        "spec.overrides.dgd.apiVersion",
        "spec.overrides.dgd.metadata.labels.a",
    ]
