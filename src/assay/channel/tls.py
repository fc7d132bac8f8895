"""TLS 1.3 between one owner and one guest: each end knows the one key it will meet.

No certificate authority, no names, no resumption, no tickets, no early data. The guest trusts exactly the
certificate in the HELLO, after its key was found equal to the measured one; the owner compares the key of the
guest's certificate with the channel key of the appraised Evidence before the first application byte.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from assay.channel import identity
from assay.errors import ChannelError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

    from assay.channel.owner import OwnerKey

ALPN = "assay/1"


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.options |= ssl.OP_NO_TICKET
    context.set_alpn_protocols([ALPN])
    return context


def guest_context(key: ec.EllipticCurvePrivateKey, owner_certificate: bytes) -> ssl.SSLContext:
    """Return the guest's context for one session.

    Args:
        key: The channel key, made for this session.
        owner_certificate: DER, whose key was found to be the owner's.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=owner_certificate)
    identity.load_into(context, identity.self_signed(key, "assay guest"), identity.private_pem(key))
    return context


def owner_context(owner: OwnerKey) -> ssl.SSLContext:
    """Return the owner's context. It verifies no chain: ``require_peer`` compares the key itself."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    identity.load_into(context, owner.certificate(), owner.pem())
    return context


def require_peer(tls: ssl.SSLObject, spki: bytes) -> None:
    """Refuse a finished handshake unless it was a full one, of our protocol, with the holder of ``spki``.

    Raises:
        ChannelError: ``channel.session.resumed``, ``channel.tls.protocol``, ``channel.tls.peer_key``.
    """
    if tls.session_reused:
        raise ChannelError("channel.session.resumed", "The peer resumed an earlier session.")
    if tls.version() != "TLSv1.3" or tls.selected_alpn_protocol() != ALPN:
        raise ChannelError("channel.tls.protocol", "The peer does not speak this protocol.")
    certificate = tls.getpeercert(binary_form=True)
    if not certificate or identity.spki_of_certificate(certificate) != spki:
        raise ChannelError("channel.tls.peer_key", "The peer's TLS key is not the one that it must have.")
