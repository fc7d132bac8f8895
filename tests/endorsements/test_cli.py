"""``assay endorsements`` from the first question to a verification with the network unplugged."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from assay.cli.endorsements import endorsements as verb
from assay.cli.main import main
from assay.cli.verify import verify as verify_verb
from assay.endorsements.bundle import Bundle
from assay.endorsements.cache import Cache
from assay.endorsements.record import Basis, Endorsement, Wanted
from assay.endorsements.services import SERVICES
from assay.evidence.facts import Window
from support import endorsement_amd as amd
from support.endorsement_intel import INTEL, OTHER, publish
from support.endorsement_lists import ROOT_AT, google, mirrored
from support.endorsement_lists import publish as publish_lists
from support.endorsement_services import Reply, World, authority_pem
from support.google_vm_scenes import NONCE

TODAY = datetime.now(UTC).replace(microsecond=0)
REPORT_DATA = b"\x5a" * 64


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("ASSAY_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture
def service(service):
    publish(service, INTEL.collateral(TODAY, platform="tdx"))
    return service


@pytest.fixture
def files(tmp_path, service):
    """A quote, and the options that lead to the fake service and the simulated root."""
    made = datetime(TODAY.year, 1, 1, tzinfo=UTC)
    quote = INTEL.machine("one", made=made).trust_domain(mr_td=b"\1" * 48).quote(REPORT_DATA)
    (tmp_path / "quote.bin").write_bytes(quote)
    (tmp_path / "ca.pem").write_bytes(authority_pem())
    (tmp_path / "root.pem").write_bytes(INTEL.root.pem())
    options = [
        *(f"--service={name}={service.url}" for name in ("pcs", "intel-crl")),
        f"--tls-ca={tmp_path / 'ca.pem'}",
        f"--roots={tmp_path / 'root.pem'}",
    ]
    return tmp_path / "quote.bin", options


def said(capsys, *words):
    code = main([str(word) for word in words])
    found = capsys.readouterr()
    return code, found.out, found.err


def test_fetch_then_bundle_then_verify_without_a_network(capsys, files, service, tmp_path):
    quote, options = files
    code, out, _ = said(capsys, "endorsements", "fetch", quote, *options)
    assert code == 0, out
    assert "fetched" in out
    assert "nothing is missing" in out
    asked = len(service.requests)
    service.stop()
    bundle = tmp_path / "bundle.tar"
    code, out, _ = said(capsys, "endorsements", "bundle", bundle, quote, "--offline", *options)
    assert code == 0, out
    assert len(service.requests) == asked
    code, out, _ = said(
        capsys,
        "verify",
        quote,
        "--endorsements",
        bundle,
        "--report-data",
        REPORT_DATA.hex(),
        "--roots",
        tmp_path / "root.pem",
        "--json",
    )
    (result,) = json.loads(out)["results"]
    assert [check["outcome"] for check in result["checks"] if check["id"] == "dcap.quote.signature"] == [
        "passed"
    ]
    assert not [each["what"] for each in result["missing"] if "collateral" in each["what"]]


def test_a_bundle_is_enough_where_there_is_no_network(capsys, files, tmp_path):
    """A process in a network namespace of its own, without so much as a loopback that is up."""
    alone = ["unshare", "--user", "--map-root-user", "--net"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("no network namespace can be made here")
    quote, options = files
    assert said(capsys, "endorsements", "bundle", tmp_path / "bundle.tar", quote, *options)[0] == 0
    words = ["verify", quote, "--endorsements", tmp_path / "bundle.tar", "--report-data", REPORT_DATA.hex()]
    words += ["--roots", tmp_path / "root.pem", "--json"]
    done = subprocess.run(
        [*alone, sys.executable, "-m", "assay", *map(str, words)], capture_output=True, text=True, check=False
    )
    (result,) = json.loads(done.stdout)["results"]
    unmet = [check["id"] for check in result["checks"] if check["outcome"] in ("failed", "not_checked")]
    assert [name for name in unmet if name.startswith("dcap.")] == []


@pytest.mark.parametrize(
    ("name", "typed"), [("a b.tar", "'{}/a b.tar'"), ("a'b", "'{}/a'\"'\"'b'"), ("a\x1bb", "BUNDLE")]
)
def test_the_command_that_uses_a_bundle_can_be_typed(capsys, files, tmp_path, name, typed):
    quote, options = files
    out = said(capsys, "endorsements", "bundle", tmp_path / name, quote, *options)[1]
    assert f"assay verify EVIDENCE --endorsements {typed.format(tmp_path)} ..." in out.splitlines()


def test_a_report_is_fetched_for_bundled_and_verified(capsys, service, tmp_path):
    chip = amd.publish(service, amd.Product.TURIN, at=TODAY)
    _, documents = amd.documents(amd.Product.TURIN, at=TODAY)
    (tmp_path / "report.bin").write_bytes(chip.draft(REPORT_DATA, version=5).sign(chip.key("vcek")))
    (tmp_path / "ca.pem").write_bytes(authority_pem())
    (tmp_path / "ark.pem").write_bytes(amd.pem(documents.root))
    roots = f"--roots={tmp_path / 'ark.pem'}"
    options = [f"--service=kds={service.url}", f"--tls-ca={tmp_path / 'ca.pem'}", roots]
    report, bundle = tmp_path / "report.bin", tmp_path / "bundle.tar"
    code, out, _ = said(capsys, "endorsements", "bundle", bundle, report, *options)
    assert code == 0, out
    words = ["verify", report, "--endorsements", bundle, "--report-data", REPORT_DATA.hex(), roots, "--json"]
    (result,) = json.loads(said(capsys, *words)[1])["results"]
    unmet = [check["id"] for check in result["checks"] if check["outcome"] in ("failed", "not_checked")]
    assert [name for name in unmet if name.startswith("snp.")] == []
    assert sorted(each.wanted.kind for each in Bundle.decode(bundle.read_bytes()).endorsements) == [
        "amd-chain",
        "amd-crl",
        "amd-vek",
    ]


@pytest.fixture
def vm(tmp_path, service):
    """The attestation of a Google VM whose chain names a list, and the options that lead to it."""
    stage = google(at=TODAY)
    publish_lists(service, stage)
    (tmp_path / "vm.bin").write_bytes(stage.finish().container)
    (tmp_path / "google.pem").write_bytes(amd.pem(stage.google.root_der))
    (tmp_path / "ca.pem").write_bytes(authority_pem())
    (tmp_path / "policy.toml").write_text(
        'version = 1\nplatforms = ["gcp-vtpm"]\naccept = ["host-tpm"]\n[google]\nrevocation = "named"\n'
    )
    roots = f"--roots=google-vtpm={tmp_path / 'google.pem'}"
    return tmp_path / "vm.bin", [
        f"--service=google-lists={service.url}",
        f"--tls-ca={tmp_path / 'ca.pem'}",
        roots,
    ]


def demanded(capsys, vm, *more):
    """The code under which a policy that demands the lists refuses the machine; empty where it does not."""
    file, (*_, roots) = vm
    words = ["verify", file, roots, "--nonce", NONCE.hex(), "--policy", file.parent / "policy.toml", "--json"]
    (result,) = json.loads(said(capsys, *words, *more)[1])["results"]
    (check,) = [check for check in result["checks"] if check["id"] == "policy.google.revocation"]
    return check.get("code", "")


def test_lists_of_an_authority_are_fetched_bundled_and_demanded(capsys, vm, service, tmp_path):
    file, options = vm
    bundle = tmp_path / "b.tar"
    assert demanded(capsys, vm) == "policy.google.revocation.incomplete"
    code, out, _ = said(capsys, "endorsements", "bundle", bundle, file, *options)
    assert code == 0, out
    service.stop()
    assert demanded(capsys, vm, "--endorsements", bundle) == ""
    assert demanded(capsys, vm, "--cached") == ""
    for word in ("show", "check"):
        code, out, _ = said(
            capsys, "endorsements", word, bundle, *(["--within", "30d"] if word == "check" else [])
        )
        assert code == (1 if word == "check" else 0)
        assert "revocation-list" in out
        assert f"{TODAY + timedelta(days=29):%Y-%m-%d}" in out
        assert "EK/AK_CA_Root" in out


def test_without_its_lists_no_bundle_is_made_unless_they_are_left_out(capsys, vm, service, tmp_path):
    file, options = vm
    service.routes[mirrored(ROOT_AT)] = Reply(404)
    words = ["endorsements", "bundle", tmp_path / "b.tar", file, *options]
    code, out, _ = said(capsys, *words)
    assert code == 1
    assert "endorsements.http.not_found" in out
    assert "missing   revocation-list" in out
    code, out, _ = said(capsys, *words, "--without-lists")
    assert code == 0, out
    assert demanded(capsys, vm, "--endorsements", tmp_path / "b.tar") == "policy.google.revocation.incomplete"


def test_certificates_that_evidence_leaves_out_lead_to_the_lists_that_they_name(
    capsys, vm, service, tmp_path
):
    file, options = vm
    stage = google(at=TODAY)
    stage.intermediates = ()
    file.write_bytes(stage.finish().container)
    (tmp_path / "authority.der").write_bytes(stage.authority.sign())
    words = ["endorsements", "bundle", tmp_path / "b.tar", file, *options]
    code, out, _ = said(capsys, *words)
    assert code == 1
    assert "google_vm.ak.chain.root" in out
    assert service.requests == []
    given = ["--endorsements", tmp_path / "authority.der"]
    code, out, _ = said(capsys, *words, *given)
    assert code == 0, out
    assert [each.wanted.kind for each in Bundle.decode((tmp_path / "b.tar").read_bytes()).endorsements] == [
        "revocation-list"
    ]
    assert demanded(capsys, vm, *given) == "policy.google.revocation.incomplete"
    assert demanded(capsys, vm, *given, "--endorsements", tmp_path / "b.tar") == ""
    assert demanded(capsys, vm, *given, "--cached") == ""


def test_a_list_that_was_given_and_holds_no_longer_keeps_no_kept_one_from_being_used(capsys, vm, tmp_path):
    file, options = vm
    stale = replace(google(at=TODAY).crls[0], made=TODAY - timedelta(days=90)).sign()
    (tmp_path / "stale.crl").write_bytes(stale)
    assert said(capsys, "endorsements", "fetch", file, *options)[0] == 0
    given = ["--endorsements", tmp_path / "stale.crl"]
    assert demanded(capsys, vm, *given) == "policy.unauthenticated"
    assert demanded(capsys, vm, *given, "--cached") == ""


def test_a_machine_whose_list_is_missing_is_told_how_to_get_it(capsys, vm):
    file, (*_, roots) = vm
    _, out, _ = said(capsys, "verify", file, roots, "--nonce", NONCE.hex(), "--json")
    (result,) = json.loads(out)["results"]
    (missing,) = [each for each in result["missing"] if "list of what an authority revoked" in each["what"]]
    assert ROOT_AT[:40] in missing["what"]
    assert "EK/AK_CA_Root" in missing["what"]
    assert missing["command"] == f"assay endorsements fetch {file}"


def test_what_is_at_hand_is_not_asked_for_again_unless_told(capsys, files, service):
    quote, options = files
    assert said(capsys, "endorsements", "fetch", quote, quote, *options)[0] == 0
    assert len(service.requests) == 4
    code, out, _ = said(capsys, "endorsements", "fetch", quote, *options)
    assert (code, len(service.requests)) == (0, 4)
    assert "at hand" in out
    assert said(capsys, "endorsements", "fetch", quote, quote, "--fresh", *options)[0] == 0
    assert len(service.requests) == 8


def test_what_could_not_be_had_is_said_with_the_reason(capsys, files, service):
    quote, options = files
    publish(service, OTHER.collateral(TODAY, platform="tdx"))
    code, out, _ = said(capsys, "endorsements", "fetch", quote, *options)
    assert code == 1
    assert "endorsements.answer.unverified" in out
    assert "missing   collateral" in out


def test_an_incomplete_bundle_is_not_written(capsys, files, service, tmp_path):
    quote, options = files
    service.routes.clear()
    code, out, _ = said(capsys, "endorsements", "bundle", tmp_path / "b.tar", quote, *options)
    assert code == 1
    assert "No bundle was written" in out
    assert not (tmp_path / "b.tar").exists()
    code, out, _ = said(capsys, "endorsements", "bundle", tmp_path / "b.tar", quote, "--json", *options)
    assert (code, json.loads(out)["path"]) == (1, None)


def test_a_bundle_does_not_replace_a_file(capsys, files, tmp_path):
    quote, options = files
    (tmp_path / "b.tar").write_bytes(b"mine")
    code, _, err = said(capsys, "endorsements", "bundle", tmp_path / "b.tar", quote, *options)
    assert code == 2
    assert "cli.file.exists" in err
    assert (tmp_path / "b.tar").read_bytes() == b"mine"
    assert not list(tmp_path.glob(".b.tar*"))


def test_a_file_that_is_no_evidence_is_named(capsys, files, tmp_path):
    quote, options = files
    (tmp_path / "junk").write_bytes(b"\xff" * 100)
    code, out, _ = said(capsys, "endorsements", "fetch", tmp_path / "junk", quote, "--json", *options)
    found = json.loads(out)["results"]
    assert code == 1
    assert found[0]["error"]["code"] == "verification.evidence.unrecognised"
    assert found[1]["missing"] == []
    assert found[1]["endorsements"][0]["origin"] == "network"


def test_a_bundle_is_not_complete_for_evidence_that_cannot_say_what_it_needs(capsys, files, tmp_path):
    quote, options = files
    (tmp_path / "cut.bin").write_bytes(quote.read_bytes()[:500])
    code, out, _ = said(capsys, "endorsements", "bundle", tmp_path / "b.tar", tmp_path / "cut.bin", *options)
    assert code == 1
    assert "missing   the evidence does not say what it needs" in out
    assert "[dcap.quote.truncated]" in out
    assert "No bundle was written" in out
    assert not (tmp_path / "b.tar").exists()
    code, out, _ = said(capsys, "endorsements", "fetch", tmp_path / "cut.bin", "--json", *options)
    (missing,) = json.loads(out)["results"][0]["missing"]
    assert (code, missing["kind"]) == (1, "evidence")


def test_evidence_that_brings_everything_needs_nothing_whatever_is_wrong_with_it(capsys, tmp_path):
    assert said(capsys, "simulate", "nitro", "--out", tmp_path / "made")[0] == 0
    code, out, _ = said(capsys, "endorsements", "fetch", tmp_path / "made" / "document.cbor", "--offline")
    assert (code, "nothing is missing" in out) == (0, True)


def test_nobody_is_asked_offline(capsys, files, service):
    quote, options = files
    code, out, _ = said(capsys, "endorsements", "fetch", quote, "--offline", *options)
    assert code == 1
    assert "endorsements.offline.missing" in out
    assert service.requests == []


@pytest.mark.parametrize(
    "words",
    [
        ["--update", "early", "--evaluation-number", "19"],
        ["--fresh", "--offline"],
        ["--evaluation-number", "0"],
        ["--update", "newest"],
    ],
)
def test_words_that_exclude_each_other(capsys, files, words):
    quote, options = files
    assert said(capsys, "endorsements", "fetch", quote, *words, *options)[0] == 2


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--service", "nobody=https://a.example"], "endorsements.service.unknown"),
        (["--service", "kds=http://a.example"], "endorsements.service.address"),
        (["--proxy", "https://a.example"], "endorsements.service.proxy"),
        (["--tls-ca", "quote.bin"], "endorsements.http.authorities"),
    ],
)
def test_a_word_that_is_wrong_is_told_from_what_is_missing(capsys, files, monkeypatch, words, code):
    quote, _ = files
    monkeypatch.chdir(quote.parent)
    answered, _, err = said(capsys, "endorsements", "fetch", quote, *words)
    assert (answered, f"[{code}]" in err) == (2, True)


def test_a_cache_that_cannot_be_used_is_no_word_that_is_wrong(capsys, files, tmp_path):
    quote, options = files
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / "endorsements").touch()
    answered, _, err = said(capsys, "endorsements", "fetch", quote, *options)
    assert (answered, "[endorsements.cache.exposed]" in err) == (1, True)


def kept(tmp_path, *, days, name="one", since=-10, basis=Basis.SIGNATURE, anchor="ab" * 32):
    one = Endorsement(
        wanted=Wanted.of("a-kind", name=name),
        parts={"part": b"1"},
        window=Window(TODAY + timedelta(days=since), TODAY + timedelta(days=days, hours=12)),
        fetched=TODAY,
        sources=("https://a.example/x",),
        basis=basis,
        anchor=anchor,
    )
    Cache(tmp_path / "state" / "endorsements", World().surroundings()).put(one)
    return one


@pytest.fixture
def state(tmp_path):
    (tmp_path / "state").mkdir(mode=0o700)
    return tmp_path


def test_what_does_not_hold_yet_is_no_better_than_what_has_expired(capsys, state):
    """As after the clock went back."""
    kept(state, days=30, since=1)
    code, out, _ = said(capsys, "endorsements", "check", "--json")
    (ending,) = json.loads(out)["ending"]
    assert (code, ending["stale"]) == (1, True)


def test_show_of_nothing_says_so_and_check_of_nothing_fails(capsys):
    assert said(capsys, "endorsements", "show")[:2] == (0, "There are no endorsements.\n")
    code, out, err = said(capsys, "endorsements", "check")
    assert (code, out) == (1, "")
    assert "nothing was checked. [endorsements.check.nothing]" in err
    code, out, _ = said(capsys, "endorsements", "check", "--json")
    assert (code, json.loads(out)["error"]["code"]) == (1, "endorsements.check.nothing")


def test_an_entry_that_cannot_be_read_is_counted_and_keeps_no_watch_green(capsys, state):
    for name in ("one", "two"):
        kept(state, days=30, name=name)
    entries = state / "state" / "endorsements" / "entries"
    min(entries.iterdir()).write_bytes(b"{}")
    for word, code in (("show", 0), ("check", 1)):
        answered, out, _ = said(capsys, "endorsements", word)
        assert (answered, "Not readable, and of no use: 1." in out) == (code, True)
        answered, out, _ = said(capsys, "endorsements", word, "--json")
        assert (answered, json.loads(out)["unreadable"]) == (code, 1)
    for path in entries.iterdir():
        path.write_bytes(b"")
    answered, out, _ = said(capsys, "endorsements", "check")
    assert (answered, "Not readable, and of no use: 2." in out, "hold" in out) == (1, True, False)


@pytest.mark.parametrize("word", ["show", "check"])
def test_what_is_at_hand_is_not_called_nothing_where_it_cannot_be_told(capsys, tmp_path, word):
    (tmp_path / "state").write_bytes(b"a file")
    code, out, err = said(capsys, "endorsements", word)
    assert (code, out) == (1, "")
    assert "[endorsements.cache.unusable]" in err


@pytest.mark.parametrize(("days", "code"), [(30, 0), (7, 0), (6, 1), (-1, 1)])
def test_check_says_what_ends_soon(capsys, state, days, code):
    kept(state, days=days)
    answered, out, _ = said(capsys, "endorsements", "check")
    assert answered == code
    assert ("hold for longer than 7d" in out) is (code == 0)
    assert ("expired" in out) is (days < 0)
    answered, out, _ = said(capsys, "endorsements", "check", "--json")
    assert (answered, len(json.loads(out)["ending"])) == (code, code)


def test_check_takes_another_time(capsys, state):
    kept(state, days=6)
    assert said(capsys, "endorsements", "check", "--within", "5d")[0] == 0
    assert said(capsys, "endorsements", "check", "--within", "soon")[0] == 2


def test_show_tells_signatures_from_hearsay(capsys, state):
    kept(state, days=3)
    kept(state, days=3, name="two", basis=Basis.TLS, anchor="keys.example#abc")
    intel = "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"
    kept(state, days=3, name="three", anchor=intel)
    code, out, _ = said(capsys, "endorsements", "show")
    assert code == 0
    assert "simulated root abababababababab" in out
    assert "TLS of keys.example" in out
    assert "Intel SGX Root CA" in out
    assert "(3 days)" in out
    found = json.loads(said(capsys, "endorsements", "show", "--json")[1])["endorsements"]
    assert [each["stale"] for each in found] == [False] * 3


def test_the_age_of_a_bundle_is_a_check(capsys, state):
    made = Bundle.of([kept(state, days=30)], created=TODAY - timedelta(days=3))
    (state / "b.tar").write_bytes(made.encode())
    assert said(capsys, "endorsements", "check", state / "b.tar", "--max-age", "4d")[0] == 0
    code, _, err = said(capsys, "endorsements", "check", state / "b.tar", "--max-age", "2d")
    assert code == 1
    assert "endorsements.bundle.old" in err
    assert said(capsys, "endorsements", "check", "--max-age", "2d")[0] == 2
    code, out, _ = said(capsys, "endorsements", "show", state / "b.tar")
    assert out.startswith(f"made {made.created:%Y-%m-%d %H:%M} UTC")


def test_a_file_that_is_no_bundle(capsys, tmp_path):
    (tmp_path / "b.tar").write_bytes(b"no")
    code, _, err = said(capsys, "endorsements", "show", tmp_path / "b.tar")
    assert code == 1
    assert "endorsements.bundle.malformed" in err


def test_a_bundle_cannot_speak_to_the_terminal(capsys, state):
    made = Bundle.of([kept(state, days=30, name="[31mred")], created=TODAY)
    (state / "b.tar").write_bytes(made.encode())
    assert "\x1b" not in said(capsys, "endorsements", "show", state / "b.tar")[1]


def test_waiting_is_said_after_a_while(capsys, files, service, monkeypatch):
    from assay.cli import patience

    quote, options = files
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.0)
    first = service.routes[next(iter(service.routes))]
    service.faults.append(lambda *asked: (service.stopping.wait(0.3), first)[1])
    service.routes = dict(service.routes)
    _, _, err = said(capsys, "endorsements", "fetch", quote, *options)
    assert "waiting for intel-collateral" in err


def test_a_page_of_html_is_not_collateral(capsys, files, service):
    quote, options = files
    path = next(path for path in service.routes if "tcb?" in path)
    service.routes[path] = Reply(200, b"<html></html>", service.routes[path].headers)
    code, out, _ = said(capsys, "endorsements", "fetch", quote, *options)
    assert code == 1
    assert "endorsements.answer.malformed" in out


# --- what the page says

PAGE = (Path(__file__).parents[2] / "docs/how-to/verify-offline.md").read_text()


def test_the_options_on_the_page_exist():
    known = {
        option
        for command in (verify_verb, *verb.commands.values())
        for parameter in command.params
        for option in parameter.opts
    }
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE)) <= known


def test_the_services_on_the_page_are_all_there_are():
    listed = PAGE[PAGE.index("replaces one address:") : PAGE.index("Only https")]
    assert set(re.findall(r"`([a-z-]+)`", listed)) == {service.name for service in SERVICES}
