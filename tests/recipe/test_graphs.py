"""The typed model of graphs of both API versions: GPUs, nodes, variables, files, and wrong types."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from dynocheck.engines import detect_engine
from dynocheck.facts import Component, Container, Graph, Launch, Recipe
from dynocheck.recipe.discover import load_recipes
from tests.recipe.conftest import Written

RECIPES = sorted(Path(__file__).parents[2].glob("recipes/**/*.yaml"))

PAIR = [path.read_text() for path in sorted(Path(__file__).parent.glob("pair.*.yaml"))]
ENGINE = """\
---
apiVersion: v1
kind: ConfigMap
metadata: {name: engine}
data:
  engine.yaml: |
    tensor_parallel_size: 4
"""


PLACES = ("gpu_places", "line", "column", "image_line", "image_column", "file")


def bare(value: Any) -> Any:
    """The same without places."""
    if isinstance(value, dict):
        return {key: bare(inner) for key, inner in value.items() if key not in PLACES}
    return [bare(inner) for inner in value] if isinstance(value, list | tuple) else value


def test_both_versions_give_the_same_graph(written: Written) -> None:
    graphs = [written(text + ENGINE).graphs[0] for text in PAIR]
    assert [graph.api_version for graph in graphs] == ["nvidia.com/v1alpha1", "nvidia.com/v1beta1"]
    alpha, beta = (bare(msgspec.to_builtins(graph)) | {"api_version": ""} for graph in graphs)
    for graph in (alpha, beta):
        for component in graph["components"]:
            for container in component["containers"]:
                container["files"] = [file["path"] for file in container["files"]]
                container["env"] = sorted(container["env"], key=lambda variable: variable["name"])
    assert alpha == beta
    assert [component["role"] for component in alpha["components"]] == ["frontend", "prefill", "something"]
    assert graphs[0].gpus == graphs[1].gpus == 32


ALONE = {
    "v1alpha1": """
  serviceName: w
  componentType: worker
  subComponentType: decode
  envs: [{name: MODEL, value: a/b}]
  resources: {limits: {gpu: "2"}}
  extraPodSpec: {mainContainer: {image: i, args: ["python3 -m dynamo.vllm --model $MODEL"]}}
""",
    "v1beta1": """
  name: w
  type: decode
  podTemplate:
    spec:
      containers:
        - name: main
          image: i
          args: ["python3 -m dynamo.vllm --model $MODEL"]
          env: [{name: MODEL, value: a/b}]
          resources: {limits: {nvidia.com/gpu: "2"}}
""",
}


@pytest.mark.parametrize("version", ALONE)
def test_a_component_alone_is_read_as_one_of_a_graph(written: Written, version: str) -> None:
    head = f"apiVersion: nvidia.com/{version}\nkind: DynamoComponentDeployment\n"
    recipe = written(f"{head}metadata: {{name: c}}\nspec:\n  backendFramework: vllm{ALONE[version]}")
    (alone,) = recipe.servers
    (component,) = alone.components
    assert (alone.of_dynamo, alone.framework, recipe.graphs) == (True, "vllm", ())
    assert (component.name, component.role, component.gpus) == ("w", "decode", 2)
    (launch,) = main(component).launches
    assert [word.text for word in launch.words] == ["--model", "a/b"]
    owner = "ownerReferences: [{kind: DynamoGraphDeployment, name: g}]"
    made = written(f"{head}metadata: {{name: c, {owner}}}\nspec:{ALONE[version]}")
    assert made.servers == ()  # its graph is judged instead


@pytest.mark.parametrize(
    ("role", "args", "modules"),
    [
        ("frontend", "null", ["dynamo.frontend"]),
        ("frontend", "[--http-port, '1']", []),
        ("worker", "[python3 -m dynamo.vllm]", ["dynamo.vllm"]),
        ("decode", "['exec python3 -m dynamo.vllm']", ["dynamo.vllm"]),
        ("worker", "[python3, -m, dynamo.vllm]", []),  # its shell runs the first word alone
        ("worker", "null", []),
        ("epp", "null", []),
    ],
)
def test_the_operators_default_commands(written: Written, role: str, args: str, modules: list[str]) -> None:
    pod = f"{{containers: [{{name: main, args: {args}}}]}}"
    beta = _beta(f"  - {{name: c, type: {role}, podTemplate: {{spec: {pod}}}}}")
    alpha = _alpha(f"{{componentType: {role}, extraPodSpec: {{mainContainer: {{args: {args}}}}}}}")
    for text in (alpha, beta):
        assert [launch.module for launch in main(only(written, text)).launches] == modules


def _beta(*components: str, spec: str = "") -> str:
    head = "apiVersion: nvidia.com/v1beta1\nkind: DynamoGraphDeployment\nmetadata: {name: g}\nspec:\n"
    return head + (f"  {spec}\n" if spec else "") + "  components:\n" + "\n".join(components) + "\n"


def _alpha(service: str) -> str:
    head = "apiVersion: nvidia.com/v1alpha1\nkind: DynamoGraphDeployment\nmetadata: {name: g}\nspec:\n"
    return f"{head}  services:\n    w: {service}\n"


def main(component: Component) -> Container:
    assert component.main is not None
    return component.main


def only(written: Written, text: str) -> Component:
    (component,) = written(text).graphs[0].components
    return component


def read_container(written: Written, text: str, rest: str = "", files: str = "") -> Container:
    """The main container of a graph's only component, beside other objects of the same file."""
    return main(only(written, _container(text, rest) + files))


