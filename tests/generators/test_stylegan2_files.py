"""Every format gives the same network; whatever else is in a file is refused, and nothing runs."""

import io
import os
import pickle
from argparse import Namespace

import pytest
import stylegan2_reference as slow
import torch
from safetensors.torch import save_file

from anonlab.errors import WeightsCorrupt, WeightsMismatch, WeightsMissing
from anonlab.generators.stylegan2_files import load_stylegan2

RAW = slow.raw_tensors(16, [6, 5, 4])
nvidia = slow.nvidia_pickle


@pytest.fixture
def stored(tmp_path):
    def store(content: object, name: str = "file", **options):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path, **options)
        return path

    return store


def attack(marker) -> slow.Call:
    """Leaves a file behind when it is unpickled by anything that executes."""
    return slow.Call(os.system, f"touch {marker}")


def codes(model) -> torch.Tensor:
    z = torch.randn(2, 16, generator=torch.Generator().manual_seed(3))
    return model.broadcast(model.mapping(z, 0.7))


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_an_nvidia_pickle_is_the_network_of_the_formulas(stored, protocol):
    channels = [6, 5, 4, 4, 3]
    raw = slow.raw_tensors(64, channels, seed=5)
    model = load_stylegan2(stored(nvidia(raw, protocol=protocol)))
    z = torch.randn(2, 16, generator=torch.Generator().manual_seed(3))
    w = slow.slow_mapping(raw, z)
    ws = (raw["mapping.w_avg"] + 0.7 * (w - raw["mapping.w_avg"]))[:, None].expand(-1, 10, -1)
    torch.testing.assert_close(codes(model).double(), ws.double(), atol=1e-5, rtol=1e-4)
    expected, made = slow.slow_synthesis(raw, ws, 64), model.synthesis(codes(model))
    torch.testing.assert_close(made.double(), expected, atol=5e-5, rtol=1e-4)
    torch.testing.assert_close(model.synthesis(codes(model)[:1]), made[:1])  # each sample for itself
    assert (model.z_dim, model.w_dim, model.num_ws, model.img_resolution) == (16, 16, 10, 64)
    assert model.config.channels == tuple(channels) and model.config.conv_clamp is None


@pytest.mark.parametrize("zipped", [True, False])
def test_a_rosinality_checkpoint_is_the_same_network(stored, zipped):
    one = load_stylegan2(stored(nvidia(RAW), "a.pkl"))
    two = load_stylegan2(stored(slow.rosinality(RAW), "b.pt", _use_new_zipfile_serialization=zipped))
    assert one.name == two.name
    torch.testing.assert_close(one.synthesis(codes(one)), two.synthesis(codes(one)))
    for name in ("w_avg", "w_std"):
        assert torch.equal(getattr(one, name), getattr(two, name))


def test_a_bare_state_dict_with_known_names_is_enough(stored, tmp_path):
    first = load_stylegan2(stored(nvidia(RAW)))
    save_file(RAW, tmp_path / "bare.safetensors")
    for path in (stored(RAW, "bare.pt"), tmp_path / "bare.safetensors"):
        assert torch.equal(load_stylegan2(path).synthesis(codes(first)), first.synthesis(codes(first)))


# --- hostile and wrong files ---------------------------------------------------------------------


def refused(path, marker, error, *words: str) -> None:
    with pytest.raises(error) as caught:
        load_stylegan2(path)
    for word in (str(path), *words):
        assert word in str(caught.value)
    assert not marker.exists()


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "executed"


def evil_reduce(marker):
    for protocol in (2, 4):
        yield pickle.dumps(attack(marker), protocol)
        yield nvidia(RAW, extra={"D": attack(marker)}, protocol=protocol)


def evil_torch(marker):
    for zipped in (True, False):
        blob = io.BytesIO()
        torch.save(attack(marker), blob, _use_new_zipfile_serialization=zipped)
        nested = slow.stored(torch.zeros(3), blob.getvalue())
        yield nvidia(RAW, extra={"D": nested})
        content, blob = slow.rosinality(RAW) | {"args": attack(marker)}, io.BytesIO()
        torch.save(content, blob, _use_new_zipfile_serialization=zipped)
        yield blob.getvalue()


@pytest.mark.parametrize("files", [evil_reduce, evil_torch])
def test_a_malicious_file_is_refused_by_name(stored, marker, files):
    assert pickle.loads(pickle.dumps(attack(marker))) == 0 and marker.exists()  # the weapon is real
    marker.unlink()
    for blob in files(marker):
        refused(stored(blob), marker, WeightsMismatch, "posix.system", "nothing in it was executed")


@pytest.mark.parametrize("name", ["builtins.eval", "builtins.getattr", "torch.load", "os.path.join.x"])
def test_names_beside_the_table_are_refused(stored, marker, name):
    module, attribute = name.split(".", 1)
    blob = b"\x80\x02c" + f"{module}\n{attribute}\n".encode() + b"."
    refused(stored(blob), marker, WeightsMismatch, name)


