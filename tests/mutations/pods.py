"""Kinds of defect in Kubernetes objects, above all in the pods of graphs and Jobs."""

from tests.mutations.defect import COMPONENT, LAUNCH, STARTS_NOTHING, Defect

DEPLOY = r"^(?!accuracy/).*\.yaml$"
HANDLER = r"( +)httpGet:\n(?:\1 +.*\n)+"
ANY_PROBE = r"Probe:"

_OR_A_CLAIM = "storage.claim-declared"  # the operator mounts a claim in place of a volume that is not there

BY_CHECK = {
    "manifest.schema": [
        Defect(
            "a mount of no volume",
            r"^( +)(- mountPath: \S+\n +name: \S+)$",
            r"\1\2s",
            at="mountPath",
            check=f"manifest.schema {_OR_A_CLAIM}",
        ),
        Defect(
            "a mount of no volume, by its name",
            r"^( +- name: \S+)(\n +mountPath: \S+)$",
            r"\1s\2",
            at="mountPath",
            check=f"manifest.schema {_OR_A_CLAIM}",
        ),
        Defect(
            "a value and where it is from", r"^( +)valueFrom:$", r"\1value: x\n\1valueFrom:", at="- name:"
        ),
        Defect("a field there is not", r"(?<=fieldPath: )\S+", "status.podName"),
        Defect("a probe without a handler", r"(?<=Probe:\n)" + HANDLER, "", at=ANY_PROBE),
        Defect(
            "two handlers of a probe", r"^( +)httpGet:$", r"\1exec: {command: [ls]}\n\1httpGet:", at=ANY_PROBE
        ),
        Defect("a period below zero", r"(?<=periodSeconds: )\d+", "-5"),
        Defect(
            "two ports of one name",
            r"^( +)(- name: (\S+)\n +containerPort: )(\d+)$",
            r"\1\2\g<4>\n\1- name: \3\n\1  containerPort: 1\4",
            within="containerPort|- name:",
        ),
        Defect("a port out of range", r"(?<=containerPort: )\d+$", "80000"),
        Defect(
            "a toleration that exists with a value",
            r"""^( +)(- key: \S+\n +operator: ["']?Exists["']?)$""",
            r"\1\2\n\1  value: present",
            at="- key:|operator:",
        ),
        Defect("an effect there is not", r"""(?<=effect: )["']?NoSchedule["']?(?=\}*$)""", "NoSchedul"),
        Defect("an operator there is not", r"(?<=operator: )In$", "in"),
        Defect("a label with blanks to select", r"^( +)(nodeSelector:\n +\S+: ).*$", r'\1\2"NVIDIA H200"'),
        Defect(
            "a name of a variable that is none",
            r"^( +- name: [A-Z][A-Z_]+)\n(?= +value: )",
            r"\1=1\n",
            needs="DynamoGraphDeployment|kind: Job",
        ),
        Defect("half a GPU", r"""((?:nvidia\.com/)gpu: )["']?\d+["']?$""", r'\g<1>"0.5"', at="gpu:"),
        Defect("a policy to pull there is not", r"(?<=imagePullPolicy: )\w+", "IfNotPresents"),
        Defect(
            "two sources of a volume",
            r"^( +)persistentVolumeClaim:$",
            r"\1emptyDir: {}\n\1persistentVolumeClaim:",
            at="- name",
        ),
        Defect(
            "two volumes of one name",
            r"^( +- name: \S+\n +persistentVolumeClaim:\n +claimName: \S+)$",
            r"\1\n\1",
            at="- name:",
        ),
        Defect(
            "two mounts at one path", r"^( +- name: \S+\n +mountPath: \S+)$", r"\1\n\1", at="- name|mountPath"
        ),
        Defect("a label that is none", r"^( +)(labels:\n +[\w./-]+: ).*$", r'\1\2"a b"'),
        Defect("a number for text", r"""^( +- name: [A-Z_]+\n +value: )["'](\d+|true|false)["']$""", r"\1\2"),
        Defect("a number among words", r"""^( +- )["'](\d+)["']$""", r"\1\2"),
        Defect("fewer than no replicas", r"(?<=replicas: )\d+$", "-1"),
        Defect("a misspelt field", r"^( +)replicas: ", r"\1replica: ", at=r"^ +(- )?\w+:"),
        Defect("a field one level up", r"^( +)  (sizeLimit: \S+)$", r"\1\2", at="emptyDir|name"),
        Defect(
            "a job that is always restarted",
            r"(?<=restartPolicy: )(Never|OnFailure)",
            "Always",
            needs="kind: Job",
        ),
        Defect("a job that is tried less than once", r"(?<=backoffLimit: )\d+", "-1"),
        Defect("an access mode there is not", r"(?<=- )ReadWriteMany", "ReadWriteMnay"),
        Defect("a claim to a device that no pod has", r"^( +claims:\n +- name: \S+)$", r"\1s", at="claims"),
        Defect(
            "an object without a name",
            r"^(metadata:\n)  name: \S+\n",
            r"\1  labels: {a: b}\n",
            at="^metadata|^kind",
        ),
        Defect(
            "a kind there is not",
            r"^kind: DynamoGraphDeployment$",
            "kind: DynamoGraphDeploymnt",
            at="^apiVersion",
        ),
        Defect(
            "two components of one name",
            r"^(  (?:  )?- name: )(?!Frontend)\w+$(?!\n +value)",
            r"\1Frontend",
            needs=r"^  (?:  )?- name: Frontend$",
            within="- name: Frontend",
        ),
        Defect(
            "GPUs by the wrong key",
            r"""^(      resources:\n +limits:\n +)gpu: """,
            r"\1nvidia.com/gpu: ",
            needs="v1alpha1",
            at="limits",
        ),
    ],
    "memory.shared-memory": [
        Defect("a medium there is not", r"""(?<=medium: )["']?Memory["']?(?=[,}]|$)""", "memory"),
    ],
    "network.ipc-lock": [
        Defect(
            "a capability there is not",
            r"- IPC_LOCK$",
            "- CAP_IPC_LOCK",
            at=COMPONENT,
            needs=r"\A(?!(?s:.*)privileged: true)(?s:.*)(rdma/|/efa:)",
        ),
    ],
    "storage.claim-declared": [
        Defect(
            "a claim nobody makes",
            r"(?<=claimName: )(?!\S*your)[\w-]+(?=\}*$)",
            "model-weights",
            files=r"^(?!accuracy/).*deploy[^/]*\.yaml$",
        ),
    ],
    "storage.model-path": [
        Defect(
            "a model outside the mount",
            r"""(--model(?:-path)?(?:\n +- | )["']?)/(?=\w)""",
            r"\1/other/",
            files=r"deploy[^/]*\.yaml$",
        ),
        Defect(
            "a mount elsewhere",
            r"(mountP(?:ath|oint): )(\S*/huggingface|/opt/models?|/model-store|/model-cache|/models)$",
            r"\1/elsewhere",
            files=rf"^(?!{STARTS_NOTHING}).*deploy[^/]*\.yaml$",
            within=r"--model|HF_HOME|value: \W?/|" + LAUNCH,
            after=LAUNCH,
        ),
    ],
    "model.same-everywhere": [
        Defect(
            "another model to serve",
            r"""(--model(?:-path)?(?:\n +- | )["']?[A-Za-z]\w*/[\w.-]+)""",
            r"\1-v2",
            files=r"deploy[^/]*\.yaml$",
            elsewhere=r"\w+/\w+",
            at=LAUNCH,
        ),
        Defect(
            "another name to serve",
            r"""(--served-model-name(?:\n +- | )["']?\w+/[\w.-]+)""",
            r"\1-v2",
            files=r"deploy[^/]*\.yaml$",
            needs=r"--disaggregation-mode(\n +- |[ =])\W?prefill",
            within=LAUNCH,
        ),
    ],
    "docs.commands": [
        Defect(
            "a file that was moved",
            r"(?<=apply -f )([\w./-]+/)(\w[\w-]*\.yaml)",
            r"\1old/\2",
            files=r"README\.md$",
        ),
        Defect(
            "a job of another name",
            r"(?<=job/)[a-z][\w.-]+",
            "download-weights",
            files=r"README\.md$",
            at="kubectl",
        ),
    ],
    "docs.gpus": [
        Defect(
            "GPUs that were doubled",
            r"^(\|.*?(?:`[\w.-]+/[\w./-]+`|\]\([\w./-]+\)).*?)\b([24])(x ?(?:H100|H200|B200|GB200)\b)",
            r"\g<1>1\2\3",
            files=r"README\.md$",
        ),
    ],
}
