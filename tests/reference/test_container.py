"""Container images in an image layout, and compose files."""

from __future__ import annotations

import hashlib
import json

import pytest

from assay.cli.main import main
from assay.errors import ReferenceValueError
from assay.reference.artefact import Artefact
from assay.reference.container import measure_compose, measure_layout

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
AMD64 = {"os": "linux", "architecture": "amd64"}


def code(work) -> str:
    with pytest.raises(ReferenceValueError) as caught:
        work()
    return caught.value.code


class Layout:
    """An image layout that is being written."""

    def __init__(self, path):
        self.path = path
        (path / "blobs" / "sha256").mkdir(parents=True)

    def blob(self, content, kind=MANIFEST, **more):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        digest = hashlib.sha256(data).hexdigest()
        (self.path / "blobs" / "sha256" / digest).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data), **more}

    def image(self, **more):
        return {"config": self.blob(b"{}", "c"), "layers": [self.blob(b"layer", "l")], **more}

    def index(self, *descriptors, **more):
        (self.path / "index.json").write_text(json.dumps({"manifests": list(descriptors), **more}))

    def measure(self, name=None, system="linux/amd64"):
        return measure_layout(self.path, name=name, system=system)


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path)


def test_an_image_is_named_by_its_manifest(layout):
    descriptor = layout.blob(layout.image())
    layout.index(descriptor)
    found = layout.measure()
    digest = bytes.fromhex(descriptor["digest"][7:])
    assert found.registers == {"image_digest": {digest}}
    assert (found.platform, found.parameters) == ("confidential-space", {"system": "linux/amd64"})
    assert [(each.role, each.size) for each in found.artefacts] == [
        ("manifest", descriptor["size"]),
        ("config", 2),
        ("layer", 5),
    ]


def test_an_image_of_several_systems_is_one_of_its_manifests(layout):
    amd = layout.blob(layout.image(), platform=AMD64)
    arm = layout.blob(layout.image(x=1), platform={"os": "linux", "architecture": "arm64"})
    layout.index(layout.blob({"manifests": [amd, arm]}, INDEX))
    for system, descriptor in (("linux/amd64", amd), ("linux/arm64", arm)):
        found = layout.measure(system=system)
        assert found.registers == {"image_digest": {bytes.fromhex(descriptor["digest"][7:])}}
    assert code(lambda: layout.measure(system="plan9/amd64")) == "reference.oci.choice"


def test_layouts_at_their_bounds_are_measured(layout):
    layer = layout.blob(b"", "l")
    descriptor = layout.blob(layout.image(layers=[layer] * 256))
    layout.index(*[1] * 127, descriptor)
    assert len(layout.measure().artefacts) == 258
    path = layout.path / "index.json"
    path.write_bytes(path.read_bytes().ljust(4 << 20))
    assert layout.measure().registers
    path.write_bytes(path.read_bytes() + b" ")
    assert code(layout.measure) == "reference.artefact.size"
    layout.index(*[1] * 128, descriptor)
    assert code(layout.measure) == "reference.oci.layout"
    layout.index(layout.blob(layout.image(layers=[layer] * 257)))
    assert code(layout.measure) == "reference.oci.layout"


def test_an_image_is_chosen_by_its_name(layout):
    name = "org.opencontainers.image.ref.name"
    one = layout.blob(layout.image(), annotations={name: "one"})
    two = layout.blob(layout.image(x=1), annotations={name: "two"})
    layout.index(one, two)
    assert code(layout.measure) == "reference.oci.choice"
    assert code(lambda: layout.measure("three")) == "reference.oci.choice"
    assert layout.measure("two").registers == {"image_digest": {bytes.fromhex(two["digest"][7:])}}
    layout.index(layout.blob(layout.image()))
    assert code(lambda: layout.measure("one")) == "reference.oci.choice"


@pytest.mark.parametrize("which", ["manifest", "config", "layer"])
def test_a_blob_that_is_not_what_its_name_says(layout, which):
    image = layout.image()
    descriptor = layout.blob(image)
    layout.index(descriptor)
    wrong = {"manifest": descriptor, "config": image["config"], "layer": image["layers"][0]}[which]
    path = layout.path / "blobs" / "sha256" / wrong["digest"][7:]
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert code(layout.measure) == "reference.oci.digest"


def test_a_size_that_is_not_the_blobs(layout):
    image = layout.image()
    image["config"]["size"] = 3
    layout.index(layout.blob(image))
    assert code(layout.measure) == "reference.oci.digest"
    layout.index(layout.blob(layout.image()) | {"size": 1})
    assert code(layout.measure) == "reference.oci.digest"


@pytest.mark.parametrize(
    "change",
    [
        {"layers": "x"},
        {"layers": [None]},
        {"layers": [{"digest": "sha256:00", "size": 0}]},
        {"layers": [{"digest": "md5:" + "0" * 64, "size": 0}]},
        {"layers": [{"digest": 1, "size": 0}]},
        {"layers": [{"digest": "sha256:" + "0" * 64, "size": -1}]},
        {"layers": [{"digest": "sha256:" + "0" * 64}]},
        {"layers": [{}] * 257},
        {"config": None},
    ],
)
def test_a_manifest_that_is_none(layout, change):
    layout.index(layout.blob(layout.image() | change))
    assert code(layout.measure) == "reference.oci.layout"


def test_an_index_that_is_none(layout):
    (layout.path / "index.json").write_text("[]")
    assert code(layout.measure) == "reference.oci.layout"
    layout.index()
    assert code(layout.measure) == "reference.oci.layout"
    layout.index(*[{}] * 129)
    assert code(layout.measure) == "reference.oci.layout"
    layout.index("x", 1)
    assert code(layout.measure) == "reference.oci.choice"
    layout.index(layout.blob(layout.image(), "application/octet-stream"))
    assert code(layout.measure) == "reference.oci.layout"
    (layout.path / "index.json").unlink()
    assert code(layout.measure) == "reference.artefact.unreadable"


def test_a_compose_file_is_named_by_its_raw_bytes():
    for raw in (b'{"a":1}', b'{ "a": 1 }'):
        digest = hashlib.sha256(raw).digest()
        found = measure_compose(Artefact.of(raw))
        assert found.registers == {
            "compose_hash": {digest},
            "mr_config_id": {digest + bytes(16), b"\1" + digest + bytes(15)},
        }
        assert (found.platform, found.artefacts[0].role) == ("tdx", "compose")
    assert measure_compose(Artefact.of(b"{}".ljust(2 << 20))).registers
    for raw in (b"[]", b"{", b'{"a":1,"a":2}'):
        assert code(lambda raw=raw: measure_compose(Artefact.of(raw))) == "reference.compose.malformed"
    assert code(lambda: measure_compose(Artefact.of(bytes((2 << 20) + 1)))) == "reference.artefact.size"


def test_an_image_is_measured_as_typed(layout, capsys):
    descriptor = layout.blob(layout.image())
    layout.index(descriptor)
    assert main(["measure", "container", str(layout.path), "--json"]) == 0
    assert descriptor["digest"][7:] in capsys.readouterr().out
