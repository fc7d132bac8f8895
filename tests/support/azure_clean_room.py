"""The answer of a clean room's agent: a simulated Azure VM, written as the agent writes it."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64decode
from functools import cache
from typing import Any

from assay.evidence.decoding.pem import encode as pem
from assay.simulator.tpm.device import sized
from support.azure_scenes import scene


@cache
def made():
    stage = scene()
    stage.form = "v2"
    return stage.finish()


def text(data: bytes) -> str:
    return b64encode(data).decode()


def written() -> dict[str, Any]:
    own = json.loads(made().container)
    quote = own["tpm_quote"]
    message, signature = bytes.fromhex(quote["message"]), bytes.fromhex(quote["signature"])
    hcl, vcek = urlsafe_b64decode(own["hcl_report"]), urlsafe_b64decode(own["vcek"])
    return {
        "evidence": {
            "tpmQuote": text(sized(message) + bytes.fromhex("0014000b") + sized(signature)),
            "hclReport": text(hcl),
            "snpReport": text(hcl[32:1216]),
            "aikCert": "",
            "pcrs": {str(at): text(bytes.fromhex(value)) for at, value in enumerate(quote["pcrs"])},
            "runtimeClaims": {"user-data": "00"},
        },
        "nonce": "AA==",
        "platformCertificates": pem(vcek).decode(),
        "imageReference": {"publisher": "nobody"},
    }
