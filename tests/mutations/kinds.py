"""Kinds of defect: what is done to the text of a recipe's file, and which check must notice it, and where."""

from re import Match

from tests.mutations import commands, pods
from tests.mutations.defect import COMPONENT, MANIFEST, OR_THE_YAML, STARTS_NOTHING, Defect

DEPLOY, PERF, CACHE = r"deploy[^/]*\.yaml$", r"perf\.yaml$", r"(model-)?cache\.yaml$"
DOWNLOAD, ROUTE, README = r"download[^/]*\.yaml$", r"http-route[^/]*\.yaml$", r"README\.md$"
NEW = r"nvidia\.com/v1beta1"
RUNS = r"(perf|download[^/]*)\.yaml$"
RELEASE = r"(?<=-runtime:)1\.\d+\.\d+$"
ENTRY = r"^\s*- (name|type): "  # of a component or container
PAIR = r"--disaggregation-mode(\n +- |[ =])\W?prefill|[tT]ype: prefill$"
SEVERAL = r"(?=\n(?:(?!  - name: ).*\n)*?.*gpu: .?[2-9])"  # GPUs in a pod of the component
ON_WORKERS = r"dynamo\.(vllm|sglang|trtllm)"
WORKER = r"[wW]orker|[dD]ecode|[pP]refill|" + ON_WORKERS  # what stands before the place in one
SHA = "0123456789abcdef0123456789abcdef01234567"
NOT_GB200 = r"^(?!.*gb200).*\.yaml$"
GRAPH_NAME = r"(?<=kind: DynamoGraphDeployment\nmetadata:\n)(  name: \S+)$(?!\n  namespace)"
GPUS = r'(nvidia\.com/gpu: ")(\d)("\n(?: .*\n)*? +limits:\n +nvidia\.com/gpu: ")\2"'  # of requests and limits


def without(text: str) -> str:
    """A file that does not hold this."""
    return rf"\A(?!(?s:.*){text})"


def flag(name: str, value: str = r"(\S+?)") -> str:
    """A flag and its value, on a line each or on one, or in a script."""
    return rf"""((?:- \W?|\s){name}(?:['"]?\n +- ["']?|[ =]["']?)){value}(["']?)(?=\s|$)"""


def doubled(match: Match[str]) -> str:
    return f"{match[1]}{int(match[2]) * 2}{match[3]}"