@pytest.mark.parametrize(
    ("resources", "gpus"),
    [
        ('{limits: {gpu: "8"}}', 8),
        # The main container's own have the last word.
        (
            '{limits: {gpu: "8"}}, extraPodSpec: {mainContainer: {resources: {limits: {nvidia.com/gpu: 4}}}}',
            4,
        ),
        ("{limits: {gpu: 8}}", 8),
        ('{requests: {gpu: "8"}}', 8),
        ('{limits: {cpu: "8"}, requests: {gpu: "4"}}', 4),
        ('{limits: {gpu: "2"}, requests: {gpu: "4"}}', 2),
        ('{limits: {custom: {nvidia.com/gpu: "8"}}}', 8),
        ('{limits: {gpu: "8", custom: {nvidia.com/gpu: "8"}}}', 8),
        ('{limits: {custom: {nvidia.com/mig-1g.10gb: "2", rdma/ib: "4"}}}', 2),
        ('{limits: {gpu: "4", gpuType: gpu.intel.com/xe}}', 4),
        ('{limits: {gpu: "4", gpuType: nvidia.com/mig-3g.40gb}}', 4),
        ('{limits: {gpu: "0"}}', 0),
        ("{limits: {gpu: null}}", 0),
        ("{limits: null}", 0),
        ("null", 0),
        ("{}", 0),
        ('{limits: {gpu: "${GPUS}"}}', None),
        ("{limits: {gpu: many}}", None),
        ("{limits: {gpu: 1.5}}", None),
        ("{limits: {gpu: true}}", None),
        ("{limits: {gpu: [8]}}", None),
    ],
)
def test_gpus_by_every_spelling_of_v1alpha1(written: Written, resources: str, gpus: int | None) -> None:
    assert only(written, _alpha(f"{{componentType: worker, resources: {resources}}}")).gpus == gpus


