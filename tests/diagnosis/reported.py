"""Deployments that people reported as broken in public: what their API server and logs said, in short."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from tests.clusters.objects import make_condition
from tests.diagnosis.situation import (
    GROVE,
    Broken,
    make_crashing,
    make_running,
    make_told,
    make_unscheduled,
)
from tests.diagnosis.stage import (
    GRAPH,
    IMAGE,
    NODE,
    POD,
    WORKER,
    Stage,
    ago,
    crashed,
    make_status,
    running,
    unscheduled,
)

_TRACE = 'Traceback (most recent call last):\n  File "/usr/local/bin/vllm", line 10, in <module>\n'


def _refused_by_node(message: str) -> Callable[[Stage], None]:
    """A pod that its node does not admit, and its controller's next one."""

    def make(stage: Stage) -> None:
        reason = "UnexpectedAdmissionError"
        status = {"phase": "Failed", "reason": reason, "message": message}
        stage.deploy(ready=False, phase="Failed", status=status)
        stage.tell("Pod", POD, reason, message.partition(": ")[2])

    return make


def _beside_proxy(stage: Stage) -> None:
    """A decode worker that crashes, beside a proxy that waits for it."""
    containers = [{"name": name, "image": IMAGE} for name in ("main", "routing-proxy")]
    status = crashed(1)
    proxy = {"name": "routing-proxy", "image": IMAGE, "imageID": IMAGE, "ready": False, "restartCount": 0}
    status["containerStatuses"].append(proxy | {"state": {"running": {"startedAt": ago(300)}}})
    stage.deploy(ready=False, spec={"containers": containers}, status=status)
    stage.log(
        "(EngineCore_0 pid=271) ERROR [core.py:596] EngineCore encountered a fatal error.\n"
        "(EngineCore_0 pid=271) KeyError: '604f3f68-909c-43e0-bb3a-e96850fca226'\n"
        "(APIServer pid=1) ERROR [async_llm.py:419] AsyncLLM output_handler failed.\n"
        "(APIServer pid=1) INFO:     Finished server process [1]\n"
    )


