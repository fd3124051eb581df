"""The keys of vLLM's configuration classes, read from their source.

Its own decorator `@config` makes a class one that refuses a key which is none of its fields.
"""

import ast
from collections.abc import Iterator, Mapping

Keys = dict[str, str]
_AROUND = ("Optional", "Union", "Annotated", "SkipValidation")


def list_members(annotation: ast.expr) -> Iterator[ast.expr]:
    """The types of a union, however it is written; a type that is no union by itself."""
    match annotation:
        case ast.Constant(str(text)):
            yield from list_members(ast.parse(text, mode="eval").body)
        case ast.Constant(None):
            return
        case ast.BinOp(left, ast.BitOr(), right):
            yield from list_members(left)
            yield from list_members(right)
        case ast.Subscript(value, inside) if get_short_name(value) in _AROUND:
            parts = inside.elts if isinstance(inside, ast.Tuple) else [inside]
            for part in parts[:1] if get_short_name(value) == "Annotated" else parts:
                yield from list_members(part)
        case _:
            yield annotation


def get_short_name(node: ast.expr) -> str:
    """The last part of a dotted name: `List` of `typing.List[int]`."""
    return ast.unparse(node.value if isinstance(node, ast.Subscript) else node).rpartition(".")[2]


def find_config_classes(classes: Mapping[str, ast.ClassDef]) -> dict[str, Keys]:
    """The keys of each class that refuses others, with the class that the value of a key is held to, if any.

    Left out are classes that look at their keys before these are judged, and those with unknown bases.
    """
    closed = {name for name in classes if _is_closed(name, classes)}
    return {name: dict(_list_keys(name, classes, closed)) for name in sorted(closed)}


def _is_closed(name: str, classes: Mapping[str, ast.ClassDef]) -> bool:
    node = classes.get(name)
    if node is None or not any(_is_refusing(each) for each in node.decorator_list) or node.keywords:
        return False
    before = any(
        "model_validator" in text and "'after'" not in text
        for method in node.body
        if isinstance(method, ast.FunctionDef)
        for text in map(ast.unparse, method.decorator_list)
    )
    return not before and all(_is_closed(ast.unparse(base), classes) for base in node.bases)


def _is_refusing(decorator: ast.expr) -> bool:
    """Whether it is `@config`, and nothing that it is given says what becomes of other keys."""
    name = ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator)
    return name == "config" and "extra" not in ast.unparse(decorator)


def _list_keys(name: str, classes: Mapping[str, ast.ClassDef], closed: set[str]) -> Iterator[tuple[str, str]]:
    for base in classes[name].bases:
        yield from _list_keys(ast.unparse(base), classes, closed)
    for node in classes[name].body:
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
            continue
        types = [ast.unparse(each) for each in list_members(node.annotation)]
        if not (types and types[0].startswith("ClassVar")) and not _is_internal(node.value):
            held = len(types) == 1 and types[0] in closed and "SkipValidation" not in ast.unparse(node)
            yield node.target.id, types[0] if held else ""
        yield from ((alias, "") for alias in _list_aliases(node.value))


def _is_internal(value: ast.expr | None) -> bool:
    """Whether a field is the class's own affair: `field(init=False)`."""
    keywords = value.keywords if isinstance(value, ast.Call) else []
    return any(each.arg == "init" and ast.unparse(each.value) == "False" for each in keywords)


def _list_aliases(value: ast.expr | None) -> Iterator[str]:
    for keyword in value.keywords if isinstance(value, ast.Call) else ():
        if keyword.arg and "alias" in keyword.arg:
            yield from (
                each.value
                for each in ast.walk(keyword.value)
                if isinstance(each, ast.Constant) and isinstance(each.value, str)
            )


def find_held_class(annotation: ast.expr, closed: Mapping[str, Keys]) -> str:
    """The class that a flag's JSON is held to: the one class of its field's type, beside mappings."""
    found = {
        ast.unparse(each) for each in list_members(annotation) if get_short_name(each) not in ("dict", "Any")
    }
    return found.pop() if len(found) == 1 and found <= set(closed) else ""
