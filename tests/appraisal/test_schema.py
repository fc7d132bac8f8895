"""The published schema is the loader's own table, and says no more and no less than the loader."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.appraisal.policy import SHIPPED, shipped_text
from assay.appraisal.reading import read
from assay.appraisal.reference import reference_page, write
from assay.appraisal.schema import json_schema, json_schema_text
from assay.appraisal.vocabulary import WEAKNESSES
from assay.errors import PolicyError

DOCS = Path(__file__).parents[2] / "docs" / "reference"
REGENERATE = "run: python -m assay.appraisal.reference docs/reference"


def test_the_published_schema_is_the_codes() -> None:
    assert (DOCS / "policy.schema.json").read_text() == json_schema_text(), REGENERATE


def test_the_published_reference_is_the_codes() -> None:
    assert (DOCS / "policy.md").read_text() == reference_page(), REGENERATE


def test_both_are_written_where_they_are_asked_for(tmp_path: Path) -> None:
    write(tmp_path)
    for name in ("policy.md", "policy.schema.json"):
        assert (tmp_path / name).read_bytes() == (DOCS / name).read_bytes()


def test_every_object_of_the_schema_is_closed() -> None:
    def walk(node: object) -> None:
        if isinstance(node, dict):
            if node.get("type") == "object":
                assert node["additionalProperties"] is False
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(json_schema())


def test_every_key_is_described() -> None:
    def walk(properties: dict[str, dict[str, object]]) -> None:
        for name, found in properties.items():
            assert len(str(found["description"])) > 15, name
            if "properties" in found:
                walk(found["properties"])  # type: ignore[arg-type]

    walk(json_schema()["properties"])


def test_every_weakness_has_a_sentence() -> None:
    for weakness in WEAKNESSES.values():
        assert weakness.meaning.endswith(".")
        assert weakness.meaning[0].isupper()


def valid(value: object) -> bool:
    """Return whether the published schema accepts ``value``: the few keywords that it uses, by hand."""
    return _valid(json_schema(), value)


def _valid(schema: dict[str, object], value: object) -> bool:
    import re

    if "oneOf" in schema:
        return sum(_valid(one, value) for one in schema["oneOf"]) == 1  # type: ignore[attr-defined]
    if "const" in schema:
        return type(value) is type(schema["const"]) and value == schema["const"]
    kind = schema["type"]
    if kind == "object":
        properties: dict[str, dict[str, object]] = schema["properties"]  # type: ignore[assignment]
        return (
            isinstance(value, dict)
            and all(name in properties and _valid(properties[name], entry) for name, entry in value.items())
            and all(name in value for name in schema.get("required", ()))  # type: ignore[attr-defined]
        )
    if kind == "array":
        return (
            isinstance(value, list)
            and schema["minItems"] <= len(value) <= schema["maxItems"]  # type: ignore[operator]
            and len({json.dumps(entry) for entry in value}) == len(value)
            and all(_valid(schema["items"], entry) for entry in value)  # type: ignore[arg-type]
        )
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "integer":
        return type(value) is int and schema["minimum"] <= value <= schema["maximum"]  # type: ignore[operator]
    assert kind == "string", kind
    return (
        isinstance(value, str)
        and ("enum" not in schema or value in schema["enum"])  # type: ignore[operator]
        and ("pattern" not in schema or re.search(str(schema["pattern"]), value) is not None)
        and len(value) >= schema.get("minLength", 0)  # type: ignore[operator]
        and len(value) <= schema.get("maxLength", 1 << 20)  # type: ignore[operator]
    )


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_policies_are_valid_under_the_schema(name: str) -> None:
    assert valid(tomllib.loads(shipped_text(name).decode()))


HEX = st.sampled_from(["00" * 48, "AB" * 48, "00" * 32, "00" * 16, "0g" * 48, "00", "", "00" * 47 + "0"])
VALUE = (
    st.booleans()
    | st.integers(-1, 5000)
    | HEX
    | st.sampled_from(["reference", "UpToDate", "OutOfDate", "kms:00", "kms:0", "none", "qemu", "debug"])
    | st.lists(HEX | st.sampled_from(["UpToDate", "Revoked", "kms:00", "kms:", "debug"]), max_size=3)
    | st.lists(st.integers(-1, 70000), max_size=2)
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_schema_and_loader_agree_but_for_contradictions(data: st.DataObject) -> None:
    schema = json_schema()["properties"]
    table = data.draw(st.sampled_from([name for name, found in schema.items() if "properties" in found]))
    key = data.draw(st.sampled_from(sorted(schema[table]["properties"])))
    value = data.draw(VALUE)
    document = {"version": 1, "platforms": ["tdx", "sgx"], table: {key: value}}
    text = f'version = 1\nplatforms = ["tdx", "sgx"]\n[{table}]\n{key} = {json.dumps(value)}\n'
    try:
        read(text.encode())
        code = ""
    except PolicyError as error:
        code = error.code
    assert (code in ("", "policy.contradiction")) is valid(document), (text, code)
