"""Reads flags, JSON classes and variables from the source of argument parsers, which is never run."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tools.config_classes import Keys, find_config_classes, find_held_class, get_short_name, list_members

# What vLLM's human_readable_int reads: 32k, 1M.
_WITH_UNITS = ("max_model_len", "max_num_batched_tokens", "kv_cache_memory_bytes")
_BOUNDS = ("gt", "ge", "lt", "le")
_LAST = re.compile(r"v(\d+\.\d+)")
_REPLACEMENT = re.compile(r"--[a-z][a-z-]*")
_SGLANG_TYPES = {"EnvInt": "int", "EnvFloat": "float", "EnvBool": "bool"}

_MANY = ("list", "List", "tuple", "Tuple", "Sequence", "set", "Set")

# Where vLLM defines the arguments of its own server, by release.
_SERVER_MODULES = (
    "vllm/entrypoints/cli/serve.py",
    "vllm/entrypoints/common/cli_args.py",
    "vllm/entrypoints/launchers/cli_args.py",
    "vllm/entrypoints/openai/cli_args.py",
)

Flag = dict[str, Any]


def select_parser_modules(names: Iterable[str], folder: str) -> list[str]:
    """Of the files of an engine's package, the modules below a folder that define arguments."""
    return [
        name
        for name in names
        if name.startswith(folder) and name.endswith(".py") and _defines_arguments(name)
    ]


def _defines_arguments(name: str) -> bool:
    """Whether a module of an engine defines arguments."""
    own = ("vllm/engine/arg_utils.py", "sglang/srt/server_args.py")
    return (
        name in own
        or is_server_module(name)
        or name.startswith(("vllm/config/", "vllm/config.py", "sglang/srt/arg_groups/"))
    )


def is_server_module(name: str) -> bool:
    """Whether a module of vLLM defines the arguments of its own server."""
    return name in _SERVER_MODULES


def split_variables(flags: list[Flag]) -> Iterator[Flag]:
    """The variables of flags, taken out of these: what is known of the value that each stands for."""
    for flag in flags:
        name = flag.pop("env", None)
        kind = {"type": "bool"} if flag.get("kind") == "negatable" else {}
        kind |= {key: flag[key] for key in ("type", "choices", "growing") if key in flag}
        if name and kind and flag.get("kind") in (None, "negatable"):
            yield {"names": [name]} | kind


def read_variables(tree: ast.Module) -> Iterator[Flag]:
    """The variables that an engine converts: vLLM's in a mapping of functions, SGLang's in a class."""
    for node in ast.walk(tree):
        match node:
            case ast.Dict(keys, values):
                rows = ((_evaluate_literal(key), value) for key, value in zip(keys, values, strict=True))
                for name, value in rows:
                    if (
                        isinstance(name, str)
                        and name.startswith("VLLM_")
                        and (kind := _read_kind(name, value))
                    ):
                        yield {"names": [name]} | kind
            case ast.ClassDef("Envs", body=body):
                yield from (row for each in body for row in _read_field(each))


def _read_field(node: ast.stmt) -> Iterator[Flag]:
    match node:
        case ast.Assign([ast.Name(name)], ast.Call(ast.Name(field))) if name.startswith("SGLANG_"):
            if found := _SGLANG_TYPES.get(field.removesuffix("WithAlias")):
                yield {"names": [name], "type": found}


def _read_kind(name: str, value: ast.expr) -> Flag:
    """The type that a variable's text is converted to, or the choices that it is held to."""
    match value:
        case ast.Call(ast.Name("env_with_choices"), [_, _, choices], keywords=[]):
            return {"choices": found} if (found := _parse_choices(choices)) else {}
    for node in ast.walk(value):
        match node:
            case ast.Call(ast.Name("int" | "float" as kind), [ast.Call(_, [ast.Constant(read), *_])]) if (
                read == name
            ):
                return {"type": kind}
            case ast.Call(ast.Name("int" | "float" as kind), [ast.Subscript(_, ast.Constant(read))]) if (
                read == name
            ):
                return {"type": kind}
    return {}


