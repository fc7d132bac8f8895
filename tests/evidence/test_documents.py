"""TCB info and QE identity as JSON: every bound at its value and one above, every refusal with its code."""

from __future__ import annotations

import copy
import json

import pytest

from assay.evidence.dcap.documents import MAX_DOCUMENT_BYTES, parse_qe_identity, parse_tcb_info
from assay.evidence.decoding.strictjson import JsonError
from assay.simulator.endorsements import compact
from support.dcap_scenes import INTEL, NOW

TDX = INTEL.collateral_draft(NOW, platform="tdx")
SGX = INTEL.collateral_draft(NOW, platform="sgx")
OLD = INTEL.collateral_draft(NOW, platform="sgx", version=2)


def changed(document, *path_and_value):
    """Return a copy of a document with one member set, or removed for ``...``, as bytes."""
    *path, last, value = path_and_value
    found = copy.deepcopy(document)
    target = found
    for step in path:
        target = target[step]
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return compact(found)


def info(*path_and_value, of=TDX.tcb_info):
    return parse_tcb_info(changed(of, *path_and_value))


def identity(*path_and_value):
    return parse_qe_identity(changed(TDX.qe_identity, *path_and_value))


def old(*path_and_value):
    """Change a TCB info of version 2, which has a member for each component."""
    return info(*path_and_value, of=OLD.tcb_info)


def code(call) -> str:
    with pytest.raises(JsonError) as error:
        call()
    assert error.value.message.isprintable()
    return error.value.code


LEVEL = ("tcbLevels", 0)
COMPONENT = (*LEVEL, "tcb", "sgxtcbcomponents", 3, "svn")


@pytest.mark.parametrize(
    ("read", "path", "most"),
    [
        (info, ("tcbEvaluationDataNumber",), 0xFFFFFFFF),
        (info, (*LEVEL, "tcb", "pcesvn"), 0xFFFF),
        (info, COMPONENT, 255),
        (info, (*LEVEL, "tcb", "tdxtcbcomponents", 15, "svn"), 255),
        (info, ("tdxModuleIdentities", 0, "tcbLevels", 0, "tcb", "isvsvn"), 0xFFFF),
        (old, (*LEVEL, "tcb", "sgxtcbcomp01svn"), 255),
        (old, (*LEVEL, "tcb", "sgxtcbcomp16svn"), 255),
        (old, (*LEVEL, "tcb", "pcesvn"), 0xFFFF),
        (identity, ("version",), 255),
        (identity, ("tcbEvaluationDataNumber",), 0xFFFFFFFF),
        (identity, ("isvprodid",), 0xFFFF),
        (identity, (*LEVEL, "tcb", "isvsvn"), 0xFFFF),
    ],
)
def test_numbers_at_their_bounds(read, path, most):
    assert read(*path, 0)
    assert read(*path, most)
    for wrong in (most + 1, -1, True, 1.0, "1", None):
        assert code(lambda wrong=wrong: read(*path, wrong)) == "json.type"
    assert code(lambda: read(*path, ...)) in ("json.missing_member", "json.type")


@pytest.mark.parametrize(
    ("read", "path", "size"),
    [
        (info, ("fmspc",), 6),
        (info, ("pceId",), 2),
        (info, ("tdxModule", "mrsigner"), 48),
        (info, ("tdxModule", "attributes"), 8),
        (info, ("tdxModuleIdentities", 0, "attributesMask"), 8),
        (identity, ("miscselect",), 4),
        (identity, ("miscselectMask",), 4),
        (identity, ("attributes",), 16),
        (identity, ("attributesMask",), 16),
        (identity, ("mrsigner",), 32),
    ],
)
def test_hexadecimal_of_exactly_its_size(read, path, size):
    assert read(*path, "aB" * size)
    for wrong in (
        "ab" * (size - 1),
        "ab" * (size + 1),
        "ab" * (size - 1) + "a",
        "ag" * size,
        " " * 2 * size,
        "",
        1,
    ):
        assert code(lambda wrong=wrong: read(*path, wrong)) == "json.type"
    spaced = "ab " * size
    assert code(lambda: read(*path, spaced[: 2 * size])) == "json.type"
    assert code(lambda: read(*path, ...)) == "json.missing_member"


