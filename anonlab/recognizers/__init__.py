"""Pretrained networks that look at faces: recognisers behind one protocol, and perceptual distances."""

from __future__ import annotations

import os

import torch

from ..errors import UnknownOption, check_choice
from ..weights import store
from .base import Recognizer as Recognizer
from .base import centred as centred
from .base import crop as crop
from .base import distance as distance
from .base import jittered as jittered
from .base import matches as matches
from .dlib_resnet import load_dlib
from .facenet import load_facenet
from .onnx import OnnxRecognizer, check_options

RECOGNIZERS = ("dlib", "facenet", "onnx")


def load_recognizer(
    name: str = "dlib",
    path: str | os.PathLike | None = None,
    device: torch.device | str = "cpu",
    **options,
) -> Recognizer:
    """Load a pretrained recogniser by name, frozen.

    `dlib` is embedded. `facenet` takes `path` or a downloaded file. `onnx` takes the `path` of any
    embedding model, ONNX or TensorFlow Lite, and the options of `OnnxRecognizer`. Raises
    `UnknownOption`, `WeightsMissing` or `WeightsCorrupt`.
    """
    check_choice("recogniser", name, RECOGNIZERS)
    if name == "dlib":
        model = load_dlib()
        model.mean.copy_(store.load_shipped("population")["mean"])
        return model.to(device)
    if name == "facenet":
        return load_facenet(path, device)
    if path is None:
        raise UnknownOption("recogniser 'onnx' needs the path of an .onnx file")
    check_options(options)
    return OnnxRecognizer(path, **options)
