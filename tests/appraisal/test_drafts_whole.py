"""The whole text of a draft for each platform, and for what its evidence may leave out.

Claims come from hand-made evidence and, under names that begin with ``simulated-``, from verified evidence of
the simulator. What differs between runs stands there as ``<a word>``, once it was seen to be the Claims' own.
``REWRITE_DRAFTS=1`` writes them anew, for a person to compare.
"""

from __future__ import annotations

import os
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from difflib import unified_diff
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from assay.appraisal import Policy, appraise
from assay.appraisal.draft import draft
from assay.appraisal.drafted import DRAFTS
from assay.appraisal.fields import MAX_LIST
from assay.appraisal.rules.subject import Context
from assay.errors import EvidenceError
from assay.evidence.dstack import verify_guest
from assay.evidence.snp.claims import TcbVersion
from assay.evidence.snp.products import Product
from assay.evidence.verification import Anchor, EvidenceResult, Expected
from assay.simulator.tpm.device import spki
from assay.simulator.tpm.logs import file_data
from assay.simulator.tpm.machine import QUOTED
from support import appraisal_nitro as nitro
from support import appraisal_nvidia as nvidia
from support import (
    azure_scenes,
    dcap_scenes,
    google_vm_scenes,
    nitro_scenes,
    nvidia_scenes,
    snp_scenes,
    token_scenes,
    tpm_scenes,
)
from support.appraisal_evidence import NOW, authentic
from support.appraisal_ima import line as measured_line
from support.appraisal_ima import measured
from support.appraisal_snp import SNP, snp
from support.appraisal_tokens import GOOD as TOKENS
from support.appraisal_tokens import MAA, PUBLISHED, SPACE, TRUST, changed
from support.appraisal_vtpm import GOOD as VTPM
from support.appraisal_vtpm import QUOTE, TPM
from support.dstack_attested import Attested, enclave, google

GOLDEN = Path(__file__).parent / "drafts"
VENDOR = Anchor(bytes(32), "a vendor's root", simulated=False)
NITRO = {0: b"\xa0" * 48, 1: b"\xa1" * 48, 3: bytes(48), 4: b"\xa4" * 48, 7: b"\xa7" * 48, 9: b"\xa9" * 48}
FILES = (("/usr/bin/agent", b"the agent"), ("/usr/bin/agent", b"a newer agent"), ("/etc/x", b"x"))


def changed_quote(pcrs: dict[int, bytes]) -> Any:
    return changed(QUOTE, pcrs=pcrs, selection=tuple(pcrs))


def changed_tpm(**how: Any) -> Any:
    return changed(TPM, **how)


WHOLE: dict[str, tuple[str, Any]] = {
    **{platform: (platform, claims) for platform, claims in (VTPM | TOKENS).items()},
    "snp": ("snp", SNP),
    "nitro": ("nitro", nitro.CLAIMS),
    "nvidia-gpu": ("nvidia-gpu", nvidia.CLAIMS),
    "snp-milan": (
        "snp",
        snp(product=Product.MILAN, forgeable=True, signing_key="vlek", vmpl=2, id_key_digest=bytes(48)),
    ),
    "nitro-tpm": ("nitro-tpm", replace(nitro.CLAIMS, module_id="i-0123456789abcdef0-tpm0123456789abcdef")),
    "nitro-open": (
        "nitro",
        replace(nitro.CLAIMS, pcrs=NITRO),
    ),
    "vtpm-bare": ("gcp-vtpm", replace(VTPM["gcp-vtpm"], tpm=changed_quote({4: b"\4" * 32, 8: bytes(32)}))),
    "tpm-bare": ("tpm", changed_tpm(ima=None)),
    "tpm-two-builds": ("tpm", changed_tpm(ima=measured(*FILES))),
    "tpm-unlisted": ("tpm", changed_tpm(ima=measured(*FILES, violated=("/etc/x", "/var/y")))),
    "confidential-space-open": (
        "confidential-space",
        changed(SPACE, gce=changed(SPACE.gce, project_id=""), service_accounts=()),
    ),
    "maa-open": ("maa", changed(MAA, measurement=None, policy_hash="")),
    "trust-authority-sgx": (
        "trust-authority",
        changed(TRUST, attester="SGX", measurements={"mrenclave": b"e" * 32, "mrsigner": b"s" * 32}),
    ),
    "nvidia-switch": ("nvidia-gpu", changed(nvidia.CLAIMS, devices=(nvidia.SWITCH,))),
}


