"""``[nitro]``: what a policy says of AWS Nitro Enclaves, and of instances with a NitroTPM."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any, Final

from assay.appraisal.fields import Integer, Key, ListOf, Text
from assay.appraisal.register_fields import Register
from assay.appraisal.tables.registers import pcr_fields, table

PCRS: Final = 32
PCR_BYTES: Final = 48
MAX_AGE_SECONDS: Final = 86400

_MEANING: Final = {
    0: "The enclave image: all of its sections.",
    1: "The enclave's kernel and boot ramdisk.",
    2: "The enclave's application.",
    3: "SHA-384 of the IAM role of the parent instance.",
    4: "SHA-384 of the id of the parent instance.",
    8: "SHA-384 of the certificate that signed the enclave image.",
}
_MAY_BE_ZERO: Final = dict.fromkeys((3, 4, 8), Register(PCR_BYTES, may_be_zero=True))
"""An enclave may have no role or parent to name, and an image no signature."""

Nitro: Final = table(
    "Nitro",
    "``[nitro]``.",
    [
        *pcr_fields(PCRS, Register(PCR_BYTES), _MEANING, _MAY_BE_ZERO),
        (
            "instance_ids",
            Annotated[
                tuple[str, ...] | None, Key(ListOf(Text(64)), "EC2 instances that may hold the enclave.")
            ],
            field(default=None),
        ),
        (
            "regions",
            Annotated[
                tuple[str, ...] | None,
                Key(ListOf(Text(64)), "AWS regions that the chain may be of, such as eu-central-1."),
            ],
            field(default=None),
        ),
        (
            "max_age_seconds",
            Annotated[
                int | None,
                Key(
                    Integer(1, MAX_AGE_SECONDS),
                    "Seconds since the document says that it was made, at most.",
                ),
            ],
            field(default=None),
        ),
    ],
)


def default() -> Any:
    """Return the table of a policy that does not have one."""
    return Nitro()
