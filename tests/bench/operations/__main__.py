"""`make bench-ops`: time a megapixel and memory of each operation of the local engine.

Each operation runs on a photograph of 2 megapixels (and 24 with `--large`) that has what it looks for, in a process of
its own under the memory limit of the engine's workers. Time is compared with that of the bare library calls the
operation is built from (`cases`), memory with the largest decoded picture it takes or makes, at three bytes a pixel.
The seconds belong to the machine and the minute, the ratios hardly. What is over its bar is marked with an asterisk.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.bench.operations.cases import CASES
from tests.bench.operations.measuring import (
    LARGE_MEGAPIXELS,
    MEGAPIXELS,
    MEMORY_BYTES_MAX,
    Found,
    in_process,
    main_of_one,
)

RATIO_BAR: Final = 1.25  # Of the bare calls' time.
PICTURES_BAR: Final = 12.0  # Of the largest decoded picture.
SECONDS_MAX: Final = 300.0  # Of all turns of one operation on 2 megapixels.
LARGE_SECONDS_MAX: Final = 600.0  # What a worker's job may take.


def main() -> int:
    """Print the tables; exit 1 when an operation failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--megapixels", type=float, default=MEGAPIXELS)
    parser.add_argument("--large", action="store_true", help="also a photograph of 24 megapixels, under 2 GiB")
    parser.add_argument("--only", action="append", choices=tuple(CASES), help="one line; may be repeated")
    arguments = parser.parse_args()
    if arguments.one:
        main_of_one(arguments.one, arguments.megapixels, arguments.folder)
        return 0
    sizes = [(arguments.megapixels, SECONDS_MAX)]
    sizes += [(LARGE_MEGAPIXELS, LARGE_SECONDS_MAX)] if arguments.large else []
    failed = False
    for megapixels, seconds_max in sizes:
        print(
            f"\n{megapixels:g} megapixels; bars: time {RATIO_BAR:g}x the bare calls, memory {PICTURES_BAR:g} pictures"
        )
        print(f"{'operation':<22} {'MP':>5} {'s per MP':>9} {'bare':>7} {'ratio':>7} {'pictures':>9} {'peak MiB':>9}")
        with tempfile.TemporaryDirectory() as folder:
            for case in (CASES[name] for name in arguments.only or CASES):
                found = in_process(case, megapixels, Path(folder), seconds_max)
                failed = failed or bool(found.get("failed"))
                print(show(case.name, found, case.own), flush=True)
    return int(failed)


def show(name: str, found: Found, own: str) -> str:
    """One line of the table."""
    if "refused" in found:
        return f"{name:<22} {found['refused']}"
    size = found["megapixels"]
    line = f"{name:<22} {size:>5.1f} {found['seconds'] / size:>9.3f} "
    if found["bare_s"]:
        ratio = found["seconds"] / found["bare_s"]
        line += f"{found['bare_s'] / size:>7.3f} {ratio:>6.2f}{_over(ratio, RATIO_BAR)}"
    else:
        line += f"{'n/a' if own else '':>7} {'':>7}"
    pictures = found["grown_bytes"] / found["picture_bytes"]
    line += f" {pictures:>8.1f}{_over(pictures, PICTURES_BAR)}"
    line += f" {found['peak_bytes'] / 2**20:>8.0f}{_over(found['peak_bytes'], MEMORY_BYTES_MAX)}"
    return f"{line}  {own}"


def _over(value: float, bar: float) -> str:
    return "*" if value > bar else " "


if __name__ == "__main__":
    sys.exit(main())
