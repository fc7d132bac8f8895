"""The key provider that a guest took its keys from, as the ``key-provider`` event names it.

The payload is JSON: ``{"name": "kms" | "local-sgx" | "tpm" | "none", "id": hex}``. For ``kms`` the id is the
DER of the key server's root public key; for ``local-sgx`` it is the sealing enclave's measurement.

Source: dstack 0.6.0, ``dstack-types/src/lib.rs`` (KeyProviderInfo), ``dstack-util/src/system_setup.rs``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from assay.evidence.decoding import strictjson
from assay.evidence.dstack.fields import refuse, unhex

MAX_DOCUMENT_BYTES = 8 * 1024


class ProviderKind(IntEnum):
    """The kinds of key provider, by the byte that stands for them in MR_CONFIG_ID version 2."""

    NONE = 0
    LOCAL = 1
    KMS = 2
    TPM = 3


_KINDS = {
    "none": ProviderKind.NONE,
    "local-sgx": ProviderKind.LOCAL,
    "kms": ProviderKind.KMS,
    "tpm": ProviderKind.TPM,
}


@dataclass(frozen=True, slots=True)
class KeyProvider:
    """Who gave the guest its keys.

    Attributes:
        name: ``kms``, ``local-sgx``, ``tpm`` or ``none``.
        id: Its stable identity; empty where it has none.
    """

    name: str
    id: bytes

    @property
    def kind(self) -> ProviderKind:
        """The kind that the name stands for."""
        return _KINDS[self.name]


def parse_key_provider(payload: bytes) -> KeyProvider:
    """Parse the payload of a ``key-provider`` event.

    Raises:
        EvidenceError: ``json.*`` or ``dstack.key_provider.malformed``.
    """
    document = strictjson.parse_object(payload, max_bytes=MAX_DOCUMENT_BYTES)
    if document.keys() != {"name", "id"}:
        refuse("key_provider.malformed", "The key provider does not consist of name and id.")
    name = document["name"]
    if type(name) is not str or name not in _KINDS:
        refuse("key_provider.malformed", "The key provider is of no kind that dstack has.")
    return KeyProvider(name, unhex(document["id"], "The key provider's id", "key_provider.malformed"))
