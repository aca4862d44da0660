"""Real parts, loaded once a session, and the folder of photos that is only for measuring."""

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import torch

from anonlab.apps.album import RememberingDetector
from anonlab.encoding.linear import LinearInitialization
from anonlab.encoding.start import OVERSHOOT, LinearStart
from anonlab.notebook.samples import sample_photo
from anonlab.perception.perception import Perception
from anonlab.photo.faces import ALIGNED_SIZE, Face, align
from anonlab.photo.photos import Photo, read_photo
from anonlab.pipeline import Anonymizer

if "PYTEST_XDIST_WORKER" in os.environ:  # as many workers as cores: one thread each, kernels too
    os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else 2)
sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
KEY = b"a secret of at least 16 bytes"
SHARED = Path(__file__).resolve().parents[2] / "shared"


hypothesis.settings.register_profile("same", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("same")

LONGEST = (  # a minute or more each: if one of these began last, the other worker would wait for it
    *("test_rejects.py", "test_evaluation.py", "test_regenerate.py", "test_clip.py", "test_wheel.py"),
    *("test_training.py", "test_explorer.py", "test_other_device.py", "test_video_files.py"),
)


@pytest.hookimpl(wrapper=True)  # before pytest chooses by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """A file's tests go to one worker, which makes their fixtures once (xdist's `loadfile`); the longest
    come first (`--no-loadscope-reorder`)."""

    def place(item: pytest.Item) -> int:
        found = [number for number, part in enumerate(LONGEST) if part in item.nodeid]
        return found[0] if found else len(LONGEST)

    items.sort(key=place)
    return (yield)


class Remembering:
    """Stage 1 that makes each map once."""

    def __init__(self, perception: Perception):
        self.perception, self.maps = perception, {}

    def __call__(self, image: torch.Tensor, *given: object, **options: object) -> torch.Tensor:
        name = (
            hashlib.sha256(image.detach().contiguous().numpy().tobytes()).digest(),
            repr((given, options)),
        )
        if name not in self.maps:
            self.maps[name] = self.perception(image, *given, **options)
        return self.maps[name]

    def __getattr__(self, name: str) -> object:
        return getattr(self.perception, name)


@pytest.fixture(scope="session")
def shipped() -> Anonymizer:
    """One pass of the encoder, as it is without options; photos and faces are looked at once."""
    loaded = Anonymizer.load(device="cpu", key=KEY)
    seen = {
        "detector": RememberingDetector(loaded.detector),
        "perception": Remembering(loaded.perception),
    }
    return loaded.replace(**seen)


@pytest.fixture(scope="session")
def one_pass(shipped) -> Anonymizer:
    """The method `one-pass`."""
    start = LinearStart(LinearInitialization(shipped.generator, shipped.population), OVERSHOOT)
    return shipped.replace(start=start)


@pytest.fixture(scope="session")
def optimizing(shipped) -> Anonymizer:
    """The method `optimize`, by a few steps from the linear start."""
    start = LinearStart(LinearInitialization(shipped.generator, shipped.population))
    return shipped.replace(start=start, refine_steps=4)


@pytest.fixture(scope="session")
def generator(shipped):
    return shipped.generator


@pytest.fixture(scope="session")
def recognizer(shipped):
    return shipped.recognizer


@pytest.fixture(scope="session")
def detector(shipped):
    return shipped.detector


@pytest.fixture(scope="session")
def perceptual(shipped):
    return shipped.regenerator.perceptual


@pytest.fixture(scope="session")
def population(shipped):
    return shipped.population


@pytest.fixture(scope="session")
def astronaut() -> Photo:
    return read_photo(sample_photo("astronaut"))


@pytest.fixture(scope="session")
def astronaut_found(astronaut, detector) -> Face:
    """Her face as the detector finds it."""
    return detector(astronaut)[0]


@pytest.fixture(scope="session")
def astronaut_face(astronaut, astronaut_found) -> torch.Tensor:
    """Aligned, `(1, 3, 1024, 1024)`."""
    return align(astronaut, astronaut_found, ALIGNED_SIZE)


@pytest.fixture(scope="session")
def synthetic_faces(generator) -> torch.Tensor:
    """Six generated people, `(6, 3, 512, 512)`."""
    with torch.no_grad():
        z = torch.randn(6, 512, generator=torch.Generator().manual_seed(7))
        ws = generator.broadcast(generator.mapping(z, truncation_psi=0.8))
        return torch.cat([generator.synthesis(row[None], 512) for row in ws]).clamp(-1, 1)


@pytest.fixture(scope="session")
def tiny_onnx(tmp_path_factory) -> Path:
    """The file of a recogniser that compares pictures of 8 by 8 pixels, one by one."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["image"], ["embedding"])],
        "tiny",
        [helper.make_tensor_value_info("image", kind, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("embedding", kind, ["n", 192])],
    )
    path = tmp_path_factory.mktemp("onnx") / "tiny.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return path


@pytest.fixture(scope="session")
def shared() -> Path:
    if not (SHARED / "faces").is_dir():
        pytest.skip("the photos for measuring are not here")
    return SHARED
