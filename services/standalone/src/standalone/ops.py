"""Runs one of the local engine's operations on files, without any server.

Nothing is written unless everything was made and everything can be saved; then each file appears whole.
"""

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from imageops import OPERATIONS, Operation, Output, Parameter, ParameterRefused, Refused
from imageops.operation import NOTE_MIME_TYPE
from imageops.progress import OnProgress

WRONG_USE: Final = 2  #: Exit status: the command line is at fault.
FAILED: Final = 1  #: Exit status: the picture or the disk is.

FILE_BYTES_MAX: Final = 1 << 29  # 40 megapixels of 16-bit RGBA, uncompressed, are 320 MB.

_SUFFIXES: Final = {
    "image/png": (".png",),
    "image/jpeg": (".jpg", ".jpeg"),
    "image/webp": (".webp",),
    "application/postscript": (".eps",),
    "video/mp4": (".mp4",),
}
_FORMATS: Final = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
_RESULTS: Final = frozenset({"image", "video"})  # Roles of results proper; the others are by-products.
_BOOLEANS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class OpsFailed(Exception):
    """The command ends here, with one line and a status."""

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, kw_only=True)
class Saved:
    """One file that was written."""

    path: Path
    width: int
    height: int
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a run gave: files in their order, and what the operation has to tell."""

    files: tuple[Saved, ...]
    notes: Mapping[str, str]


def describe() -> Iterator[str]:
    """Give the lines of the list of operations, with every parameter."""
    for operation in OPERATIONS.values():
        yield f"{operation.capability}  {_pictures(operation)}"
        yield f"    {operation.summary}"
        width = max((len(each.name) for each in operation.parameters), default=0)
        for parameter in operation.parameters:
            yield f"      {parameter.name:<{width}}  {_range(parameter)}"
            yield f"      {'':<{width}}  {parameter.summary}"
        yield ""


def perform(name: str, files: Sequence[Path], given: Sequence[str], seed: int, on_progress: OnProgress) -> Done:
    """Run operation `name` on all but the last of `files`, which says where the result goes.

    `given` are `name=value` texts. Several results are numbered before the suffix; a by-product has its
    role there. Raises OpsFailed.
    """
    operation = OPERATIONS.get(name)
    if operation is None:
        _wrong(f"{name} is no operation; there are {', '.join(OPERATIONS)}.")
    inputs, target = files[:-1], files[-1]
    parameters = _read_given(operation, given)
    _take_format(operation, parameters, target)
    if not operation.inputs_min <= len(inputs) <= operation.inputs_max:
        _wrong(f"{name} takes {_pictures(operation)} and one name for the result; {len(inputs)} given.")
    _check_target(target)
    outputs = _run(operation, inputs, parameters, seed, on_progress)
    made = [each for each in outputs if each.mime_type != NOTE_MIME_TYPE]
    notes = {each.role: each.data.decode() for each in outputs if each.mime_type == NOTE_MIME_TYPE}
    paths = _paths(target, made)
    for path in paths:
        if any(path.exists() and path.samefile(each) for each in inputs):
            raise OpsFailed(f"{path} is an input; give the result another name.", WRONG_USE)
    _save(paths, made)
    saved = (
        Saved(path=path, width=each.width, height=each.height, size_bytes=len(each.data))
        for path, each in zip(paths, made, strict=True)
    )
    return Done(files=tuple(saved), notes=notes)


def _wrong(message: str) -> NoReturn:
    raise OpsFailed(message, WRONG_USE)


def _pictures(operation: Operation) -> str:
    low, high = operation.inputs_min, operation.inputs_max
    count = f"{low}" if low == high else f"{low} to {high}"
    return f"{count} input picture{'s' if high != 1 else ''}"


def _range(parameter: Parameter) -> str:
    """Say what a value may be and what happens without one."""
    low, high = parameter.minimum, parameter.maximum
    what = " | ".join(parameter.choices) if parameter.choices else parameter.kind
    if parameter.kind == "boolean":
        what = "true | false"
    elif parameter.kind == "text" and high is not None:
        what = f"text of {low or 0:g} to {high:g} characters"
    elif low is not None and high is not None:
        what = f"{parameter.kind} {low:g} to {high:g}"
    if parameter.required:
        return f"{what}, required"
    default = parameter.default
    if default is None or default == "":
        return what
    shown = (
        str(default).lower() if isinstance(default, bool) else f"{default:g}" if isinstance(default, float) else default
    )
    return f"{what}, default {shown}"


def _read_given(operation: Operation, given: Sequence[str]) -> dict[str, object]:
    known = {each.name: each for each in operation.parameters}
    parameters: dict[str, object] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name:
            _wrong(f"--param {each}: write it as name=value.")
        if name not in known:
            _wrong(f"{name} is not a parameter of {operation.capability}; it has {', '.join(known)}.")
        if name in parameters:
            _wrong(f"{name} is given twice.")
        parameters[name] = _value(known[name], value)
    return parameters


def _value(parameter: Parameter, text: str) -> object:
    """Return the text as what the parameter is; what cannot be one stays text, and the parameter refuses it."""
    if parameter.kind == "boolean":
        return _BOOLEANS.get(text.lower(), text)
    if parameter.kind in ("integer", "number"):
        with contextlib.suppress(ValueError):
            return float(text)
    return text


def _take_format(operation: Operation, parameters: dict[str, object], target: Path) -> None:
    """Let the result's name say its file format."""
    suffix = target.suffix.lower()
    formats = next((each.choices for each in operation.parameters if each.name == "format"), ())
    allowed = {end: name for name in formats for end in _SUFFIXES[_FORMATS[name]]} or {".mp4": ""}
    if suffix not in allowed:
        _wrong(f"{target}: the result's name must end in {', '.join(allowed)}.")
    if (
        formats
        and parameters.setdefault("format", allowed[suffix]) in formats
        and parameters["format"] != allowed[suffix]
    ):
        _wrong(f"format is {parameters['format']}, but {target} is a name for {allowed[suffix]}.")


