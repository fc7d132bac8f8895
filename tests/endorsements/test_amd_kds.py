"""AMD's service and Azure's metadata: certificates, chains and lists, verified before they are kept."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from assay.endorsements.cache import Cache
from assay.endorsements.fetching import Origin
from assay.endorsements.record import Wanted
from assay.errors import EndorsementError
from assay.evidence.roots import Roots
from assay.evidence.snp.endorsements import SnpEndorsements
from assay.evidence.snp.vek import VekExtensions
from assay.evidence.x509.general import GeneralCertificate
from support import vectors
from support.endorsement_amd import (
    AMD,
    NOW,
    STRANGER,
    Product,
    chip_id,
    documents,
    levels,
    pem,
    publish,
    roots,
    thim,
    vek_path,
    wanted_vek,
)
from support.endorsement_intel import fetcher
from support.endorsement_services import Reply, World, running

GENOA = Product.GENOA
CHAIN = Wanted.of("amd-chain", kind="vcek", product="Genoa")
CRL = Wanted.of("amd-crl", kind="vcek", product="Genoa")


def ask(cache, service, wanted, *, product=GENOA, **options):
    options = {"roots": roots(product)} | options
    return fetcher(cache, service, names=["kds"], **options).get(wanted)


def refused(found, code):
    assert found.endorsement is None
    assert found.error.code == f"endorsements.{code}"
    assert found.error.message.isprintable()


@pytest.mark.parametrize("product", Product)
def test_a_certificate_is_fetched_with_its_chain_and_verified(service, cache, product):
    chip = publish(service, product)
    found = ask(cache, service, wanted_vek(chip), product=product)
    assert found.error is None
    assert found.endorsement.parts["vek.der"] == documents(product)[1].vek
    assert sorted(entry.wanted.kind for entry in cache.entries()) == ["amd-chain", "amd-vek"]
    again = ask(cache, service, wanted_vek(chip), product=product)
    assert again.origin is Origin.CACHE
    assert len(service.requests) == 2


def test_a_certificate_that_states_no_tcb_version_is_refused(service, cache):
    chip = publish(service)
    draft = chip.vek_draft("vcek", NOW)
    draft.extensions = [der for arc, der in chip.extensions("vcek").items() if not arc.startswith("3.")]
    service.routes[vek_path(chip)] = Reply(200, draft.sign())
    found = ask(cache, service, wanted_vek(chip))
    refused(found, "answer.unverified")
    assert found.error.message.startswith("The certificate is no VCEK: ")


def test_turin_is_asked_by_eight_bytes_and_with_fmc(service, cache):
    chip = publish(service, Product.TURIN)
    assert ask(cache, service, wanted_vek(chip), product=Product.TURIN).usable
    path = service.requests[0][1]
    assert len(path.split("/")[4].split("?")[0]) == 16
    assert "?fmcSPL=" in path
    long = ask(cache, service, wanted_vek(chip, chip_id="00" * 64), product=Product.TURIN)
    refused(long, "wanted.malformed")


def test_chain_and_list_are_fetched_once_for_a_product(service, cache):
    publish(service)
    one = fetcher(cache, service, names=["kds"], roots=roots())
    chip, _ = documents(GENOA)
    found = one.get_all([wanted_vek(chip), CHAIN, CRL])
    assert [each.usable for each in found] == [True] * 3
    assert len(service.requests) == 3


def test_a_host_with_a_pace_is_not_hurried(tmp_path, service):
    world = World()
    publish(service)
    cache = Cache(tmp_path / "c", world.surroundings())
    one = fetcher(cache, service, names=["kds"], roots=roots(), world=world)
    paced = {name: replace(each, pace=1.0) for name, each in one.access.services.known.items()}
    one = replace(one, access=replace(one.access, services=replace(one.access.services, known=paced)))
    assert one.get(CHAIN).usable
    assert one.get(CRL).usable
    assert world.waits == [1.0]


def test_a_vlek_is_not_asked_for(service, cache):
    chip, _ = documents(GENOA)
    refused(ask(cache, service, wanted_vek(chip, kind="vlek")), "amd.vlek")
    assert service.requests == []


@pytest.mark.parametrize(
    "changes",
    [
        {"product": "Rome"},
        {"product": ""},
        {"kind": "arks"},
        {"chip_id": ""},
        {"chip_id": "zz" * 64},
        {"bl": "-1"},
        {"bl": "256"},
        {"bl": ""},
    ],
)
def test_a_need_of_another_form_is_refused_before_anybody_is_asked(service, cache, changes):
    chip = publish(service)
    refused(ask(cache, service, wanted_vek(chip, **changes)), "wanted.malformed")
    assert service.requests == []


@pytest.mark.parametrize(
    ("path", "wanted", "most"),
    [
        (vek_path(documents(GENOA)[0]), wanted_vek(documents(GENOA)[0]), 8192),
        ("/vcek/v1/Genoa/cert_chain", CHAIN, 32768),
        ("/vcek/v1/Genoa/crl", CRL, 65536),
    ],
)
def test_an_answer_has_a_greatest_length(service, cache, path, wanted, most):
    publish(service)
    service.routes[path] = Reply(200, bytes(most))
    refused(ask(cache, service, wanted), "answer.malformed")
    service.routes[path] = Reply(200, bytes(most + 1))
    refused(ask(cache, service, wanted), "http.too_large")


def test_a_certificate_that_names_another_product_is_refused(service, cache):
    chip = publish(service)
    draft = chip.vek_draft("vcek", NOW)
    draft.extensions = [each.replace(b"Genoa", b"Milan") for each in draft.extensions]
    service.routes[vek_path(chip)] = Reply(200, draft.sign())
    refused(ask(cache, service, wanted_vek(chip)), "answer.swapped")


def test_a_chain_that_no_longer_holds_is_not_rested_on(service, cache):
    """It is at hand, and its publisher has no other: then there is no certificate either."""
    chip = publish(service)
    held = ask(cache, service, CHAIN).endorsement
    past = replace(held, window=replace(held.window, end=NOW - timedelta(days=1)))
    cache.put(past)
    del service.routes["/vcek/v1/Genoa/cert_chain"]
    refused(ask(cache, service, wanted_vek(chip)), "http.not_found")
    assert ask(cache, service, CHAIN).stale


def test_an_older_list_that_holds_does_not_replace_a_newer_one(service, cache):
    publish(service)
    held = ask(cache, service, CRL).endorsement
    service.routes["/vcek/v1/Genoa/crl"] = Reply(200, AMD.crl_draft(GENOA, NOW - timedelta(days=1)).sign())
    found = ask(cache, service, CRL, world=World(NOW + timedelta(days=1)))
    assert (found.endorsement, found.error.code) == (held, "endorsements.answer.older")


def test_what_is_wanted_twice_is_told_once_and_hides_nothing(service, cache):
    publish(service)
    one = fetcher(cache, service, names=["kds"], roots=roots())
    assert [each.wanted for each in one.get_all([CHAIN, CHAIN, CRL])] == [CHAIN, CRL]


def test_a_source_by_itself_has_nothing_to_rest_on(service, cache):
    one = fetcher(cache, service, names=["kds"], roots=roots())
    with pytest.raises(EndorsementError) as caught:
        one.access.also(CHAIN)
    assert caught.value.code == "endorsements.offline.missing"


def test_the_certificate_of_another_chip_is_refused(service, cache):
    chip = publish(service)
    other = AMD.chip("two", GENOA)
    service.routes[vek_path(other)] = service.routes[vek_path(chip)]
    refused(ask(cache, service, wanted_vek(other)), "answer.swapped")


def test_the_certificate_of_another_tcb_version_is_refused(service, cache):
    chip = publish(service)
    other = replace(chip, tcb=bytes([chip.tcb[0] + 1, *chip.tcb[1:]]))
    service.routes[vek_path(other)] = service.routes[vek_path(chip)]
    refused(ask(cache, service, wanted_vek(other)), "answer.swapped")


def test_a_certificate_under_a_stranger_is_refused(service, cache):
    chip = publish(service)
    service.routes[vek_path(chip)] = Reply(200, documents(GENOA, amd=STRANGER)[1].vek)
    refused(ask(cache, service, wanted_vek(chip)), "answer.unverified")


def test_an_authority_in_the_place_of_a_chip_is_refused(service, cache):
    chip = publish(service)
    service.routes[vek_path(chip)] = Reply(200, documents(GENOA)[1].authority)
    refused(ask(cache, service, wanted_vek(chip)), "answer.unverified")


@pytest.mark.parametrize("body", [b"<html>", b"", b"\x30\x00"])
def test_something_else_than_a_certificate_is_refused(service, cache, body):
    chip = publish(service)
    service.routes[vek_path(chip)] = Reply(200, body)
    refused(ask(cache, service, wanted_vek(chip)), "answer.malformed")


def test_a_chain_of_another_product_is_refused(service, cache):
    publish(service)
    publish(service, Product.MILAN)
    service.routes["/vcek/v1/Genoa/cert_chain"] = service.routes["/vcek/v1/Milan/cert_chain"]
    both = roots().with_anchor("simulated Milan", documents(Product.MILAN)[1].root, vendor="amd")
    refused(ask(cache, service, CHAIN, roots=both), "answer.swapped")
    chip, _ = documents(GENOA)
    refused(ask(cache, service, wanted_vek(chip), roots=both), "answer.swapped")


def test_a_chain_that_ends_in_no_root_of_trust_is_refused(service, cache):
    publish(service)
    refused(ask(cache, service, CHAIN, roots=Roots.vendor()), "answer.unverified")
    stranger = documents(GENOA, amd=STRANGER)[1]
    service.routes["/vcek/v1/Genoa/cert_chain"] = Reply(200, pem(stranger.authority, stranger.root))
    refused(ask(cache, service, CHAIN), "answer.unverified")


def test_an_authority_that_the_root_did_not_issue_is_refused(service, cache):
    own, stranger = documents(GENOA)[1], documents(GENOA, amd=STRANGER)[1]
    service.routes["/vcek/v1/Genoa/cert_chain"] = Reply(200, pem(stranger.authority, own.root))
    refused(ask(cache, service, CHAIN), "answer.unverified")


@pytest.mark.parametrize("body", [b"", b"<html>", b"\x30\x03abc", pem(b"\x30\x03\x02\x01\x00")])
def test_something_else_than_a_chain_is_refused(service, cache, body):
    service.routes["/vcek/v1/Genoa/cert_chain"] = Reply(200, body)
    refused(ask(cache, service, CHAIN), "answer.malformed")


def test_half_a_chain_is_refused(service, cache):
    service.routes["/vcek/v1/Genoa/cert_chain"] = Reply(200, pem(documents(GENOA)[1].authority))
    refused(ask(cache, service, CHAIN), "answer.malformed")


def test_a_list_of_another_root_is_refused(service, cache):
    service.routes["/vcek/v1/Genoa/crl"] = Reply(200, documents(Product.MILAN)[1].crl)
    refused(ask(cache, service, CRL), "answer.swapped")
    service.routes["/vcek/v1/Genoa/crl"] = Reply(200, documents(GENOA, amd=STRANGER)[1].crl)
    refused(ask(cache, service, CRL), "answer.unverified")


def test_an_altered_list_is_refused(service, cache):
    crl = documents(GENOA)[1].crl
    service.routes["/vcek/v1/Genoa/crl"] = Reply(200, crl[:-1] + bytes([crl[-1] ^ 1]))
    refused(ask(cache, service, CRL), "answer.unverified")
    service.routes["/vcek/v1/Genoa/crl"] = Reply(200, b"<html>")
    refused(ask(cache, service, CRL), "answer.malformed")


def test_a_list_that_is_not_signed_as_amd_signs_is_refused(service, cache):
    draft = AMD.crl_draft(GENOA, NOW)
    draft.hash = "sha256"
    service.routes["/vcek/v1/Genoa/crl"] = Reply(200, draft.sign())
    refused(ask(cache, service, CRL), "answer.unverified")


def test_a_list_that_names_another_key_of_the_root_is_refused(service, cache):
    draft = AMD.crl_draft(GENOA, NOW)
    draft.names_key = STRANGER.root_key(GENOA).public_key()
    service.routes["/vcek/v1/Genoa/crl"] = Reply(200, draft.sign())
    refused(ask(cache, service, CRL), "answer.unverified")


def test_a_list_of_another_time_is_refused(service, cache):
    publish(service)
    refused(ask(cache, service, CRL, world=World(NOW + timedelta(days=400))), "answer.stale")
    assert ask(cache, service, CHAIN).usable


def test_a_certificate_of_another_time_is_refused(service, cache):
    chip = publish(service)
    refused(ask(cache, service, wanted_vek(chip), world=World(NOW + timedelta(days=3000))), "answer.stale")


def test_without_its_chain_a_certificate_is_not_kept(service, cache):
    chip = publish(service)
    del service.routes["/vcek/v1/Genoa/cert_chain"]
    refused(ask(cache, service, wanted_vek(chip)), "http.not_found")
    assert list(cache.entries()) == []


def test_too_many_requests_are_waited_for(service, cache):
    chip = publish(service)
    service.faults.append(Reply(429, headers={"Retry-After": "10"}))
    world = World()
    assert ask(cache, service, wanted_vek(chip), world=world).usable
    assert world.waits == [10.0]


# --- the instance metadata of Azure


def wanted_thim(product=GENOA):
    chip, _ = documents(product)
    return Wanted.of("azure-thim", kind="vcek", product=str(product), chip_id=chip_id(chip), **levels(chip))


@pytest.fixture
def metadata():
    with running(tls=False) as found:
        found.routes["/metadata/THIM/amd/certification"] = thim()
        yield found


def ask_metadata(cache, metadata, wanted=None):
    return fetcher(cache, metadata, names=["imds"], roots=roots()).get(wanted or wanted_thim())


def test_the_metadata_answers_for_its_own_machine(metadata, cache):
    found = ask_metadata(cache, metadata)
    assert found.usable
    assert metadata.requests[0][2]["Metadata"] == "true"
    endorsements = SnpEndorsements.from_thim(found.endorsement.parts["thim.json"])
    assert endorsements.vek == documents(GENOA)[1].vek


def thim_of(first, *chain):
    """The answer with another certificate in the place of the chip's."""
    members = {"vcekCert": pem(first).decode(), "certificateChain": pem(*chain).decode()}
    return Reply(200, json.dumps(json.loads(thim().body) | members).encode())


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (thim(amd=STRANGER), "unverified"),
        (thim(tcbm="00" * 8), "swapped"),
        (thim(tcbm="xy"), "malformed"),
        (Reply(200, b"<html>"), "malformed"),
        (Reply(200, b"{}"), "malformed"),
        (thim(chain=pem(documents(GENOA)[1].authority)), "malformed"),
        (thim(chain=pem(documents(GENOA)[1].root)), "malformed"),
        (thim_of(documents(GENOA)[1].authority, documents(GENOA)[1].root), "malformed"),
    ],
)
def test_a_wrong_answer_of_the_metadata_is_refused(metadata, cache, reply, code):
    metadata.routes["/metadata/THIM/amd/certification"] = reply
    found = ask_metadata(cache, metadata)
    refused(found, f"answer.{code}")
    assert found.error.message.endswith(".")


