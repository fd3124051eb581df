"""`$(NAME)` in command, args and env, as the kubelet replaces it before anything runs."""

import re
from collections.abc import Mapping

Environment = Mapping[str, str | None]

# Characters that the references of one text may bring in: longer than this, Linux runs nothing with it.
MAX_EXPANDED = 128 * 1024
UNKNOWN = "\ue000"  # stands in a script for what only the running container could tell

_NAME = re.compile(r"[-._A-Za-z][-._A-Za-z0-9]*")
_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")
# What a container has though its manifest does not say so: a variable for each service of its namespace,
# what Dynamo's operator and the orchestrators under it add, and what images of this kind bring along.
_INJECTED = re.compile(
    r".*_SERVICE_HOST|.*_SERVICE_PORT(_.*)?|.*_PORT(_\d+_(TCP|UDP)(_.*)?)?"
    r"|(DYN|POD|NATS|ETCD|NIXL|GROVE|LWS|KUBERNETES|NVIDIA|NV|CUDA)_.*|CONTAINER_NAME"
    r"|HOME|HOSTNAME|SHELL|USER|LANG|LC_.*|TERM|PS[0-4]|(.*_)?PATH|VIRTUAL_ENV|(HOST|MACH|OS)TYPE"
)


def is_injected(name: str) -> bool:
    """Whether a container may have this variable without its manifest saying so."""
    return _INJECTED.fullmatch(name) is not None


def expand(text: str, environment: Environment, *, is_open: bool = False) -> str | None:
    """The text with every reference replaced and `$$` unescaped; None when a value is not known.

    A reference to what the container does not define stays as it is written.

    :param is_open: whether the container has variables from a place that is not known.
    """
    expanded = expand_in_script(text, environment, is_open=is_open)
    return None if UNKNOWN in expanded else expanded


def expand_in_script(text: str, environment: Environment, *, is_open: bool = False) -> str:
    """The same, with UNKNOWN in the place of each value that is not known."""
    room = MAX_EXPANDED

    def value(match: re.Match[str]) -> str:
        nonlocal room
        name = match.group(1)
        if name is None:
            return "$"
        if name in environment:
            found = environment[name]
            room -= len(found or "")
            return UNKNOWN if found is None or room < 0 else found
        return UNKNOWN if is_injected(name) or (is_open and _NAME.fullmatch(name)) else match.group(0)

    end = text.rfind(")") + 1  # behind it there are no references: looking for one would take long
    return _REFERENCE.sub(value, text[:end]) + text[end:].replace("$$", "$")
