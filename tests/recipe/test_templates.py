"""Templates that envsubst fills in, and what fills them in here."""

from pathlib import Path

import pytest

from tests.command import CommandResult, run_inside

JOB = """\
apiVersion: batch/v1
kind: Job
metadata: {name: "${NAME}"}
spec:
  template:
    spec:
      restartPolicy: Never
      nodeSelector: ${NODES}
      containers:
      - name: main
        image: registry.example/bench:1.0.0
        command: [sh, -c, 'echo "${HOME}"']
"""
RUNS = "#!/bin/sh\nexport NAME=a NODES='{}'\nenvsubst < job.yaml | kubectl apply -f -\n"


def judge(folder: Path, *options: str, path: str = ".") -> CommandResult:
    return run_inside("recipe", folder / path, *options, "-o", "json")


def list_unjudged(ended: CommandResult) -> list[str]:
    return [
        f"{verdict['check']}: {entry['what'].rpartition('/')[2]}"
        for verdict in ended.report["verdicts"]
        for entry in verdict["unjudged"]
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "job.yaml").write_text(JOB)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("run.sh", RUNS),
        ("README.md", "```\nenvsubst < job.yaml | kubectl apply -f -\n```\n"),
        ("Makefile", "apply:\n\tenvsubst < job.yaml | kubectl apply -f -\n"),
        ("job.yaml", f"# envsubst < job.yaml | kubectl apply -f -\n{JOB}"),
    ],
)
@pytest.mark.parametrize("path", [".", "job.yaml"])
def test_a_template_is_not_judged_where_it_is_open(folder: Path, name: str, text: str, path: str) -> None:
    (folder / name).write_text(text)
    ended = judge(folder, path=path)
    assert list_unjudged(ended) == ["manifest.placeholders: job.yaml: ${NAME}, ${NODES}"]
    assert ended.outcomes["manifest.placeholders"] == "unjudged"
    assert ended.outcomes["manifest.schema"] == "pass"


def test_without_a_renderer_a_variable_is_a_failure(folder: Path) -> None:
    (folder / "run.sh").write_text("kubectl apply -f job.yaml\n")
    ended = judge(folder)
    assert [finding["location"]["line"] for finding in ended.findings("manifest.placeholders")] == [3, 8]
    assert [finding["location"]["line"] for finding in ended.findings("manifest.schema")] == [3, 8]


def test_a_script_above_speaks_of_the_file_by_name(folder: Path) -> None:
    (folder / "run.sh").write_text(RUNS)
    (folder / "jobs").mkdir()
    for name in ("job.yaml", "other.yaml"):
        (folder / "jobs" / name).write_text(JOB)
    assert judge(folder, path="jobs/job.yaml").outcomes["manifest.schema"] == "pass"
    assert judge(folder, path="jobs/other.yaml").outcomes["manifest.schema"] == "fail"


def test_values_fill_a_template_in(folder: Path, tmp_path: Path) -> None:
    values = tmp_path / "values.env"
    values.write_text("# of one machine\nexport NAME='perf'\nNODES='{disk: 5}' # a number\n\n")
    ended = judge(folder, "--env-file", str(values), "--set", "NAME=Perf")
    assert list_unjudged(ended) == []
    assert [finding["location"]["line"] for finding in ended.findings("manifest.schema")] == [3, 8]
    assert ended.report["target"]["set"] == "NAME, NODES"
    fitting = judge(folder, "--env-file", str(values), "--set", "NODES={disk: fast}")
    assert fitting.outcomes["manifest.schema"] == fitting.outcomes["manifest.placeholders"] == "pass"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--set", "NAME"], "--set NAME: write NAME=VALUE"),
        (["--set", "a-b=1"], "--set a-b=1: write NAME=VALUE"),
        (["--env-file", "none.env"], "none.env: No such file"),
        (["--env-file", "bad.env"], "bad.env:2: "),
    ],
)
def test_values_that_cannot_be_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], says: str
) -> None:
    (folder / "bad.env").write_text("A=1\nB='open\n")
    ended = run_inside("recipe", folder, *options, cwd=folder)
    assert ended.code == 2
    assert says in ended.err


def test_a_file_that_is_no_yaml_until_it_is_filled_in(folder: Path) -> None:
    (folder / "cluster.yaml").write_text("kind: ClusterConfig\nzones:\n${ZONES}\nname: a\n")
    assert "manifest.yaml: cluster.yaml" in list_unjudged(judge(folder))


