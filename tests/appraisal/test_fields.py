"""Each kind of value takes exactly what it says, to the last character."""

from __future__ import annotations

from typing import Any

import pytest

from assay.appraisal.document import DOCUMENT, Document
from assay.appraisal.fields import (
    MAX_LIST,
    Choice,
    Flag,
    Hex,
    Integer,
    Kind,
    ListOf,
    Pinned,
    Text,
    Version,
    nearest,
)
from assay.appraisal.register_fields import Allowed, AnyRegister, Register
from assay.errors import PolicyError

GOOD: list[tuple[Kind, Any, Any]] = [
    (Text(3), "abc", "abc"),
    (Text(3), "~ !", "~ !"),
    (Integer(2, 4), 2, 2),
    (Integer(2, 4), 4, 4),
    (Flag(), True, True),
    (Flag(), False, False),
    (Choice(("a", "b")), "b", "b"),
    (Hex(2), "00ff", b"\x00\xff"),
    (Hex(2), "00FF", b"\x00\xff"),
    (ListOf(Flag(), least=0), [], ()),
    (ListOf(Integer(0, MAX_LIST)), list(range(MAX_LIST)), tuple(range(MAX_LIST))),
    (Pinned(("kms", "none"), 2), "kms:0001", ("kms", b"\x00\x01")),
    (Pinned(("kms", "none"), 2), "none:", ("none", b"")),
    (Register(1), "reference", Allowed(frozenset(), by_reference=True)),
    (Register(1, may_be_zero=True), "reference", Allowed(frozenset(), by_reference=True)),
    (
        Register(1, may_be_zero=True),
        "reference-if-measured",
        Allowed(frozenset(), by_reference=True, if_measured=True),
    ),
    (Register(1), ["01", "02"], Allowed(frozenset({b"\x01", b"\x02"}))),
    (AnyRegister((1, 2)), "reference", Allowed(frozenset(), by_reference=True)),
    (AnyRegister((1, 2)), ["01", "02"], Allowed(frozenset({b"\x01", b"\x02"}))),
    (AnyRegister((1, 2)), ["0001", "0002"], Allowed(frozenset({b"\x00\x01", b"\x00\x02"}))),
    (Version(), "0.0.0", "0.0.0"),
    (Version(), "1.55.21", "1.55.21"),
    (Version(), "255.255.255", "255.255.255"),
    (Version("1.55"), "1.55", "1.55"),
]
VERSION = 'x must be a version of three numbers up to 255, such as "1.55.21", not '
BAD: list[tuple[Kind, Any, str, str]] = [
    *(
        (Version(), text, "policy.value", f"{VERSION}{text!r}.")
        for text in (
            "256.0.0",
            "0.256.0",
            "0.0.256",
            "1.2",
            "1.2.3.4",
            "01.2.3",
            "1.2.3\n",
            "1.2.x",
            "",
            "-1.2.3",
        )
    ),
    (Version(), 1, "policy.type", "x must be a string, not an integer (1)."),
    (
        AnyRegister((1, 2)),
        "other",
        "policy.type",
        "x must be a list of hexadecimal strings, or \"reference\", not a string ('other').",
    ),
    (AnyRegister((1, 2)), [], "policy.list", f"x must have 1 to {MAX_LIST} entries, not 0."),
    (AnyRegister((1, 2)), [5], "policy.type", "x[0] must be a string of hexadecimal digits"),
    (AnyRegister((1, 2)), ["01", "0002"], "policy.hex", "x[1] must be 1 bytes"),
    (AnyRegister((1, 2)), ["0001", "02"], "policy.hex", "x[1] must be 2 bytes"),
    (AnyRegister((1, 2)), ["000003"], "policy.hex", "x[0] must be 1 bytes"),
    (Text(3), "", "policy.value", "x must be 1 to 3 printable ASCII characters, not ''."),
    (Text(3), "abcd", "policy.value", "x must be 1 to 3 printable ASCII characters, not 'abcd'."),
    (Text(3), "é", "policy.value", "x must be 1 to 3 printable ASCII characters, not '\\xe9'."),
    (Text(3), "\n", "policy.value", "x must be 1 to 3 printable ASCII characters, not '\\n'."),
    (Text(3), 1, "policy.type", "x must be a string, not an integer (1)."),
    (Text(3), 1.5, "policy.type", "x must be a string, not a float (1.5)."),
    (Text(3), [], "policy.type", "x must be a string, not a list ([])."),
    (Text(3), {}, "policy.type", "x must be a string, not a table ({})."),
    (Integer(2, 4), 1, "policy.value", "x must be 2 to 4, not 1."),
    (Integer(2, 4), 5, "policy.value", "x must be 2 to 4, not 5."),
    (Integer(0, 4), True, "policy.type", "x must be an integer, not a boolean (True)."),
    (Integer(2, 4), 3.0, "policy.type", "x must be an integer, not a float (3.0)."),
    (Flag(), 1, "policy.type", "x must be true or false, not an integer (1)."),
    (Choice(("alpha", "beta")), "gamma", "policy.value", 'x must be "alpha" or "beta", not \'gamma\'.'),
    (
        Choice(("alpha", "beta")),
        "alpa",
        "policy.value",
        "x must be \"alpha\" or \"beta\" (did you mean 'alpha'?), not 'alpa'.",
    ),
    (Choice(("a", "b", "c")), 1, "policy.type", "x must be a string, not an integer (1)."),
    (Hex(2), "00f", "policy.hex", "x must be 2 bytes (4 hexadecimal digits), not '00f' of 3 characters."),
    (Hex(2), "0xff", "policy.hex", "x must be 2 bytes (4 hexadecimal digits), not '0xff' of 4 characters."),
    (Hex(2), " 0f ", "policy.hex", "x must be 2 bytes (4 hexadecimal digits), not ' 0f ' of 4 characters."),
    (
        Hex(3),
        "00 1122",
        "policy.hex",
        "x must be 3 bytes (6 hexadecimal digits), not '00 1122' of 7 characters.",
    ),
    (
        Hex(3),
        "00 112",
        "policy.hex",
        "x must be 3 bytes (6 hexadecimal digits), not '00 112' of 6 characters.",
    ),
    (Hex(2), 1, "policy.type", "x must be a string of hexadecimal digits, not an integer (1)."),
    (ListOf(Flag()), [], "policy.list", f"x must have 1 to {MAX_LIST} entries, not 0."),
    (
        ListOf(Flag(), least=0),
        [True] * (MAX_LIST + 1),
        "policy.list",
        f"x must have 0 to {MAX_LIST} entries, not",
    ),
    (
        ListOf(Flag()),
        [True, True],
        "policy.value",
        "x[1] must be different from the entries before it, not True.",
    ),
    (ListOf(Flag()), "x", "policy.type", "x must be a list, not a string ('x')."),
    (Pinned(("kms",), 2), "kms:000102", "policy.value", 'x must be "kms", a colon and up to 2 bytes in'),
    (Pinned(("kms",), 2), "kms", "policy.value", 'x must be "kms", a colon and up to 2 bytes in'),
    (Pinned(("kms",), 2), "kms:0", "policy.value", 'x must be "kms", a colon and up to 2 bytes in'),
    (Pinned(("kms",), 2), "kms: 00", "policy.value", 'x must be "kms", a colon and up to 2 bytes in'),
    (Pinned(("kms",), 2), "kms:zz", "policy.value", 'x must be "kms", a colon and up to 2 bytes in'),
    (Pinned(("kms",), 2), "tpm:00", "policy.value", 'x must be "kms", a colon and up to 2 bytes in'),
    (Pinned(("kms",), 2), 1, "policy.type", "x must be a string, not an integer (1)."),
    (Register(1), "Reference", "policy.type", 'x must be a list of hexadecimal strings, or "reference", not'),
    (Register(1), ["01", "01"], "policy.value", "x[1] must be different"),
    (Register(1), [], "policy.list", f"x must have 1 to {MAX_LIST} entries, not 0."),
]


