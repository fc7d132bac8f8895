"""Files that look like secrets, by name and by how they begin: sent only when named with ``--include``.

A guess in both directions: it protects from the common accident, not from somebody who hides a secret.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Final

HEAD_BYTES: Final = 4096
"""How much of a file's beginning is looked at."""

_NAMES: Final = (
    ".env", ".env.*", "*.env", ".envrc", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore",
    "*.kdbx", "*.ppk", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "id_*_sk", "*.ovpn", ".netrc",
    "_netrc", ".npmrc", ".pypirc", ".yarnrc.yml", ".pgpass", ".my.cnf", ".htpasswd", ".git-credentials",
    ".dockercfg", ".docker/config.json", "credentials", "credentials.json", "credentials.toml",
    "credentials.yaml", "credentials.yml", "*_credentials.json", "client_secret*.json",
    "service-account*.json", "service_account*.json", "application_default_credentials.json", "secrets.toml",
    "secrets.yaml", "secrets.yml", "secrets.json", "kubeconfig", "*.kubeconfig", ".kube/config",
    "*.tfstate", "*.tfstate.*", "*.tfvars", "terraform.rc", ".terraformrc", ".vault-token",
    ".vault_pass*", "*.gpg", "*.asc", "*.age", "master.key", "wp-config.php", ".boto", ".s3cfg",
    ".rclone.conf", "rclone.conf", ".cargo/credentials", "gha-creds-*.json", ".bash_history",
    ".zsh_history", ".python_history", ".psql_history", ".mysql_history",
)  # fmt: skip
_HARMLESS: Final = (
    ".env.example", ".env.sample", ".env.template", ".env.dist", "*.pub", "*.pub.pem", "*.crt.pem",
    "*.cert.pem",
)  # fmt: skip
_BEGINNINGS: Final = re.compile(
    rb"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    rb"|AGE-SECRET-KEY-1[0-9A-Z]|PuTTY-User-Key-File-\d"
    rb"|\A\xfe\xed\xfe\xed"  # a Java key store
    rb"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"  # an AWS access key id
    rb"|\bgh[pousr]_[A-Za-z0-9]{36,}|\bgithub_pat_[A-Za-z0-9_]{22,}"
    rb"|\bxox[abpr]-[A-Za-z0-9-]{10,}|\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}"
    rb"|\"private_key\"\s*:\s*\"-----BEGIN"
    rb"|(?m:^kind:\s*Config\s*$)(?s:.*)client-key-data:"
)


def named_like_a_secret(path: str) -> bool:
    """Return whether the last part of ``path``, or its last two, is a usual name of a secret.

    Args:
        path: Relative path with ``/`` between its parts; compared without regard to case.
    """
    parts = path.lower().split("/")
    name, pair = parts[-1], "/".join(parts[-2:])
    if any(fnmatchcase(name, pattern) for pattern in _HARMLESS):
        return False
    return any(fnmatchcase(pair if "/" in pattern else name, pattern) for pattern in _NAMES)


def begins_like_a_secret(head: bytes) -> bool:
    """Return whether the first ``HEAD_BYTES`` of a file hold a private key or a well-known token."""
    return _BEGINNINGS.search(head[:HEAD_BYTES]) is not None
