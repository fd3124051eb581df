"""Whether benchmarks measure what they mean to, end, and keep what they measured."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.model import names
from dynocheck.checks.perf import runs, targets
from tests.checks.judging import deploy, get_skip_reason, judge, read_lines, recipes, run_check
from tests.checks.manifests import MODEL, dump_objects, engine, graph, job

RUN = "aiperf profile --url $ENDPOINT -m $TARGET_MODEL"
TARGET = {"ENDPOINT": "g-frontend:8000", "TARGET_MODEL": MODEL}


# perf.endpoint, model.same-everywhere: what a command line says by itself

SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "edge"}, "spec": {}}


@pytest.mark.parametrize(
    ("script", "env", "expected"),
    [
        ("aiperf profile --url http://g-frontend.ns.svc:8000", {}, []),
        ("aiperf profile --url http://other-frontend:8000", {}, ["fail"]),
        ("genai-perf profile -u=g-frontend:8080", {}, ["fail"]),
        ("vllm bench serve --base-url http://other:8000", {}, ["fail"]),
        ("timeout 60 python3 -m sglang.bench_serving --base-url http://other:8000", {}, ["fail"]),
        ("guidellm benchmark --target http://localhost:8000", {}, ["fail"]),
        ("HOST=other\naiperf profile --url http://$HOST:8000", {}, ["fail"]),
        ("aiperf profile --url http://other:8000", {"ENDPOINT": "g-frontend:8000"}, ["fail"]),
        ("aiperf profile --url http://$ENDPOINT", {"ENDPOINT": "g-frontend:8000"}, []),
        ("aiperf profile --url http://edge:8000", {}, []),
        ("aiperf profile --url https://llm.example.com/v1", {}, []),
        ("aiperf profile --url http://10.1.2.3:8000", {}, []),
    ],
)
def test_endpoint(tmp_path: Path, script: str, env: dict[str, str], expected: list[str]) -> None:
    given = deploy(tmp_path, graph(engine()), SERVICE, job(script, env=env))
    assert judge(targets.endpoint, given) == expected


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (f"aiperf profile -m {MODEL}", []),
        ("aiperf profile -m org/other", ["fail"]),
        ("python3 -m aiperf profile --model=org/other", ["fail"]),
        (f"vllm bench serve --model org/other --served-model-name {MODEL}", []),
        ("vllm bench serve --model org/other", ["fail"]),
        ("vllm bench serve --model /models/mine", []),
        ("python3 -m pip install aiperf==0.10.0; aiperf --version", []),
    ],
)
def test_the_model_that_is_asked_for(tmp_path: Path, script: str, expected: list[str]) -> None:
    assert judge(names.same_everywhere, deploy(tmp_path, graph(engine()), job(script))) == expected


# perf.gpu-count


def counting(count: str, **env: str) -> dict[str, Any]:
    return job(RUN, env={**TARGET, "DEPLOYMENT_GPU_COUNT": count, **env})


@pytest.mark.parametrize(
    ("count", "more", "expected"),
    [
        ("6", {}, []),
        ("8", {}, ["warn"]),
        ("6", {"CONCURRENCY_PER_GPU": "16", "TOTAL_CONCURRENCY": "96"}, []),
        ("6", {"CONCURRENCY_PER_GPU": "16", "TOTAL_CONCURRENCY": "64"}, ["warn"]),
        ("6", {"CONCURRENCY_PER_GPU": "16", "CONCURRENCY": "1 2 4"}, []),
    ],
)
def test_gpu_count(tmp_path: Path, count: str, more: dict[str, str], expected: list[str]) -> None:
    """The graph has 1 x 2 nodes x 1 GPU and 4 x 1 GPU."""
    one = graph(engine(name="a", multinode={"nodeCount": 2}), engine(name="b", replicas=4))
    assert judge(targets.gpu_count, deploy(tmp_path, one, counting(count, **more))) == expected


def test_the_graph_is_the_one_that_is_asked(tmp_path: Path) -> None:
    both = graph(engine()), graph(engine(gpus=8), name="h")
    assert judge(targets.gpu_count, deploy(tmp_path / "a", *both, counting("1"))) == []
    assert judge(targets.gpu_count, deploy(tmp_path / "b", *both, counting("8"))) == ["warn"]
    other = counting("8", ENDPOINT="http://h-frontend.ns.svc:8000")
    assert judge(targets.gpu_count, deploy(tmp_path / "c", *both, other)) == []


def test_gpus_are_not_counted_where_they_are_not_known(tmp_path: Path) -> None:
    claims: Any = {
        "main": {"resources": {"claims": [{"name": "g"}]}},
        "pod": {"resourceClaims": [{"name": "g"}]},
    }
    by_claim = deploy(tmp_path / "a", graph(engine(**claims)), counting("9"))
    elsewhere = deploy(tmp_path / "b", graph(engine()), counting("9", ENDPOINT="other-frontend:8000"))
    assert [judge(targets.gpu_count, given) for given in (by_claim, elsewhere)] == [
        ["unjudged"],
        ["unjudged"],
    ]


def test_the_number_is_where_it_is_written(tmp_path: Path) -> None:
    given = deploy(tmp_path, graph(engine()), counting("8"))
    assert read_lines(targets.gpu_count, given) == ["value: '8'"]
    (finding,) = run_check(targets.gpu_count, given)
    assert finding.fix == "set DEPLOYMENT_GPU_COUNT=1"


# perf.tokenizer


SHA = "b" * 40
SNAPSHOT = f"/models/hub/models--Qwen--Qwen3-32B/snapshots/{SHA}"


@pytest.mark.parametrize(
    ("tokenizer", "download", "expected"),
    [
        (MODEL, "", []),
        ("$TARGET_MODEL", "", []),
        ("Qwen/Qwen3-0.6B", "", ["warn"]),
        (SNAPSHOT, "", []),
        (SNAPSHOT, f"hf download {MODEL} --revision {SHA}", []),
        (SNAPSHOT, f"hf download {MODEL} --revision {'c' * 40}", ["fail"]),
        (SNAPSHOT, f"hf download {MODEL}", []),
        (SNAPSHOT.replace("Qwen3-32B", "Qwen3-8B"), "", ["warn"]),
        (f"{MODEL}-FP8", "", []),  # quantising keeps the tokenizer
        ("nvidia/Qwen3-32B-NVFP4", "", []),
        ("/nowhere/tokenizer", "", ["fail"]),
        ("/models/anything", "", []),
        ("nvidia/draft", "hf download nvidia/draft", []),
        ("$SOMETHING_SERVICE_HOST", "", ["unjudged"]),
    ],
)
def test_tokenizer(tmp_path: Path, tokenizer: str, download: str, expected: list[str]) -> None:
    objects = [graph(engine()), job(f"{RUN} --tokenizer {tokenizer}", env=TARGET)]
    objects += [job(download, name="get")] if download else []
    assert judge(targets.tokenizer, deploy(tmp_path, *objects)) == expected


def test_a_tokenizer_that_the_script_makes(tmp_path: Path) -> None:
    store = "python3 -c \"t = A.from_pretrained('{}'); t.save_pretrained('/tmp/tokenizer')\"\n"
    for script, expected in (
        (f"hf download {MODEL} --local-dir /tmp/tokenizer\n", []),
        ("hf download openai-community/gpt2 --local-dir /tmp/tokenizer\n", ["warn"]),
        (store.format(MODEL), []),
        (store.format("openai-community/gpt2"), ["warn"]),
        ("tar -x -C /tmp/tokenizer\n", []),
        ("", ["fail"]),
    ):
        load = job(f"{script}{RUN} --tokenizer /tmp/tokenizer", env=TARGET)
        assert judge(targets.tokenizer, deploy(tmp_path, graph(engine()), load)) == expected


# perf.limits


@pytest.mark.parametrize(
    ("promise", "problems"),
    [
        ("ttft.p95=500ms, error_rate=0", []),
        ("ttft.p95 = 500ms\nerror_rate =0\n", []),
        ("", []),
        ("ttft.p95=500ms, error_rate=2", ["error_rate=2: it takes a share, such as 0 or 1%"]),
        ("ttft.p95=500", ["ttft.p95=500: it takes a time with its unit: s, ms or us"]),
        ("itl.p95=9ms speed=1", ["itl.p95=9ms: no such", "speed=1: no such"]),
    ],
)
@pytest.mark.parametrize("version", ["v1alpha1", "v1beta1"])
def test_limits(tmp_path: Path, version: str, promise: str, problems: list[str]) -> None:
    made = {**graph(engine()), "apiVersion": f"nvidia.com/{version}"}
    made["metadata"]["annotations"] = {"team": "chat", "dynocheck.dev/limits": promise}
    given = deploy(tmp_path, made)
    findings = run_check(targets.limits, given)
    for finding, problem in zip(findings, problems, strict=True):
        assert finding.outcome == "fail"
        assert finding.message.startswith(f"graph g: dynocheck.dev/limits: {problem}")
    assert all(line.startswith("dynocheck.dev/limits: ") for line in read_lines(targets.limits, given))


def test_no_limit_is_promised(tmp_path: Path) -> None:
    assert judge(targets.limits, deploy(tmp_path, graph(engine()))) == ["skip"]


# perf.bounded


FOREVER = "until curl -sf http://$ENDPOINT/v1/models; do\n  sleep 5\ndone\n"
COUNTED = """
n=0
while ! curl -sf http://$ENDPOINT/v1/models; do
  n=$((n + 1))
  if [ $n -ge 100 ]; then exit 1; fi
  sleep 5
