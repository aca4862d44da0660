"""Photos as cameras, phones, scanners and editors write them: each shows what it must, or is refused by
what it is."""

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
import tifffile
from faked import chunk
from PIL import Image, ImageCms

from anonlab.apps.verify.containers import hidden_parts
from anonlab.apps.video.animations import Animation
from anonlab.errors import UnreadableImage
from anonlab.photo.metadata import GROUPS
from anonlab.photo.photos import read_photo, write_photo

SMALL = np.random.default_rng(1).integers(30, 226, (5, 6, 3), dtype=np.uint8)
RGB = np.asarray(Image.fromarray(SMALL).resize((80, 64), Image.Resampling.BICUBIC))
GREY = RGB[..., 0]
TURNED = np.ascontiguousarray(np.rot90(RGB))  # as a camera stores it that says orientation 6
SRGB = ImageCms.createProfile("sRGB")
LAB = ImageCms.createProfile("LAB")


def encoded(pixels: np.ndarray | Image.Image, kind: str, **options: object) -> bytes:
    image, buffer = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels), io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg(pixels: np.ndarray = RGB, **options: object) -> bytes:
    return encoded(pixels, "JPEG", quality=96, subsampling=0, **options)


def png(*chunks: tuple) -> bytes:
    """A PNG with chunks of one's own before the picture."""
    data = encoded(RGB, "PNG")
    return data[:33] + b"".join(chunk(*one) for one in chunks) + data[33:]


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


def exif(*fields: tuple[int, int, int, int], then: bytes = b"") -> bytes:
    """EXIF of raw fields (number, type, count, value or offset), and what stands behind them."""
    body = b"".join(struct.pack("<HHII", *one) for one in fields)
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(fields)) + body + bytes(4) + then


def segment(number: int, content: bytes, data: bytes) -> bytes:
    """A JPEG with one more segment at its beginning."""
    return data[:2] + struct.pack(">BBH", 255, number, len(content) + 2) + content + data[2:]


def with_exif(block: bytes) -> bytes:
    return segment(0xE1, block, jpeg(TURNED))


def pages(*each: tuple[np.ndarray, dict]) -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        for pixels, options in each:
            file.write(pixels, photometric="rgb", **options)
    return buffer.getvalue()