def _check_target(target: Path) -> None:
    if target.is_dir():
        _wrong(f"{target} is a folder; give the result a file name.")
    if not target.parent.is_dir():
        _wrong(f"The folder {target.parent} does not exist.")


def _run(
    operation: Operation, inputs: Sequence[Path], parameters: dict[str, object], seed: int, on_progress: OnProgress
) -> list[Output]:
    data = [_read(path) for path in inputs]
    try:
        return operation.run(data, parameters, seed, on_progress)
    except ParameterRefused as refused:
        _wrong(refused.message)
    except Refused as refused:
        raise OpsFailed(_with_file(refused, inputs)) from refused
    except MemoryError as error:
        raise OpsFailed(f"{operation.capability} needs more memory than there is.") from error
    except Exception as error:  # Ours to mend, and nothing the user could do with a traceback.
        raise OpsFailed(f"{operation.capability} failed by a fault of its own ({type(error).__name__}).") from error


def _with_file(refused: Refused, inputs: Sequence[Path]) -> str:
    for number, path in enumerate(inputs):
        if refused.field == f"inputs[{number}]":
            return f"{path}: {refused.message}"
    return refused.message


def _read(path: Path) -> bytes:
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):  # A folder, or a pipe that never ends.
            raise OpsFailed(f"{path} is not a file.")
        if facts.st_size > FILE_BYTES_MAX:
            raise OpsFailed(f"{path} is larger than {FILE_BYTES_MAX >> 20} MiB.")
        return path.read_bytes()
    except OSError as error:
        raise OpsFailed(f"{path} cannot be read: {error.strerror or error}.") from error


def _paths(target: Path, made: Sequence[Output]) -> list[Path]:
    """Return one name a file: numbered where there are several results; with their role for by-products."""
    results = sum(each.role in _RESULTS for each in made)
    paths: list[Path] = []
    number = 0
    for each in made:
        suffixes = _SUFFIXES[each.mime_type]
        suffix = target.suffix if target.suffix.lower() in suffixes else suffixes[0]
        if each.role in _RESULTS:
            number += 1
            paths.append(target.with_name(f"{target.stem}-{number}{suffix}") if results > 1 else target)
        else:
            # A drawing is told from the picture by its suffix; a second picture needs another name.
            stem = target.stem if suffix != target.suffix else f"{target.stem}-{each.role}"
            paths.append(target.with_name(stem + suffix))
    assert len(set(paths)) == len(paths)
    return paths


def _save(paths: Sequence[Path], made: Sequence[Output]) -> None:
    """Write all files beside their places, then name them; what went wrong before leaves nothing."""
    drafts: list[str] = []
    try:
        for path, each in zip(paths, made, strict=True):
            handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            drafts.append(draft)
            with os.fdopen(handle, "wb") as file:
                file.write(each.data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(draft, 0o666 & ~_umask())
        for draft, path in zip(tuple(drafts), paths, strict=True):
            os.replace(draft, path)
            drafts.remove(draft)
    except OSError as error:
        raise OpsFailed(f"The result cannot be written: {error.strerror or error}.") from error
    finally:
        for draft in drafts:
            with contextlib.suppress(OSError):
                os.unlink(draft)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
