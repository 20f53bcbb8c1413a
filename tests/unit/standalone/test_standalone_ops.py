"""`atelier ops`: operations on files without a server; refusals in one line, results whole or not at all."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.progress import Progress
from typer.testing import CliRunner

from imageops import OPERATIONS, Operation, Output, Parameter, decode
from imageops.operation import note, to_output
from standalone.cli import app


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with one small picture."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")
    levels = np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8)
    Image.fromarray(levels).resize((64, 48), Image.Resampling.BICUBIC).save("in.png")
    return tmp_path


def ops(*arguments: str, status: int = 0) -> str:
    """Run the command; return what it printed where it belongs: the answer, or the one line of the error."""
    result = CliRunner().invoke(app, ["ops", *arguments])
    assert result.exit_code == status, result.output + result.stderr
    assert "Traceback" not in result.stderr
    if status:
        assert result.stdout == ""
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.stderr
    return result.stdout


def run(*arguments: str, status: int = 0) -> str:
    return ops("run", *arguments, status=status)


def test_list_tells_every_operation_and_parameter() -> None:
    printed = ops()
    for operation in OPERATIONS.values():
        assert operation.capability in printed
        assert operation.summary in printed
        for parameter in operation.parameters:
            assert f"\n      {parameter.name} " in printed
            assert parameter.summary in printed
    assert "0 to 10 input pictures" in printed
    assert "text of 1 to 4000 characters, required" in printed
    assert "integer 64 to 4096, default 1024" in printed
    assert "2k | 4k | 8k" in printed
    assert "true | false, default false" in printed
    assert "number 0.1 to 0.9, default 0.5" in printed


@pytest.mark.parametrize(("suffix", "kind"), [("png", "PNG"), ("JPG", "JPEG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
def test_result_has_the_format_its_name_says(folder: Path, suffix: str, kind: str) -> None:
    printed = run("image.upscale", "in.png", f"out.{suffix}", "--param", "scale=3")
    with Image.open(f"out.{suffix}") as image:
        assert (image.format, image.size) == (kind, (192, 144))
    assert printed.startswith(f"out.{suffix} (192 x 144, ")
    assert {path.name for path in folder.iterdir()} == {"in.png", f"out.{suffix}"}


def test_result_is_what_the_operation_gives_and_replaces_an_older_file(folder: Path) -> None:
    Path("out.png").write_bytes(b"older")
    run("image.upscale", "in.png", "out.png", "-p", "s_noise=1.05", "-p", "prompt=a=b", "--seed", "7")
    (wanted,) = OPERATIONS["image.upscale"].run([Path("in.png").read_bytes()], {"s_noise": 1.05, "prompt": "a=b"}, 7)
    assert Path("out.png").read_bytes() == wanted.data
    run("image.upscale", "in.png", "other.png", "-p", "s_noise=1.05", "-p", "prompt=a=b", "--seed", "8")
    assert Path("other.png").read_bytes() != wanted.data


def test_several_results_are_numbered(folder: Path) -> None:
    run("image.generate", "sea.png", "-p", "prompt=sea", "-p", "count=3", "-p", "width=64", "-p", "height=80")
    names = {"sea-1.png", "sea-2.png", "sea-3.png"}
    assert {path.name for path in folder.iterdir()} == names | {"in.png"}
    assert {decode(Path(name).read_bytes()).size for name in names} == {(64, 80)}


def test_by_products_are_named_by_role_and_notes_are_printed(folder: Path) -> None:
    printed = run("image.seamless", "in.png", "t.webp", "-p", "direction=2")
    assert {path.name for path in folder.iterdir()} == {"in.png", "t.webp", "t-tile.webp", "t-grid.webp"}
    assert "t-grid.webp (" in printed
    printed = run("image.vectorize", "in.png", "v.png", "-p", "color_count=2")
    assert Path("v.eps").read_bytes().startswith(b"%!PS-Adobe-3.0 EPSF-3.0")
    assert "vector_colours: 2" in printed
    assert "text/plain" not in printed


def test_several_inputs_are_taken_in_their_order(folder: Path) -> None:
    mask = Image.new("L", (64, 48))
    mask.paste(255, (20, 20, 24, 24))
    mask.save("mask.png")
    run("image.inpaint", "in.png", "mask.png", "out.png")
    before, after = (np.asarray(decode(Path(name).read_bytes())) for name in ("in.png", "out.png"))
    changed = (before != after).any(axis=2)
    assert changed.any()
    assert not changed[np.asarray(mask) == 0].any()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["image.sharpen", "in.png", "o.png"], "image.sharpen is no operation; there are image.generate, "),
        (["image.upscale", "in.png", "o.png", "-p", "scale=9"], "scale must be from 1 to 8."),
        (["image.upscale", "in.png", "o.png", "-p", "scale=big"], "scale must be a number."),
        (["image.upscale", "in.png", "o.png", "-p", "scale=nan"], "scale must be a number."),
        (["image.upscale", "in.png", "o.png", "-p", "scale="], "scale must be a number."),
        (["image.upscale", "in.png", "o.png", "-p", "vector_switch=maybe"], "vector_switch must be true or false."),
        (["image.upscale", "in.png", "o.png", "-p", "color_count=2.5"], "color_count must be a whole number."),
        (
            ["image.upscale", "in.png", "o.png", "-p", "scal=2"],
            "scal is not a parameter of image.upscale; it has scale",
        ),
        (["image.upscale", "in.png", "o.png", "-p", "scale"], "--param scale: write it as name=value."),
        (["image.upscale", "in.png", "o.png", "-p", "scale=2", "-p", "scale=3"], "scale is given twice."),
        (["image.generate", "o.png"], "prompt is required."),
        (["image.upscale", "o.png"], "image.upscale takes 1 input picture and one name for the result; 0 given."),
        (["image.upscale", "in.png", "in.png", "o.png"], "2 given."),
        (["image.upscale", "in.png", "o.gif"], "o.gif: the result's name must end in .png, .jpg, .jpeg, .webp."),
        (["image.upscale", "in.png", "o.png", "-p", "format=webp"], "format is webp, but o.png is a name for png."),
        (["image.upscale", "in.png", "o.png", "-p", "format=gif"], "format must be one of png, jpeg, webp."),
        (["image.upscale", "in.png", "none/o.png"], "The folder none does not exist."),
        (["image.upscale", "in.png", "./in.png"], "in.png is an input; give the result another name."),
    ],
)
def test_wrong_use_is_refused_with_status_two_and_the_name(folder: Path, arguments: list[str], says: str) -> None:
    before = Path("in.png").read_bytes()
    printed = run(*arguments, status=2)
    assert printed.startswith("atelier: ")
    assert says in printed
    assert printed.count("\n") == 1
    assert [path.name for path in folder.iterdir()] == ["in.png"]
    assert Path("in.png").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["image.upscale", "none.png", "o.png"], "none.png cannot be read: No such file or directory."),
        (["image.upscale", "/dev/zero", "o.png"], "/dev/zero is not a file."),
        (["image.upscale", "text.png", "o.png"], "text.png: The file is not a PNG, JPEG or WebP picture."),
        (["image.inpaint", "in.png", "text.png", "o.png"], "text.png: The file is not a PNG, JPEG or WebP picture."),
        (["image.face_enhance", "in.png", "o.png"], "in.png: No frontal face was found in the picture."),
    ],
)
def test_a_bad_picture_is_refused_with_status_one_and_its_file(folder: Path, arguments: list[str], says: str) -> None:
    Path("text.png").write_text("<html>")
    printed = run(*arguments, status=1)
    assert printed == f"atelier: {says}\n"
    assert {path.name for path in folder.iterdir()} == {"in.png", "text.png"}


@pytest.fixture
def operation(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Register an operation of the test's own."""

    def register(work: Any, parameters: tuple[Parameter, ...] = ()) -> None:
        made = Operation(
            capability="test.op", summary="A test's.", inputs_min=0, inputs_max=1, parameters=parameters, work=work
        )
        monkeypatch.setattr("standalone.ops.OPERATIONS", {"test.op": made})

    return register