def read_vllm_flags(sources: dict[str, str]) -> Iterator[Flag]:
    """EngineArgs takes type and choices of a flag from the field of a configuration class."""
    trees = {name: ast.parse(text) for name, text in sources.items()}
    aliases = _find_literals(trees.values())
    classes = _find_classes(trees.values())
    closed = find_config_classes(classes)
    tree = trees["vllm/engine/arg_utils.py"]
    readable = {
        text.value
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name in ("get_kwargs", "_compute_kwargs")
        for text in ast.walk(node)
        if isinstance(text, ast.Constant) and isinstance(text.value, str)
    }  # fields that it treats by name: numbers with units
    fields: dict[str, Flag] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            call = node.value
            if (
                isinstance(call.func, ast.Name)
                and call.func.id == "get_kwargs"
                and isinstance(node.targets[0], ast.Name)
            ):
                config = classes.get(ast.unparse(call.args[0]))
                for name, field in _list_fields(config, classes, aliases, readable, closed):
                    fields[f"{node.targets[0].id}.{name}"] = field
    _drop_overridden(fields, tree)
    yield from read_calls(tree, fields)


def read_vllm_server_flags(sources: dict[str, str]) -> Iterator[Flag]:
    """The flags of `vllm serve` besides the engine's: fields of a class, of calls in older releases.

    What a release's own code changes of a field is of unknown kind.
    """
    trees = {name: ast.parse(text) for name, text in sources.items()}
    classes, aliases = _find_classes(trees.values()), _find_literals(trees.values())
    yield {"names": ["--config"]}
    for tree in (tree for name, tree in trees.items() if is_server_module(name)):
        changed = {
            field
            for node in ast.walk(tree)
            if isinstance(node, ast.Subscript)
            for field in [_evaluate_literal(node.slice)]
            if isinstance(node.value, ast.Name)
        }
        if "FrontendArgs" in {each.name for each in tree.body if isinstance(each, ast.ClassDef)}:
            for name, kind in _list_fields(classes["FrontendArgs"], classes, aliases, set(), {}):
                own = {"kind": "unknown"} if name in changed else kind
                yield {"names": ["--" + name.replace("_", "-")]} | own
        body = [each for each in tree.body if not isinstance(each, ast.ClassDef) or "Args" not in each.name]
        yield from read_calls(ast.Module(body, []), {})


