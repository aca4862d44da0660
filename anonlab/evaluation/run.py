"""Evaluate person by person: every method on the same photo, and one file a person when it is done.

Whoever is finished is never done again, as long as photos, protocol, judges, weights and code are
the same. Nothing but numbers, embeddings and small pictures for the contact sheets is kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tqdm.auto import tqdm

from .. import weights
from ..baselines import Baseline, baselines, k_same, original
from ..errors import AnonlabError, UnknownOption
from ..faces import align
from ..images import resize, to_tensor, to_uint8
from ..optimize import Fit
from ..photos import atomic_path, read_photo
from ..pipeline import Anonymizer
from ..recognizers import distance
from ..regenerate import Regenerator
from ..samples import open_photo
from .judging import Panel
from .methods import OPTIMISED, ORIGINAL, OTHER_PHOTO, SIZE, Protocol, Subject, our_methods, ours
from .people import Person

THUMBNAIL = 128  # pixels, for the contact sheets
SHOW_ONLY = (  # rooms on which no number depends
    *("cli", "commands", "command", "batch", "report", "execution", "pages", "provenance", "bench"),
    *("plots", "figures", "summary", "regression", "trend", "explore", "workbench", "latest", "view"),
)


@dataclass
class Row:
    """What was measured on one person."""

    person: str
    numbers: dict[str, dict[str, float]]  # by method
    asked: dict[str, list[float]]  # target_distance, mask_area: [asked, reached, asked, reached, …]
    tensors: dict[str, torch.Tensor]  # probe/…, gallery/…, attacker/…, features/…, picture/…

    def probe(self, recognizer: str, method: str) -> torch.Tensor | None:
        """The embedding `(dim,)` of the first photo after a method; None where it was not tried."""
        return self.tensors.get(f"probe/{recognizer}/{method}")

    def gallery(self, recognizer: str) -> torch.Tensor | None:
        """The embedding `(dim,)` of the second photo; None where there is only one."""
        return self.tensors.get(f"gallery/{recognizer}/{ORIGINAL}")

    def has_gallery(self) -> bool:
        """Whether there is a second photo."""
        return any(name.startswith("gallery/") for name in self.tensors)


@dataclass
class Evaluation:
    """All rows in the order of the people, and what could not be evaluated."""

    rows: list[Row]
    problems: list[dict[str, str]] = field(default_factory=list)


@dataclass
class _Faces:
    """The aligned faces of one person, 8 bits each: a thousand people must fit into memory."""

    person: Person
    digests: list[str]
    pixels: list

    def image(self, index: int) -> torch.Tensor:
        return to_tensor(self.pixels[index])


def evaluate(
    anonymizer: Anonymizer,
    people: Sequence[Person],
    panel: Panel,
    protocol: Protocol,
    state: Path,
    progress: bool = False,
) -> Evaluation:
    """Measure everybody; finished people are read from `state`, the rest is added to it.

    Missing or damaged photos, photos without a face and people with one photo only are named in
    `problems`, and everybody else is still evaluated. Memory: 5 MB a person.
    Raises `UnknownOption` when nobody is left.
    """
    problems: list[dict[str, str]] = []
    faces = []
    for person in tqdm(people, desc="looking", unit="person", disable=not progress):
        found = _faces(anonymizer, person, problems)
        if found.pixels:
            faces.append(found)
    if not faces:
        raise UnknownOption("nobody can be evaluated, because no photo shows a face; check the folder")
    pair = [one for one in faces if len(one.pixels) > 1]
    means: dict[str, dict[str, np.ndarray]] = {one.person.name: {} for one in faces}
    gallery_means: dict[str, dict[str, np.ndarray]] = {one.person.name: {} for one in faces}
    for k in protocol.k if protocol.peers else ():
        for target, group, index in ((means, faces, 0), (gallery_means, pair, 1)):
            if group:
                made = k_same([one.image(index) for one in group], k)
                for one, image in zip(group, made, strict=True):
                    target[one.person.name][f"k-same {k}"] = to_uint8(image)
    setting = _setting(anonymizer, panel, protocol, faces)
    rows = []
    for number, one in enumerate(tqdm(faces, desc="measuring", unit="person", disable=not progress)):
        slow = (number < protocol.calibrated, number < protocol.optimised)
        name = hashlib.sha256(json.dumps([setting, one.person.name, one.digests, slow]).encode())
        path = state / f"{name.hexdigest()[:24]}.safetensors"
        row = _read(path)
        if row is None:
            row = _measure(anonymizer, one, panel, protocol, *slow,
                           means[one.person.name], gallery_means[one.person.name])  # fmt: skip
            _write(path, row)
        rows.append(row)
    return Evaluation(rows, problems)


def _faces(anonymizer: Anonymizer, person: Person, problems: list[dict[str, str]]) -> _Faces:
    """The first two usable photos of a person, aligned."""
    faces = _Faces(person, [], [])
    for source in person.photos:
        if len(faces.pixels) == 2:
            break
        try:
            opened = open_photo(source, anonymizer.generator) if isinstance(source, str) else source
            photo = read_photo(opened)
            face = align(photo, anonymizer.detector(photo)[0], SIZE)
        except AnonlabError as error:
            problems.append({"person": person.name, "photo": str(source), "problem": str(error)})
            continue
        faces.digests.append(hashlib.sha256(photo.pixels.tobytes()).hexdigest())
        faces.pixels.append(to_uint8(face))
    if len(faces.pixels) < 2:
        what = "no usable photo" if not faces.pixels else "one usable photo only: not in the gallery"
        problems.append({"person": person.name, "photo": "", "problem": what})
    return faces


def _setting(
    anonymizer: Anonymizer, panel: Panel, protocol: Protocol, faces: list[_Faces]
) -> dict[str, object]:
    """Everything that a person's numbers depend on, besides his own photos."""
    code = hashlib.sha256()
    package = Path(__file__).parent.parent
    for path in sorted(package.rglob("*.py")):
        if path.stem not in SHOW_ONLY:
            code.update(path.read_bytes())
    parts = (anonymizer.generator, anonymizer.recognizer, *(one.recognizer for one in panel.judges))
    return {
        "code": code.hexdigest(),
        "protocol": asdict(protocol),
        "judges": panel.names(),
        "weights": [weights.expected_sha256(key) for key in weights.WEIGHTS if _installed(key)],
        "parts": [_fingerprint(part) for part in parts],
        "one_pass": anonymizer.regenerator.one_pass,
        "encoder": _fingerprint(anonymizer.regenerator.encoder),
        "people": [one.digests for one in faces],  # k-same mixes them
    }


