"""The checks of a boot's event logs, which each format that has such logs declares under its own prefix."""

from __future__ import annotations

from dataclasses import dataclass, field

from assay.evidence.ledger import Check, CheckSpec, Outcome, specs_under

_PFP = "TCG PFP 1.06, section "


@dataclass(frozen=True, slots=True)
class LogSpecs:
    """The checks of a boot's logs under the names of one format, in the order in which they are made.

    Attributes:
        all: All of them, for the format's own list.
        absent: Their outcomes where there is no log.
    """

    layout: CheckSpec
    canonical: CheckSpec
    bank: CheckSpec
    replay: CheckSpec
    separators: CheckSpec
    payloads: CheckSpec
    all: tuple[CheckSpec, ...] = field(init=False)
    absent: tuple[Check, ...] = field(init=False)

    def __post_init__(self) -> None:
        found = (self.layout, self.canonical, self.bank, self.replay, self.separators, self.payloads)
        object.__setattr__(self, "all", found)
        absent = tuple(
            Check(spec, Outcome.NOT_APPLICABLE, "", "the evidence has no event log") for spec in found
        )
        object.__setattr__(self, "absent", absent)

    @classmethod
    def of(cls, prefix: str) -> LogSpecs:
        """Return the checks with ids that begin with ``prefix``, such as ``gcp-vtpm.log``."""
        spec = specs_under(prefix)
        return cls(
            layout=spec(
                "layout",
                "the firmware's log is one well-formed log of PCRs 0 to 23, then only padding",
                _PFP + "10.2",
            ),
            canonical=spec(
                "cel",
                "the canonical log is whole records of PCRs 0 to 23",
                "TCG CEL 1.0, sections 5.1 and 5.2",
            ),
            bank=spec("bank", "each event of a quoted PCR has a digest of the quoted bank", _PFP + "10.2.2"),
            replay=spec(
                "replay",
                "the events of the logs, and no others, made each quoted PCR",
                _PFP + "3.3; TCG PC Client TPM Profile 1.05, section 4.6",
            ),
            separators=spec(
                "separators",
                "each of the quoted PCRs 0 to 7 has one separator, and it reports no error",
                _PFP + "3.3.1 and 10.4.1 (EV_SEPARATOR)",
            ),
            payloads=spec(
                "payload",
                "every payload whose type says that it was hashed is the one that was hashed",
                _PFP + "10.4.1, table 27; TCG CEL 1.0, section 4.3",
            ),
        )