def evidence(platform: str, claims: Any) -> EvidenceResult[Any]:
    return authentic(platform, claims, PUBLISHED if platform in TOKENS else VENDOR)


def compare(name: str, text: str) -> None:
    """Demand that a draft is the expected one, line by line."""
    path = GOLDEN / f"{name}.toml"
    if os.environ.get("REWRITE_DRAFTS"):
        path.write_text(text)
    expected = path.read_text().split("\n")
    difference = unified_diff(expected, text.split("\n"), "expected", "drafted", lineterm="")
    assert not (lines := list(difference)), "\n" + "\n".join(lines)


@pytest.mark.parametrize("name", WHOLE)
def test_drafts_read_as_they_always_did(name: str) -> None:
    made = evidence(*WHOLE[name])
    text = draft(made, name="a draft", source="a test", now=NOW, context=Context(), workload_log=None)
    compare(name, text)
    by = Policy.load(text.encode(), name="draft")
    result = appraise(made, by, now=NOW, references={}, context=Context(), workload_log=None)
    assert result.accepted, [check.code for check in result.ledger.failed()]


def snp_evidence(version: int = 5, kind: Any = "vcek", **fields: Any) -> Any:
    """Return a verified report of a simulated chip, some of its fields changed."""
    stage = snp_scenes.scene(version=version, kind=kind)
    for name, value in fields.items():
        setattr(stage.report, name, value)
    return snp_scenes.judge(stage.finish())


def nitro_evidence(pcrs: dict[int, bytes], platform: str = "nitro", *, debug: bool = False) -> Any:
    """Return a verified document of a simulated instance in another region than the usual one."""
    instance = nitro_scenes.AWS.instance("drafted", region="us-east-2")
    at = nitro_scenes.NOW
    found = instance.tpm(pcrs) if platform == "nitro-tpm" else instance.enclave(pcrs, started=at, debug=debug)
    return nitro_scenes.judge(found.draft(at, user_data=nitro_scenes.BINDING).encode(), platform)


def tpm_evidence(
    kind: str = "p256", files: int = 2, also: Callable[[Any], None] | None = None, *, ima: bool = True
) -> Any:
    """Return verified evidence of a machine that ran so many files; RSA keys have no certificate."""
    found = tpm_scenes.Machine.booted(tpm_scenes.SoftwareTpm(tpm_scenes.ak(kind)))
    for number in range(files):
        found.run(*ran(number))
    if also is not None:
        also(found)
    made = found.evidence(tpm_scenes.NONCE, indices=QUOTED if ima else set(QUOTED) - {10})
    if kind != "rsa":
        made.certificates = tpm_scenes.chain(kind)
    if not ima:
        made.kernel = None
    return tpm_scenes.judge(made.encode(), given=spki(tpm_scenes.ak(kind)) if kind == "rsa" else b"")


def ran(number: int) -> tuple[str, bytes]:
    """Return path and content of one of the files that a simulated machine ran."""
    return f"/usr/bin/{number:04d}", b"file %d" % number


def spoilt(machine: Any) -> None:
    """Measure files that no list can name, each for another reason; one of them ran before."""
    machine.kernel.measure(machine.tpm, "ima-ng", file_data(ran(0)[0], bytes(32)), violation=True)
    machine.kernel.measure(machine.tpm, "ima-ngv2", file_data("/usr/bin/verity", b"v" * 32, kind="verity"))
    machine.kernel.measure(machine.tpm, "ima-ng", file_data("/usr/bin/sha1", b"1" * 20, algorithm="sha1"))
    machine.run("/usr/bin/with a space", b"a file")


def unreadable(machine: Any) -> None:
    machine.kernel.measure(machine.tpm, "ima-ng", b"\xff\xff\xff\xff")


def token_evidence(service: str, kind: str = "", /, change: Callable[[Any], None] | None = None) -> Any:
    """Return a verified token of a simulated service, changed before it is signed."""
    stage = token_scenes.scene(service, kind)
    if change is not None:
        change(stage)
    return stage.finish()


def states_little(stage: Any) -> None:
    stage.draft.claims["google_service_accounts"] = []
    del stage.draft.claims["submods"]["gce"]


def states_no_launch(stage: Any) -> None:
    del stage.draft.claims["x-ms-policy-hash"]
    del stage.draft.claims["x-ms-isolation-tee"]["x-ms-sevsnpvm-launchmeasurement"]


