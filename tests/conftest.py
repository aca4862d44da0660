"""Real parts, loaded once a session, and the folder of photos that is only for measuring."""

import functools
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch
from PIL import Image

from anonlab.apps.album import RememberingDetector
from anonlab.encoding.linear import LinearInitialization
from anonlab.encoding.start import OVERSHOOT, LinearStart
from anonlab.files import atomic_path
from anonlab.generators import Generator, load_generator
from anonlab.images import resize
from anonlab.notebook.samples import sample_photo
from anonlab.perception.networks import load_perception_network
from anonlab.perception.perception import Perception
from anonlab.photo.faces import ALIGNED_SIZE, Face, align
from anonlab.photo.photos import Photo, read_photo
from anonlab.pipeline import Anonymizer
from anonlab.training.synthetic import Samples, _generate, _with_targets

MUTATED = "MUTANT_UNDER_TEST" in os.environ  # `make breaks`
# as many workers as cores: one thread each, kernels too; and a fork of several threads waits for ever
ALONE = MUTATED or "PYTEST_XDIST_WORKER" in os.environ
if ALONE:
    os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1 if ALONE else 2)
sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
KEY = b"a secret of at least 16 bytes"


phases = [  # a mutant's failure is all that counts, not the smallest
    phase for phase in hypothesis.Phase if not MUTATED or phase.name in ("explicit", "generate")
]
hypothesis.settings.register_profile(
    "same", deadline=None, derandomize=True, database=None, phases=phases
)
hypothesis.settings.load_profile("same")

LONGEST = (  # a minute or more each: if one of these began last, the other worker would wait for it
    *("test_rejects.py", "test_evaluation.py", "test_regenerate.py", "test_clip.py", "test_wheel.py"),
    *("test_training.py", "test_explorer.py", "test_other_device.py", "test_video_files.py"),
)


@pytest.hookimpl(wrapper=True)  # before pytest chooses by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """A file's tests go to one worker, which makes their fixtures once (xdist's `loadfile`); the longest
    come first (`--no-loadscope-reorder`), but for mutants the shortest: one that fails is enough."""
    statistics = Path("mutmut-stats.json")
    known = MUTATED and statistics.exists()
    seconds = json.loads(statistics.read_text())["duration_by_test"] if known else {}

    def place(item: pytest.Item) -> float:
        if MUTATED:
            return seconds.get(item.nodeid, 0) + ("shipped" in item.fixturenames)
        found = [number for number, part in enumerate(LONGEST) if part in item.nodeid]
        return found[0] if found else len(LONGEST)

    items.sort(key=place)
    return (yield)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Load the networks before mutmut forks, once for all mutants: for that it collects the tests."""
    if MUTATED and session.config.option.collectonly:
        loaded()
        for path in Path().glob("*.pt"):
            path.unlink()


@functools.cache
def loaded() -> Anonymizer:
    return Anonymizer.load(device="cpu", key=KEY)


def once(name: str, make: Callable[[], torch.Tensor]) -> torch.Tensor:
    """Make a tensor; for mutants it is made for the first of them, and read for the others."""
    path = Path(f"{name}.pt")
    if not MUTATED:
        return make()
    if not path.exists():
        with atomic_path(path) as partial:
            torch.save(make(), partial)
    return torch.load(path)


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
    parts = loaded()
    seen = {
        "detector": RememberingDetector(parts.detector),
        "perception": Remembering(parts.perception),
    }
    return parts.replace(**seen)


@pytest.fixture(scope="session")
def linear(shipped) -> LinearInitialization:
    return LinearInitialization(shipped.generator, shipped.population)


@pytest.fixture(scope="session")
def one_pass(shipped, linear) -> Anonymizer:
    """The method `one-pass`."""
    return shipped.replace(start=LinearStart(linear, OVERSHOOT))


@pytest.fixture(scope="session")
def optimizing(shipped, linear) -> Anonymizer:
    """The method `optimize`, by a few steps from the linear start."""
    return shipped.replace(start=LinearStart(linear), refine_steps=4)


def part(of: Callable[[Anonymizer], object]) -> object:
    """A fixture of one of its parts."""
    return pytest.fixture(scope="session")(lambda shipped: of(shipped))


generator = part(lambda one: one.generator)
recognizer = part(lambda one: one.recognizer)
detector = part(lambda one: one.detector)
perceptual = part(lambda one: one.regenerator.perceptual)
population = part(lambda one: one.population)


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
def face(astronaut_face) -> torch.Tensor:
    """Her face where networks look at it, `(1, 3, 256, 256)`."""
    return resize(astronaut_face, 256)


@pytest.fixture(scope="session")
def synthetic_faces(generator) -> torch.Tensor:
    """Six generated people, `(6, 3, 512, 512)`."""

    @torch.no_grad()
    def drawn() -> torch.Tensor:
        z = torch.randn(6, 512, generator=torch.Generator().manual_seed(7))
        ws = generator.broadcast(generator.mapping(z, truncation_psi=0.8))
        return torch.cat([generator.synthesis(row[None], 512) for row in ws]).clamp(-1, 1)

    return once("synthetic_faces", drawn)


@pytest.fixture(scope="session")
def portrait(generator) -> Image.Image:
    """A generated person, 1024 pixels a side."""
    drawn = once("portrait", lambda: torch.tensor(np.array(sample_photo("synthetic-4", generator))))
    return Image.fromarray(drawn.numpy())


@pytest.fixture(scope="session")
def exact() -> Generator:
    """The generator in float32, on every processor."""
    return load_generator()


@pytest.fixture(scope="session")
def samples(exact, recognizer, population) -> Samples:
    """Generated faces whose codes are known."""
    drawn = _generate(exact, recognizer, 48, 3, load_perception_network(), None)
    return _with_targets(population, drawn, 3)


@pytest.fixture(scope="session")
def tiny_onnx(tmp_path_factory) -> Path:
    """The file of a recogniser that compares pictures of 8 by 8 pixels, one by one."""
    import onnx

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