done
"""
PYTHON = """
python3 - <<PY
while True:
    try:
        urllib.request.urlopen(url, timeout=5)
        break
    except OSError:
        {}
    time.sleep(5)
PY
"""


@pytest.mark.parametrize(
    ("script", "spec", "pod", "expected"),
    [
        (RUN, {}, {}, []),
        (PYTHON.format("pass") + RUN, {}, {}, ["warn"]),
        (PYTHON.format("pass") + RUN, {"activeDeadlineSeconds": 60}, {}, []),
        (PYTHON.format("if time.monotonic() > end: raise") + RUN, {}, {}, []),
        (PYTHON.format("pass").replace("while True:", "for _ in range(9):") + RUN, {}, {}, []),
        (FOREVER + RUN, {}, {}, ["warn"]),
        (FOREVER + RUN, {"activeDeadlineSeconds": 60}, {}, []),
        (FOREVER + RUN, {}, {"activeDeadlineSeconds": 60}, []),
        (COUNTED + RUN, {}, {}, []),
        ('timeout 600 sh -c "until curl $ENDPOINT; do sleep 5; done"\n' + RUN, {}, {}, []),
        ("while [ $n -lt 100 ] && ! curl $ENDPOINT; do sleep 5; done\n" + RUN, {}, {}, []),
        ("while read line; do echo $line; done < f\n" + RUN, {}, {}, []),
    ],
)
def test_bounded(
    tmp_path: Path, script: str, spec: dict[str, Any], pod: dict[str, Any], expected: list[str]
) -> None:
    assert judge(runs.bounded, deploy(tmp_path, job(script, env=TARGET, pod=pod, **spec))) == expected


@pytest.mark.parametrize(
    ("kind", "end", "expected"),
    [
        ("Pod", "sleep infinity", ["warn"]),
        ("Pod", "sleep 5", []),
        ("Job", "sleep infinity", ["warn"]),
        ("Job", '[ "$DEBUG" ] || sleep infinity', []),
    ],
)
def test_a_pod_that_sleeps_after_its_run(tmp_path: Path, kind: str, end: str, expected: list[str]) -> None:
    run = job(f"{RUN}\n{end}", env=TARGET)
    if kind == "Pod":
        run = {"apiVersion": "v1", "kind": "Pod", **run, "spec": run["spec"]["template"]["spec"]}
        run |= {"apiVersion": "v1", "kind": "Pod"}
    assert judge(runs.bounded, deploy(tmp_path, run)) == expected


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ("http://g-w:9090/metrics,http://g-frontend:8000/metrics", []),
        ("http://g-w-0:9090/metrics", ["warn"]),
        ("http://edge:9090/metrics", []),
        ("http://g-w-0.g-w.ns.svc:9090/metrics,http://$HOST:9090,http://10.0.0.1:9", []),
    ],
)
def test_hosts_of_metrics(tmp_path: Path, hosts: str, expected: list[str]) -> None:
    run = job(RUN, env={**TARGET, "AIPERF_SERVER_METRICS_URLS": hosts})
    assert judge(targets.endpoint, deploy(tmp_path, graph(engine()), SERVICE, run)) == expected


def test_the_wait_is_told_where_it_asks(tmp_path: Path) -> None:
    (line,) = read_lines(runs.bounded, deploy(tmp_path, job(FOREVER + RUN, env=TARGET)))
    assert "until curl" in line


# perf.tool-pinned


@pytest.mark.parametrize(
    ("install", "expected"),
    [
        ("pip install aiperf==0.10.0", []),
        ('pip install "aiperf[accuracy]==0.10.0"', []),
        ("pip install aiperf", ["warn"]),
        ("pip install 'aiperf>=0.8'", ["warn"]),
        ("python3 -m pip install -q genai-perf", ["warn"]),
        ("uv pip install guidellm", ["warn"]),
        ("pip install -r requirements.txt aiperf==0.10.0", []),
        ("pip install requests numpy", []),
        ("pip install git+https://github.com/ai-dynamo/aiperf.git", ["warn"]),
        ("pip install git+https://github.com/ai-dynamo/aiperf.git@v0.10.0", []),
        ("pip install git+ssh://git@github.com/ai-dynamo/aiperf.git", ["warn"]),
        ("pip install 'aiperf @ git+https://github.com/ai-dynamo/aiperf@abc'", []),
        ("apt-get install -y aiperf", []),
    ],
)
def test_tool_pinned(tmp_path: Path, install: str, expected: list[str]) -> None:
    assert judge(runs.tool_pinned, deploy(tmp_path, job(f"{install}\n{RUN}", env=TARGET))) == expected


# perf.artifacts


EMPTY = {
    "main": {"volumeMounts": [{"name": "tmp", "mountPath": "/models"}]},
    "pod": {"volumes": [{"name": "tmp", "emptyDir": {}}]},
}
FIXED = {"main": {"volumeMounts": [{"name": "cache", "mountPath": "/models", "readOnly": True}]}}


@pytest.mark.parametrize(
    ("run", "more", "expected"),
    [
        ("--artifact-dir /models/perf", {}, []),
        ("--artifact-dir=/models/perf", {}, []),
        ("--artifact-dir /tmp/perf", {}, ["warn"]),
        ("--artifact-dir out", {}, ["warn"]),
        ("--artifact-dir /models/perf", EMPTY, ["warn"]),
        ("--artifact-dir /models/perf", FIXED, ["fail"]),
        ("--artifact-dir /tmp/perf\naws s3 cp /tmp/perf s3://b", {}, []),
        ("--artifact-dir $ROOT_ARTIFACT_DIR/$(date)", {"env": {"ROOT_ARTIFACT_DIR": "/models/p"}}, []),
        ("--artifact-dir $ROOT_ARTIFACT_DIR/$(date)", {"env": {"ROOT_ARTIFACT_DIR": "/tmp/p"}}, ["warn"]),
        ("--artifact-dir $(mktemp)", {}, ["unjudged"]),
        (f"--artifact-dir $(mktemp)\n{RUN} --artifact-dir /tmp/perf", {}, ["warn"]),
        (f"--artifact-dir $(mktemp)\n{RUN} --artifact-dir /models/perf", {}, []),
        (f"--artifact-dir /tmp/warm\n{RUN} --artifact-dir $(mktemp)", {}, ["unjudged"]),
        ("", {}, ["unjudged"]),
    ],
)
def test_artifacts(tmp_path: Path, run: str, more: dict[str, Any], expected: list[str]) -> None:
    env = TARGET | more.get("env", {})
    assert judge(runs.artifacts, deploy(tmp_path, job(f"{RUN} {run}", **more | {"env": env}))) == expected


def test_a_job_that_makes_no_load_is_no_benchmark(tmp_path: Path) -> None:
    given = deploy(tmp_path, job(FOREVER))
    for check in (runs.tool_pinned, runs.artifacts):
        assert get_skip_reason(check, given) == "no benchmark"


@pytest.mark.parametrize(
    ("script", "spec", "expected"),
    [
        (FOREVER, {}, ["warn"]),
        (FOREVER, {"activeDeadlineSeconds": 60}, []),
        (COUNTED, {}, []),
        (PYTHON.format("pass"), {}, ["warn"]),
        ("hf download m\nsleep infinity\n", {}, ["warn"]),
        ("hf download m; tail -f /dev/null", {}, ["warn"]),
        ("if [ $DEBUG ]; then\n  sleep infinity\nfi\n", {}, []),
        ("python3 -m vllm.entrypoints.openai.api_server --model m & sleep infinity", {}, ["skip"]),
        ("echo sleep infinity", {}, []),
    ],
)
def test_any_job_comes_to_an_end(
    tmp_path: Path, script: str, spec: dict[str, Any], expected: list[str]
) -> None:
    assert judge(runs.bounded, deploy(tmp_path, job(script, env=TARGET, **spec))) == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("kubectl wait --for=jsonpath='{.status.phase}'=Succeeded pod/copy", ["warn"]),
        ("kubectl wait --for=condition=Ready pod/copy", ["skip"]),
        ("kubectl wait --for=jsonpath='{.status.phase}'=Succeeded pod/other", ["skip"]),
    ],
)
def test_a_pod_that_a_readme_waits_for(tmp_path: Path, told: str, expected: list[str]) -> None:
    (tmp_path / "README.md").write_text(f"```bash\n{told}\n```\n")
    pod = {"containers": [{"name": "main", "image": "a:1", "command": ["sleep", "infinity"]}]}
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "copy"}, "spec": pod}
    assert judge(runs.bounded, deploy(tmp_path, made)) == expected


# perf.endpoint: the address in a variable

PICKED = graph({"name": "Epp", "type": "epp"}, engine())


@pytest.mark.parametrize(
    ("served", "endpoint", "expected"),
    [
        (graph(engine()), "g-frontend:8000", []),
        (graph(engine()), "http://g-frontend:8000/v1", []),
        (graph(engine()), "http://g-frontend.my-namespace.svc.cluster.local:8000", []),
        (graph(engine()), "g-frontend", []),
        (graph(engine()), "g-Frontend:8000", []),
        (graph(engine()), "other-frontend:8000", ["fail"]),
        (graph(engine()), "g-frontend:8080", ["fail"]),
        (graph(engine()), "http://g-frontend:port", ["fail"]),
        (PICKED, "http://inference-gateway", ["skip"]),
    ],
)
def test_a_benchmark_reaches_the_graph_beside_it(
    tmp_path: Path, served: dict[str, Any], endpoint: str, expected: list[str]
) -> None:
    given = deploy(tmp_path, served, job(RUN, env={**TARGET, "ENDPOINT": endpoint}))
    assert judge(targets.endpoint, given) == expected


def test_a_benchmark_of_a_folder_without_graphs_may_reach_any(tmp_path: Path) -> None:
    alone = dump_objects(job(RUN, env=TARGET))
    given = recipes(tmp_path, vllm__agg__deploy=dump_objects(graph(engine())), perf__perf=alone)
    assert judge(targets.endpoint, given) == []


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [("g-frontend:8000", []), ("g-frontend:8001", ["fail"]), ("h-frontend:8000", ["fail"])],
)
@pytest.mark.parametrize("folder", ["perf", "other"])
def test_a_benchmark_between_models_reaches_a_graph_of_one(
    tmp_path: Path, endpoint: str, expected: list[str], folder: str
) -> None:
    files = {f"{model}__vllm__agg__deploy": dump_objects(graph(engine())) for model in ("small", "large")}
    load = dump_objects(job(RUN, env={**TARGET, "ENDPOINT": endpoint}))
    given = recipes(tmp_path, **files, **{f"{folder}__perf": load})
    assert judge(targets.endpoint, given) == (expected if folder == "perf" else ["skip"])
