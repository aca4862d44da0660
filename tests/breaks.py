"""Break the code in stated ways, one at a time, and see whether the tests notice.

    python tests/breaks.py [--only NAME …] [--jobs N] [--list]

A break is one textual replacement in one file. Each is made in a temporary copy of the package and the
tests; then the tests run that should notice (the fast ones of that room). First they all have to pass
on an unbroken copy, or failing would mean nothing. At the end stands what was not noticed.

Exit status: 0 if every break was noticed, 1 if one was not, if a replacement no longer applies exactly
once, or if the unbroken copy fails, 2 for bad usage. Ten minutes on one core; see `--only`.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 600  # after which the tests of one break are stopped; that is not noticing
# what takes seconds to import and is nobody's to break is imported once
WARM = multiprocessing.get_context("forkserver")
WARM.set_forkserver_preload(
    ["captum.attr", "facenet_pytorch", "onnxruntime", "openvino", "pytest", "skimage.transform",
     "sklearn.metrics", "stlpips_pytorch", "torch", "torchmetrics", "torchvision"]
)  # fmt: skip
NOTICED, UNNOTICED, INVALID, ENDLESS = "noticed", "NOT NOTICED", "INVALID", "NO END"


@dataclass(frozen=True)
class Break:
    """One way to break the code."""

    name: str  # what is wrong afterwards
    file: str  # below anonlab/
    old: str  # stands there exactly once
    new: str
    tests: str  # a file below tests/, and for a slow one which of its tests: "FILE -k WORDS"

    @property
    def path(self) -> Path:
        """The file, from the root of the repository."""
        return Path("anonlab") / self.file

    def applied(self, text: str) -> str:
        """The broken file. Raises `ValueError` unless `old` stands in `text` exactly once."""
        count = text.count(self.old)
        if count != 1 or self.old == self.new:
            raise ValueError(f"{self.name}: {self.path} has {self.old!r} {count} times, not once")
        return text.replace(self.old, self.new)


IDENTITY = "identity/test_identities.py"
PIPELINE = "test_pipeline.py -k "
PHOTOS = "photo/test_photos.py"
LOOP = "training/test_training_loop.py"
COMPOSE = "regeneration/test_compose.py"
IRISES = "regeneration/test_irises.py"
REGENERATE = "regeneration/test_regenerate.py"
EYES = "perception/test_eyes.py"
SELECTION = "test_selection.py"
OCCLUSION = "regeneration/test_occlusion.py"

BREAKS = [
    # ground floor
    Break("mask inverted where two pictures are pasted", "images.py",
          "return image + mask * (over - image)", "return over + mask * (image - over)",
          "test_images.py"),
    Break("a Gaussian of another sigma", "images.py",
          "(2 * sigma**2)", "(sigma**2)", "test_images.py"),
    Break("a GPU's blur darkens the edges", "images.py",
          ".clamp(0, size - 1)", " % size", "test_images.py"),
    Break("pictures made smaller without averaging", "images.py",
          "antialias=smaller", "antialias=False", "test_images.py"),
    Break("8 bits rounded down", "images.py",
          ".clamp(-1, 1) + 1) * 127.5).round()", ".clamp(-1, 1) + 1) * 127.5)", "test_images.py"),
    Break("a file written in its place from the start", "files.py",
          "self.partial = Path(name)", "self.partial = self.path", PHOTOS + " -k atomic_path"),
    Break("any control's value accepted", "controls.py",
          "if not ends[0] <= value <= ends[1]:", "if value < -9:",
          "test_controls.py"),
    Break("a weights file used whatever its sha256", "weights/store.py",
          "if not sha256(path).startswith(expected)", "if not sha256(path).startswith('')",
          "weights/test_weights.py -k altered"),
    # photos and faces
    Break("EXIF kept in the output", "photo/photos.py",
          "    image.info.clear()\n", "", PHOTOS + " -k metadata"),
    Break("EXIF orientation ignored", "photo/photos.py",
          "return UPRIGHT.get(said) if isinstance(said, int) else None", "return None",
          PHOTOS + " -k orientation"),
    Break("ICC profile dropped", "photo/photos.py",
          'options["icc_profile"] = icc_profile', "pass", PHOTOS + " -k profile"),
    Break("red and blue exchanged on the way to 8 bits", "images.py",
          "image.permute(1, 2, 0).contiguous()", "image.flip(0).permute(1, 2, 0).contiguous()",
          "test_images.py"),
    Break("faces cut out too low", "photo/faces.py",
          "corner = eyes + 0.1 * eye_to_mouth", "corner = eyes + 0.3 * eye_to_mouth",
          "photo/test_faces.py -k ffhq"),
    Break("a network for every thread", "openvino_runtime.py",
          "threading.Semaphore(self._most)", "threading.Semaphore(99)",
          "generators/test_openvino.py -k turns"),
    Break("bands of the wavelet in another order", "generators/mobile_stylegan.py",
          ".transpose(0, 1)", ".flip(0).transpose(0, 1)", "generators/test_mobile_stylegan.py"),
    Break("segments of a clip that cannot be shared", "video/anonymize_clip.py",
          "SHARES = 4", "SHARES = 1", "video/test_clip.py -k shares"),
    Break("faces drawn smaller than the photo shows them", "photo/faces.py",
          "(200.0, 256)", "(400.0, 256)", "photo/test_faces.py -k needs"),
    Break("a face that is surely known looked at from near in every turned photo", "photo/detection.py",
          "others, sure)])", "others)])", "photo/test_detection.py -k surely"),
    Break("what one detector takes for a face believed", "photo/detection.py",
          "[face for face in faces if _confirmed(face, others)]", "faces",
          "photo/test_centerface.py -k only"),
    Break("whatever CenterFace suspects is a face", "photo/detection.py",
          "elif mean >= LIKELY:", "else:", "photo/test_centerface.py -k confirm"),
    Break("points down and across exchanged", "photo/centerface.py",
          "five[:, ::-1, i]", "five[:, :, i]", "photo/test_centerface.py -k package"),
    Break("a photo turned the other way", "photo/centerface.py",
          "[[0, -1], [1, 0]], (1, 0)", "[[0, 1], [-1, 0]], (0, 1)", "photo/test_centerface.py -k lying"),
    Break("half a face at the border of a part", "photo/centerface.py",
          "if not (beyond & inner).any():", "if left in (0, left):",
          "photo/test_centerface.py -k border"),
    Break("mirror images are faces", "photo/centerface.py",
          "VISIBLE = 0.28", "VISIBLE = -1.0", "photo/test_detection.py -k mirror"),
    Break("half a face of a clip is never sure", "video/detections.py",
          "max(face.confidence, SURE)", "face.confidence", "video/test_clip.py -k half_a_face"),
    Break("no look for small faces", "photo/centerface.py",
          "if fine else ()", "if False else ()", "photo/test_centerface.py -k fine"),
    Break("every face drawn at full size", "regeneration/regenerate.py",
          "resolution = min(enough, default=None)", "resolution = None",
          "regeneration/test_regenerate.py -k no_larger"),
    Break("the smallest face first", "photo/detection.py",
          "key=lambda face: -face.area", "key=lambda face: face.area",
          "photo/test_faces.py -k largest"),
    Break("a face half outside the frame accepted", "photo/faces.py",
          "MAX_OUTSIDE = 0.4", "MAX_OUTSIDE = 0.9", "photo/test_faces.py -k half_outside"),
    # recognisers
    Break("dlib's crop ten pixels too high", "recognizers/dlib_resnet.py",
          "CHIP_BOX = (78.9 - 2.392 / 2, 131.2 -", "CHIP_BOX = (78.9 - 2.392 / 2, 121.2 -",
          "recognizers/test_dlib_resnet.py -k ramp"),
    Break("dlib given blue first", "recognizers/dlib_resnet.py",
          "return self((crop(images, CHIP_BOX, 150) + 1) * 127.5)",
          "return self((crop(images, CHIP_BOX, 150).flip(1) + 1) * 127.5)",
          "recognizers/test_dlib_resnet.py -k chips"),
    Break("the threshold on its wrong side", "recognizers/base.py",
          "return distance(recognizer, a, b) < recognizer.threshold",
          "return distance(recognizer, a, b) > recognizer.threshold",
          "recognizers/test_dlib_resnet.py -k strangers"),
    Break("the mean embedding not taken away", "recognizers/base.py",
          "F.normalize(embeddings - recognizer.mean.to(embeddings), dim=-1)",
          "F.normalize(embeddings, dim=-1)", "recognizers/test_dlib_resnet.py -k centring"),
    Break("an ONNX graph's odd pixel padded on the wrong side", "recognizers/onnx_padding.py",
          'b"SAME_UPPER": 0, b"SAME_LOWER": 1', 'b"SAME_UPPER": 1, b"SAME_LOWER": 0',
          "recognizers/test_onnx_padding.py"),
    Break("an ONNX model's channel order ignored", "recognizers/onnx.py",
          "if self.bgr else chips", "if False else chips", "recognizers/test_recognizers.py -k channel"),
    # attackers
    Break("the attackers' recognisers added in their own units", "metrics/privacy.py",
          "(one - one.mean()) / one.std().clamp_min(1e-9) for one", "one for one",
          "evaluation/test_attackers.py -k two_recognisers"),
    Break("an album attacker who looks at one photo", "evaluation/privacy.py",
          "(probes + embeddings[OPTIONAL])[several] / 2", "probes[several]",
          "evaluation/test_attackers.py -k album_stands"),
    Break("an attacker who learns with the user's key", "evaluation/pictures.py",
          'recipes, f"attacker, {name}", draw', 'recipes, "user", draw',
          "evaluation/test_evaluation.py -k own_key"),
    Break("the owner of the key taken for an attacker", "evaluation/tables.py",
          'if attack != KEYED and', "if", "evaluation/test_attackers.py -k quoted"),
    # identity
    Break("the key ignored", "identity/virtual.py",
          'hashlib.sha256(key + b"\\0"', 'hashlib.sha256(b"\\0"', IDENTITY + " -k seed"),
    Break("the seed ignored", "identity/virtual.py",
          "str(seed).encode()", 'b"0"', IDENTITY + " -k seed"),
    Break("the sign of the way to the new identity", "identity/virtual.py",
          "math.cos(angle) * self.axis +", "-math.cos(angle) * self.axis +",
          IDENTITY + " -k strength"),
    Break("a plain reflection, which can be undone", "identity/virtual.py",
          "drawn, math.pi - turn, usual)", "drawn, math.pi, usual)", IDENTITY + " -k turned"),
    Break("gender not kept", "identity/population.py",
          '* ("gender" in keep)', "* 0", IDENTITY + " -k group"),
    Break("kept age free", "identity/population.py",
          'if "age" in keep:', 'if "age" not in keep:', IDENTITY + " -k group"),
    Break("the sign of the skin tone", "identity/population.py",
          "np.arctan2(lightness - 50, yellow)", "np.arctan2(50 - lightness, yellow)",
          IDENTITY + " -k tone"),
    # generators
    Break("truncation ignored", "generators/base.py",
          "return w_avg + psi * (w - w_avg)", "return w", "generators/test_stylegan2.py -k truncation"),
    Break("rows of W+ in another order", "generators/mobile_stylegan.py",
          "x = block(x, ws[:, 2 * i + 1], ws[:, 2 * i + 2])",
          "x = block(x, ws[:, 2 * i + 2], ws[:, 2 * i + 1])",
          "generators/test_openvino.py -k row_by_row"),
    Break("a wavelet's sign", "generators/mobile_stylegan.py",
          "top, bottom = low + vertical, low - vertical", "top, bottom = low - vertical, low + vertical",
          "generators/test_mobile_stylegan.py -k haar"),
    Break("StyleGAN2 without demodulation", "generators/stylegan2.py",
          "    if demodulate:\n", "    if not demodulate:\n",
          "generators/test_stylegan2.py -k formulas"),
    Break("StyleGAN2's rows of W+ all the first", "generators/stylegan2.py",
          "x = conv(x, ws[:, row]", "x = conv(x, ws[:, 0]", "generators/test_stylegan2.py -k formulas"),
    Break("a pickle may ask for anything", "generators/safe_pickle.py",
          'raise Refused(f"{module}.{name}")', "return super().find_class(module, name)",
          "generators/test_stylegan2_files.py -k malicious"),
    # stage 1
    Break("the baseline image not blurred", "perception/attribution.py",
          "return blurred(inquiry.image, BLUR_SIGMA)", "return inquiry.image",
          "perception/test_perception.py -k sum_to"),
    Break("the score not a share of the person's own", "perception/attribution.py",
          "/ own.square().sum()", "/ own.norm()", "perception/test_attribution.py -k score_is_1"),
    Break("the least important pixels masked", "perception/masks.py",
          "descending=True", "descending=False", "perception/test_perception.py -k most_important"),
    Break("a mask of another area", "perception/masks.py",
          "count = round(area * flat.shape[1])", "count = round(0.9 * area * flat.shape[1])",
          "perception/test_perception.py -k area_that_was"),
    Break("what stays shown where the mask is", "perception/masks.py",
          "return image * (1 - resize(mask, image.shape[-1]))",
          "return image * resize(mask, image.shape[-1])",
          "perception/test_perception.py -k masked_face"),
    Break("a region's exclusion ignored", "perception/masks.py",
          "return mask * (1 - other)", "return mask", "perception/test_masks.py -k excluded"),
    Break("the landmark error not over the eyes' distance", "perception/landmarks.py",
          ".norm(dim=2).mean(1) / interocular(reference)", ".norm(dim=2).mean(1)",
          "recognizers/test_estimators.py -k known_points"),
    # stage 2
    Break("the encoder sees what is masked", "encoding/encoder.py",
          "torch.cat([x * (1 - m), m], 1)", "torch.cat([x, m], 1)",
          "encoding/test_encoder.py -k blind"),
    Break("the linear start's bias has another sign", "encoding/linear.py",
          "return matrix, -self.picture_mean @", "return matrix, self.picture_mean @",
          "encoding/test_encoder.py -k untrained"),
    Break("the correction's sign", "encoding/correction.py",
          "lack = wanted - self.read(made, self.recognizer.embed(made))",
          "lack = self.read(made, self.recognizer.embed(made)) - wanted",
          "encoding/test_correction.py -k formula"),
    Break("colours under the mask count in full", "encoding/correction.py",
          "HIDDEN_NOISE), hidden", "HIDDEN_NOISE), 0 * hidden",
          "encoding/test_correction.py -k under_the_mask"),
    Break("the encoder aims no farther than the identity", "encoding/start.py",
          "aim = source + self.overshoot * (target - source)", "aim = target",
          "encoding/test_correction.py -k aim_beyond"),
    # stage 3
    Break("harmonising skipped", "regeneration/compose.py",
          "pasted(image, harmonise(generated, image, mask), mask)", "pasted(image, generated, mask)",
          COMPOSE + " -k harmonising"),
    Break("harmonising looks closely under the mask", "regeneration/compose.py",
          "outside = (1 - resize(mask, size)) * agree", "outside = agree", COMPOSE + " -k harmonising"),
    Break("harmonising does not reach across the mask", "regeneration/compose.py",
          "for one in (outside, agree)", "for one in (outside, outside)", COMPOSE + " -k harmonising"),
    Break("what is behind another thing counts as its colour", "regeneration/compose.py",
          "agree = (-mismatch).exp()", "agree = torch.ones_like(mismatch)", COMPOSE + " -k harmonising"),
    Break("a sharp face left sharp", "regeneration/compose.py",
          "return blurred(generated, sigma * generated.shape[-1] / DETAIL_SIZE)", "return generated",
          COMPOSE + " -k soft"),
    Break("a soft face blurred as well", "regeneration/compose.py",
          "        return 0.0\n    low, high", "        return 1.0\n    low, high",
          COMPOSE + " -k soft"),
    Break("the background says how sharp", "regeneration/compose.py",
          "weight = resize(mask, size)\n", "weight = torch.ones_like(resize(mask, size))\n",
          COMPOSE + " -k how_sharp"),
    Break("sharpness not matched in the pipeline", "regeneration/regenerate.py",
          "harmonise(match_sharpness(made, image, mask), image, mask, 1 - front)",
          "harmonise(made, image, mask, 1 - front)", REGENERATE + " -k soft_photo"),
    Break("the photo's points taken for the new face's", "regeneration/regenerate.py",
          "without_lost_parts(mask, points, new_points)", "without_lost_parts(mask, new_points, points)",
          REGENERATE + " -k narrower"),
    Break("irises shifted away from the photo's", "regeneration/irises.py",
          "one.part.add_(shift", "one.part.sub_(shift", IRISES + " -k colour"),
    Break("an iris gets the colour of the other eye", "regeneration/irises.py",
          "wanted = colours.get(eye, next(", "wanted = colours.get(1 - eye, next(",
          IRISES + " -k other_eye"),
    Break("a shut eye recoloured", "regeneration/irises.py",
          "opening / width >= OPEN and width", "opening >= 0 and width", IRISES + " -k shut"),
    Break("the lightest discs taken for the irises", "regeneration/irises.py",
          "return min(ways, key=brightness)", "return max(ways, key=brightness)",
          IRISES + " -k same_way"),
    Break("irises not matched in the pipeline", "regeneration/regenerate.py",
          "        matched = match_irises(matched, image, new_points, points)\n", "",
          REGENERATE + " -k irises"),
    Break("lost parts of the face taken from the new picture", "regeneration/compose.py",
          "return mask * (1 - resize(lost, mask.shape[-1]))", "return mask * (1 - 0 * resize(lost, 1))",
          COMPOSE + " -k photo_stays"),
    Break("that nothing is in front is said on another device", "regeneration/occlusion.py",
          "image.new_zeros(1, 1, SIZE, SIZE)", "torch.zeros(1, 1, SIZE, SIZE)",
          "test_other_device.py -k the_same_there"),
    Break("pictures judged on another device", "evaluation/judging.py",
          "there = small.to(self.device)", "there = small", "test_other_device.py -k judged"),
    Break("codes as large as they come", "encoding/start.py",
          "MOST)\n        return", "9.0)\n        return",
          "encoding/test_correction.py -k encoder_and_correction"),
    Break("corrected codes as large as they come", "encoding/correction.py",
          "self.generator.w_std, most)", "self.generator.w_std, 99.0)",
          "encoding/test_correction.py -k codes_stay"),
    Break("a batch's answers in another order", "batching.py",
          "zip(batch, made.split(sizes), strict", "zip(batch[::-1], made.split(sizes), strict",
          "test_batching.py -k meanwhile"),
    Break("other questions in one batch", "batching.py",
          "return id(self.network), shapes, self.others", "return id(self.network), shapes",
          "test_batching.py -k other_sizes"),
    Break("an error of one for the whole batch", "batching.py",
          "if len(batch) == 1:\n                batch[0].answer.set_exception(error)",
          "if True:\n                [call.answer.set_exception(error) for call in batch]",
          "test_batching.py -k an_error"),
    Break("who was in hand at a death not done alone", "scale/worker.py",
          'together and self.attempts.begun(one["name"])', "False",
          "scale/test_worker.py -k done_alone"),
    Break("few steps as if there were many", "regeneration/optimize.py",
          "if steps <= FEW_STEPS", "if steps < 0", "regeneration/test_regenerate.py -k few_steps"),
    Break("optimisation without the identity", "regeneration/optimize.py",
          "(config.goal - to_target)", "(config.goal - config.goal)",
          "regeneration/test_optimize.py"),
    Break("optimisation towards the person", "regeneration/optimize.py",
          "(to_source - max(identity.cosine, 0.0))", "(max(identity.cosine, 0.0) - to_source)",
          "regeneration/test_optimize.py"),
    Break("optimisation fits under the mask and not around it", "regeneration/optimize.py",
          "where = (1 - mask) *", "where = mask *", "regeneration/test_optimize.py"),
    Break("the distance that was asked for ignored", "regeneration/optimize.py",
          "config.distance * miss.abs().sum()", "0 * miss.abs().sum()",
          "regeneration/test_optimize.py"),
    Break("a face still matched is written", "checking.py",
          "self.found and not self.matched and self.drift", "self.found and self.drift",
          PIPELINE + "test_a_face_still_matched_is_tried_again_with_more_area_and_then_refused"),
    Break("a face that is gone passes", "checking.py",
          "self.found and not self.matched and self.drift", "not self.matched and self.drift",
          PIPELINE + "test_a_face_that_is_gone_is_refused"),
    Break("a second guide is not asked about the result", "pipeline.py",
          "matched |= seen is not None and", "matched |= False and", PIPELINE + "guide_still_matches"),
    Break("a second guide pulls towards the person", "regeneration/optimize.py",
          "loss + push * config.source * (close -", "loss - push * config.source * (close -",
          "regeneration/test_optimize.py"),
    Break("a second guide's map left out", "perception/perception.py",
          "torch.stack(maps).amax(0)", "maps[-1]", "recognizers/test_recognizers.py -k union"),
    Break("a smooth face in a noisy photo", "photo/grain.py",
          "np.clip(most**2 - there,", "np.clip(0 * most**2 - there,", "photo/test_grain.py"),
    Break("stubble taken for noise", "photo/grain.py",
          "wanted = [min(_dev", "wanted = [max(_dev", "photo/test_grain.py"),
    Break("grey noise in every photo", "photo/grain.py",
          "together = _correlation(noise[changed | ring], np.array(wanted))",
          "together = np.ones((3, 3), np.float32) + 1e-6 * np.eye(3, dtype=np.float32)",
          "photo/test_grain.py"),
    Break("a lying face of a clip is not followed", "video/detections.py",
          "self.last = [one for one in faces if one.roll > ROLLED]", "self.last = []",
          "video/test_clip.py -k lies"),
    Break("a lying face of a clip is not looked for in the frames before", "video/detections.py",
          "known.extend(faces)", "faces = []", "video/test_clip.py -k comes_later"),
    Break("a face that is near the person is not tried again", "checking.py",
          "NEAR = 1.17 ", "NEAR = 1.0 ", PIPELINE + "nearly_matched"),
    Break("the next attempt aims no further", "pipeline.py",
          "FURTHER = 1.5 ", "FURTHER = 1.0 ", PIPELINE + "nearly_matched"),
    Break("an album's photos searched twice", "photo/remembered.py",
          "if name not in self.faces:", "if True:", "album/test_album.py -k searched_once"),
    Break("a head turned too far is tried", "pipeline.py",
          "if verify and face.turn > MAX_TURN:", "if False:", SELECTION + " -k turned_too_far"),
    Break("a stranger who resembles is left alone", "selection.py",
          "STAYS = 0.75", "STAYS = 1.0", SELECTION + " -k in_doubt"),
    Break("who is to be hidden must be near", "selection.py",
          "one >= PERHAPS}", "one >= 1.0}", SELECTION + " -k in_doubt"),
    Break("a cover that shows who it is", "photo/cover.py",
          "CELLS = 6 ", "CELLS = 40 ", "photo/test_cover.py -k recognised"),
    Break("a cover with the face shining through", "photo/cover.py",
          "mixed = window + weight * (over - window)", "mixed = window + 0.6 * weight * (over - window)",
          "photo/test_cover.py -k few_numbers"),
    Break("everything around a face covered", "photo/cover.py",
          "WIDER = 1.35 ", "WIDER = 2.35 ", "photo/test_cover.py -k ellipse"),
    Break("what is in front is not seen", "regeneration/occlusion.py",
          "photo > OTHER", "photo < OTHER", OCCLUSION + " -k over_mouth"),
    Break("a shadow taken for something in front", "regeneration/occlusion.py",
          "axis=0)) * (0.5, 1, 1)", "axis=0)) * (3, 1, 1)", OCCLUSION + " -k bare_face"),
    Break("a strand of hair taken for something in front", "regeneration/occlusion.py",
          "THIN = 2 ", "THIN = 0 ", OCCLUSION + " -k frames"),
    Break("a photo written over its original", "cli/sources.py",
          "return found.st_dev, found.st_ino", "return None",
          "cli/test_bad_input.py -k output_folder_of_the_photo_itself"),
    Break("a photo written over the original of another", "cli/sources.py",
          "if existing in self.originals:", "if False:",
          "cli/test_bad_input.py -k another_photos_original"),
    # training
    Break("the moving average not updated", "training/loop.py",
          "torch._foreach_lerp_(mine, theirs, 1 - decay)", "torch._foreach_lerp_(mine, theirs, 0.0)",
          LOOP + " -k average"),
    Break("the learning rate never falls", "training/loop.py",
          "0.505 + 0.495 * math.cos(", "1.0 + 0.0 * math.cos(", LOOP + " -k cosine"),
    Break("resumed with other random numbers", "training/loop.py",
          '    rng.set_state(saved["rng"])\n', "", LOOP + " -k never_stopped"),
    Break("a loss that is no number goes on", "training/loop.py",
          "if not all(map(math.isfinite, numbers)):", "if False:", LOOP + " -k no_number"),
    Break("a gender not kept is kept in training", "training/targets.py",
          "-1.0, 1.0)) * by_gender", "-1.0, 1.0))", "training/test_targets.py"),
    Break("all rows of a batch turn as far", "training/targets.py",
          "angle = math.pi - wish.turn", "angle = math.pi - wish.turn[:1]", "training/test_targets.py"),
    Break("trained on what is held out", "training/synthetic.py",
          "torch.randint(self.held_out, len(self), (count,)", "torch.randint(0, len(self), (count,)",
          "training/test_samples.py"),
    Break("a dropped loss term", "training/encoder.py",
          '            "expression": landmark_error(new_points, old_points).mean() + 2 * gaps,\n', "",
          "training/test_training.py -k switches"),
    Break("the landmark network's own points as its answer", "training/landmarks.py",
          "F.smooth_l1_loss(found, wanted, beta=0.01)", "F.smooth_l1_loss(found, found, beta=0.01)",
          "training/test_samples.py"),
    Break("a mirrored face keeps its left on the left", "training/landmarks.py",
          "moved[:, list(MIRROR)], moved)", "moved, moved)",
          "training/test_training.py -k mirrored_face"),
    # measuring
    Break("a false-accept rate of one pair more", "metrics/privacy.py",
          "allowed = int(len(ordered) * far + 1e-9)", "allowed = int(len(ordered) * far + 1e-9) + 1",
          "metrics/test_privacy.py"),
    Break("rank off by one", "metrics/privacy.py",
          "(distances < own).sum(1) < rank", "(distances < own).sum(1) <= rank",
          "metrics/test_privacy.py"),
    Break("the interval drawn by photo and not by person", "metrics/intervals.py",
          "size=(draws, len(values))", "size=(draws, 2 * len(values))", "metrics/test_intervals.py"),
    Break("nobody of twelve is certainly nobody", "metrics/intervals.py",
          "if len(hits) and hits.min() == hits.max():", "if False:", "metrics/test_intervals.py"),
    Break("pairs of the same person among the strangers", "evaluation/privacy.py",
          "distances[~torch.eye(*distances.shape, dtype=torch.bool)]", "distances.flatten()",
          "evaluation/test_attackers.py"),
    Break("the direction of a metric", "evaluation/judging.py",
          '    "st_lpips": lower,\n', '    "st_lpips": higher,\n',
          "evaluation/test_evaluation.py -k directions"),
    Break("glasses that went counted as come", "metrics/eyes.py",
          "(bare[0] & worn[1]).int() - (worn[0] & bare[1]).int()",
          "(worn[0] & bare[1]).int() - (bare[0] & worn[1]).int()", EYES + " -k margin"),
    Break("doubtful glasses counted", "metrics/eyes.py",
          "x < -margin", "x < margin", EYES + " -k margin"),
    Break("k-same leaves groups that are too small", "evaluation/peers.py",
          "if len(left) >= 2 * k else", "if len(left) > k else",
          "evaluation/test_peers.py -k at_least_k"),
    Break("worse is called better", "runner/regression.py",
          "{LOWER: change < 0, HIGHER: change > 0}", "{LOWER: change > 0, HIGHER: change < 0}",
          "runner/test_regression.py -k verdicts"),
    Break("the tolerance ignored", "runner/regression.py",
          "    if abs(change) <= allowed:\n", "    if change == 0:\n",
          "runner/test_regression.py -k verdicts"),
    Break("a tolerance that any change keeps to", "runner/regression.py",
          "return max(MARGIN * deviation, step, 1 / cases if cases else 0.0)", "return math.inf",
          "runner/test_regression.py -k tolerance"),
    Break("an outdated answer is shown", "explorer/latest_only.py",
          "return number == self.number", "return True",
          "explorer/test_explorer.py -k only_the_latest"),
]  # fmt: skip


def copy_of_the_tree(folder: Path) -> Path:
    """Package and tests copied into `folder`; data, notebooks and what is only read are links."""
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "anonlab", folder / "anonlab", ignore=skipped)
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=skipped)
    for path in ROOT.iterdir():
        if path.name not in ("anonlab", "tests", "outputs", ".git", ".venv"):
            (folder / path.name).symlink_to(path)
    return folder


def run_tests(folder: Path, tests: str) -> tuple[str, str]:
    """What became of it, and the last lines of pytest."""
    process = WARM.Process(target=_pytest, args=(folder, tests))
    process.start()
    process.join(SECONDS)
    if process.is_alive():
        process.kill()
        process.join()
        return ENDLESS, f"stopped after {SECONDS} s"
    said = "\n".join((folder / "said").read_text().strip().splitlines()[-15:])
    # 1: tests failed; 0: all passed; else nothing was tested
    return {0: UNNOTICED, 1: NOTICED}.get(process.exitcode, INVALID), said


def _pytest(folder: Path, tests: str) -> None:
    """Run the tests in `folder`; in a process of its own, of which its exit status is the answer."""
    file, _, chosen = tests.partition(" -k ")
    os.chdir(folder)
    ours = (ROOT, ROOT / "tests")  # the unbroken ones
    sys.path[:] = [str(folder), *(path for path in sys.path if Path(path).resolve() not in ours)]
    os.environ["PYTHONPATH"] = str(folder)
    os.environ["PYTEST_XDIST_WORKER"] = "breaks"  # one torch thread, as beside another worker
    sys.dont_write_bytecode = True
    with (
        open("said", "w", encoding="utf-8") as out,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(out),
    ):
        import pytest

        options = ["-x", "-q", "-p", "no:cacheprovider", f"tests/{file}"]
        status = pytest.main(options + (["-k", chosen] if chosen else []))
    os._exit(status)  # threads of OpenVINO may still wait


def joined(breaks: list[Break]) -> list[str]:
    """The tests of all of them, one entry a file."""
    words: dict[str, list[str]] = {}
    for one in breaks:
        file, _, chosen = one.tests.partition(" -k ")
        words.setdefault(file, []).append(chosen)
    return [
        f"{file} -k {' or '.join(dict.fromkeys(chosen))}" if all(chosen) else file
        for file, chosen in words.items()
    ]


def attempt(one: Break | None, tests: str) -> tuple[str, str, float]:
    """Break a copy (or not) and run the tests: what became of it, the last lines, seconds."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="breaks-") as name:
        folder = copy_of_the_tree(Path(name))
        if one is not None:
            path = folder / one.path
            path.write_text(one.applied(path.read_text()))
        verdict, said = run_tests(folder, tests)
    return verdict, said, time.monotonic() - start