def test_nothing_is_written_when_the_last_result_cannot_be(folder: Path, operation: Any) -> None:
    def work(*_: Any) -> Iterator[Image.Image | Output]:
        yield Image.new("RGB", (2, 2))
        yield to_output(Image.new("RGB", (2, 2)), "png", "x" * 300)  # A name no file system takes.

    operation(work, OPERATIONS["image.upscale"].parameters[-1:])
    assert "The result cannot be written: File name too long." in run("test.op", "o.png", status=1)
    assert [path.name for path in folder.iterdir()] == ["in.png"]


@pytest.mark.parametrize("error", [RuntimeError("secret"), MemoryError()])
def test_a_fault_of_ours_is_one_line_and_leaves_nothing(folder: Path, operation: Any, error: Exception) -> None:
    def work(*_: Any) -> Iterator[Image.Image]:
        yield Image.new("RGB", (2, 2))
        raise error

    operation(work, OPERATIONS["image.upscale"].parameters[-1:])
    printed = run("test.op", "o.png", status=1)
    assert printed.count("\n") == 1
    assert ("memory" if isinstance(error, MemoryError) else "a fault of its own (RuntimeError)") in printed
    assert "secret" not in printed
    assert [path.name for path in folder.iterdir()] == ["in.png"]


def test_video_is_saved_under_the_name_given(folder: Path, operation: Any) -> None:
    def work(*_: Any) -> Iterator[Output]:
        yield Output(data=b"film", mime_type="video/mp4", width=4, height=2, role="video")
        yield note("seconds", "4")

    operation(work)
    assert "must end in .mp4." in run("test.op", "o.png", status=2)
    assert run("test.op", "o.mp4") == "o.mp4 (4 x 2, 4 bytes)\nseconds: 4\n"
    assert Path("o.mp4").read_bytes() == b"film"


def test_progress_is_shown_to_people_only(folder: Path, operation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    update = Progress.update
    monkeypatch.setattr(Progress, "update", lambda *a, **k: (seen.append(k["completed"]), update(*a, **k)))
    result = CliRunner().invoke(app, ["ops", "run", "image.upscale", "in.png", "out.png"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert (seen[0], seen[-1], seen) == (0.0, 1.0, sorted(seen))
    shown = io.StringIO()
    shown.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("rich.console.Console.file", property(lambda _console: shown))
    assert CliRunner().invoke(app, ["ops", "run", "image.upscale", "in.png", "out.png"]).exit_code == 0
    assert "100%" in shown.getvalue()
