"""What READMEs tell, each with one mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.docs import readme
from dynocheck.facts import Recipes
from dynocheck.recipe.discover import load_recipes
from tests.checks.judging import FRONTEND, GRAPH, get_skip_reason, list_messages, recipes, run_check, worker

JOB = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: model-download}\n"
CLAIM = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: model-cache}\n"


def described(folder: Path, text: str, *, name: str = "README.md") -> Recipes:
    """A model of one variant, of 8 GPUs, with this README."""
    model = folder / "recipes" / "qwen"
    recipes(
        model,
        model_cache__model_cache=CLAIM,
        model_cache__model_download=JOB,
        vllm__agg__deploy=GRAPH + FRONTEND + worker(gpus='"8"'),
    )
    (model / name).write_text(text)
    return Recipes(load_recipes([str(model)]))


def shell(*lines: str, language: str = "bash") -> str:
    return "\n".join(("# Qwen", "", f"```{language}", *lines, "```", ""))


# docs.commands


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("kubectl apply -f vllm/disagg/deploy.yaml", "vllm/disagg/deploy.yaml does not exist"),
        ("kubectl apply -n x --filename=model-cache/cache.yaml", "model-cache/cache.yaml does not exist"),
        ("kubectl -n x apply -f model-cache.yaml", "model-cache.yaml does not exist"),
        ("kubectl apply -f model-cache/,perf/", "perf/ does not exist"),
        ("cd model-cache && kubectl apply -f download.yaml", "download.yaml does not exist"),
        ("kubectl wait --for=condition=Complete job/download -n x", "the recipe has no Job download"),
        ("kubectl -n x wait job download --for condition=Complete", "the recipe has no Job download"),
        ("kubectl get dgd qwen -o yaml", "the recipe has no DynamoGraphDeployment qwen"),
        ("kubectl delete dynamographdeployments.nvidia.com q", "the recipe has no DynamoGraphDeployment q"),
        ("kubectl port-forward svc/qwen-frontend 8000:8000 &", "the recipe has no Service qwen-frontend"),
        ("kubectl logs -f job/perf | tail", "the recipe has no Job perf"),
        ("POD=$(kubectl get job perf -o name)", "the recipe has no Job perf"),
    ],
)
def test_a_command_that_names_what_there_is_not(tmp_path: Path, command: str, message: str) -> None:
    (finding,) = run_check(readme.commands, described(tmp_path, shell("# first", command)))
    assert (str(finding.outcome), finding.message) == ("warn", message)
    assert finding.location is not None
    assert finding.location.file.endswith("qwen/README.md")
    assert finding.location.line == 5


@pytest.mark.parametrize(
    "command",
    [
        "kubectl apply -f vllm/agg/deploy.yaml -n ${NAMESPACE}",
        "$ kubectl apply -f recipes/qwen/vllm/agg/deploy.yaml",
        "kubectl apply -f model-cache/",
        "cd recipes/qwen && kubectl apply -f model-cache/model-download.yaml",
        "cd vllm/agg; kubectl apply -f deploy.yaml",
        "kubectl apply -f vllm/${MODE}/deploy.yaml",
        "kubectl apply -f vllm/<mode>/deploy.yaml",
        "kubectl apply -f https://example.com/crds.yaml",
        "kubectl apply -f -",
        "kubectl apply -f 'vllm/*/deploy.yaml'",
        "# OR: kubectl apply -f vllm/gone/deploy.yaml",
        "kubectl wait --for=condition=Complete job/model-download --timeout=600s",
        "kubectl wait --for=condition=ready pod -l app=x",
        "kubectl port-forward svc/g-frontend 8000:8000",
        "kubectl get pods -n x | grep benchmark",
        "kubectl exec -it -n x <benchmark-pod> -- tmux a -t benchmark",
        "kubectl port-forward svc/inference-gateway 8080:80 -n gateways",
        "kubectl get dgd",
        "kubectl get secret hf-token-secret",
        "kubectl logs -f deployment/dynamo-operator -c manager",
        "kubectl create job perf --image=x\nkubectl wait --for=condition=complete job/perf",
        'curl http://localhost:8000/v1 -d \'{\n  "model": "q"\n}\'\nkubectl get dgd g',
        'kubectl create secret generic a \\\n  --from-literal=HF_TOKEN="your-token"',
        "cat <<EOF | kubectl apply -f -\nit's a document\nEOF",
        "echo 'never closed",
    ],
)
def test_a_command_that_holds_or_cannot_be_told(tmp_path: Path, command: str) -> None:
    text = shell("kubectl get nodes", *command.split("\n"))
    assert list_messages(readme.commands, described(tmp_path, text)) == []


def test_variables_that_the_page_sets_are_known(tmp_path: Path) -> None:
    text = shell("export MODE=agg", "SKU=h200") + shell("kubectl apply -f vllm/$MODE-${SKU}/deploy.yaml")
    assert list_messages(readme.commands, described(tmp_path, text)) == [
        ("warn", "vllm/agg-h200/deploy.yaml does not exist")
    ]


def test_only_shell_is_read(tmp_path: Path) -> None:
    text = shell("kubectl apply -f gone.yaml", language="text")
    assert "no README" in get_skip_reason(readme.commands, described(tmp_path / "a", text))
    other = described(tmp_path / "b", shell("kubectl apply -f gone.yaml"), name="NOTES.md")
    assert "no README" in get_skip_reason(readme.commands, other)


def test_a_page_of_a_variant_is_read_from_there(tmp_path: Path) -> None:
    described(tmp_path, "")
    variant = tmp_path / "recipes" / "qwen" / "vllm" / "agg"
    (variant / "README.md").write_text(shell("kubectl apply -f deploy.yaml", "kubectl apply -f perf.yaml"))
    assert list_messages(readme.commands, Recipes(load_recipes([str(variant)]))) == [
        ("warn", "perf.yaml does not exist")
    ]


def test_a_token_in_a_command_is_not_kept(tmp_path: Path) -> None:
    token = "hf_" + "abcdefghijklmnopqrstuvwx"
    assert token not in repr(described(tmp_path, shell(f"export HF_TOKEN={token}", f"echo {token}")))


# docs.gpus


def table(header: str, *cells: str) -> str:
    return f"| variant | {header} |\n|---|---|\n" + "".join(f"| {cell} |\n" for cell in cells)


@pytest.mark.parametrize(
    ("text", "column"),
    [
        (table("GPUs total", "`vllm/agg` | 16"), "GPUs total"),
        (table("GPUs", "[**vllm/agg**](vllm/agg/) | 4x H100/H200"), "GPUs"),
        (table("# GPUs", "[agg](vllm/agg/) | 16 GPUs"), "# GPUs"),
        (table("GPUs", "[agg](./vllm/agg/deploy.yaml) | 16"), "GPUs"),
        ("| GPUs | Total GPUs | of |\n|---|---|---|\n| 8 | 16 | `vllm/agg` |", "Total GPUs"),
    ],
)
def test_a_number_that_is_not_the_graphs(tmp_path: Path, text: str, column: str) -> None:
    (finding,) = run_check(readme.gpus, described(tmp_path, text))
    assert str(finding.outcome) == "warn"
    assert finding.message.endswith("GPUs, the graph requests 8")
    assert f"write 8 in the column {column}," in (finding.fix or "")
    assert finding.location is not None
    assert finding.location.line == 3


@pytest.mark.parametrize(
    "text",
    [table("GPUs total", "`vllm/agg` | 8"), table("GPUs", "[**vllm/agg**](vllm/agg/) | 8x H200")],
)
def test_a_number_that_is_the_graphs(tmp_path: Path, text: str) -> None:
    assert list_messages(readme.gpus, described(tmp_path, text)) == []


@pytest.mark.parametrize(
    "text",
    [
        table("GPUs per worker", "`vllm/agg` | 4"),
        table("GPUs", "`vllm/disagg` | 4"),
        table("GPUs", "aggregated | 4"),
        table("GPUs", "`vllm/agg` | 1 to 4"),
        table("GPU", "`vllm/agg` | H100"),
        "GPUs: 4",
    ],
)
def test_a_row_that_may_mean_something_else(tmp_path: Path, text: str) -> None:
    assert "no README has a table" in get_skip_reason(readme.gpus, described(tmp_path, text))


# docs.links


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("see [perf](perf/README.md)", "the link to perf/README.md is broken"),
        ("see\n[here](#set-up)\n\n# Setup", "the link to #set-up is broken"),
        ("![picture](picture.png)", "the link to picture.png is broken"),
    ],
)
def test_a_link_that_leads_nowhere(tmp_path: Path, text: str, message: str) -> None:
    assert list_messages(readme.links, described(tmp_path, text)) == [("warn", message)]


@pytest.mark.parametrize(
    "text",
    [
        "[agg](vllm/agg/) [file](vllm/agg/deploy.yaml) [a](<vllm/agg>)",
        "[here](#gpus--memory-h200)\n\n## GPUs & `memory` (H200)",
        "[again](#test-1)\n\n# Test\n\n# Test",
        '[there](#there)\n\n<a name="there"></a>',
        "[self](README.md#top)\n\n# Top",
        "[code](vllm/agg/deploy.yaml#L3)",
    ],
)
def test_a_link_that_leads_somewhere(tmp_path: Path, text: str) -> None:
    assert list_messages(readme.links, described(tmp_path, text)) == []


@pytest.mark.parametrize(
    "text",
    ["[docs](../../docs/guide.md)", "[web](https://example.com)", "[mail](mailto:a@b.c)", "[root](/docs)"],
)
def test_a_link_out_of_the_recipe_is_not_followed(tmp_path: Path, text: str) -> None:
    assert "no README with a link" in get_skip_reason(readme.links, described(tmp_path, text))


def test_a_page_that_is_no_text_says_nothing(tmp_path: Path) -> None:
    described(tmp_path, "")
    (tmp_path / "recipes" / "qwen" / "README.md").write_bytes(b"\xff\xfe\x00[a](b)")
    assert "no README" in get_skip_reason(
        readme.links, Recipes(load_recipes([str(tmp_path / "recipes" / "qwen")]))
    )
