"""Rules about NVIDIA devices. A GPU proves no code that a policy could name, so none opens a gate alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from assay.appraisal.document import Attributes
from assay.appraisal.platforms import PlatformAppraisal
from assay.appraisal.rules.lists import flag_rule
from assay.appraisal.rules.subject import Rule, Subject, Workshop, failed
from assay.appraisal.rules.weaknesses import weakness_rule
from assay.appraisal.tables.nvidia import Nvidia
from assay.appraisal.trust_vector import NO_CLAIM, TrustClaim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from assay.appraisal.document import Document
    from assay.appraisal.result import AttestationResult
    from assay.evidence.ledger import Check
    from assay.evidence.nras.claims import DeviceClaims, NrasClaims
    from assay.evidence.nvidia.claims import NvidiaClaims

NOT_DEBUGGABLE: Final = (
    "disabled",
    "disabled-since-boot",
    "disabled-permanently",
    "disabled-fully-and-permanently",
)


def _own(shop: Workshop) -> Iterator[Rule]:
    table: Nvidia = shop.document.nvidia or Nvidia()
    yield weakness_rule(
        shop,
        "nvidia.hold",
        "certificate-hold",
        "no certificate of a manifest is on hold",
        lambda claims: "A certificate that signed a manifest is on hold." if _any(claims, "held") else "",
    )
    yield _manifests_of_the_vendor(shop)
    if table.architectures is not None:
        yield _every(shop, "architectures", lambda device: str(device.architecture), table.architectures)
    if table.drivers is not None:
        yield _every(shop, "drivers", lambda device: device.driver_version, table.drivers, of=_gpus)
    if table.firmware is not None:
        yield _every(shop, "firmware", lambda device: device.vbios_version, table.firmware)
    if table.modes is not None:
        yield _every(shop, "modes", lambda device: str(device.mode), table.modes, of=_gpus)
    if table.device_ids is not None:
        yield _every(shop, "device_ids", lambda device: device.device_id, table.device_ids)
    if table.gpus is not None:
        yield _count(shop, "gpus", lambda claims: len(claims.gpus), table.gpus)
    if table.switches is not None:
        yield _count(shop, "switches", lambda claims: len(claims.switches), table.switches)
    if table.fresh_revocation is not None:
        yield flag_rule(
            shop,
            "nvidia.fresh_revocation",
            _all_fresh,
            wanted=table.fresh_revocation,
        )


def _service(shop: Workshop) -> Iterator[Rule]:
    table: Nvidia = shop.document.nvidia or Nvidia()
    yield weakness_rule(
        shop,
        "attributes.debug",
        "debug",
        "no device is in debug mode",
        _debuggable,
        wanted=(shop.document.attributes or Attributes()).debug,
    )
    yield weakness_rule(
        shop,
        "nvidia.warnings",
        "service-warning",
        "the service warns of nothing",
        lambda claims: next(
            (f"The service warns: {_shown(each.warning)}." for each in claims.devices if each.warning), ""
        ),
    )
    if table.drivers is not None:
        yield _every(shop, "drivers", lambda device: device.driver, table.drivers, of=service_gpus)
    if table.firmware is not None:
        yield _every(shop, "firmware", lambda device: device.firmware, table.firmware)
    if table.device_ids is not None:
        yield _every(shop, "device_ids", lambda device: device.ueid, table.device_ids)
    if table.gpus is not None:
        yield _count(shop, "gpus", distinct_gpus, table.gpus)
    # What the service does not state cannot be demanded of it.
    for name in ("architectures", "modes", "switches", "fresh_revocation"):
        if getattr(table, name) is not None:
            yield _unstated(shop, name)


def _debuggable(claims: NrasClaims) -> str:
    found = next((each for each in claims.devices if each.debug_status not in NOT_DEBUGGABLE), None)
    return (
        ""
        if found is None
        else f"{_shown(found.name)} can be debugged ({_shown(found.debug_status) or 'unstated'})."
    )


def _shown(text: str) -> str:
    return ascii(text)[1:-1][:120]


def _any(claims: NvidiaClaims, name: str) -> bool:
    return any(getattr(used, name) for device in claims.devices for used in device.references)


def _all_fresh(claims: NvidiaClaims) -> bool:
    """Return whether every answer, about devices and about manifests' signers, carried its nonce."""
    return all(
        device.revocation.fresh and all(used.fresh for used in device.references) for device in claims.devices
    )


def _gpus(claims: NvidiaClaims) -> Iterable[Any]:
    return claims.gpus


