"""What is in an export, and under which names.

::

    README.txt                  for people; not covered by any signature
    attachments/<sha256>        receipts, Evidence and records of appraisals that entries name by digest
    checkpoint                  the signed note
    consistency/<old>-<new>     base64 hashes, one a line: the proof from the export before (RFC 6962, 2.1.2)
    log.vkey                    the log's public key; compared with the trusted one, never trusted
    tile/<level>/<index>        hashes, and tile/entries/<index> the entries (C2SP tlog-tiles)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from assay.audit.tiles import levels, tile_path, widths

if TYPE_CHECKING:
    from collections.abc import Iterator

README: Final = "README.txt"
CHECKPOINT: Final = "checkpoint"
KEY: Final = "log.vkey"
ATTACHMENTS: Final = "attachments/"
CONSISTENCY: Final = "consistency/"
FIXED_NAMES: Final = frozenset({README, CHECKPOINT, KEY})

ATTACHMENT_NAME: Final = re.compile(r"attachments/([0-9a-f]{64})")
CONSISTENCY_NAME: Final = re.compile(r"consistency/([1-9][0-9]{0,18})-([1-9][0-9]{0,18})")
DIGEST_FACT: Final = re.compile(rb'(?:^|,)"([a-z][a-z0-9_]*)":"(?:sha256:)?([0-9a-f]{64})"')
"""A fact that names an attachment: its SHA-256 in hexadecimal, alone or after ``sha256:``. Groups: both."""


def tile_names(size: int) -> Iterator[str]:
    """Yield the paths of all tiles and bundles of a log of ``size`` entries."""
    for level, count in levels(size):
        for index, width in widths(count):
            yield tile_path(level, index, width)
    for index, width in widths(size):
        yield tile_path(None, index, width)


def tile_count(size: int) -> int:
    """Return how many paths ``tile_names`` yields, without yielding them."""
    bundles = -(-size // 256)
    return bundles + sum(-(-count // 256) for _, count in levels(size))


def readme(origin: str, size: int) -> bytes:
    """Return the text for people: what this is, and how to check it with programs that are not ours."""
    return _README.format(origin=origin, size=size).encode()


_README = """\
An export of the append-only log {origin}
with {size} entries (C2SP tlog-tiles; RFC 6962 hashes; an Ed25519 signed note as checkpoint).

Get the log's key from whoever runs the log, not from here: log.vkey only says which key to ask for.
This file is not signed.

With Assay, offline:

    assay audit verify . --vkey KEY

With programs that are not Assay's:

1. The signature of the checkpoint, with OpenSSL:

    d=$(mktemp -d)
    sed '/^$/,$d' checkpoint > $d/text
    sed -n 's/^\u2014 [^ ]* //p' checkpoint | head -n 1 | base64 -d | tail -c 64 > $d/signature
    (printf '\\060\\052\\060\\005\\006\\003\\053\\145\\160\\003\\041\\000'
     cut -d+ -f3- log.vkey | base64 -d | tail -c 32) > $d/key.der
    openssl pkeyutl -verify -pubin -keyform DER -inkey $d/key.der -rawin -in $d/text -sigfile $d/signature

2. Signature, root hash, every inclusion and the consistency proof, with the packages of Go's checksum
   database (golang.org/x/mod/sumdb/note and tlog), in the directory foreign/go-tlog of Assay's source:

    go run . -vkey "$(cat log.vkey)" DIRECTORY

3. The attachments, with coreutils:

    (cd attachments && for name in *; do echo "$name  $name"; done | sha256sum --check)
"""
