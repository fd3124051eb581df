"""Words fixes of manifests, in one form that people can type and that tests apply.

A fix is an edit, or several joined by `; `, and may end in a remark behind `   # `:

    set PLACE: VALUE         the key at PLACE, which is made where it is missing
    add PLACE: VALUE         one more element of the list at PLACE
    remove PLACE
    set --flag VALUE         an argument of the program at the finding's location; add and remove as well
    set NAME=VALUE           a variable at the finding's location; `unset NAME` as well
    replace OLD with NEW     words at the finding's location

PLACE has dots between keys, `[NAME]` for the element of a list with this name, and `[KEY]` for a key with a
dot. It begins in the innermost part around the location with its first key; without one in the component,
else in the object. One of BLANKS is for the reader to fill in.
"""

import json
import re
import shlex
from typing import Any

from dynocheck.facts import Component, Graph, PodTemplate, Value

BLANKS = ("DOMAIN", "GATEWAY", "HOST", "IMAGE", "NAME", "PATH", "RELEASE", "REVISION", "TAG", "VALUE")
"""What the reader fills in."""

_PLAIN = re.compile(r"[A-Za-z/][\w./-]*")
_WORDS = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")


def set_value(place: str, value: Any, remark: str = "") -> str:
    """The edit that gives the key at a place this value."""
    return _add_remark(f"set {place}: {_format(value)}", remark)


def add_element(place: str, value: Any, remark: str = "") -> str:
    """The edit that adds this element to the list at a place."""
    return _add_remark(f"add {place}: {_format(value)}", remark)


def remove(place: str, remark: str = "") -> str:
    """The edit that removes a key, or an argument."""
    return _add_remark(f"remove {place}", remark)


def set_flag(flag: str, value: object, remark: str = "") -> str:
    """The edit that gives an argument this value."""
    return _add_remark(f"set {flag} {shlex.quote(str(value))}", remark)


def add_flag(flag: str, value: object = None, remark: str = "") -> str:
    """The edit that adds an argument."""
    return _add_remark(f"add {flag}" + ("" if value is None else f" {shlex.quote(str(value))}"), remark)


def set_variable(name: str, value: object, remark: str = "") -> str:
    """The edit that gives a variable this value, wherever it is set."""
    return _add_remark(f"set {name}={shlex.quote(str(value))}", remark)


def set_argument(spelled: str, value: object, remark: str = "") -> str:
    """The edit that gives an argument this value: a flag, a variable, or a key of a file."""
    if spelled.startswith("-"):
        return set_flag(spelled, value, remark)
    return set_variable(spelled, value, remark) if spelled.isupper() else set_value(spelled, value, remark)


def remove_argument(spelled: str, remark: str = "") -> str:
    """The edit that removes an argument: a flag, a variable, or a key of a file."""
    return unset(spelled, remark) if spelled.isupper() else remove(spelled, remark)


def replace_words(old: str, new: str, remark: str = "") -> str:
    """The edit that replaces words at the location."""
    return _add_remark(f"replace {old} with {new}", remark)


def is_legacy(graph: Graph) -> bool:
    """Whether a graph is of v1alpha1, whose components have fields of their own."""
    return graph.api_version.endswith("/v1alpha1")


def locate_component(name: str, *, legacy: bool) -> str:
    """The place of a component of a graph.

    :param legacy: whether the graph is of v1alpha1.
    """
    if legacy:
        return f"services[{name}]" if "." in name else f"services.{name}"
    return f"components[{name}]"


def locate_main(graph: Graph, component: Component) -> str:
    """The place of the main container of a component."""
    if is_legacy(graph):
        return "extraPodSpec.mainContainer"
    name = component.main.name if component.main else "main"
    return f"{component.pod or 'podTemplate.spec'}.containers[{name}]"


def import_secret(template: PodTemplate, container: Value, secret: str) -> str:
    """The edit that gives a container of a pod the keys of a Secret as variables."""
    name = container.get_text("name")
    groups = [key for key in ("containers", "initContainers") if container in template.spec.get_items(key)]
    if not groups:  # the main container of v1alpha1
        return set_value("envFromSecret", secret)
    if template.of_graph:
        pod = "podTemplate.spec" if template.around.get("podTemplate") is not None else "extraPodSpec"
    else:
        pod = template.path
    return add_element(f"{pod}.{groups[0]}[{name}].envFrom", {"secretRef": {"name": secret}})


def set_resource(graph: Graph, component: Component, resource: str, amount: object, remark: str = "") -> str:
    """The edit that gives the main container of a component this much of a resource, as its limit.

    v1alpha1 has a short name for GPUs and all else under `custom`.
    """
    if not is_legacy(graph):
        place = f"{locate_main(graph, component)}.resources.limits[{resource}]"
    elif resource == "nvidia.com/gpu":
        place = "resources.limits.gpu"
    else:
        place = f"resources.limits.custom[{resource}]"
    return set_value(place, str(amount), remark)


def set_gpus(graph: Graph, component: Component, amount: int, remark: str = "") -> str:
    """The edits that give a component this many GPUs on each node, where its manifest counts them."""
    if not component.gpu_places:
        return set_resource(graph, component, "nvidia.com/gpu", amount, remark)
    above = (f".{place}".partition(".resources.")[0] for place in component.gpu_places)
    containers = dict.fromkeys(path.rpartition(".")[2] or "mainContainer" for path in above)
    if len(containers) > 1:
        names = " and ".join(containers)
        return _add_remark(f"request {amount} GPUs in all of {names} together", remark)
    edits = "; ".join(set_value(place, str(amount)) for place in component.gpu_places)
    return _add_remark(edits, remark)


def unset(name: str, remark: str = "") -> str:
    """The edit that removes a variable, wherever it is set."""
    return _add_remark(f"unset {name}", remark)


def _add_remark(edit: str, remark: str) -> str:
    return f"{edit}   # {remark}" if remark else edit


def _format(value: Any) -> str:
    """A value as YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_format(key)}: {_format(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_format, value))}]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)