@pytest.mark.parametrize(
    ("read", "path"),
    [
        (info, ("issueDate",)),
        (info, ("nextUpdate",)),
        (info, (*LEVEL, "tcbDate")),
        (info, ("tdxModuleIdentities", 0, "tcbLevels", 0, "tcbDate")),
        (identity, ("issueDate",)),
        (identity, (*LEVEL, "tcbDate")),
    ],
)
def test_times(read, path):
    assert read(*path, "2026-12-31T23:59:59Z")
    for wrong in (
        "2026-13-31T23:59:59Z",
        "2026-12-31T24:00:00Z",
        "2026-12-31T23:60:00Z",
        "2026-02-30T00:00:00Z",
        "2026-12-31T23:59:60Z",
        "2026-12-31T23:59:59",
        "2026-12-31 23:59:59Z",
        "2026-12-31T23:59:59+00:00",
        "2026-12-31T23:59:59.0Z",
        "20261231T235959Z",
        " 2026-12-31T23:59:59Z",
        "\u0662026-12-31T23:59:59Z",
        1,
        None,
    ):
        assert code(lambda wrong=wrong: read(*path, wrong)) == "json.type"
    assert code(lambda: read(*path, ...)) == "json.missing_member"


@pytest.mark.parametrize(
    ("read", "path"),
    [(info, ("tcbLevels",)), (identity, ("tcbLevels",)), (info, ("tdxModuleIdentities", 0, "tcbLevels"))],
)
def test_levels_are_some_and_not_too_many(read, path):
    one = {"tcb": {"isvsvn": 1}, "tcbDate": "2026-01-01T00:00:00Z", "tcbStatus": "UpToDate"}
    if read is info and len(path) == 1:
        one = {**TDX.tcb_info["tcbLevels"][0]}
        one["tcb"] = {
            **one["tcb"],
            "sgxtcbcomponents": [{"svn": 0}] * 16,
            "tdxtcbcomponents": [{"svn": 0}] * 16,
        }
    assert read(*path, [one])
    if read is identity:
        assert len(read(*path, [one] * 512).levels) == 512
        assert code(lambda: read(*path, [one] * 513)) == "json.type"
    for wrong in ([], {}, None, "x", [1], [[]], ["UpToDate"], [None]):
        assert code(lambda wrong=wrong: read(*path, wrong)) == "json.type"
    assert code(lambda: read(*path, ...)) == "json.missing_member"


def test_advisories():
    many = [f"INTEL-SA-{number:05}" for number in range(256)]
    found = info(*LEVEL, "advisoryIDs", many).levels[0].standing
    assert list(found.advisories) == many
    assert info(*LEVEL, "advisoryIDs", ["x" * 64]).levels[0].standing.advisories == ("x" * 64,)
    assert info(*LEVEL, "advisoryIDs", []).levels[0].standing.advisories == ()
    for wrong in (
        [*many, "one-more"],
        ["x" * 65],
        [""],
        ["a b"],
        ["a\n"],
        ["\x1b"],
        [1],
        [None],
        "x",
        {},
        None,
    ):
        assert code(lambda wrong=wrong: info(*LEVEL, "advisoryIDs", wrong)) == "json.type"
    bad = copy.deepcopy(TDX.tcb_info)
    for level in bad["tcbLevels"]:
        level["advisoryIDs"] = ["good", "bad one"]
    assert code(lambda: parse_tcb_info(compact(bad))) == "json.type"


def test_components_are_exactly_16():
    for name in ("sgxtcbcomponents", "tdxtcbcomponents"):
        good = TDX.tcb_info["tcbLevels"][0]["tcb"][name]
        for wrong in (
            good[:15],
            [*good, good[0]],
            [],
            {},
            None,
            [*good[:15], 1],
            [*good[:15], {}],
            [*good[:15], []],
        ):
            assert code(lambda name=name, wrong=wrong: info(*LEVEL, "tcb", name, wrong)) == "json.type"
        assert code(lambda name=name: info(*LEVEL, "tcb", name, ...)) == "json.missing_member"
    for number in range(1, 17):
        name = f"sgxtcbcomp{number:02}svn"
        assert (
            code(lambda name=name: info(*LEVEL, "tcb", name, ..., of=OLD.tcb_info)) == "json.missing_member"
        )
        found = info(*LEVEL, "tcb", name, 255, of=OLD.tcb_info)
        assert found.levels[0].components[number - 1] == 255 or number > 1


