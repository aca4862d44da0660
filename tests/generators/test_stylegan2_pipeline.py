"""A StyleGAN2 from a file, through everything that asks for a generator."""

from dataclasses import replace

import numpy as np
import pytest
import stylegan2_reference as slow
import torch
from small import TINY

from anonlab import Anonymizer
from anonlab.apps import cli
from anonlab.encoding.encoder import Encoder, load_encoder, metadata
from anonlab.errors import UnknownOption, WeightsMismatch, WeightsMissing
from anonlab.generators import load_generator
from anonlab.training.export import write_tensors

CHANNELS = [8, 8, 8, 8, 4, 4, 4]  # 256 px


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A random network as NVIDIA would have written it."""
    raw = slow.raw_tensors(256, CHANNELS)
    # random networks are much louder than trained ones: to about [-1, 1]
    raw |= {name: x / 8 for name, x in raw.items() if ".torgb." in name and ".affine." not in name}
    path = tmp_path_factory.mktemp("stylegan2") / "random-256.pkl"
    path.write_bytes(slow.nvidia_pickle(raw))
    return path


@pytest.fixture(scope="module")
def random_generator(path):
    return load_generator("stylegan2", path)


def test_a_file_is_loaded_by_name_and_path(random_generator, path):
    assert (random_generator.num_ws, random_generator.resolutions) == (14, (256,))
    assert random_generator.name.startswith("stylegan2-")
    with pytest.raises(UnknownOption, match="choose stylegan2"):
        load_generator("mobile", path)


def test_optimizing_takes_any_generator(path, astronaut):
    anonymizer = Anonymizer.load(
        "stylegan2", method="optimize", device="cpu", key=b"key", generator_path=path
    ).replace(refine_steps=2)
    made = anonymizer(astronaut.image(astronaut.pixels), verify=False, mask_area=0.2)
    before, after = astronaut.pixels, np.asarray(made.image)
    assert after.shape == before.shape
    assert made.faces[0].ws.shape == (1, 14, 16)
    assert made.faces[0].generated.shape == made.faces[0].aligned.shape
    keep = 1 - made.faces[0].mask
    difference = (made.faces[0].anonymized - made.faces[0].aligned).abs()
    assert (difference * (keep == 1)).max() == 0 and difference.max() > 0.1
    left, top, right, bottom = made.faces[0].box
    assert 0 < (after != before).any(2).sum() < 2 * (right - left) * (bottom - top)
    # it starts at the average face, and the steps move it
    average = anonymizer.generator.broadcast(anonymizer.generator.w_avg[None])
    assert not torch.allclose(made.faces[0].ws, average)


def test_the_command_line_takes_the_file(path, tmp_path, capsys):
    arguments = ["anonymize", str(tmp_path), "--out", str(tmp_path / "out"), "--generator", "stylegan2"]
    assert cli.main([*arguments, "--generator-weights", str(tmp_path / "gone.pkl")]) == 1
    assert "gone.pkl (StyleGAN2) is missing" in capsys.readouterr().err
    small = tmp_path / "small.pkl"
    small.write_bytes(slow.nvidia_pickle(slow.raw_tensors(64, CHANNELS[:5])))
    assert cli.main([*arguments, "--generator-weights", str(small), "--device", "cpu"]) == 2
    assert "pictures of 64 px" in capsys.readouterr().err


def test_an_encoder_belongs_to_one_checkpoint(random_generator, tmp_path):
    config = replace(TINY, generator=random_generator.name, num_ws=14, w_dim=16)
    write_tensors(Encoder(config).state_dict(), tmp_path / "one.safetensors", metadata(config))
    assert load_encoder(random_generator, tmp_path / "one.safetensors").config == config
    other = tmp_path / "other.pkl"
    other.write_bytes(slow.nvidia_pickle(slow.raw_tensors(256, CHANNELS, seed=4)))
    with pytest.raises(WeightsMismatch, match=r"--generator stylegan2"):
        load_encoder(load_generator("stylegan2", other), tmp_path / "one.safetensors")
    with pytest.raises(WeightsMissing, match=r"--generator stylegan2 --generator-weights FILE"):
        load_encoder(random_generator)
