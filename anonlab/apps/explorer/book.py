"""The explorer for a reader without a kernel: one generated face, drawn for areas and strengths."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from PIL import Image
from tqdm.auto import tqdm

from ...controls import Controls
from ...notebook.plots import picture
from ...notebook.samples import sample_photo
from ...pipeline import Anonymizer
from .figures import SHARP, mask_overlay_with_heat
from .panel import page_file
from .server import KEY
from .workbench import Workbench

SAMPLE = "synthetic-8"
AREAS = (0.05, 0.1, 0.15, 0.2, 0.3, Controls.mask_area, 0.5)
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)


def write_turning(folder: Path) -> str:
    """Draw the sample face at every area and strength into `folder`, as JPEGs of 512 px.

    Returns HTML with two sliders that shows them from a folder of the same name beside its page. About a
    minute on 2 CPU cores. Raises as `Anonymizer.load` does.
    """
    bench = Workbench(Anonymizer.load(key=KEY))
    bench.open(sample_photo(SAMPLE, bench.anonymizer.generator))
    pictures, rows = {}, []
    for row, area in enumerate(tqdm(AREAS, desc="the book's explorer", disable=None)):
        view = bench.view(Controls(mask_area=area, perception="network"))
        pictures[f"mask-{row}"] = mask_overlay_with_heat(replace(view, image=bench.sharp), SHARP)
        faces = []
        for column, strength in enumerate(STRENGTHS):
            new = bench.preview(view, Controls(mask_area=area, strength=strength), side=SHARP)
            pictures[f"face-{row}-{column}"] = picture(new.preview, SHARP)
            faces.append(new.measured("the new face", new.preview_distance) | {"shares": new.shares})
        rows.append({"mask": f"mask: {view.shares}", "faces": faces})
    folder.mkdir(parents=True)
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(folder / f"{name}.jpg", quality=80)
    start = AREAS.index(Controls.mask_area)
    told = json.dumps({"folder": folder.name, "rows": rows, "strengths": STRENGTHS, "start": start})
    return page_file("book.html").replace("/*told*/", told.replace("<", "\\u003c"))
