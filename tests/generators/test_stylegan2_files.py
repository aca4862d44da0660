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

CHANNELS = [6, 5, 4]


@pytest.fixture(scope="module")
def raw():
    return slow.raw_tensors(16, CHANNELS)


@pytest.fixture
def stored(tmp_path):
    """`stored(content)` is a file with these bytes, or with this object as torch saves it."""

    def store(content: object, name: str = "file", **options):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path, **options)
        return path

    return store


class Attack:
    """Leaves a file behind when it is unpickled by anything that executes."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def codes(model) -> torch.Tensor:
    z = torch.randn(2, 16, generator=torch.Generator().manual_seed(3))
    return model.broadcast(model.mapping(z, 0.7))


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_an_nvidia_pickle_is_the_network_of_the_formulas(raw, stored, protocol):
    model = load_stylegan2(stored(slow.nvidia_pickle(raw, protocol=protocol)))
    z = torch.randn(2, 16, generator=torch.Generator().manual_seed(3))
    w = slow.slow_mapping(raw, z)
    ws = raw["mapping.w_avg"] + 0.7 * (w - raw["mapping.w_avg"])
    ws = ws[:, None].expand(-1, 6, -1)
    torch.testing.assert_close(codes(model).double(), ws.double(), atol=1e-5, rtol=1e-4)
    expected = slow.slow_synthesis(raw, ws, 16)
    torch.testing.assert_close(model.synthesis(codes(model)).double(), expected, atol=5e-5, rtol=1e-4)
    assert (model.z_dim, model.w_dim, model.num_ws, model.img_resolution) == (16, 16, 6, 16)
    assert model.config.channels == tuple(CHANNELS) and model.config.conv_clamp is None


@pytest.mark.parametrize("zipped", [True, False])
def test_a_rosinality_checkpoint_is_the_same_network(raw, stored, zipped):
    one = load_stylegan2(stored(slow.nvidia_pickle(raw), "a.pkl"))
    two = load_stylegan2(stored(slow.rosinality(raw), "b.pt", _use_new_zipfile_serialization=zipped))
    assert one.name == two.name
    torch.testing.assert_close(one.synthesis(codes(one)), two.synthesis(codes(one)))
    for name in ("w_avg", "w_std"):
        assert torch.equal(getattr(one, name), getattr(two, name))


def test_a_bare_state_dict_with_known_names_is_enough(raw, stored, tmp_path):
    first = load_stylegan2(stored(slow.nvidia_pickle(raw)))
    save_file(raw, tmp_path / "bare.safetensors")
    for path in (stored(raw, "bare.pt"), tmp_path / "bare.safetensors"):
        assert torch.equal(load_stylegan2(path).synthesis(codes(first)), first.synthesis(codes(first)))


def test_the_spread_of_w_is_measured_and_the_average_where_there_is_none(raw, stored):
    content = slow.rosinality(raw)
    given = load_stylegan2(stored(content))
    del content["latent_avg"]
    measured = load_stylegan2(stored(content))
    assert torch.equal(given.w_avg, raw["mapping.w_avg"])
    z = torch.randn(20000, 16, generator=torch.Generator().manual_seed(8))
    w = measured.mapping(z)
    error = (w.mean(0) - measured.w_avg) / (w.std(0) / 100)
    assert error.abs().max() < 5  # two independent means of 16,384 and 20,000
    torch.testing.assert_close(given.w_std, w.std(0), rtol=0.05, atol=0)


def test_two_checkpoints_have_two_names(raw, stored):
    name = load_stylegan2(stored(slow.nvidia_pickle(raw))).name
    other = raw | {"synthesis.b16.torgb.bias": raw["synthesis.b16.torgb.bias"] + 1e-3}
    assert name.startswith("stylegan2-")
    assert name != load_stylegan2(stored(slow.nvidia_pickle(other))).name


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


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_malicious_reduce_is_refused_by_name(raw, stored, marker, protocol):
    assert pickle.loads(pickle.dumps(Attack(marker))) == 0 and marker.exists()  # the weapon is real
    marker.unlink()
    beside = slow.nvidia_pickle(raw, extra={"D": Attack(marker)}, protocol=protocol)
    for blob in (pickle.dumps(Attack(marker), protocol), beside):
        refused(stored(blob), marker, WeightsMismatch, "posix.system", "nothing in it was executed")


def test_a_malicious_file_of_torch_is_refused_by_name(raw, stored, marker):
    content = slow.rosinality(raw) | {"args": Attack(marker)}
    for zipped in (True, False):
        path = stored(content, _use_new_zipfile_serialization=zipped)
        refused(path, marker, WeightsMismatch, "posix.system", "nothing in it was executed")


def test_a_malicious_file_inside_a_pickle_is_refused_by_name(raw, stored, marker):
    for zipped in (True, False):
        blob = io.BytesIO()
        torch.save(Attack(marker), blob, _use_new_zipfile_serialization=zipped)
        nested = slow.Stored(torch.zeros(3), blob.getvalue())
        path = stored(slow.nvidia_pickle(raw, extra={"D": nested}))
        refused(path, marker, WeightsMismatch, "posix.system", "nothing in it was executed")


@pytest.mark.parametrize("name", ["builtins.eval", "builtins.getattr", "torch.load", "os.path.join.x"])
def test_names_beside_the_table_are_refused(stored, marker, name):
    module, attribute = name.split(".", 1)
    blob = b"\x80\x02c" + f"{module}\n{attribute}\n".encode() + b"."
    refused(stored(blob), marker, WeightsMismatch, name)


def test_a_pickle_cannot_change_what_the_reader_is_made_of(raw, stored, marker):
    target = b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n"
    blob = b"\x80\x02" + target + b"N}X\x04\x00\x00\x00callX\x01\x00\x00\x00xs\x86b."  # BUILD
    refused(stored(blob), marker, WeightsMismatch, "a change to a function")
    assert load_stylegan2(stored(slow.nvidia_pickle(raw))).num_ws == 6


def test_a_tensor_beyond_its_storage_is_refused(raw, stored, marker):
    class Beyond(slow.Stored):
        def __reduce__(self):
            make, (storage, _, _, _, *rest) = super().__reduce__()
            return make, (storage, 0, (10**9,), (0,), *rest)

    path = stored(slow.nvidia_pickle(raw, extra={"x": Beyond(torch.zeros(3))}))
    refused(path, marker, WeightsCorrupt, "larger than what is stored")


@pytest.mark.parametrize("share", [0.1, 0.3, 0.9, 0.999])
def test_truncated_files_are_refused(raw, stored, marker, share, tmp_path):
    save_file(raw, tmp_path / "ours")
    whole = [slow.nvidia_pickle(raw), (tmp_path / "ours").read_bytes()]
    whole += [
        stored(slow.rosinality(raw), _use_new_zipfile_serialization=z).read_bytes() for z in (0, 1)
    ]
    for blob in whole:
        path = stored(blob[: int(len(blob) * share)])
        refused(path, marker, WeightsCorrupt, "truncated or damaged", "copy it again")


def test_a_missing_file_says_what_could_be_there(tmp_path, marker):
    refused(tmp_path / "gone.pkl", marker, WeightsMissing, ".pkl of NVIDIA", ".pt of rosinality")


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"hello, these are my notes\n", "a text file"), (b"<html>404</html>    \n", "a text file"),
     (b"", "no file of weights"), (b"\xff\xd8\xff\xe0" + bytes(40), "no file of weights")],
)  # fmt: skip
def test_other_files_are_refused(stored, marker, content, what):
    refused(stored(content), marker, WeightsMismatch, what, "choose a .pkl")


def test_the_tensorflow_era_is_recognised(stored, marker):
    blob = b"\x80\x03cdnnlib.tflib.network\nNetwork\nq\x00)\x81q\x01}q\x02b."
    refused(stored(blob), marker, WeightsMismatch, "TensorFlow era", "legacy.py")


def test_other_networks_are_recognised(raw, stored, marker):
    stylegan3 = {"synthesis.input.freqs": torch.zeros(4, 2), "mapping.fc0.weight": torch.zeros(4, 4)}
    mark = {"b16.fromrgb.weight": torch.zeros(4, 3, 1, 1), "b4.out.weight": torch.zeros(1, 4)}
    old = {"generator.progression.0.conv1.weight": torch.zeros(3)}
    for blob, words in (
        (slow.nvidia_pickle(stylegan3), ["a StyleGAN3 generator"]),
        (slow.nvidia_pickle(mark), ["a discriminator"]),
        (slow.nvidia_pickle(raw, key="D"), ["no generator under G_ema", "D, training_set_kwargs"]),
        ({"g_running": old, "discriminator": {}}, ["a StyleGAN1 network"]),
        ({"g_ema": {1: torch.zeros(3)}}, ["no generator under G_ema or g_ema but 1"]),
        ({"weight": torch.zeros(3)}, ["no StyleGAN2 that anonlab knows but weight"]),
        (slow.rosinality(raw) | {"args": Namespace(size=16)}, ["argparse.Namespace", "keep only"]),
    ):
        refused(stored(blob), marker, WeightsMismatch, *words)


def test_conditional_networks_are_recognised(raw, stored, marker):
    conditional = raw | {"mapping.embed.weight": torch.zeros(4, 4)}
    refused(stored(slow.nvidia_pickle(conditional)), marker, WeightsMismatch, "conditional StyleGAN2")


def test_what_is_missing_and_what_is_not_used_are_both_listed(raw, stored, marker):
    changed = dict(raw)
    changed["synthesis.b8.skip.weight"] = changed.pop("synthesis.b8.torgb.bias")
    words = ["missing: synthesis.b8.torgb.bias", "not used: synthesis.b8.skip.weight"]
    refused(stored(slow.nvidia_pickle(changed)), marker, WeightsMismatch, *words)


@pytest.mark.parametrize("name", ["synthesis.b8.conv1.weight", "mapping.fc0.weight"])
def test_a_missing_tensor_that_the_shape_is_read_from(raw, stored, marker, name):
    changed = {other: tensor for other, tensor in raw.items() if other != name}
    refused(stored(slow.nvidia_pickle(changed)), marker, WeightsMismatch, name)


def test_a_wrong_number_of_channels_is_refused(raw, stored, marker):
    changed = raw | {"synthesis.b8.conv0.weight": torch.zeros(5, 7, 3, 3)}
    words = ["of a wrong shape: synthesis.b8.conv0.weight (5, 7, 3, 3) instead of (5, 6, 3, 3)"]
    refused(stored(slow.nvidia_pickle(changed)), marker, WeightsMismatch, *words)


def test_another_filter_and_numbers_that_are_none_are_refused(raw, stored, marker):
    flat = raw | {"synthesis.b8.conv0.resample_filter": torch.ones(4, 4) / 16}
    refused(
        stored(slow.nvidia_pickle(flat)), marker, WeightsMismatch, "another filter than [1, 3, 3, 1]"
    )
    broken = raw | {"synthesis.b8.conv0.bias": torch.full((5,), torch.nan)}
    refused(stored(slow.nvidia_pickle(broken)), marker, WeightsCorrupt, "not finite")