@pytest.mark.parametrize(
    ("containers", "claim", "gpus"),
    [
        (['{limits: {nvidia.com/gpu: "8"}}'], "", 8),
        (["{limits: {nvidia.com/gpu: 8}, requests: {nvidia.com/gpu: 8}}"], "", 8),
        (["{requests: {amd.com/gpu: 8}}"], "", 8),
        (["{limits: {nvidia.com/gpu.shared: 1}}"], "", 1),
        (["{limits: {nvidia.com/mig-1g.5gb: 1, nvidia.com/mig-2g.10gb: 2}}"], "", 3),
        (["{limits: {nvidia.com/gpu: 4}}", "{limits: {nvidia.com/gpu: 2}}"], "", 6),
        (["null"], "", 0),
        ([], "", 0),
        (["{}"], "{name: gpus, resourceClaimTemplateName: eight}", None),
        (["{}"], "{name: compute-domain-channel}", 0),
        (["{}"], "{name: c, resourceClaimTemplateName: my-compute-domain-channel}", 0),
        (["{limits: {nvidia.com/gpu: 4}}"], "{name: nic}", 4),
    ],
)
def test_gpus_of_a_pod(written: Written, containers: list[str], claim: str, gpus: int | None) -> None:
    named = ", ".join(f"{{name: c{i}, resources: {asked}}}" for i, asked in enumerate(containers))
    pod = f"{{containers: [{named}], resourceClaims: [{claim}]}}"
    component = only(written, _beta(f"  - {{name: w, type: worker, podTemplate: {{spec: {pod}}}}}"))
    assert component.gpus == gpus


@pytest.mark.parametrize(
    ("multinode", "nodes"),
    [
        (", multinode: {nodeCount: 4}", 4),
        (', multinode: {nodeCount: "4"}', 4),
        (", multinode: {}", 2),
        (", multinode: {nodeCount: null}", 2),
        (", multinode: null", 1),
        ("", 1),
    ],
)
def test_nodes(written: Written, multinode: str, nodes: int) -> None:
    assert only(written, _beta(f"  - {{name: w, type: worker{multinode}}}")).nodes == nodes
    assert only(written, _alpha(f"{{componentType: worker{multinode}}}")).nodes == nodes


def test_a_sidecar_that_the_operator_adds_runs_a_frontend(written: Written) -> None:
    component = only(written, _alpha("{componentType: worker, frontendSidecar: {image: front:2, envs: []}}"))
    assert component.sidecar
    (front,) = (container for container in component.containers if container.name == "sidecar-frontend")
    assert front.image == "front:2"
    assert [launch.module for launch in front.launches] == ["dynamo.frontend"]


def test_explicit_nulls_are_ignored(written: Written) -> None:
    service = (
        "{componentType: worker, subComponentType: null, replicas: null, resources: null, envs: null, "
        "volumeMounts: null, extraPodSpec: {containers: null, volumes: null, "
        "mainContainer: {image: null, command: null, env: null, envFrom: null}}}"
    )
    component = only(written, _alpha(service))
    assert (component.role, component.replicas, component.gpus) == ("worker", 1, 0)
    assert main(component).image is None
    assert written(_alpha("null")).graphs[0].components == ()


VALUES = """\
---
apiVersion: v1
kind: ConfigMap
metadata: {name: values}
data: {MODEL: org/model, TP: "4"}
"""


FROM_VALUES = "envFrom: [{configMapRef: {name: values}}]"
CONTAINERS = "  - name: w\n    type: worker\n    podTemplate:\n      spec:\n        containers:"


