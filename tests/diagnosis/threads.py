"""More deployments that people reported as broken in public, engines, networks and volumes."""

from functools import partial

from tests.diagnosis.situation import Broken, make_crashing, make_told, make_unscheduled
from tests.diagnosis.stage import POD, Stage, running

_TRACE = 'Traceback (most recent call last):\n  File "/usr/local/bin/vllm", line 8, in <module>\n'
_SANDBOX = (
    "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "
)


def _probed_by_missing_program(stage: Stage) -> None:
    """A frontend that serves, and whose probe needs a program that its image lacks."""
    stage.deploy(ready=False, status=running(900, ready=False, started=True))
    stage.log("INFO:     Application startup complete.\n")
    stage.tell("Pod", POD, "Unhealthy", "Readiness probe failed: /bin/sh: 1: jq: not found")


_crash = partial(Broken, check="symptom.crash")
_start = partial(Broken, check="symptom.start")

# Title, exit code, log, what must be said, source.
_LOGS = (
    (
        "a gated model of a storage initializer",
        1,
        "Access to model meta-llama/Meta-Llama-3-8B-Instruct is restricted. You must have access to it and "
        "be authenticated to access it. Please log in.\n",
        "token",
        "kserve/kserve#4400",
    ),
    (
        "a bus error",
        135,
        "[llm:1034 :0:1040] Caught signal 7 (Bus error: nonexistent physical address)\n"
        "BFD: DWARF error: section .debug_info is larger than its filesize! (0x5d4b95 vs 0x436758)\n",
        "/dev/shm",
        "NVIDIA/TensorRT-LLM#674",
    ),
    (
        "no driver's library for a linker",
        1,
        "/usr/bin/ld: cannot find -l:libcuda.so.1\ncollect2: error: ld returned 1 exit status\n"
        "(EngineCore_DP14 pid=883) ERROR torch._inductor.exc.InductorError: CalledProcessError: Command "
        "'['/usr/bin/gcc', '-l:libcuda.so.1']' returned non-zero exit status 1.\n"
        "RuntimeError: Engine core initialization failed. See root cause above.\n",
        "LD_LIBRARY_PATH",
        "llm-d/llm-d#1063",
    ),
    (
        "no driver's library for a program",
        127,
        "/server: error while loading shared libraries: libcuda.so.1: cannot open shared object file: No "
        "such file or directory\n",
        "nvidia.com/gpu",
        "ggml-org/llama.cpp#7822",
    ),
    (
        "a Service named vllm",
        1,
        "ERROR [engine.py:458] ValueError: VLLM_PORT 'tcp://10.9.193.120:6785' appears to be a URI.\n"
        f"{_TRACE}RuntimeError: Engine process failed to start. See stack trace for the root cause.\n",
        "enableServiceLinks",
        "vllm-project/vllm#34199",
    ),
    (
        "an architecture that the engine lacks",
        1,
        'WARNING _custom_ops.py:19] Failed to import from vllm._C with ModuleNotFoundError("No module named '
        "'vllm._C'\")\n"
        f"{_TRACE}ValueError: Model architectures ['NVEmbedModel'] are not supported for now.\n",
        "NVEmbedModel",
        "vllm-project/vllm#9624",
    ),
    (
        "quantization that the GPU lacks",
        1,
        "(EngineCore_0 pid=92) ERROR [core.py:1266] RuntimeError: ('Quantization scheme is not supported '"
        "'for the current GPU. Min capability: 80. ', 'Current capability: 75.')\n"
        "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above.\n",
        "Min capability",
        "vllm-project/vllm#14040",
    ),
)

THREADS = [
    *(
        _crash(title, make_crashing(code, log), says=says, source=source)
        for title, code, log, says, source in _LOGS
    ),
    Broken(
        "a probe without its program",
        _probed_by_missing_program,
        "symptom.not-ready",
        says="jq",
        source="ai-dynamo/dynamo#3726",
    ),
    _start(
        "a network that does not exist",
        make_told(
            "FailedCreatePodSandBox",
            f'{_SANDBOX}"9f53": plugin type="multus-shim" failed (add): Multus: [x/x]: error loading k8s '
            "delegates k8s args: TryLoadPodDelegates: error in getting k8s network for pod: "
            "GetNetworkDelegates: failed getting the delegate: GetCNIConfig: err in GetCNIConfigFromFile: "
            "No networks found in /etc/cni/multus/net.d",
        ),
        says="No networks found",
        source="k8snetworkplumbingwg/multus-cni#641",
    ),
    _start(
        "a network without a device",
        make_told(
            "FailedCreatePodSandBox",
            f'{_SANDBOX}"ab": plugin type="multus-shim" name="multus-cni-network" failed (add): CmdAdd '
            '(shim): CNI request failed with status 400: plugin type="sriov" name="net1" failed (add): '
            "SRIOV-CNI failed to load netconf: LoadConf(): VF pci addr is required",
        ),
        says="VF pci addr",
        source="k8snetworkplumbingwg/sriov-network-device-plugin#490",
    ),
    _start(
        "a bucket without its sidecar",
        make_told(
            "FailedMount",
            'MountVolume.SetUp failed for volume "gcs-fuse-csi-ephemeral" : rpc error: code = Internal '
            "desc = the webhook failed to inject the sidecar container into the Pod spec",
        ),
        says="sidecar",
        source="GoogleCloudPlatform/gcs-fuse-csi-driver#283",
    ),
    Broken(
        "GPUs of one node, the other cordoned",
        make_unscheduled(
            "0/2 nodes are available: 1 Insufficient nvidia.com/gpu, 1 node(s) were unschedulable."
        ),
        "symptom.unscheduled",
        says="nvidia.com/gpu",
        source="NVIDIA/k8s-device-plugin#119",
    ),
]
