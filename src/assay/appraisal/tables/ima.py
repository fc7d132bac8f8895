"""``[ima]``: what a policy says of the files that the kernel measured while the machine ran.

Each key refuses more by itself. What may be tolerated is therefore no key of its own: it stands in the list
of what is known, and without that list nothing is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from assay.appraisal.fields import Choice, Key, ListOf, Pattern

LISTED: Final = "listed"
SIGNER: Final = "key:"
_MOST_PATH: Final = 1024
_DIGITS: Final = {"sha256": 64, "sha384": 96, "sha512": 128}
_PATH: Final = f"[!-~]{{1,{_MOST_PATH}}}"
_DIGEST: Final = "|".join(f"{name}:[0-9a-fA-F]{{{digits}}}" for name, digits in _DIGITS.items())
_FILE: Final = f"({_DIGEST}) {_PATH}"
_KEY: Final = f"{SIGNER}([0-9a-fA-F]{{2}}){{64,1200}}"
_FOLDER: Final = f"/[!-.0-~][!-~]{{0,{_MOST_PATH}}}/"
_SOURCE: Final = f"{LISTED}|{_KEY}|{_FOLDER}"

FILE: Final = Pattern(
    _FILE,
    "sha256, sha384 or sha512, a colon, the digest in hexadecimal, a space, and a path without spaces",
    "digest and path as the kernel writes them: `sha256:3f0d... /usr/bin/agent`",
)
NAME: Final = Pattern(
    _PATH,
    f"a path of up to {_MOST_PATH} printable ASCII characters without spaces",
    "path as the kernel writes it",
)
SOURCE: Final = Pattern(
    _SOURCE,
    '"listed", "key:" and a public key (SubjectPublicKeyInfo) in hexadecimal, or a folder: "/var/log/"',
    "`listed`; `key:` and a public key (SubjectPublicKeyInfo, DER, hexadecimal); a folder: `/var/log/`",
)


@dataclass(frozen=True, slots=True)
class Ima:
    """``[ima]``."""

    files: Annotated[
        tuple[str, ...] | None,
        Key(
            ListOf(FILE),
            "Digests of files: where a file of this list was measured, it had one of the digests listed for"
            " it. Several lines allow a file several digests. A file that could change while it was measured"
            " may be any: accept has to name `ima-violations` where there is one.",
        ),
    ] = None
    required: Annotated[
        tuple[str, ...] | None, Key(ListOf(NAME), "Paths of files that must have been measured.")
    ] = None
    known: Annotated[
        tuple[str, ...] | None,
        Key(
            ListOf(SOURCE),
            "Nothing was measured but: files of the list (listed), files that one of these keys signed, files"
            " below these folders, whatever they hold.",
        ),
    ] = None
    violations: Annotated[
        str | None,
        Key(Choice(("refused",)), "refused: no file at all could change while the kernel measured it."),
    ] = None
