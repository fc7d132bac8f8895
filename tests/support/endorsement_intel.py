"""A fake Provisioning Certification Service: what a simulated Intel publishes, as the real one answers it."""

from __future__ import annotations

import json
from urllib.parse import quote

from cryptography.hazmat.primitives.serialization import Encoding

from assay.endorsements.fetching import FRESH_FOR, Fetcher
from assay.endorsements.http import Client, Limits, tls_context
from assay.endorsements.needs import by_kind
from assay.endorsements.record import Wanted
from assay.endorsements.services import Services
from assay.endorsements.source import Access
from assay.endorsements.turns import Turns
from assay.evidence.roots import Roots
from assay.simulator.intel import FMSPC, Installation
from support.endorsement_services import NOW, Reply, World, authority_pem

INTEL = Installation(b"\x11" * 32)
OTHER = Installation(b"\x12" * 32)
ROOTS = Roots.vendor().with_anchor("simulated", INTEL.root_der)
WANTED = Wanted.of("intel-collateral", tee="tdx", fmspc=FMSPC.hex(), ca="platform")


def encoded(pem):
    """A chain as it stands in a header."""
    return quote(pem.decode())


def publish(service, collateral, *, fmspc=WANTED["fmspc"], ca="platform", tee="tdx", which=""):
    """Let a service answer with collateral at the paths of version 4."""
    signed = b'{"tcbInfo":%b,"signature":"%b"}'
    identity = b'{"enclaveIdentity":%b,"signature":"%b"}'
    query = f"&{which}" if which else ""
    service.routes |= {
        f"/{tee}/certification/v4/tcb?fmspc={fmspc}{query}": Reply(
            200,
            signed % (collateral.tcb_info, collateral.tcb_info_signature.hex().encode()),
            {"TCB-Info-Issuer-Chain": encoded(collateral.tcb_info_issuer_chain)},
        ),
        f"/{tee}/certification/v4/qe/identity{'?' + which if which else ''}": Reply(
            200,
            identity % (collateral.qe_identity, collateral.qe_identity_signature.hex().encode()),
            {"SGX-Enclave-Identity-Issuer-Chain": encoded(collateral.qe_identity_issuer_chain)},
        ),
        f"/sgx/certification/v4/pckcrl?ca={ca}&encoding=der": Reply(
            200, collateral.pck_crl, {"SGX-PCK-CRL-Issuer-Chain": encoded(collateral.pck_crl_issuer_chain)}
        ),
        "/IntelSGXRootCA.der": Reply(200, collateral.root_ca_crl),
    }


def numbers(
    installation=INTEL, *, tee="TDX", issued="2026-11-01T00:00:00Z", until="2026-12-01T00:00:00Z", signer=None
):
    """The answer to a question for evaluation numbers."""
    issued = "2026-11-01T00:00:00Z"
    from assay.simulator.pki import sign_raw

    value = json.dumps(
        {
            "id": tee,
            "version": 1,
            "issueDate": issued,
            "nextUpdate": until,
            "tcbEvalNumbers": [{"tcbEvaluationDataNumber": n, "tcbDate": issued} for n in (17, 19, 18)],
        },
        separators=(",", ":"),
    ).encode()
    signer = signer or installation.tcb_signer
    body = b'{"tcbEvaluationDataNumbers":%b,"signature":"%b"}' % (
        value,
        sign_raw(signer.key, value).hex().encode(),
    )
    chain = signer.pem() + installation.root.certificate.public_bytes(Encoding.PEM)
    return Reply(200, body, {"TCB-Evaluation-Data-Numbers-Issuer-Chain": encoded(chain)})


class Quiet:
    """Watches and says nothing."""

    def __enter__(self):
        return None

    def __exit__(self, *found):
        return None


def fetcher(
    cache, service=None, *, names=(), world=None, roots=ROOTS, offline=False, fresh_for=FRESH_FOR, **limits
):
    """A fetcher whose services ``names`` are the fake one; Intel's when none are named."""
    world = world or World()
    replaced = [f"{name}={service.url}" for name in (names or ("pcs", "intel-crl"))] if service else []
    surroundings = world.surroundings()
    access = Access(
        client=Client(
            tls_context(authority_pem()), surroundings, Turns(surroundings, None), Limits(**limits)
        ),
        services=Services.published(replaced),
        roots=roots,
        authorities="of-a-test",
        surroundings=surroundings,
    )
    return Fetcher(
        by_kind(), access, cache, offline=offline, fresh_for=fresh_for, watch=lambda wanted: Quiet()
    )


__all__ = ["INTEL", "NOW", "OTHER", "ROOTS", "WANTED", "fetcher", "numbers", "publish"]
