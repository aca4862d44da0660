"""Make the pictures that are judged, and keep them: one file a person.

All of them are aligned and `SIDE` pixels wide. A recipe says how a picture is made: `BASE` for every
evaluation, further settings of the tool, and the ways of `peers`. A person's file holds what was asked
for so far; others are added to it. So an interrupted run goes on, and judges can run again alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from ..controls import Controls
from ..errors import AnonlabError
from ..files import atomic_path, folder_lock, output_folder
from ..identity.virtual import keyed
from ..images import resize, to_tensor, to_uint8
from ..notebook.samples import open_photo
from ..perception.masks import build_mask
from ..perception.perception import AlignedFace
from ..photo.faces import align
from ..photo.photos import read_photo
from ..pipeline import Anonymizer
from ..recognizers import distance
from ..results import FaceResult
from ..side_by_side import side_by_side
from ..training.synthetic import draw_codes
from ..weights import store
from .peers import single_face_peers
from .people import Person

VERSION = 8  # raise it when a change of code alters a kept picture
SIZE, SIDE = 512, 256  # pixels at which faces are made, and judged
GREY, EDGE = 128, 12  # what hides the face in its surroundings; width of a mask's edge, of `SIDE`
AREA = Controls.mask_area
STRICT, OTHER_AREA = 0.55, 0.3  # a larger mask, an attacker's guess
PAIR_SEED = 900_000  # of the generated people that attackers learn from; no other set is drawn from it
OPTIONAL = "third photo, same key"  # of people with a third photo


@dataclass
class Pictures:
    """Hold one person's pictures by name, `(SIDE, SIDE, 3)` uint8 each."""

    person: Person
    pixels: dict[str, torch.Tensor]
    size: float = 0.0  # pixels of the face's square in the photo

    def image(self, name: str) -> torch.Tensor:
        """Return a picture `(1, 3, SIDE, SIDE)` in [-1, 1]."""
        return to_tensor(self.pixels[name].numpy())

    @property
    def mask(self) -> torch.Tensor:
        """What is new in the result, `(1, 1, SIDE, SIDE)`, 1 = regenerated."""
        return (self.image("mask")[:, :1] + 1) / 2


def stacked(people: Sequence[Pictures], name: str) -> torch.Tensor:
    """Stack one picture of all people, `(N, 3, SIDE, SIDE)`."""
    return torch.cat([one.image(name) for one in people])


class Sitting:
    """Make what a tool makes of one person's aligned photos `(SIZE, SIZE, 3)` uint8, with the user's key
    or with an attacker's. Each photo is analysed once, when that is first needed."""

    def __init__(
        self, anonymizer: Anonymizer, pixels: Sequence[np.ndarray], seed: int, key: str = "user"
    ):
        self.anonymizer, self.pixels, self.seed = anonymizer, pixels, seed
        self.user, self.attacker = (
            anonymizer.replace(key=f"{who} {seed}: for measuring only".encode())
            for who in (key, "attacker")
        )
        self.look = cache(self._look)

    def image(self, number: int) -> torch.Tensor:
        """Return the photo `(1, 3, SIZE, SIZE)` of that number, from 0."""
        return to_tensor(self.pixels[number])

    def _look(self, number: int) -> tuple[AlignedFace, torch.Tensor]:
        face = self.anonymizer.analyze(self.image(number).to(self.anonymizer.device))
        return face, self.anonymizer.perception(face.image)

    def mask(self, number: int, area: float = AREA) -> torch.Tensor:
        """Build the mask `(1, 1, SIZE, SIZE)`, 1 = regenerated."""
        return build_mask(self.look(number)[1], Controls(mask_area=area), None, SIZE)

    def one_pass(self, area: float = AREA, **controls) -> torch.Tensor:
        """Make the composite `(1, 3, SIZE, SIZE)` of the first photo by one pass at any controls."""
        chosen = Controls(mask_area=area, seed=self.seed, **controls)
        return self.user.regenerate(self.look(0)[0], self.mask(0, area), chosen)[2]

    def ship(self, number: int, tool: Anonymizer | None = None, **controls) -> FaceResult:
        """Make the same as the command line does, by the user's tool or another: again, further away,
        where the guide still recognises the person, or nearly."""
        face, tool = self.look(number)[0], tool or self.user

        @torch.no_grad()
        def check(tried: FaceResult) -> tuple[float, float]:
            after = tool.recognizer.embed(tried.anonymized.to(face.image.device))
            return distance(tool.recognizer, after, face.embedding).item(), 0.0

        chosen = Controls(**{"seed": self.seed} | controls)
        return tool.attempt(face, chosen, check, (0.0, 0.0, SIZE, SIZE))

    @cached_property
    def result(self) -> FaceResult:
        """The first photo as the user makes it."""
        return self.ship(0)


