"""Bounds and words of the tables of a policy, each tried at its limit and beyond, through the loader."""

from __future__ import annotations

import pytest

from assay.appraisal import Policy
from assay.appraisal.schema import json_schema
from assay.appraisal.tables import nitro, nvidia, tokens, vtpm
from assay.errors import PolicyError

ONE = "11" * 48


def refusal(platform: str, table: str, line: str) -> str:
    """Return the code with which a policy with this line is refused; empty when it is one."""
    text = f'version = 1\nplatforms = ["{platform}"]\naccept = []\n[{table}]\n{line}\n'
    try:
        Policy.load(text.encode(), name="test")
    except PolicyError as error:
        return error.code
    return ""


def test_the_words_and_bounds_by_hand():
    assert (nitro.PCRS, nitro.PCR_BYTES, nitro.MAX_AGE_SECONDS) == (32, 48, 86400)
    assert nvidia.ARCHITECTURES == ("HOPPER", "BLACKWELL", "LS10")
    assert (nvidia.MODES, nvidia.MOST_DEVICES) == (("spt", "mpt", "ppcie"), 96)
    assert (vtpm.PCRS, vtpm.PCR_SIZES) == (24, (32, 48, 64))
    assert tokens.SUPPORT == ("LATEST", "STABLE", "USABLE", "EXPERIMENTAL")


@pytest.mark.parametrize(
    ("platform", "table", "fits", "fits_not"),
    [
        ("nitro", "nitro", f'pcr31 = ["{ONE}"]', f'pcr32 = ["{ONE}"]'),
        ("nitro", "nitro", f'pcr0 = ["{ONE}"]', f'pcr0 = ["{ONE}11"]'),
        ("nitro", "nitro", f'instance_ids = ["{"i" * 64}"]', f'instance_ids = ["{"i" * 65}"]'),
        ("nitro", "nitro", f'regions = ["{"r" * 64}"]', f'regions = ["{"r" * 65}"]'),
        ("nitro", "nitro", "max_age_seconds = 1", "max_age_seconds = 0"),
        ("nitro", "nitro", "max_age_seconds = 86400", "max_age_seconds = 86401"),
        ("nitro", "nitro", 'pcr3 = "reference-if-measured"', 'pcr2 = "reference-if-measured"'),
        ("nitro", "nitro", 'pcr4 = "reference-if-measured"', 'pcr5 = "reference-if-measured"'),
        ("nitro", "nitro", 'pcr8 = "reference-if-measured"', 'pcr7 = "reference-if-measured"'),
        ("nvidia-gpu", "nvidia", "gpus = 96", "gpus = 97"),
        ("nvidia-gpu", "nvidia", 'modes = ["spt", "mpt", "ppcie"]', 'modes = ["other"]'),
        ("maa", "maa", f'issuers = ["{"i" * 256}"]', f'issuers = ["{"i" * 257}"]'),
        ("confidential-space", "confidential_space", 'support = "USABLE"', 'support = "usable"'),
    ],
)
def test_what_just_fits(platform, table, fits, fits_not):
    assert refusal(platform, table, fits) == ""
    assert refusal(platform, table, fits_not) in (
        "policy.value",
        "policy.type",
        "policy.hex",
        "policy.unknown_key",
    )


MEANINGS = {
    "nitro": {0: "image", 1: "kernel", 2: "application", 3: "role", 4: "id of the parent", 8: "signed"},
    "vtpm": {
        0: "firmware's code", 1: "Firmware configuration", 2: "option ROMs", 4: "Boot loader, or",
        5: "partition table", 7: "Secure-boot", 8: "command line", 9: "initrd", 10: "IMA", 11: "Unified",
        12: "unified",
    },
}  # fmt: skip


@pytest.mark.parametrize("table", MEANINGS)
def test_what_each_register_measures(table):
    described = json_schema()["properties"][table]["properties"]
    for index in range(13):
        word = MEANINGS[table].get(index, "What was extended into this register.")
        assert word in described[f"pcr{index}"]["description"]
