"""The published JSON Schema of policy files, made from the same table as the loader."""

from __future__ import annotations

import json
from typing import Any, Final

from assay.appraisal.document import DOCUMENT

SCHEMA_ID: Final = "urn:assay:policy:1"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a policy file, as parsed from TOML."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Assay appraisal policy, version 1",
        **DOCUMENT.schema(),
    }


def json_schema_text() -> str:
    """Return the schema as it is published: indented, one final newline."""
    return json.dumps(json_schema(), indent=2) + "\n"
