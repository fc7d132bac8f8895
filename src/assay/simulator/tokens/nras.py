"""An answer of the simulated NRAS before it is signed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assay.simulator.tokens.signing import compact

if TYPE_CHECKING:
    from assay.simulator.tokens.signing import TokenDraft


@dataclass(slots=True)
class NrasDraft:
    """The overall token and the devices' tokens; each may be changed before they are signed.

    Attributes:
        overall: Its ``submods`` are set to the devices' digests, then changed by ``submods``.
        devices: Name -> token.
        submods: Digests that are stated instead of the right ones; None under a name leaves it out.
        wrapped: Whether the client's own software wraps the answer once more.
    """

    overall: TokenDraft
    devices: dict[str, TokenDraft]
    submods: dict[str, Any] = field(default_factory=dict)
    wrapped: bool = False

    def sign(self) -> bytes:
        """Return the answer, JSON."""
        tokens = {name: draft.sign() for name, draft in self.devices.items()}
        stated: dict[str, Any] = {
            name: ["DIGEST", ["SHA-256", hashlib.sha256(token).hexdigest()]] for name, token in tokens.items()
        }
        stated |= self.submods
        self.overall.claims["submods"] = {
            name: digest for name, digest in stated.items() if digest is not None
        }
        answer: list[Any] = [
            ["JWT", self.overall.sign().decode()],
            {name: token.decode() for name, token in tokens.items()},
        ]
        if self.wrapped:
            answer = [["JWT", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA"], {"REMOTE_GPU_CLAIMS": answer}]
        return compact(answer)