def is_of_an_enclave(stage: Any) -> None:
    claims = stage.draft.claims
    for name in [name for name in claims if name.startswith("tdx_")]:
        del claims[name]
    parts = [claims["verifier_nonce"]["val"], claims["verifier_nonce"]["iat"], claims["attester_held_data"]]
    held = sha256(b"".join(map(b64decode, parts))).digest()
    claims |= {
        "attester_type": "SGX",
        "sgx_mrenclave": "e0" * 32,
        "sgx_mrsigner": "51" * 32,
        "sgx_is_debuggable": False,
        "sgx_report_data": held.ljust(64, b"\0").hex(),
    }


def names_no_versions(stage: Any) -> None:
    for each in stage.whole.devices.values():
        for name in ("driver", "vbios"):
            del each.claims[f"x-nvidia-gpu-{name}-version"]


def machine_itself() -> Any:
    stage = token_scenes.scene("maa", report_data=REPORT_DATA, nonce=b"")
    stage.binding = Expected(REPORT_DATA)
    return stage.finish()


def dcap_evidence(platform: str, version: int, **fields: Any) -> Any:
    stage = dcap_scenes.scene(platform, version)
    if fields:
        stage.quote_from(stage.machine, **fields)
    return dcap_scenes.judge(stage.finish())


REPORT_DATA = bytes(range(64))
BOOTED = nitro_scenes.PCRS | {3: b"\x13" * 48, 4: b"\x14" * 48, 7: b"\x17" * 48}
UNSIGNED = {index: value for index, value in nitro_scenes.PCRS.items() if index != 8}
ID_KEY = {"id_key_digest": b"\x1d" * 48, "host_data": b"\x0d" * 32}
AUTHOR = {"author_key_digest": b"\xa7" * 48, "flags": 1}
SIMULATED: dict[str, tuple[Any, Callable[[], Any]]] = {
    "snp": (snp_scenes.NOW, snp_evidence),
    "snp-id-key": (snp_scenes.NOW, lambda: snp_evidence(kind="vlek", **ID_KEY)),
    "snp-author-key": (snp_scenes.NOW, lambda: snp_evidence(3, **ID_KEY, **AUTHOR)),
    "nitro": (nitro_scenes.NOW, lambda: nitro_evidence(BOOTED)),
    "nitro-unsigned": (nitro_scenes.NOW, lambda: nitro_evidence(UNSIGNED)),
    "nitro-debug": (nitro_scenes.NOW, lambda: nitro_evidence(UNSIGNED, debug=True)),
    "nitro-tpm": (nitro_scenes.NOW, lambda: nitro_evidence(BOOTED, "nitro-tpm")),
    "nitro-dstack": (nitro_scenes.NOW, enclave),
    "azure-snp": (azure_scenes.NOW, lambda: azure_scenes.judge(azure_scenes.scene().finish())),
    "azure-tdx": (azure_scenes.NOW, lambda: azure_scenes.judge(azure_scenes.scene("azure-tdx").finish())),
    "gcp-vtpm": (google_vm_scenes.NOW, lambda: google_vm_scenes.judge(google_vm_scenes.scene().finish())),
    "gcp-snp": (google_vm_scenes.NOW, lambda: google_vm_scenes.judge(google_vm_scenes.scene("snp").finish())),
    "gcp-tdx-dstack": (google_vm_scenes.NOW, google),
    "tpm": (tpm_scenes.NOW, tpm_evidence),
    "tpm-rsa": (tpm_scenes.NOW, lambda: tpm_evidence("rsa")),
    "tpm-no-log": (tpm_scenes.NOW, lambda: tpm_evidence(ima=False)),
    "tpm-no-file": (tpm_scenes.NOW, lambda: tpm_evidence(files=0)),
    "tpm-one-file": (tpm_scenes.NOW, lambda: tpm_evidence(files=1)),
    "tpm-most-files": (tpm_scenes.NOW, lambda: tpm_evidence(files=MAX_LIST)),
    "tpm-too-many-files": (tpm_scenes.NOW, lambda: tpm_evidence(files=MAX_LIST + 1)),
    "tpm-spoilt-files": (tpm_scenes.NOW, lambda: tpm_evidence(also=spoilt)),
    "tpm-unreadable": (tpm_scenes.NOW, lambda: tpm_evidence(also=unreadable)),
    "confidential-space": (token_scenes.NOW, lambda: token_evidence("confidential-space", "pki")),
    "confidential-space-open": (
        token_scenes.NOW,
        lambda: token_evidence("confidential-space", "", states_little),
    ),
    "maa": (token_scenes.NOW, lambda: token_evidence("maa")),
    "maa-machine": (token_scenes.NOW, machine_itself),
    "maa-open": (token_scenes.NOW, lambda: token_evidence("maa", "", states_no_launch)),
    "trust-authority": (token_scenes.NOW, lambda: token_evidence("trust-authority")),
    "trust-authority-sgx": (
        token_scenes.NOW,
        lambda: token_evidence("trust-authority", "", is_of_an_enclave),
    ),
    "nras": (token_scenes.NOW, lambda: token_evidence("nras")),
    "nras-open": (token_scenes.NOW, lambda: token_evidence("nras", "", names_no_versions)),
    "nvidia-gpu": (
        nvidia_scenes.NOW,
        lambda: nvidia_scenes.judge(nvidia_scenes.protected(2, 1).finish()),
    ),
    "nvidia-switch": (nvidia_scenes.NOW, lambda: nvidia_scenes.judge(nvidia_scenes.scene("LS10").finish())),
    "tdx-4": (dcap_scenes.NOW, lambda: dcap_evidence("tdx", 4)),
    "tdx-5": (dcap_scenes.NOW, lambda: dcap_evidence("tdx", 5, mr_owner=b"\x0e" * 48)),
    "sgx": (dcap_scenes.NOW, lambda: dcap_evidence("sgx", 3)),
}


