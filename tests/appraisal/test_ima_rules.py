"""Rules about files that the kernel measured: for each key of ``[ima]``, the log that it alone refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.appraisal import AttestationResult, Context, Policy
from assay.appraisal.draft import draft
from assay.errors import PolicyError
from assay.evidence.verification import EvidenceResult
from assay.simulator.tpm.device import spki
from assay.simulator.tpm.logs import fields
from support.appraisal_evidence import NOW, authentic
from support.appraisal_evidence import judged as appraised
from support.appraisal_ima import line, measured, signer
from support.appraisal_vtpm import TPM, VENDOR

AGENT, SHELL = ("/usr/bin/agent", b"the agent"), ("/bin/sh", b"a shell")
LOG = "/var/log/journal"
BOTH = f'files = ["{line(*AGENT)}", "{line(*SHELL)}"]'


def policy(body: str, *, tables: str = "", accept: str = "") -> Policy:
    text = f'version = 1\nplatforms = ["tpm"]\naccept = ["host-tpm"{accept}]\n{tables}\n[ima]\n{body}\n'
    return Policy.load(text.encode(), name="test")


def made(ima: Any) -> EvidenceResult[Any]:
    return authentic("tpm", replace(TPM, ima=ima), VENDOR)


def judged(by: Policy, ima: Any) -> AttestationResult:
    return appraised(made(ima), by)


def codes(by: Policy, ima: Any) -> list[str]:
    return [check.code for check in judged(by, ima).ledger.failed()]


GOOD = measured(AGENT, SHELL)
CASES = [
    # a policy, a log that it accepts, one that it refuses, and why
    (BOTH, GOOD, measured(AGENT, ("/bin/sh", b"another")), "files.mismatch"),
    (BOTH, measured(AGENT), measured(AGENT, violated=("/bin/sh",)), "files.mismatch"),
    (BOTH, GOOD, measured(AGENT, SHELL, ("/bin/sh", b"another")), "files.mismatch"),
    (BOTH, measured(AGENT), measured(AGENT, violated=(LOG,)), "files.weak"),
    (BOTH, measured(AGENT), measured(raw=fields(b"no digest")), "files.unreadable"),
    ('required = ["/bin/sh"]', GOOD, measured(AGENT), "required.missing"),
    ('required = ["/bin/sh"]', GOOD, measured(violated=("/bin/sh",)), "required.missing"),
    (f'{BOTH}\nknown = ["listed"]', GOOD, measured(AGENT, ("/bin/nc", b"")), "known.unknown"),
    ('known = ["/usr/", "/bin/"]', GOOD, measured(AGENT, violated=(LOG,)), "known.unknown"),
    (
        f'{BOTH}\nknown = ["/usr/"]',
        measured(AGENT),
        measured(AGENT, SHELL),  # the list alone makes nothing known
        "known.unknown",
    ),
    (
        f'known = ["{signer()}"]',
        measured(AGENT, signed=(AGENT[0],)),
        measured(AGENT, SHELL, signed=(AGENT[0],)),
        "known.unknown",
    ),
    (
        f'known = ["{signer()}", "/var/log/"]',
        measured(AGENT, (LOG, b"a line"), signed=(AGENT[0],)),
        measured(AGENT, signed=(AGENT[0],), violated=(LOG,)),  # no register covers the name of a violation
        "known.unknown",
    ),
    ('violations = "refused"', GOOD, measured(AGENT, violated=(LOG,)), "violations.found"),
]


@pytest.mark.parametrize(("body", "good", "bad", "code"), CASES)
def test_each_requirement_refuses_what_it_alone_refuses(body, good, bad, code):
    by = policy(body)
    assert judged(by, good).accepted
    assert codes(by, bad) == [f"policy.ima.{code}"]


ADMITTED = ', "ima-violations"'


def test_a_violation_that_was_renamed_hides_no_listed_file():
    """A violation extends ones whatever its entry says: the log may give it any name and stay proven."""
    renamed = measured(AGENT, violated=("/var/lib/whatever",))
    (failed,) = judged(policy(BOTH), renamed).ledger.failed()
    assert failed.code == "policy.ima.files.weak"
    assert "1 files could change" in failed.reason
    assert '"ima-violations"' in failed.reason


def test_violations_pass_where_the_policy_admits_them_by_their_word():
    by = policy(BOTH, accept=ADMITTED)
    assert judged(by, measured(AGENT)).admitted == ("host-tpm",)
    result = judged(by, measured(AGENT, violated=(LOG,)))
    assert result.accepted
    assert result.admitted == ("host-tpm", "ima-violations")
    assert codes(by, measured(AGENT, violated=("/bin/sh",))) == ["policy.ima.files.mismatch"]
    assert codes(by, measured(("/bin/sh", b"another"), violated=(LOG,))) == ["policy.ima.files.mismatch"]


@pytest.mark.parametrize(
    ("body", "code"), [('known = ["/usr/"]', "known.unknown"), ('violations = "refused"', "violations.found")]
)
def test_the_word_for_violations_admits_them_for_listed_files_alone(body, code):
    by = policy(f"{BOTH}\n{body}", accept=ADMITTED)
    assert codes(by, measured(AGENT, violated=(LOG,))) == [f"policy.ima.{code}"]


@pytest.mark.parametrize(
    "body", ['required = ["/bin/sh"]', BOTH, 'known = ["/usr/"]', 'violations = "refused"']
)
def test_without_a_log_nothing_is_met(body):
    key = body.partition(" ")[0]
    assert codes(policy(body), None) == [f"policy.ima.{key}.no_log"]


def test_the_rule_of_violations_tells_of_nothing_else():
    (failed,) = judged(
        policy('violations = "refused"'), measured(AGENT, SHELL, violated=(LOG,))
    ).ledger.failed()
    assert AGENT[0] not in failed.reason
    assert SHELL[0] not in failed.reason


def test_a_folder_that_is_known_excuses_no_listed_file():
    by = policy(f'{BOTH}\nknown = ["listed", "/usr/", "/bin/"]')
    assert codes(by, measured(AGENT, ("/bin/sh", b"another"))) == ["policy.ima.files.mismatch"]
    assert judged(by, measured(AGENT, ("/usr/bin/nc", b""))).accepted


def test_an_unknown_file_is_unknown_beside_one_that_is_not_as_listed():
    by = policy(f'{BOTH}\nknown = ["listed"]')
    log = measured(("/bin/sh", b"another"), ("/bin/nc", b""))
    assert codes(by, log) == ["policy.ima.files.mismatch", "policy.ima.known.unknown"]


def test_digits_may_be_in_upper_case():
    digest, _, path = line(*AGENT).partition(" ")
    by = policy(f'files = ["sha256:{digest.removeprefix("sha256:").upper()} {path}"]\nknown = ["listed"]')
    assert judged(by, measured(AGENT)).accepted


@pytest.mark.parametrize(
    "body",
    [
        f'required = ["{"/" * 1024}"]',
        *(
            f'files = ["{name}:{"00" * size} /a"]'
            for name, size in (("sha256", 32), ("sha384", 48), ("sha512", 64))
        ),
    ],
)
def test_what_a_line_may_say_at_most(body):
    assert codes(policy(body), measured(AGENT)) in ([], ["policy.ima.required.missing"])


@pytest.mark.parametrize(
    ("body", "code", "path"),
    [
        ("", "policy.contradiction", "ima"),
        ('known = ["listed"]', "policy.contradiction", "ima.known"),
        ('known = ["/"]', "policy.value", "ima.known[0]"),
        ('known = ["//"]', "policy.value", "ima.known[0]"),
        ('known = ["/var/log"]', "policy.value", "ima.known[0]"),
        ('known = ["var/log/"]', "policy.value", "ima.known[0]"),
        ("known = [5]", "policy.type", "ima.known[0]"),
        (f'known = ["key:{"00" * 91}"]', "policy.value", "ima.known[0]"),
        ("known = []", "policy.list", "ima.known"),
        (f'files = ["md5:{"00" * 16} /a"]', "policy.value", "ima.files[0]"),
        (f'files = ["sha1:{"00" * 20} /a"]', "policy.value", "ima.files[0]"),
        (f'files = ["sha256:{"00" * 31} /a"]', "policy.value", "ima.files[0]"),
        (f'files = ["sha256:{"00" * 32}"]', "policy.value", "ima.files[0]"),
        (f'files = ["sha256:{"00" * 32} /a b"]', "policy.value", "ima.files[0]"),
        ('required = ["/a b"]', "policy.value", "ima.required[0]"),
        ('required = [""]', "policy.value", "ima.required[0]"),
        (f'required = ["{"/" * 1025}"]', "policy.value", "ima.required[0]"),
        (f'files = ["sha384:{"00" * 47} /a"]', "policy.value", "ima.files[0]"),
        ('violations = "admitted"', "policy.value", "ima.violations"),
        ("violations = false", "policy.type", "ima.violations"),
        ('ignored = ["/tmp/"]', "policy.unknown_key", "ima.ignored"),
    ],
)
def test_what_would_have_no_effect_or_another_is_refused(body, code, path):
    with pytest.raises(PolicyError) as caught:
        policy(body)
    assert (caught.value.code, caught.value.detail["path"]) == (code, path)


def test_a_key_that_signs_no_files_is_refused():
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    for key in (ed25519.Ed25519PrivateKey.generate(), short):
        der = spki(key)
        with pytest.raises(PolicyError) as caught:
            policy(f'known = ["/usr/", "key:{der.hex().ljust(128, "0")}"]')
        assert caught.value.detail["path"] == "ima.known[1]"


def test_a_table_that_forbids_the_log_contradicts():
    with pytest.raises(PolicyError) as caught:
        policy('violations = "refused"', tables="[tpm]\nima = false")
    assert (caught.value.code, caught.value.detail["path"]) == ("policy.contradiction", "tpm.ima")


def test_platforms_without_such_a_log_cannot_have_the_table():
    with pytest.raises(PolicyError) as caught:
        Policy.load(b'version = 1\nplatforms = ["gcp-vtpm"]\n[ima]\nviolations = "refused"\n', name="test")
    assert (caught.value.code, caught.value.detail["path"]) == ("policy.contradiction", "ima")


# --- Adding a key refuses more, never less

KEYS = {
    "files": [BOTH, f'files = ["{line("/bin/sh", b"another")}"]'],
    "required": ['required = ["/bin/sh"]'],
    "known": [
        'known = ["listed"]',
        f'known = ["listed", "{signer()}", "/var/log/"]',
        'known = ["/usr/", "/bin/", "/var/"]',
    ],
    "violations": ['violations = "refused"'],
}
LOGS = [
    measured(*files, violated=violated, signed=signed)
    for files in ((AGENT,), (SHELL,), (AGENT, SHELL), (AGENT, ("/bin/sh", b"another")), (("/opt/x", b"x"),))
    for violated in ((), (LOG,), ("/bin/sh",))
    for signed in ((), ("/opt/x", "/bin/sh"))
]


def loaded(lines: dict[str, str]) -> Policy | None:
    try:
        return policy("\n".join(lines.values()))
    except PolicyError:
        return None


@settings(deadline=None, max_examples=150)
@given(
    st.fixed_dictionaries({}, optional={key: st.sampled_from(said) for key, said in KEYS.items()}),
    st.sampled_from(list(KEYS)),
    st.data(),
)
def test_adding_a_key_never_turns_refused_into_accepted(lines, added, data):
    lines.pop(added, None)
    without = loaded(lines)
    along = loaded({**lines, added: data.draw(st.sampled_from(KEYS[added]))})
    if without is None or along is None:
        return
    for log in LOGS:
        if judged(along, log).accepted:
            assert judged(without, log).accepted


# --- A draft


def drafted(ima: Any) -> str:
    return draft(made(ima), name="d", source="x", now=NOW, context=Context(), workload_log=None)


def test_a_draft_lists_what_was_measured_and_refuses_the_rest():
    by = Policy.load(drafted(GOOD).encode(), name="draft")
    assert judged(by, GOOD).accepted
    assert judged(by, measured(AGENT)).accepted
    assert codes(by, measured(AGENT, ("/opt/x", b"x"))) == ["policy.ima.known.unknown"]
    assert codes(by, measured(AGENT, ("/bin/sh", b"another"))) == ["policy.ima.files.mismatch"]


@pytest.mark.parametrize(
    "log",
    [
        measured(AGENT, violated=(LOG,)),
        measured(AGENT, SHELL, violated=("/bin/sh",)),
        measured(AGENT, ("/opt/\u00e4", b"x")),
    ],
)
def test_a_draft_of_what_no_list_can_name_refuses_nothing_unknown(log):
    text = drafted(log)
    assert "\n# known = " in text
    assert ("ima-violations" in text) is (log.violations > 0)
    by = Policy.load(text.encode(), name="draft")
    assert judged(by, log).accepted
    assert codes(by, measured(("/usr/bin/agent", b"another"))) == ["policy.ima.files.mismatch"]


@pytest.mark.parametrize(
    "log", [measured(), measured(violated=(LOG,)), measured(raw=fields(b"no digest")), None]
)
def test_a_draft_without_files_has_no_table(log):
    text = drafted(log)
    assert "[ima]" not in text
    assert "ima-violations" not in text
    assert judged(Policy.load(text.encode(), name="draft"), log).accepted
