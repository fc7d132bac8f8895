"""Where simulated issuers of tokens publish their keys."""

from __future__ import annotations

import json
from functools import cache as once

from assay.simulator.tokens import TokenServices
from assay.simulator.tokens.keys import ServiceKeys
from support.endorsement_services import Reply

GOOGLE = "https://confidentialcomputing.googleapis.com"
KEYS = "/service_accounts/v1/metadata/jwk/signer@confidentialspace-sign.iam.gserviceaccount.com"
DISCOVERY = "/.well-known/openid-configuration"
ISSUERS = {
    "confidential-space": (GOOGLE, KEYS),
    "maa": ("https://simulated.weu.attest.azure.net", "/certs"),
    "trust-authority": ("https://portal.trustauthority.intel.com", "/certs"),
    "nras": ("https://nras.attestation.nvidia.com", "/.well-known/jwks.json"),
}
NAMES = ("confidential-space", "google-keys", "maa", "trust-authority", "nvidia-nras")


@once
def tokens():
    return TokenServices(ServiceKeys(b"\x31" * 32))


def discovery(**changes):
    return Reply(
        200,
        json.dumps({"issuer": GOOGLE, "jwks_uri": f"https://www.googleapis.com{KEYS}"} | changes).encode(),
    )