def test_a_version_that_is_no_number_ends_the_sentence(metadata, cache):
    metadata.routes["/metadata/THIM/amd/certification"] = thim(tcbm="xy")
    assert ask_metadata(cache, metadata).error.message.endswith(" is no THIM document.")


@pytest.mark.parametrize("changes", [{"chip_id": ""}, {"chip_id": "", "kind": "vlek"}, {"bl": ""}])
def test_what_cannot_be_compared_with_the_metadata_is_not_taken(metadata, cache, changes):
    """A report can hide its chip, and one that a VLEK signed names none."""
    key = {"kind": "vcek", "product": "Genoa", "chip_id": chip_id(documents(GENOA)[0])}
    wanted = Wanted.of("azure-thim", **(key | levels(documents(GENOA)[0]) | changes))
    found = ask_metadata(cache, metadata, wanted)
    assert found.endorsement is None
    assert found.error.code.startswith("endorsements.")


def test_the_metadata_of_another_machine_is_refused(metadata, cache):
    chip = AMD.chip("two", GENOA)
    wanted = Wanted.of("azure-thim", kind="vcek", product="Genoa", chip_id=chip_id(chip), **levels(chip))
    refused(ask_metadata(cache, metadata, wanted), "answer.swapped")


# --- what AMD really answered


