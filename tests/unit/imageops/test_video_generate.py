"""Films: files that players take, the same bytes every time, and refusals that name their field."""

import hashlib
import io
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from typing import Any

import av
import numpy as np
import pytest
from av.container import InputContainer
from PIL import Image

from imageops import OPERATIONS, Output, Refused, encode
from imageops.filming.camera import View, choose_way, prepare_canvas
from imageops.filming.film import plan_shots
from imageops.filming.formats import film_size
from imageops.filming.mp4 import FPS, Mp4
from imageops.filming.scene import Scene

VIDEO = OPERATIONS["video.generate"]
FAST = {"duration": 4, "resolution": "480p"}


def filmed(inputs: list[bytes], seed: int = 3, **parameters: Any) -> Output:
    (output,) = VIDEO.run(inputs, {**FAST, **parameters}, seed)
    return output


def opened(output: Output) -> InputContainer:
    return av.open(io.BytesIO(output.data), "r")


def boxes(data: bytes) -> list[str]:
    """The names of an MP4 file's outermost boxes, in order."""
    found, at = [], 0
    while at < len(data):
        found.append(data[at + 4 : at + 8].decode())
        at += int.from_bytes(data[at : at + 4], "big")
    return found


def check_film(output: Output, size: tuple[int, int], seconds: int) -> None:
    """Decode the whole file and compare it with what was asked for."""
    assert (output.mime_type, output.role) == ("video/mp4", "video")
    assert (output.width, output.height) == size
    order = boxes(output.data)
    assert order.index("moov") < order.index("mdat")
    with opened(output) as film:
        (stream,) = film.streams.video
        assert len(film.streams) == 1
        assert (stream.codec_context.name, stream.codec_context.profile) == ("h264", "High")
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert (stream.codec_context.width, stream.codec_context.height) == size
        assert stream.average_rate == FPS
        assert stream.duration is not None
        assert stream.time_base is not None
        assert stream.duration * stream.time_base == seconds
        assert film.duration == seconds * 1_000_000
        moments = [Fraction(frame.pts or 0) * (frame.time_base or 0) for frame in film.decode(stream)]
    assert moments == [Fraction(number, FPS) for number in range(seconds * FPS)]


@pytest.fixture(scope="module")
def inputs(photographs: list[Image.Image]) -> list[bytes]:
    return [encode(each) for each in photographs]


@pytest.mark.parametrize(
    ("ratio", "at_480", "at_720", "at_1080"),
    [
        ("16:9", (854, 480), (1280, 720), (1920, 1080)),
        ("4:3", (640, 480), (960, 720), (1440, 1080)),
        ("1:1", (480, 480), (720, 720), (1080, 1080)),
        ("3:4", (480, 640), (720, 960), (1080, 1440)),
        ("9:16", (480, 854), (720, 1280), (1080, 1920)),
        ("21:9", (1120, 480), (1680, 720), (2520, 1080)),
        ("adaptive", (640, 480), (960, 720), (1440, 1080)),
    ],
)
def test_every_ratio_gives_a_sound_film_of_its_size(
    inputs: list[bytes], ratio: str, at_480: tuple[int, int], at_720: tuple[int, int], at_1080: tuple[int, int]
) -> None:
    first = (512, 384)
    assert film_size(ratio, "720p", first) == at_720
    assert film_size(ratio, "1080p", first) == at_1080
    check_film(filmed(inputs[:1], ratio=ratio), at_480, 4)


@pytest.mark.parametrize(("resolution", "size"), [("720p", (720, 720)), ("1080p", (1080, 1080))])
def test_larger_resolutions_give_sound_films(inputs: list[bytes], resolution: str, size: tuple[int, int]) -> None:
    check_film(filmed(inputs[:2], resolution=resolution, ratio="1:1"), size, 4)