def by(said: str) -> str:
    """Which test noticed, from pytest's last lines: an assertion should, and no crash."""
    found = re.search(r"^(?:FAILED|ERROR) \S+?::(.*)", said, re.MULTILINE)
    return f"  [{found[1][:100]}]" if found else ""


def tried(tests: list[tuple[Break | None, str]], jobs: int) -> list[str]:
    """Attempt all of them, print how each went, and return the names of those that went wrong: a
    break that was not noticed, or tests that fail without one."""
    wrong = []
    with ThreadPoolExecutor(jobs) as pool:
        found = pool.map(lambda one: attempt(*one), tests)
        for (one, names), (verdict, said, seconds) in zip(tests, found, strict=True):
            name, right = (names, UNNOTICED) if one is None else (one.name, NOTICED)
            word = verdict if one else "passes" if verdict == right else "FAILS"
            print(f"{word:11} {seconds:5.0f} s  {name}{'' if one is None else by(said)}", flush=True)
            if verdict != right:
                wrong.append(name)
                print(said, flush=True)
    return wrong


def main() -> int:
    """Command line; see the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="whose name contains one of these")
    parser.add_argument("--jobs", type=int, default=2, help="at a time (2)")
    parser.add_argument("--list", action="store_true", help="name them and do nothing")
    options = parser.parse_args()
    chosen = [
        one for one in BREAKS if not options.only or any(part in one.name for part in options.only)
    ]
    if not chosen or options.jobs < 1:
        parser.error(f"no break has {' or '.join(options.only or ['?'])} in its name; see --list")
    if options.list:
        print("\n".join(f"{one.name}  [{one.path}]" for one in chosen))
        return 0
    for one in chosen:
        try:
            one.applied((ROOT / one.path).read_text())
        except (ValueError, OSError) as error:
            print(f"does not apply: {error}", file=sys.stderr)
            return 1
    os.environ["OMP_NUM_THREADS"] = "1"
    start = time.monotonic()
    failing = tried([(None, tests) for tests in joined(chosen)], options.jobs)
    files = {tests.partition(" -k ")[0] for tests in failing}  # of these nothing can be said
    left = [one for one in chosen if one.tests.partition(" -k ")[0] not in files]
    unnoticed = tried([(one, one.tests) for one in left], options.jobs)
    minutes = (time.monotonic() - start) / 60
    print(f"{len(left)} breaks in {minutes:.1f} minutes, {len(unnoticed)} not noticed")
    for name in unnoticed:
        print(f"  {name}")
    if failing:
        print(f"{len(chosen) - len(left)} not tried; these fail unbroken: {', '.join(failing)}")
    return 1 if unnoticed or failing else 0


if __name__ == "__main__":
    sys.exit(main())
