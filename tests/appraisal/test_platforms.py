"""What appraisal says of each platform: its policy tables, what its registers measure, and their sizes."""

from __future__ import annotations

import pytest

from assay.appraisal.platforms import platform_of, reference_sizes
from assay.appraisal.rules import nitro, nvidia, sgx, snp, tdx, tokens, vtpm
from assay.appraisal.vocabulary import PLATFORMS

MODULES = (nitro, nvidia, sgx, snp, tdx, tokens, vtpm)
PCRS = {
    "vtpm.pcr0": "its firmware",
    "vtpm.pcr4": "its boot loader or kernel",
    "vtpm.pcr7": "its secure-boot policy",
    "vtpm.pcr9": "its kernel and initrd",
    "vtpm.pcr11": "its unified kernel image",
}
NITRO = {f"pcr{index}": (48,) for index in range(32)}
TD = ("mr_td", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "mr_config_id", "mr_owner", "mr_owner_config", "mr_seam")
TABLES = {
    "tdx": ("tdx", "dstack"),
    "sgx": ("sgx",),
    "snp": ("snp", "dstack"),
    "nitro": ("nitro", "dstack"),
    "nitro-tpm": ("nitro", "dstack"),
    "azure-snp": ("vtpm", "snp", "azure"),
    "azure-tdx": ("vtpm", "tdx", "azure"),
    "gcp-tdx": ("vtpm", "tdx", "google", "dstack"),
    "gcp-snp": ("vtpm", "snp", "google"),
    "gcp-vtpm": ("vtpm", "google"),
    "tpm": ("vtpm", "tpm", "ima"),
    "confidential-space": ("confidential_space",),
    "maa": ("maa",),
    "trust-authority": ("trust_authority",),
    "nvidia-gpu": ("nvidia",),
    "nras": ("nvidia",),
}
MEASURED = {
    "tdx": {
        "tdx.mr_td": "the firmware it started from",
        "tdx.rtmr0": "its virtual machine's shape",
        "tdx.rtmr1": "its boot loader or kernel",
        "tdx.rtmr2": "its command line and initrd",
        "tdx.rtmr3": "what it extended at run time",
        "tdx.mr_config_id": "its configuration",
        "tdx.mr_owner": "its owner",
        "tdx.mr_owner_config": "its owner's configuration",
    },
    "sgx": {"sgx.mr_enclave": "its code", "sgx.config_id": "its configuration"},
    "snp": {"snp.measurement": "what it was launched with", "snp.host_data": "its configuration"},
    "nitro": {"nitro.pcr0": "its image", "nitro.pcr3": "its parent's role", "nitro.pcr4": "its parent"},
    "nitro-tpm": {
        "nitro.pcr4": "its boot loader or kernel",
        "nitro.pcr7": "its secure-boot configuration",
    },
    "azure-snp": {"snp.measurement": "its paravisor"} | PCRS,
    "azure-tdx": {"tdx.mr_td": "its paravisor"} | PCRS,
    "gcp-tdx": {
        "tdx.mr_td": "its virtual firmware",
        "tdx.rtmr1": "its boot loader or kernel",
        "tdx.rtmr2": "its command line and initrd",
    }
    | PCRS,
    "gcp-snp": {"snp.measurement": "its virtual firmware"} | PCRS,
    "gcp-vtpm": PCRS,
    "tpm": PCRS,
    "confidential-space": {"confidential_space.image_digests": "its container image"},
    "maa": {"maa.measurement": "what was launched"},
    "trust-authority": {
        "trust_authority.mrtd": "what a TD started from",
        "trust_authority.mrenclave": "an enclave",
    },
    "nvidia-gpu": {},
    "nras": {},
}
HOST_TPM = "vtpm.pcr4 and vtpm.pcr7, or vtpm.pcr11"
CODE_KEYS = {
    "tdx": "tdx.mr_td",
    "sgx": "sgx.mr_enclave or sgx.mr_signer",
    "snp": "snp.measurement",
    "nitro": "nitro.pcr0 (or nitro.pcr1 and nitro.pcr2)",
    "nitro-tpm": "nitro.pcr4 and nitro.pcr7",
    "azure-snp": f"snp.measurement or azure.ak_certificate, with {HOST_TPM}",
    "azure-tdx": f"tdx.mr_td or azure.ak_certificate, with {HOST_TPM}",
    "gcp-tdx": "tdx.mr_td, tdx.rtmr1 and tdx.rtmr2",
    "gcp-snp": "another platform than gcp-snp: its report covers the firmware alone",
    "gcp-vtpm": HOST_TPM,
    "tpm": HOST_TPM,
    "confidential-space": "confidential_space.image_digests",
    "maa": "maa.measurement with maa.issuers, and maa.attestation_types without azurevm",
    "trust-authority": "trust_authority.mrtd or trust_authority.mrenclave",
    "nvidia-gpu": "the CPU's evidence: a GPU proves no code",
    "nras": "the CPU's evidence: a GPU proves no code",
}
SIZES = {
    "tdx": dict.fromkeys(TD, (48,)),
    "sgx": {"mr_enclave": (32,), "mr_signer": (32,), "config_id": (64,)},
    "snp": {"measurement": (48,), "host_data": (32,), "id_key_digest": (48,), "author_key_digest": (48,)},
    "nitro": NITRO,
    "nitro-tpm": NITRO,
    **dict.fromkeys(
        ("azure-snp", "azure-tdx", "gcp-tdx", "gcp-snp", "gcp-vtpm", "tpm"),
        dict.fromkeys((f"pcr{index}" for index in range(24)), (32, 48, 64)),
    ),
    "maa": {"measurement": (32, 48)},
    "trust-authority": {
        **dict.fromkeys(("mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3"), (48,)),
        "mrenclave": (32,),
        "mrsigner": (32,),
    },
}


def test_each_platform_has_its_rules_in_one_place() -> None:
    found = [name for module in MODULES for name in module.PLATFORMS]
    assert sorted(found) == sorted(PLATFORMS)


@pytest.mark.parametrize("name", PLATFORMS)
def test_what_is_said_of_a_platform(name: str) -> None:
    found = platform_of(name)
    assert (found.name, found.tables) == (name, TABLES[name])
    assert dict(found.measured) == MEASURED[name]
    assert found.code_keys == CODE_KEYS[name]
    assert dict(found.reference_sizes) == SIZES.get(name, {})


def test_every_register_that_a_reference_value_can_be_given_for() -> None:
    every: dict[str, set[int]] = {}
    for sizes in SIZES.values():
        for register, size in sizes.items():
            every.setdefault(register, set()).update(size)
    assert dict(reference_sizes()) == every
    assert every["pcr4"] == {32, 48, 64}  # a TPM's bank may be any of them
    assert every["pcr30"] == {48}
