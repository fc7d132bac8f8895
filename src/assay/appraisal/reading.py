"""Reading a policy file: TOML in, a ``Document`` out, every mistake refused by path.

Besides types and values, contradictions are refused: a line that has no effect, or less effect than it seems
to have, would deceive its author.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, Final

from assay.appraisal.document import DOCUMENT, Attributes, Document, Grace, Sgx, Tcb
from assay.appraisal.vocabulary import GRACE_NEEDS, KEYS, TABLES, WEAKNESSES, component_needs
from assay.errors import EvidenceError, PolicyError

if TYPE_CHECKING:
    from collections.abc import Collection

    from assay.appraisal.register_fields import Allowed
    from assay.appraisal.tables.ima import Ima
    from assay.appraisal.tables.snp import Snp
    from assay.appraisal.tables.vtpm import Tpm

MAX_BYTES: Final = 1 << 20
"""Bytes of a policy file, at most; the largest allow-lists of ours are a tenth of it."""


def read(toml: bytes) -> Document:
    """Return what a policy file says.

    Args:
        toml: The file's bytes, at most 1 MiB.

    Raises:
        PolicyError: ``policy.size``, ``policy.toml``, ``policy.empty``, ``policy.unknown_key``,
            ``policy.missing``, ``policy.type``, ``policy.value``, ``policy.hex``, ``policy.list``,
            ``policy.contradiction``.
    """
    if len(toml) > MAX_BYTES:
        raise PolicyError("policy.size", f"The policy has {len(toml)} bytes; {MAX_BYTES} is the limit.")
    try:
        found = tomllib.loads(toml.decode())
    except (ValueError, RecursionError) as error:  # tomllib lets int's own ValueError through
        raise PolicyError(
            "policy.toml", f"The policy is not TOML: {ascii(str(error))[1:-1][:200]}."
        ) from None
    if not found:
        raise PolicyError(
            "policy.empty",
            "The policy is empty, and an empty policy accepts nothing.",
            action='Say at least: version = 1 and platforms = ["tdx"].',
        )
    document: Document = DOCUMENT.decode(found, "")
    _refuse_contradictions(document)
    return document


def _contradiction(path: str, message: str, action: str) -> PolicyError:
    return PolicyError("policy.contradiction", message, action=action, path=path)


def _needs_word(path: str, says: str, words: frozenset[str], accepted: frozenset[str]) -> None:
    missing = sorted(words - accepted)
    if missing:
        raise _contradiction(
            path,
            f"{path} {says}, but accept does not name the weakness.",
            "Add to accept: " + ", ".join(f'"{word}"' for word in missing) + ".",
        )


def _refuse_contradictions(document: Document) -> None:
    """Refuse what would surprise its author."""
    accepted = frozenset(document.accept or ())
    if document.simulated == "only":
        _needs_word("simulated", 'is "only"', frozenset({"simulated"}), accepted)
    elif "simulated" in accepted:
        raise _contradiction(
            "accept", 'accept names "simulated", which has no effect.', 'Say simulated = "only" as well.'
        )
    for word in sorted(accepted | frozenset(document.accept_forgeable or ())):
        if not set(WEAKNESSES[word].platforms) & set(document.platforms):
            raise _contradiction(
                WEAKNESSES[word].key,
                f'{WEAKNESSES[word].key} names "{word}", which cannot occur on'
                f" {' or '.join(document.platforms)}.",
                f'Remove "{word}".',
            )
    strangers = sorted(set(document.together or ()) - set(document.platforms))
    if strangers:
        raise _contradiction(
            "together",
            f"together demands {strangers[0]}, which is not among the platforms: nothing could pass.",
            f'Add "{strangers[0]}" to platforms, or remove it from together.',
        )
    for section, platforms in TABLES.items():
        if getattr(document, section) is not None and not set(platforms) & set(document.platforms):
            about = " or ".join(platforms)
            raise _contradiction(
                section,
                f"[{section}] is about {about}, which is not among the platforms.",
                f'Add "{platforms[0]}" to platforms, or remove [{section}].',
            )
    _refuse_idle_keys(document)
    _refuse_tcb_contradictions(document.tcb or Tcb(), accepted)
    _refuse_attribute_contradictions(document.attributes or Attributes(), accepted)
    _refuse_sgx_contradictions(document.sgx or Sgx())
    _refuse_snp_contradictions(document.snp, accepted)
    _refuse_nitro_contradictions(document.nitro, document.platforms)
    _refuse_ima_contradictions(document.ima, document.tpm)


def _refuse_idle_keys(document: Document) -> None:
    """Refuse a key that nothing would be compared with on any of the platforms."""
    for path, platforms in KEYS.items():
        found: object = document
        for name in path.split("."):
            found = None if found is None else getattr(found, name)
        if found is not None and not set(platforms) & set(document.platforms):
            raise _contradiction(
                path,
                f"{path} is about {' or '.join(platforms)}, which is not among the platforms.",
                f'Add "{platforms[0]}" to platforms, or remove {path}.',
            )


def _refuse_tcb_contradictions(tcb: Tcb, accepted: frozenset[str]) -> None:
    for component in GRACE_NEEDS:
        for status in getattr(tcb, component) or ():
            needs = component_needs(component, status)
            if needs is None:
                raise AssertionError(f"{status} is in the vocabulary but no word admits it")
            _needs_word(f"tcb.{component}", f"lists {status}", needs, accepted)
        if getattr(tcb.grace or Grace(), component) is not None:
            words = frozenset({GRACE_NEEDS[component]})
            _needs_word(f"tcb.grace.{component}", "limits how long it may be out of date", words, accepted)
    both = sorted(set(tcb.rejected_advisories or ()) & set(tcb.accepted_advisories or ()))
    if both:
        raise _contradiction(
            "tcb.rejected_advisories",
            f"{ascii(both[0])[1:-1]} is both rejected and accepted.",
            "Remove it from one of the two lists.",
        )


def _refuse_attribute_contradictions(attributes: Attributes, accepted: frozenset[str]) -> None:
    for name, weak, word in (
        ("debug", True, "debug"),
        ("sept_ve_disable", False, "sept-ve-enabled"),
        ("migratable", True, "migratable"),
        ("perfmon", True, "perfmon"),
    ):
        if getattr(attributes, name) is weak:
            says = f"is {str(weak).lower()}"
            _needs_word(f"attributes.{name}", says, frozenset({word}), accepted)
    if any(any(value) for value in attributes.mr_service_td or ()):
        _needs_word("attributes.mr_service_td", "allows a service TD", frozenset({"service-td"}), accepted)


def _refuse_sgx_contradictions(sgx: Sgx) -> None:
    signed = (sgx.mr_signer, sgx.isv_prod_id, sgx.min_isv_svn)
    if sgx.mr_enclave is None and sgx.mr_signer is not None and None in signed:
        raise _contradiction(
            "sgx.mr_signer",
            "sgx.mr_signer alone would admit every enclave that this signer ever signed, old ones too.",
            "Say sgx.mr_enclave, or sgx.isv_prod_id and sgx.min_isv_svn as well.",
        )
    if (sgx.attributes is None) != (sgx.attributes_mask is None):
        raise _contradiction(
            "sgx.attributes", "sgx.attributes and sgx.attributes_mask need each other.", "Say both, or none."
        )
    if sgx.attributes is not None and sgx.attributes_mask is not None:
        if not any(sgx.attributes_mask):
            raise _contradiction(
                "sgx.attributes_mask",
                "sgx.attributes_mask has no bit set, so no bit of ATTRIBUTES would be compared.",
                "Set the bits that are meant, or remove sgx.attributes and sgx.attributes_mask.",
            )
        for value, mask in zip(sgx.attributes, sgx.attributes_mask, strict=True):
            if value & ~mask:
                raise _contradiction(
                    "sgx.attributes",
                    "sgx.attributes has bits outside sgx.attributes_mask, so nothing could pass.",
                    "Clear them, or widen the mask.",
                )


def _refuse_snp_contradictions(snp: Snp | None, accepted: frozenset[str]) -> None:
    if snp is None:
        return
    if any(snp.vmpl or ()):
        _needs_word("snp.vmpl", "lists a level other than 0", frozenset({"vmpl"}), accepted)
    for key in ("min_tcb", "min_launch_tcb"):
        products = getattr(snp, key)
        for product in () if products is None else ("milan", "genoa", "turin"):
            least = getattr(products, product)
            # Every firmware has at least zero: such a line says no more than none.
            if least is not None and not any(getattr(least, name) for name in least.__dataclass_fields__):
                path = f"snp.{key}.{product}"
                raise _contradiction(
                    path,
                    f"[{path}] states no smallest version above 0, so any firmware would pass as judged.",
                    f"State snp and ucode in [{path}], or remove it.",
                )


def _refuse_nitro_contradictions(nitro: Any, platforms: Collection[str]) -> None:
    """Refuse to go without the register that says what an instance booted; an enclave's says its parent."""
    stated: Allowed | None = None if nitro is None else nitro.pcr4
    if stated is not None and stated.if_measured and "nitro-tpm" in platforms:
        raise _contradiction(
            "nitro.pcr4",
            "On nitro-tpm PCR 4 says what booted; under this word an instance that measures nothing passes.",
            'Say "reference" or the values, or remove nitro-tpm from platforms.',
        )


