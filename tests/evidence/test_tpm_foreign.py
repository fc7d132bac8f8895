"""What others' tools make of the same quotes and logs: swtpm signs, tpm2-tools verify and replay."""

from __future__ import annotations

import re
import struct
import subprocess

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from assay.errors import EvidenceError
from assay.evidence.eventlog import Algorithm, parse_boot_log
from assay.evidence.eventlog.boot import startup_locality
from assay.evidence.eventlog.replay import replay_pcrs
from assay.evidence.tpm.container import TpmEvidence
from assay.simulator.tpm.device import SoftwareTpm
from assay.simulator.tpm.logs import FirmwareLog
from assay.simulator.tpm.machine import Machine
from support import vectors
from support.tpm_scenes import KINDS, NONCE, ak, draft, judge
from support.tpm_swtpm import TOOLS, missing, running

SHA1, SHA256 = Algorithm.SHA1, Algorithm.SHA256


def needs(*tools: str):
    """Skip a test, and say why, on a machine without the tools."""
    lacking = missing(*tools)
    return pytest.mark.skipif(bool(lacking), reason=f"not installed: {', '.join(lacking)}")


# --- A TPM that is not ours


@needs(*TOOLS)
@pytest.mark.parametrize(
    ("algorithm", "scheme"),
    [
        ("rsa2048:rsassa-sha256:null", ()),
        ("rsa2048:rsapss-sha256:null", ("--scheme", "rsapss")),
        ("ecc256:ecdsa-sha256:null", ()),
    ],
)
def test_the_quote_of_a_real_implementation_verifies(algorithm, scheme):
    with running() as tpm:
        public = tpm.make_key(algorithm)
        tpm.tool("tpm2_pcrextend", f"14:sha256={SHA256.digest(b'an agent').hex()}")
        attest, signature, values = tpm.quote("sha256:0,1,14", NONCE, *scheme)
    pcrs = {index: values[32 * place : 32 * place + 32] for place, index in enumerate((0, 1, 14))}
    assert pcrs[14] == SHA256.digest(bytes(32) + SHA256.digest(b"an agent"))
    result = judge(TpmEvidence(attest, signature, SHA256, pcrs, public).encode(), given=public)
    assert result.bound, result.ledger.unmet()
    quote = result.claims.quote
    assert quote.extra_data == NONCE
    assert quote.selection == (0, 1, 14)
    assert quote.safe in (True, False)
    assert quote.ak_name == b"\0\x0b" + SHA256.digest(public[2:])
    relabelled = {0: pcrs[0], 1: pcrs[1], 15: pcrs[14]}
    refused = judge(TpmEvidence(attest, signature, SHA256, relabelled, public).encode(), given=public)
    assert [check.code for check in refused.ledger.failed()] == ["tpm.quote.selection.indices"]


@needs(*TOOLS)
def test_an_unrestricted_key_of_a_real_implementation_is_no_attestation_key():
    with running() as tpm:
        attributes = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign"
        public = tpm.make_key("ecc256:ecdsa-sha256:null", attributes)
        attest, signature, values = tpm.quote("sha256:0", NONCE)
    data = TpmEvidence(attest, signature, SHA256, {0: values}, public).encode()
    refused = judge(data, given=public)
    assert [check.code for check in refused.ledger.failed()] == ["tpm.quote.key_attributes"]


@needs(*TOOLS)
def test_a_later_quote_of_a_real_implementation_is_known_to_be_later():
    with running() as tpm:
        public = tpm.make_key("ecc256:ecdsa-sha256:null")
        first, second = (
            TpmEvidence(attest, signature, SHA256, {0: values}, public)
            for attest, signature, values in (tpm.quote("sha256:0", NONCE) for _ in range(2))
        )
    before, after = (judge(found.encode(), given=public).claims.quote for found in (first, second))
    assert after.gone_back(before) is None
    assert after.reset_count == before.reset_count
    if after.clock > before.clock:
        assert "clock" in before.gone_back(after) or not before.safe


# --- Others' verdict on our quotes


def serialized(pcrs: dict[int, bytes]) -> bytes:
    """Return SHA-256 PCRs as tpm2_quote serializes them: its library's structures as they lie in memory."""
    bits = sum(1 << index for index in pcrs)
    selection = struct.pack("<IHB", 1, SHA256, 3) + bits.to_bytes(4, "little") + b"\0"
    values = [pcrs[index] for index in sorted(pcrs)]
    lists = [values[at : at + 8] for at in range(0, len(values), 8)]
    digests = b"".join(
        struct.pack("<I", len(found))
        + b"".join(struct.pack("<H", 32) + value.ljust(64, b"\0") for value in found).ljust(528, b"\0")
        for found in lists
    )
    return selection.ljust(132, b"\0") + struct.pack("<I", len(lists)) + digests


def check_quote(directory, found, *, nonce: bytes = NONCE, pcrs: dict | None = None) -> bool:
    """Return the verdict of tpm2_checkquote on a draft."""
    key = found.quote.key.public_key()
    files = {
        "ak.pem": key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "quote": found.quote.attest(),
        "signature": found.signature or found.quote.signature(),
        "pcrs": serialized(pcrs or found.pcrs),
    }
    for name, data in files.items():
        (directory / name).write_bytes(data)
    command = [
        *("tpm2_checkquote", "-u", "ak.pem", "-m", "quote", "-s", "signature", "-g", "sha256"),
        *("-f", "pcrs", "-q", nonce.hex()),
    ]
    return (
        subprocess.run(command, cwd=directory, capture_output=True, timeout=30, check=False).returncode == 0
    )