SERVER = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: <NAME>}
spec:
  replicas: <REPLICAS>
  selector: {matchLabels: {app: a}}
  template:
    metadata: {labels: {app: a}}
    spec:
      containers:
      - name: vllm
        image: vllm/vllm-openai:<TAG>
        command: [vllm, serve, <MODEL>]
        args: ["--tensor-parallel-size=<TP>", --kv-transfer-config, '{"kv_connector": "<KV>"}']
        resources: {limits: {nvidia.com/gpu: <GPUS>}}
"""
FILLED = {
    "NAME": "a",
    "REPLICAS": "1",
    "TAG": "v0.9.1",
    "MODEL": "Qwen/Qwen3-8B",
    "TP": "3",
    "GPUS": "2",
    "KV": "No",
}
FORMS = ["${%s}", "{{%s}}", "{{ %s }}", "@@%s@@", "%%%%%s%%%%"]


def write_server(folder: Path, form: str, name: str = "job.yaml") -> None:
    text = SERVER
    for each in FILLED:
        text = text.replace(f"<{each}>", form % each)
    (folder / "job.yaml").unlink()
    (folder / name).write_text(text)


@pytest.mark.parametrize("form", FORMS)
def test_what_no_program_reads_before_it_is_filled_in_is_a_template(folder: Path, form: str) -> None:
    write_server(folder, form)
    ended = judge(folder)
    (asked,) = [each for each in list_unjudged(ended) if each.startswith("manifest.placeholders")]
    assert asked.endswith(
        ", ".join(form % name for name in ("GPUS", "KV", "MODEL", "NAME", "REPLICAS", "TAG", "TP"))
    )
    assert (ended.code, ended.report["summary"]["fail"], ended.report["summary"]["warn"]) == (0, 0, 0)


@pytest.mark.parametrize("form", FORMS)
def test_values_fill_in_what_stands_between_other_signs(folder: Path, form: str) -> None:
    write_server(folder, form)
    ended = judge(folder, *(word for name, value in FILLED.items() for word in ("--set", f"{name}={value}")))
    assert ended.outcomes["manifest.placeholders"] == ended.outcomes["manifest.schema"] == "pass"
    assert ended.findings("parallelism.gpus-match")


@pytest.mark.parametrize("suffix", ["tmpl", "template", "tpl", "j2", "in", "envsubst"])
def test_a_folder_of_templates_alone_is_a_recipe(folder: Path, suffix: str) -> None:
    write_server(folder, "{{ %s }}" if suffix == "j2" else "${%s}", f"server.yaml.{suffix}")
    ended = judge(folder)
    assert "vLLM" in ended.report["target"]["found"]
    assert ended.outcomes["manifest.placeholders"] == "unjudged"


def test_a_template_beside_what_it_renders_is_not_applied(folder: Path) -> None:
    (folder / "job.yaml.tmpl").write_text(JOB)
    (folder / "job.yaml").write_text(JOB.replace("${NAME}", "a").replace("${NODES}", "{a: b}"))
    assert list_unjudged(judge(folder)) == []


def test_envsubst_fills_in_names_without_braces(folder: Path) -> None:
    (folder / "job.yaml").write_text(JOB.replace('"${NAME}"', "$JOB_NAME").replace("${NODES}", "$NODES"))
    (folder / "run.sh").write_text(RUNS)
    ended = judge(folder)
    assert list_unjudged(ended) == ["manifest.placeholders: job.yaml: ${JOB_NAME}, ${NODES}"]
    assert ended.outcomes["manifest.schema"] == "pass"


def test_values_leave_a_note_on_the_encoding(folder: Path) -> None:
    (folder / "run.sh").write_text(PLACES["run.sh"])
    (folder / "job.yaml").write_bytes(b"# caf\xe9\n" + TAGGED.encode())
    for options in ([], ["--set", "IMAGE_TAG=1.2.3"]):
        (finding,) = judge(folder, *options).findings("manifest.yaml")
        assert finding["outcome"] == "warn"


def test_a_tag_of_three_braces_is_one(folder: Path) -> None:
    (folder / "cluster.yaml").write_text("kind: ClusterConfig\nzone:\n  {{{PREFIX}}}/pool: {{{POOL}}}\n")
    assert "manifest.placeholders: cluster.yaml: {{{POOL}}}" in list_unjudged(judge(folder))


def test_a_name_may_say_that_a_file_is_a_template(folder: Path) -> None:
    (folder / "job.yaml").rename(folder / "job.template.yaml")
    ended = judge(folder)
    assert list_unjudged(ended) == ["manifest.placeholders: job.template.yaml: ${NAME}, ${NODES}"]


def test_a_patch_named_alone_is_an_input_of_kustomize(folder: Path) -> None:
    (folder / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [job.yaml]\n"
        "patches: [{path: patch.yaml}]\n"
    )
    (folder / "patch.yaml").write_text("kind: Job\nmetadata: {name: a}\nspec: {parallelism: 2}\n")
    patch = judge(folder, path="patch.yaml")
    assert (patch.code, patch.outcomes["manifest.schema"]) == (3, "skip")
    assert patch.outcomes["structure.layout"] == "unknown"
    assert judge(folder, path="job.yaml").outcomes["manifest.schema"] == "fail"


TAGGED = JOB.replace("bench:1.0.0", "bench:IMAGE_TAG").replace('"${NAME}"', "a").replace("${NODES}", "{a: b}")
PLACES = {
    "run.sh": 'sed -e "s|IMAGE_TAG|$TAG|g" job.yaml | kubectl apply -f -\n',
    "README.md": "```\nsed -i 's/bench:IMAGE_TAG/bench:1.2.3/' job.yaml\n```\n",
    "Makefile": "apply:\n\tsed -e 's#image: .*/bench#x#' \\\n\t -e 's#IMAGE_TAG#$(TAG)#' job.yaml > a.yaml\n",
}


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("path", [".", "job.yaml"])
def test_what_sed_replaces_is_open(folder: Path, name: str, path: str) -> None:
    (folder / "job.yaml").write_text(TAGGED)
    (folder / name).write_text(PLACES[name])
    asked = [each.partition("job.yaml: ")[2] for each in list_unjudged(judge(folder, path=path))]
    assert asked in (["IMAGE_TAG"], ["bench:IMAGE_TAG"])


def test_a_variable_that_sed_replaces_is_open(folder: Path) -> None:
    (folder / "run.sh").write_text(r'sed "s/\${NAME}/$1/; s/\${NODES}/{}/" job.yaml | kubectl apply -f -')
    ended = judge(folder)
    assert list_unjudged(ended) == ["manifest.placeholders: job.yaml: ${NAME}, ${NODES}"]
    assert ended.outcomes["manifest.schema"] == "pass"


def test_a_value_that_sed_replaces_is_judged_as_it_is(folder: Path) -> None:
    (folder / "job.yaml").write_text(TAGGED.replace("IMAGE_TAG", "<tag>"))
    (folder / "run.sh").write_text('sed "s|registry.example|$HOST|" job.yaml | kubectl apply -f -\n')
    assert judge(folder).outcomes["manifest.placeholders"] == "fail"


def test_set_fills_in_what_sed_replaces(folder: Path) -> None:
    (folder / "job.yaml").write_text(TAGGED)
    (folder / "run.sh").write_text(PLACES["run.sh"])
    assert list_unjudged(judge(folder, "--set", "IMAGE_TAG=1.2.3")) == []


def test_a_dollar_that_is_filled_in_leaves_a_variable_to_the_shell(folder: Path) -> None:
    text = JOB.replace('"${HOME}"', '"${DOLLAR}HOME ${DOLLAR}(id -u)"').replace(
        "registry.example/", "${REGISTRY}/"
    )
    (folder / "job.yaml").write_text(text.replace('"${NAME}"', "a").replace("${NODES}", "{a: b}"))
    (folder / "run.sh").write_text("export DOLLAR='$' REGISTRY=a\nenvsubst < job.yaml | kubectl apply -f -\n")
    assert list_unjudged(judge(folder)) == ["manifest.placeholders: job.yaml: ${REGISTRY}"]


def test_a_script_above_a_folder_speaks_of_it(folder: Path) -> None:
    (folder / ".git").mkdir()
    (folder / "jobs").mkdir()
    (folder / "job.yaml").rename(folder / "jobs" / "job.yaml")
    assert judge(folder, path="jobs").outcomes["manifest.placeholders"] == "fail"
    (folder / "run.sh").write_text("envsubst < $HERE/jobs/job.yaml | kubectl apply -f -\n")
    assert judge(folder, path="jobs").outcomes["manifest.placeholders"] == "unjudged"


def test_a_key_may_be_filled_in(folder: Path) -> None:
    (folder / "job.yaml").write_text(JOB.replace("${NODES}", '{"${PREFIX}/pool": a}'))
    (folder / "run.sh").write_text(RUNS)
    assert judge(folder).outcomes["manifest.schema"] == "pass"


def test_what_flux_substitutes_is_open(folder: Path) -> None:
    (folder / "apps.yaml").write_text(
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: apps}\n"
        "spec:\n  path: ./apps\n  postBuild:\n    substitute: {NAME: a}\n"
    )
    assert "manifest.placeholders: job.yaml: ${NAME}, ${NODES}" in list_unjudged(judge(folder))