ALTITUDE = exif(
    (0x0112, 3, 1, 6), (0x8825, 4, 1, 38), then=struct.pack("<HHHIHHI", 1, 5, 3, 1, 256, 0, 0)
)
HALF = np.full((64, 80, 1), 128, np.uint8)
SHOWN: dict[str, tuple[bytes | Callable[[], bytes], np.ndarray]] = {  # file → what it shows
    "altitude-above-255.jpg": (with_exif(ALTITUDE), RGB),
    "orientation-99.jpg": (segment(0xE1, exif((0x0112, 3, 1, 99)), jpeg()), RGB),
    "exif-is-garbage.jpg": (segment(0xE1, b"Exif\0\0garbage" * 9, jpeg()), RGB),
    "xmp-in-utf-16.jpg": (
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + "<x/>".encode("utf-16"), jpeg()), RGB
    ),
    "iptc-is-cut-off.jpg": (segment(0xED, b"Photoshop 3.0\x008BIM\4\4\0\0\0\0\xff\xff", jpeg()), RGB),
    "index-of-pictures-is-cut-off.jpg": (
        segment(0xE2, b"MPF\0II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0xB001, 4, 1, 3), jpeg()), RGB
    ),
    "motion-photo.jpg": (jpeg() + b"\0\0\0\x18ftypmp42" + bytes(99), RGB),
    "cmyk.tif": (encoded(Image.fromarray(RGB).convert("CMYK"), "TIFF"), RGB),
    "lab.tif": (
        lambda: encoded(
            ImageCms.profileToProfile(Image.fromarray(RGB), SRGB, LAB, outputMode="LAB"),
            *("TIFF",),
            icc_profile=ImageCms.ImageCmsProfile(LAB).tobytes(),
        ),
        RGB,
    ),
    "big-endian-16.tif": (tiff(RGB.astype(np.uint16) * 257, byteorder=">", photometric="rgb"), RGB),
    "colours-times-alpha.tif": (
        tiff(
            np.dstack([(RGB.astype(int) * 128 // 255).astype(np.uint8), HALF]),
            photometric="rgb",
            extrasamples=["assocalpha"],
        ),
        RGB,
    ),
    "strips.tif": (lambda: raw_tiff(COLOURS, *ROWS), RGB),
    "content-decides.tga": (encoded(RGB, "PNG"), RGB),
    "what-wide-colours-are.png": (png((b"cICP", bytes([9, 16, 0, 1]))), RGB),
}  # fmt: skip


def raw_tiff(tags: dict[int, list[int]], *strips: bytes) -> bytes:
    """A TIFF of 80×64 pixels whose directory says just this; its strips have eight rows."""
    places = [8 + sum(map(len, strips[:number])) for number in range(len(strips))]
    lengths = [len(one) for one in strips]
    tags = {256: [80], 257: [64], 259: [1], 273: places, 278: [8], 279: lengths} | tags
    start = 8 + sum(lengths)
    behind, fields = start + 6 + 12 * len(tags), b""
    values = b""
    for tag, given in sorted(tags.items()):
        packed = struct.pack(f"<{len(given)}I", *given)
        at = packed if len(given) == 1 else struct.pack("<I", behind + len(values))
        values += packed if len(given) > 1 else b""
        fields += struct.pack("<HHI", tag, 4, len(given)) + at
    head = b"II*\0" + struct.pack("<I", start) + b"".join(strips)
    return head + struct.pack("<H", len(tags)) + fields + bytes(4) + values


ROWS = [RGB[top : top + 8].tobytes() for top in range(0, 64, 8)]
GREY_ROWS = [GREY[top : top + 8].tobytes() for top in range(0, 64, 8)]
COLOURS = {258: [8, 8, 8], 262: [2], 277: [3]}
PALETTE = {258: [8], 262: [3], 277: [1], 320: [*range(256)] * 3}
IN_PLANES = np.moveaxis(RGB.astype(np.uint16) * 257, -1, 0)
WRONGLY = "is a TIFF of a kind that cannot be read rightly; save it as RGB of 8 bits a channel"
REFUSED: dict[str, tuple[bytes, str]] = {  # file → what is said
    "planes.tif": (tiff(IN_PLANES, photometric="rgb", planarconfig="separate"), WRONGLY),
    "signed.tif": (tiff(GREY.astype(np.int16)), WRONGLY),
    "a-strip-is-missing.tif": (raw_tiff(COLOURS, *ROWS[:7]), WRONGLY),
    "ycbcr.tif": (raw_tiff(COLOURS | {262: [6]}, *ROWS), WRONGLY),
    "palette-of-8-bits.tif": (raw_tiff(PALETTE, *GREY_ROWS), WRONGLY),
    "white-is-zero-16.tif": (tiff(GREY.astype(np.uint16) * 257, photometric="miniswhite"), WRONGLY),
    "fractions.tif": (tiff(GREY.astype(np.float32) / 255), WRONGLY),
    "fractions.ppm": (encoded(Image.fromarray(GREY).convert("F"), "PPM"), "which is white is not known"),
    "text-with-wrong-checksum.png": (png((b"tEXt", b"Author\0Ada", 1)), "re-save it in a photo editor"),
    "raw.tif": (
        pages((RGB[::2, ::2], {"subfiletype": 1}), (RGB, {})),
        "raw file of a camera; export it as",
    ),
    "clip.ts": ((b"G" + bytes(187)) * 3, "python -m anonlab video"),
    "IMG.DNG": (b"nothing that is known", "raw file of a camera"),
    "IMG.CR3": (b"\0\0\0\x18ftypcrx " + bytes(99), "raw file of a camera"),
    "low.png": (encoded(RGB[:31], "PNG"), "80×31 pixels; a photo of a face needs at least 32 on each"),
}


@pytest.mark.parametrize("name", SHOWN)
def test_it_shows_what_it_must_and_nothing_else_travels(tmp_path, name):
    data, expected = SHOWN[name]
    (tmp_path / name).write_bytes(data() if callable(data) else data)
    photo = read_photo(tmp_path / name)
    assert photo.pixels.shape == expected.shape
    assert np.abs(photo.pixels.astype(int) - expected).max() <= 12
    assert (photo.alpha is not None) == (name == "colours-times-alpha.tif")
    out = tmp_path / "out" / name
    write_photo(photo.image(photo.pixels), out, photo.icc_profile, photo, tuple(GROUPS))
    assert hidden_parts(out, tuple(GROUPS)) == []
    assert np.abs(read_photo(out).pixels.astype(int) - expected).max() <= 24


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_by_what_it_is(tmp_path, name):
    data, said = REFUSED[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UnreadableImage) as caught:
        read_photo(tmp_path / name)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / name)) and said in message and "; " in message
    assert "\n" not in message and ". " not in message and not message.endswith(".")


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_every_orientation_beside_a_field_that_cannot_be_written(tmp_path, orientation, kind):
    block = ALTITUDE.replace(
        struct.pack("<HHII", 0x0112, 3, 1, 6), struct.pack("<HHII", 0x0112, 3, 1, orientation)
    )
    stored = {
        2: RGB[:, ::-1], 3: RGB[::-1, ::-1], 4: RGB[::-1], 5: RGB.swapaxes(0, 1), 6: TURNED,
        7: RGB[::-1, ::-1].swapaxes(0, 1), 8: np.rot90(RGB, -1),
    }[orientation]  # fmt: skip
    path = tmp_path / f"a.{kind.lower()}"
    options = {"lossless": True} if kind == "WEBP" else {}
    path.write_bytes(encoded(np.ascontiguousarray(stored), kind, exif=block, **options))
    np.testing.assert_array_equal(read_photo(path).pixels, RGB)


TEXTS = {  # what a field holds → whether it stays
    "Jürgen Müller".encode(): True,
    "Ünal Öz".encode(): True,  # in UTF-8 with bytes that Latin-1 cannot print
    "José".encode("latin-1"): True,
    "山田".encode(): True,
    b"Ann Photo\0Bob Editor": True,
    b"two\nlines": False,
    b"A" * 201: False,
}


@pytest.mark.parametrize("text", TEXTS)
def test_text_of_exif_stays_byte_for_byte_or_is_named(tmp_path, text):
    source, out = tmp_path / "a.jpg", tmp_path / "b.jpg"
    fields = ((0x013B, 2, len(text) + 1, 38), (0x8298, 2, len(text) + 1, 38))
    source.write_bytes(segment(0xE1, exif(*fields, then=text + b"\0"), jpeg()))
    photo = read_photo(source)
    notes = write_photo(photo.image(photo.pixels), out, None, photo, ("copyright",))
    named = [f"its EXIF field {name} could not be kept as it is" for name in ("Artist", "Copyright")]
    assert [note for note in notes if "EXIF" in note] == ([] if TEXTS[text] else named)
    assert (out.read_bytes().count(text) >= 1) is TEXTS[text]


@pytest.mark.parametrize("hidden", [False, True])
def test_a_picture_that_an_animation_never_shows_is_not_its_first_frame(tmp_path, hidden):
    frames = [Image.fromarray(np.full_like(RGB, value)) for value in (10, 100, 200)]
    frames[0].save(
        tmp_path / "a.png", save_all=True, append_images=frames[1:], default_image=hidden, duration=50
    )
    clip = Animation(tmp_path / "a.png", tmp_path / "b.png")
    assert [int(frame.pixels[0, 0, 0]) for frame in clip.frames()] == [10, 100, 200][hidden:]
    assert (clip.count, len(clip.left_out)) == (3 - hidden, int(hidden))
