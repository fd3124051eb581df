"""Downloads, claims and benchmarks of workloads."""

import json
import textwrap

import pytest

from dynocheck.facts import Download
from tests.recipe.conftest import Written

JOB = """\
apiVersion: {api}
kind: {kind}
metadata: {{name: job}}
spec: {path}
{indent}containers:
{indent}- name: main
{indent}  env:
{indent}  - {{name: MODEL, value: org/from-env}}
{indent}  - {{name: ENDPOINT, value: g-frontend:8000}}
{indent}  - {{name: TOKEN_PLACE, valueFrom: {{secretKeyRef: {{name: s, key: k}}}}}}
{indent}  volumeMounts:
{indent}  - {{name: cache, mountPath: /models}}
{indent}  - {{name: tmp, mountPath: /models/tmp}}
{indent}  - {{name: part, mountPath: /part, subPath: deep/er}}
{indent}  {run}
{indent}volumes:
{indent}- {{name: cache, persistentVolumeClaim: {{claimName: model-cache}}}}
{indent}- {{name: tmp, emptyDir: {{}}}}
{indent}- {{name: part, persistentVolumeClaim: {{claimName: model-cache}}}}
"""


IMPORT = "from huggingface_hub import snapshot_download"


def job(run: str, kind: str = "Job") -> str:
    if kind == "Pod":
        return JOB.format(api="v1", kind=kind, path="", indent="  ", run=run)
    path = "\n  template:\n    spec:" if kind != "CronJob" else "\n  jobTemplate: {spec: {template: {spec:"
    return JOB.format(api="batch/v1", kind=kind, path=path, indent="      ", run=run)


def script(text: str) -> str:
    body = textwrap.indent(textwrap.dedent(text).strip(), " " * 10)
    return f"command: [/bin/sh, -c]\n        args:\n        - |\n{body}"


def fetched(written: Written, run: str, kind: str = "Job") -> list[tuple[str | None, str | None]]:
    return [(download.model, download.folder) for download in written(job(run, kind)).downloads]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf download org/model", [("org/model", None)]),
        ("huggingface-cli download org/model", [("org/model", None)]),
        ("/opt/venv/bin/hf download org/model", [("org/model", None)]),
        ('set -eu\npip install -q huggingface_hub\nhf download "$MODEL"', [("org/from-env", None)]),
        ("M=org/a; hf download $M --revision main --local-dir /models/a", [("org/a", "model-cache:a")]),
        ("hf download --local-dir=/models/a --quiet --revision x org/a", [("org/a", "model-cache:a")]),
        ("hf download org/a --local-dir /part/x/../y", [("org/a", "model-cache:deep/er/y")]),
        ("hf download org/a --local-dir /models/tmp/a", [("org/a", None)]),
        ("hf download org/a --local-dir ./a", [("org/a", None)]),
        ("hf download org/a --local-dir /modelsx", [("org/a", None)]),
        ("hf download org/a --exclude 'original/*' && hf download org/b", [("org/a", None), ("org/b", None)]),
        ("for m in org/a org/b; do hf download $m; done", [(None, None)]),
        ("hf download $NOWHERE", [(None, None)]),
        ("hf download --repo-type dataset org/data", []),
        ("if ! hf download org/a; then sleep 5; hf download org/a; fi", [("org/a", None), ("org/a", None)]),
        ("echo hf downloads nothing here; hf auth login; hf download", []),
        ("hf download --revision", []),
    ],
)
def test_downloads_by_command_line(
    written: Written, text: str, expected: list[tuple[str | None, str | None]]
) -> None:
    assert fetched(written, script(text)) == expected


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ("hf download org/a", [None]),
        ("hf download org/a --revision abc", ["abc"]),
        ('R=abc; hf download --revision="$R" org/a', ["abc"]),
        ("hf download org/a --revision $(cat revision)", [None]),
        (f"python3 -c \"{IMPORT}; snapshot_download('a/b', revision='abc')\"", ["abc"]),
        (f"python3 -c \"{IMPORT}; snapshot_download('a/b', revision=r())\"", [None]),
    ],
)
def test_revisions_of_downloads(written: Written, run: str, expected: list[str | None]) -> None:
    assert [download.revision for download in written(job(script(run))).downloads] == expected


