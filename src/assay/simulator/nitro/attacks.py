"""Named attacks on Nitro documents, each after its defect, with the code that must refuse it.

    evidence = stage("stale-document", SimulatedAws(installation), at=now, binding=binding)

What is changed before signing stands in the draft, so that the simulated hypervisor signs it; what is changed
after is what a thief of a genuine document can do.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from cryptography import x509

from assay.errors import SimulatorError
from assay.evidence.decoding.cbor import encode
from assay.simulator.intel import Installation
from assay.simulator.nitro import pki
from assay.simulator.nitro.hypervisor import SimulatedAws

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from assay.simulator.nitro.document import DocumentDraft
    from assay.simulator.nitro.hypervisor import SecurityModule

Platform = Literal["nitro", "nitro-tpm"]

IMAGE: Mapping[int, bytes] = {
    index: hashlib.sha384(f"a simulated image, register {index}".encode()).digest() for index in (0, 1, 2, 8)
}
"""The registers of the simulated image, 48 bytes each."""
_STRANGER = b"a stranger".ljust(32, b"\0")
_SEED = "an instance of a scene"


@dataclass(slots=True)
class NitroScene:
    """A module and its document before it is signed; an attack changes any of them.

    Attributes:
        aws: The simulated AWS that the Relying Party trusts.
        platform: What the Relying Party demands.
        at: The time.
        binding: What it expects in ``user_data``.
        module: The module; ``document_from`` replaces it.
        draft: The document.
    """

    aws: SimulatedAws
    platform: Platform
    at: datetime
    binding: bytes
    module: SecurityModule
    draft: DocumentDraft

    def document_from(self, module: SecurityModule, *, at: datetime | None = None) -> None:
        """Take the document from this module, perhaps at another time."""
        self.module = module
        self.draft = module.draft(at or self.at, user_data=self.binding)


@dataclass(frozen=True, slots=True)
class NitroEvidence:
    """What a Relying Party is given, and what it knows.

    Attributes:
        platform: ``nitro`` or ``nitro-tpm``.
        document: The attestation document.
        root: The root to trust, DER.
        binding: What ``user_data`` is expected to be.
        at: When.
    """

    platform: Platform
    document: bytes
    root: bytes
    binding: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class NitroAttack:
    """One named attack.

    Attributes:
        name: Its defect.
        description: One sentence that says what is wrong.
        code: The code of the check that refuses it; for what is authentic and must be refused by policy, the
            claim that shows it, as ``claim:debug``.
        platforms: Where it can be made.
        apply: Spoils a scene.
        unrouted: The code with which ``assay verify`` refuses it, when the format's verifier never sees it
            because its bytes are recognised as something else, or as nothing.
    """

    name: str
    description: str
    code: str
    platforms: tuple[Platform, ...]
    apply: Callable[[NitroScene], None]
    unrouted: str = ""


ATTACKS: dict[str, NitroAttack] = {}
BOTH: tuple[Platform, ...] = ("nitro", "nitro-tpm")
ENCLAVE: tuple[Platform, ...] = ("nitro",)


def _attack(
    name: str,
    description: str,
    *,
    code: str,
    platforms: tuple[Platform, ...] = BOTH,
    unrouted: str = "",
) -> Callable[[Callable[[NitroScene], None]], Callable[[NitroScene], None]]:
    def register(apply: Callable[[NitroScene], None]) -> Callable[[NitroScene], None]:
        ATTACKS[name] = NitroAttack(name, description, code, platforms, apply, unrouted)
        return apply

    return register


def genuine(aws: SimulatedAws, platform: Platform, at: datetime, binding: bytes) -> NitroScene:
    """Return a scene in which nothing is wrong.

    Args:
        aws: The simulated AWS.
        platform: ``nitro`` or ``nitro-tpm``.
        at: The time; aware.
        binding: At most 1,024 bytes for ``user_data``.
    """
    module = _module(aws, platform, at)
    return NitroScene(aws, platform, at, binding, module, module.draft(at, user_data=binding))


def stage(name: str, aws: SimulatedAws, *, platform: Platform, at: datetime, binding: bytes) -> NitroEvidence:
    """Return the evidence of a named attack; of none for the name ``none``.

    Raises:
        SimulatorError: ``simulator.attack.unknown``; ``simulator.attack.elsewhere`` when it cannot be made on
            this platform.
    """
    scene = genuine(aws, platform, at, binding)
    if name != "none":
        found = ATTACKS.get(name)
        if found is None:
            raise SimulatorError("simulator.attack.unknown", "There is no simulated attack of this name.")
        if platform not in found.platforms:
            raise SimulatorError(
                "simulator.attack.elsewhere", f"The attack {name} cannot be made on {platform}."
            )
        found.apply(scene)
    return NitroEvidence(platform, scene.draft.encode(), aws.root_der, binding, at)


def _module(
    aws: SimulatedAws, platform: Platform, at: datetime, *, seed: str = _SEED, debug: bool = False
) -> SecurityModule:
    instance = aws.instance(seed)
    if platform == "nitro-tpm":
        return instance.tpm({4: IMAGE[0], 7: IMAGE[1]})
    return instance.enclave(IMAGE, started=at, debug=debug)


@_attack("unpinned-root", "The chain is complete, under a root of its own.", code="nitro.root.not_pinned")
def _unpinned_root(scene: NitroScene) -> None:
    stranger = SimulatedAws(Installation(_STRANGER))
    scene.document_from(_module(stranger, scene.platform, scene.at))


@_attack("stale-document", "A genuine document is shown again a day later.", code="nitro.chain.validity")
def _stale(scene: NitroScene) -> None:
    scene.document_from(scene.module, at=scene.at - timedelta(days=1))


@_attack("foreign-session", "The document was made for another session.", code="nitro.binding.mismatch")
def _foreign_session(scene: NitroScene) -> None:
    scene.draft.members["user_data"] = hashlib.sha512(b"another session").digest()


@_attack("no-session", "The document was made for no session.", code="nitro.binding.absent")
def _no_session(scene: NitroScene) -> None:
    scene.draft.members["user_data"] = None


@_attack(
    "debug-enclave",
    "The enclave runs in debug mode: its registers are zero and its console is open.",
    code="claim:debug",
    platforms=ENCLAVE,
)
def _debug(scene: NitroScene) -> None:
    scene.document_from(_module(scene.aws, scene.platform, scene.at, debug=True))


@_attack("altered-register", "A register was changed after signing.", code="nitro.cose.signature")
def _altered_register(scene: NitroScene) -> None:
    scene.draft.after = lambda data: data.replace(IMAGE[0], IMAGE[8])


@_attack(
    "hidden-register",
    "A register stands twice, for readers that keep the last: once as expected, once as it is.",
    code="nitro.payload.layout",
)
def _hidden_register(scene: NitroScene) -> None:
    index = 0 if scene.platform == "nitro" else 4
    entry = encode(index) + encode(IMAGE[0])

    def twice(payload: bytes) -> bytes:
        # One register fewer under its own number keeps the count that the map states.
        return payload.replace(encode(index + 1) + _payload_value(scene, index + 1), entry, 1)

    scene.draft.after_payload = twice


def _payload_value(scene: NitroScene, index: int) -> bytes:
    """Return a register of a scene's document, encoded."""
    name = "pcrs" if scene.platform == "nitro" else "nitrotpm_pcrs"
    return encode(scene.draft.members[name][index])