def _failed_job(name: str, log: str, owner: Callable[[Stage], Any] | None = None) -> Callable[[Stage], None]:
    """A Job whose pod has ended with an error for the last time."""

    def make(stage: Stage) -> None:
        labels = {"batch.kubernetes.io/job-name": name}
        container = {"name": "main", "image": IMAGE}
        spec = {"restartPolicy": "Never", "containers": [container]}
        over = [
            make_condition(
                kind, "True", "BackoffLimitExceeded", "Job has reached the specified backoff limit"
            )
            for kind in ("FailureTarget", "Failed")
        ]
        job = stage.put(
            "batch/v1 Job",
            name,
            owner(stage) if owner else None,
            spec={"template": {"metadata": {"labels": labels}, "spec": spec}},
            status={"failed": 1, "conditions": over, "startTime": ago(300)},
        )
        ended = {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": ago(40)}}
        stage.cluster.pod(
            POD,
            stage.namespace,
            node=NODE,
            phase="Failed",
            owner=job,
            spec=spec,
            status=make_status(ended, "Failed"),
        )
        stage.log(log)

    return make


def _make_request(stage: Stage) -> Any:
    why = make_condition("Succeeded", "False", "ProfilingFailed", "profiling job failed")
    profiling = make_condition("Profiling", "False", "SweepingPrefillFailed", "profiling job failed")
    return stage.put(
        "nvidia.com/v1beta1 DynamoGraphDeploymentRequest",
        GRAPH,
        None,
        spec={"model": "m/x", "image": IMAGE},
        status={"phase": "Failed", "conditions": [why, profiling]},
    )


def _too_early_success(stage: Stage) -> None:
    """A rolling update: the graph says that it is ready, by its old pods, while the new one crashes."""
    owner = stage.carry_out(ready=True)
    stage.cluster.pod(
        POD, stage.namespace, node=NODE, image=IMAGE, owner=owner, ready=False, status=crashed(1)
    )
    stage.log(f"{_TRACE}ValueError: Unknown quantization method: fp88\n")


def _gated_after_scale_up(stage: Stage) -> None:
    """Grove has made the pods anew, and their clique still says that those of before are scheduled."""
    spec = {
        "containers": [{"name": "main", "image": IMAGE}],
        "schedulingGates": [{"name": "grove.io/podgang-pending-creation"}],
    }
    owner = stage.carry_by(*GROVE)
    stale = make_condition("PodCliqueScheduled", "True", "SufficientScheduledPods")
    stage.cluster.patch_status(
        {
            "apiVersion": "grove.io/v1alpha1",
            "kind": "PodClique",
            "metadata": {"name": WORKER, "namespace": stage.namespace},
            "status": {"conditions": [stale]},
        }
    )
    status = unscheduled("Scheduling is blocked due to non-empty scheduling gates", "SchedulingGated")
    stage.cluster.pod(
        POD, stage.namespace, phase="Pending", owner=owner, ready=False, spec=spec, status=status
    )


def _waits_for_gang(stage: Stage) -> None:
    stage.deploy(ready=False, node=None, phase="Pending", status={"phase": "Pending", "conditions": []})
    stage.tell(
        "Pod", POD, "GangSchedulingPending", "waiting for gang quorum: 3/4 pods are available", normal=True
    )


def _unable_to_schedule(stage: Stage) -> None:
    stage.deploy(
        ready=False,
        node=None,
        phase="Pending",
        spec={"schedulerName": "kai-scheduler", "containers": [{"name": "main", "image": IMAGE}]},
        status={"phase": "Pending", "conditions": []},
    )
    stage.tell("Pod", POD, "PodGrouperWarning", f'Pod "{POD}" not found')
    stage.tell("Pod", POD, "Unschedulable", "Unable to schedule pod")


def _started_wrong(message: str) -> Callable[[Stage], None]:
    """A container that the runtime could not start, and tries again."""

    def make(stage: Stage) -> None:
        status = crashed(128, "StartError")
        status["containerStatuses"][0]["lastState"]["terminated"]["message"] = message
        stage.deploy(ready=False, status=status)
        stage.log("")

    return make


def _probed_by_grpc(stage: Stage) -> None:
    probe = {"grpc": {"port": 9003, "service": "inference-extension"}}
    container = {"name": "main", "image": IMAGE, "ports": [{"containerPort": 9003}], "readinessProbe": probe}
    stage.deploy(ready=False, spec={"containers": [container]}, status=running(900, ready=False))
    stage.log(
        '{"level":"Level(-2)","logger":"health","msg":"gRPC health check requested unknown service",'
        '"available-services":["envoy.service.ext_proc.v3.ExternalProcessor"],'
        '"requested-service":"inference-extension"}\n'
    )
    stage.tell("Pod", POD, "Unhealthy", "Readiness probe failed: error: this service does not exist")


def _list_pods() -> Iterator[Broken]:
    """Pods that come to no node, or that their node does not start."""
    ended = partial(Broken, check="symptom.ended")
    lost = (
        "Pod was rejected: Allocate failed due to device plugin GetPreferredAllocation rpc failed with "
        "err: rpc "
        "error: code = Unknown desc = Unable to retrieve list of available devices: error creating "
        "nvml.Device 5: "
        "nvml: GPU is lost, which is unexpected"
    )
    yield ended(
        "a lost GPU", _refused_by_node(lost), says="GPU is lost", source="kubernetes/kubernetes#97131"
    )
    sick = (
        "Pod was rejected: Allocate failed due to no healthy devices present; cannot allocate unhealthy "
        "devices "
        "nvidia.com/mig-1g.5gb, which is unexpected"
    )
    yield ended(
        "sick devices", _refused_by_node(sick), says="unhealthy", source="openshift/instaslice-operator#140"
    )
    start = partial(Broken, check="symptom.start")
    sandbox = "Failed to create pod sandbox: rpc error: code = "
    missing = f'{sandbox}Unknown desc = failed to get sandbox runtime: no runtime for "nvidia" is configured'
    make = make_told("FailedCreatePodSandBox", missing)
    yield start("no NVIDIA runtime yet", make, says="handler nvidia", source="NVIDIA/gpu-operator#413")
    down = (
        f'{sandbox}Unavailable desc = connection error: desc = "transport: Error while dialing dial unix '
        '/run/containerd/containerd.sock: connect: connection refused"'
    )
    make = make_told("FailedCreatePodSandBox", down)
    yield start("containerd is down", make, says="container runtime", source="NVIDIA/gpu-operator#549")
    nfs = (
        'MountVolume.SetUp failed for volume "pv-volume" : mount failed: exit status 32\nMounting '
        "command: mount\n"
        "Mounting arguments: -t nfs fs-61986581.efs.example:/pvs /var/lib/kubelet/pods/26/volumes/pv-volume\n"
        "Output: mount.nfs: Connection timed out"
    )
    make = make_told("FailedMount", nfs)
    yield start(
        "an NFS server out of reach", make, says="reach", source="kubernetes-retired/external-storage#1117"
    )
    folder = (
        'MountVolume.SetUp failed for volume "efs-pv" : rpc error: code = Internal desc = Could not '
        'mount "fs-1:/": '
        "mount failed: exit status 32\nOutput: mount.nfs4: mounting 127.0.0.1:/dir1 failed, reason "
        "given by server: "
        "No such file or directory"
    )
    make = make_told("FailedMount", folder)
    yield start(
        "no such export", make, says="no such folder", source="kubernetes-sigs/aws-efs-csi-driver#239"
    )
    late = (
        "Unable to attach or mount volumes: unmounted volumes=[vol-1], unattached volumes=[vol-1 "
        "kube-api-access]: "
        "timed out waiting for the condition"
    )
    make = make_told("FailedMount", late)
    yield start("a mount that takes for ever", make, says="vol-1", source="kubernetes-csi/csi-driver-nfs#439")
    place = partial(Broken, check="symptom.unscheduled")
    yield place(
        "a top-level queue", _unable_to_schedule, says="Unable", source="kai-scheduler/KAI-Scheduler#621"
    )
    gang = "1/1 tasks in gang unschedulable: pod group is not ready, 1 Pending, 1 minAvailable"
    yield place("a gang of Volcano", make_unscheduled(gang), says="gang", source="volcano-sh/volcano#2416")
    yield place("a gang below its quorum", _waits_for_gang, says="3/4", source="kubernetes/kubernetes#141900")
    yield place(
        "a stale clique",
        _gated_after_scale_up,
        says="podgang-pending-creation",
        outcome="warn",
        source="ai-dynamo/dynamo#14278",
    )


def _list_programs() -> Iterator[Broken]:
    """Programs that do not start, or not as they should."""
    crash = partial(Broken, check="symptom.crash")
    no_program = (
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc "
        "create "
        'failed: unable to start container process: error during container init: exec: "vllm": '
        "executable file "
        "not found in $PATH: unknown"
    )
    make = _started_wrong(no_program)
    yield crash("an image without vllm", make, says="vllm", source="vllm-project/production-stack#454")
    hook = "unable to start container process: error during container init: error running prestart hook #0: "
    hook += "exit status 1, stdout: , stderr: Auto-detected mode as 'legacy'\nnvidia-container-cli: "
    make = _started_wrong(f"{hook}ldcache error: process /sbin/ldconfig terminated with signal 9: unknown")
    source = "NVIDIA/k8s-device-plugin#1400"
    yield crash("a broken container toolkit", make, says="ldconfig terminated", source=source)
    log = "INFO 02-16 ray_utils.py:214] Waiting for creating a placement group of specs for 70 seconds.\n"
    log += "(autoscaler) Error: No available node types can fulfill resource request {'GPU': 1.0}.\n"
    told = 'MountVolume.SetUp failed for volume "efs-pv" : rpc error: code = DeadlineExceeded desc = context '
    make = make_told("FailedMount", f"{told}deadline exceeded")
    source = "kubernetes-sigs/aws-efs-csi-driver#228"
    yield Broken("a driver that does not mount", make, "symptom.start", says="in time", source=source)
    source = "vllm-project/vllm#13388"
    yield Broken("Ray without workers", make_running(log), "symptom.not-ready", says="Ray", source=source)
    make = make_crashing(
        137, "DEBUG: A default silent WAV file has been stored (utils.py:31)\n", reason="OOMKilled"
    )
    yield crash("a router without memory", make, says="memory", source="vllm-project/production-stack#782")
    yield crash("a proxy beside it", _beside_proxy, says="KeyError", source="llm-d/llm-d#650")
    source = "ai-dynamo/dynamo#3567"
    yield crash("success too early", _too_early_success, says="quantization", source=source, objects=1)
    make = _failed_job(
        "download",
        "Ignored error while writing commit hash to /root/.cache/huggingface/hub: [Errno 13] Permission "
        "denied\n"
        "Fetching 32 files:   0%|          | 0/32 [00:00<?, ?it/s]\nTraceback (most recent call last):\n"
        "PermissionError: [Errno 13] Permission denied: '/root/.cache/huggingface/hub'\n",
    )
    yield crash("a cache of root", make, says="may not", source="av/harbor#262", objects=2)
    log = "Running profiler\nERROR: Profiler failed: no workers matched the label selector\n"
    make = _failed_job("profile-chat", log, _make_request)
    yield crash("a profiler that fails", make, says="label selector", source="ai-dynamo/dynamo#8648")
    for title, code, log, says, source in _LOGS:
        yield crash(title, make_crashing(code, log), says=says, source=source)
    idle = partial(Broken, check="symptom.not-ready")
    forbidden = (
        'E0827 1 reflector.go:166] "Unhandled Error" err="failed to list *v1.Pod: pods is forbidden: User '
        '\\"system:serviceaccount:default:epp\\" cannot list resource \\"pods\\" in API group \\"\\" in '
        "the namespace "
        '\\"default\\""\n'
    )
    make = make_running(forbidden)
    source = "kubernetes-sigs/gateway-api-inference-extension#1430"
    yield idle("a picker without rights", make, says="service account", source=source)
    source = "kubernetes-sigs/gateway-api-inference-extension#786"
    yield idle("a picker that is probed wrong", _probed_by_grpc, says="service", source=source)


# Title, exit code, log, what must be said, source.
_LOGS = (
    (
        "heads that cannot be split",
        1,
        f"{_TRACE}    raise ValueError(\n"
        "ValueError: Total number of attention heads (52) must be divisible by tensor parallel size (8).\n",
        "--tensor-parallel-size",
        "vllm-project/vllm#2652",
    ),
    (
        "experts that cannot be split",
        1,
        "(EngineCore pid=9) AssertionError: n_physical_experts=256 must be divisible by ep_size=3. Adjust "
        "num_redundant_experts.\n(APIServer pid=1) RuntimeError: Engine core initialization failed. See "
        "root cause "
        "above. Failed core proc(s): {}\n",
        "experts do not divide",
        "vllm-project/vllm#52435",
    ),
    (
        "a parallelism of none",
        1,
        f"{_TRACE}ZeroDivisionError: integer modulo by zero\n",
        "ZeroDivisionError",
        "vllm-project/vllm#54657",
    ),
    (
        "quantized weights that cannot be split",
        1,
        f"{_TRACE}ValueError: Prequant BitsAndBytes models with tensor parallelism is not supported. "
        f"Please try with "
        "pipeline parallelism.\n",
        "BitsAndBytes",
        "vllm-project/vllm#13297",
    ),
    (
        "NCCL: system",
        1,
        '(RayWorkerWrapper pid=880) ERROR 04-16 [worker_base.py:620]     raise RuntimeError(f"NCCL error: '
        '{error_str}")\n(RayWorkerWrapper pid=880) ERROR 04-16 [worker_base.py:620] RuntimeError: NCCL '
        "error: "
        "unhandled system error (run with NCCL_DEBUG=INFO for details) [repeated 6x across cluster]\n",
        "NCCL",
        "vllm-project/vllm#16707",
    ),
    (
        "NCCL: CUDA",
        1,
        "ERROR 08-27 worker_base.py:382] Error executing method init_device. This might cause deadlock in "
        "distributed execution.\nRuntimeError: NCCL error: unhandled cuda error (run with "
        "NCCL_DEBUG=INFO for "
        "details)\n",
        "NCCL",
        "vllm-project/vllm#7896",
    ),
    (
        "a cache that cannot be written",
        1,
        "There was a problem when trying to write in your cache folder (/.cache/huggingface/hub). You "
        "should set the "
        "environment variable TRANSFORMERS_CACHE to a writable directory.\nTraceback (most recent call "
        "last):\n"
        "PermissionError: [Errno 13] Permission denied: '/.cache'\n",
        "HF_HOME",
        "kserve/kserve#3562",
    ),
    (
        "models on a read-only volume",
        1,
        "Traceback (most recent call last):\nOSError: [Errno 30] Read-only file system: "
        "'/models/models--ds4sd--docling-models/snapshots/4659a7d2'\n",
        "read-only",
        "huggingface/huggingface_hub#3394",
    ),
    (
        "offline, and not in the cache",
        1,
        "huggingface_hub.errors.OfflineModeIsEnabled: Cannot reach "
        "https://hub.example/api/models/k/refs: offline "
        "mode is enabled. To disable it, please unset the `HF_HUB_OFFLINE` environment variable.\n",
        "cache",
        "huggingface/kernels#553",
    ),
    (
        "no slot for requests",
        1,
        "[2025-09-13 09:09:15 TP0] Decode batch. #running-req: 4, #token: 9071, token usage: 0.01\n"
        "RuntimeError: alloc_req_slots runs out of memory. Please set a smaller number for "
        "`--max-running-requests`. self.req_to_token_pool.available_size()=1, num_reqs=2, \n",
        "--max-running-requests",
        "sgl-project/sglang#10408",
    ),
    (
        "shapes that differ",
        1,
        "[TP0 PP3] Scheduler hit an exception: Traceback (most recent call last):\n"
        "RuntimeError: shape mismatch: value tensor of shape [470, 1, 128] cannot be broadcast to "
        "indexing result of "
        "shape [473, 1, 128]\n\n[2025-08-12 07:00:00] Received sigquit from a child process. It usually "
        "means the "
        "child failed.\n",
        "shape mismatch",
        "sgl-project/sglang#9105",
    ),
    (
        "a kernel that does not match",
        1,
        "tvm.error.InternalError: Tensor match failed\nSize mismatch for shape#0('batch_size'): "
        "expected 128 but got "
        "126\n[2026-05-08 10:00:00] Received sigquit from a child process. It usually means the child "
        "failed.\n",
        "Tensor match failed",
        "sgl-project/sglang#24650",
    ),
    (
        "a compiler without rights",
        1,
        "[TP0] Capture cuda graph begin. This can take up to several minutes.\nPermissionError: [Errno "
        "13] Permission "
        "denied: '/opt/dynamo/venv/lib/python3.12/site-packages/triton/backends/nvidia/bin/ptxas'\n",
        "ptxas",
        "haydeniw/dynamo#15",
    ),
    (
        "a program outside of the path",
        2,
        "error: Failed to spawn: `dynamo`\n  Caused by: No such file or directory (os error 2)\n",
        "not in the image",
        "ai-dynamo/dynamo#1017",
    ),
    (
        "no backend of NIXL",
        1,
        "(VllmWorker pid=190) ERROR [multiproc_executor.py:517] nixl_cu12._bindings.nixlBackendError: "
        "NIXL_ERR_BACKEND\n(EngineCore_0 pid=160) RuntimeError: Worker failed with error "
        "'NIXL_ERR_BACKEND'\n",
        "NIXL",
        "ai-dynamo/dynamo#3724",
    ),
    (
        "another namespace of Dynamo",
        1,
        '2026-04-14T10:00:00Z\tERROR\tsetup\tfailed to create router\t{"error": "create_routers failed '
        "with code "
        '3"}\n',
        "namespace",
        "ai-dynamo/dynamo#9017",
    ),
    (
        "a picker without its CRD",
        1,
        "2025-10-16T09:00:00Z ERROR controller-runtime.source.Kind if kind is a CRD, it should be "
        "installed before "
        'calling Start {"kind": "InferenceObjective.inference.networking.x-k8s.io", "error": "no '
        "matches for kind "
        '\\"InferenceObjective\\" in version \\"inference.networking.x-k8s.io/v1alpha2\\""}\n',
        "InferenceObjective",
        "kubernetes-sigs/gateway-api-inference-extension#1737",
    ),
    (
        "peers of other versions",
        1,
        "(VllmWorker TP0 pid=2940) ERROR [multiproc_executor.py:601] WorkerProc hit an exception.\n"
        "(VllmWorker TP0 pid=2940) UnicodeDecodeError: 'utf-8' codec can't decode byte 0xbb in position "
        "0: invalid "
        "start byte\n",
        "UnicodeDecodeError",
        "ai-dynamo/nixl#699",
    ),
    (
        "TGI: a traceback in JSON",
        1,
        '{"level":"ERROR","fields":{"message":"Shard 0 failed to start:\\nTraceback (most recent call '
        'last):\\n    raise RuntimeError(f\\"weight {tensor_name} does not exist\\")\\n\\nRuntimeError: '
        'weight encoder.embed_tokens.weight does not exist\\n\\n"},"target":"text_generation_launcher"}\n'
        "Error: ShardCannotStart\n",
        "RuntimeError: weight encoder.embed_tokens.weight does not exist",
        "huggingface/text-generation-inference#556",
    ),
    (
        "Triton: no such backend",
        1,
        "E0813 10:00:00.584833 1 model_lifecycle.cc:654] \"failed to load 'ambernet' version 1: Invalid "
        "argument: unable to find backend library for backend 'onnxruntime', try specifying runtime on the "
        'model configuration."\nerror: creating server: Internal - failed to load all models\n',
        "onnxruntime",
        "triton-inference-server/server#8342",
    ),
    (
        "Triton: no repository",
        1,
        "I0209 22:18:33.528474 1 server.cc:246] No server context available. Exiting immediately.\nerror: "
        "creating server: Internal - failed to stat file  s3://https://URL/triton-model-repository\n",
        "model repository",
        "triton-inference-server/server#5341",
    ),
    (
        "Mooncake without a device",
        1,
        "E0115 05:20:19.945159   309 rdma_context.cpp:81] Failed to open device mlx5_8 on port  with GID 0\n"
        "E0115 05:20:19.945191   309 rdma_transport.cpp:662] RdmaTransport: No available RNIC\n"
        "[2026-01-15 05:20:20] Received sigquit from a child process. It usually means the child failed.\n",
        "RDMA devices",
        "kvcache-ai/Mooncake#1384",
    ),
    (
        "TensorRT-LLM: an assertion",
        1,
        'E0224 3081 backend_model.cc:692] "ERROR: Failed to create instance: [TensorRT-LLM][ERROR] '
        'Assertion failed: Do not set crossKvCacheFraction for decoder-only model"\n'
        "error: creating server: Internal - failed to load all models\n",
        "crossKvCacheFraction",
        "NVIDIA/TensorRT-LLM#2814",
    ),
    (
        "a name of NATS that is not resolved",
        1,
        f"{_TRACE}Exception: Failed to connect to NATS: DNS error: failed to lookup address information: "
        "Temporary failure in name resolution. Verify NATS server is running and accessible.\n",
        "not resolved",
        "aws-samples/aws-do-eks#52",
    ),
    (
        "a compiler's cache at the root",
        1,
        "torch._inductor.exc.InductorError: PermissionError: [Errno 13] Permission denied: "
        "'/.triton'\nRuntimeError: Engine core initialization failed. See root cause above.\n",
        "/.triton",
        "llm-d/llm-d#1430",
    ),
    ("no word at all", 1, "", "log is empty", "vllm-project/vllm#25287"),
)

REPORTED = [*_list_pods(), *_list_programs()]
