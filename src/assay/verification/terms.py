"""What the Relying Party states beside the binding, for formats that carry more than one thing to compare."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

from assay.evidence.records import record
from assay.evidence.verification import Unchecked

if TYPE_CHECKING:
    from datetime import datetime

    from assay.evidence.facts import FactCache
    from assay.evidence.roots import Roots
    from assay.evidence.verification import Binding


_NO_AUDIENCE: Final = Unchecked("no audience was stated")
_NO_USER_DATA: Final = Unchecked("nothing was handed to the paravisor")


@record
class Terms:
    """What some formats let a Relying Party compare, beside the binding.

    What is left unchecked here never passes unseen: it stands in the ledger, and a policy can demand it.

    Attributes:
        audience: The audience that a Confidential Space token must have.
        user_data: What the guest was to hand to Azure's paravisor: the inner one of its two layers.
        token_skew: How far in the future a token may have been issued.
        token_max_age: How old a token may be, whatever its own expiry says.
        nitro_carrier: Which field of a Nitro document holds the binding.
        nitro_validity: Whether a Nitro document's chain is judged now, or at the document's own time.
    """

    audience: str | Unchecked = _NO_AUDIENCE
    user_data: Binding = _NO_USER_DATA
    token_skew: timedelta = timedelta(seconds=60)
    token_max_age: timedelta = timedelta(hours=1)
    nitro_carrier: Literal["user_data", "nonce", "public_key"] = "user_data"
    nitro_validity: Literal["now", "document"] = "now"


@record
class Given:
    """What every format's verifier is given.

    Attributes:
        roots: The roots in which a chain may end.
        now: The time of the verification, aware.
        binding: What the evidence must carry, or why that is not checked.
        facts: Verified facts to share.
        terms: What else the Relying Party states.
    """

    roots: Roots
    now: datetime
    binding: Binding
    facts: FactCache
    terms: Terms
