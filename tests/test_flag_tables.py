"""The tables of flags: how they are read from parsers' source, and what is in them."""

import ast

import pytest

from dynocheck.data.flags import dynamo_release, engine_versions, flag_tables
from tools.argument_parsers import (
    list_mappings,
    parse_type,
    read_annotated_field,
    read_calls,
    read_variables,
    read_vllm_flags,
    split_variables,
)
from tools.config_classes import find_config_classes
from tools.write_engine_variables import list_backends
from tools.write_trtllm_flags import read_commands

NEGATABLE = "argparse.BooleanOptionalAction"
RELEASES = [f"1.{minor}" for minor in range(8)]


def read(source: str) -> list[dict[str, object]]:
    return list(read_calls(ast.parse(source), {"kwargs.eager": {"kind": "negatable"}, "kwargs.model": {}}))


@pytest.mark.parametrize(
    ("source", "flag"),
    [
        ('p.add_argument("--a", "-a", type=int)', {"names": ["--a", "-a"], "type": "int"}),
        ('p.add_argument("--a", type=parse)', {"names": ["--a"]}),
        ('p.add_argument("--a", action="store_true")', {"names": ["--a"], "kind": "switch"}),
        ('p.add_argument("--a", nargs="*")', {"names": ["--a"], "kind": "many"}),
        ('p.add_argument("--a", choices=["x", "y"])', {"names": ["--a"], "choices": ["x", "y"]}),
        ('p.add_argument("--a", choices=NAMES)', {"names": ["--a"]}),
        ('p.add_argument("--a", type=lower, choices=["x"])', {"names": ["--a"]}),
        ('p.add_argument("--a", type=str, choices=["x"])', {"names": ["--a"], "choices": ["x"]}),
        (f'p.add_argument("--a", action={NEGATABLE})', {"names": ["--a"], "kind": "negatable"}),
        ('p.add_argument("--a", action=Own)', {"names": ["--a"], "kind": "unknown"}),
        ('p.add_argument("--eager", **kwargs["eager"])', {"names": ["--eager"], "kind": "negatable"}),
        (
            'p.add_argument("--e", **{**kwargs["eager"], "default": 1})',
            {"names": ["--e"], "kind": "negatable"},
        ),
        ('p.add_argument("--model", **kwargs["model"])', {"names": ["--model"]}),
        ('p.add_argument("--new", **own)', {"names": ["--new"], "kind": "unknown"}),
        (
            'add_argument(p, flag_name="--a", obsolete_flag="--b", arg_type=float)',
            {"names": ["--a", "--b"], "type": "float"},
        ),
        ('add_negatable_bool_argument(p, flag_name="--a")', {"names": ["--a"], "kind": "negatable"}),
    ],
)
def test_a_parser_is_read(source: str, flag: dict[str, object]) -> None:
    assert read(source) == [flag]


@pytest.mark.parametrize(
    ("more", "flag"),
    [
        ("deprecated=Deprecated('x in --b', remove_in='v1.7')", {"dropped": "1.7", "instead": "--b"}),
        ("deprecated=_own('x')", {"dropped": "1.8", "instead": "--c"}),
    ],
)
def test_the_end_of_a_flag_is_read(more: str, flag: dict[str, object]) -> None:
    own = "def _own(name):\n    return Deprecated(f'{name} in --c', remove_in='v1.8')\n"
    assert read(f"{own}add_argument(p, flag_name='--a', {more})") == [{"names": ["--a"]} | flag]


def test_the_old_name_of_a_flag_is_read() -> None:
    assert read("p.add_argument('--a', '--b', action=_UniqueAlias)")[0]["old"] == "--b"


@pytest.mark.parametrize(
    ("call", "variable"),
    [
        ('add_argument(p, flag_name="--a", env_var="A", arg_type=int)', {"type": "int"}),
        ('add_argument(p, flag_name="--a", env_var="A", choices=["x"])', {"choices": ["x"]}),
        ('add_negatable_bool_argument(p, flag_name="--a", env_var="A")', {"type": "bool"}),
        ('add_argument(p, flag_name="--a", env_var="A")', None),
        ('add_argument(p, flag_name="--a", arg_type=int)', None),
    ],
)
def test_the_variable_of_a_flag_is_read(call: str, variable: dict[str, object] | None) -> None:
    flags = read(call)
    assert list(split_variables(flags)) == ([{"names": ["A"]} | variable] if variable else [])
    assert "env" not in flags[0]


