"""Settings: nested dataclasses to JSON and back. Reading is strict, and says where and what is wrong."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from velodrome.mistake import Mistake, nearest

_NOT_IN_JSON = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


def settings_to_json(value: Any) -> Any:
    """A settings dataclass as JSON values."""
    if dataclasses.is_dataclass(value):
        return {field.name: settings_to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: settings_to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [settings_to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def settings_from_json(kind: Any, document: Any, where: str = "settings") -> Any:
    """A value of type `kind`; raises a `Mistake` that names the field that does not fit."""
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, document, where)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        if document not in arguments:
            raise Mistake(f"{where} is {document!r}; it takes one of {', '.join(map(repr, arguments))}")
        return document
    if origin in (Union, types.UnionType):
        return _union(kind, document, where)
    if origin in (tuple, list):
        return _sequence(origin, arguments, document, where)
    if origin is dict:
        _require(isinstance(document, dict), where, document, kind)
        return {key: settings_from_json(arguments[1], item, f"{where}.{key}") for key, item in document.items()}
    return _primitive(kind, document, where)


def differences(one: Any, other: Any, where: str = "") -> list[tuple[str, Any, Any]]:
    """`(dotted name, value in one, value in other)` of every setting that differs between two of `settings_to_json`."""
    if isinstance(one, dict) and isinstance(other, dict) and set(one) == set(other):
        return [found for name in one for found in differences(one[name], other[name], f"{where}.{name}".lstrip("."))]
    return [] if one == other else [(where, one, other)]


def _dataclass(kind: Any, document: Any, where: str) -> Any:
    _require(isinstance(document, dict), where, document, kind)
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    for name in document:
        if name not in fields:
            raise Mistake(f"{where} has no {name!r}; {nearest(name, fields)}")
    for name, field in fields.items():
        if name not in document and field.default is field.default_factory is dataclasses.MISSING:
            raise Mistake(f"{where}.{name} is missing")
    return kind(**{name: settings_from_json(hints[name], item, f"{where}.{name}") for name, item in document.items()})


def _union(kind: Any, document: Any, where: str) -> Any:
    mistakes = []
    for option in get_args(kind):
        try:
            return settings_from_json(option, document, where)
        except Mistake as mistake:
            mistakes.append(mistake)
    # Of a union with None, what the other type says of the value helps most.
    raise mistakes[0]


def _sequence(origin: type, arguments: tuple[Any, ...], document: Any, where: str) -> Any:
    _require(isinstance(document, list), where, document, origin)
    if origin is list or (len(arguments) == 2 and arguments[1] is Ellipsis):
        kinds = [arguments[0]] * len(document)
    else:
        kinds = list(arguments)
    if len(kinds) != len(document):
        raise Mistake(f"{where} has {len(document)} values; it takes {len(kinds)}")
    return origin(
        settings_from_json(kind, item, f"{where}[{index}]")
        for index, (kind, item) in enumerate(zip(kinds, document, strict=True))
    )


def _primitive(kind: Any, document: Any, where: str) -> Any:
    if kind is Any:
        return document
    if kind is float:
        if isinstance(document, str) and document in _NOT_IN_JSON:
            return _NOT_IN_JSON[document]
        _require(isinstance(document, int | float) and not isinstance(document, bool), where, document, kind)
        return float(document)
    if kind in (None, type(None)):
        _require(document is None, where, document, type(None))
        return None
    if kind not in (bool, int, str):
        raise TypeError(f"{where}: settings cannot be of type {kind!r}")
    _require(type(document) is kind, where, document, kind)
    return document


def _require(fits: bool, where: str, document: Any, kind: Any) -> None:
    if not fits:
        names = {float: "a number", int: "a whole number", str: "a text", bool: "true or false", list: "a list"}
        wanted = names.get(kind, "a list" if kind is tuple else "an object" if kind is not type(None) else "null")
        raise Mistake(f"{where} is {document!r}; it takes {wanted}")
