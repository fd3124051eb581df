"""What a kind of defect is."""

from collections.abc import Callable
from re import Match
from typing import NamedTuple

Edit = str | Callable[[Match[str]], str]


# The line of a component in either version of a graph, and where a program is started.
COMPONENT = (
    r"^  (  )?- (name|multinode|podTemplate|replicas|type):|^    (?!podTemplate|multinode|eppConfig)[\w-]+:$"
)
# TensorRT-LLM's YAML wins over a flag: where it sets the size too, that is what is wrong with the flag.
OR_THE_YAML = "{} engine.cli-vs-yaml"
LAUNCH = r"dynamo\.(?:vllm|sglang|trtllm)\b"

STARTS_NOTHING = "qwen3-vl-32b-fp8/"  # the folder whose scripts start no engine as they are
# Manifests of graphs, but for those of that folder and of engines that Dynamo has not.
MANIFEST = (
    rf"^(?!.*(perf|bench|download|data-gen|tokenspeed|vllm-serve))(?!accuracy/|{STARTS_NOTHING}).*\.yaml$"
)


class Defect(NamedTuple):
    """A defect that people make.

    `old` and `new` are an expression and what takes its place, at one place of a file at a time. `files` and
    `needs` say where it is one: in files of this name that hold this. The finding of `check` must stand on a
    line that the edit changed, on the nearest one above or below it that `at` is found in, or on one of the
    same document that `within` is found in. Where two files differ either may be the wrong one: then it may
    stand on a line of another one that `elsewhere` is found in. `after` is found somewhere before the place.
    `check` may be a pattern, or several apart from each other by blanks, any of which may tell of it.
    """

    name: str
    old: str
    new: Edit
    at: str = ""
    files: str = r"\.yaml$"
    needs: str = ""
    within: str = ""
    elsewhere: str = ""
    after: str = ""
    check: str = ""
