"""Azure's trusted hardware identity management, as the instance metadata of a confidential VM answers.

The answer is for the machine that asks: VCEK certificate, its chain, and the TCB version, as PEM in JSON. It
comes over plain HTTP from a link-local address, and is believed for AMD's signatures alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assay.endorsements.amd_kds import judge_vek, tcb_of
from assay.endorsements.source import Fetched, Judged, SignedSource, malformed, part, swapped
from assay.errors import AssayError
from assay.evidence.decoding import strictjson
from assay.evidence.roots import AMD
from assay.evidence.snp.endorsements import MAX_THIM_BYTES, SnpEndorsements

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from assay.endorsements.record import Wanted
    from assay.endorsements.source import Access

THIM: Final = "azure-thim"
THIM_PART: Final = "thim.json"
_PATH: Final = "/metadata/THIM/amd/certification"
_HEADERS: Final = {"Metadata": "true"}


class ThimSource(SignedSource):
    """VCEK and chain of this very machine; key: as ``amd-vek``, to be compared with what is answered."""

    __slots__ = ()
    kinds = frozenset({THIM})
    vendors = (AMD,)

    def fetch(self, wanted: Wanted, access: Access) -> Fetched:  # noqa: ARG002 - it answers for one machine
        """Ask the metadata of this machine."""
        place = access.services.place("imds", _PATH)
        answer = access.client.get(place, max_bytes=MAX_THIM_BYTES, headers=_HEADERS)
        return Fetched({THIM_PART: answer.body}, (answer.url,))

    def judge(self, wanted: Wanted, parts: Mapping[str, bytes], access: Access, now: datetime) -> Judged:
        """Verify the chain by role, and chip and TCB version against those wanted and against ``tcbm``."""
        data = part(parts, THIM_PART)
        try:
            found = SnpEndorsements.from_thim(data)
            members = strictjson.parse_object(data, max_bytes=MAX_THIM_BYTES)
            stated = bytes.fromhex(strictjson.member(members, "tcbm", str))
        except (AssayError, ValueError) as error:
            why = f": {error.message}" if isinstance(error, AssayError) else "."
            raise malformed(f"The answer of the instance metadata is no THIM document{why}") from None
        judged = judge_vek(wanted, found, access, now)
        # It is written as a number, highest byte first.
        if stated[::-1] != tcb_of(wanted):
            raise swapped("The TCB version beside the certificate is not the certificate's.")
        return judged


SOURCES: Final = (ThimSource(),)
