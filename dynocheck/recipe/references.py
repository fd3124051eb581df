"""Expands `$(NAME)` in command, args and env, as the kubelet does."""

import re
from collections.abc import Mapping

Environment = Mapping[str, str | None]

MAX_EXPANDED = 128 * 1024  # characters that references may add to a text: Linux accepts no longer argument
UNKNOWN = "\ue000"  # a placeholder in a script for a value that is known only at run time

_NAME = re.compile(r"[-._A-Za-z][-._A-Za-z0-9]*")
_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")
# Variables that a container may have without its manifest setting them: those for the Services of its
# namespace, those of Dynamo's operator and the orchestrators below it, and those of typical images.
_INJECTED = re.compile(
    r".*_SERVICE_HOST|.*_SERVICE_PORT(_.*)?|.*_PORT(_\d+_(TCP|UDP)(_.*)?)?"
    r"|(DYN|POD|NATS|ETCD|NIXL|GROVE|LWS|KUBERNETES|NVIDIA|NV|CUDA)_.*|CONTAINER_NAME"
    r"|HOME|HOSTNAME|SHELL|USER|LANG|LC_.*|TERM|PS[0-4]|(.*_)?PATH|VIRTUAL_ENV|(HOST|MACH|OS)TYPE"
)


def is_injected(name: str) -> bool:
    """Whether a container may have this variable without its manifest setting it."""
    return _INJECTED.fullmatch(name) is not None


def expand(text: str, environment: Environment, *, is_open: bool = False) -> str | None:
    """Replace every reference and unescape `$$`; None if a value is unknown.

    A reference to an undefined variable is left unchanged.

    :param is_open: whether the container has variables besides those in `environment`.
    """
    expanded = expand_in_script(text, environment, is_open=is_open)
    return None if UNKNOWN in expanded else expanded


def expand_in_script(text: str, environment: Environment, *, is_open: bool = False) -> str:
    """Like `expand`, with UNKNOWN in place of each unknown value."""
    room = MAX_EXPANDED

    def replace(match: re.Match[str]) -> str:
        nonlocal room
        name = match.group(1)
        if name is None:
            return "$"
        if name in environment:
            text = environment[name]
            room -= len(text or "")
            return UNKNOWN if text is None or room < 0 else text
        return UNKNOWN if is_injected(name) or (is_open and _NAME.fullmatch(name)) else match.group(0)

    end = text.rfind(")") + 1  # no references follow; searching for them is slow
    return _REFERENCE.sub(replace, text[:end]) + text[end:].replace("$$", "$")
