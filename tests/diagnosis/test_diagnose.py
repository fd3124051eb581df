"""`dynocheck diagnose` on graphs that are broken in one way each, and on one that serves."""

import gzip
import random
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from dynocheck.cli import main
from tests.clusters.objects import make_condition, make_object
from tests.command import run_inside
from tests.diagnosis.broken import BROKEN
from tests.diagnosis.conftest import diagnose, list_problems
from tests.diagnosis.linked import LINKED
from tests.diagnosis.reported import REPORTED
from tests.diagnosis.situation import Broken
from tests.diagnosis.stage import GRAPH, IMAGE, NODE, POD, WORKER, Stage, crashed, running
from tests.diagnosis.test_recordings import CAUSES
from tests.diagnosis.threads import THREADS


@contextmanager
def run_later(seconds: float, action: Callable[[], None]) -> Iterator[None]:
    """Do something in another thread, so many seconds after the block began."""
    timer = threading.Timer(seconds, action)
    timer.start()
    yield
    timer.join()


SITUATIONS = [*BROKEN, *REPORTED, *LINKED, *THREADS]
SAMPLE = random.Random(17).sample(SITUATIONS, 20)  # what CI runs; the others are behind `verify`


def sample(situations: list[Broken]) -> list[ParameterSet]:
    return [pytest.param(s, id=str(s), marks=() if s in SAMPLE else pytest.mark.verify) for s in situations]


@pytest.mark.parametrize("broken", sample(SITUATIONS))
def test_the_cause_comes_first_and_alone(stage: Stage, broken: Broken) -> None:
    broken.make(stage)
    code, verdicts = diagnose(stage)
    problems = list_problems(verdicts)
    told = [(check, f["outcome"], f["subject"]["kind"], f["subject"]["name"]) for check, f in problems]
    assert told == [(broken.check, broken.outcome, broken.kind, broken.name)], problems
    assert broken.says in f"{problems[0][1]['message']} {problems[0][1]['fix']}"
    assert problems[0][1]["fix"]
    assert code == (1 if any(v["outcome"] == "fail" for v in verdicts) else 0)
    assert len({str(f["subject"]) for v in verdicts for f in v["findings"]}) >= broken.objects

    stage.mend()
    code, verdicts = diagnose(stage)
    assert (code, list_problems(verdicts)) == (0, [])


def test_half_of_the_situations_are_chains() -> None:
    assert len(SITUATIONS) + len(CAUSES) >= 120
    assert sum(each.objects >= 3 for each in SITUATIONS) >= 60


def test_a_graph_that_serves_has_no_problem(stage: Stage) -> None:
    stage.deploy(ready=True, status=running(900, ready=True))
    code, verdicts = diagnose(stage)
    assert (code, list_problems(verdicts)) == (0, [])


@pytest.mark.parametrize("placed", [False, True], ids=["it has no node yet", "it loads"])
def test_a_graph_that_has_just_been_made_does_not_fail(stage: Stage, placed: bool) -> None:
    if placed:
        stage.deploy(ready=False, status=running(20, ready=False))
    else:
        new = {"phase": "Pending", "conditions": []}
        stage.deploy(ready=False, node=None, phase="Pending", status=new)
    stage.log("WARNING error: no CUDA graph for OOM tests, retrying\nLoading shards: 25%\n")
    code, verdicts = diagnose(stage)
    assert code == 0
    assert {finding["outcome"] for _, finding in list_problems(verdicts)} == {"warn"}


def find(title: str) -> Broken:
    return next(each for each in SITUATIONS if each.title == title)


def lose_claim(stage: Stage) -> tuple[str, str]:
    stage.claim("other", "Lost")
    return "symptom.claim", "other"


def fail_request(stage: Stage) -> tuple[str, str]:
    why = make_condition("Succeeded", "False", "ProfilingFailed", "no GPU found")
    kind = "nvidia.com/v1beta1 DynamoGraphDeploymentRequest"
    status = {"phase": "Failed", "conditions": [why]}
    stage.put(kind, "other", None, spec={"model": "m/x", "image": "x"}, status=status)
    return "symptom.graph", "other"


def crash_other(stage: Stage) -> tuple[str, str]:
    stage.cluster.pod("other", stage.namespace, node=NODE, ready=False, status=crashed(1, "OOMKilled"))
    (stage.logs / f"{stage.namespace}_other.log").write_text("INFO loading\n")
    return "symptom.crash", "other"


def refuse_other(stage: Stage) -> tuple[str, str]:
    template = {
        "metadata": {"labels": {"app": "other"}},
        "spec": {"containers": [{"name": "c", "image": "x"}]},
    }
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "other"}}, "template": template}
    stage.put("apps/v1 ReplicaSet", "other", None, spec=spec, status={"replicas": 0, "observedGeneration": 9})
    stage.tell("ReplicaSet", "other", "FailedCreate", 'pods "x" is forbidden: exceeded quota: gpus')
    return "symptom.creation", "other"