@needs("tpm2_checkquote")
@pytest.mark.parametrize("kind", KINDS)
def test_another_verifier_accepts_and_refuses_what_we_do(kind, tmp_path):
    found = draft(kind)
    ours = judge(found.encode(), given=found.public)
    assert ours.bound
    assert check_quote(tmp_path, found)
    assert not check_quote(tmp_path, found, nonce=bytes(32))
    assert not check_quote(tmp_path, found, pcrs=dict.fromkeys(found.pcrs, bytes(32)))
    found.signature = draft(kind).quote.signature()
    found.quote.clock += 1
    assert not check_quote(tmp_path, found)
    assert not judge(found.encode(), given=found.public).authentic


@needs("tpm2_checkquote")
def test_another_verifier_accepts_the_evidence_of_confidential_containers(tmp_path):
    pieces = TpmEvidence.from_json(vectors.read("tpm-ima/coco-trustee/tpm_evidence.json"))
    result = judge(vectors.read("tpm-ima/coco-trustee/tpm_evidence.json"), given=pieces.public)
    assert [check.code for check in result.ledger.failed()] == ["tpm.quote.nonce.mismatch"]
    (tmp_path / "ak.der").write_bytes(pieces.public)
    command = ["openssl", "pkey", "-pubin", "-inform", "DER", "-in", "ak.der", "-out", "ak.pem"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=30)
    (tmp_path / "quote").write_bytes(pieces.attest)
    (tmp_path / "signature").write_bytes(pieces.signature)
    (tmp_path / "pcrs").write_bytes(serialized(pieces.pcrs))
    command = [
        *("tpm2_checkquote", "-u", "ak.pem", "-m", "quote", "-s", "signature", "-g", "sha256"),
        *("-f", "pcrs", "-q", result.decoded["extra_data"]),
    ]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=30, check=False).returncode == 0


# --- Others' replay of logs


def foreign_replay(directory, log: bytes) -> dict[str, dict[int, bytes]] | None:
    """Return the PCRs that tpm2_eventlog makes of a log, by bank; None when it refuses the log."""
    (directory / "log").write_bytes(log)
    command = ["tpm2_eventlog", str(directory / "log")]
    found = subprocess.run(command, capture_output=True, timeout=60, check=False)
    if found.returncode:
        return None
    text = found.stdout.decode("utf-8", "replace")
    banks: dict[str, dict[int, bytes]] = {}
    bank = ""
    for line in text[text.rindex("\npcrs:") :].split("\n"):
        if head := re.fullmatch(r"  (\w+):", line):
            bank = head[1]
        elif value := re.fullmatch(r"    (\d+)\s*:\s*0x([0-9a-fA-F]+)", line):
            banks.setdefault(bank, {})[int(value[1])] = bytes.fromhex(value[2])
    return banks


def our_replay(log: bytes, *, as_release_5_4: bool = False) -> dict[str, dict[int, bytes]]:
    """Return the PCRs that we make of a log.

    Release 5.4 of the tool knows no startup locality and extends events that measure nothing, which no TPM
    does: ``as_release_5_4`` makes the same of the log.
    """
    parsed = parse_boot_log(log)
    locality = 0 if as_release_5_4 else startup_locality(parsed.events) or 0
    replayed = {}
    for column, bank in enumerate(parsed.algorithms):
        extensions = [
            (event.register, event.digests[column])
            for event in parsed.events
            if event.digests[column] and (event.extended or (as_release_5_4 and event.register < 24))
        ]
        replayed[bank.name.lower()] = replay_pcrs(extensions, bank, locality=locality)
    return replayed


@needs("tpm2_eventlog")
@pytest.mark.parametrize("locality", [0, 3])
def test_another_tool_replays_our_log_alike(locality, tmp_path):
    tpm = SoftwareTpm(ak("p256"), locality=locality)
    machine = Machine(tpm, FirmwareLog(tpm.banks), None, None)
    machine.firmware.boot(tpm)
    log = machine.firmware.encode()
    assert foreign_replay(tmp_path, log) in (our_replay(log), our_replay(log, as_release_5_4=True))
    assert our_replay(log)["sha256"] == tpm.pcrs(SHA256, our_replay(log)["sha256"])


@needs("tpm2_eventlog")
@pytest.mark.parametrize("family", ["tpm-ima", "gcp-vtpm"])
def test_another_tool_replays_real_logs_alike(family, tmp_path):
    equal = refused = 0
    for entry in vectors.entries(family, "tcg-eventlog"):
        log = vectors.read(entry["file"])
        theirs = foreign_replay(tmp_path, log)
        try:
            ours = our_replay(log)
        except EvidenceError:
            assert "bogus" in entry["file"]
            continue
        if theirs is None or not theirs:
            refused += 1
            continue
        differing = our_replay(log, as_release_5_4=True)
        for bank, values in theirs.items():
            for index, value in values.items():
                found = ours[bank].get(index), differing[bank].get(index)
                assert value in found, (entry["file"], bank, index)
        equal += 1
    assert equal
    vectors.note(f"tpm2_eventlog, logs of {family}: {equal} replayed alike, {refused} refused by it alone")