def _container(text: str, rest: str = "") -> str:
    lines = CONTAINERS, f"        - {{name: main, {text}}}", *([rest] if rest else [])
    return _beta(*lines, spec="env: [{name: A0, value: graph}]")


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("env: [{name: A, value: a}, {name: B, value: $(A)/$(A0)}]", {"A": "a", "B": "a/graph"}),
        # The operator sorts them by name, so which of the two a reference sees is not known.
        ("env: [{name: Z, value: z}, {name: B, value: $(Z)}]", {"Z": "z", "B": None}),
        (
            "env: [{name: A, value: $(NONE)}, {name: E}, {name: K, value: ''}]",
            {"A": "$(NONE)", "E": "", "K": ""},
        ),
        ("env: [{name: A0, value: mine}]", {"A0": "mine"}),
        ("env: [{name: A, value: 1}, {name: B, value: true}]", {"A": None, "B": None}),
        ("env: [{name: A, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]", {"A": None}),
        ("env: [{name: A, valueFrom: {configMapKeyRef: {name: values, key: TP}}}]", {"A": "4"}),
        ("env: [{name: A, valueFrom: {configMapKeyRef: {name: elsewhere, key: TP}}}]", {"A": None}),
        (FROM_VALUES, {"MODEL": "org/model", "TP": "4"}),
        (
            "envFrom: [{configMapRef: {name: values}, prefix: P_}], env: [{name: P_TP, value: '8'}]",
            {"P_MODEL": "org/model", "P_TP": "8"},
        ),
        ("envFrom: [{secretRef: {name: token}}]", {}),
    ],
)
def test_variables(written: Written, text: str, known: dict[str, str | None]) -> None:
    container = read_container(written, text, files=VALUES)
    assert {variable.name: variable.value for variable in container.env} == {"A0": "graph", **known}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"command: [python3, -m, dynamo.vllm, --tp, $(TP)], {FROM_VALUES}", ["--tp", "4"]),
        (f"args: ['python3 -m dynamo.vllm $A0 $TP'], {FROM_VALUES}", ["graph", "4"]),
        ("args: ['python3 -m dynamo.vllm ${TP:-1}'], envFrom: [{configMapRef: {name: elsewhere}}]", [None]),
        ("args: ['python3 -m dynamo.vllm ${TP:-1}']", ["1"]),
        ("command: [python3, -m, dynamo.vllm, --tp, 8, x]", ["--tp", None, "x"]),
        ("command: [python3, -mdynamo.vllm, x]", ["x"]),
        ("command: [numactl, -m, '0', python3, -m, dynamo.vllm, x]", ["x"]),
    ],
)
def test_variables_of_every_level_are_expanded_in_words(
    written: Written, text: str, words: list[str | None]
) -> None:
    (launch,) = read_container(written, text, files=VALUES).launches
    assert launch.module == "dynamo.vllm"
    assert [word.text for word in launch.words] == words


def test_a_launch_has_the_variables_that_its_script_sets(written: Written) -> None:
    script = "export DYN_TRTLLM_TENSOR_PARALLEL_SIZE=4; A0=new python3 -m dynamo.trtllm"
    container = read_container(written, f"args: ['{script}']")
    (launch,) = container.launches
    variables = {variable.name: variable.value for variable in launch.env}
    assert variables == {"DYN_TRTLLM_TENSOR_PARALLEL_SIZE": "4", "A0": "new"}
    assert count_gpus(container, launch, "deploy.yaml") == 4


@pytest.mark.parametrize(
    "text", ["args: [echo python3 -m dynamo.vllm]", "command: [echo, -m, dynamo.vllm]", "args: 5"]
)
def test_printed_commands_are_not_launches(written: Written, text: str) -> None:
    assert read_container(written, text).launches == ()


def test_words_have_their_positions(written: Written) -> None:
    script = """\
          command: [/bin/bash, -c]
          args:
          - |
            # python3 -m dynamo.vllm
            export TP=8
            exec python3 -m dynamo.vllm \\
              --model org/m --max-num-seqs 8 \\
              --tensor-parallel-size $TP"""
    text = _beta(CONTAINERS, "        - name: main", script)
    (launch,) = main(only(written, text)).launches
    rows = text.splitlines()
    places = {rows[w.line - 1][w.column - 1 :].split()[0] for w in launch.words}
    assert places == {"--model", "org/m", "--max-num-seqs", "8", "--tensor-parallel-size", "$TP"}
    assert rows[launch.line - 1][launch.column - 1 :].startswith("dynamo.vllm \\")


DEEP = ", items: [{key: engine.yaml, path: deep/own.yaml}]"
VOLUMES = "        volumes: [{name: v, configMap: {name: engine%s}}]"


