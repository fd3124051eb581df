"""The Pod Security Standards, as far as a pod's manifest shows what they refuse.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

BASELINE_CAPABILITIES = frozenset(
    (
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    )
)
RESTRICTED_CAPABILITIES = frozenset(("NET_BIND_SERVICE",))
RESTRICTED_VOLUMES = frozenset(
    (
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    )
)
SECCOMP = frozenset(("RuntimeDefault", "Localhost"))
HOST_NAMESPACES = ("hostNetwork", "hostPID", "hostIPC")
