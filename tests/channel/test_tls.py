"""What the TLS layer itself refuses, shown on pairs of TLS objects over memory buffers."""

from __future__ import annotations

import ssl

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from assay.channel import identity, tls
from assay.channel.owner import OwnerKey
from assay.errors import ChannelError


class Pair:
    """Both ends of one handshake, driven by hand."""

    def __init__(self, server: ssl.SSLContext, client: ssl.SSLContext, session=None) -> None:
        up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.server = server.wrap_bio(up, down, server_side=True)
        self.client = client.wrap_bio(down, up, server_side=False, session=session)
        done = set()
        while len(done) < 2:
            for end in (self.client, self.server):
                try:
                    end.do_handshake()
                    done.add(end)
                except ssl.SSLWantReadError:
                    pass

    def exchange(self) -> None:
        """Let the client read what the server had to say after the handshake: tickets."""
        self.server.write(b"x")
        assert self.client.read(1) == b"x"


@pytest.fixture(scope="module")
def owner():
    return OwnerKey.create()


@pytest.fixture
def channel_key():
    return ec.generate_private_key(ec.SECP256R1())


def code_of(call, *arguments):
    with pytest.raises(ChannelError) as found:
        call(*arguments)
    return found.value.code


def test_both_ends_meet_the_key_they_expect(owner, channel_key):
    pair = Pair(tls.guest_context(channel_key, owner.certificate()), tls.owner_context(owner))
    tls.require_peer(pair.client, identity.spki_of(channel_key.public_key()))
    tls.require_peer(pair.server, owner.spki)
    assert pair.client.version() == "TLSv1.3"


def test_another_key_is_refused(owner, channel_key):
    pair = Pair(tls.guest_context(channel_key, owner.certificate()), tls.owner_context(owner))
    assert code_of(tls.require_peer, pair.client, owner.spki) == "channel.tls.peer_key"
    assert code_of(tls.require_peer, pair.server, OwnerKey.create().spki) == "channel.tls.peer_key"


def test_a_guest_trusts_one_client_certificate(owner, channel_key):
    with pytest.raises(ssl.SSLError):
        Pair(tls.guest_context(channel_key, owner.certificate()), tls.owner_context(OwnerKey.create()))


def test_a_client_without_a_certificate_is_refused(owner, channel_key):
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    client.set_alpn_protocols([tls.ALPN])
    with pytest.raises(ssl.SSLError):
        Pair(tls.guest_context(channel_key, owner.certificate()), client)


def test_the_protocol_is_fixed(owner, channel_key):
    client = tls.owner_context(owner)
    client.set_alpn_protocols(["h2"])
    pair = Pair(tls.guest_context(channel_key, owner.certificate()), client)
    assert code_of(tls.require_peer, pair.server, owner.spki) == "channel.tls.protocol"


def test_older_tls_is_refused(owner, channel_key):
    client = tls.owner_context(owner)
    client.minimum_version = ssl.TLSVersion.TLSv1_2
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        Pair(tls.guest_context(channel_key, owner.certificate()), client)


def test_a_guest_gives_no_ticket(owner, channel_key):
    context = tls.guest_context(channel_key, owner.certificate())
    client = tls.owner_context(owner)
    first = Pair(context, client)
    first.exchange()
    assert not first.client.session.has_ticket
    second = Pair(context, client, session=first.client.session)
    assert not second.server.session_reused


def test_a_resumed_session_is_refused_by_both_ends(owner, channel_key):
    context = tls.guest_context(channel_key, owner.certificate())
    # A guest that is not ours, or is broken, hands out tickets.
    context.options &= ~ssl.OP_NO_TICKET
    context.num_tickets = 1
    client = tls.owner_context(owner)
    first = Pair(context, client)
    first.exchange()
    second = Pair(context, client, session=first.client.session)
    assert second.client.session_reused
    key = identity.spki_of(channel_key.public_key())
    assert code_of(tls.require_peer, second.client, key) == "channel.session.resumed"
    assert code_of(tls.require_peer, second.server, owner.spki) == "channel.session.resumed"
