"""Evaluate person by person, and keep a file for each that is done, so that it can be interrupted.

Finished people are not measured again as long as photos, protocol, judges, weights and
`PROTOCOL_VERSION` are the same. Nothing but numbers, embeddings and small pictures for the contact
sheets is kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from ..errors import AnonlabError, InputMissing
from ..generators.samples import open_photo
from ..images import to_uint8
from ..photo.faces import align
from ..photo.photos import read_photo
from ..pipeline import Anonymizer
from ..weights import store
from .judging import Instruments
from .measure import Faces, measure
from .methods import ORIGINAL, SIZE, Protocol
from .peers import k_same, original, single_face_peers
from .people import Person
from .results import Evaluation, PersonResult, read_result, write_result

PROTOCOL_VERSION = 1  # raise it when a change of code alters a kept number or picture


def evaluate(
    anonymizer: Anonymizer,
    people: Sequence[Person],
    instruments: Instruments,
    protocol: Protocol,
    state: Path,
    progress: bool = False,
    workers: int = 1,
) -> Evaluation:
    """Measure everybody; finished people are read from `state`, the rest is added to it.

    Missing or damaged photos, photos without a face and people with one photo only are named in
    `problems`, and everybody else is still evaluated. `workers` people are measured at a time, each
    on one core when there are several; the few on whom the slow parts are tried come one by one.
    Memory: 5 MB a person. Raises `InputMissing` when nobody is left.
    """
    problems: list[dict[str, str]] = []
    faces = []
    for person in tqdm(people, desc="looking", unit="person", disable=not progress):
        found = aligned_faces(anonymizer, person, problems)
        if found.pixels:
            faces.append(found)
    if not faces:
        raise InputMissing("nobody can be evaluated, because no photo shows a face; check the folder")
    peers = single_face_peers() if protocol.peers else {ORIGINAL: original}
    means = _means(faces, 0, protocol.k), _means(faces, 1, protocol.k)
    fingerprints = fingerprints_of(anonymizer)
    setting = depends_on(anonymizer, instruments, protocol, fingerprints)
    setting["people"] = [one.digests for one in faces]  # k-same mixes them

    def one_person(number: int) -> PersonResult:
        one = faces[number]
        slow = (number < protocol.calibrated, number < protocol.optimised)
        name = hashlib.sha256(json.dumps([setting, one.person.name, one.digests, slow]).encode())
        path = state / f"{name.hexdigest()[:24]}.safetensors"
        result = read_result(path)
        if result is None:
            mine = (pictures[number] for pictures in means)
            result = measure(anonymizer, one, instruments, protocol, *slow, *mine, peers)
            write_result(path, result)
        return result

    first = max(protocol.calibrated, protocol.optimised)  # gigabytes each: one after the other
    results = []
    with tqdm(total=len(faces), desc="measuring", unit="person", disable=not progress) as bar:
        for part, at_a_time in ((faces[:first], 1), (faces[first:], workers)):
            start = len(results)
            with _map(at_a_time) as apply:
                for result in apply(one_person, range(start, start + len(part))):
                    results.append(result)
                    bar.update()
    return Evaluation(results, problems, fingerprints)


@contextmanager
def _map(workers: int) -> Iterator[Callable]:
    """`map`, or one that does `workers` calls at a time, each with a core of its own."""
    if workers == 1:
        yield map
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    pool = ThreadPoolExecutor(workers)
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)  # after an interruption only what was begun is finished
        torch.set_num_threads(threads)


def _means(faces: list[Faces], index: int, ks: Sequence[int]) -> list[dict[str, np.ndarray]]:
    """k-same's pictures of everybody's first or second photo, by method; {} for who has none."""
    found: list[dict[str, np.ndarray]] = [{} for _ in faces]
    having = [number for number, one in enumerate(faces) if len(one.pixels) > index]
    for k in ks if having else ():
        made = k_same([faces[number].image(index) for number in having], k)
        for number, image in zip(having, made, strict=True):
            found[number][f"k-same {k}"] = to_uint8(image)
    return found


def aligned_faces(
    anonymizer: Anonymizer, person: Person, problems: list[dict[str, str]], most: int = 2
) -> Faces:
    """The first usable photos of a person, at most `most`, aligned; what is wrong is added to
    `problems`."""
    faces = Faces(person)
    for source in person.photos:
        if len(faces.pixels) == most:
            break
        try:
            opened = open_photo(source, anonymizer.generator) if isinstance(source, str) else source
            photo = read_photo(opened)
            found = anonymizer.detector.once(photo)[0]
            face = align(photo, found, SIZE)
        except AnonlabError as error:
            problems.append({"person": person.name, "photo": str(source), "problem": str(error)})
            continue
        faces.digests.append(hashlib.sha256(photo.pixels.tobytes()).hexdigest())
        faces.pixels.append(to_uint8(face))
        faces.sides.append(found.side)
    if len(faces.pixels) < 2:
        what = "no usable photo" if not faces.pixels else "one usable photo only: not in the gallery"
        problems.append({"person": person.name, "photo": "", "problem": what})
    return faces


def fingerprints_of(anonymizer: Anonymizer) -> dict[str, str]:
    """Of the networks that make a result."""
    return {
        "generator": _fingerprint(anonymizer.generator),
        "recognizer": _fingerprint(anonymizer.recognizer),
        "encoder": _fingerprint(getattr(anonymizer.regenerator.start, "encoder", None)),
    }


def depends_on(
    anonymizer: Anonymizer,
    instruments: Instruments,
    protocol: Protocol,
    fingerprints: dict[str, str],
) -> dict[str, object]:
    """Everything that kept numbers depend on, besides photos."""
    return {
        "version": PROTOCOL_VERSION,
        "protocol": asdict(protocol),
        "judges": instruments.names(),
        "weights": [store.expected_sha256(key) for key in store.WEIGHTS if _installed(key)],
        "judges_weights": [_fingerprint(one.recognizer) for one in instruments.judges],
        "parts": fingerprints,
        "start": anonymizer.regenerator.start.name,
        "refine_steps": anonymizer.regenerator.refine_steps,
    }


def _installed(key: str) -> bool:
    try:
        return store.path_of(key).is_file()
    except AnonlabError:
        return False


def _fingerprint(part: object) -> str:
    """Of a network's parameters to the bit, so that one altered tensor tells; else what it is."""
    if not isinstance(part, torch.nn.Module):
        return type(part).__name__
    digest = hashlib.sha256()
    for name, parameter in part.named_parameters():  # buffers are measured, and differ between CPUs
        digest.update(name.encode() + parameter.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