Recipe = Callable[[Sitting], torch.Tensor]
BASE: dict[str, Recipe] = {
    "photo": lambda s: s.image(0),
    "other photo": lambda s: s.image(1),
    "result": lambda s: s.result.anonymized,
    "other photo, other key": lambda s: s.ship(1, s.attacker).anonymized,
    "other photo, other settings": lambda s: (
        s.ship(1, s.attacker, mask_area=OTHER_AREA, seed=s.seed + 1).anonymized
    ),
    "other photo, same key": lambda s: s.ship(1).anonymized,
    OPTIONAL: lambda s: s.ship(2).anonymized,
    "stranger": lambda s: stranger(s.anonymizer, s.look(0)[0], s.mask(0)),
    "mask": lambda s: 2 * s.result.mask.expand(-1, 3, -1, -1) - 1,
    "surroundings": lambda s: surroundings(s.image(0), s.mask(0)),
    "other surroundings": lambda s: surroundings(s.image(1), s.mask(1)),
    "strict surroundings": lambda s: surroundings(s.image(0), s.mask(0, STRICT)),
    "strict other surroundings": lambda s: surroundings(s.image(1), s.mask(1, STRICT)),
}
LEARNED = ("photo", "result", "surroundings")  # what attackers learn from


def ours(area: float = AREA, strength: float = 1.0) -> str:
    """Name one pass at these controls."""
    return f"anonlab {area:g}" + (f" strength {strength:g}" if strength != 1 else "")


def of_other_photo(method: str) -> str:
    """Name the picture that a method without a key makes of the other photo."""
    return f"other photo, {method}"


def our_recipes(areas: Iterable[float] = (), strengths: Iterable[float] = ()) -> dict[str, Recipe]:
    """Return the tool at other areas and strengths, by the names of `ours`."""
    found: dict[str, Recipe] = {ours(x): lambda s, x=x: s.one_pass(x) for x in areas if x != AREA}
    return found | {ours(AREA, x): lambda s, x=x: s.one_pass(strength=x) for x in strengths}


def peer_recipes() -> dict[str, Recipe]:
    """Return the peers that need only one face, of both photos: an attacker has the same program."""
    return {
        title: lambda s, hide=hide, number=number: hide(s.image(number))
        for name, hide in single_face_peers().items()
        for number, title in enumerate((name, of_other_photo(name)))
    }


