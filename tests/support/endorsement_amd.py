"""A fake Key Distribution Service, and a fake instance metadata, of a simulated AMD."""

from __future__ import annotations

import json
from base64 import encodebytes
from functools import cache

from assay.endorsements.record import Wanted
from assay.evidence.roots import Roots
from assay.evidence.snp import Product
from assay.evidence.snp.products import LAYOUTS
from support.endorsement_services import NOW, Reply
from support.snp_scenes import AMD, STRANGER


@cache
def documents(product, *, amd=AMD, kind="vcek", at=NOW):
    """Chip, and everything that is published about it; signed once."""
    chip = amd.chip("one", product)
    return chip, amd.endorsements(chip, at, kind)


@cache
def roots(product=Product.GENOA, amd=AMD):
    return Roots.vendor().with_anchor("simulated AMD", documents(product, amd=amd)[1].root, vendor="amd")


def pem(*ders):
    armoured = [b"-----BEGIN CERTIFICATE-----\n%b-----END CERTIFICATE-----\n" % _lines(der) for der in ders]
    return b"".join(armoured)


def _lines(der):
    text = encodebytes(der).replace(b"\n", b"")
    return b"".join(text[start : start + 64] + b"\n" for start in range(0, len(text), 64))


def levels(chip):
    named = zip(LAYOUTS[chip.product].components, chip.tcb, strict=True)
    return {name: str(value) for name, value in named if name}


def chip_id(chip):
    return chip.hwid[: LAYOUTS[chip.product].hwid_bytes].hex()


def wanted_vek(chip, **changes):
    key = {"kind": "vcek", "product": str(chip.product), "chip_id": chip_id(chip), **levels(chip)}
    return Wanted.of("amd-vek", **(key | changes))


def vek_path(chip):
    query = "&".join(f"{name}SPL={value}" for name, value in levels(chip).items())
    return f"/vcek/v1/{chip.product}/{chip_id(chip)}?{query}"


def publish(service, product=Product.GENOA, *, amd=AMD, at=NOW):
    """Let a service answer as the KDS does; return the chip."""
    chip, found = documents(product, amd=amd, at=at)
    service.routes |= {
        vek_path(chip): Reply(200, found.vek),
        f"/vcek/v1/{product}/cert_chain": Reply(200, pem(found.authority, found.root)),
        f"/vcek/v1/{product}/crl": Reply(200, found.crl),
    }
    return chip


def thim(product=Product.GENOA, *, amd=AMD, tcbm=None, chain=None):
    """The answer of the instance metadata."""
    chip, found = documents(product, amd=amd)
    members = {
        "vcekCert": pem(found.vek).decode(),
        "tcbm": (chip.tcb[::-1].hex() if tcbm is None else tcbm).upper(),
        "certificateChain": (chain or pem(found.authority, found.root)).decode(),
        "cacheControl": "86400",
    }
    return Reply(200, json.dumps(members).encode())


__all__ = ["AMD", "NOW", "STRANGER", "Product"]