@pytest.mark.parametrize(("kind", "value", "decoded"), GOOD)
def test_what_is_right_is_taken(kind: Kind, value: Any, decoded: Any) -> None:
    found = kind.decode(value, "x")
    assert found == decoded
    assert type(found) is type(decoded)


@pytest.mark.parametrize(("kind", "value", "code", "message"), BAD)
def test_what_is_wrong_is_refused_in_so_many_words(kind: Kind, value: Any, code: str, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        kind.decode(value, "x")
    assert caught.value.code == code
    assert caught.value.message.startswith(message)
    assert str(caught.value.detail["path"]).startswith("x")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Text(3), "up to 3 characters of ASCII"),
        (Integer(2, 4), "2 to 4"),
        (Flag(), "`true`, `false`"),
        (Choice(("a", "b")), "`a`, `b`"),
        (Hex(2), "2 bytes, hexadecimal"),
        (ListOf(Flag()), "list of: `true`, `false`"),
        (Pinned(("a", "b"), 9), "`a:`, `b:` and up to 9 bytes, hexadecimal"),
        (Register(2), 'list of: 2 bytes, hexadecimal; or `"reference"`'),
    ],
)
def test_each_kind_describes_itself(kind: Kind, text: str) -> None:
    assert str(kind) == text


def test_long_values_are_shown_short() -> None:
    with pytest.raises(PolicyError) as caught:
        Hex(2).decode("a" * 10_000, "x")
    assert "a" * 39 + "... of 10000" in caught.value.message
    assert "a" * 40 not in caught.value.message
    with pytest.raises(PolicyError) as caught:
        Text(3).decode("b" * 38, "x")
    assert f"'{'b' * 38}'." in caught.value.message


