"""What manifests of pods that run dynocheck share."""

from typing import Any

KubeObject = dict[str, Any]

UNPRIVILEGED: KubeObject = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
"""The security context of a container that writes nothing, as the strictest pod security wants it."""

NO_IMAGE = (
    "--image IMAGE: an image with dynocheck installed; none is published; image/Containerfile builds one"
)