TP, BLOCK_SIZE = flag("--tensor-parallel-size", r"(\d+)"), flag("--block-size", r"(\d+)")
MODE = flag("--disaggregation-mode", "decode")
BY_CHECK = {
    "manifest.yaml": [
        Defect("a key twice", r"^( +)(replicas: \d+)$", r"\1\2\n\1\2", at="replicas"),
        Defect("a tab for blanks", r"^ +(image: \S+)$", r"\t\1"),
        Defect("an alias of nothing", r"image: \S+$", "image: *image"),
        Defect("a bracket that stays open", r"^( +)replicas: (\d+)$", r"\1replicas: [\2"),
        Defect("text after ---", r"^---$", "--- x"),
    ],
    "manifest.schema": [
        Defect("an unknown field", r"^( +)image: ", r"\1imagge: ", at=ENTRY),
        Defect("a number in quotes", r"^( +replicas: )(\d+)$", r'\1"\2"'),
        Defect("a list for text", r"^( +)(restartPolicy|backendFramework): (\w+)$", r"\1\2: [\3]"),
        Defect("a required field left out", r"^ +mountPath: .*\n", "", at=r"^\s*- (name|mountPath)"),
        Defect(
            "a unit there is not",
            r"(memory|storage): (\d+)Gi$",
            r"\1: \2GB",
            needs=rf"{NEW}|batch/v1|PersistentVolumeClaim",
        ),
        Defect("a value there is not", r"restartPolicy: \w+", "restartPolicy: Sometimes"),
        Defect("a role there is not", r"( type: )(worker|prefill|decode)$", r"\1werker", needs=NEW),
        Defect("a name that is none", r"(?<=\nmetadata:\n)(  name: )(\S+)$", r"\1My_\2"),
    ],
    "manifest.api-version": [
        Defect("a version there is not", r"^apiVersion: nvidia.com/v1\w+$", "apiVersion: nvidia.com/v2"),
        Defect("a kind of another group", r"^apiVersion: batch/v1$", "apiVersion: apps/v1", at="^kind"),
    ],
    "manifest.names": [
        Defect("a name too long", GRAPH_NAME, r"\1-" + "x" * 45, within=COMPONENT, files=DEPLOY)
    ],
    "manifest.duplicates": [
        Defect("an object twice", r"(?s)\A.*\Z", lambda m: f"{m[0]}\n---\n{m[0]}", files=CACHE)
    ],
    "manifest.namespaces": [Defect("a namespace of its own", GRAPH_NAME, r"\1\n  namespace: other")],
    "manifest.placeholders": [
        Defect("a placeholder for an image", r"(?<=image: )\S+$", "my-registry/vllm-runtime:my-tag"),
        Defect("a placeholder for a value", r"(?<= value: )[A-Z]\w+/\S+$", "<model>"),
    ],
    "manifest.environment": [
        Defect("a misspelt variable", r"(?<=- name: )HF_HOME$", "HF_HMOE"),
        Defect(
            "a variable twice",
            r"^( +)(- name: (?:HF_HOME|UCX_TLS|MODEL_PATH)\n +value: )(\S+)$",
            r"\1\2\3\n\1\2/other",
            at="- name",
        ),
    ],
    "security.privileges": [
        Defect(
            "a privileged container",
            r"^( +)(image: \S+)$",
            r"\1\2\n\1securityContext: {privileged: true}",
            files=RUNS,
            needs=without("(securityContext|sysctl)"),
        ),
        Defect(
            "a container that gets privileged",
            r"^( +)securityContext:\n( +)(?! |privileged|seccompProfile|runAs|fsGroup)",
            r"\1securityContext:\n\2privileged: true\n\2",
            files=RUNS,
            needs=without("sysctl"),
            after="containers:\n",
        ),
        Defect(
            "a folder of the node",
            r"^( +)persistentVolumeClaim:\n +claimName: \S+(?:\n +readOnly: \w+)?$",
            r"\1hostPath: {path: /}",
            at=r"- name:",
        ),
    ],
    "security.secrets": [
        Defect(
            "a token in clear",
            r"(- name: HF_TOKEN\n( +))valueFrom:\n(\2 +.*\n)+",
            r"\1value: hf_AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGh\n",
        )
    ],
    "graph.frontend": [
        Defect(
            "no frontend",
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
        Defect(
            "a frontend without replicas",
            r"(?<=type: frontend\n)((?:(?!  - |    [A-Z]\w*:$).*\n)*? +replicas: )[1-9]$",
            r"\g<1>0",
            at=COMPONENT,
            files=DEPLOY,
            needs=without("planner"),
        ),
    ],
    "graph.roles": [
        Defect(
            "two prefill sides",
            MODE,
            r"\1prefill\2",
            at="--disaggregation-mode",
            needs="[tT]ype: decode$",
        ),
        Defect("a mode that is left out", r"^ +- --disaggregation-mode\n +- prefill\n", "", at=ON_WORKERS),
    ],
    "graph.both-sides": [
        Defect(
            "no decode side",
            MODE,
            r"\1prefill\2",
            within=f"--disaggregation-mode|{COMPONENT}",
            needs=without("[tT]ype: decode$"),
        )
    ],
    "graph.engine-agrees": [
        Defect("another framework", r"(?<=backendFramework: )vllm$", "sglang"),
        Defect(
            "an image of another engine",
            r"(?<=/)vllm-runtime(?=:.*\n"
            r"(?:(?! +image:|    [A-Z]\w*:$|  (?:  )?- name:|.*frontend).*\n)*?.*dynamo\.vllm)",
            "sglang-runtime",
            at=ON_WORKERS,
        ),
    ],
    "graph.placement": [
        Defect("a GPU without its maker", r"(?<=[ '\"])NVIDIA-(?=(G?B[23]00|H[12]00)\b)", "", files=MANIFEST),
        Defect(
            "a node by its name",
            r"^( +)(- key: nvidia\.com/gpu\.(?:product|present))$",
            r"\1- key: kubernetes.io/hostname\n\1  operator: NotIn\n\1  values: [gpu-17]\n\1\2",
            files=MANIFEST,
        ),
    ],
    "graph.images-pinned": [
        Defect("an image with a scheme", r"(?<=image: )(?=nvcr\S+:\d)", "https://", files=DEPLOY),
        Defect(
            "an image in capitals", r"(?<=nvcr.io/nvidia/)ai-dynamo(?=/[\w-]+:\d)", "AI-Dynamo", files=DEPLOY
        ),
        Defect("an image that is the latest", RELEASE, "latest", files=DEPLOY),
        Defect(
            "a registry misspelt", r"(?<=nvcr.io/nvidia/)ai-dynamo(?=/[\w-]+:\d)", "ai-dynmo", files=DEPLOY
        ),
        Defect(
            "a v before a release",
            r"(?<=nvcr.io/nvidia/ai-dynamo/)(\S+-runtime:)(?=1\.)",
            r"\1v",
            files=DEPLOY,
        ),
        Defect("an image without a tag", r"(?<=-runtime):1\.\d+\.\d+$", "", files=DEPLOY),
    ],
    "graph.one-release": [
        Defect("another release", RELEASE, "1.0.1", within=r"image: .*-runtime:", files=DEPLOY)
    ],
    "graph.probes": [
        Defect("a probe of another port", r"(?<=port: )9090$", "9091"),
        Defect("a probe of another path", r"(?<=path: /)(live|health)$", "alive"),
    ],
    "graph.startup-budget": [
        Defect("no time to start", r"(?<=failureThreshold: )\d{3,}$", "1", at="startupProbe", after=WORKER)
    ],
    "engine.flags-known": [
        Defect("a misspelt flag", r"--tensor-parallel-size\b", "--tensor-paralel-size", files=MANIFEST),
        Defect("a flag there is not", r"^( +)(- --model(-path)?)$", r"\1- --max-speed\n\1\2", files=MANIFEST),
    ],
    "engine.values": [
        Defect(
            "a share of memory above one",
            flag("--gpu-memory-utilization", r"([\d.]+)"),
            r"\g<1>90\3",
            files=MANIFEST,
        ),
        Defect("a type there is not", flag("--kv-cache-dtype", r"(\w+)"), r"\1fp7\3", files=MANIFEST),
        Defect(
            "text for a number",
            flag("--(?:block-size|tensor-parallel-size|max-model-len)", r"(\d+)"),
            r"\1many\3",
            files=MANIFEST,
        ),
    ],
    "engine.config-keys": [
        Defect(
            "a misspelt key in JSON",
            r"""(kv_)connector(?=": ?"NixlConnector")""",
            r"\1conector",
            files=MANIFEST,
            at="--kv-transfer-config",
        )
    ],
    "engine.kv-router": [
        Defect(
            "another block size than the picker's",
            BLOCK_SIZE,
            r"\g<1>32\3",
            at="--block-size",
            needs=r"DYN_KV_CACHE_BLOCK_SIZE",
            check="engine.kv-router engine.pair-agrees",
        ),
        Defect(
            "no events for the router",
            r'(- prefill\n(?:(?! +- name: main).*\n)*?.*"enable_kv_cache_events": ?)true',
            r"\1false",
            within="--kv-events-config",
            needs=r"--router-mode\n +- kv",
        ),
        Defect(
            "a router's other block size",
            flag("--kv-cache-block-size", r"(\d+)"),
            r"\g<1>16\3",
            within="dynamo.frontend|block-size|dynamo.(vllm|sglang|trtllm)",
        ),
    ],
    "engine.pair-agrees": [
        Defect("another block size", BLOCK_SIZE, r"\g<1>32\3", at="--block-size", needs=PAIR),
        Defect(
            "another cache type",
            flag("--kv-cache-dtype", "auto"),
            r"\1fp8\2",
            at="--kv-cache-dtype",
            needs=PAIR,
        ),
        Defect(
            "another connector",
            r"(--kv-transfer-config(?:(?!\n +- -)[\s\S]){0,100}?)NixlConnector",
            r"\1P2pNcclConnector",
            within="--kv-transfer-config",
            needs=PAIR,
        ),
    ],
    "engine.trtllm-buffer": [
        Defect(
            "a buffer too small",
            r"(?<=max_tokens_in_buffer: )[1-9]\d*$",
            "16",
            at="cache_transceiver_config:",
            needs=PAIR,
        )
    ],
    "parallelism.gpus-match": [
        Defect(
            "twice the tensor parallelism",
            TP,
            doubled,
            at=COMPONENT,
            files=MANIFEST,
            check=OR_THE_YAML.format("parallelism.gpus-match"),
        ),
        Defect(
            "GPUs that stand idle",
            GPUS,
            lambda m: f'{m[1]}{int(m[2]) * 2}{m[3]}{int(m[2]) * 2}"',
            at=COMPONENT,
        ),
    ],
    "parallelism.requests-equal-limits": [
        Defect(  # which the API server says itself of a Deployment
            "requests unlike limits",
            r'(requests:\n +nvidia\.com/gpu: ")(\d+)"',
            r'\g<1>1\2"',
            check="parallelism.requests-equal-limits manifest.schema",
        )
    ],
    "parallelism.fits-node": [
        Defect("more GPUs than a node has", GPUS, lambda m: f'{m[1]}32{m[3]}32"', at=COMPONENT)
    ],
    "parallelism.heads-divide": [
        Defect(
            "heads that do not divide",
            TP,
            r"\g<1>11\3",
            at=COMPONENT,
            files=MANIFEST,
            needs=without("(dp[-_]attention|attention[-_]dp)"),
            check=OR_THE_YAML.format("parallelism.heads-divide"),
        )
    ],
    "model.same-everywhere": [
        Defect(
            "another model to measure",
            r'(- name: (?:TARGET_MODEL|MODEL_NAME)\n +value: "?[^"\s]+)("?)$',
            r"\1-Instruct\2",
            files=rf"^(?!{STARTS_NOTHING}).*{PERF}",
        ),
        Defect(
            "another model to download",
            r'(- name: MODEL(?:_NAME)?\n +value: "?[^"\s]+)("?)$',
            r"\1-Base\2",
            files=rf"^(?!{STARTS_NOTHING}).*{DOWNLOAD}",
            within=r"hf download|snapshot_download",
            elsewhere=r"--model|dynamo\.(vllm|sglang|trtllm)",
        ),
    ],
    "model.revision": [
        Defect(
            "a revision nobody loads",
            r"""hf download (["']?\$\{?MODEL\w*\}?["']?)(?= *$)""",
            rf"hf download \1 --revision {SHA}",
            files=DOWNLOAD,
            elsewhere=r"--model|dynamo\.(vllm|sglang|trtllm)",
        )
    ],
    "model.token": [
        Defect("another secret", r"(?<=name: )hf-token-secret$", "hf-secret", files=r"llama.*\.yaml$")
    ],
    "memory.weights-fit": [
        Defect(
            "weights that do not fit",
            r"^( +)tensor_parallel_size: (4|32)$",
            r"\1tensor_parallel_size: 1",
            at=COMPONENT,
            files=r"deepseek-r1/trtllm.*deploy\.yaml$",
        )
    ],
    "memory.kv-cache": [
        Defect(
            "no room for a sequence",
            flag("--max-model-len", r"(\d+)"),
            r"\g<1>99000000\3",
            at=ENTRY,
            files=MANIFEST,
        )
    ],
    "memory.shared-memory": [
        Defect(
            "little shared memory",
            r"(?<=sharedMemorySize: )\d+Gi$" + SEVERAL,
            "1Mi",
            at=COMPONENT,
            needs=without("mountPath: /dev/shm"),
        )
    ],
    "storage.claim-declared": [
        Defect("a claim of another name", r"(?<=claimName: )model-cache$", "model-cash"),
        Defect("a claim without a class", r"(storageClassName: )\S+$", r'\1""', at="^  name:"),
    ],
    "storage.access-mode": [
        Defect(
            "a claim for one node",
            r"\A((?:.*\n)*?[^#\n]*)ReadWriteMany",
            r"\1ReadWriteOnce",
            files=rf"^(?!kimi-k2\.6/).*{CACHE}",  # whose graphs mount it in a single pod
            within="accessModes",
        )
    ],
    "storage.size": [Defect("a claim too small", r"\A((?s:.*?)storage: )\d+Gi$", r"\g<1>1Gi", files=CACHE)],
    "storage.model-path": [
        Defect(
            "a cache outside the mount",
            r"(dynamo\.vllm\n(?:.*\n)*?.*HF_HOME\n +value: )\S+$",
            r"\1/root/models",
            at=ON_WORKERS + "|--model",
            files=DEPLOY,
        )
    ],
    "storage.read-only": [
        Defect(
            "a mount that is read-only", r"^( +)(mountPath: \S+)$", r"\1\2\n\1readOnly: true", files=DOWNLOAD
        )
    ],
    "storage.download": [
        Defect("a misspelt download", r"\bhf download\b", "hf downlod", files=DOWNLOAD),
    ],
    "network.rdma-requested": [
        Defect(
            "no RDMA asked for",
            r"^( +rdma/ib: \S+\n)((?:.*\n)*?)\1",
            r"\2",
            at=COMPONENT,
            files=NOT_GB200,
            needs=r"multinode",
        )
    ],
    "network.ipc-lock": [
        Defect(
            "memory may not be locked",
            r"- IPC_LOCK$",
            "- SYS_PTRACE",
            at=COMPONENT,
            needs=without("privileged: true") + r"(?s:.*)(rdma/|/efa:)",
        )
    ],
    "network.transport": [
        Defect(
            "a transport turned off",
            r"(dynamo\.(?:vllm|sglang)\n(?:(?! +- name: main).*\n)*?)( +)- name: HF_HOME$",
            r"\1\2- {name: UCX_TLS, value: tcp}\n\2- name: HF_HOME",
            files=NOT_GB200,
            needs=without("UCX_TLS") + r"(?s:.*)rdma/ib(?s:.*)prefill",
        )
    ],
    "perf.endpoint": [
        Defect("another endpoint", r"(ENDPOINT\n +value: )(\S+?)(:\d+)$", r"\1\2s\3", files=PERF),
        Defect("another port of the endpoint", r"(ENDPOINT\n +value: \S+?):8000$", r"\1:8001", files=PERF),
    ],
    "perf.gpu-count": [
        Defect("another count of GPUs", r'(GPU_COUNT\n +value: )"(\d+)"$', r'\1"1\2"', files=PERF)
    ],
    "perf.tokenizer": [
        Defect(
            "another tokenizer",
            r"(- name: TOKENIZER\n +value: )(\S+)$",
            r"\1openai-community/gpt2",
            at="--tokenizer",
            files=PERF,
        )
    ],
    "perf.flags": [
        Defect(
            "a misspelt flag of the tool",
            r"--concurrency\b",
            "--concurency",
            files=PERF,
            after="aiperf profile",
        ),
        Defect("an endpoint there is not", r"(--endpoint-type[ =])chat\b", r"\1chats", files=PERF),
        Defect(
            "the path of other requests",
            r"(--endpoint[ =])/v1/chat/completions",
            r"\1/v1/completions",
            files=PERF,
            needs=r"--endpoint-type[ =]chat",
        ),
    ],
    "perf.limits": [Defect("a limit without its unit", r"(ttft\.p90=)(\d+)m?s", r"\1\2", files=DEPLOY)],
    "perf.tool-pinned": [Defect("any release of the tool", r"aiperf==[\d.]+", "aiperf", files=PERF)],
    "perf.bounded": [
        Defect(
            "a wait without an end",
            r"(?s)(activeDeadlineSeconds: \d+)(.*?)^( +)set -eu\w*$",
            r"backoffLimit: 1\2\3until curl -sf $ENDPOINT; do sleep 5; done",
            files=PERF,
            at="until",
        )
    ],
    "perf.artifacts": [
        Defect(
            "results that are lost",
            r"(?<=--artifact-dir )(?!\S*WARMUP)\S+(?= |$)",
            "/tmp/perf",
            files=PERF,
            needs=without("tmux"),
        )
    ],
    "gaie.recipe-route": [
        Defect("another pool", r"(?<=name: )(\S+-pool)$", r"\1s", files=ROUTE),
        Defect("another port of the pool", r"(?<=port: )8000$", "9002", files=ROUTE),
        Defect(
            "another group of the pool",
            r"(?<=group: )inference\.networking\.k8s\.io$",
            "inference.networking.x-k8s.io",
            files=ROUTE,
        ),
    ],
    "gaie.picker": [Defect("a plugin there is not", r"(?<=pluginRef: )(\S+)$", r"\1s")],
    "docs.links": [Defect("a link to nowhere", r"\Z", "\nSee [more](nowhere/more.md).\n", files=README)],
    "docs.commands": [
        Defect(
            "a command on no file",
            r"\Z",
            "\n```sh\nkubectl apply -f nowhere/deploy.yaml\n```\n",
            files=README,
        )
    ],
}
KINDS = [
    kind._replace(check=kind.check or check)
    for rows in (BY_CHECK, commands.BY_CHECK, pods.BY_CHECK)
    for check, kinds in rows.items()
    for kind in kinds
]