def test_a_near_word_is_found_and_a_far_one_is_not() -> None:
    assert nearest("mrtd", ["mr_td", "rtmr0"]) == "mr_td"
    assert nearest("zzz", ["mr_td", "rtmr0"]) == ""


def test_a_table_is_decoded_into_its_dataclass() -> None:
    found = DOCUMENT.decode({"version": 1, "platforms": ["tdx"], "tcb": {"grace": {"qe": 3}}}, "")
    assert isinstance(found, Document)
    assert (found.version, found.platforms, found.tcb.grace.qe) == (1, ("tdx",), 3)
    assert found.tdx is None
    with pytest.raises(PolicyError) as caught:
        DOCUMENT.decode([], "")
    assert caught.value.message.startswith("the policy must be a table")
    assert str(DOCUMENT).startswith("table of version, platforms")


def test_limits_are_what_the_reference_says() -> None:
    def refused(table: str, key: str, value: int) -> bool:
        try:
            DOCUMENT.decode({"version": 1, "platforms": ["tdx", "sgx"], table: {key: value}}, "")
        except PolicyError:
            return True
        return False

    for table, key, least, most in (
        ("tcb", "min_evaluation_number", 1, 2**31),
        ("sgx", "min_isv_svn", 0, 65535),
        ("sgx", "min_config_svn", 0, 65535),
        ("freshness", "collateral_max_age_hours", 1, 24 * 366),
        ("freshness", "evidence_max_age_seconds", 1, 86400),
    ):
        assert [refused(table, key, value) for value in (least - 1, least, most, most + 1)] == [
            True,
            False,
            False,
            True,
        ], key
    with pytest.raises(PolicyError) as caught:
        DOCUMENT.decode({"version": 1, "platforms": ["tdx"], "tcb": {"grace": {"qe": 36501}}}, "")
    assert (caught.value.code, caught.value.detail["path"]) == ("policy.value", "tcb.grace.qe")
    assert DOCUMENT.decode({"version": 1, "platforms": ["tdx"], "tcb": {"grace": {"qe": 36500}}}, "")
