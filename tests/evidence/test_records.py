"""Records are the standard library's frozen, slotted data classes, declared cheaply."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import pytest

from assay.evidence.records import field, record

KindT = TypeVar("KindT")


@record
class Point:
    x: int
    y: int = 2
    tags: tuple[str, ...] = ()
    unit: ClassVar[str] = "mm"


@dataclass(frozen=True, slots=True)
class Standard:
    x: int
    y: int = 2
    tags: tuple[str, ...] = ()
    unit: ClassVar[str] = "mm"


@record
class Tall(Point):
    z: int = 3


@record
class Sealed:
    data: bytes
    log: list[int] = field(default_factory=list)
    seal: int = field(init=False, repr=False, compare=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "seal", len(self.data))


@record
class Holder(Generic[KindT]):
    held: KindT
    __match_args__ = ("held",)


@record
class Wide(Generic[KindT]):
    """With as many fields as Claims have."""

    a: int
    b: int
    c: int
    d: int
    e: int
    f: int = 6
    log: list[int] = field(default_factory=list)
    held: KindT | None = None
    total: int = field(init=False, repr=False, compare=False, default=0)

    def __post_init__(self) -> None:
        assert type(self) in (Wide, Wider, WidePlain)
        object.__setattr__(self, "total", self.a + self.f)


@record
class Wider(Wide[str]):
    w: int = 0


class WidePlain(Wide[str]):
    __slots__ = ()


@record
class Chosen:  # noqa: PLW1641 - the hash is what the decorator adds
    x: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Chosen)

    def __repr__(self) -> str:
        return "chosen"


@record
class Empty:
    pass


def test_construction_is_by_position_and_by_name() -> None:
    assert Point(1) == Point(x=1, y=2, tags=())
    assert Tall(1, 5, (), 6).z == 6
    assert (Sealed(b"abc").seal, Sealed(b"abc").log) == (3, [])
    assert Sealed(b"").log is not Sealed(b"").log
    assert Holder("a").held == "a"
    assert Point.unit == "mm"


@pytest.mark.parametrize("given", [((), {}), ((1, 2, (), 4), {}), ((1,), {"x": 1}), ((), {"w": 1})])
def test_wrong_arguments_are_refused_in_the_same_words(given: tuple[Any, Any]) -> None:
    args, kwargs = given
    with pytest.raises(TypeError) as expected:
        Standard(*args, **kwargs)
    for _ in range(2):  # the constructor that compiles, then the compiled one
        with pytest.raises(TypeError) as found:
            Point(*args, **kwargs)
        assert str(found.value) == str(expected.value).replace("Standard", "Point")


def test_comparison_hash_and_representation_are_those_of_the_standard_library() -> None:
    assert Point(1) != Point(2)
    other: object = Standard(1)
    assert Point(1) != other
    assert Point(1).__eq__(object()) is NotImplemented
    assert Point(1) != Tall(1)
    assert hash(Point(1)) == hash(Standard(1))
    assert repr(Point(1, tags=("a",))) == repr(Standard(1, tags=("a",))).replace("Standard", "Point")
    assert repr(Sealed(b"a")) == "Sealed(data=b'a', log=[])"
    assert (Empty() == Empty(), repr(Empty()), hash(Empty())) == (True, "Empty()", hash(()))


def test_what_a_class_says_itself_stands() -> None:
    assert Chosen(1) == Chosen(2)
    assert repr(Chosen(1)) == "chosen"
    assert isinstance(hash(Chosen(1)), int)


@pytest.mark.parametrize("kind", [Wide, Wider, WidePlain])
def test_a_record_with_many_fields_is_one_like_others(kind: type[Wide[str]]) -> None:
    for _ in range(2):  # the constructor that compiles, then the compiled one
        found: Any = kind(1, 2, 3, d=4, e=5, held="x")
        assert type(found) is kind
        assert (found.a, found.b, found.c, found.d, found.e, found.f) == (1, 2, 3, 4, 5, 6)
        assert (found.log, found.held, found.total) == ([], "x", 7)
        assert found.log is not kind(1, 2, 3, 4, 5).log
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(found, "a", 2)  # noqa: B010
        assert not hasattr(found, "__dict__")
        assert found == copy.copy(found) == copy.deepcopy(found)
    with pytest.raises(TypeError, match="missing 4 required positional arguments"):
        kind(1)  # type: ignore[call-arg]


def test_representation_of_a_record_that_holds_itself_ends() -> None:
    log: list[Any] = []
    found = Holder(log)
    log.append(found)
    assert repr(found) == "Holder(held=[...])"


def test_it_is_frozen_and_slotted() -> None:
    point: Any = Point(1)
    for name in ("x", "w"):
        with pytest.raises(dataclasses.FrozenInstanceError, match=f"cannot assign to field '{name}'"):
            setattr(point, name, 1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'x'"):
        del point.x
    assert not hasattr(point, "__dict__")
    assert vars(Tall)["__slots__"] == ("z",)


def test_a_plain_class_below_it_has_attributes_of_its_own() -> None:
    class Plain(Point):
        pass

    plain: Any = Plain(1)
    plain.w = 4
    assert plain.w == 4
    del plain.w
    with pytest.raises(dataclasses.FrozenInstanceError):
        plain.x = 2


def test_the_standard_functions_take_it() -> None:
    point: Any = Tall(1)
    assert dataclasses.is_dataclass(Point)
    assert [each.name for each in dataclasses.fields(point)] == ["x", "y", "tags", "z"]
    assert dataclasses.asdict(point) == {"x": 1, "y": 2, "tags": (), "z": 3}
    assert dataclasses.replace(point, z=9) == Tall(1, z=9)
    sealed: Any = Sealed(b"ab")
    assert dataclasses.replace(sealed, data=b"abcd").seal == 4
    assert [each.repr for each in dataclasses.fields(sealed)] == [True, True, False]


def test_a_standard_data_class_can_stand_below_it() -> None:
    @dataclass(frozen=True, slots=True)
    class Below(Point):
        w: int = 7

    assert dataclasses.astuple(Below(1)) == (1, 2, (), 7)


def test_copies_are_equal() -> None:
    sealed = Sealed(b"ab", [1])
    deep = copy.deepcopy(sealed)
    assert (copy.copy(sealed), deep, deep.seal) == (sealed, sealed, 2)
    assert deep.log is not sealed.log


def test_matching_takes_the_fields_in_order() -> None:
    match Point(1, 5):
        case Point(x, y):
            assert (x, y) == (1, 5)


def test_a_default_that_all_objects_would_share_is_refused() -> None:
    with pytest.raises(TypeError, match="can be changed in place"):

        @record
        class Shared:
            entries: list[int] = []  # noqa: RUF012 - the mistake in question


@pytest.mark.parametrize(
    ("ours", "standard"), [(Point(1), Standard(1)), (Point(1, 3, ("a",)), Standard(1, 3, ("a",)))]
)
def test_the_standard_library_is_told_the_same_of_each_field(ours: Any, standard: Any) -> None:
    assert ours.__dataclass_params__.frozen is True
    for own, other in zip(dataclasses.fields(ours), dataclasses.fields(standard), strict=True):
        for name in ("name", "default", "default_factory", "init", "repr", "compare", "hash", "kw_only"):
            assert getattr(own, name) == getattr(other, name), (own.name, name)
        assert str(own.type) == str(other.type)
    sealed: Any = Sealed
    told = {each.name: each for each in dataclasses.fields(sealed)}
    assert (told["log"].default_factory, told["log"].default) == (list, dataclasses.MISSING)
    assert (told["seal"].default, told["seal"].init, told["seal"].compare) == (0, False, False)
    assert sealed.__match_args__ == ("data", "log")


def test_what_is_compared_and_hashed_is_what_the_fields_say() -> None:
    assert Sealed(b"a", [1]) != Sealed(b"a", [2])
    one, two = Sealed(b"a"), Sealed(b"a")
    object.__setattr__(two, "seal", 9)
    assert one == two

    @record
    class Quiet:
        shown: int
        hidden: int = field(default=1, repr=False)
        aside: int = field(default=2, compare=False)

    quiet: Any = Quiet
    assert quiet(1) == quiet(1, aside=7)
    assert hash(quiet(1)) == hash(quiet(1, aside=7)) == hash((1, 1))
    assert quiet(1) != quiet(1, 5)
    assert repr(quiet(1)).endswith("Quiet(shown=1, aside=2)")
    assert (quiet(1).hidden, quiet(1, 4, 5).aside) == (1, 5)


def test_names_are_those_of_the_class_as_it_was_written() -> None:
    @record
    class Inner:
        x: int

    def names(kind: Any) -> tuple[str, ...]:
        return (kind.__name__, kind.__qualname__, kind.__module__, kind.__init__.__qualname__)

    prefix = "test_names_are_those_of_the_class_as_it_was_written.<locals>."
    expected = ("Inner", f"{prefix}Inner", __name__, f"{prefix}Inner.__init__")
    assert names(Inner) == expected
    Inner(1)  # compiles the constructor
    assert names(Inner) == expected
    assert Inner.__init__.__module__ == __name__


def test_it_holds_nothing_but_its_fields() -> None:
    point: Any = Point(1)
    standard: Any = Standard(1)
    for name in ("__dict__", "__weakref__", "w"):
        assert hasattr(point, name) is hasattr(standard, name) is False
    for name in ("x", "w"):
        with pytest.raises(dataclasses.FrozenInstanceError, match=f"cannot delete field '{name}'"):
            delattr(point, name)
    assert vars(Point)["__slots__"] == ("x", "y", "tags")


def test_what_a_subclass_holds_besides_can_be_deleted() -> None:
    class Marked(Point):
        pass

    marked: Any = Marked(1)
    marked.mark = "x"
    del marked.mark
    assert not hasattr(marked, "mark")
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'x'"):
        del marked.x


def test_a_state_of_another_shape_is_refused() -> None:
    point: Any = Point(1)
    assert point.__getstate__() == [1, 2, ()]
    with pytest.raises(ValueError, match="zip"):
        point.__setstate__([1])


def test_a_hash_that_a_class_defines_beside_its_comparison_stands() -> None:
    @record
    class Named:
        x: int

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Named)

        def __hash__(self) -> int:
            return 4711

    assert Named(1) == Named(2)
    assert hash(Named(1)) == 4711