def _refuse_ima_contradictions(ima: Ima | None, tpm: Tpm | None) -> None:
    if ima is None:
        return
    if tpm is not None and tpm.ima is False:
        raise _contradiction(
            "tpm.ima", "tpm.ima forbids the log that [ima] judges.", "Remove one of the two."
        )
    known = ima.known or ()
    if not (ima.files or ima.required or known or ima.violations):
        raise _contradiction(
            "ima",
            "[ima] says nothing, so nothing is judged by it.",
            "Say ima.files or ima.known, or remove it.",
        )
    if "listed" in known and ima.files is None:
        raise _contradiction(
            "ima.known",
            'ima.known names "listed", and there is no list.',
            'Say ima.files as well, or remove "listed".',
        )
    for index, source in enumerate(known):
        if source.startswith("key:") and not _signs_files(bytes.fromhex(source[4:])):
            raise PolicyError(
                "policy.value",
                f"ima.known[{index}] is no public key that signs files: RSA of 2048 bits or more, or EC.",
                path=f"ima.known[{index}]",
            )


def _signs_files(spki: bytes) -> bool:
    from assay.evidence.ima.files import load_signer  # noqa: PLC0415 - loads cryptography; few policies name a key

    try:
        load_signer(spki)
    except EvidenceError:
        return False
    return True