@pytest.mark.parametrize(
    ("title", "second"),
    [
        ("a wrong flag", lose_claim),
        ("no GPU is free", crash_other),
        ("no such tag", refuse_other),
        ("no such class", crash_other),
        ("a quota", lose_claim),
        ("a node that is gone", fail_request),
        ("out of memory under Grove", refuse_other),
        ("a leader that crashes", lose_claim),
        ("a link: BackendNotFound", crash_other),
        ("a gated model", fail_request),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_two_causes_are_two(stage: Stage, title: str, second: Callable[[Stage], tuple[str, str]]) -> None:
    first = find(title)
    first.make(stage)
    other = second(stage)
    _, verdicts = diagnose(stage)
    told = [(check, finding["subject"]["name"]) for check, finding in list_problems(verdicts)]
    assert sorted(told) == sorted([(first.check, first.name), other])


@pytest.mark.parametrize("target", [f"deployment/{WORKER}", f"deploy/{WORKER}", f"pod/{POD}", f"dgd/{GRAPH}"])
def test_a_target_by_kind(stage: Stage, target: str) -> None:
    stage.deploy(ready=False, status=running(900, ready=False))
    stage.log("")
    _, verdicts = diagnose(stage, target)
    assert [check for check, _ in list_problems(verdicts)] == ["symptom.not-ready"]


def test_an_owner_whose_kind_is_not_read_is_a_target(stage: Stage) -> None:
    service = make_object("serving.kserve.io/v1beta1 InferenceService", "chat", stage.namespace)
    service["metadata"]["uid"] = "5d3f1c52-0d5e-4f0a-9a53-1f4c6d0f7a11"
    stage.deploy(ready=False, status=running(900, ready=False), owner=service)
    stage.log("")
    _, verdicts = diagnose(stage, "isvc/chat")
    assert [check for check, _ in list_problems(verdicts)] == ["symptom.not-ready"]


@pytest.mark.parametrize("app", [WORKER, "other"])
def test_a_service_leads_to_what_runs_its_pods(stage: Stage, app: str) -> None:
    stage.deploy(ready=False, status=crashed(1))
    stage.log("ValueError: No available memory for the cache blocks\n")
    label = {"metadata": {"labels": {"app": WORKER}}}
    path = f"/api/v1/namespaces/{stage.namespace}/pods/{POD}"
    stage.cluster.request("PATCH", path, label, content_type="application/merge-patch+json")
    ports = [{"port": 8000}]
    stage.put("v1 Service", "front", None, spec={"ports": ports, "selector": {"app": app}})
    _, verdicts = diagnose(stage, "svc/front")
    told = [(check, finding["subject"]["name"]) for check, finding in list_problems(verdicts)]
    assert told == ([("symptom.crash", POD)] if app == WORKER else [("symptom.route", "front")])


def test_an_operator_that_lost_its_lease(stage: Stage) -> None:
    stage.deploy(ready=True, status=running(900, ready=True))
    place, name = stage.cluster.namespace("operator"), "platform-dynamo-operator-0"
    labels = {"control-plane": "controller-manager", "app.kubernetes.io/name": "dynamo-operator"}
    stage.cluster.pod(name, place, node=NODE, labels=labels, ready=False, status=crashed(1))
    log = 'ERROR setup problem running manager {"error": "leader election lost"}\n'
    (stage.logs / f"{place}_{name}.log").write_text(log)
    _, verdicts = diagnose(stage)
    stage.cluster.delete(make_object("Pod", name, place))
    (problem,) = list_problems(verdicts)
    assert (problem[0], problem[1]["subject"]["namespace"]) == ("symptom.operator", place)
    assert "etcd" in problem[1]["fix"]


def test_a_target_that_is_not_there(stage: Stage) -> None:
    stage.deploy(ready=True)
    code, verdicts = diagnose(stage, "chatt")
    assert code == 3
    assert GRAPH in verdicts[0]["message"]
    for same in (f"dynamographdeployments.nvidia.com/{GRAPH}", f"dgd/{GRAPH}"):
        assert diagnose(stage, same)[0] == diagnose(stage, GRAPH)[0]


@pytest.mark.parametrize(
    ("target", "code"), [("nokind/x", 2), ("a/b/c", 2), ("/x", 2), ("deploy/x", 3), ("nodes/x", 3)]
)
def test_a_target_of_no_kind(stage: Stage, target: str, code: int) -> None:
    stage.deploy(ready=True)
    config = stage.cluster.kubeconfig(namespace=stage.namespace)
    ended = run_inside("diagnose", target, "--kubeconfig", config)
    assert (ended.code, "KIND/NAME" in ended.err) == (code, code == 2)


def test_nothing_there(stage: Stage) -> None:
    code, _ = diagnose(stage)
    assert code == 3


def test_what_may_not_be_read_is_told(stage: Stage) -> None:
    stage.deploy(ready=True, status=running(900, ready=True))
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}
    user = stage.cluster.user("reader", rules=[rule], namespace=stage.namespace)
    config = str(stage.cluster.kubeconfig(user, namespace=stage.namespace))
    code, verdicts = diagnose(stage, "--kubeconfig", config)
    unread = next(verdict for verdict in verdicts if verdict["check"] == "symptom.unread")
    assert code == 3
    assert "events" in " ".join(finding["message"] for finding in unread["findings"])


def test_a_recording_is_judged_alike(stage: Stage) -> None:
    find("a gated model").make(stage)
    labels = {"app": "healthy"}  # and scaled to 0
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": IMAGE}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    stage.put("apps/v1 Deployment", "healthy", None, spec=spec, status={"observedGeneration": 1})
    config = str(stage.cluster.kubeconfig(namespace=stage.namespace))
    file = stage.logs / "recording.json"
    main(["snapshot", str(file), "--workloads", "--select", "symptom", "--kubeconfig", config])
    live, recorded = diagnose(stage), diagnose(stage, "--snapshot", str(file))
    assert list_problems(recorded[1]) == list_problems(live[1])
    assert recorded[0] == live[0] == 1
    (idle,) = list_problems(diagnose(stage, "--snapshot", str(file), "deployment/healthy")[1])
    assert (idle[0], idle[1]["outcome"], idle[1]["subject"]["name"]) == (
        "symptom.workload",
        "warn",
        "healthy",
    )
    code, verdicts = diagnose(stage, "--snapshot", str(file), "deployment/none-such")
    assert (code, {v["outcome"] for v in verdicts}) == (3, {"unknown"})


@pytest.mark.parametrize("form", ["table", "json", "junit", "sarif", "markdown", "html", "github"])
def test_a_secret_in_a_log_stays_there(stage: Stage, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    token = "hf_" + "bWFkZXVwZm9ydGVzdHM" + "QqZzXxWw"
    stage.deploy(ready=False, status=crashed(1))
    stage.log(f"KeyError: no such model for token {token}\n")
    config = str(stage.cluster.kubeconfig(namespace=stage.namespace))
    main(["diagnose", "-v", "--kubeconfig", config, "-o", form])
    printed = capsys.readouterr()
    assert "KeyError" in printed.out
    assert token not in printed.out + printed.err


def test_it_waits_until_the_graph_serves(stage: Stage) -> None:
    stage.deploy(ready=False, status=running(5, ready=False))
    stage.log("INFO loading\n")

    def finish() -> None:
        stage.carry_out(ready=True)
        pod = make_object("Pod", POD, stage.namespace, status=running(5, ready=True))
        stage.cluster.patch_status(pod)

    with run_later(1.0, finish):
        code, verdicts = diagnose(stage, "--wait", "30s")
    assert (code, list_problems(verdicts)) == (0, [])


def test_it_waits_no_longer_than_it_should(stage: Stage) -> None:
    stage.deploy(ready=False, status=running(900, ready=False))
    stage.log("INFO loading\n")
    code, verdicts = diagnose(stage, "--wait", "1s")
    assert code == 1
    assert [check for check, _ in list_problems(verdicts)] == ["symptom.not-ready"]


@pytest.mark.parametrize("time", ["", "x", "1d", "-5", "1.5h", "9999999"])
def test_a_time_that_is_none(time: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", "--wait", time]) == 2
    assert "--wait" in capsys.readouterr().err


def test_a_bundle_is_judged_alike_and_holds_no_secret(stage: Stage) -> None:
    token = "hf_" + "bWFkZXVwZm9ydGVzdHM" + "QqZzXxWw"
    stage.deploy(ready=False, status=crashed(1))
    stage.log(f"KeyError: {token}\n")
    stage.tell("Pod", POD, "BackOff", f"Back-off with {token}")
    config = str(stage.cluster.kubeconfig(namespace=stage.namespace))
    file = stage.logs / "support.tar.gz"
    main(["snapshot", str(file), "--bundle", "--select", "symptom", "--kubeconfig", config])
    with tarfile.open(file) as archive:
        texts = {m.name: archive.extractfile(m).read().decode() for m in archive}  # type: ignore[union-attr]
    assert {name.removeprefix("support/") for name in texts} == {
        *("snapshot.json", "index.html", "report.json", "report.html", "report.md", "events.txt"),
        f"logs/{POD}/main.previous.log",
    }
    assert not [name for name, text in texts.items() if token in text]
    assert "ContainerLogs: 1" in texts["support/index.html"]
    assert list_problems(diagnose(stage, "--snapshot", str(file))[1]) == list_problems(diagnose(stage)[1])


@pytest.mark.parametrize(
    "content",
    [b"\x1f\x8b", b"\x1f\x8b" + bytes(400), gzip.compress(b"no archive" * 99)],
    ids=["its first bytes", "no stream", "no archive"],
)
def test_a_bundle_that_is_none(tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "support.tar.gz"
    file.write_bytes(content)
    assert main(["diagnose", "--snapshot", str(file)]) == 2
    assert "support.tar.gz: not a snapshot" in capsys.readouterr().err
