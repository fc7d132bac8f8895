"""Parser of canonical event logs as systemd writes them: JSON records in a JSON text sequence.

Each record stands behind a record separator (0x1E) and ends with a line feed (RFC 7464). Records have no
numbers: their places number them. What was measured is mostly the text of the record, but not always (a key's
identity is measured by an HMAC): a text whose hash is not the digest is a caption.

Source: TCG Canonical Event Log Format 1.0, section 5.2 (JSON encoding); systemd, TPM2 PCR measurements.
"""

from __future__ import annotations

from typing import Any

from assay.evidence.decoding.strictjson import JsonError, member, parse_object
from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.eventlog.cel import CONTENT_TEXT, MAX_CEL_BYTES, MAX_RECORDS, CelRecord, refuse

SEPARATOR = b"\x1e"
MAX_RECORD_BYTES = 16 * 1024

_ALGORITHMS = {algorithm.name.lower(): algorithm for algorithm in Algorithm}


def parse_cel_json(data: bytes) -> tuple[CelRecord, ...]:
    """Parse a log to its last byte.

    Args:
        data: The log, at most ``MAX_CEL_BYTES``.

    Raises:
        EvidenceError: ``cel.*`` names what is wrong with the log.
    """
    if len(data) > MAX_CEL_BYTES:
        refuse("size", f"The log has {len(data)} bytes, more than {MAX_CEL_BYTES}.")
    if data.count(SEPARATOR) > MAX_RECORDS:
        refuse("records", f"The log has more than {MAX_RECORDS} records.")
    if not data.startswith(SEPARATOR):
        refuse("json", "The log does not begin with a record separator.")
    records = []
    at = 0
    for number, text in enumerate(data.split(SEPARATOR)[1:]):
        end = at + 1 + len(text)
        try:
            records.append(_record(text, number, at, end))
        except JsonError as error:
            refuse("json", f"Record {number} of the log is not as expected: {error.message}")
        at = end
    return tuple(records)


def _record(text: bytes, number: int, start: int, end: int) -> CelRecord:
    if not text.endswith(b"}\n"):
        refuse("json", f"Record {number} of the log does not end with its line.")
    found = parse_object(text, max_bytes=MAX_RECORD_BYTES)
    register = member(found, "pcr", int)
    if not 0 <= register <= 0xFF:
        refuse("register", f"Record {number} of the log names no PCR.")
    digests = tuple(_digest(each, number) for each in member(found, "digests", list))
    if not digests or len({algorithm for algorithm, _ in digests}) != len(digests):
        refuse("digests", f"Record {number} of the log has no digests, or one of them twice.")
    content = member(found, "content", dict).get("string", "")
    if type(content) is not str:
        refuse("json", f"The text of record {number} of the log is no text.")
    return CelRecord(
        start=start,
        end=end,
        number=number,
        pcr=True,
        register=register,
        digests=digests,
        kind=CONTENT_TEXT,
        content=content.encode("utf-8", "surrogatepass"),
    )


def _digest(value: Any, number: int) -> tuple[Algorithm, bytes]:
    name, text = (
        (member(value, key, str) for key in ("hashAlg", "digest")) if type(value) is dict else ("", "")
    )
    algorithm = _ALGORITHMS.get(name)
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if algorithm is None or len(digest) != algorithm.size:
        refuse("digests", f"Record {number} of the log has a digest that is unknown or of a wrong size.")
    return algorithm, digest
