"""An album's people in a file that only the holder of the key can read.

What makes the same person get the same new face is a mean embedding, from which a recogniser knows the
person: it must never lie about in the clear. Fernet (AES and HMAC) of the package cryptography, with a
key derived from the user's by HKDF (RFC 5869).
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import torch

from ..errors import InputDamaged
from ..files import atomic_path
from ..identity.population import Attributes
from .people import Person

VERSION = 1


def read_people(path: Path, key: bytes) -> list[Person]:
    """The people in a file; nobody where there is none. Raises `InputDamaged`, also for another key."""
    from cryptography.fernet import InvalidToken

    if not path.is_file():
        return []
    try:
        content = json.loads(_cipher(key).decrypt(path.read_bytes()))
        return [
            Person(torch.tensor([one["embedding"]]), Attributes(*one["attributes"]), one["faces"])
            for one in content["people"]
        ]
    except (InvalidToken, ValueError, KeyError, TypeError):
        raise InputDamaged(
            f"{path} cannot be read with this key; use the key it was made with, or choose another "
            f"output folder"
        ) from None


def write_people(path: Path, people: list[Person], key: bytes) -> None:
    """Write all people at once. Raises `OutputNotWritable`."""
    rows = [
        {
            "embedding": person.embedding[0].tolist(),
            "attributes": [person.attributes.gender, person.attributes.age, person.attributes.tone],
            "faces": person.faces,
        }
        for person in people
    ]
    text = json.dumps({"version": VERSION, "people": rows})
    with atomic_path(path) as partial:
        partial.write_bytes(_cipher(key).encrypt(text.encode()))


def _cipher(key: bytes):
    from cryptography.fernet import Fernet
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    derived = HKDF(SHA256(), 32, salt=None, info=b"anonlab album").derive(key)
    return Fernet(base64.urlsafe_b64encode(derived))
