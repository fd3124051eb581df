"""The keys of vLLM's configuration classes, read from their source.

Its own decorator `@config` makes a class one that refuses a key which is none of its fields.
"""

import ast
from collections.abc import Iterator, Mapping

Keys = dict[str, str]
_AROUND = ("Optional", "Union", "Annotated", "SkipValidation")


def members(annotation: ast.expr) -> Iterator[ast.expr]:
    """The types of a union, however it is written; a type that is no union by itself."""
    match annotation:
        case ast.Constant(str(text)):
            yield from members(ast.parse(text, mode="eval").body)
        case ast.Constant(None):
            return
        case ast.BinOp(left, ast.BitOr(), right):
            yield from members(left)
            yield from members(right)
        case ast.Subscript(value, inside) if called(value) in _AROUND:
            parts = inside.elts if isinstance(inside, ast.Tuple) else [inside]
            for part in parts[:1] if called(value) == "Annotated" else parts:
                yield from members(part)
        case _:
            yield annotation


def called(node: ast.expr) -> str:
    """The last part of a dotted name: `List` of `typing.List[int]`."""
    return ast.unparse(node.value if isinstance(node, ast.Subscript) else node).rpartition(".")[2]


def config_classes(classes: Mapping[str, ast.ClassDef]) -> dict[str, Keys]:
    """The keys of each class that refuses others, with the class that the value of a key is held to, if any.

    Left out are classes that look at their keys before these are judged, and those with unknown bases.
    """
    closed = {name for name in classes if _closed(name, classes)}
    return {name: dict(_keys(name, classes, closed)) for name in sorted(closed)}


def _closed(name: str, classes: Mapping[str, ast.ClassDef]) -> bool:
    node = classes.get(name)
    if node is None or not any(_refusing(each) for each in node.decorator_list) or node.keywords:
        return False
    before = any(
        "model_validator" in text and "'after'" not in text
        for method in node.body
        if isinstance(method, ast.FunctionDef)
        for text in map(ast.unparse, method.decorator_list)
    )
    return not before and all(_closed(ast.unparse(base), classes) for base in node.bases)


def _refusing(decorator: ast.expr) -> bool:
    """Whether it is `@config`, and nothing that it is given says what becomes of other keys."""
    name = ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator)
    return name == "config" and "extra" not in ast.unparse(decorator)


def _keys(name: str, classes: Mapping[str, ast.ClassDef], closed: set[str]) -> Iterator[tuple[str, str]]:
    for base in classes[name].bases:
        yield from _keys(ast.unparse(base), classes, closed)
    for node in classes[name].body:
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
            continue
        types = [ast.unparse(each) for each in members(node.annotation)]
        if not (types and types[0].startswith("ClassVar")) and not _own(node.value):
            held = len(types) == 1 and types[0] in closed and "SkipValidation" not in ast.unparse(node)
            yield node.target.id, types[0] if held else ""
        yield from ((alias, "") for alias in _aliases(node.value))


def _own(value: ast.expr | None) -> bool:
    """Whether a field is the class's own affair: `field(init=False)`."""
    keywords = value.keywords if isinstance(value, ast.Call) else []
    return any(each.arg == "init" and ast.unparse(each.value) == "False" for each in keywords)


def _aliases(value: ast.expr | None) -> Iterator[str]:
    for keyword in value.keywords if isinstance(value, ast.Call) else ():
        if keyword.arg and "alias" in keyword.arg:
            yield from (
                each.value
                for each in ast.walk(keyword.value)
                if isinstance(each, ast.Constant) and isinstance(each.value, str)
            )


def told(annotation: ast.expr, closed: Mapping[str, Keys]) -> str:
    """The class that a flag's JSON is held to: the one class of its field's type, beside mappings."""
    found = {ast.unparse(each) for each in members(annotation) if called(each) not in ("dict", "Any")}
    return found.pop() if len(found) == 1 and found <= set(closed) else ""
