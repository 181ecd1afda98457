"""Chapter 3: SCRAM-SHA-256 (RFC 5802, RFC 7677), without messages and sockets."""

import hashlib
import hmac
from typing import NamedTuple


class Verifier(NamedTuple):
    """What a server keeps of a password. Neither key is the password, and nobody can log in with them alone."""

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes


def mac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")


def xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def salted(password: str, salt: bytes, iterations: int) -> bytes:
    """SaltedPassword: PBKDF2-HMAC-SHA-256, 32 bytes."""
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)


def enrol(password: str, salt: bytes, iterations: int) -> Verifier:
    """What the server keeps: StoredKey = H(ClientKey), ServerKey = HMAC(SaltedPassword, "Server Key")."""
    raise NotImplementedError  # TODO


def prove(password: str, salt: bytes, iterations: int, auth_message: bytes) -> bytes:
    """The client's proof: ClientKey XOR HMAC(StoredKey, AuthMessage)."""
    raise NotImplementedError  # TODO


def check(verifier: Verifier, auth_message: bytes, proof: bytes) -> bytes | None:
    """The server's signature, HMAC(ServerKey, AuthMessage), if the proof is right; otherwise None."""
    raise NotImplementedError  # TODO


def impersonate(verifier: Verifier, heard: tuple[bytes, bytes], auth_message: bytes) -> bytes:
    """What a thief can do: a right proof for a new login.

    The thief has stolen the verifier, and heard one login: its AuthMessage and its proof.
    """
    raise NotImplementedError  # TODO