def test_the_longest_film_is_as_long_as_asked_for(inputs: list[bytes]) -> None:
    check_film(filmed(inputs, duration=15, ratio="1:1"), (480, 480), 15)


def test_a_prompt_alone_is_painted_and_filmed_in_sixteen_to_nine() -> None:
    output = filmed([], prompt="雪山日出,金色阳光洒满湖面")
    check_film(output, (854, 480), 4)
    assert filmed([], prompt="a city at night").data != output.data
    assert filmed([], seed=4, prompt="雪山日出,金色阳光洒满湖面").data != output.data


@pytest.mark.parametrize(
    ("size", "ratio", "expected"),
    [
        ((1, 1), "1:1", (480, 480)),
        ((1, 3000), "adaptive", (480, 854)),
        ((3000, 1), "adaptive", (1120, 480)),
        ((33, 31), "21:9", (1120, 480)),
    ],
)
def test_odd_and_tiny_pictures_fill_the_frame(size: tuple[int, int], ratio: str, expected: tuple[int, int]) -> None:
    output = filmed([encode(Image.new("RGB", size, (200, 40, 30)))], ratio=ratio)
    assert (output.width, output.height) == expected
    with opened(output) as film:
        for frame in film.decode(video=0):
            pixels = frame.to_ndarray(format="rgb24")
            assert np.abs(pixels.astype(int) - (200, 40, 30)).max() <= 6  # No black bars, and the right colours.


