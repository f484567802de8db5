"""What a plug-in can be told: every option of its `Config`, with its default and what it means.

    options(MTBench.Config)
    [Option("data", "str", '"microworld"', "`microworld`, `mt_bench` for the official ..."), ...]

Options of options are listed under the dotted names that a request's tables have.
"""

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import to_jsonable_python


class Option(NamedTuple):
    """One option, as a request writes it."""

    name: str
    kind: str
    """What it takes: `int`, `"sigmoid" | "ipo"` ..."""
    default: str
    """`required`, `not set`, `as follows` for a table of options, or the value in JSON."""
    meaning: str


def options(
    config: type[BaseModel], within: str = "", defaults: BaseModel | None = None
) -> Iterator[Option]:
    """List the options of a plug-in, in the order of their declaration.

    Args:
        config: The plug-in's `Config`.
        within: The name of the table that they are in, with a dot at its end.
        defaults: What the table is by default, where that is not what its fields are by themselves.
    """
    meanings = _meanings(config)
    for name, field in config.model_fields.items():
        required = defaults is None and field.is_required()
        default = (
            getattr(defaults, name) if defaults else field.get_default(call_default_factory=True)
        )
        table = _table(field.annotation)
        preset = default if isinstance(default, BaseModel) else None
        shown = "required" if required else "as follows" if preset else _value(default)
        yield Option(within + name, _written(field.annotation), shown, meanings.get(name, ""))
        if table:
            yield from options(table, f"{within}{name}.", preset)


def _value(default: Any) -> str:
    return "not set" if default is None else json.dumps(to_jsonable_python(default))


def _table(annotation: Any) -> type[BaseModel] | None:
    """Find the record that an option takes, if it takes one."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, UnionType):
        return next(filter(None, map(_table, get_args(annotation))), None)
    return None


def _written(annotation: Any) -> str:
    """Write a type as briefly as a reader needs it."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " | ".join(_written(one) for one in inside if one is not type(None))
    if annotation is Path:
        return "path"
    if annotation is str:
        return "text"
    if annotation is bool:
        return "true | false"
    if origin is Literal:
        return " | ".join(json.dumps(one) for one in inside)
    if origin is Annotated:
        return _written(inside[0])
    if origin in (tuple, list):
        return f"list of {_written(inside[0])}"
    if origin is dict:
        return f"table of {_written(inside[1])}"
    if _table(annotation):
        return "table"
    return str(getattr(annotation, "__name__", annotation))


def _meanings(config: type[BaseModel]) -> dict[str, str]:
    """Read the string that stands below each field, of the class and of those it builds on."""
    found: dict[str, str] = {}
    for kind in reversed(config.__mro__):
        if not issubclass(kind, BaseModel) or kind is BaseModel:
            continue
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
        except (OSError, SyntaxError):  # made at run time, or its source is not there
            continue
        assert isinstance(body, ast.ClassDef)
        for field, below in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
                and isinstance(below.value.value, str)
            ):
                found[field.target.id] = inspect.cleandoc(below.value.value).replace("\n", " ")
    return found
