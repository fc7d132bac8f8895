"""The runtime claims of Azure's paravisor: the vTPM's keys, the VM's configuration, the user's data.

The paravisor hashes this JSON and has the hardware sign the hash; so the bytes are what counts, and reading
them must have one outcome. A second ``HCLAkPub`` would let one reader check a quote under a key that another
reader never saw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric import rsa

from assay.evidence.azure import checks
from assay.evidence.azure.hcl import MAX_RUNTIME_BYTES, AzureError
from assay.evidence.decoding.canonical import canonical_base64url
from assay.evidence.decoding.strictjson import JsonError, member, mistyped, parse_object, strings

if TYPE_CHECKING:
    from collections.abc import Mapping

AK_KID: Final = "HCLAkPub"
_MEMBERS: Final = frozenset({"keys", "vm-configuration", "user-data"})
_MAX_KEYS: Final = 8
_MAX_SETTINGS: Final = 32
_MAX_TEXT: Final = 128
_USER_DATA_BYTES: Final = 64
_PURPOSES: Final = frozenset({"sign", "encrypt"})  # the oldest paravisors wrote "encrypt" for every key
_KEY_MEMBERS: Final = frozenset({"kid", "key_ops", "kty", "e", "n"})
_EXPONENT: Final = "AQAB"
_MODULUS_BYTES: Final = 256

Setting = bool | int | str


@dataclass(frozen=True, slots=True)
class RuntimeClaims:
    """What the paravisor states about its VM.

    Attributes:
        key_ids: ``kid`` of every key, in order; ``HCLAkPub`` exactly once.
        attestation_key_use: ``key_ops`` of the attestation key: ``sign``; ``encrypt`` from those of 2023.
        vm_configuration: The VM's settings as stated, among them ``secure-boot``, ``tpm-enabled``,
            ``console-enabled``, ``vmUniqueId``; those that this reader does not know are kept.
        user_data: What the guest wrote to NV index 0x01400002, 64 bytes; None from paravisors without it.
    """

    key_ids: tuple[str, ...]
    attestation_key_use: tuple[str, ...]
    vm_configuration: Mapping[str, Setting]
    user_data: bytes | None

    def setting(self, name: str) -> bool | None:
        """Return a setting that is a truth value; None when it is absent or something else."""
        found = self.vm_configuration.get(name)
        return found if type(found) is bool else None


@dataclass(frozen=True, slots=True)
class Runtime:
    """Runtime claims, read; nothing about them is verified.

    Attributes:
        claims: What they state.
        modulus: Modulus of the attestation key, 256 bytes, big-endian; its exponent is 65537.
    """

    claims: RuntimeClaims
    modulus: bytes

    def key(self) -> rsa.RSAPublicKey:
        """Return the attestation key."""
        return rsa.RSAPublicNumbers(0x10001, int.from_bytes(self.modulus, "big")).public_key()


def parse_runtime(raw: bytes) -> Runtime:
    """Read runtime claims.

    Args:
        raw: Exactly the JSON, at most 2048 bytes.

    Raises:
        AzureError: ``azure.runtime.layout`` when they are not the JSON that the paravisor writes;
            ``azure.runtime.attestation_key`` with ``.absent``, ``.ambiguous`` or ``.malformed``.
    """
    try:
        found = parse_object(raw, max_bytes=MAX_RUNTIME_BYTES)
        _demand(found.keys() <= _MEMBERS, "They have a member that is not known.")
        keys = [_key(item) for item in _bounded(member(found, "keys", list), _MAX_KEYS)]
        settings = _settings(member(found, "vm-configuration", dict))
        user_data = _user_data(member(found, "user-data", str)) if "user-data" in found else None
    except JsonError as error:
        raise AzureError(
            checks.RUNTIME_LAYOUT,
            "azure.runtime.layout",
            f"The runtime claims cannot be read: {error.message}",
        ) from None
    use, modulus = _attestation_key([key for key in keys if key["kid"] == AK_KID])
    kids = tuple([key["kid"] for key in keys])
    return Runtime(RuntimeClaims(kids, use, settings, user_data), modulus)


def _demand(holds: bool, why: str) -> None:  # noqa: FBT001 - the condition is the point
    if not holds:
        raise mistyped(why)


def _bounded(values: list[Any], most: int) -> list[Any]:
    if len(values) > most:
        raise mistyped(f"An array has more than {most} items.")
    return values


def _key(item: Any) -> dict[str, Any]:
    if type(item) is not dict:
        raise mistyped("A key is not an object.")
    _text(member(item, "kid", str))
    return item


def _text(value: str) -> str:
    if len(value) > _MAX_TEXT or not value.isprintable():
        raise mistyped(f"A text has more than {_MAX_TEXT} characters, or unprintable ones.")
    return value


def _settings(found: dict[str, Any]) -> dict[str, Setting]:
    if len(found) > _MAX_SETTINGS:
        raise mistyped(f"The VM has more than {_MAX_SETTINGS} settings.")
    for name, value in found.items():
        _text(name)
        if type(value) is str:
            _text(value)
        elif type(value) not in (bool, int):
            raise mistyped("A setting of the VM is neither text nor number nor truth value.")
    return found


def _user_data(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != _USER_DATA_BYTES or len(text) != 2 * _USER_DATA_BYTES:
        raise mistyped(f"The user data are not {_USER_DATA_BYTES} bytes in hex.")
    return found


def _attestation_key(keys: list[dict[str, Any]]) -> tuple[tuple[str, ...], bytes]:
    """Return use and modulus of the one attestation key."""
    if len(keys) != 1:
        what = "ambiguous" if keys else "absent"
        raise _refused(what, f"The runtime claims name {len(keys)} attestation keys, not one.")
    try:
        key = keys[0]
        use = strings(_bounded(member(key, "key_ops", list), len(_PURPOSES)))
        _demand(member(key, "kty", str) == "RSA", "It is no RSA key.")
        _demand(member(key, "e", str) == _EXPONENT, "Its exponent is not 65537.")
        _demand(len(use) > 0 and _PURPOSES.issuperset(use), "Its use is not known.")
        _demand(key.keys() <= _KEY_MEMBERS, "It has a member that is not known.")
        modulus = _number(member(key, "n", str))
    except JsonError as error:
        raise _refused("malformed", f"The attestation key cannot be used: {error.message}") from None
    return use, modulus


def _number(text: str) -> bytes:
    """Decode a Base64urlUInt (RFC 7518 section 2): no padding, no zero in front, one encoding only."""
    found = canonical_base64url(text.encode("utf-8", "replace"))
    if found is None:
        raise mistyped("Its modulus is not base64url.")
    if len(found) != _MODULUS_BYTES or not found[0] & 0x80 or not found[-1] & 1:
        raise mistyped("Its modulus is not an odd number of 2048 bits.")
    return found


def _refused(what: str, why: str) -> AzureError:
    return AzureError(checks.RUNTIME_KEY, f"azure.runtime.attestation_key.{what}", why)