def fixed(name: str, text: str, claims: Any) -> str:
    """Put words in place of the Claims' own values that differ between runs, or that fill pages."""
    words: dict[str, str] = {}
    if name == "tpm-rsa":
        words["<ak_digest>"] = claims.quote.ak_digest.hex()
    if name == "tpm-most-files":
        lines = [f'  "{measured_line(*ran(number))}",' for number in range(MAX_LIST)]
        words["<every file, in order>"] = "\n".join(lines)
    for word, value in words.items():
        assert text.count(value) == 1, word
        text = text.replace(value, word)
    return text


@pytest.mark.parametrize("name", SIMULATED)
def test_drafts_from_verified_evidence_read_as_they_always_did(name: str) -> None:
    now, make = SIMULATED[name]
    made, log = make(), None
    if isinstance(made, Attested):
        made, log = made.result(), verify_guest(made.result(), made.found)
    own = Context(installation_roots=frozenset({made.anchor.fingerprint}))
    text = draft(made, name="a draft", source="a test", now=now, context=own, workload_log=log)
    compare(f"simulated-{name}", fixed(name, text, made.claims))
    by = Policy.load(text.encode(), name="draft")
    result = appraise(made, by, now=now, references={}, context=own, workload_log=log)
    assert result.accepted, [check.code for check in result.ledger.failed()]


def test_each_platform_has_a_draft_from_verified_evidence() -> None:
    names = {name.removesuffix("-dstack").removesuffix("-4") for name in SIMULATED}
    assert {*DRAFTS, "tdx", "sgx"} <= names


def test_each_platform_has_a_draft_that_is_compared() -> None:
    assert {platform for platform, _ in WHOLE.values()} == set(DRAFTS)


def test_a_draft_admits_no_weakness_that_one_of_its_lines_removes() -> None:
    """Regression: drafts stated smallest TCB versions and admitted unjudged ones as well."""
    made = evidence("snp", SNP)
    text = draft(made, name="d", source="x", now=NOW, context=Context(), workload_log=None)
    assert "[snp.min_tcb.genoa]" in text
    assert "accept = []" in text


def test_a_draft_demands_no_security_version_that_every_firmware_has() -> None:
    """All zeros judge nothing and are refused in a policy, so a draft of them could not be read."""
    zero = TcbVersion(SNP.product, bytes(8))
    made = evidence("snp", replace(SNP, reported_tcb=zero))
    text = draft(made, name="d", source="x", now=NOW, context=Context(), workload_log=None)
    assert "snp.min_tcb" not in text
    assert "# Its security versions are all 0" in text
    assert '"unjudged-tcb"' in text


def test_evidence_that_is_not_authentic_has_no_draft() -> None:
    made = replace(evidence("snp", SNP), anchor=None)
    with pytest.raises(EvidenceError) as found:
        draft(made, name="d", source="x", now=NOW, context=Context(), workload_log=None)
    assert found.value.code == "evidence.claims.unauthenticated"