def _all(claims: Any) -> Iterable[Any]:
    found: Iterable[Any] = claims.devices
    return found


def service_gpus(claims: NrasClaims) -> list[DeviceClaims]:
    """Return the devices that are no switches, whatever else the service does not say of them."""
    return [
        device
        for device in claims.devices
        if not any(name.startswith("x-nvidia-switch-") for name in device.token)
    ]


def distinct_gpus(claims: NrasClaims) -> int:
    """Return how many GPUs there surely are: one presented twice is one, and all without a ueid may be."""
    return len({device.ueid for device in service_gpus(claims)})


def _manifests_of_the_vendor(shop: Workshop) -> Rule:
    path = "nvidia.manifests"
    spec = shop.spec(path, "every device was compared with manifests under the root of its own vendor")
    passed = spec.passed

    def judge(subject: Subject) -> Check:
        claims: NvidiaClaims = subject.claims
        if any(not device.references for device in claims.devices):
            return failed(spec, path, "missing", "A device was compared with no manifest.")
        if not subject.evidence.simulated and _any(claims, "simulated"):
            return failed(spec, path, "simulated", "A real device was compared with a simulated manifest.")
        return passed

    return Rule(spec, judge)


def _every(
    shop: Workshop,
    key: str,
    read: Callable[[Any], str],
    allowed: Iterable[str],
    *,
    of: Callable[[Any], Iterable[Any]] = _all,
) -> Rule:
    """Return the rule that a statement of every device is one that the policy lists."""
    path = f"nvidia.{key}"
    spec = shop.spec(path, f"{key} of every device are ones that the policy names")
    passed = spec.passed
    values = frozenset(allowed)

    def judge(subject: Subject) -> Check:
        found = [read(device) for device in of(subject.claims)]
        other = next((value for value in found if value not in values), None)
        if found and other is None:
            return passed
        shown = _shown(other) if other else "not stated"
        return failed(spec, path, "not_listed", f"It is {shown}, which the policy does not name.")

    return Rule(spec, judge)


def _count(shop: Workshop, key: str, read: Callable[[Any], int], wanted: int) -> Rule:
    path = f"nvidia.{key}"
    spec = shop.spec(path, f"there are {wanted} {key}")
    passed = spec.passed

    def judge(subject: Subject) -> Check:
        found = read(subject.claims)
        if found == wanted:
            return passed
        return failed(spec, path, "count", f"There are {found} {key}; {wanted} are demanded.")

    return Rule(spec, judge)


def _unstated(shop: Workshop, key: str) -> Rule:
    path = f"nvidia.{key}"
    spec = shop.spec(path, f"{key} are as the policy demands")

    def judge(_subject: Subject) -> Check:
        return failed(
            spec, path, "unstated", "NVIDIA's service does not state this; verify the device's own report."
        )

    return Rule(spec, judge)


def _no_code(_document: Document) -> bool:
    return False


def _executables(_result: AttestationResult) -> TrustClaim:
    return TrustClaim(NO_CLAIM, "A device's report says nothing about the code that uses it.")


def _revocation(claims: NvidiaClaims) -> Iterable[str]:
    if not _all_fresh(claims):
        yield (
            "That the answers about revoked certificates are new: one, of a device or of a manifest, was"
            " asked for without a nonce, and its own dates alone say how old it is."
        )
    manifests = _any(claims, "responder_unasked")
    if manifests or any(device.revocation.responder_unasked for device in claims.devices):
        yield (
            "That the service which said that no certificate is revoked was not revoked itself: nobody was"
            " asked about its own certificate, which does not say that nobody needs to be."
        )


def _status_since(claims: NvidiaClaims) -> datetime:
    return min(device.revocation.this_update for device in claims.devices)


def _issued(claims: NrasClaims) -> datetime:
    return claims.issued_at


PLATFORMS: Final = {
    "nvidia-gpu": PlatformAppraisal(
        name="nvidia-gpu",
        title="NVIDIA GPU",
        tables=("nvidia",),
        rules=_own,
        names_code=_no_code,
        code_keys="the CPU's evidence: a GPU proves no code",
        measured={},
        reference_sizes={},
        executables=_executables,
        endorsed_since=_status_since,
        unproven=_revocation,
    ),
    "nras": PlatformAppraisal(
        name="nras",
        title="NVIDIA Remote Attestation Service",
        tables=("nvidia",),
        rules=_service,
        names_code=_no_code,
        code_keys="the CPU's evidence: a GPU proves no code",
        measured={},
        reference_sizes={},
        executables=_executables,
        endorsed_since=_issued,
    ),
}