@pytest.mark.parametrize("product", Product)
def test_real_chains_and_lists_are_accepted(service, cache, product):
    name = str(product).lower()
    chain = vectors.read(f"snp/cyntrisec-transport/{name}_cert_chain.pem")
    service.routes[f"/vcek/v1/{product}/cert_chain"] = Reply(200, chain)
    crl = vectors.read(f"snp/cyntrisec-transport/{name}_crl.der")
    service.routes[f"/vcek/v1/{product}/crl"] = Reply(200, crl)
    world = World(datetime(2026, 1, 1, tzinfo=UTC))
    one = fetcher(cache, service, names=["kds"], roots=Roots.vendor(), world=world)
    for kind in ("amd-chain", "amd-crl"):
        found = one.get(Wanted.of(kind, kind="vcek", product=str(product)))
        assert found.error is None
        assert found.usable


def test_the_real_chains_of_vleks_are_accepted(service, cache):
    for product in Product:
        name = f"ask_ark_{str(product).lower()}_vlek.pem"
        service.routes[f"/vlek/v1/{product}/cert_chain"] = Reply(
            200, vectors.read(f"snp/go-sev-guest/{name}")
        )
        wanted = Wanted.of("amd-chain", kind="vlek", product=str(product))
        assert ask(cache, service, wanted, roots=Roots.vendor()).usable


def test_the_real_answer_of_the_metadata_is_accepted(metadata, cache):
    data = vectors.read("snp/ms-sidecar/aci_thim_certs.json")
    metadata.routes["/metadata/THIM/amd/certification"] = Reply(200, data)
    vek = GeneralCertificate.parse(SnpEndorsements.from_thim(data).vek)
    said = VekExtensions.parse(vek.extensions, "vcek")
    assert json.loads(data)["tcbm"] == said.tcb[::-1].hex()
    key = {name: str(said.tcb[index]) for index, name in enumerate(("bl", "tee"))}
    key |= {"snp": str(said.tcb[6]), "ucode": str(said.tcb[7])}
    wanted = Wanted.of("azure-thim", kind="vcek", product="Milan", chip_id=said.hwid.hex(), **key)
    world = World(datetime(2026, 1, 1, tzinfo=UTC))
    found = fetcher(cache, metadata, names=["imds"], roots=Roots.vendor(), world=world).get(wanted)
    assert found.error is None
    assert found.usable
