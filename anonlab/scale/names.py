"""What an output is called: a keyed hash of the photo's id, which tells nothing of the name it had."""

from __future__ import annotations

import hashlib

NAME_BYTES = 16  # of the hash
NUMBER_BYTES = 8  # of it, which are the row's number in the checkpoint: ids are held in memory there
SHARD_DIGITS = 3  # of the name, which are the folder: 4096 of them


class Names:
    """Names from ids, by the user's secret.

    A plain hash could be looked up by whoever guesses an id ("anna.jpg"); for this one the key is
    needed. The key goes through scrypt first, so that names and ids together are no quick way to try
    keys either. The same key gives the same names on every machine.
    """

    def __init__(self, key: bytes):
        self.secret = hashlib.scrypt(
            key, salt=b"anonlab: names of outputs", n=1 << 14, r=8, p=1, dklen=32
        )

    def __call__(self, identifier: str) -> tuple[int, str]:
        """The number (64 bits, signed) and the name (32 hexadecimal digits) of an id."""
        digest = self._digest(b"name", identifier.encode("utf-8", "surrogateescape"), NAME_BYTES)
        return int.from_bytes(digest[:NUMBER_BYTES], "big", signed=True), digest.hex()

    def fingerprint(self) -> str:
        """4 bytes: too few to guess a key by, enough to notice that it is another one."""
        return self._digest(b"fingerprint", b"", 4).hex()

    def _digest(self, use: bytes, text: bytes, size: int) -> bytes:
        return hashlib.blake2b(text, key=self.secret, digest_size=size, person=use).digest()


def shard(name: str) -> str:
    """The folder of an output, below `photos`."""
    return name[:SHARD_DIGITS]