def _find_classes(trees: Iterable[ast.Module]) -> dict[str, ast.ClassDef]:
    return {node.name: node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def _drop_overridden(fields: dict[str, Flag], tree: ast.Module) -> None:
    """Take out what the parser's own code makes of a field: it adds choices, removes some, reads JSON freely.

    JSON that it reads freely is held to a class all the same where a method makes one of it in the end.
    """
    made = {
        ast.unparse(keyword.value): ast.unparse(node.func)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg is None
    }
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(
                ast.Subscript(ast.Name(group), ast.Constant(str(field))), ast.Constant(str(what))
            ) if f"{group}.{field}" in fields:
                kind = fields[f"{group}.{field}"]
                if what == "choices":
                    kind.pop("choices", None)
                elif what == "type" and made.get(f"self.{field}") != kind.get("keys"):
                    kind.pop("keys", None)


def list_mappings(sources: dict[str, str], flags: list[Flag]) -> Iterator[dict[str, Any]]:
    """The classes that JSON becomes, and those that its parts become."""
    closed = find_config_classes(_find_classes(map(ast.parse, sources.values())))
    pending, done = [flag["keys"] for flag in flags if "keys" in flag], set()
    while pending:
        name = pending.pop()
        if name and name not in done:
            done.add(name)
            pending += closed[name].values()
            yield {"name": name, "keys": closed[name]}


def read_sglang_flags(sources: dict[str, str]) -> Iterator[Flag]:
    """ServerArgs annotates its fields with what the parser needs, or calls the parser, by release."""
    trees = [ast.parse(text) for text in sources.values()]
    aliases = _find_literals(trees)
    for tree in trees:
        yield from read_calls(tree, {})
        for node in ast.walk(tree):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                flag = read_annotated_field(node.target.id, node.annotation, aliases)
                if flag is not None:
                    yield flag


def read_annotated_field(name: str, annotation: ast.expr, aliases: dict[str, list[str]]) -> Flag | None:
    if not (isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "A"):
        return None
    parts = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else []
    if len(parts) < 2:
        return None
    given = parts[1] if isinstance(parts[1], ast.Call) else None
    keywords = {k.arg: k.value for k in given.keywords if k.arg} if given else {}
    if _evaluate_literal(keywords.get("no_cli")) is True:
        return None
    spelled = _evaluate_literal(keywords.get("cli_name")) or "--" + name.replace("_", "-")
    flag = {"names": [spelled, *(_evaluate_literal(keywords.get("aliases")) or [])]}
    if "action" in keywords:
        return flag | _parse_action(ast.unparse(keywords["action"]))
    kind = parse_type(ast.unparse(parts[0]), aliases)
    if kind.get("kind") == "negatable":
        kind = {"kind": "switch"}
    choices = _parse_choices(keywords.get("choices"))
    if "choices" in keywords:
        kind.pop("choices", None)
        kind |= {"choices": choices} if choices else {}
    if "type_parser" in keywords:
        kind = {}
    nargs = _evaluate_literal(keywords.get("nargs"))
    return flag | kind | ({"kind": "optional" if nargs == "?" else "many"} if nargs else {})


def read_calls(tree: ast.AST, fields: dict[str, Flag]) -> Iterator[Flag]:
    """The flags of every call that adds an argument to a parser.

    :raises ValueError: the name of one is computed in a way that is not understood.
    """
    for node, scope in _unroll_calls(tree):
        called = ast.unparse(node.func).rpartition(".")[2]
        if called not in ("add_argument", "add_negatable_bool_argument"):
            continue
        keywords = {k.arg: k.value for k in node.keywords if k.arg}
        spelled = [*node.args, *(keywords[key] for key in ("flag_name", "obsolete_flag") if key in keywords)]
        texts = [_evaluate_text(each, scope) for each in spelled]
        names = [text for text in texts if text is not None and text.startswith("-")]
        if names:
            spec = _read_spec(node, called, keywords, fields)
            alias = "action" in keywords and "Alias" in ast.unparse(keywords["action"])
            renamed = {"old": names[1]} if alias and len(names) == 2 else {}
            yield {"names": names} | spec | renamed | _read_lifetime(keywords, tree)
        elif not any(isinstance(each, ast.Starred | ast.Name) for each in spelled) and not any(texts):
            raise ValueError(f"which flag is {ast.unparse(node)}?")


def _read_lifetime(keywords: dict[str, ast.expr], tree: ast.AST) -> Flag:
    """A flag's variable, and the release that is to drop it with the flag to use instead."""
    found: Flag = {}
    if isinstance(env := _evaluate_literal(keywords.get("env_var")), str):
        found["env"] = env
    if "deprecated" in keywords:
        called = {ast.unparse(n.func) for n in ast.walk(keywords["deprecated"]) if isinstance(n, ast.Call)}
        made = (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name in called)
        texts = [
            n.value
            for each in (keywords["deprecated"], *made)
            for n in ast.walk(each)
            if isinstance(n, ast.Constant) and isinstance(n.value, str)
        ]
        dropped = [match[1] for text in texts if (match := _LAST.fullmatch(text))]
        instead = [match[0] for text in texts if (match := _REPLACEMENT.search(text))]
        found |= {"dropped": dropped[0]} if dropped else {}
        found |= {"instead": instead[0]} if instead else {}
    return found


def _unroll_calls(tree: ast.AST) -> Iterator[tuple[ast.Call, dict[str, str]]]:
    """Every call, those in a loop over written values once for each, with the texts of the loop's names."""
    in_loops = set()
    for loop in (node for node in ast.walk(tree) if isinstance(node, ast.For)):
        for scope in _list_scopes(loop, tree):
            for node in (inner for each in loop.body for inner in ast.walk(each)):
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    text = _evaluate_text(node.value, scope)
                    scope |= {node.targets[0].id: text} if text is not None else {}
                elif isinstance(node, ast.Call):
                    in_loops.add(node)
                    yield node, scope
    yield from ((node, {}) for node in ast.walk(tree) if isinstance(node, ast.Call) and node not in in_loops)


def _list_scopes(loop: ast.For, tree: ast.AST) -> Iterator[dict[str, str]]:
    """What the names of a loop are in each of its rounds."""
    over = loop.iter
    items = isinstance(over, ast.Call) and ast.unparse(over.func).endswith(".items")
    name = ast.unparse(over).removesuffix(".items()")
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            over = node.value
    if items and isinstance(over, ast.Dict):
        rows: list[ast.expr] = [
            ast.Tuple([key, value]) for key, value in zip(over.keys, over.values, strict=True) if key
        ]
    else:
        rows = list(over.elts) if isinstance(over, ast.Tuple | ast.List) else []
    for row in rows:
        targets = loop.target.elts if isinstance(loop.target, ast.Tuple) else [loop.target]
        values = row.elts if isinstance(row, ast.Tuple) and isinstance(loop.target, ast.Tuple) else [row]
        pairs = zip(targets, values, strict=False)
        yield {
            ast.unparse(target): text
            for target, value in pairs
            if (text := _evaluate_text(value, {})) is not None
        }


def _evaluate_text(node: ast.expr, scope: dict[str, str]) -> str | None:
    """What an expression is as text: a constant, a name, those put together, or `.replace` on one."""
    match node:
        case ast.Constant(str(value)):
            return value
        case ast.Name(name):
            return scope.get(name)
        case ast.BinOp(left, ast.Add(), right):
            parts = [_evaluate_text(left, scope), _evaluate_text(right, scope)]
        case ast.JoinedStr(values):
            parts = [
                _evaluate_text(v.value if isinstance(v, ast.FormattedValue) else v, scope) for v in values
            ]
        case ast.Call(ast.Attribute(value, "replace"), [ast.Constant(str(old)), ast.Constant(str(new))]):
            text = _evaluate_text(value, scope)
            return text.replace(old, new) if text is not None else None
        case _:
            return None
    return None if None in parts else "".join(part for part in parts if part is not None)


def _read_spec(node: ast.Call, called: str, keywords: dict[str, ast.expr], fields: dict[str, Flag]) -> Flag:
    if called.startswith("add_negatable"):
        return {"kind": "negatable"}
    found: Flag = {}
    for spread in (keyword.value for keyword in node.keywords if keyword.arg is None):
        inner = spread.values[0] if isinstance(spread, ast.Dict) and None in spread.keys else spread
        name = _evaluate_literal(inner.slice) if isinstance(inner, ast.Subscript) else None
        field = fields.get(f"{ast.unparse(inner.value)}.{name}") if isinstance(inner, ast.Subscript) else None
        found = dict({"type": "unknown"} if field is None else field)
    if "action" in keywords:
        return _parse_action(ast.unparse(keywords["action"]))
    nargs = _evaluate_literal(keywords.get("nargs"))
    if nargs:
        found["kind"] = "optional" if nargs == "?" else "many"
    typed = keywords.get("type", keywords.get("arg_type"))
    if typed is not None:
        found.pop("type", None)
        found |= {"type": name} if (name := ast.unparse(typed)) in ("int", "float") else {}
    own = typed is not None and ast.unparse(typed) not in ("int", "float", "str", "None")
    if "choices" in keywords and not own:
        choices = _parse_choices(keywords["choices"])
        found |= {"choices": choices} if choices else {}
    if found.get("type") == "unknown":
        found = {"kind": found.get("kind", "unknown")}
    return found


def _parse_action(written: str) -> Flag:
    if "BooleanOptional" in written:
        return {"kind": "negatable"}
    if any(
        word in written
        for word in ("store_true", "store_false", "StoreTrue", "version", "help", "store_const", "count")
    ):
        return {"kind": "switch"}
    return {"kind": "value"} if "append" in written or written == "'store'" else {"kind": "unknown"}


def _list_fields(
    config: ast.ClassDef | None,
    classes: dict[str, ast.ClassDef],
    aliases: dict[str, list[str]],
    readable: set[str],
    closed: Mapping[str, Keys],
) -> Iterator[tuple[str, Flag]]:
    """The fields of a configuration class, those of its bases before them."""
    if config is None:
        return
    for base in config.bases:
        yield from _list_fields(classes.get(ast.unparse(base)), classes, aliases, readable, closed)
    for node in config.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            kind = parse_type(ast.unparse(node.annotation), aliases)
            held = find_held_class(node.annotation, closed)
            kind |= {"keys": held} if held else {}
            if isinstance(node.value, ast.Call) and ast.unparse(node.value.func).endswith("Field"):
                given = {k.arg: _evaluate_literal(k.value) for k in node.value.keywords}
                kind |= {key: given[key] for key in _BOUNDS if isinstance(given.get(key), int | float)}
            if node.target.id in readable:
                kind.pop("type", None)
                kind |= {"type": "units"} if node.target.id in _WITH_UNITS else {}
            yield node.target.id, kind


def parse_type(annotation: str, aliases: dict[str, list[str]]) -> Flag:
    """What an annotation tells of a flag: `list[int] | None` takes many, `bool` none."""
    types = list(list_members(ast.parse(annotation, mode="eval").body))
    names = {get_short_name(each) for each in types}
    written = [_list_values(each, aliases) for each in types]
    if "bool" in names:
        return {"kind": "optional"} if "str" in names else {"kind": "negatable"}
    if "str" not in names and any(written):
        return {"choices": [value for values in written for value in values]}
    if names & set(_MANY):
        return {"kind": "many"}
    if names in ({"int"}, {"float"}):
        return {"type": names.pop()}
    return {}


def _list_values(node: ast.expr, aliases: dict[str, list[str]]) -> list[str]:
    """The values of a set of literals, by its name or as it is written out; none of another type."""
    if get_short_name(node) != "Literal":
        return aliases.get(ast.unparse(node), [])
    return _expand_literal(node, aliases) or []


def _expand_literal(node: ast.expr, aliases: Mapping[str, list[str]]) -> list[str] | None:
    """What `Literal["auto", Others]` holds, None where a part of it is not known."""
    assert isinstance(node, ast.Subscript)
    found: list[str] = []
    for part in node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]:
        if isinstance(part, ast.Constant):
            found.append(str(part.value))
        elif ast.unparse(part) in aliases:
            found += aliases[ast.unparse(part)]
        else:
            return None
    return found


def _find_literals(trees: Iterable[ast.Module]) -> dict[str, list[str]]:
    """Names for a set of literals: `CacheDType = Literal["auto", ...]`, which may hold others of them."""
    named: dict[str, ast.expr] = {}
    for node in (node for tree in trees for node in ast.walk(tree)):
        match node:
            case ast.Assign([ast.Name(name)], ast.Subscript() as value):
                named[name] = value
            case ast.AnnAssign(ast.Name(name), _, ast.Subscript() as value):
                named[name] = value
    literal = {name: value for name, value in named.items() if get_short_name(value) == "Literal"}
    found: dict[str, list[str]] = {}
    for _ in literal:
        found |= {
            name: values
            for name, node in literal.items()
            if (values := _expand_literal(node, found)) is not None
        }
    return found


def _parse_choices(node: ast.expr | None) -> list[str] | None:
    """Only what is written out: a named list may be added to by a plug-in."""
    value = _evaluate_literal(node)
    if isinstance(value, list | tuple | set):
        return sorted(map(str, value))
    return None


def _evaluate_literal(node: ast.expr | None) -> Any:
    try:
        return ast.literal_eval(node) if node is not None else None
    except (ValueError, TypeError):
        return None