@pytest.mark.parametrize(
    ("items", "mount", "paths"),
    [
        ("", "mountPath: /etc/engine", ["/etc/engine/engine.yaml"]),
        ("", "mountPath: /etc/engine/", ["/etc/engine/engine.yaml"]),
        ("", "mountPath: /etc/own.yaml, subPath: engine.yaml", ["/etc/own.yaml"]),
        ("", "mountPath: /etc/engine.yaml, subPath: engine.yaml", ["/etc/engine.yaml"]),
        ("", "mountPath: /etc/engine.yaml, subPath: other.yaml", []),
        ("", "mountPath: /etc/x, subPathExpr: $(POD)", []),
        (DEEP, "mountPath: /etc", ["/etc/deep/own.yaml"]),
        (DEEP, "mountPath: /etc, subPath: deep", ["/etc/own.yaml"]),
        (", items: [{key: none.yaml, path: own.yaml}]", "mountPath: /etc", []),
    ],
)
def test_files_of_a_config_map_volume(written: Written, items: str, mount: str, paths: list[str]) -> None:
    files = read_container(written, f"volumeMounts: [{{name: v, {mount}}}]", VOLUMES % items, ENGINE).files
    assert [file.path for file in files] == paths
    for file in files:
        assert file.root is not None
        assert file.root.plain == {"tensor_parallel_size": 4}


def test_files_of_a_projected_config_map(written: Written) -> None:
    sources = "[{secret: {name: s}}, {configMap: {name: engine}}]"
    volumes = f"        volumes: [{{name: v, projected: {{sources: {sources}}}}}]"
    container = read_container(written, "volumeMounts: [{name: v, mountPath: /etc}]", volumes, ENGINE)
    assert [file.path for file in container.files] == ["/etc/engine.yaml"]


def test_positions_in_a_config_map_of_another_file(written: Written) -> None:
    text = _container("volumeMounts: [{name: v, mountPath: /etc}]", VOLUMES % "")
    recipe = written(**{"deploy.yaml": text, "engine.yaml": "# one\n# two\n" + ENGINE})
    (file,) = main(recipe.graphs[0].components[0]).files
    assert file.root is not None
    size = file.root.get("tensor_parallel_size")
    assert size is not None
    assert (file.file, size.line, size.column) == ("engine.yaml", 9, 27)


def test_claims(written: Written) -> None:
    volumes = (
        "        volumes: [{name: a, persistentVolumeClaim: {claimName: cache}}, {name: b, emptyDir: {}}, "
        "{name: c, persistentVolumeClaim: {claimName: cache}}, {name: d, hostPath: {path: /x}}]"
    )
    text = _container("volumeMounts: [{name: a, mountPath: /models, subPath: hub}]", volumes)
    component = only(written, text)
    assert [claim.name for claim in component.claims] == ["cache"]
    (mount,) = main(component).mounts
    assert (mount.path, mount.source, mount.name, mount.sub_path) == ("/models", "claim", "cache", "hub")
    assert not mount.read_only
    fixed = "volumeMounts: [{name: a, mountPath: /models, readOnly: true}]"
    assert [mount.read_only for mount in read_container(written, fixed, volumes).mounts] == [True]
    cached = _beta("  - {name: w, type: worker, compilationCache: {pvcName: compiled}}")
    assert [claim.name for claim in only(written, cached).claims] == ["compiled"]


def test_graphs_in_a_list(written: Written) -> None:
    graph = yaml.safe_load(_beta("  - {name: w, type: worker}"))
    text = yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": [graph, graph]})
    assert [g.name for g in written(text).graphs] == ["g", "g"]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.relative_to(RECIPES[0].parents[3]).as_posix())
def test_engines_of_our_recipes_use_the_gpus_of_their_components(path: Path) -> None:
    for graph, component, container in list_containers(load_recipes([str(path)])):
        assert component.main is not None
        for launch in container.launches if container is component.main else ():
            if detect_engine(launch) is not None:
                assert component.gpus is not None
                assert count_gpus(container, launch, graph.file) == component.gpus * component.nodes


def count_gpus(container: Container, launch: Launch, file: str) -> int | None:
    """The GPUs that the arguments of an engine ask for."""
    engine = detect_engine(launch)
    assert engine is not None
    split = engine.parallelism(engine.arguments(container, launch, file))
    assert split is not None
    return split.gpus


def list_containers(recipes: Iterable[Recipe]) -> Iterator[tuple[Graph, Component, Container]]:
    for recipe in recipes:
        for graph in recipe.graphs:
            for component in graph.components:
                yield from ((graph, component, container) for container in component.containers)
