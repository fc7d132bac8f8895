"""Bounds and needs of Google's virtual machines that a mutation run found untested."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assay.evidence.decoding.der import DerError
from assay.evidence.google_vm.ak import read_instance
from assay.simulator.amd import der
from assay.simulator.google_vm.scene import INSTANCE, instance_extension
from support.google_vm_scenes import judge, scene


def test_the_bound_of_security_properties():
    for most in (16, 17):
        flags = [der.element(0xA0 + tag, der.TRUE) for tag in range(1, most + 1)]
        extension = instance_extension(INSTANCE, properties=der.element(der.SEQUENCE, *flags))
        if most == 16:
            assert len(read_instance(extension).flags) == 15
        else:
            with pytest.raises(DerError, match="not in order"):
                read_instance(extension)


def test_what_the_report_of_the_tee_needs_is_a_need_of_the_whole():
    scenario = scene("tdx").finish()
    assert not judge(scenario).needs
    lacking = replace(scenario.endorsements, collateral=None)
    needs = judge(scenario, endorsements=lacking).needs
    assert [need.kind for need in needs] == ["collateral"]