def surroundings(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Paint `image (1, 3, S, S)` grey wherever `mask (1, 1, S, S)` may change anything."""
    return image * (mask.to(image) <= 0)


def with_what_stays(pixels: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Put back into the surroundings what a result leaves as it was inside the mask: the photo's own
    eyes and what stands before the face.

    No result with the larger mask is kept; for it only what lies within the smaller mask's edge counts.
    """
    made = dict(pixels)
    for name, photo, result in (
        ("surroundings", "photo", "result"),
        ("other surroundings", "other photo", "other photo, same key"),
    ):
        if not {name, photo, result} <= pixels.keys():
            continue
        stays = (pixels[photo] == pixels[result]).all(2, keepdim=True)
        seen = (pixels[name] != GREY).any(2)[None].float()
        inside = F.max_pool2d(seen, 2 * EDGE + 1, 1, EDGE)[0, ..., None] == 0
        for which, where in ((name, stays), (f"strict {name}", stays & inside)):
            if which in pixels:
                made[which] = torch.where(where, pixels[photo], pixels[which])
    return made


@torch.no_grad()
def stranger(anonymizer: Anonymizer, face: AlignedFace, mask: torch.Tensor) -> torch.Tensor:
    """Draw the floor of what a result may tell: the same encoder, aimed at a person of the group
    (gender, age, tone, look) that is drawn for this photo alone."""
    people = anonymizer.population
    weights = people.membership(people.labels(face.embedding, [face.attributes]))[0]
    seed = keyed(to_uint8(resize(face.image.cpu(), 32)).tobytes(), 0)
    target = people.embeddings[torch.multinomial(weights.cpu(), 1, generator=seed)].to(weights)
    tool = anonymizer.regenerator
    image, smaller = (resize(one, SIDE) for one in (face.image, mask))
    ws = tool.start(image, smaller, face.embedding, target)
    return tool.pictures(ws, face.image, mask)[1]


class Gallery:
    """Keep people's pictures in a folder, into which no other run writes meanwhile."""

    def __init__(self, anonymizer: Anonymizer, folder: Path, seed: int = 0):
        self.anonymizer, self.folder, self.seed = anonymizer, output_folder(folder), seed
        tool = anonymizer.regenerator
        weights = [store.expected_sha256(key) for key, one in store.WEIGHTS.items() if not one.optional]
        self.setting = [VERSION, seed, fingerprints_of(anonymizer), tool.start.name, tool.refine_steps,
                        weights]  # fmt: skip

    def pictures(
        self,
        digests: Sequence[str],
        photos: Callable[[], Sequence[np.ndarray]],
        recipes: Mapping[str, Recipe],
        key: str = "user",
    ) -> dict[str, torch.Tensor]:
        """Return the pictures of `recipes`; those in the folder are read, others are made of `photos`
        and added. `digests` say which photos they are."""
        digest = hashlib.sha256(json.dumps([self.setting, key, digests]).encode()).hexdigest()
        path = self.folder / f"{digest[:24]}.safetensors"
        kept: dict[str, torch.Tensor] = {}
        with suppress(SafetensorError, OSError):  # none yet, or a damaged one, which is made again
            kept = load_file(path)
        missing = [name for name in recipes if name not in kept]
        if missing:
            sitting = Sitting(self.anonymizer, photos(), self.seed, key)
            kept |= {name: small(recipes[name](sitting)) for name in missing}
            with atomic_path(path) as half:
                save_file(kept, half)
        return with_what_stays({name: kept[name] for name in recipes})

    def people(
        self, people: Sequence[Person], recipes: Mapping[str, Recipe], problems: list, progress: bool
    ) -> list[Pictures]:
        """Return all people with two usable photos; the others, and why, are added to `problems`."""

        def one(person: Person) -> tuple[list, Pictures | None]:
            faces, wrong = aligned_faces(self.anonymizer, person)
            if len(faces.pixels) < 2:
                return wrong, None
            wanted = {k: v for k, v in recipes.items() if k != OPTIONAL or len(faces.pixels) > 2}
            made = self.pictures(faces.digests, lambda: faces.pixels, wanted)
            return wrong, Pictures(person, made, faces.side)

        everyone = self._each(one, people, "making pictures", progress)
        problems += [problem for wrong, _ in everyone for problem in wrong]
        return [made for _, made in everyone if made]

    def pairs(self, count: int, progress: bool) -> list[Pictures]:
        """Make `LEARNED` for generated people of their own seeds, each with a key of its own."""
        recipes = {name: BASE[name] for name in LEARNED}

        def one(number: int) -> Pictures:
            name = f"generated {number}"
            photos = partial(drawn, self.anonymizer, number)
            made = self.pictures([name], photos, recipes, f"attacker, {name}")
            return Pictures(Person(name, ()), made)

        return self._each(one, range(count), "making pairs", progress)

    def _each(self, make: Callable, sources: Sequence, title: str, progress: bool) -> list:
        """Make something of each source; on a CPU with several threads one on each of them."""
        with folder_lock(self.folder), side_by_side(self.anonymizer.device, len(sources)) as in_order:
            made = in_order(make, sources)
            return [*tqdm(made, title, total=len(sources), disable=not progress)]


@torch.no_grad()
def drawn(anonymizer: Anonymizer, number: int) -> list[np.ndarray]:
    """Draw a generated person's face, `(SIZE, SIZE, 3)` uint8."""
    rng = torch.Generator().manual_seed(PAIR_SEED + number)
    codes = draw_codes(anonymizer.generator, 1, rng)
    return [to_uint8(anonymizer.generator.synthesis(codes, SIZE).clamp(-1, 1))]


def small(image: torch.Tensor) -> torch.Tensor:
    """Round a picture to 8 bits, `(SIDE, SIDE, 3)` uint8."""
    return torch.from_numpy(to_uint8(resize(image.detach().cpu(), SIDE)))


@dataclass
class Faces:
    """Hold the aligned faces of one person."""

    digests: list[str] = field(default_factory=list)  # of the photos
    pixels: list[np.ndarray] = field(default_factory=list)  # (SIZE, SIZE, 3) uint8
    side: float = 0.0  # pixels of the first one's aligned square in the photo


def aligned_faces(anonymizer: Anonymizer, person: Person) -> tuple[Faces, list[dict]]:
    """Align the first three usable photos of a person; also say what is wrong with others."""
    faces, problems = Faces(), []
    for source in person.photos:
        if len(faces.pixels) == 3:
            break
        try:
            opened = open_photo(source, anonymizer.generator) if isinstance(source, str) else source
            photo = read_photo(opened)
            found = anonymizer.detector.once(photo)[0]
            faces.pixels.append(to_uint8(align(photo, found, SIZE)))
        except AnonlabError as error:
            problems.append({"person": person.name, "photo": str(source), "problem": str(error)})
            continue
        faces.digests.append(hashlib.sha256(photo.pixels.tobytes()).hexdigest())
        faces.side = faces.side or found.side
    if len(faces.pixels) < 2:
        what = "one usable photo only; add another" if faces.pixels else "no usable photo"
        problems.append({"person": person.name, "photo": "", "problem": what})
    return faces, problems


def fingerprints_of(anonymizer: Anonymizer) -> dict[str, str]:
    """Hash the parameters of the networks that make a result to the bit, so that one altered tensor
    tells; of what is no network name the kind."""
    encoder = getattr(anonymizer.regenerator.start, "encoder", None)
    parts = {"generator": anonymizer.generator, "recognizer": anonymizer.recognizer, "encoder": encoder}
    found = {}
    for name, part in parts.items():
        if not isinstance(part, torch.nn.Module):
            found[name] = type(part).__name__
            continue
        digest = hashlib.sha256()
        for key, parameter in part.named_parameters():  # buffers are measured, and differ between CPUs
            digest.update(key.encode() + parameter.detach().cpu().contiguous().numpy().tobytes())
        found[name] = digest.hexdigest()[:16]
    return found