@pytest.mark.parametrize(
    ("source", "variable"),
    [
        ('d = {"VLLM_A": lambda: bool(int(os.getenv("VLLM_A", "0")))}', {"type": "int"}),
        ('d = {"VLLM_A": lambda: float(os.environ["VLLM_A"]) if x else None}', {"type": "float"}),
        ('d = {"VLLM_A": env_with_choices("VLLM_A", None, ["x", "y"])}', {"choices": ["x", "y"]}),
        ('d = {"VLLM_A": env_with_choices("VLLM_A", None, ["x"], case_sensitive=False)}', None),
        ('d = {"VLLM_A": lambda: os.getenv("VLLM_A") or int(os.getenv("B"))}', None),
        ("class Envs:\n    SGLANG_A = EnvIntWithAlias(1)", {"type": "int"}),
        ("class Envs:\n    SGLANG_A = EnvStr('')", None),
    ],
)
def test_the_variables_of_an_engine_are_read(source: str, variable: dict[str, object] | None) -> None:
    found = list(read_variables(ast.parse(source)))
    assert [{**row, "names": []} for row in found] == ([{"names": []} | variable] if variable else [])


@pytest.mark.parametrize(
    "source",
    [
        'for d in ("x", "y"):\n    p.add_argument(f"--{d}-size")',
        'for d in ("x", "y"):\n    p.add_argument("--" + d + "-size")',
        'FIELDS = {"x_size": (int, 1), "y_size": (int, 2)}\n'
        'for n, (t, _) in FIELDS.items():\n    flag = n.replace("_", "-")\n'
        '    p.add_argument("--" + flag, type=t)',
        'rows = (("--x-size", "X"), ("--y-size", "Y"))\n'
        "for a, b in rows:\n    add_argument(p, flag_name=a, env_var=b)",
    ],
)
def test_loops_are_unrolled(source: str) -> None:
    assert [flag["names"] for flag in read(source)] == [["--x-size"], ["--y-size"]]


def test_a_name_that_is_not_understood_stops_the_tool() -> None:
    with pytest.raises(ValueError, match="which flag"):
        read("p.add_argument(name())")


@pytest.mark.parametrize(
    ("annotation", "flag"),
    [
        ('A[int, "help"]', {"names": ["--a-b"], "type": "int"}),
        ('A[Optional[float], "help"]', {"names": ["--a-b"], "type": "float"}),
        ('A[bool, "help"]', {"names": ["--a-b"], "kind": "switch"}),
        ('A[List[str], "help"]', {"names": ["--a-b"], "kind": "many"}),
        ('A[Literal["x", "y"], "help"]', {"names": ["--a-b"], "choices": ["x", "y"]}),
        ('A[str, Arg(cli_name="--c", aliases=["-c"])]', {"names": ["--c", "-c"]}),
        ("A[int, Arg(type_parser=parse)]", {"names": ["--a-b"]}),
        ("A[str, Arg(no_cli=True)]", None),
        ("int", None),
    ],
)
def test_an_annotated_field_is_read(annotation: str, flag: dict[str, object] | None) -> None:
    assert read_annotated_field("a_b", ast.parse(annotation, mode="eval").body, {}) == flag


@pytest.mark.parametrize(
    ("annotation", "found"),
    [
        ("bool | None", {"kind": "negatable"}),
        ("bool | str | None", {"kind": "optional"}),
        ("CacheDType", {"choices": ["auto", "fp8"]}),
        ("CacheDType | str", {}),
        ("CacheDType | torch.dtype | None", {"choices": ["auto", "fp8"]}),
        ("Literal['a', CacheDType]", {"choices": ["a", "auto", "fp8"]}),
        ("Literal['a', Unknown]", {}),
        ("dict[str, list[int]] | None", {}),
        ("SkipValidation[int]", {"type": "int"}),
        ("list[int] | None", {"kind": "many"}),
        ("int | None", {"type": "int"}),
        ("int | float", {}),
        ("KVTransferConfig | None", {}),
    ],
)
def test_a_type_tells_what_a_flag_takes(annotation: str, found: dict[str, object]) -> None:
    assert parse_type(annotation, {"CacheDType": ["auto", "fp8"]}) == found


@pytest.mark.parametrize(
    "module", ["dynamo.frontend", "dynamo.mocker", "dynamo.trtllm", "dynamo.vllm", "dynamo.sglang"]
)
def test_every_release_has_its_tables(module: str) -> None:
    for minor in RELEASES:
        release = dynamo_release(f"vllm-runtime:{minor}.0")
        assert release is not None
        parsers = flag_tables(module, release)
        below = module.removeprefix("dynamo.") in engine_versions(release)
        assert len(parsers) == 1 + below
        assert all(len(each.by_name) > 20 for each in parsers)


@pytest.mark.parametrize(
    ("field", "keys"),
    [
        ("a: int", {"a": ""}),
        ("a: B | None = None", {"a": "B"}),
        ("a: 'Optional[B]' = None", {"a": "B"}),
        ("a: B | dict[str, int]", {"a": ""}),
        ("a: Other", {"a": ""}),
        ("a: SkipValidation[B]", {"a": ""}),
        ("a: ClassVar[int] = 1", {}),
        ("a: int = field(default=1, init=False)", {}),
        ("a: int = Field(1, validation_alias=AliasChoices('a', 'old'))", {"a": "", "old": ""}),
    ],
)
def test_the_keys_of_a_class_are_read(field: str, keys: dict[str, str]) -> None:
    assert classes(f"@config\nclass A:\n    {field}\n@config\nclass B:\n    b: int")["A"] == keys


