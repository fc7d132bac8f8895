"""Reference Values: what evidence should say, computed from artefacts, signed, versioned, expiring.

``ovmf``, ``snp*``, ``tdvf``, ``dstack_image``, ``pe``, ``uki``, ``container`` measure what a user builds;
``eif`` and ``rim`` do so for Nitro images and NVIDIA's manifests. ``gcp`` and ``azure`` read what a cloud
signed about its own firmware. ``manifest`` is the signed form in which values travel, ``memory`` refuses to
go back to an older one, ``corim`` speaks the format of others.

Nothing here looks at a clock or a network. Artefacts are files of the user's own, and yet parsed like a
peer's: bounded first, strictly, with an error of its own for each defect.
"""
