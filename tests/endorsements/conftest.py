"""A service on a real socket and an empty cache, which nearly every test of endorsements starts from."""

from __future__ import annotations

import pytest

from assay.endorsements.cache import Cache
from support.endorsement_services import FakeService, World


@pytest.fixture
def service():
    found = FakeService()
    yield found
    found.stop()


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache", World().surroundings())
