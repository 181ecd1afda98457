"""Chapter 4: a server must not be able to read what it stores, or change it unnoticed. With HMAC-SHA-256 alone."""

import hmac
from typing import NamedTuple


class Place(NamedTuple):
    """Where a piece belongs."""

    user: str
    path: str
    piece: int


class Damaged(Exception):
    """Not what was sealed for this place."""


def mac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")


def crypt(key: bytes, nonce: bytes, data: bytes) -> bytes:
    """Encrypts and decrypts: XOR with HMAC(key, nonce || 0), HMAC(key, nonce || 1), … (8 bytes, big-endian)."""
    blocks = (mac(key, nonce + number.to_bytes(8, "big")) for number in range(-(-len(data) // 32)))
    return bytes(a ^ b for a, b in zip(data, b"".join(blocks)))


def read_without_a_key(first: bytes, second: bytes, second_plain: bytes) -> bytes:
    """What is in the first of two pieces that were encrypted with one key and one nonce, if you know the second."""
    # course: begin solution
    return bytes(a ^ b ^ c for a, b, c in zip(first, second, second_plain))
    # course: starter
    #: raise NotImplementedError  # TODO
    # course: end solution


def context(place: Place) -> bytes:
    """The place as bytes, such that no two places have the same."""
    # course: begin solution
    words = [place.user.encode(), place.path.encode(), bytes([place.piece])]
    return b"".join(len(word).to_bytes(4, "big") + word for word in words)
    # course: starter
    #: # Why is this wrong?
    #: return f"{place.user}{place.path}{place.piece}".encode()
    # course: end solution


def seal(key: bytes, nonce: bytes, place: Place, data: bytes) -> bytes:
    """nonce (16 bytes) || encrypted bytes || MAC (32 bytes). Encrypt first, then MAC; one key for each."""
    # course: begin solution
    body = nonce + crypt(mac(key, b"encrypt"), nonce, data)
    return body + mac(mac(key, b"seal"), context(place) + body)
    # course: starter
    #: return nonce + crypt(key, nonce, data) + bytes(32)  # TODO: the MAC, and keys
    # course: end solution


def unseal(key: bytes, place: Place, sealed: bytes) -> bytes:
    """The bytes that were sealed. Raises Damaged before it decrypts anything that is not what was sealed here."""
    # course: begin solution
    body, tag = sealed[:-32], sealed[-32:]
    if len(body) < 16 or not hmac.compare_digest(tag, mac(mac(key, b"seal"), context(place) + body)):
        raise Damaged
    return crypt(mac(key, b"encrypt"), body[:16], body[16:])
    # course: starter
    #: return crypt(key, sealed[:16], sealed[16:-32])  # TODO
    # course: end solution
