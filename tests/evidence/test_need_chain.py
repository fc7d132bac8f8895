"""The chain that a need names: read as it was written, and nothing else read as one."""

from __future__ import annotations

import base64

import pytest

from assay.evidence.x509 import need_chain
from support.google_vm_scenes import GOOGLE

ROOT = GOOGLE.root_der
CHAIN = (GOOGLE.authority_draft().sign(), ROOT)


def read(text, most=2):
    return tuple(each.der for each in need_chain.decode(text, most=most))


@pytest.mark.parametrize("ders", [CHAIN[1:], CHAIN])
def test_what_was_written_is_read(ders):
    assert read(need_chain.encode(ders)) == ders


def test_more_certificates_than_are_asked_for_are_none():
    text = need_chain.encode(CHAIN)
    assert (read(text, most=2), read(text, most=1)) == (CHAIN, ())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AA==",
        "!" + need_chain.encode([ROOT]),
        need_chain.encode([ROOT]) + "\n",
        need_chain.encode([ROOT])[:-2],
        base64.b64encode(ROOT[:-1]).decode(),
        base64.b64encode(ROOT + b"\0").decode(),
        base64.b64encode(ROOT + b"\x30\0").decode(),
        "\N{LATIN SMALL LETTER E WITH ACUTE}",
    ],
)
def test_what_is_no_chain_is_none(text):
    assert read(text) == ()
