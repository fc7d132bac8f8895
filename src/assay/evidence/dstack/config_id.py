"""MR_CONFIG_ID: what the host committed to before the guest ran.

Forms: all zeros (unset); version 0, the bare compose hash (dstack 0.5.1); version 1, ``01`` and the compose
hash; version 2, ``02`` and Keccak-256 of ``compose hash | app id | kind of key provider | its id``; version
3, ``03`` and SHA-256 of ``"dstack-mr-config-v3:" 00 document``. Each is filled up with zeros to 48 bytes.

Source: dstack 0.6.0, ``dstack-types/src/mr_config.rs`` and
``dstack-util/src/system_setup/config_id_verifier.rs``.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from assay.evidence.decoding import strictjson
from assay.evidence.dstack.fields import refuse, unhex
from assay.evidence.dstack.keccak import keccak256
from assay.evidence.dstack.key_provider import ProviderKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.evidence.dstack.system import SystemEvents

REGISTER_BYTES = 48
MAX_DOCUMENT_BYTES = 64 * 1024
_DOMAIN = b"dstack-mr-config-v3:\0"
_KIND_NAMES = {
    "none": ProviderKind.NONE,
    "local": ProviderKind.LOCAL,
    "kms": ProviderKind.KMS,
    "tpm": ProviderKind.TPM,
}
_KNOWN = frozenset(
    {
        "version",
        "app_id",
        "compose_hash",
        "gpu_policy_hash",
        "key_provider",
        "key_provider_id",
        "instance_id",
        "init_script_hashes",
    }
)


class ConfigForm(StrEnum):
    """The forms of MR_CONFIG_ID."""

    UNSET = "unset"
    BARE = "bare compose hash"
    V1 = "version 1"
    V2 = "version 2"
    V3 = "version 3"


def form_of(register: bytes, compose_hash: bytes) -> ConfigForm:
    """Tell the form of a register.

    Raises:
        EvidenceError: ``dstack.mr_config_id.version`` when it is of none.
    """
    if register == bytes(REGISTER_BYTES):
        return ConfigForm.UNSET
    if register == _filled(compose_hash):
        return ConfigForm.BARE
    forms = {1: ConfigForm.V1, 2: ConfigForm.V2, 3: ConfigForm.V3}
    form = forms.get(register[0])
    if form is None:
        refuse("mr_config_id.version", "MR_CONFIG_ID is neither this compose hash nor of a known version.")
    return form


def value_v1(compose_hash: bytes) -> bytes:
    """Return MR_CONFIG_ID of version 1, 48 bytes."""
    return _filled(b"\x01" + compose_hash)


def value_v2(compose_hash: bytes, app_id: bytes, kind: ProviderKind, provider_id: bytes) -> bytes:
    """Return MR_CONFIG_ID of version 2, 48 bytes."""
    return _filled(b"\x02" + keccak256(compose_hash + app_id + bytes([kind]) + provider_id))


def value_v3(document: bytes) -> bytes:
    """Return MR_CONFIG_ID of version 3 over the raw bytes of the document, 48 bytes."""
    return _filled(b"\x03" + host_data(document))


def host_data(document: bytes) -> bytes:
    """Return HOST_DATA of an SNP guest over the raw bytes of the document of version 3, 32 bytes."""
    return hashlib.sha256(_DOMAIN + document).digest()


def check_committed(register: bytes, form: ConfigForm, system: SystemEvents, document: bytes | None) -> None:
    """Check that a register of form V1, V2 or V3 commits to what the system events say.

    Args:
        register: MR_CONFIG_ID of the quote.
        form: Its form, as ``form_of`` tells it.
        system: The guest's system events.
        document: The configuration document; needed for version 3.

    Raises:
        EvidenceError: ``dstack.mr_config_id.mismatch`` or, for version 3, ``dstack.mr_config_id.document``.
    """
    if form is ConfigForm.V1:
        expected = value_v1(system.compose_hash)
    elif form is ConfigForm.V2:
        provider = system.key_provider
        expected = value_v2(system.compose_hash, system.app_id, provider.kind, provider.id)
    elif form is ConfigForm.V3:
        expected = value_v3(document or b"")
    else:
        return
    if register != expected:
        refuse(
            "mr_config_id.mismatch", f"MR_CONFIG_ID ({form}) does not commit to what the guest's events say."
        )
    if form is ConfigForm.V3:
        check_document(document or b"", system)


def check_document(data: bytes, system: SystemEvents) -> None:
    """Check that a configuration document of version 3 says what the system events say.

    Raises:
        EvidenceError: ``json.*`` or ``dstack.mr_config_id.document``.
    """
    document = strictjson.parse_object(data, max_bytes=MAX_DOCUMENT_BYTES)
    version = document.get("version", 3)
    if (
        not document.keys() <= _KNOWN
        or type(version) is not int
        or version != 3
        or "compose_hash" not in document
    ):
        refuse("mr_config_id.document", "The configuration document does not have the members of version 3.")
    kind = document.get("key_provider")
    if type(kind) is not str or _KIND_NAMES.get(kind) is not system.key_provider.kind:
        refuse("mr_config_id.document", "The configuration document names another kind of key provider.")
    said = {
        "compose_hash": system.compose_hash,
        "app_id": system.app_id,
        "instance_id": system.instance_id,
        "key_provider_id": system.key_provider.id,
        "gpu_policy_hash": system.gpu_policy_hash or b"",
    }
    for name, value in said.items():
        _check_member(document, name, value)
    scripts = document.get("init_script_hashes")
    if scripts is not None and (
        type(scripts) is not list
        or tuple(unhex(script, "A script hash", "mr_config_id.document") for script in scripts)
        != system.init_script_hashes
    ):
        refuse("mr_config_id.document", "The configuration document pins other init scripts.")


def pinned_by(data: bytes) -> frozenset[str]:
    """Return which of ``app_id``, ``compose_hash`` and ``key_provider`` a configuration document names.

    Args:
        data: A document of version 3 that ``check_document`` passed. A key provider is named by kind and id.

    Raises:
        EvidenceError: ``json.*``.
    """
    document = strictjson.parse_object(data, max_bytes=MAX_DOCUMENT_BYTES)
    found = {"compose_hash"}
    if document.get("app_id") is not None:
        found.add("app_id")
    if document.get("key_provider_id") is not None:
        found.add("key_provider")
    return frozenset(found)


def _check_member(document: Mapping[str, Any], name: str, value: bytes) -> None:
    """Compare a member that pins something; an absent one pins nothing."""
    found = document.get(name)
    if found is not None and unhex(found, f"Member {name}", "mr_config_id.document") != value:
        refuse("mr_config_id.document", f"The configuration document pins another {name}.")


def _filled(value: bytes) -> bytes:
    return value.ljust(REGISTER_BYTES, b"\0")
