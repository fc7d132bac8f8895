"""Verified evidence made by hand, for the rules about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from assay.evidence.facts import Window
from assay.evidence.nvidia.claims import (
    Architecture,
    DeviceClaims,
    Mode,
    NvidiaClaims,
    ReferenceUse,
    Revocation,
)
from assay.evidence.verification import Anchor
from support.appraisal_evidence import NOW, OWN_ROOT

NVIDIA = Anchor(bytes(32), "NVIDIA Device Identity CA", simulated=False)
OWN = Anchor(OWN_ROOT, "assay simulator", simulated=True)
USED = ReferenceUse(
    "driver",
    "550.90.07",
    "a manifest",
    "a root",
    simulated=False,
    held=False,
    window=Window(NOW, NOW),
    compared=60,
    fresh=True,
    responder_unasked=False,
)
GPU = DeviceClaims(
    architecture=Architecture.HOPPER,
    chip="GH100",
    revision="A01",
    device_id="01",
    nonce=b"n" * 32,
    driver_version="550.90.07",
    vbios_version="96.00.9F.00.01",
    project="1010",
    project_sku="0200",
    chip_sku="882",
    chip_info="",
    fwid=b"f" * 48,
    measurements={},
    mode=Mode.SPT,
    protected_pcie=None,
    nvdec0_disabled=False,
    pdi=None,
    switch_pdis=frozenset(),
    gpu_pdis=(),
    switch_locked=None,
    opaque={},
    references=(USED,),
    revocation=Revocation(
        NOW - timedelta(hours=2), NOW + timedelta(hours=1), fresh=True, responder_unasked=False
    ),
)
SWITCH = replace(
    GPU,
    architecture=Architecture.LS10,
    device_id="02",
    driver_version="",
    mode=Mode.UNSTATED,
    vbios_version="96.10",
)
CLAIMS = NvidiaClaims((GPU, SWITCH), b"n" * 32)
