"""The Jobs that `dynocheck load` writes."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from dynocheck import cli
from dynocheck.commands.load import LoadOptions, make_plan
from dynocheck.core.errors import UsageError
from dynocheck.loadtest import aiperf
from dynocheck.loadtest.manifests import make_arguments
from tests.command import run_inside, usage_error

URL = ("--url", "http://chat-frontend:8000")
IMAGE = ("--image", "registry.example/dynocheck:1")
JOB = (*URL, "--in-cluster", *IMAGE)
KEY = "sesame-open-the-door-0123"
LOADS: list[dict[str, Any]] = [
    {},
    {"sweep": "1,4,16", "osl": 7, "seed": 3},
    {"rate": 2.5, "duration_s": 30.0, "arrivals": "constant", "completions": True},
    {"concurrency": 9, "requests": 80, "model": "m", "insecure": True, "request_s": 7.5, "warmup": 0},
]


def job(*arguments: str | Path) -> dict[str, Any]:
    ended = run_inside("load", *URL, *arguments)
    assert (ended.code, ended.err) == (0, "")
    found: dict[str, Any] = next(yaml.safe_load_all(ended.out))
    assert found["kind"] == "Job"
    return found


def container(job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = job["spec"]["template"]["spec"]["containers"][0]
    return found


@pytest.mark.parametrize("load", LOADS)
def test_a_pod_is_told_the_plan_in_the_words_of_the_command_line(load: dict[str, Any]) -> None:
    plan = make_plan(LoadOptions(url="http://h:8000", **load))
    words = make_arguments(plan)
    given = cli.load.make_context("load", words).params
    assert make_plan(LoadOptions(**{name: given[name] for name in LoadOptions.__dataclass_fields__})) == plan


def test_the_job_ends_and_has_no_privilege() -> None:
    spec = job("--in-cluster", *IMAGE, "--parallelism", "3")["spec"]
    fixed = {"completions": 3, "parallelism": 3, "completionMode": "Indexed", "backoffLimit": 0}
    assert spec.items() >= fixed.items()
    assert spec["activeDeadlineSeconds"] > 600
    assert spec["ttlSecondsAfterFinished"] > 0
    assert spec["template"]["spec"]["automountServiceAccountToken"] is False


def test_pods_request_as_much_cpu_as_they_are_given() -> None:
    assert container(job("--in-cluster", *IMAGE))["resources"]["requests"]["cpu"] == "1"
    assert container(job("--in-cluster", *IMAGE, "--cpu", "200m"))["resources"]["requests"]["cpu"] == "200m"


def test_a_key_comes_from_a_secret_and_never_stands_in_the_job() -> None:
    made = container(job("--in-cluster", *IMAGE, "--api-key-secret", "keys/api"))
    secret = {"secretKeyRef": {"name": "keys", "key": "api"}}
    assert made["env"] == [{"name": "DYNOCHECK_API_KEY", "valueFrom": secret}]
    assert made["args"][made["args"].index("--api-key-env") + 1] == "DYNOCHECK_API_KEY"
    script = container(job("--as-aiperf", "--claim", "c", "--model", "m", "--api-key-secret", "keys/api"))
    assert '--api-key "$DYNOCHECK_API_KEY"' in script["args"][0]


def test_aiperf_is_pinned_and_keeps_what_it_measured() -> None:
    loads = ("--sweep", "2,4", "--requests", "9")
    made = job("--as-aiperf", "--claim", "results", "--model", "o'hara/m", *loads)
    script = container(made)["args"][0]
    assert f"aiperf=={aiperf.VERSION}" in script
    assert "--concurrency 2,4 --request-count 9" in script
    assert """--model 'o'"'"'hara/m'""" in script
    assert f"--artifact-dir /results/{made['metadata']['name']}" in script
    volumes = made["spec"]["template"]["spec"]["volumes"]
    assert {"name": "results", "persistentVolumeClaim": {"claimName": "results"}} in volumes


@pytest.mark.parametrize("load", LOADS)
def test_aiperf_makes_the_same_load(load: dict[str, Any]) -> None:
    plan = make_plan(LoadOptions(url="http://h:8000", **{**load, "model": "m", "insecure": False}))
    words = aiperf.make_arguments(plan, "/results")
    told = dict(pairwise(words))
    assert (told["--isl"], told["--osl"]) == (str(plan.input_tokens), str(plan.output_tokens))
    assert told["--endpoint-type"] == ("chat" if plan.chat else "completions")
    assert ("--benchmark-duration" in told) is (plan.duration_s is not None)
    assert ("--request-count" in told) is (plan.requests is not None)
    assert ("--request-rate" in told) is (plan.rate is not None)
    assert ("--warmup-request-count" in told) is (plan.warmup > 0)


def test_aiperf_has_no_words_for_it() -> None:
    with pytest.raises(UsageError, match="--model NAME"):
        aiperf.make_arguments(make_plan(LoadOptions(url="http://h:8000")), "/results")
    with pytest.raises(UsageError, match="--insecure"):
        aiperf.make_arguments(make_plan(LoadOptions(url="https://h", model="m", insecure=True)), "/results")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*URL, "--in-cluster"), "an image with dynocheck installed"),
        ((*IMAGE, "--in-cluster"), "no endpoint"),
        (("--url", "http://127.0.0.1:8000", "--in-cluster", *IMAGE), "the pod itself"),
        (("--url", "http://localhost", "--in-cluster", *IMAGE), "the pod itself"),
        ((*JOB, "--parallelism", "5"), "more pods than concurrent requests"),
        ((*JOB, "--cpu", "two"), "not a number of CPUs"),
        ((*JOB, "--cpu", "0"), "not a number of CPUs"),
        ((*JOB, "--as-aiperf"), "give one"),
        ((*JOB, "--workers", "2"), "--parallelism"),
        ((*JOB, "--api-key-env", "A_KEY"), "--api-key-secret NAME/KEY"),
        ((*JOB, "--prompts", "file"), "pods cannot read files"),
        ((*JOB, "--ca-file", "file"), "pods cannot read files"),
        ((*JOB, "--api-key-secret", "name"), "NAME/KEY"),
        ((*JOB, "--claim", "c"), "only with --as-aiperf"),
        ((*JOB, "--manifest", "/no/such/folder/f"), "No such file"),
        ((*JOB, "--from", "f"), "give one"),
        ((*JOB, "chat"), "give one"),
        ((*JOB, "--limit", "error_rate=0"), "with --apply"),
        ((*JOB, "-o", "json"), "with --apply"),
        ((*JOB, "chat", "code"), "one DynamoGraphDeployment"),
        ((*URL, "--as-aiperf", "--model", "m"), "--claim NAME"),
        ((*URL, "--as-aiperf", "--claim", "c"), "--model NAME"),
        ((*URL, "--as-aiperf", "--claim", "c", "--model", "m", "--apply"), "only with --in-cluster"),
        ((*URL, "--apply"), "only with --in-cluster"),
        ((*URL, "--parallelism", "2"), "only with --in-cluster"),
        ((*URL, "--cpu", "2"), "only with --in-cluster"),
        ((*URL, "chat"), "only with --in-cluster"),
        ((*URL, "--worker", "2/2@h:1"), "not of the form"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", KEY)
    shown = usage_error("load", *arguments)
    assert said in shown
    assert KEY not in shown
