"""Kinds of defect: what is done to the text of a recipe's file, and which check must notice it, and where."""

from __future__ import annotations

from collections.abc import Callable
from re import Match
from typing import NamedTuple

Edit = str | Callable[[Match[str]], str]


class DefectKind(NamedTuple):
    """A defect that people make.

    `old` and `new` are an expression and what takes its place, at one place of a file at a time. `files` and
    `needs` say where it is one: in files of this name that hold this. The finding must stand on a line that
    the edit changed, on the nearest one above or below it that `at` is found in, or on one of the same
    document that `within` is found in. Where two files differ either may be the wrong one: then it may stand
    on a line of another one that `elsewhere` is found in.
    """

    name: str
    check: str
    old: str
    new: Edit
    at: str = ""
    files: str = r"\.yaml$"
    needs: str = ""
    within: str = ""
    elsewhere: str = ""


DEPLOY, PERF, CACHE = r"deploy[^/]*\.yaml$", r"perf\.yaml$", r"(model-)?cache\.yaml$"
DOWNLOAD, ROUTE, README = r"download[^/]*\.yaml$", r"http-route[^/]*\.yaml$", r"README\.md$"
NEW = r"nvidia\.com/v1beta1"
RUNS = r"(perf|download[^/]*)\.yaml$"
RELEASE = r"(?<=-runtime:)1\.\d+\.\d+\b"
ENTRY = r"^\s*- (name|type): "  # of a component or container
COMPONENT = r"^  (  )?- name: |^    (?!podTemplate|multinode|eppConfig)[\w-]+:$"  # of either version
PAIR = r"--disaggregation-mode(\n +- |[ =])\W?prefill|[tT]ype: prefill$"
SEVERAL = r"(?=\n(?:(?!  - name: ).*\n)*?.*gpu: .?[2-9])"  # GPUs in a pod of the component
SHA = "0123456789abcdef0123456789abcdef01234567"
ON_WORKERS = r"dynamo\.(vllm|sglang|trtllm)"


def without(text: str) -> str:
    """A file that does not hold this."""
    return rf"\A(?!(?s:.*){text})"


def flag(name: str, value: str = r"(\S+)") -> str:
    """A flag and its value, on a line each."""
    return rf'(- {name}\n +- "?){value}("?)$'


def doubled(match: Match[str]) -> str:
    return f"{match[1]}{int(match[2]) * 2}{match[3]}"


def last(match: Match[str]) -> str:
    return match[0].rstrip()


