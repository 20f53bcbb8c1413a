"""The gallery shows every operation, links what exists, and stays small."""

import io
import re
from pathlib import Path

from PIL import Image

from imageops import OPERATIONS

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGE = (DOCS / "gallery.md").read_text(encoding="utf-8")


def test_every_operation_is_shown_with_its_summary() -> None:
    assert sorted(re.findall(r"^## (\S+)$", PAGE, re.M)) == sorted(OPERATIONS)
    for operation in OPERATIONS.values():
        section = PAGE.split(f"## {operation.capability}\n")[1].split("\n## ")[0]
        assert operation.summary in section, "make gallery"
        assert f"`atelier ops run {operation.capability} " in section
        assert "![output](" in section
        assert ("![input](" in section) == (operation.capability != "image.generate")


def test_pictures_are_small_and_all_used() -> None:
    linked = set(re.findall(r"\]\((gallery/[^)]+)\)", PAGE))
    files = {f"gallery/{path.name}": path.read_bytes() for path in (DOCS / "gallery").iterdir()}
    assert linked == set(files)
    assert max(len(data) for data in files.values()) < 60_000
    assert sum(len(data) for data in files.values()) < 1_500_000
    for data in files.values():
        with Image.open(io.BytesIO(data)) as image:
            assert image.format == "JPEG"
            assert max(image.size) <= 480
