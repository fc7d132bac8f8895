"""Mistakes that verifiers of evidence have made, each with the tests that show it is not made here.

``ROWS`` numbers the known mistakes. Most are inputs in the tables of each format's checks; what those do not
hold is tested below, and what ties evidence to its session in ``test_pitfalls_binding.py``. An identifier
stands where the mistake has a public one. What no evidence can show has its reason instead.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from assay.errors import EvidenceError
from assay.evidence.dcap.levels import TcbStatus
from assay.evidence.facts import FactCache
from assay.evidence.snp.claims import GuestPolicy, PlatformInfo, TcbVersion
from assay.evidence.snp.products import Product
from support import dcap_scenes, snp_scenes, tpm_scenes
from support.appraisal_snp import SNP, policy, snp
from support.appraisal_snp import judged as judged_snp

TESTS = Path(__file__).resolve().parent.parent
FILES = {
    "here": "evidence/test_pitfalls.py",
    "binding": "evidence/test_pitfalls_binding.py",
    "dcap": "evidence/test_dcap_checks.py",
    "levels": "evidence/test_dcap_levels.py",
    "quote": "evidence/test_dcap_verify.py",
    "collateral": "evidence/test_collateral.py",
    "documents": "evidence/test_documents.py",
    "flips": "evidence/test_bitflips.py",
    "vectors": "evidence/test_vectors.py",
    "der": "evidence/test_der.py",
    "cbor": "evidence/test_cbor.py",
    "json": "evidence/test_json.py",
    "jose": "evidence/test_jose.py",
    "cose": "evidence/test_cose.py",
    "snp": "evidence/test_snp_checks.py",
    "report": "evidence/test_snp_verify.py",
    "snp_formats": "evidence/test_snp_formats.py",
    "nitro": "evidence/test_nitro_checks.py",
    "nitro_pitfalls": "evidence/test_nitro_pitfalls.py",
    "document": "evidence/test_nitro_verify.py",
    "azure": "evidence/test_azure_checks.py",
    "google": "evidence/test_google_vm_checks.py",
    "tpm": "evidence/test_tpm_checks.py",
    "foreign_tpm": "evidence/test_tpm_foreign.py",
    "boot": "evidence/test_eventlog_boot.py",
    "payload": "evidence_logs/test_payload.py",
    "space": "evidence/test_confidential_space_checks.py",
    "nvidia": "evidence/test_nvidia_checks.py",
    "composite": "evidence/test_nvidia_composite.py",
    "ocsp": "evidence/test_ocsp.py",
    "rim": "reference/test_rim_checks.py",
    "dstack_events": "evidence_logs/test_dstack_events.py",
    "dstack_negatives": "evidence_logs/test_dstack_negatives.py",
    "dstack_borders": "evidence_logs/test_dstack_borders.py",
    "dstack_identity": "evidence_logs/test_dstack_identity.py",
    "dstack_image": "evidence_logs/test_dstack_image.py",
    "rules": "appraisal/test_rules.py",
    "verdicts": "appraisal/test_verdicts.py",
    "reading": "appraisal/test_policy_reading.py",
    "snp_rules": "appraisal/test_snp_rules.py",
    "nitro_rules": "appraisal/test_nitro_rules.py",
    "vtpm_rules": "appraisal/test_vtpm_rules.py",
    "relays": "guest/test_attacks.py",
    "gate": "leases/test_gate.py",
    "together": "appraisal/test_composite.py",
    "containers": "verification/test_opening_containers.py",
}


class Row(NamedTuple):
    """A known mistake.

    Attributes:
        defect: What went wrong.
        tests: Tests and inputs of tests that would find it, as ``file:name`` or ``file:TABLE[key]``.
        ids: Public identifiers of it.
        beyond: What of it no evidence can show, and why.
    """

    defect: str
    tests: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    beyond: str = ""


ROWS = {
    1: Row(
        "the quoting enclave's identity is neither verified nor compared",
        (
            "dcap:identity_with_another_signature",
            "dcap:identity_without_a_signature",
            "dcap:IDENTITY_DEFECTS",
            "dcap:ENCLAVE_DEFECTS[signer]",
            "dcap:ENCLAVE_DEFECTS[product]",
            "dcap:ENCLAVE_DEFECTS[attributes]",
            "dcap:enclave_in_debug_mode",
            "levels:test_the_enclave_drags_the_whole_down_and_dates_it",
        ),
        ("CVE-2026-22696", "GHSA-796p-j2gh-9m2q"),
    ),
    2: Row(
        "module ignored, statuses folded into yes, levels in any order, vendor, short lists, sizes, depths",
        (
            "dcap:module_that_nobody_identified",
            "dcap:module_identities_left_out",
            "dcap:module_of_another_signer",
            "dcap:vendor_that_is_not_intel",
            "dcap:level_of_an_unknown_status",
            "dcap:INFO_DEFECTS[fifteen_components]",
            "dcap:INFO_DEFECTS_OF_TDX[fifteen_tdx_components]",
            "documents:test_components_are_exactly_16",
            "der:test_an_element_never_reaches_outside_its_container",
            "levels:test_levels_are_sorted_here",
            "rules:test_a_weakness_passes_only_when_every_word_for_it_is_named",
            "rules:test_no_policy_at_all_admits_revoked_or_unknown",
            "here:test_sizes_that_nothing_backs_are_refused",
            "here:test_certificates_nested_without_end_are_refused",
            "here:test_documents_nested_without_end_are_refused",
        ),
        (
            "Phala-Network/dcap-qvl#124",
            "Phala-Network/dcap-qvl#125",
            "Phala-Network/dcap-qvl#126",
            "Phala-Network/dcap-qvl#127",
        ),
    ),
    3: Row(
        "any key under the root may sign collateral",
        (
            "dcap:documents_signed_by_a_pck_key",
            "dcap:documents_signed_by_a_pck_key_and_a_shorter_chain",
            "dcap:documents_signed_by_the_pck_authority",
            "dcap:documents_signed_by_the_root",
            "here:test_a_stolen_pck_key_writes_nothing_that_a_policy_could_see",
        ),
    ),
    4: Row(
        "names, PCE, spare halves, types, junk, roots, evaluation numbers and counters of performance pass",
        (
            "dcap:signer_with_another_name",
            "dcap:second_signer_with_another_name",
            "dcap:leaf_with_another_name",
            "dcap:authority_with_another_name",
            "dcap:info_of_another_pce",
            "dcap:report_with_more_than_a_commitment",
            "dcap:wrapper_of_another_type",
            "dcap:bytes_behind_the_chain",
            "dcap:bytes_behind_the_chain_inside_the_wrapper",
            "dcap:junk_behind_the_quote",
            "dcap:PEM_DEFECTS[text_before]",
            "dcap:PEM_DEFECTS[text_between]",
            "dcap:PEM_DEFECTS[text_behind]",
            "dcap:PEM_DEFECTS[two_certificates]",
            "dcap:root_of_somebody_else",
            "dcap:root_issued_again_for_the_same_key",
            "rules:test_one_changed_claim_fails_exactly_one_check",
            "rules:test_each_attribute_bit_has_its_own_check",
        ),
    ),
    5: Row(
        "legal quotes are refused",
        (
            "quote:test_authentication_data_of_any_length",
            "dcap:test_nothing_is_wrong_without_a_defect",
            "here:test_what_a_policy_decides_is_not_refused_by_the_verifier",
            "rules:test_service_tds",
        ),
    ),
    6: Row(
        "the hash of a whole quote is taken for its identity",
        (
            "flips:test_a_sample_of_bits",
            "flips:test_every_single_bit",
            "quote:test_padding_is_declared_and_changes_nothing_that_is_signed",
            "quote:test_the_digest_names_what_was_signed",
            "quote:test_a_forged_signature_is_refused_warm_as_well",
            "here:test_a_copy_with_other_unsigned_bytes_is_the_same_evidence",
        ),
    ),
    7: Row(
        "components of a versioned module are compared with those of the platform",
        (
            "levels:test_every_tdx_component_counts_but_those_of_a_versioned_module",
            "levels:test_relaunch_is_advised_through_a_whole_verification",
        ),
    ),
    8: Row(
        "an authority vouches for itself, and dates are not looked at",
        (
            "dcap:signer_under_its_own_root",
            "dcap:list_chain_to_another_root",
            "dcap:list_chain_without_its_root",
            "dcap:signer_that_expired",
            "quote:test_collateral_out_of_its_time_says_which_document_and_when",
        ),
        ("aleph-im/aleph-vm#1220", "aleph-im/aleph-vm#1195"),
    ),
    9: Row(
        "a current module hides an old platform; names in one case; a module's signer; what is optional",
        (
            "levels:test_merges",
            "levels:test_merging_forgets_no_weakness_whatever_the_order",
            "here:test_a_current_module_hides_no_revoked_platform",
            "levels:test_module_names_are_read_in_either_case",
            "dcap:module_of_another_signer",
            "dcap:module_signed_as_the_base_one_is",
            "quote:test_without_collateral_the_quote_itself_is_checked_and_the_rest_named",
            "quote:test_debug_is_a_claim",
            "rules:test_debug_is_seen_even_if_only_the_claim_says_so",
            "levels:test_processor_certificates_say_less",
            "quote:test_nothing_that_decides_has_a_default",
        ),
    ),
    10: Row(
        "what begins later holds already; half a commitment; codes that are neither success nor failure",
        (
            "dcap:leaf_of_tomorrow",
            "dcap:authority_of_tomorrow",
            "dcap:signer_of_tomorrow",
            "dcap:list_of_tomorrow",
            "dcap:report_with_more_than_a_commitment",
            "quote:test_collateral_out_of_its_time_says_which_document_and_when",
            "verdicts:test_accepted_needs_everything",
            "verdicts:test_genuine_but_outside_policy_is_refused",
        ),
    ),
    11: Row(
        "lists in one encoding, documents written again, offsets, null, the identity of another enclave",
        (
            "collateral:test_lists_as_pem",
            "dcap:info_written_again",
            "vectors:test_an_indented_answer_is_refused_over_its_raw_bytes",
            "dcap:identity_written_again",
            "quote:test_distinct_values_land_in_distinct_fields",
            "here:test_components_of_null_are_refused",
            "dcap:INFO_DEFECTS_OF_TDX[no_tdx_components]",
            "dcap:identity_of_the_other_enclave",
        ),
        ("confidential-dot-ai/attestation-rs#26",),
    ),
    12: Row(
        "nonces that can be rewritten, enclaves in debug mode, digests that nobody compares",
        (
            "dcap:user_data_changed_after_signing",
            "dcap:body_changed_after_signing",
            "binding:test_another_session_is_refused",
            "quote:test_debug_is_a_claim",
            "rules:test_one_changed_claim_of_an_enclave_fails_exactly_one_check",
            "gate:test_debug_is_refused",
        ),
        ("occlum/occlum#1121", "taikoxyz/taiko-mono#21824", "near/mpc#795"),
    ),
    13: Row(
        "the date of the whole is not that of its oldest part",
        (
            "levels:test_the_whole_is_as_old_as_its_oldest_part",
            "levels:test_the_module_drags_the_whole_down_and_dates_it",
            "levels:test_a_part_that_matches_no_level_leaves_the_whole_without_a_date",
        ),
        ("intel/MigTD#1048",),
    ),
    14: Row(
        "the comparison of chips never runs; components that are not stated are passed over",
        (
            "snp:certificate_of_another_chip",
            "snp:component_left_out",
            "snp:reserved_component_left_out",
            "report:test_a_component_that_is_not_stated_is_not_passed_over",
        ),
    ),
    15: Row(
        "the comparison of chips waits for a name that no certificate has, and for 64 bytes",
        (
            "report:test_the_chip_is_compared_for_a_certificate_with_its_real_name",
            "report:test_a_turin_names_eight_bytes",
            "snp:certificate_of_another_chip",
            "snp:chip_of_another_size",
            "snp:chip_with_bytes_behind_its_id",
        ),
    ),
    16: Row(
        "no root is pinned; no dates, extensions, lists, algorithm; a report is verified as written again",
        (
            "snp:root_of_a_stranger",
            "snp:root_that_nobody_has",
            "snp:key_expired",
            "snp:issuer_of_the_future",
            "snp:component_that_fits_no_byte",
            "snp:issuer_revoked",
            "snp:algorithm_of_the_future",
            "snp:last_reserved_byte",
            "report:test_every_bit_of_the_reserved_bytes_is_signed",
            "report:test_a_masked_chip_id_is_a_claim",
            "snp:chip_withheld",
        ),
    ),
    17: Row(
        "products and bits that are not known, lists for one of two issuers, versions compared as numbers",
        (
            "snp:test_nothing_is_wrong_without_a_defect",
            "report:test_policy_bits_of_the_future_are_claims",
            "report:test_a_crl_covers_the_issuer_of_providers_keys",
            "snp:one_component_above_in_a_tcb_that_is_larger_as_a_number",
            "snp_rules:test_security_versions_are_compared_one_by_one",
            "report:test_a_tcb_version_is_read_as_its_product_writes_it",
            "report:test_products",
            "snp:cpuid_of_another_product",
            "snp:structure_of_another_product",
        ),
    ),
    18: Row(
        "one product and one kind of key; chain and signature without collateral",
        (
            "snp:test_nothing_is_wrong_without_a_defect",
            "report:test_without_a_crl_everything_else_is_still_judged",
            "quote:test_without_collateral_the_quote_itself_is_checked_and_the_rest_named",
        ),
    ),
    19: Row(
        "reports of a product whose root seed is known are believed",
        (
            "here:test_no_tcb_of_a_forgeable_product_is_believed",
            "report:test_a_report_of_milan_can_be_forged_and_says_so",
            "snp_rules:test_milan_is_refused_until_the_policy_says_that_it_can_be_forged",
            "snp_rules:test_a_policy_for_other_platforms_cannot_name_milan",
        ),
        ("arXiv:2605.12990",),
    ),
    20: Row(
        "memory aliasing unchecked, microcode without the fixes, pages that the host may swap",
        (
            "report:test_a_memory_alias_check_that_was_not_made_is_a_claim",
            "here:test_what_keeps_the_host_from_the_memory_can_be_demanded",
            "here:test_every_security_version_can_be_demanded",
            "snp_rules:test_weaknesses",
            "snp_rules:test_security_versions_are_compared_one_by_one",
            "snp_rules:test_requirements",
            "snp_rules:test_only_a_policy_that_names_the_measurement_opens_a_gate",
        ),
        ("CVE-2024-21944", "CVE-2024-56161", "CVE-2024-36347", "CVE-2023-31346", "CVE-2025-0033"),
        beyond="Interrupts that a host injects into a guest's kernel change no field of a report. What helps"
        " is a guest that handles them, which only its measurement names.",
    ),
    21: Row(
        "an interposer on the memory bus takes the keys of a machine",
        (
            "rules:test_one_changed_claim_fails_exactly_one_check",
            "snp_rules:test_requirements",
            "composite:test_any_other_nonce_is_refused",
        ),
        beyond="A quote made with stolen keys is genuine to the last bit, and no TCB was changed for it. A"
        " policy can list the machines that somebody watches; the listed tests show that it can, and that a"
        " GPU has to answer the CPU beside it.",
    ),
    22: Row(
        "single steps through a TD, and migration to where nobody looks",
        (
            "levels:test_the_module_drags_the_whole_down_and_dates_it",
            "rules:test_grace_is_counted_from_the_components_own_date",
            "rules:test_each_attribute_bit_has_its_own_check",
        ),
        ("CVE-2024-27457",),
    ),
    23: Row(
        "evidence of another session is relayed or reflected",
        (
            "binding:test_another_session_is_refused",
            "dcap:binding_of_another_session",
            "dcap:binding_that_is_half_right",
            "relays:test_a_relay_through_a_second_genuine_guest",
            "relays:test_a_relay_whose_guest_has_the_same_launch_still_has_another_binding",
            "relays:test_start_evidence_for_another_session",
            "gate:test_every_slot_of_the_binding_counts",
        ),
        ("CVE-2026-33697",),
    ),
    24: Row(
        "digests of events are believed, preimages of another list, work without end, unmeasured arguments",
        (
            "dstack_negatives:test_flip_one_rtmr3_digest",
            "dstack_negatives:test_flip_a_payload_and_keep_its_digest",
            "dstack_negatives:test_flip_a_payload_and_recompute_its_digest",
            "dstack_events:test_an_event_that_contradicts_itself",
            "dstack_events:test_a_stripped_digest_is_recomputed",
            "dstack_borders:test_bounds",
            "dstack_borders:test_an_attestation_of_too_many_events",
            "tpm:one_bank_is_quoted_twice",
            "tpm:there_are_nine_selections",
            "dstack_identity:test_a_log_of_one_guest_beside_the_quote_of_another",
            "dstack_image:test_documents_that_pin_something_else",
            "here:test_values_presented_twice_are_refused_before_any_signature",
        ),
        ("GHSA-jwpv-vw5q-rj47", "Dstack-TEE/dstack#879", "Dstack-TEE/dstack#1294", "Dstack-TEE/dstack#1267"),
        beyond="That a log is extended while it is read is a race inside a guest, before there is evidence.",
    ),
    25: Row(
        "a quote over no or other PCRs; types of events that nothing measured; PCRs that no event explains",
        (
            "tpm:no_pcr_is_quoted",
            "tpm:the_values_are_relabelled",
            "tpm:less_is_presented_than_was_signed",
            "tpm:the_log_says_nothing_of_a_pcr",
            "boot:test_a_pcr_without_events_that_was_extended_is_refused",
            "payload:test_a_hashed_type_contradicts_another_digest",
            "payload:test_other_payloads_are_captions",
            "tpm:a_payload_is_not_what_was_hashed",
        ),
        ("CVE-2022-0317",),
    ),
    26: Row(
        "the signed selection is not that of the indices that are reported",
        (
            "azure:selection_that_was_relabelled",
            "azure:values_that_changed_places",
            "google:values_of_other_pcrs",
            "google:quote_that_leaves_out_what_is_relied_on",
            "tpm:the_values_are_relabelled",
        ),
    ),
    27: Row(
        "the indices of PCRs come from where nothing is signed",
        (
            "tpm:the_values_are_relabelled",
            "tpm:more_is_presented_than_was_signed",
            "tpm:less_is_presented_than_was_signed",
        ),
    ),
    28: Row(
        "the values of one bank are used, and the quote of another was verified",
        (
            "google:quote_of_another_bank_relabelled",
            "google:value_of_another_bank_that_was_not_quoted",
            "google:quote_of_another_bank_by_another_key",
            "azure:selection_of_another_bank",
            "tpm:the_values_are_presented_as_another_bank",
            "tpm:two_banks_are_quoted",
        ),
    ),
    29: Row(
        "an attestation key beside another machine's endorsement",
        (
            "tpm:another_public_area_is_presented",
            "tpm:an_attestation_key_issued_the_certificate",
            "google:key_below_another_hierarchy",
            "google:public_area_that_was_edited",
            "google:certificate_of_another_machine",
            "azure:certificate_of_another_machine",
            "vtpm_rules:test_an_absent_certificate_of_the_key_does_not_say_whose_it_is",
        ),
        ("CVE-2022-1053", "CVE-2023-38201", "CVE-2025-13609", "CVE-2026-1709", "GHSA-4jqp-9qjv-57m2"),
        beyond="Who may register a machine in a service's database is that service's own access control:"
        " there is no such database here, and no evidence shows it.",
    ),
    30: Row(
        "a structure that no TPM made, and a selection that nobody compares",
        (
            "tpm:no_tpm_made_the_structure",
            "tpm:the_structure_certifies_a_key",
            "tpm:the_values_are_relabelled",
            "azure:quote_that_no_tpm_made",
            "google:quote_that_no_tpm_made",
            "foreign_tpm:test_another_verifier_accepts_and_refuses_what_we_do",
        ),
        ("CVE-2024-29038", "CVE-2024-29039"),
    ),
    31: Row(
        "a beginning is compared; reference values are ignored; no nonce means no comparison",
        (
            "binding:test_a_beginning_of_what_is_carried_is_not_enough",
            "binding:test_what_begins_with_what_is_carried_is_not_enough",
            "binding:test_an_expectation_of_nothing_binds_nothing",
            "binding:test_no_expectation_is_a_word_that_is_said_and_seen",
            "together:test_nothing_ties_pieces_to_no_session",
            "containers:test_an_expectation_of_nothing_is_not_filled_up_with_zeros",
            "quote:test_nothing_that_decides_has_a_default",
            "rules:test_a_missing_reference_refuses",
            "reading:test_a_key_that_nothing_is_compared_with_is_refused",
            "verdicts:test_an_unchecked_binding_is_never_accepted",
            "verdicts:test_a_gate_needs_the_code_named_on_every_platform",
        ),
    ),
    32: Row(
        "a leaf on another curve, signatures under chains that failed, hashes by curve, order, keys twice",
        (
            "nitro_pitfalls:test_a_leaf_on_p521_is_refused_and_breaks_nothing",
            "nitro_pitfalls:test_no_signature_is_judged_under_a_chain_that_failed",
            "nitro_pitfalls:test_the_hash_is_the_headers_and_not_the_curves",
            "cose:test_a_key_of_another_kind_never_verifies",
            "nitro_pitfalls:test_the_order_of_the_bundle_matters",
            "nitro_pitfalls:test_a_register_that_stands_twice_is_refused",
            "nitro:kept_for_five_hours",
            "nitro:made_in_the_future",
            "nitro:member_twice",
        ),
    ),
    33: Row(
        "issuers that are no authorities, signatures in DER, stale documents, PCR 1 and 2, metadata",
        (
            "nitro_pitfalls:test_an_issuer_that_is_no_authority_is_refused",
            "nitro_pitfalls:test_a_signature_in_der_is_refused",
            "cose:test_a_signature_in_der_is_refused",
            "nitro_pitfalls:test_a_stale_document_is_refused_whatever_is_remembered",
            "nitro_pitfalls:test_a_nonce_that_nobody_compared_binds_nothing",
            "document:test_the_binding_rides_on_the_carrier_that_was_named",
            "nitro_pitfalls:test_the_first_registers_are_claims_of_their_own",
            "nitro_pitfalls:test_metadata_of_an_image_attest_nothing",
            "nitro_rules:test_which_registers_name_the_code",
        ),
        ("aptos-labs/aptos-core#20103",),
    ),
    34: Row(
        "chains in headers without a root, lifetimes inverted, no audience, no authority, a default key",
        (
            "space:root_of_a_stranger",
            "space:root_that_was_not_given",
            "space:leaf_has_expired",
            "space:leaf_is_not_valid_yet",
            "space:intermediate_has_expired",
            "space:intermediate_is_no_authority",
            "space:leaf_issued_by_the_root",
            "space:test_what_the_claims_must_be",
            "space:test_an_unknown_key_says_what_is_needed",
            "space:test_what_every_token_format_refuses",
        ),
    ),
    35: Row(
        "certificates on hold, answers about others or of long ago, no golden values, GPUs from elsewhere",
        (
            "nvidia:chip_on_hold",
            "rim:test_hold_is_admitted_by_its_own_word_only_and_said",
            "ocsp:test_an_answer_is_about_one_certificate_of_one_issuer",
            "nvidia:answer_about_another_serial_number",
            "nvidia:answer_about_the_same_number_of_another_issuer",
            "nvidia:stale_answer",
            "nvidia:answer_without_the_nonce",
            "nvidia:test_a_manifest_without_active_values",
            "nvidia:measurement_that_nobody_knows",
            "nvidia:test_one_device_presented_twice_is_not_two",
            "composite:test_any_other_nonce_is_refused",
        ),
    ),
    36: Row(
        "canonical logs are read with what nothing covers in them",
        (
            "boot:test_a_malformed_canonical_log_is_refused",
            "boot:test_canonical_logs_are_bounded",
            "boot:test_content_that_is_no_single_tlv_has_no_nested_value",
            "boot:test_no_change_of_a_log_is_accepted_outside_its_unsigned_regions",
            "tpm:the_launchers_log_begins_late",
            "tpm:a_records_content_is_not_what_was_hashed",
            "google:launcher_that_measured_into_no_pcr",
        ),
        ("google/go-tpm-tools#246",),
    ),
    37: Row(
        "readers of CBOR, JSON, base64 and tokens that take what they like",
        (
            "nitro_pitfalls:test_what_lax_readers_of_cbor_accept_is_refused",
            "cbor:test_everything_else_is_refused",
            "cbor:test_keys_that_python_takes_for_one_are_never_merged",
            "json:test_json_that_is_refused",
            "dcap:TEXT_DEFECTS[a_member_twice]",
            "dcap:TEXT_DEFECTS[not_a_number]",
            "jose:test_what_is_no_base64url",
            "jose:test_what_is_no_base64",
            "jose:test_no_other_text_for_any_value",
            "jose:test_there_is_no_algorithm_without_a_key",
            "space:test_what_every_token_format_refuses",
            "space:test_what_the_claims_must_be",
        ),
    ),
    38: Row(
        "serial number zero, RSA-PSS in chains, issuers that are compared by signature alone",
        (
            "snp_formats:test_a_certificate_with_serial_zero_is_read",
            "snp:test_nothing_is_wrong_without_a_defect",
            "snp:issuer_signed_with_another_hash",
            "snp:key_expired",
            "snp:issuer_that_is_no_authority",
        ),
        ("pyca/cryptography#12853", "pyca/cryptography#12948"),
    ),
}


@cache
def _inside(file: str) -> dict[str, frozenset[str]]:
    """Return the tests, registered inputs and tables of a file; of a table of names, its names as well."""
    tree = ast.parse((TESTS / file).read_text())
    found: dict[str, frozenset[str]] = {}
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) if name.startswith("test_") or node.decorator_list:
                found[name] = frozenset()
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict(keys=keys)):
                found[name] = frozenset(key.value for key in keys if isinstance(key, ast.Constant))
    # Of Confidential Space's chains the inputs stand in one test's table by their functions' names.
    tables = {name.id for name in ast.walk(tree) if isinstance(name, ast.Name)}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in tables:
            found.setdefault(node.name, frozenset())
    return found


@pytest.mark.parametrize("number", ROWS)
def test_a_known_mistake_has_tests_or_a_reason(number):
    row = ROWS[number]
    assert row.defect
    assert row.tests or row.beyond
    for named in row.tests:
        file, _, name = named.partition(":")
        table, _, key = name.removesuffix("]").partition("[")
        inside = _inside(FILES[file])
        assert table in inside, named
        assert not key or key in inside[table], named


def test_every_known_mistake_is_listed():
    assert list(ROWS) == list(range(1, 39))
    named = [test.partition(":") for row in ROWS.values() for test in row.tests]
    assert {file for file, _, _ in named} == FILES.keys()


def codes(result) -> list[str]:
    return [check.code for check in result.ledger.failed()]


def judged(spoil, platform="tdx", version=4):
    return codes(dcap_scenes.spoilt(spoil, platform, version))


# --- Quotes


@pytest.mark.parametrize(
    ("at", "size"), [(632, 4), (766, 4), (1218, 2)], ids=["section", "wrapper", "authentication data"]
)
def test_sizes_that_nothing_backs_are_refused(at, size):
    """No memory is taken for a number: it is compared with what is there."""

    def spoil(stage):
        stage.after_quote = lambda quote: quote[:at] + b"\xff" * size + quote[at + size :]

    (code,) = judged(spoil)
    assert code in ("dcap.quote.truncated", "dcap.quote.length")


def test_certificates_nested_without_end_are_refused():
    nested = b""
    for _ in range(1500):
        nested = dcap_scenes.encode(0x30, nested)

    def spoil(stage):
        stage.quote.certificates[0] = dcap_scenes.stand_in(nested, dcap_scenes.STRANGER).certificate

    assert judged(spoil) == ["dcap.pck.malformed"]


def test_documents_nested_without_end_are_refused():
    def spoil(stage):
        from assay.simulator.endorsements import compact

        deep = b"[" * 50000 + b"]" * 50000
        stage.collateral.tcb_info_bytes = compact(stage.collateral.tcb_info)[:-1] + b',"x":' + deep + b"}"

    assert judged(spoil) == ["dcap.tcb_info.layout"]


def test_components_of_null_are_refused():
    def spoil(stage):
        stage.collateral.tcb_info["tcbLevels"][0]["tcb"]["tdxtcbcomponents"] = None

    assert judged(spoil) == ["dcap.tcb_info.layout"]


def test_a_stolen_pck_key_writes_nothing_that_a_policy_could_see():
    """Its chain ends in the pinned root, and it would say of its own platform what it likes."""

    def spoil(stage):
        thief = dcap_scenes.INTEL.machine("a machine whose key was extracted").pck
        dcap_scenes.signer(stage, thief, [thief, dcap_scenes.INTEL.platform_ca, dcap_scenes.INTEL.root])

    result = dcap_scenes.spoilt(spoil)
    assert codes(result) == ["dcap.tcb_signer.chain"]
    with pytest.raises(EvidenceError):
        _ = result.claims


def test_what_a_policy_decides_is_not_refused_by_the_verifier():
    """A TD that takes exceptions at its pages, with a service TD beside it, is genuine."""
    stage = dcap_scenes.scene("tdx", 5)
    stage.quote.body["td_attributes"] = bytes(8)
    stage.quote.body["mr_service_td"] = b"\x07" * 48
    result = dcap_scenes.judge(stage.finish())
    assert result.bound
    assert result.claims.td_attributes == bytes(8)
    assert result.claims.mr_service_td == b"\x07" * 48


def test_a_copy_with_other_unsigned_bytes_is_the_same_evidence():
    evidence = dcap_scenes.scene().finish()
    facts = FactCache()
    first = dcap_scenes.judge(evidence, facts=facts)
    stage = dcap_scenes.scene()
    stage.after_quote = lambda quote: quote + bytes(70)
    second = dcap_scenes.judge(stage.finish(), facts=facts)
    assert first.bound
    assert second.bound
    assert first.signed_digest == second.signed_digest
    assert [region.start for region in second.unsigned] != [region.start for region in first.unsigned]


def test_a_current_module_hides_no_revoked_platform():
    stage = dcap_scenes.scene()
    stage.collateral.tcb_info["tcbLevels"][0]["tcbStatus"] = "Revoked"
    tcb = dcap_scenes.judge(stage.finish()).claims.tcb
    assert (tcb.status, tcb.module_status) == (TcbStatus.REVOKED, TcbStatus.UP_TO_DATE)


# --- Reports


@pytest.mark.parametrize("version", [2, 3, 5])
def test_no_tcb_of_a_forgeable_product_is_believed(version):
    """The newest firmware does not help: whoever has the seed signs for any."""
    result = snp_scenes.judge(snp_scenes.scene(Product.MILAN, version).finish())
    assert result.authentic
    assert result.claims.forgeable


@pytest.mark.parametrize(
    ("key", "bit"),
    [
        ("guest_policy.single_socket", 20),
        ("guest_policy.cxl", 21),
        ("guest_policy.aes_256_xts", 22),
        ("guest_policy.rapl_disabled", 23),
        ("guest_policy.ciphertext_hiding", 24),
        ("guest_policy.page_swap_disabled", 25),
        ("platform_info.tsme", 1),
        ("platform_info.ecc", 2),
        ("platform_info.rapl_disabled", 3),
        ("platform_info.ciphertext_hiding", 4),
        ("platform_info.tio", 7),
    ],
)
def test_what_keeps_the_host_from_the_memory_can_be_demanded(key, bit):
    """Pages that move and ciphertext that can be read tell the host what a guest does."""
    name, kind = ("policy", GuestPolicy) if key.startswith("guest") else ("platform", PlatformInfo)
    without = getattr(SNP, name).raw
    demanded = policy(f"{key} = true")
    assert judged_snp(snp(**{name: kind(without | 1 << bit)}), demanded).accepted
    refused = judged_snp(snp(**{name: kind(without)}), demanded)
    assert codes(refused) == [f"policy.snp.{key}.mismatch"]


@pytest.mark.parametrize("least", ["bl", "tee", "snp", "ucode"])
def test_every_security_version_can_be_demanded(least):
    """A fix in microcode raises one number, which must not vanish among the others."""
    places = {"bl": 0, "tee": 1, "snp": 6, "ucode": 7}
    raw = bytearray(SNP.reported_tcb.raw)
    raw[places[least]] += 1
    numbers = "\n".join(f"{name} = {raw[place]}" for name, place in places.items())
    demanded = policy(tcb=f"[snp.min_tcb.genoa]\n{numbers}\n")
    (code,) = codes(judged_snp(SNP, demanded))
    assert code.startswith("policy.snp.")
    newest = TcbVersion(Product.GENOA, bytes(raw))
    fixed = snp(reported_tcb=newest, current_tcb=newest, committed_tcb=newest, launch_tcb=newest)
    assert judged_snp(fixed, demanded).accepted


# --- Virtual and other TPMs


def test_values_presented_twice_are_refused_before_any_signature():
    """A list of values that repeats itself costs one look, not one hash for each."""
    found = tpm_scenes.draft()
    data = found.encode()
    result = tpm_scenes.judge(data + data, given=found.public)
    assert codes(result)[0].startswith("tpm.evidence.layout")
    assert result.ledger["tpm.quote.signature"].outcome.value == "not_checked"
