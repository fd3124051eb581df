"""Which release of Dynamo a machine is judged for."""

from dynocheck.facts import NodePackages, NodeRequest


def find_wanted_release(packages: NodePackages, request: NodeRequest) -> str | None:
    """The release that the user names, else the one that is installed."""
    installed = packages.find("ai-dynamo") or packages.find("ai-dynamo-runtime")
    return request.release or (installed.version if installed else None)