@_attack(
    "merged-keys",
    "A register is named true, which some readers take for 1.",
    code="nitro.payload.layout",
)
def _merged_keys(scene: NitroScene) -> None:
    value = _payload_value(scene, 1)
    scene.draft.after_payload = lambda payload: payload.replace(encode(1) + value, b"\xf5" + value, 1)


@_attack("leaf-as-authority", "A leaf, which is no authority, issued another leaf.", code="nitro.chain.roles")
def _leaf_as_authority(scene: NitroScene) -> None:
    chain = scene.draft.chain
    _reissue(scene, 3, authority=False, path_length=None, usage=pki.LEAF_USAGE)
    scene.draft.key = chain[-1].key


@_attack(
    "longer-path",
    "The certificate of an instance may issue authorities, which only zones may.",
    code="nitro.chain.roles",
)
def _longer_path(scene: NitroScene) -> None:
    _reissue(scene, 3, path_length=1)


@_attack(
    "other-region", "The instance's certificate is of another region than its zone.", code="nitro.chain.names"
)
def _other_region(scene: NitroScene) -> None:
    instance = scene.module.instance.instance_id
    _reissue(scene, 3, common_name=f"{instance}.us-east-1.aws.nitro-enclaves")


@_attack(
    "borrowed-leaf",
    "The document names another module than the one whose key signed it.",
    code="nitro.chain.module",
)
def _borrowed_leaf(scene: NitroScene) -> None:
    instance = scene.module.instance.instance_id
    scene.draft.members["module_id"] = f"{instance}-enc0000000000000000"


@_attack("expired-leaf", "The leaf had expired when it signed.", code="nitro.chain.validity")
def _expired_leaf(scene: NitroScene) -> None:
    _reissue(scene, 4, not_after=scene.at - timedelta(minutes=1))


@_attack(
    "weak-algorithm",
    "The header states another algorithm.",
    code="nitro.cose.algorithm",
    unrouted="verification.evidence.unrecognised",
)
def _weak_algorithm(scene: NitroScene) -> None:
    scene.draft.protected = encode({1: -7})


@_attack(
    "unprotected-algorithm",
    "The algorithm stands where no signature covers it.",
    code="nitro.cose.algorithm",
    unrouted="verification.evidence.unrecognised",
)
def _unprotected_algorithm(scene: NitroScene) -> None:
    scene.draft.protected, scene.draft.unprotected = b"", {1: -35}


@_attack("trailing-bytes", "Bytes follow the document.", code="nitro.cose.layout")
def _trailing(scene: NitroScene) -> None:
    scene.draft.after = lambda data: data + bytes(16)


@_attack(
    "other-platform",
    "A document of the other kind of module is shown for the one demanded.",
    code="nitro.payload.platform",
    unrouted="policy.platforms.other",
)
def _other_platform(scene: NitroScene) -> None:
    other: Platform = "nitro" if scene.platform == "nitro-tpm" else "nitro-tpm"
    scene.document_from(_module(scene.aws, other, scene.at))


def _reissue(
    scene: NitroScene,
    place: int,
    **changes: str | bool | int | datetime | frozenset[str] | None,
) -> None:
    """Issue the certificate at one place of the chain again with changes, and all below it."""
    chain = scene.draft.chain
    for at in range(place, len(chain)):
        profile = profile_of(chain[at].certificate)
        if at == place:
            profile = replace(profile, **changes)  # type: ignore[arg-type]  # the fields of a profile
        chain[at] = chain[at - 1].issue(profile, chain[at].key)
    scene.draft.key = chain[-1].key


def profile_of(certificate: x509.Certificate) -> pki.Profile:
    """Return what a simulated certificate says."""
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
    return pki.Profile(
        str(common),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        authority=constraints.ca,
        path_length=constraints.path_length,
        usage=frozenset(name for name in pki.AUTHORITY_USAGE if getattr(usage.value, name)),
        usage_critical=usage.critical,
    )
