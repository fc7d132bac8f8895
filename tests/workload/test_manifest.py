from __future__ import annotations

import hashlib
from dataclasses import fields, replace

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import WorkloadError
from assay.workload.manifest import DOMAIN, MAX_BYTES, Limits, Manifest

LIMITS = Limits(time_seconds=60, memory_bytes=1 << 30, output_bytes=1 << 20, ttl_seconds=600)
GOOD = Manifest(
    owner_key=b"owner",
    bundle=b"b" * 32,
    argv=("python3", "-c", "print(6*7)"),
    cwd="",
    environment=("A", "B"),
    limits=LIMITS,
    network="none",
    outputs=("out", "out2/x"),
    policy=b"p" * 32,
    tty=False,
)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
NAMES = st.lists(st.from_regex(r"[A-Z]{1,4}_X", fullmatch=True), max_size=4).map(
    lambda names: tuple(sorted(set(names) - {"LD_X"}))
)
MANIFESTS = st.builds(
    Manifest,
    owner_key=st.binary(min_size=1, max_size=100),
    bundle=st.binary(min_size=32, max_size=32),
    argv=st.tuples(TEXT.filter(bool), TEXT, TEXT),
    cwd=st.sampled_from(["", "a", "a/b"]),
    environment=NAMES.filter(lambda names: not any(n.startswith(("LD_", "DYLD_")) for n in names)),
    limits=st.builds(
        Limits, *(st.integers(1, 1000) for _ in range(4)), disk_bytes=st.just(5), processes=st.just(6)
    ),
    network=st.just("none"),
    outputs=st.sampled_from([(), ("a",), ("a", "b/c")]),
    policy=st.binary(min_size=32, max_size=32),
    tty=st.booleans(),
)


def code_of(call, *arguments):
    with pytest.raises(WorkloadError) as found:
        call(*arguments)
    return found.value.code


@given(MANIFESTS)
def test_a_manifest_has_one_encoding_and_one_digest(manifest):
    data = manifest.encode()
    assert Manifest.decode(data) == manifest
    assert manifest.digest() == hashlib.sha256(data).digest()


@given(MANIFESTS, MANIFESTS)
def test_different_manifests_have_different_bytes(one, other):
    assert (one.encode() == other.encode()) == (one == other)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(data):
    assert code_of(Manifest.decode, data) == "workload.manifest.malformed"
    assert code_of(Manifest.decode, DOMAIN + data) == "workload.manifest.malformed"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda text: text.replace(":", ": ", 1), "not_canonical"),
        (lambda text: text + " ", "not_canonical"),
        (lambda text: text.replace('"tty":false', '"tty":false,"tty":false'), "not_canonical"),
        (lambda text: text.replace('"tty":false', '"tty":true,"tty":false'), "not_canonical"),
        (lambda text: text.replace("6f776e6572", "6F776E6572"), "not_canonical"),
        (lambda text: text.replace('"time_seconds":60', '"time_seconds":60.0'), "malformed"),
        (lambda text: text.replace('"tty":false', '"tty":0'), "malformed"),
        (lambda text: text.replace('"tty":false', '"tty":null'), "malformed"),
        (lambda text: text.replace(',"tty":false', ""), "malformed"),
        (lambda text: text.replace('"tty":false', '"tty":false,"zzz":1'), "malformed"),
        (lambda text: text.replace('["A","B"]', '"AB"'), "malformed"),
        (lambda text: text.replace('["A","B"]', '["B","A"]'), "malformed"),
        (lambda text: text.replace('["A","B"]', '["A","A"]'), "malformed"),
        (lambda text: text.replace('["A","B"]', "[1]"), "malformed"),
        (lambda text: text.replace('"time_seconds":60', '"time_seconds":0'), "malformed"),
        (lambda text: text.replace('"time_seconds":60', '"time_seconds":-1'), "malformed"),
        (lambda text: text.replace('"time_seconds":60', '"time_seconds":true'), "malformed"),
        (lambda text: text.replace('"none"', '"host"'), "malformed"),
        (lambda text: "[" * 60_000, "malformed"),
    ],
)
def test_every_other_encoding_is_refused(change, code):
    text = GOOD.encode()[len(DOMAIN) :].decode()
    changed = change(text)
    assert changed != text
    assert code_of(Manifest.decode, DOMAIN + changed.encode()) == f"workload.manifest.{code}"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"bundle": b"short"}, "workload.manifest.malformed"),
        ({"policy": b""}, "workload.manifest.malformed"),
        ({"owner_key": b""}, "workload.manifest.malformed"),
        ({"argv": ()}, "workload.manifest.malformed"),
        ({"argv": ("",)}, "workload.manifest.malformed"),
        ({"argv": ("a\0b",)}, "workload.manifest.malformed"),
        ({"argv": ("\ud800",)}, "workload.manifest.malformed"),
        ({"argv": ("a",) * 2000}, "workload.manifest.malformed"),
        ({"argv": ("a" * 200_000,)}, "workload.manifest.malformed"),
        ({"cwd": "/etc"}, "workload.path.unsafe"),
        ({"cwd": "../x"}, "workload.path.unsafe"),
        ({"outputs": ("..",)}, "workload.path.unsafe"),
        ({"outputs": ("a//b",)}, "workload.path.unsafe"),
        ({"environment": ("LD_PRELOAD",)}, "workload.environment.loader"),
        ({"environment": ("A B",)}, "workload.environment.name"),
        ({"environment": tuple(f"A{n:03}" for n in range(300))}, "workload.manifest.malformed"),
        ({"network": ""}, "workload.manifest.malformed"),
    ],
)
def test_what_a_manifest_may_not_say(changes, code):
    assert code_of(lambda: replace(GOOD, **changes)) == code


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
def test_every_limit_is_needed_and_bounded(name):
    for value in (0, -1, 1 << 60, True, 1.5):
        assert code_of(lambda value=value: replace(LIMITS, **{name: value})) == "workload.manifest.malformed"


def test_a_manifest_is_bounded_as_a_whole():
    assert code_of(replace(GOOD, argv=("a" * 100_000,) * 3).encode) == "workload.manifest.malformed"
    assert code_of(Manifest.decode, DOMAIN + b" " * MAX_BYTES) == "workload.manifest.malformed"


def test_the_bytes_are_canonical_json_after_one_line():
    data = GOOD.encode()
    assert data.startswith(b"assay/manifest/v1\n{")
    import json

    assert rfc8785.dumps(json.loads(data[len(DOMAIN) :])) == data[len(DOMAIN) :]