def test_a_pickle_cannot_change_what_the_reader_is_made_of(stored, marker):
    target = b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n"
    blob = b"\x80\x02" + target + b"N}X\x04\x00\x00\x00callX\x01\x00\x00\x00xs\x86b."  # BUILD
    refused(stored(blob), marker, WeightsMismatch, "no generator under G_ema")
    assert load_stylegan2(stored(nvidia(RAW))).num_ws == 6


def test_a_tensor_beyond_its_storage_is_refused(stored, marker):
    beyond = slow.stored(torch.zeros(3), shape=(10**9,))
    path = stored(nvidia(RAW, extra={"x": beyond}))
    refused(path, marker, WeightsCorrupt, "larger than what is stored")


@pytest.mark.parametrize("share", [0.1, 0.9, 0.999])
def test_truncated_files_are_refused(stored, marker, share, tmp_path):
    save_file(RAW, tmp_path / "ours")
    whole = [nvidia(RAW), (tmp_path / "ours").read_bytes()]
    whole += [
        stored(slow.rosinality(RAW), _use_new_zipfile_serialization=z).read_bytes() for z in (0, 1)
    ]
    for blob in whole:
        path = stored(blob[: int(len(blob) * share)])
        refused(path, marker, WeightsCorrupt, "truncated or damaged", "copy it again")


def without(*names: str) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in RAW.items() if name not in names}


ZEROS = torch.zeros(3)
GAN3 = {"synthesis.input.freqs": torch.zeros(4, 2), "mapping.fc0.weight": torch.zeros(4, 4)}
WRONG = {  # what is in a file → what is said
    "notes": (b"hello, these are my notes\n", "no file of weights", "choose a .pkl"),
    "a photo": (b"\xff\xd8\xff\xe0" + bytes(40), "no file of weights", "choose a .pkl"),
    "nothing": (b"", "no file of weights"),
    "TensorFlow's": (
        b"\x80\x03cdnnlib.tflib.network\nNetwork\nq\x00)\x81q\x01}q\x02b.",
        *("TensorFlow era", "legacy.py"),
    ),
    "StyleGAN3": (nvidia(GAN3), "no StyleGAN2 that anonlab knows but", "synthesis.input.freqs"),
    "without a generator": (
        nvidia(RAW, key="D"),
        *("no generator under G_ema", "D, training_set_kwargs"),
    ),
    "StyleGAN1": (
        {"g_running": {"generator.progression.0.conv1.weight": ZEROS}},
        "no generator under G_ema or g_ema but g_running",
    ),
    "numbers for names": ({"g_ema": {1: ZEROS}}, "no generator under G_ema or g_ema but 1"),
    "an object": (
        slow.rosinality(RAW) | {"args": Namespace(size=16)},
        *("argparse.Namespace", "keep only"),
    ),
    "conditional": (
        nvidia(RAW | {"mapping.embed.weight": torch.zeros(4, 4)}),
        "not used: mapping.embed.weight",
    ),
    "another name": (
        nvidia(without("synthesis.b8.torgb.bias") | {"synthesis.b8.skip.weight": ZEROS}),
        *("missing: synthesis.b8.torgb.bias", "not used: synthesis.b8.skip.weight"),
    ),
    "without channels": (nvidia(without("synthesis.b8.conv1.weight")), "synthesis.b8.conv1.weight"),
    "another shape": (
        nvidia(RAW | {"synthesis.b8.conv0.weight": torch.zeros(5, 7, 3, 3)}),
        "of a wrong shape: synthesis.b8.conv0.weight (5, 7, 3, 3) instead of (5, 6, 3, 3)",
    ),
    "an empty tensor": (
        RAW | {"synthesis.b8.conv0.noise_strength": torch.zeros(0)},
        "of a wrong shape: synthesis.b8.conv0.noise_strength (0,) instead of ()",
    ),
    "another filter": (
        nvidia(RAW | {"synthesis.b8.conv0.resample_filter": torch.ones(4, 4) / 16}),
        "another filter than [1, 3, 3, 1]",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_other_files_are_refused_by_what_they_are(stored, marker, case):
    content, *words = WRONG[case]
    refused(stored(content), marker, WeightsMismatch, *words)


def test_no_file_and_numbers_that_are_none_are_refused(stored, marker, tmp_path):
    refused(tmp_path / "gone.pkl", marker, WeightsMissing, ".pkl of NVIDIA", ".pt of rosinality")
    broken = RAW | {"synthesis.b8.conv0.bias": torch.full((5,), torch.nan)}
    refused(stored(nvidia(broken)), marker, WeightsCorrupt, "not finite")
