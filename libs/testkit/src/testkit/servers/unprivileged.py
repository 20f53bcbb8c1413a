"""For root only: Postgres refuses to run as root, so it becomes a user who may not even reach our folders."""

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

UID = 65534  # "nobody" on every Linux; also the group's number.
_PUBLIC_TEMP = Path("/var/tmp")  # Reachable by everybody, and kept over a reboot, unlike /tmp.
_ORIGIN = "origin"  # The file in a public folder that says in whose place it is.


def server_uid() -> int | None:
    """The user Postgres must become, or None when we are not root."""
    return UID if os.geteuid() == 0 else None


def can_reach(path: Path) -> bool:
    """Whether user 65534 may read and enter (or execute) `path` and may enter every folder above it."""
    path = path.resolve()
    return _allows(path, stat.S_IROTH | stat.S_IXOTH) and all(_allows(folder, stat.S_IXOTH) for folder in path.parents)


def public_folder(path: Path) -> Path:
    """A folder in place of the unreachable `path`: always the same one, writable by root alone."""
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
    folder = _PUBLIC_TEMP / f"atelier-{name}"
    try:
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)  # Whatever the umask says.
        (folder / _ORIGIN).write_bytes(os.fsencode(path.resolve()))
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
            raise PermissionError(f"{folder} belongs to somebody else; remove it") from None
    return folder


def remove_abandoned() -> None:
    """Remove the public folders whose originals are gone: nobody will come back for what is in them."""
    for note in _PUBLIC_TEMP.glob(f"atelier-*/{_ORIGIN}"):
        with contextlib.suppress(OSError):  # Another process removes it as well.
            if note.lstat().st_uid == 0 and not Path(os.fsdecode(note.read_bytes())).exists():
                shutil.rmtree(note.parent, ignore_errors=True)


def public_copy(tree: Path, *, without: str) -> Path:
    """A copy of `tree` for everybody to read, but for folders named `without`; made once for each state of the tree."""
    found = tree.stat()
    target = public_folder(tree) / f"{found.st_ino}-{found.st_mtime_ns}"
    if target.exists():
        return target
    fresh = Path(tempfile.mkdtemp(dir=target.parent))
    shutil.copytree(tree, fresh, dirs_exist_ok=True, symlinks=True, ignore=shutil.ignore_patterns(without))
    for path in (fresh, *fresh.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
    try:
        fresh.rename(target)
    except OSError:  # Another process was quicker.
        shutil.rmtree(fresh)
    return target


def _allows(path: Path, bits: int) -> bool:
    found = path.stat()
    if found.st_uid == UID:
        bits <<= 6
    elif found.st_gid == UID:
        bits <<= 3
    return found.st_mode & bits == bits
