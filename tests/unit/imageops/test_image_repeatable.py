"""The same input, parameters and seed give the same bytes, in whatever process and order."""

import hashlib
import io
import json
import os
import subprocess
import sys
from typing import Any

import pytest
import skimage.data
from PIL import Image, ImageDraw

from imageops import OPERATIONS, encode

SEED = 2**63 - 1  # The largest that a job's record holds.
TIMEOUT_S = 120.0

#: Parameters that make each operation use its randomness, its clustering and every by-product.
RUNS: dict[str, list[dict[str, Any]]] = {
    "image.edit": [{"prompt": "watercolour"}, {"prompt": "very warm oil painting", "model_version": "v2"}],
    "image.expand": [{"expand_top": 0.2, "expand_right": 0.1, "prompt": "more"}],
    "image.extract_pattern": [{"aspect_ratio": "3:1"}],
    "image.face_enhance": [{"format": "webp"}],
    "image.generate": [{"prompt": "雪山", "style": "oil", "width": 200, "height": 160, "count": 2}],
    "image.inpaint": [{"format": "jpeg"}],
    "image.remove_diamonds": [{"sensitivity": 0.8}],
    "image.remove_fabric": [{}],
    "image.remove_watermark": [{}],
    "image.seamless": [{"fit": 0.6, "expand_left": 0.1}],
    "image.upscale": [
        {"scale": 2.5, "s_noise": 1.1, "vector_switch": True, "auto_generate_prompt": True},
        {"scale": 1, "strong_inpaint": True, "prompt": "sharp and vivid"},
    ],
    "image.vectorize": [{"color_count": 9}],
    "video.generate": [{"resolution": "480p", "duration": 4}, {"resolution": "480p", "duration": 4, "prompt": "sea"}],
}


def inputs_of(capability: str, parameters: dict[str, Any]) -> list[bytes]:
    if capability == "video.generate" and "prompt" in parameters:
        return []
    image = Image.fromarray(skimage.data.astronaut()[30:190, 140:300])
    mask = Image.new("RGB", image.size)
    draw = ImageDraw.Draw(mask)
    draw.rectangle((20, 20, 60, 50), fill="white")
    draw.line((10, 150, 150, 100), fill="white", width=3)
    return [encode(image), encode(mask)][: 2 if OPERATIONS[capability].inputs_max == 2 else 1]


def digests(*, backwards: bool) -> dict[str, str]:
    """SHA-256 of all that each run gives."""
    runs = [(name, number, each) for name, all_of_one in RUNS.items() for number, each in enumerate(all_of_one)]
    found: dict[str, str] = {}
    for name, number, parameters in reversed(runs) if backwards else runs:
        outputs = OPERATIONS[name].run(inputs_of(name, parameters), parameters, SEED)
        facts = repr([(each.role, each.mime_type, each.width, each.height) for each in outputs]).encode()
        whole = io.BytesIO(facts + b"".join(each.data for each in outputs))
        found[f"{name} {number}"] = hashlib.sha256(whole.getvalue()).hexdigest()
    return found


def test_every_operation_is_run() -> None:
    assert set(RUNS) == set(OPERATIONS)


@pytest.mark.timeout(2 * TIMEOUT_S)
def test_two_processes_give_the_same_bytes() -> None:
    """Other hash seeds, other orders: what ran before, and where it lies in memory, must not show."""
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, way], env={**os.environ, "PYTHONHASHSEED": seed}, stdout=subprocess.PIPE
        )
        for way, seed in (("forwards", "1"), ("backwards", "2"))
    ]
    try:
        first, second = (json.loads(process.communicate(timeout=TIMEOUT_S)[0]) for process in processes)
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert first == second
    assert len(set(first.values())) == sum(len(each) for each in RUNS.values())


@pytest.mark.parametrize("seed", [-1, -(2**63), 2**64 + 5])
def test_any_whole_number_is_a_seed(seed: int) -> None:
    """A negative one ended `image.edit` and grain in `image.upscale` once."""
    for name, parameters in (("image.edit", {"prompt": "watercolour"}), ("image.upscale", {"s_noise": 1.1})):
        first, second = (OPERATIONS[name].run(inputs_of(name, parameters), parameters, each) for each in (seed, 1))
        assert first != second


if __name__ == "__main__":
    sys.stdout.write(json.dumps(digests(backwards=sys.argv[1] == "backwards")))
