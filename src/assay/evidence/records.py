"""Records: frozen, slotted data classes that cost little to declare.

``@record`` stands for ``@dataclass(frozen=True, slots=True)`` and makes the same class: constructor,
comparison, hash, representation and immutability are those of the standard library, whose ``fields``,
``replace`` and ``asdict`` take it. The standard decorator compiles eight methods when a class is declared,
which takes a third of a millisecond, and importing it imports ``inspect``. A first verification declares
about seventy classes and uses few of them. So those methods are shared here, and the constructor alone is
compiled, when it is first called.
"""

from __future__ import annotations

from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar, dataclass_transform

if TYPE_CHECKING:
    from collections.abc import Callable

ClassT = TypeVar("ClassT", bound=type[Any])

_FIELDS: Final = "__record_fields__"
_ABSENT: Final = object()


class _Field:
    """What a class says of one field."""

    __slots__ = ("compare", "default", "factory", "init", "repr", "type")

    def __init__(self, default: Any, factory: Any, *, init: bool, shown: bool, compare: bool) -> None:
        self.default, self.factory = default, factory
        self.init, self.repr, self.compare = init, shown, compare
        self.type: Any = None


def field(
    *,
    default: Any = _ABSENT,
    default_factory: Any = _ABSENT,
    init: bool = True,
    repr: bool = True,  # noqa: A002 - as the standard library has it
    compare: bool = True,
) -> Any:
    """Say more of a field than its type and default, as ``dataclasses.field`` does.

    Args:
        default: What it holds when the constructor is not given it.
        default_factory: Makes what it then holds, anew for each object.
        init: Whether the constructor takes it.
        repr: Whether the representation shows it.
        compare: Whether comparison and hash regard it.
    """
    return _Field(default, default_factory, init=init, shown=repr, compare=compare)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: ClassT) -> ClassT:
    """Return ``cls`` as a record: its annotations are the fields, in order, after those of its bases.

    Raises:
        TypeError: A default can be changed in place, so that all objects would share it.
    """
    inherited: dict[str, _Field] = {}
    for base in reversed(cls.__mro__[1:]):
        inherited |= base.__dict__.get(_FIELDS, {})
    own = {
        name: _own_field(cls, name, kind)
        for name, kind in cls.__annotations__.items()
        if not str(kind).startswith("ClassVar")
    }
    fields = inherited | own
    left_out = {"__dict__", "__weakref__", *own}
    namespace = {name: value for name, value in cls.__dict__.items() if name not in left_out}
    namespace |= {
        _FIELDS: fields,
        "__slots__": tuple(name for name in own if name not in inherited),
        "__match_args__": tuple(name for name, each in fields.items() if each.init),
        "__record_values__": _values([name for name, each in fields.items() if each.compare]),
        "__dataclass_fields__": _Standard("__dataclass_fields__"),
        "__dataclass_params__": _Standard("__dataclass_params__"),
    }
    if "__eq__" in namespace and namespace.get("__hash__") is None:
        namespace.pop("__hash__", None)  # Python puts None there for a class that defines __eq__ alone
    for name, method in _SHARED.items():
        namespace.setdefault(name, method)
    kind_of_class: Any = type(cls)
    made = kind_of_class(cls.__name__, cls.__bases__, namespace)
    made.__qualname__ = cls.__qualname__
    if "__init__" not in namespace:
        made.__init__ = _late_constructor(made)
    found: ClassT = made
    return found


def _own_field(cls: type[Any], name: str, kind: Any) -> _Field:
    said = cls.__dict__.get(name, _ABSENT)
    found = said if isinstance(said, _Field) else _Field(said, _ABSENT, init=True, shown=True, compare=True)
    if type(found.default).__hash__ is None:
        raise TypeError(f"The default of {cls.__qualname__}.{name} can be changed in place.")
    found.type = kind
    return found


def _values(names: list[str]) -> Callable[[Any], Any]:
    """Return what takes the compared values out of an object."""
    return attrgetter(*names) if names else lambda _: ()


