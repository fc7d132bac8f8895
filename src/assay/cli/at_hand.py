"""What ``assay verify`` takes from this machine when it is asked to: kept endorsements, signed values."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from assay.errors import EvidenceError, ReferenceValueError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from assay.cli.asking import Question
    from assay.verification.materials import Materials


@dataclass(frozen=True, slots=True)
class SignedValues:
    """A manifest of Reference Values, and whose signature it needs.

    Attributes:
        file: The manifest.
        trust: Public keys one of which must have signed it.
        name: What it must be called; None for any name.
    """

    file: Path
    trust: tuple[Path, ...]
    name: str | None = None

    def of(self, platforms: Sequence[str], now: datetime) -> tuple[str, Mapping[str, frozenset[bytes]]]:
        """Return for which platform it is, and what it allows; from now on its older versions are refused.

        Args:
            platforms: Whose evidence there is; the manifest must be for one of them.
            now: The moment of use.

        Raises:
            UsageError: ``cli.file.*``.
            ReferenceValueError: ``reference.*``.
            StoreError: ``store.*``.
        """
        from assay.cli.reference import manifest_references

        def allowed(platform: str) -> tuple[str, Mapping[str, frozenset[bytes]]]:
            return platform, manifest_references(
                self.file, self.trust, platform=platform, now=now, name=self.name
            )

        *others, last = platforms
        for platform in others:
            try:
                return allowed(platform)
            except ReferenceValueError as error:
                if error.code != "reference.manifest.platform":
                    raise
        return allowed(last)


def signed_values(file: Path | None, trust: tuple[Path, ...], name: str | None) -> SignedValues | None:
    """Return what was typed of a manifest.

    Raises:
        UsageError: ``cli.verify.reference_trust`` for a manifest without keys, or keys or a name without a
            manifest.
    """
    if (file is None) != (not trust) or (file is None and name is not None):
        raise UsageError(
            "cli.verify.reference_trust",
            "--reference-manifest and --reference-trust belong together: values, and the key to trust.",
        )
    return None if file is None else SignedValues(file, trust, name)


def check_age(materials: Materials, days: int | None, now: datetime) -> None:
    """Check that every bundle that was given is young enough.

    Raises:
        UsageError: ``cli.verify.endorsements_max_age`` when no bundle was given: loose files have no date.
        EndorsementError: ``endorsements.bundle.old``, ``endorsements.bundle.future``.
    """
    if days is None:
        return
    if not materials.bundles:
        raise UsageError(
            "cli.verify.endorsements_max_age",
            "--endorsements-max-age is about bundles, and none was given: loose files bear no date.",
            action="Make one with: assay endorsements bundle OUT EVIDENCE.",
        )
    at_most = timedelta(days=min(days, timedelta.max.days))  # no bundle is older than there are dates
    for bundle in materials.bundles:
        bundle.check_age(now, at_most=at_most)


def with_own_cache(question: Question, files: Iterable[tuple[Path, bytes]]) -> Question:
    """Return the question with what this installation keeps for these files; see ``with_cache``.

    Raises:
        StoreError: ``store.path.*``.
        EndorsementError: ``endorsements.cache.*``.
    """
    from assay.store.paths import state_directory

    return with_cache(question, files, state_directory(os.environ) / "endorsements")


def with_cache(question: Question, files: Iterable[tuple[Path, bytes]], cache: Path) -> Question:
    """Return the question with what this machine keeps for these files. Nobody is asked.

    What holds is what holds at the time of the question, be it long ago.

    Args:
        question: What was asked.
        files: Names and contents of the evidence.
        cache: The directory of kept endorsements.

    Raises:
        EndorsementError: ``endorsements.cache.*``.
    """
    from assay.cli.gathering import run_errand
    from assay.endorsements.needs import Choices
    from assay.endorsements.surroundings import Surroundings
    from assay.store.files import is_absent
    from assay.verification.materials import Materials

    if is_absent(cache):
        return question
    given, pieces = question.materials, _pieces(files)
    surroundings = replace(Surroundings.real(), now=lambda: question.now)
    merged = given
    # Once as if nothing were given, which may no longer hold; once with it, which may lead to more.
    for materials in (Materials({}), given) if given else (given,):
        errand = run_errand(
            pieces,
            state=cache,
            roots=question.roots,
            choices=Choices(),
            services=(),
            authorities=None,
            proxy="",
            fresh=False,
            offline=True,
            surroundings=surroundings,
            materials=materials,
        )
        kept = errand.bundle()
        if kept.endorsements:
            merged = replace(merged, files={**kept.files(), **merged.files}, bundles=(*merged.bundles, kept))
    return question if merged is given else replace(question, materials=merged)


def _pieces(files: Iterable[tuple[Path, bytes]]) -> list[tuple[Path, bytes]]:
    """Return every single piece of evidence in files; what cannot be opened is left to the verifier."""
    from assay.verification.opening import open_bundle

    found: list[tuple[Path, bytes]] = []
    for path, data in files:
        try:
            found += [(path, opened.evidence) for opened in open_bundle(data).parts]
        except EvidenceError:
            continue
    return found