def test_an_id_is_read_where_there_is_one():
    assert info("version", 3).id == "TDX"
    assert info("version", 3, of=SGX.tcb_info).id == "SGX"
    assert code(lambda: info("id", ...)) == "json.missing_member"
    assert code(lambda: info("id", 1)) == "json.type"
    assert parse_tcb_info(compact(OLD.tcb_info)).id == "SGX"
    assert info("id", "XYZ", of=OLD.tcb_info).id == "XYZ"
    assert code(lambda: identity("id", ...)) == "json.missing_member"


def test_versions_of_a_tcb_info():
    assert info("version", 255).version == 255
    assert info("version", 3).version == 3
    for wrong in (256, -1, True, "3", None):
        assert code(lambda wrong=wrong: info("version", wrong)) == "json.type"
    assert code(lambda: info("version", ...)) == "json.missing_member"
    assert code(lambda: info("version", 2)) == "json.missing_member"


def test_the_composition_is_the_only_one():
    assert code(lambda: info("tcbType", 1)) == "json.type"
    assert code(lambda: info("tcbType", 256)) == "json.type"
    assert code(lambda: info("tcbType", ...)) == "json.missing_member"


def test_modules():
    found = info("tdxModuleIdentities", 0, "id", "TDX_1a").modules
    assert set(found) == {0, 1, 0x1A}
    assert found[0x1A].version == 0x1A
    assert set(info("tdxModuleIdentities", 0, "id", "tdx_FF").modules) == {0, 1, 0xFF}
    assert set(info("tdxModuleIdentities", ...).modules) == {0}
    for wrong in ("TDX_1", "TDX_001", "TDX_0G", "TDX-03", "xTDX_03", "TDX_03 ", "", "TDX_+3"):
        assert code(lambda wrong=wrong: info("tdxModuleIdentities", 0, "id", wrong)) == "json.type"
    assert code(lambda: info("tdxModuleIdentities", 0, "id", "TDX_00")) == "json.duplicate_member"
    assert code(lambda: info("tdxModuleIdentities", 0, "id", "TDX_01")) == "json.duplicate_member"
    assert code(lambda: info("tdxModuleIdentities", [1])) == "json.type"
    assert code(lambda: info("tdxModuleIdentities", None)) == "json.type"
    assert code(lambda: info("tdxModule", ...)) == "json.missing_member"
    assert parse_tcb_info(compact(SGX.tcb_info)).modules == {}


def test_a_status_is_kept_as_it_is_written_and_short():
    assert info(*LEVEL, "tcbStatus", "x" * 100).levels[0].standing.status == "x" * 64
    assert code(lambda: info(*LEVEL, "tcbStatus", 1)) == "json.type"
    assert code(lambda: info(*LEVEL, "tcbStatus", ...)) == "json.missing_member"


def test_unknown_members_are_left_alone():
    assert info("newMember", {"a": [1]}).id == "TDX"
    assert identity("newMember", {"a": [1]}).id == "TD_QE"


def test_a_document_at_its_bound_and_above():
    for read, document in ((parse_tcb_info, TDX.tcb_info), (parse_qe_identity, TDX.qe_identity)):
        data = compact(document)
        assert read(data.ljust(MAX_DOCUMENT_BYTES))
        assert code(lambda read=read, data=data: read(data.ljust(MAX_DOCUMENT_BYTES + 1))) == "json.oversized"
    assert MAX_DOCUMENT_BYTES == 512 * 1024


def test_values_land_where_they_belong():
    found = parse_qe_identity(
        json.dumps(
            TDX.qe_identity
            | {
                "miscselect": "01" * 4,
                "miscselectMask": "02" * 4,
                "attributes": "03" * 16,
                "attributesMask": "04" * 16,
                "mrsigner": "05" * 32,
                "isvprodid": 6,
                "tcbEvaluationDataNumber": 7,
                "version": 8,
            }
        ).encode()
    )
    assert (found.misc_select, found.misc_select_mask) == (b"\1" * 4, b"\2" * 4)
    assert (found.attributes, found.attributes_mask) == (b"\3" * 16, b"\4" * 16)
    assert (found.mr_signer, found.isv_prod_id) == (b"\5" * 32, 6)
    assert (found.evaluation_number, found.version) == (7, 8)
    module = info(
        "tdxModule", {"mrsigner": "01" * 48, "attributes": "02" * 8, "attributesMask": "03" * 8}
    ).modules[0]
    assert (module.mr_signer, module.attributes, module.attributes_mask) == (b"\1" * 48, b"\2" * 8, b"\3" * 8)
    assert module.levels == ()
