"""Tables on a terminal whose cells are never cut: a job's id is there to be copied."""

from collections.abc import Iterable, Sequence
from typing import Final

from rich.cells import cell_len
from rich.console import Console

GAP: Final = "  "


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print columns as wide as their widest cell, each row on one line, which is the terminal's to wrap."""
    lines = [tuple(columns), *(tuple(" ".join(cell.splitlines()) for cell in row) for row in rows)]
    widths = [max(cell_len(line[index]) for line in lines) for index in range(len(columns))]
    console = Console()
    for line in lines:
        cells = (cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True))
        console.print(GAP.join(cells).rstrip(), markup=False, highlight=False, soft_wrap=True)