def _late_constructor(cls: Any) -> Callable[..., None]:
    """Return a constructor that puts the compiled one into its place and calls it."""

    def __init__(self: Any, /, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it is the class's own
        constructor = cls.__init__ = _constructor(cls)
        constructor(self, *args, **kwargs)

    __init__.__qualname__ = f"{cls.__qualname__}.__init__"
    return __init__


def _constructor(cls: Any) -> Callable[..., None]:
    """Return the constructor of a record, compiled: one parameter for each field, positional or by name."""
    scope: dict[str, Any] = {"_absent": _ABSENT}
    parameters, lines = ["self"], []
    for name, each in getattr(cls, _FIELDS).items():
        scope[f"_set_{name}"] = getattr(cls, name).__set__
        scope[f"_default_{name}"], scope[f"_make_{name}"] = each.default, each.factory
        value = name if each.init else f"_default_{name}"
        parameter = name
        if each.factory is not _ABSENT:
            parameter = f"{name}=_absent"
            value = f"_make_{name}() if {name} is _absent else {name}" if each.init else f"_make_{name}()"
        elif each.default is not _ABSENT:
            parameter = f"{name}=_default_{name}"
        elif not each.init:
            continue
        if each.init:
            parameters.append(parameter)
        lines.append(f" _set_{name}(self, {value})")
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()")
    source = f"def __init__({', '.join(parameters)}):\n" + "\n".join(lines or [" pass"])
    exec(source, scope)  # noqa: S102 - names of fields alone, as in the standard library
    made: Callable[..., None] = scope["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    made.__module__ = cls.__module__
    return made


class _Standard:
    """What the standard library's functions look for on a class, made when they look."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: type[Any]) -> Any:
        import dataclasses  # noqa: PLC0415 - it imports inspect, which verification does not need

        fields = []
        for name, each in getattr(owner, _FIELDS).items():
            said = {"init": each.init, "repr": each.repr, "compare": each.compare}
            said |= {} if each.default is _ABSENT else {"default": each.default}
            said |= {} if each.factory is _ABSENT else {"default_factory": each.factory}
            fields.append((name, each.type, dataclasses.field(**said)))
        twin = dataclasses.make_dataclass(owner.__name__, fields, frozen=True)
        for name in ("__dataclass_fields__", "__dataclass_params__"):
            setattr(owner, name, getattr(twin, name))
        return getattr(twin, self.name)


def _equal(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    values = self.__class__.__record_values__
    return values(self) == values(other)


def _hash(self: Any) -> int:
    return hash(self.__class__.__record_values__(self))


@recursive_repr()
def _repr(self: Any) -> str:
    shown = [name for name, each in getattr(self, _FIELDS).items() if each.repr]
    return f"{self.__class__.__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"


def _frozen(self: Any, name: str) -> bool:
    return _FIELDS in self.__class__.__dict__ or name in getattr(self, _FIELDS)


def _refuse(what: str, name: str) -> NoReturn:
    from dataclasses import FrozenInstanceError  # noqa: PLC0415 - as above

    raise FrozenInstanceError(f"cannot {what} field {name!r}")


def _set(self: Any, name: str, value: Any) -> None:
    if _frozen(self, name):
        _refuse("assign to", name)
    object.__setattr__(self, name, value)


def _delete(self: Any, name: str) -> None:
    if _frozen(self, name):
        _refuse("delete", name)
    object.__delattr__(self, name)


def _state(self: Any) -> list[Any]:
    return [getattr(self, name) for name in getattr(self, _FIELDS)]


def _restore(self: Any, state: list[Any]) -> None:
    for name, value in zip(getattr(self, _FIELDS), state, strict=True):
        object.__setattr__(self, name, value)


_SHARED: Final = {
    "__eq__": _equal,
    "__hash__": _hash,
    "__repr__": _repr,
    "__setattr__": _set,
    "__delattr__": _delete,
    "__getstate__": _state,
    "__setstate__": _restore,
}
"""What every record has, unless its class says it itself."""
