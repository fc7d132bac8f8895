"""``[dstack]`` where a guest is no plain trust domain: what binds it there, and what nothing does."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from assay.appraisal import AttestationResult, Policy, appraise
from assay.appraisal.draft import draft
from assay.appraisal.rules.subject import Context
from assay.errors import PolicyError
from assay.evidence.dstack import verify_guest
from assay.evidence.dstack.config_id import host_data
from assay.evidence.ledger import Outcome
from assay.evidence.verification import Expected
from assay.verification import verify
from assay.verification.opening import open_evidence
from support.dstack_attested import DOCUMENT, MAKERS, REPORT_DATA, Attested, nitro_tpm, scale, snp
from support.dstack_guest import APP_ID, COMPOSE_HASH, PROVIDER_ID

WORDS = {
    "snp": ("unjudged-tcb",),
    "nitro": (),
    "nitro-tpm": ("host-tpm",),
    "gcp-tdx": (),
}
IDENTITY = {
    "compose_hashes": f'["{COMPOSE_HASH.hex()}"]',
    "app_ids": f'["{APP_ID.hex()}"]',
    "key_providers": f'["kms:{PROVIDER_ID.hex()}"]',
}
OTHER = {
    "compose_hashes": f'["{"00" * 32}"]',
    "app_ids": f'["{"00" * 20}"]',
    "key_providers": '["kms:00", "none:"]',
    "os_image_hashes": f'["{"00" * 32}"]',
}
BY_EVENTS = ("sev-snp", "aws-nitro-tpm", "gcp-tdx")
BY_IMAGE = ("nitro-enclave", "aws-nitro-tpm")


def policy(platform: str, lines: dict[str, str], *also: str) -> Policy:
    """Return a policy that states these lines of ``[dstack]``, for a platform and others beside it."""
    words = ", ".join(f'"{word}"' for word in ("simulated", *WORDS[platform]))
    platforms = ", ".join(f'"{name}"' for name in (platform, *also))
    table = "\n".join(f"{key} = {value}" for key, value in lines.items())
    text = (
        f'version = 1\nplatforms = [{platforms}]\nsimulated = "only"\naccept = [{words}]\n[dstack]\n{table}\n'
    )
    return Policy.load(text.encode(), name="test")


def judged(made: Attested, by: Policy, *, log: bool = True) -> AttestationResult:
    evidence = made.result()
    return appraise(
        evidence,
        by,
        now=made.now,
        references={},
        context=Context(installation_roots=frozenset((evidence.anchor.fingerprint,))),
        workload_log=verify_guest(evidence, made.found) if log else None,
    )


def codes(result: AttestationResult) -> list[str]:
    return [check.code for check in result.ledger.failed()]


def image_of(made: Attested) -> str:
    found: Any = verify_guest(made.result(), made.found).claims
    return f'["{found.os_image_hash.hex()}"]'


def lines_of(variant: str) -> dict[str, str]:
    """Return every line that can be proven of a good guest."""
    found = dict(IDENTITY) if variant in BY_EVENTS else {}
    return found | ({"os_image_hashes": image_of(MAKERS[variant]())} if variant in BY_IMAGE else {})


@pytest.mark.parametrize("variant", MAKERS)
def test_what_the_policy_names_passes(variant: str) -> None:
    made = MAKERS[variant]()
    result = judged(made, policy(made.platform, lines_of(variant)))
    assert result.accepted, codes(result)
    for key in lines_of(variant):
        assert result.ledger[f"policy.dstack.{key}"].outcome is Outcome.PASSED


@pytest.mark.parametrize(("variant", "key"), [(name, key) for name in MAKERS for key in lines_of(name)])
def test_what_it_does_not_name_is_refused(variant: str, key: str) -> None:
    made = MAKERS[variant]()
    by = policy(made.platform, lines_of(variant) | {key: OTHER[key]})
    assert codes(judged(made, by)) == [f"policy.dstack.{key}.mismatch"]


@pytest.mark.parametrize(("variant", "key"), [(name, key) for name in MAKERS for key in lines_of(name)])
def test_the_platforms_evidence_alone_says_nothing_of_a_guest(variant: str, key: str) -> None:
    made = MAKERS[variant]()
    by = policy(made.platform, {key: lines_of(variant)[key]})
    assert codes(judged(made, by, log=False)) == [f"policy.dstack.{key}.no_event_log"]


def without_measurement() -> Attested:
    return nitro_tpm(config="{}")


def pinning(**left: Any) -> Attested:
    """Return an SNP guest whose configuration document lacks members; its events name all the same."""
    said = {name: value for name, value in json.loads(DOCUMENT).items() if name not in left}
    document = json.dumps(said)
    return snp(host_data=host_data(document.encode())).changed(document=document)


UNPROVEN: dict[str, tuple[str, Callable[[], Attested], str]] = {
    "enclave's app": ("app_ids", MAKERS["nitro-enclave"], "no register"),
    "enclave's compose document": ("compose_hashes", MAKERS["nitro-enclave"], "no register"),
    "enclave's key provider": ("key_providers", MAKERS["nitro-enclave"], "no register"),
    "image on SNP": ("os_image_hashes", MAKERS["sev-snp"], "snp.measurement"),
    "image on Google": ("os_image_hashes", MAKERS["gcp-tdx"], "vtpm.pcr2"),
    "image without measurement": ("os_image_hashes", without_measurement, "nitro.pcr4"),
    "app that the document does not name": ("app_ids", lambda: pinning(app_id=0), "HOST_DATA"),
    "provider that the document does not name": (
        "key_providers",
        lambda: pinning(key_provider_id=0),
        "HOST_DATA",
    ),
}


@pytest.mark.parametrize("what", UNPROVEN)
def test_what_nothing_vouches_for_is_refused_with_a_sentence(what: str) -> None:
    key, make, instead = UNPROVEN[what]
    made = make()
    line = {key: (IDENTITY | {"os_image_hashes": OTHER["os_image_hashes"]})[key]}
    # Beside TDX the line means something, so that the policy loads.
    result = judged(made, policy(made.platform, line, "tdx"))
    assert codes(result) == [f"policy.dstack.{key}.unproven"]
    (check,) = result.ledger.failed()
    assert instead in check.reason


def test_what_the_document_names_is_proven_without_the_rest() -> None:
    made = pinning(app_id=0, key_provider_id=0)
    result = judged(made, policy("snp", {"compose_hashes": IDENTITY["compose_hashes"]}))
    assert result.accepted, codes(result)


@pytest.mark.parametrize(
    ("platform", "key"),
    [("nitro", key) for key in IDENTITY] + [("snp", "os_image_hashes"), ("gcp-tdx", "os_image_hashes")],
)
def test_a_line_that_can_never_be_proven_is_refused_when_it_is_read(platform: str, key: str) -> None:
    with pytest.raises(PolicyError) as caught:
        policy(platform, {key: OTHER[key]})
    assert (caught.value.code, caught.value.detail) == ("policy.contradiction", {"path": f"dstack.{key}"})


@pytest.mark.parametrize("platform", ["azure-tdx", "azure-snp", "gcp-snp", "sgx", "tpm", "maa"])
def test_a_table_about_dstack_is_refused_where_there_is_none(platform: str) -> None:
    text = f'version = 1\nplatforms = ["{platform}"]\n[dstack]\napp_ids = {OTHER["app_ids"]}\n'
    with pytest.raises(PolicyError) as caught:
        Policy.load(text.encode(), name="test")
    assert (caught.value.code, caught.value.detail) == ("policy.contradiction", {"path": "dstack"})


@pytest.mark.parametrize("variant", MAKERS)
def test_a_draft_states_what_is_proven_and_accepts_it(variant: str) -> None:
    made = MAKERS[variant]()
    evidence = made.result()
    own = Context(installation_roots=frozenset((evidence.anchor.fingerprint,)))
    log = verify_guest(evidence, made.found)
    text = draft(evidence, name="d", source="x", now=made.now, context=own, workload_log=log)
    stated = tomllib.loads(text)["dstack"]
    assert {key: json.dumps(value) for key, value in stated.items()} == lines_of(variant)
    result = judged(made, Policy.load(text.encode(), name="draft"))
    assert result.accepted, codes(result)


def test_a_changed_event_of_an_snp_guest_is_refused_by_its_log() -> None:
    """No register holds it: only the committed document tells it from a true one."""
    made = snp()
    events = tuple(
        replace(each, payload=bytes(20)) if each.name == "app-id" else each for each in made.found.runtime
    )
    result = judged(made.changed(runtime=events), policy("snp", {"app_ids": OTHER["app_ids"]}))
    assert not result.accepted
    assert "dstack.snp.document" in codes(result)


@pytest.mark.parametrize("variant", MAKERS)
def test_an_attestation_is_verified_and_appraised_from_its_bytes(variant: str) -> None:
    made = MAKERS[variant]()
    opened = open_evidence(scale(made.found))
    own = Context(installation_roots=frozenset((made.result().anchor.fingerprint,)))
    for lines, expected in ((lines_of(variant), []), (OTHER, ["mismatch"])):
        stated = {key: lines[key] for key in lines_of(variant)}
        result = verify(
            opened.evidence,
            policy=policy(made.platform, stated),
            binding=Expected(REPORT_DATA),
            roots=made.roots,
            now=made.now,
            endorsements=made.endorsements,
            context=own,
            event_log=opened.attestation,
            platform=opened.platform,
        )
        assert result.accepted is (not expected), codes(result)
        assert {code.rpartition(".")[2] for code in codes(result)} <= set(expected)
