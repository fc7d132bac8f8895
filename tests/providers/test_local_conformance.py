"""The conformance suite on the provider of this computer, on each rung that works here."""

from __future__ import annotations

import os

import pytest

from assay.providers.local.isolation import Rung, probe
from assay.providers.local.provider import LocalProvider
from support.provider_conformance import ProviderConformance

BEST = probe(os.environ)
RUNGS = [Rung("none", reason="asked for")] + ([BEST] if BEST.name != "none" else [])


class TestLocal(ProviderConformance):
    @pytest.fixture(params=RUNGS, ids=lambda rung: rung.name)
    def provider(self, request, tmp_path):
        provider = LocalProvider(tmp_path / "state", environ=os.environ, rung=request.param)
        yield provider
        for machine in provider.inventory(timeout=30):
            provider.destroy(machine.id, timeout=30)

    def again(self, provider):
        return LocalProvider(provider._state, environ=os.environ, rung=provider.rung)