def test_transparent_pictures_are_laid_on_white() -> None:
    output = filmed([encode(Image.new("RGBA", (64, 64), (0, 0, 0, 0)))], ratio="1:1")
    with opened(output) as film:
        assert next(film.decode(video=0)).to_ndarray(format="rgb24").min() >= 250


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"duration": 3}, "duration"),
        ({"duration": 16}, "duration"),
        ({"duration": 4.5}, "duration"),
        ({"duration": "4"}, "duration"),
        ({"ratio": "2:1"}, "ratio"),
        ({"ratio": 1.78}, "ratio"),
        ({"resolution": "4k"}, "resolution"),
        ({"resolution": 480}, "resolution"),
        ({"prompt": ["sea"]}, "prompt"),
        ({"prompt": "x" * 4001}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": " \n"}, "prompt"),
        ({}, "prompt"),
        ({"prompt": "sea", "fps": 25}, "fps"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(parameters: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as caught:
        VIDEO.run([], parameters, 1)
    assert (caught.value.reason, caught.value.field) == ("invalid_parameter", field)
    assert caught.value.message.endswith(".")


def test_too_many_and_unreadable_pictures_are_refused(inputs: list[bytes]) -> None:
    for given, expected in (
        (inputs[:1] * 11, ("invalid_inputs", "inputs")),
        ([inputs[0], b"<html>"], ("unsupported_format", "inputs[1]")),
    ):
        with pytest.raises(Refused) as caught:
            VIDEO.run(given, FAST, 1)
        assert (caught.value.reason, caught.value.field) == expected


AGAIN = """
import hashlib, resource, sys
from imageops import OPERATIONS
parameters = {"prompt": "galaxy", "duration": int(sys.argv[1]), "resolution": "480p", "ratio": "1:1"}
inputs = [sys.stdin.buffer.read()] if sys.argv[2] == "picture" else []
(film,) = OPERATIONS["video.generate"].run(inputs, parameters, 9)
print(hashlib.sha256(film.data).hexdigest(), len(film.data), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def other_process(seconds: int, picture: bytes | None) -> tuple[str, int, int]:
    """A film's digest and bytes, and the KiB a fresh process needed for it."""
    command = [sys.executable, "-c", AGAIN, str(seconds), "picture" if picture else "prompt"]
    done = subprocess.run(command, input=picture or b"", capture_output=True, check=True, timeout=120)
    digest, size, peak = done.stdout.split()
    return digest.decode(), int(size), int(peak)


@pytest.mark.parametrize("painted", [True, False], ids=["prompt", "picture"])
def test_other_processes_give_the_same_bytes(inputs: list[bytes], painted: bool) -> None:
    given = [] if painted else inputs[:1]
    here = hashlib.sha256(filmed(given, seed=9, prompt="galaxy", ratio="1:1").data).hexdigest()
    assert {other_process(4, None if painted else inputs[0])[0] for _ in range(2)} == {here}


def test_one_process_gives_the_same_bytes_every_time() -> None:
    """Of a soft picture: x264's own choice of code gave another file in most runs."""
    assert len({filmed([], seed=9, prompt="galaxy", ratio="1:1").data for _ in range(5)}) == 1


def test_memory_does_not_grow_with_length(inputs: list[bytes]) -> None:
    _, short_bytes, short = other_process(4, inputs[0])
    _, long_bytes, long = other_process(15, inputs[0])
    files = 4 * (long_bytes - short_bytes) // 1024  # The file itself is in memory, and copied.
    frames = (15 - 4) * FPS * 480 * 480 * 3 // 2 // 1024
    assert long - short < files + frames // 5


def test_progress_rises_frame_by_frame_and_raising_from_it_stops_the_work(inputs: list[bytes]) -> None:
    seen: list[float] = []
    VIDEO.run(inputs[:2], FAST, 1, seen.append)
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert len(seen) > 4 * FPS

    class Stopped(Exception):
        pass

    calls = 0

    def stop(fraction: float) -> None:
        nonlocal calls
        calls += 1
        if fraction > 0.5:
            raise Stopped

    with pytest.raises(Stopped):
        VIDEO.run(inputs[:2], FAST, 1, stop)
    assert calls < 3 * FPS


@pytest.mark.parametrize("seconds", [4, 9, 15])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 10])
def test_shots_cover_the_film_and_the_camera_stays_on_the_picture(count: int, seconds: int) -> None:
    rng = np.random.default_rng(count)
    pictures = [(int(rng.integers(1, 4000)), int(rng.integers(1, 4000))) for _ in range(count)]
    size, frames = (854, 480), seconds * FPS
    shots = plan_shots(pictures, size, frames, rng)
    assert (shots[0].begin, shots[-1].begin + shots[-1].frames) == (0, frames)
    for shot, following in pairwise(shots):
        assert shot.begin < following.begin <= shot.begin + shot.frames
    for before, after in zip(shots, shots[2:], strict=False):
        assert before.begin + before.frames <= after.begin  # Never three pictures at a time.
    for shot in shots:
        for frame in range(shot.begin, shot.begin + shot.frames):
            scale, left, top = shot.window(frame)
            assert scale > 0
            assert left >= -1e-6
            assert top >= -1e-6
            assert left + scale * size[0] <= shot.canvas.width + 1e-6
            assert top + scale * size[1] <= shot.canvas.height + 1e-6


def test_a_film_begins_and_ends_with_all_that_fits() -> None:
    canvas = prepare_canvas((1600, 900), (1280, 720), 5.0)
    rng = np.random.default_rng(1)
    assert choose_way(canvas, 0, 2, rng)[0] == View()
    assert choose_way(canvas, 1, 2, rng)[1] == View()


def test_a_view_of_everything_is_the_picture_shrunk(photograph: Image.Image) -> None:
    frame = (photograph.width // 2, photograph.height // 2)
    canvas = prepare_canvas(photograph.size, frame, 5.0)
    luma = Scene(photograph, canvas).view(canvas.window(View())).luma
    expected = np.asarray(photograph.resize(frame, Image.Resampling.BOX)).astype(float) @ (0.2126, 0.7152, 0.0722)
    assert np.abs(luma - (16 + expected * 219 / 255)).mean() < 2


def test_an_abandoned_film_is_closed_quietly() -> None:
    with pytest.raises(ZeroDivisionError), Mp4((64, 64)):
        raise ZeroDivisionError