def test_commands_of_a_benchmark(written: Written) -> None:
    (benchmark,) = written(job(script("set -e\npip install aiperf\naiperf profile -m $MODEL"))).benchmarks
    assert [[word.text for word in command] for command in benchmark.commands] == [
        ["set", "-e"],
        ["pip", "install", "aiperf"],
        ["aiperf", "profile", "-m", "org/from-env"],
    ]
    assert benchmark.container.resolve_on_claim("/part/x") == "model-cache:deep/er/x"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (f"{IMPORT}\nsnapshot_download('org/a')", ["org/a"]),
        (f"{IMPORT} as s; s('org/a', ignore_patterns=['x/*']); s('org/b')", ["org/a", "org/b"]),
        ("import huggingface_hub as h\nh.snapshot_download(repo_id='org/a', local_dir='/x')", ["org/a"]),
        (f"{IMPORT}\nsnapshot_download(\n    revision='main',\n    repo_id='org/a',\n)", ["org/a"]),
        (f"import os\n{IMPORT}\nsnapshot_download(os.environ['MODEL'])", ["org/from-env"]),
        (f"import os\n{IMPORT}\nm = os.getenv('MODEL')\nsnapshot_download(m)", ["org/from-env"]),
        (f"{IMPORT}\nfor m in ['org/a', 'org/b']:\n    snapshot_download(m)", ["org/a", "org/b"]),
        (f"{IMPORT}\nMODEL = 'org/a'\nsnapshot_download(MODEL)", ["org/a"]),
        (f"{IMPORT}; snapshot_download(sys.argv[1])", [None]),
        (f"{IMPORT}\nsnapshot_download(f'org/{{x}}')", [None]),
        (f"{IMPORT}\nm = m2 = 'org/a'\nm = n\nsnapshot_download(m)", [None]),
        (f"{IMPORT}\nfetch = snapshot_download", [None]),
        (f"{IMPORT}; snapshot_download('org/d', repo_type='dataset')", []),
        ("import json; print('application/json', 'org/a')", []),
    ],
)
def test_downloads_by_python_library(written: Written, code: str, expected: list[str | None]) -> None:
    assert [model for model, _ in fetched(written, script(f"python3 - <<'EOF'\n{code}\nEOF"))] == expected
    exec_form = f"command: [python3, -c, {json.dumps(code)}]"
    assert [model for model, _ in fetched(written, exec_form)] == expected


def test_downloads_have_their_positions(written: Written) -> None:
    python = f"python3 -c \"{IMPORT} as s; \\\n  s('org/b')\""
    text = job(script(f"set -e\n# hf download org/no\nhf download \\\n  org/a\n{python}"))
    rows = text.splitlines()
    places: dict[str | None, Download] = {download.model: download for download in written(text).downloads}
    a, b = places["org/a"], places["org/b"]
    assert rows[a.line - 1][a.column - 1 :] == "org/a"
    assert rows[b.line - 1].strip() == "s('org/b')\""


@pytest.mark.parametrize("kind", ["Pod", "Job", "Deployment", "StatefulSet", "DaemonSet"])
def test_every_workload_kind_may_download(written: Written, kind: str) -> None:
    run = "command: [hf, download, org/a, --local-dir, /models/a]"
    assert fetched(written, run, kind) == [("org/a", "model-cache:a")]


def test_init_containers_and_cron_jobs_may_download(written: Written) -> None:
    pod = "{initContainers: [{name: i, command: [hf, download, org/a]}], containers: [{name: c}]}"
    spec = f"{{jobTemplate: {{spec: {{template: {{spec: {pod}}}}}}}}}"
    text = f"apiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: c}}\nspec: {spec}\n"
    assert [download.model for download in written(text).downloads] == ["org/a"]


@pytest.mark.parametrize(
    "tool",
    [
        *("aiperf profile --model $MODEL", "genai-perf profile", "guidellm benchmark", "vllm bench serve"),
        *("python3 -m bench_serving", "python3 benchmark_serving.py", "inference-perf --config x"),
    ],
)
def test_benchmarks_are_recognised_by_their_tool(written: Written, tool: str) -> None:
    (benchmark,) = written(job(script(f"set -e\n{tool}"))).benchmarks
    assert benchmark.model is not None
    assert benchmark.endpoint is not None
    assert (benchmark.name, benchmark.model.value) == ("job", "org/from-env")
    assert benchmark.endpoint.value == "g-frontend:8000"


def test_a_job_without_a_load_generator_is_not_a_benchmark(written: Written) -> None:
    assert written(job(script("curl http://x/v1/models"))).benchmarks == ()


def test_claims_have_class_modes_and_size(written: Written) -> None:
    whole = "accessModes: [ReadWriteMany], storageClassName: fast, resources: {requests: {storage: 100Gi}}"
    specs = {"a": whole, "b": "storageClassName: ''", "c": "storageClassName: null"}
    head = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata"
    text = "".join(f"{head}: {{name: {name}}}\nspec: {{{spec}}}\n---\n" for name, spec in specs.items()) + (
        "apiVersion: nvidia.com/v1alpha1\nkind: DynamoGraphDeployment\nmetadata: {name: g}\nspec:\n"
        "  pvcs: [{name: d, create: true, storageClass: slow, volumeAccessMode: ReadWriteOnce}, "
        "{name: e, create: true, size: 5Gi}, {name: f, create: false}, {name: g}]\n"
    )
    claims = written(text).claims
    assert {c.name: c.size for c in claims if c.size} == {"a": "100Gi", "e": "5Gi"}
    assert [(c.name, c.storage_class, c.access_modes) for c in claims] == [
        ("a", "fast", ("ReadWriteMany",)),
        ("b", "", ()),
        ("c", None, ()),
        ("d", "slow", ("ReadWriteOnce",)),
        ("e", None, ()),
    ]