KINDS = (
    DefectKind("a key twice", "manifest.yaml", r"^( +)(replicas: \d+)$", r"\1\2\n\1\2", at="replicas"),
    DefectKind("a tab for blanks", "manifest.yaml", r"^ +(image: \S+)$", r"\t\1"),
    DefectKind("an alias of nothing", "manifest.yaml", r"image: \S+$", "image: *image"),
    DefectKind(
        "a bracket that stays open",
        "manifest.yaml",
        r"^( +)replicas: (\d+)$",
        r"\1replicas: [\2",
        at=r"^\s*\w+:",
    ),
    DefectKind("text after ---", "manifest.yaml", r"^---$", "--- x"),
    DefectKind("an unknown field", "manifest.schema", r"^( +)image: ", r"\1imagge: ", at=ENTRY),
    DefectKind("a number in quotes", "manifest.schema", r"^( +replicas: )(\d+)$", r'\1"\2"'),
    DefectKind(
        "a list for text", "manifest.schema", r"^( +)(restartPolicy|backendFramework): (\w+)$", r"\1\2: [\3]"
    ),
    DefectKind(
        "a required field left out",
        "manifest.schema",
        r"^ +mountPath: .*\n",
        "",
        at=r"^\s*- (name|mountPath)",
    ),
    DefectKind(
        "a unit there is not",
        "manifest.schema",
        r"(memory|storage): (\d+)Gi$",
        r"\1: \2GB",
        needs=rf"{NEW}|batch/v1|PersistentVolumeClaim",
    ),
    DefectKind("a value there is not", "manifest.schema", r"restartPolicy: \w+", "restartPolicy: Sometimes"),
    DefectKind(
        "a role there is not", "manifest.schema", r"( type: )(worker|prefill|decode)$", r"\1werker", needs=NEW
    ),
    DefectKind("a name that is none", "manifest.schema", r"(?<=\nmetadata:\n)(  name: )(\S+)$", r"\1My_\2"),
    DefectKind(
        "a version there is not",
        "manifest.api-version",
        r"^apiVersion: nvidia.com/v1\w+$",
        "apiVersion: nvidia.com/v2",
    ),
    DefectKind(
        "a kind of another group",
        "manifest.api-version",
        r"^apiVersion: batch/v1$",
        "apiVersion: apps/v1",
        at="^kind",
    ),
    DefectKind(
        "a name too long",
        "manifest.names",
        r"(?<=kind: DynamoGraphDeployment\nmetadata:\n)(  name: \S+)$",
        r"\1-" + "x" * 45,
        within=COMPONENT,
        files=DEPLOY,
    ),
    DefectKind(
        "an object twice", "manifest.duplicates", r"(?s)\A.*\Z", lambda m: f"{m[0]}\n---\n{m[0]}", files=CACHE
    ),
    DefectKind(
        "a namespace of its own",
        "manifest.namespaces",
        r"(?<=kind: DynamoGraphDeployment\nmetadata:\n)(  name: \S+)$",
        r"\1\n  namespace: other",
    ),
    DefectKind(
        "a placeholder for an image",
        "manifest.placeholders",
        r"(?<=image: )\S+$",
        "my-registry/vllm-runtime:my-tag",
    ),
    DefectKind(
        "a placeholder for a value", "manifest.placeholders", r"(?<= value: )[A-Z]\w+/\S+$", "<model>"
    ),
    DefectKind(
        "a privileged container",
        "security.privileges",
        r"^( +)(image: \S+)$",
        r"\1\2\n\1securityContext: {privileged: true}",
        files=RUNS,
        needs=without("(securityContext|sysctl)"),
    ),
    DefectKind(
        "a container that gets privileged",
        "security.privileges",
        r"^( +)securityContext:\n( +)(?!privileged)",
        r"\1securityContext:\n\2privileged: true\n\2",
        files=RUNS,
        needs=without("sysctl"),
    ),
    DefectKind(
        "a folder of the node",
        "security.privileges",
        r"^( +)persistentVolumeClaim:\n +claimName: \S+$",
        r"\1hostPath: {path: /}",
        at=r"- name:",
    ),
    DefectKind(
        "a token in clear",
        "security.secrets",
        r"(- name: HF_TOKEN\n( +))valueFrom:\n(\2 +.*\n)+",
        r"\1value: hf_AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGh\n",
    ),
    DefectKind(
        "no frontend",
        "graph.frontend",
        r"(?s)\A.*\Z",
        lambda m: (
            m[0]
            .replace("dynamo.frontend", "dynamo.planner")
            .replace("type: frontend", "type: planner")
            .replace("componentType: frontend", "componentType: planner")
        ),
        within="^  name:",
        files=DEPLOY,
        needs=without("epp") + r"(?s:.*)dynamo\.frontend",
    ),
    DefectKind(
        "two prefill sides",
        "graph.roles",
        flag("--disaggregation-mode", "decode"),
        r"\1prefill\2",
        at="--disaggregation-mode",
    ),
    DefectKind(
        "no decode side",
        "graph.both-sides",
        flag("--disaggregation-mode", "decode"),
        r"\1prefill\2",
        within="--disaggregation-mode",
        needs=r"dynamo\.sglang",
    ),
    DefectKind(
        "a mode that is left out",
        "graph.roles",
        r"^ +- --disaggregation-mode\n +- prefill\n",
        "",
        at=ON_WORKERS,
    ),
    DefectKind("another framework", "graph.engine-agrees", r"(?<=backendFramework: )vllm$", "sglang"),
    DefectKind(
        "an image of another engine",
        "graph.engine-agrees",
        r"(?<=/)vllm-runtime(?=:.*\n(?:(?! +image:|    [A-Z]\w*:$|  - name:).*\n)*?.*dynamo\.vllm)",
        "sglang-runtime",
        at=ON_WORKERS,
    ),
    DefectKind("an image that is the latest", "graph.images-pinned", RELEASE, "latest"),
    DefectKind("an image without a tag", "graph.images-pinned", r"(?<=-runtime):1\.\d+\.\d+$", ""),
    DefectKind("another release", "graph.one-release", RELEASE, "1.0.1", at="image:", files=DEPLOY),
    DefectKind("a probe of another port", "graph.probes", r"(?<=port: )9090$", "9091"),
    DefectKind("a probe of another path", "graph.probes", r"(?<=path: /)(live|health)$", "alive"),
    DefectKind(
        "no time to start", "graph.startup-budget", r"(?<=failureThreshold: )\d{3,}$", "1", at="startupProbe"
    ),
    DefectKind("a misspelt flag", "engine.flags-known", r"--tensor-parallel-size\b", "--tensor-paralel-size"),
    DefectKind(
        "a flag there is not", "engine.flags-known", r"^( +)(- --model(-path)?)$", r"\1- --max-speed\n\1\2"
    ),
    DefectKind(
        "a share of memory above one",
        "engine.values",
        flag("--gpu-memory-utilization", r"([\d.]+)"),
        r"\g<1>90\3",
    ),
    DefectKind("a type there is not", "engine.values", flag("--kv-cache-dtype", r"(\w+)"), r"\1fp7\3"),
    DefectKind(
        "text for a number",
        "engine.values",
        flag("--(?:block-size|tensor-parallel-size|max-model-len)", r"(\d+)"),
        r"\1many\3",
    ),
    DefectKind(
        "a misspelt key in JSON",
        "engine.config-keys",
        r"""(kv_)connector(?=": ?"NixlConnector")""",
        r"\1conector",
        at="--kv-transfer-config",
    ),
    DefectKind(
        "another block size than the picker's",
        "engine.kv-router",
        flag("--block-size", r"(\d+)"),
        r"\g<1>32\3",
        at="--block-size",
        needs=r"DYN_KV_CACHE_BLOCK_SIZE",
    ),
    DefectKind(
        "another block size",
        "engine.pair-agrees",
        flag("--block-size", r"(\d+)"),
        r"\g<1>32\3",
        at="--block-size",
        needs=PAIR,
    ),
    DefectKind(
        "another cache type",
        "engine.pair-agrees",
        flag("--kv-cache-dtype", "auto"),
        r"\1fp8\2",
        at="--kv-cache-dtype",
        needs=PAIR,
    ),
    DefectKind(
        "another connector",
        "engine.pair-agrees",
        "NixlConnector",
        "P2pNcclConnector",
        within="--kv-transfer-config",
        needs=PAIR,
    ),
    DefectKind(
        "no events for the router",
        "engine.kv-router",
        r'(- prefill\n(?:(?! +- name: main).*\n)*?.*"enable_kv_cache_events": ?)true',
        r"\1false",
        within="--kv-events-config",
        needs=r"--router-mode\n +- kv",
    ),
    DefectKind(
        "a router's other block size",
        "engine.kv-router",
        flag("--kv-cache-block-size", r"(\d+)"),
        r"\g<1>16\3",
        at="dynamo.frontend|kv-cache-block-size|block-size",
    ),
    DefectKind(
        "a buffer too small",
        "engine.trtllm-buffer",
        r"(?<=max_tokens_in_buffer: )\d+$",
        "16",
        at="cache_transceiver_config:",
    ),
    DefectKind(
        "twice the tensor parallelism",
        "parallelism.gpus-match",
        flag("--tensor-parallel-size", r"(\d+)"),
        doubled,
        at=COMPONENT,
        files=DEPLOY,
    ),
    DefectKind(
        "GPUs that stand idle",
        "parallelism.gpus-match",
        r'(nvidia\.com/gpu: ")(\d)("\n(?: .*\n)*? +limits:\n +nvidia\.com/gpu: ")\2"',
        lambda m: f'{m[1]}{int(m[2]) * 2}{m[3]}{int(m[2]) * 2}"',
        at=COMPONENT,
    ),
    DefectKind(
        "requests unlike limits",
        "parallelism.requests-equal-limits",
        r'(requests:\n +nvidia\.com/gpu: ")(\d+)"',
        r'\g<1>1\2"',
    ),
    DefectKind(
        "more GPUs than a node has",
        "parallelism.fits-node",
        r'(nvidia\.com/gpu: ")(\d)("\n(?: .*\n)*? +limits:\n +nvidia\.com/gpu: ")\2"',
        lambda m: f'{m[1]}32{m[3]}32"',
        at=COMPONENT,
    ),
    DefectKind(
        "heads that do not divide",
        "parallelism.heads-divide",
        flag("--tensor-parallel-size", r"(\d+)"),
        r"\g<1>3\3",
        at=COMPONENT,
        files=DEPLOY,
    ),
    DefectKind(
        "another model to measure",
        "model.same-everywhere",
        r'(- name: (?:TARGET_MODEL|MODEL_NAME)\n +value: "?[^"\s]+)("?)$',
        r"\1-Instruct\2",
        files=PERF,
    ),
    DefectKind(
        "another model to download",
        "model.same-everywhere",
        r'(- name: MODEL(?:_NAME)?\n +value: "?[^"\s]+)("?)$',
        r"\1-Base\2",
        files=DOWNLOAD,
        within=r"hf download|snapshot_download",
        elsewhere=r"--model|dynamo\.(vllm|sglang|trtllm)",
    ),
    DefectKind(
        "a revision nobody loads",
        "model.revision",
        r"hf download (.\$MODEL.)",
        rf"hf download \1 --revision {SHA}",
        files=DOWNLOAD,
    ),
    DefectKind(
        "another secret", "model.token", r"(?<=name: )hf-token-secret$", "hf-secret", files=r"llama.*\.yaml$"
    ),
    DefectKind(
        "weights that do not fit",
        "memory.weights-fit",
        r"^( +)tensor_parallel_size: (4|32)$",
        r"\1tensor_parallel_size: 1",
        at=COMPONENT,
        files=r"deepseek-r1/trtllm.*deploy\.yaml$",
    ),
    DefectKind(
        "no room for a sequence",
        "memory.kv-cache",
        flag("--max-model-len", r"(\d+)"),
        r"\g<1>99000000\3",
        at=ENTRY,
    ),
    DefectKind(
        "little shared memory",
        "memory.shared-memory",
        r"(?<=sharedMemorySize: )\d+Gi$" + SEVERAL,
        "1Mi",
        at=COMPONENT,
    ),
    DefectKind(
        "a claim of another name", "storage.claim-declared", r"(?<=claimName: )model-cache$", "model-cash"
    ),
    DefectKind(
        "a claim for one node",
        "storage.access-mode",
        r"\A((?:.*\n)*?[^#\n]*)ReadWriteMany",
        r"\1ReadWriteOnce",
        files=CACHE,
        within="accessModes",
    ),
    DefectKind("a claim too small", "storage.size", r"\A((?s:.*?)storage: )\d+Gi$", r"\g<1>2Gi", files=CACHE),
    DefectKind(
        "a cache outside the mount",
        "storage.model-path",
        r"(dynamo\.vllm\n(?:.*\n)*?.*HF_HOME\n +value: )\S+$",
        r"\1/root/models",
        at=ON_WORKERS + "|--model",
        files=DEPLOY,
    ),
    DefectKind(
        "a mount that is read-only",
        "storage.read-only",
        r"^( +)(mountPath: \S+)$",
        r"\1\2\n\1readOnly: true",
        files=DOWNLOAD,
    ),
    DefectKind(
        "no RDMA asked for",
        "network.rdma-requested",
        r"^( +rdma/ib: \S+\n)((?:.*\n)*?)\1",
        r"\2",
        at=COMPONENT,
        files=r"^(?!.*gb200).*\.yaml$",
        needs=r"multinode",
    ),
    DefectKind(
        "memory may not be locked",
        "network.ipc-lock",
        r"- IPC_LOCK$",
        "- SYS_PTRACE",
        at=COMPONENT,
        needs=without("privileged: true"),
    ),
    DefectKind(
        "a transport turned off",
        "network.transport",
        r"(dynamo\.(?:vllm|sglang)\n(?:(?! +- name: main).*\n)*?)( +)- name: HF_HOME$",
        r"\1\2- {name: UCX_TLS, value: tcp}\n\2- name: HF_HOME",
        files=r"^(?!.*gb200).*\.yaml$",
        needs=r"rdma/ib(?s:.*)prefill",
    ),
    DefectKind(
        "another endpoint", "perf.endpoint", r"(ENDPOINT\n +value: )(\S+?)(:\d+)$", r"\1\2s\3", files=PERF
    ),
    DefectKind(
        "another port of the endpoint",
        "perf.endpoint",
        r"(ENDPOINT\n +value: \S+?):8000$",
        r"\1:8001",
        files=PERF,
    ),
    DefectKind(
        "another count of GPUs", "perf.gpu-count", r'(GPU_COUNT\n +value: )"(\d+)"$', r'\1"1\2"', files=PERF
    ),
    DefectKind(
        "another tokenizer",
        "perf.tokenizer",
        r"(- name: TOKENIZER\n +value: )(\S+)$",
        r"\1openai-community/gpt2",
        at="--tokenizer",
        files=PERF,
    ),
    DefectKind("a limit without its unit", "perf.limits", r"(ttft\.p90=)(\d+)m?s", r"\1\2", files=DEPLOY),
    DefectKind("any release of the tool", "perf.tool-pinned", r"aiperf==[\d.]+", "aiperf", files=PERF),
    DefectKind(
        "a wait without an end",
        "perf.bounded",
        r"(?s)(activeDeadlineSeconds: \d+)(.*?)^( +)set -eu\w*$",
        r"backoffLimit: 1\2\3until curl -sf $ENDPOINT; do sleep 5; done",
        files=PERF,
        at="until",
    ),
    DefectKind(
        "results that are lost",
        "perf.artifacts",
        r"(?<=--artifact-dir )(?!\S*WARMUP)\S+(?= |$)",
        "/tmp/perf",
        files=PERF,
        needs=without("tmux"),
    ),
    DefectKind("another pool", "gaie.recipe-route", r"(?<=name: )(\S+-pool)$", r"\1s", files=ROUTE),
    DefectKind("another port of the pool", "gaie.recipe-route", r"(?<=port: )8000$", "9002", files=ROUTE),
    DefectKind(
        "another group of the pool",
        "gaie.recipe-route",
        r"(?<=group: )inference\.networking\.k8s\.io$",
        "inference.networking.x-k8s.io",
        files=ROUTE,
    ),
    DefectKind("a plugin there is not", "gaie.picker", r"(?<=pluginRef: )(\S+)$", r"\1s"),
    DefectKind("a link to nowhere", "docs.links", r"\Z", "\nSee [more](nowhere/more.md).\n", files=README),
    DefectKind(
        "a command on no file",
        "docs.commands",
        r"\Z",
        "\n```sh\nkubectl apply -f nowhere/deploy.yaml\n```\n",
        files=README,
    ),
)
