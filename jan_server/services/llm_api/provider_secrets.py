"""Provider keys at rest: AES-256-GCM under the installation's own secret.

A stored key is the base64 text of a 12-byte nonce, the ciphertext and its 16-byte tag; the AES
key is `MODEL_PROVIDER_SECRET`, padded with zero bytes or cut to 32 bytes
(contract/llm-api.md, section 22.4), so that databases written by earlier versions stay readable.
"""

from __future__ import annotations

import base64
import binascii
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_KEY_BYTES = 32
_HINT_LENGTH = 4


class UnreadableKey(Exception):
    """A stored key cannot be decrypted; the text says what to do about it."""


class ProviderSecrets:
    """Encrypts and decrypts provider keys.

    Raises:
        ValueError: The secret is blank.
    """

    def __init__(self, secret: str) -> None:
        if not secret.strip():
            raise ValueError(
                "MODEL_PROVIDER_SECRET (services.llm_api.model_provider_secret) is not set: it encrypts "
                "the keys of model providers, and `jan quickstart` makes one"
            )
        self._cipher = AESGCM(secret.encode()[:_KEY_BYTES].ljust(_KEY_BYTES, b"\0"))

    def encrypt(self, key: str) -> str:
        """The stored form of `key`; empty for an empty key."""
        if not key:
            return ""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, key.encode(), None)).decode()

    def decrypt(self, stored: str) -> str:
        """The key behind its stored form.

        Raises:
            UnreadableKey: It was encrypted under another secret, or is damaged.
        """
        if not stored:
            return ""
        try:
            sealed = base64.b64decode(stored, validate=True)
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None).decode()
        except (binascii.Error, InvalidTag, ValueError) as failure:
            raise UnreadableKey(
                "a provider's stored key cannot be decrypted: MODEL_PROVIDER_SECRET is not the one "
                "under which it was written; restore that secret or set the provider's key again"
            ) from failure

    def holds(self, stored: str, key: str) -> bool:
        """Whether `stored` is the form of `key` under this secret."""
        try:
            return self.decrypt(stored) == key
        except UnreadableKey:
            return False


def key_hint(key: str) -> str:
    """The last four characters of a key, by which an operator recognises it."""
    return key[-_HINT_LENGTH:] if len(key) > _HINT_LENGTH else ""