@pytest.mark.parametrize(
    "source",
    [
        "@dataclass\nclass A:\n    a: int",
        "@config(config=ConfigDict(extra='allow'))\nclass A:\n    a: int",
        "@config\nclass A(Elsewhere):\n    a: int",
        "@config\nclass A:\n    @model_validator(mode='before')\n    def renamed(cls, data): ...",
    ],
)
def test_a_class_that_may_take_other_keys_is_left_out(source: str) -> None:
    assert classes(source) == {}


def test_a_base_lends_its_keys() -> None:
    found = classes("@config\nclass A:\n    a: int\n@config\nclass B(A):\n    b: int")
    assert found["B"] == {"a": "", "b": ""}


def classes(source: str) -> dict[str, dict[str, str]]:
    nodes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    return find_config_classes({node.name: node for node in nodes})


ENGINE_ARGS = """
class EngineArgs:
    @staticmethod
    def add_cli_args(parser):
        own = get_kwargs(Config)
        own["taken_away"]["choices"].remove("x")
        own["read_freely"]["type"] = json.loads
        own["made_later"]["type"] = json.loads
        parser.add_argument("--chosen", **own["chosen"])
        parser.add_argument("--taken-away", **own["taken_away"])
        parser.add_argument("--held", **own["held"])
        parser.add_argument("--read-freely", **own["read_freely"])
        parser.add_argument("--made-later", **own["made_later"])

    def create(self):
        return Held(**self.made_later)
"""
CONFIG = """
Some = Literal["x", "y"]
More: TypeAlias = Literal["auto", Some]

@config
class Held:
    key: int = 1
    below: Below | None = None

@config
class Below:
    deep: int = 1

@config
class Config:
    chosen: More | torch.dtype = "auto"
    taken_away: Some = "x"
    held: Held | None = None
    read_freely: Held | None = None
    made_later: Held | None = None
"""


def test_vllm_is_read_from_its_configuration_classes() -> None:
    sources = {"vllm/engine/arg_utils.py": ENGINE_ARGS, "vllm/config/a.py": CONFIG}
    flags = list(read_vllm_flags(sources))
    assert flags == [
        {"names": ["--chosen"], "choices": ["auto", "x", "y"]},
        {"names": ["--taken-away"]},
        {"names": ["--held"], "keys": "Held"},
        {"names": ["--read-freely"]},
        {"names": ["--made-later"], "keys": "Held"},
    ]
    assert list(list_mappings(sources, flags)) == [
        {"name": "Held", "keys": {"key": "", "below": "Below"}},
        {"name": "Below", "keys": {"deep": ""}},
    ]


def describe_option(names: list[str], value: str = "", choices: str = "") -> str:
    """An option as Sphinx shows it."""
    comma = '<span class="sig-prename descclassname"><span class="pre">,</span> </span>'
    shown = comma.join(f'<span class="sig-name descname"><span class="pre">{n}</span></span>' for n in names)
    behind = f'<span class="sig-prename descclassname"> <span class="pre">{value}</span></span>'
    field = f'<dl><dt class="field-odd">Options<span>:</span></dt><dd><p>{choices}</p></dd></dl>'
    return (
        f'<dt class="sig sig-object std" id="cmdoption-x">{shown}{behind}<a class="headerlink">#</a></dt>'
        f"<dd><p>Options of -x: y</p>{field if choices else ''}</dd>"
    )


def test_the_documentation_of_trtllm_serve_is_read() -> None:
    page = (
        '<h4>disaggregated<a href="#">#</a></h4>'
        + describe_option(["-c", "--config"], "&lt;config&gt;")
        + '<h4>serve<a href="#">#</a></h4>'
        + describe_option(["--backend"], "&lt;backend&gt;", "pytorch | tensorrt")
        + describe_option(["--telemetry", "--no-telemetry"])
        + describe_option(["MODEL"])
        + describe_option(["--tool_parser"], "&lt;tool_parser&gt;", "qwen3")
    )
    assert read_commands(page) == {
        "disaggregated": [{"names": ["--config", "-c"]}],
        "serve": [
            {"names": ["--backend"], "choices": ["pytorch", "tensorrt", "trt"]},
            {"names": ["--no-telemetry", "--telemetry"], "kind": "switch"},
            {"names": ["--tool_parser"], "choices": ["qwen3"], "growing": True},
        ],
    }


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("class _Backend(enum.Enum):\n    A = enum.auto()\n    B = enum.auto()", ["A", "B"]),
        (
            'class AttentionBackendEnum(Enum):\n    """One."""\n    A = "x.Y"\nclass _Backend(M):\n    pass',
            ["A"],
        ),
        ("class Backend(Enum):\n    A = 1", []),
    ],
)
def test_the_attention_backends_of_vllm_are_read(source: str, names: list[str]) -> None:
    assert list_backends(source) == names
