"""The authenticated Claims of a Nitro attestation document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

Platform = Literal["nitro", "nitro-tpm"]
"""An enclave's document, or that of an instance's NitroTPM."""

Carrier = Literal["user_data", "nonce", "public_key"]
"""The field of a document on which a binding rides; a public key is as old as it may be."""

Validity = Literal["now", "document"]
"""At which time the chain had to be valid: the given one, or the one that the document states."""


@dataclass(frozen=True, slots=True)
class NitroClaims:
    """What a Nitro attestation document says, and the chain under it.

    Attributes:
        module_id: The module that issued the document: ``i-<instance>-enc<enclave>`` or
            ``i-<instance>-tpm<number>``.
        instance_id: The EC2 instance, as the chain certifies it: ``i-0123456789abcdef0``.
        region: The region, as the chain certifies it: ``eu-central-1``.
        digest: The hash function of the registers: ``SHA384``.
        timestamp: When the document was made, aware UTC; the document's own word, to the millisecond.
        pcrs: Register index -> value of 32, 48 or 64 bytes; only registers that the document holds.
        public_key: What the workload put in, at most 1,024 bytes; None when absent.
        user_data: The same, at most 1,024 bytes.
        nonce: The same, at most 1,024 bytes.
        debug: Whether an enclave runs in debug mode, or does not show that it does not: its PCR0 is absent
            or zero. Its console is open to the parent instance then, and its registers measure nothing.
            Always False for NitroTPM, which has no such mode.
        carrier: On which field the binding rides.
        validity: ``document`` when the chain was judged at the document's own time, as for archived
            evidence; such evidence proves nothing about now.
        chain_valid_from: When the last certificate of the chain became valid, aware UTC.
        chain_valid_until: When the first of them expires, aware UTC.
    """

    module_id: str
    instance_id: str
    region: str
    digest: str
    timestamp: datetime
    pcrs: Mapping[int, bytes]
    public_key: bytes | None
    user_data: bytes | None
    nonce: bytes | None
    debug: bool
    carrier: Carrier
    validity: Validity
    chain_valid_from: datetime
    chain_valid_until: datetime