def _installed(key: str) -> bool:
    try:
        return weights.path_of(key).is_file()
    except AnonlabError:
        return False


def _fingerprint(part: object) -> str:
    """What a model answers to does not tell whether one of its tensors was changed; its sum does."""
    if not isinstance(part, torch.nn.Module):
        return type(part).__name__
    sums = [value.double().sum().item() for value in part.state_dict().values()]
    return hashlib.sha256(json.dumps(sums).encode()).hexdigest()


def _rounded(image: torch.Tensor) -> torch.Tensor:
    """As 8-bit pixels hold it: what would be in a file."""
    return to_tensor(to_uint8(image))


def _measure(
    anonymizer: Anonymizer,
    faces: _Faces,
    panel: Panel,
    protocol: Protocol,
    calibrate: bool,
    optimise: bool,
    means: dict[str, np.ndarray],
    gallery_means: dict[str, np.ndarray],
) -> Row:
    before = faces.image(0)
    subject = Subject(anonymizer, before, protocol.seed)
    was = panel.look(before)
    mask = subject.mask(protocol.main_area).cpu()
    simple = baselines() if protocol.peers else {ORIGINAL: original}
    made = {name: method(before) for name, method in simple.items()}
    made |= {name: to_tensor(pixels) for name, pixels in means.items()}
    made |= our_methods(subject, protocol)
    if optimise:
        made[OPTIMISED] = _optimised(subject, protocol)
    row = Row(faces.person.name, {}, {}, {})
    for name, image in made.items():
        image = _rounded(image.cpu())
        row.numbers[name] = panel.compare(before, was, image, mask)
        _keep(row, panel, "probe", name, image)
        row.tensors[f"features/{name}"] = panel.features.embed(image)[0]
        row.tensors[f"picture/{name}"] = torch.from_numpy(to_uint8(resize(image, THUMBNAIL)))
    row.asked["mask_area"] = [
        number for area in protocol.areas for number in (area, row.numbers[ours(area)]["changed_share"])
    ]
    if calibrate:
        row.asked["target_distance"] = _calibrated(subject, protocol)
    if len(faces.pixels) > 1:
        other = faces.image(1)
        row.numbers[OTHER_PHOTO] = panel.compare(before, was, other, mask, same_frame=False)
        row.tensors[f"features/{OTHER_PHOTO}"] = panel.features.embed(other)[0]
        row.tensors[f"picture/{OTHER_PHOTO}"] = torch.from_numpy(to_uint8(resize(other, THUMBNAIL)))
        _keep(row, panel, "gallery", ORIGINAL, other)
        if protocol.peers:
            _same_tool(row, anonymizer, panel, protocol, other, simple, gallery_means)
    return row


