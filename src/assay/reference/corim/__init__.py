"""CoRIM: Reference Values in the form that other verifiers keep them in (CBOR).

A CoRIM holds concise module identifiers (CoMIDs); each holds triples. Read here are reference triples: an
environment (class, instance) and measurements, each with a key and values. Of the values, digests and
integrity registers become Reference Values; what else a measurement demands is named, since it is not
appraised here. A module that another one replaces, or of which there is a newer version, has no say.

    corim = #6.501({0: id, 1: [+ #6.506(bstr .cbor comid) / others], ? 3: profile, ? 4: validity, ...})
    comid = {? 1: {0: tag id, ? 1: version}, ? 3: [+ {0: tag id, 1: relation}], 4: triples, ...}
    triples = {? 0: [+ [environment, [+ measurement]]], ...}
    measurement = {? 0: key, 1: {? 2: [+ [algorithm, digest]], ? 14: {+ register => digests}, ...}, ...}
    signed corim = #6.18([{1: algorithm, 3: "application/rim+cbor", ? 8: bstr meta}, {}, corim, signature])

Source: draft-ietf-rats-corim-08, sections 4 and 5; IANA, "Named Information Hash Algorithm Registry".
"""

from __future__ import annotations

from assay.reference.corim.model import LARGEST, Corim, Reference
from assay.reference.corim.reading import decode, verify
from assay.reference.corim.registers import values
from assay.reference.corim.writing import encode, sign

__all__ = ["LARGEST", "Corim", "Reference", "decode", "encode", "sign", "values", "verify"]
