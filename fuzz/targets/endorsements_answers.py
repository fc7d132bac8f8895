"""Answers of publishers: whatever a service sends is refused with an error of its own, or verified."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from assay.endorsements.http import Answer
from assay.endorsements.needs import by_kind
from assay.endorsements.record import Wanted
from assay.endorsements.services import Place, Services
from assay.endorsements.source import Access
from assay.endorsements.surroundings import Surroundings
from assay.errors import AssayError
from assay.evidence.roots import Roots
from assay.simulator.intel import FMSPC, Installation

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW: Final = datetime(2026, 11, 21, tzinfo=UTC)
INTEL: Final = Installation(b"\x0f" * 32)
ROOTS: Final = Roots.vendor().with_anchor("simulated", INTEL.root_der)
COLLATERAL: Final = INTEL.collateral(NOW, platform="tdx")
GOOGLE: Final = "https://confidentialcomputing.googleapis.com"
CHIP: Final = {
    "kind": "vcek",
    "product": "Genoa",
    "chip_id": "ab" * 64,
    "bl": "1",
    "tee": "1",
    "snp": "1",
    "ucode": "1",
}
WANTED: Final = (
    Wanted.of("intel-collateral", tee="tdx", fmspc=FMSPC.hex(), ca="platform"),
    Wanted.of("intel-evaluation-numbers", tee="tdx"),
    Wanted.of("intel-pck", encrypted_ppid="ab" * 384, cpusvn="00" * 16, pcesvn="0000", pceid="0000"),
    Wanted.of("amd-vek", **CHIP),
    Wanted.of("amd-chain", kind="vcek", product="Genoa"),
    Wanted.of("amd-crl", kind="vcek", product="Genoa"),
    Wanted.of("azure-thim", **CHIP),
    Wanted.of("confidential-space-root"),
    Wanted.of("jwks", issuer=GOOGLE),
    Wanted.of("jwks", issuer="https://portal.trustauthority.intel.com"),
    Wanted.of("nvidia-rim", id="NV_GPU_DRIVER_GH100_550.90.07"),
    Wanted.of(
        "revocation-list",
        at="https://pki.goog/cloud_integrity/tpm_ek_root_1.crl",
        chain=b64encode(ROOTS.of("google-vtpm")[0].der).decode(),
        vendor="google-vtpm",
    ),
)
_SIGNED: Final = b'{"%b":%b,"signature":"%b"}'


class _Client:
    """Answers everything with the same bytes, and as chain of an issuer with the last line of them."""

    def __init__(self, data: bytes) -> None:
        self.body, _, chain = data.rpartition(b"\n\n")
        names = (
            "tcb-info",
            "sgx-enclave-identity",
            "sgx-pck-crl",
            "tcb-evaluation-data-numbers",
            "sgx-pck-certificate",
        )
        text = chain.decode("latin-1")
        self.headers: Mapping[str, str] = {f"{name}-issuer-chain": text for name in names}

    def get(self, place: Place, *, max_bytes: int, headers: Any = None) -> Answer:  # noqa: ARG002 - the client's
        return Answer(place.url, self.headers, self.body[:max_bytes])

    post = get


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return answers of every form, each with the number of its source in front."""
    chain = b"\n\n" + quote(COLLATERAL.tcb_info_issuer_chain.decode()).encode()
    info = _SIGNED % (b"tcbInfo", COLLATERAL.tcb_info, COLLATERAL.tcb_info_signature.hex().encode())
    times = {"issueDate": "2026-11-01T00:00:00Z", "nextUpdate": "2026-12-01T00:00:00Z"}
    numbers = json.dumps({"id": "TDX", **times, "tcbEvalNumbers": []}).encode()
    thim = json.dumps(
        {"vcekCert": INTEL.root.pem().decode(), "tcbm": "00" * 8, "certificateChain": "x"}
    ).encode()
    bodies = {
        0: info + chain,
        1: _SIGNED % (b"tcbEvaluationDataNumbers", numbers, b"00" * 64) + chain,
        2: INTEL.platform_ca.pem() + chain,
        3: INTEL.root_der + b"\n\n",
        4: INTEL.root.pem() + INTEL.root.pem() + b"\n\n",
        5: COLLATERAL.root_ca_crl + b"\n\n",
        6: thim + b"\n\n",
        7: INTEL.root.pem() + b"\n\n",
        8: json.dumps({"issuer": GOOGLE, "jwks_uri": "https://www.googleapis.com/x"}).encode() + b"\n\n",
        9: b'{"keys":[{"kid":"a","kty":"RSA","n":"AQAB","e":"AQAB"}]}\n\n',
        10: b'{"id":"NV_GPU_DRIVER_GH100_550.90.07","rim":"PGE+PC9hPg=="}\n\n',
        11: COLLATERAL.root_ca_crl + b"\n\n",
    }
    return [bytes([number]) + body for number, body in bodies.items()]


def target(data: bytes) -> None:
    """Let one source read and judge what a service sent."""
    wanted = WANTED[data[0] % len(WANTED)] if data else WANTED[0]
    source = by_kind()[wanted.kind]
    client: Any = _Client(data[1:])
    access = Access(client, Services.published(), ROOTS, "", Surroundings.real())
    try:
        answer = source.fetch(wanted, access)
        source.rests_on(wanted, answer.parts)
        source.judge(wanted, answer.parts, access, NOW)
    except AssayError as error:
        if not error.message.isprintable():
            raise AssertionError("a message that a terminal would obey") from error