def _same_tool(
    row: Row,
    anonymizer: Anonymizer,
    panel: Panel,
    protocol: Protocol,
    other: torch.Tensor,
    simple: dict[str, Baseline],
    means: dict[str, np.ndarray],
) -> None:
    """The gallery of an attacker who anonymizes it with the same tool, without and with the key."""
    theirs = Subject(anonymizer, other, protocol.seed)
    tools = {name: method(other) for name, method in simple.items() if name != ORIGINAL}
    tools |= {name: to_tensor(pixels) for name, pixels in means.items()}
    tools[protocol.main] = theirs.make(protocol.key(attacker=True), protocol.main_area)
    for name, image in tools.items():
        _keep(row, panel, "attacker", name, _rounded(image.cpu()))
    with_key = theirs.make(protocol.key(), protocol.main_area)
    _keep(row, panel, "attacker with key", protocol.main, _rounded(with_key.cpu()))


def _keep(row: Row, panel: Panel, kind: str, method: str, image: torch.Tensor) -> None:
    for recognizer, embedding in panel.embed(image).items():
        row.tensors[f"{kind}/{recognizer}/{method}"] = embedding


def _optimised(subject: Subject, protocol: Protocol) -> torch.Tensor:
    """The slow reference, whatever the anonymizer does by default."""
    regenerator = subject.anonymizer.regenerator
    slow = Regenerator(
        regenerator.generator, regenerator.recognizer, regenerator.perceptual, regenerator.first_guess
    )
    subject.anonymizer.regenerator = slow
    try:
        return subject.make(protocol.key(), protocol.main_area, polish=Fit().steps)
    finally:
        subject.anonymizer.regenerator = regenerator


def _calibrated(subject: Subject, protocol: Protocol) -> list[float]:
    """[asked, reached, …]: distances as the guide has them, between the 8-bit pictures."""
    pairs = []
    for wanted in protocol.target_distances:
        image = subject.make(protocol.key(), protocol.main_area, target_distance=wanted)
        recognizer = subject.anonymizer.recognizer
        with torch.no_grad():
            reached = distance(recognizer, recognizer.embed(_rounded(image)), subject.source)
        pairs += [wanted, reached.item()]
    return pairs


def _write(path: Path, row: Row) -> None:
    about = {"person": row.person, "numbers": json.dumps(row.numbers), "asked": json.dumps(row.asked)}
    with atomic_path(path) as partial:
        tensors = {name: tensor.contiguous() for name, tensor in row.tensors.items()}
        save_file(tensors, partial, metadata=about)


def _read(path: Path) -> Row | None:
    """A finished person; None where there is none, or only a damaged file."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return Row(about["person"], json.loads(about["numbers"]), json.loads(about["asked"]), tensors)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        return None


def thumbnail(row: Row, method: str) -> Image.Image | None:
    """The small picture of a method; None where it was not tried."""
    pixels = row.tensors.get(f"picture/{method}")
    return None if pixels is None else Image.fromarray(pixels.numpy())
