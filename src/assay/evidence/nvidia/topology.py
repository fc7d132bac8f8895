"""What holds for a set of devices together: distinct chips, one mode, switches that belong to the GPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.evidence.nvidia import checks
from assay.evidence.nvidia.claims import DeviceKind, Mode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assay.evidence.ledger import LedgerBuilder
    from assay.evidence.nvidia.chains import DeviceChain
    from assay.evidence.nvidia.opaque import OpaqueFacts


def judge_set(ledger: LedgerBuilder, devices: Sequence[tuple[DeviceChain, OpaqueFacts]], nonces: int) -> None:
    """Record ``SET_CHECKS`` for the devices of one piece of evidence, all with signed reports.

    Args:
        ledger: Where they are recorded.
        devices: Chain and opaque data of each.
        nonces: How many nonces they answered to.
    """
    if len({chain.root.anchor for chain, _ in devices}) == 1:
        ledger.passed(checks.SET_ANCHOR)
    else:
        reason = "The chains of the devices end in several roots."
        ledger.failed(checks.SET_ANCHOR, "nvidia.set.anchor", reason)
    numbers = {(chain.chip, chain.device_id) for chain, _ in devices}
    if len(numbers) == len(devices):
        ledger.passed(checks.SET_DISTINCT)
    else:
        reason = f"{len(devices)} devices are presented and they are {len(numbers)} chips."
        ledger.failed(checks.SET_DISTINCT, "nvidia.set.distinct", reason)
    if nonces == 1:
        ledger.passed(checks.SET_NONCE)
    else:
        reason = f"The devices answered to {nonces} nonces."
        ledger.failed(checks.SET_NONCE, "nvidia.set.nonce", reason)
    gpus = [stated for chain, stated in devices if chain.architecture.kind is DeviceKind.GPU]
    switches = [stated for chain, stated in devices if chain.architecture.kind is DeviceKind.SWITCH]
    modes = {gpu.mode for gpu in gpus}
    if len(modes) > 1:
        reason = f"The GPUs are in several modes: {', '.join(sorted(modes))}."
        ledger.failed(checks.SET_MODE, "nvidia.set.mode", reason)
    elif gpus:
        ledger.passed(checks.SET_MODE)
    else:
        ledger.not_applicable(checks.SET_MODE, "there is no GPU in the set")
    _switches(ledger, gpus, switches)


def _switches(ledger: LedgerBuilder, gpus: list[OpaqueFacts], switches: list[OpaqueFacts]) -> None:
    spec = checks.SET_SWITCHES
    if not any(gpu.mode is Mode.PPCIE for gpu in gpus):
        ledger.not_applicable(spec, "no GPU of the set is under protected PCIe")
        return
    behind = {gpu.switch_pdis for gpu in gpus}
    if len(behind) > 1 or not next(iter(behind)):
        ledger.failed(spec, "nvidia.set.links", "The GPUs are not linked to the same switches.")
        return
    named = next(iter(behind))
    present = frozenset(switch.pdi for switch in switches if switch.pdi is not None)
    if not present:
        reason = f"not checked: the evidence of the {len(named)} switches behind the GPUs is missing"
        ledger.not_checked(spec, "nvidia.set.switches.missing", reason)
    elif present != named:
        reason = f"The GPUs are linked to {len(named)} switches, and the set has {len(present)} others."
        ledger.failed(spec, "nvidia.set.switches", reason)
    elif len({frozenset(switch.gpu_pdis) for switch in switches}) > 1:
        ledger.failed(spec, "nvidia.set.ports", "The switches do not serve the same GPUs.")
    elif any(len(set(switch.gpu_pdis)) != len(gpus) for switch in switches):
        ledger.failed(spec, "nvidia.set.count", "The switches serve another number of GPUs.")
    else:
        ledger.passed(spec)
