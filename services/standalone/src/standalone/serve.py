"""`atelier up`: one process, one data folder, until a signal ends it."""

import sys
import time
from pathlib import Path

import uvloop

from kit import crash
from kit.logging import configure, get_logger
from standalone.assembly import Address, Standalone
from standalone.place import Place

log = get_logger(__name__)


def serve(
    place: Place,
    *,
    host: str,
    port: int,
    bootstrap_file: Path | None,
    catalog_dir: Path | None,
    grpc_listen: str = "",
) -> None:
    """Serve until SIGTERM or SIGINT. Raises PlaceInUse, and ValueError for settings that cannot work."""
    began_s = time.monotonic()
    configure("atelier", level="info", format="console" if sys.stderr.isatty() else "json")
    crash.check()

    async def run() -> None:
        standalone = Standalone(
            place,
            address=Address(http_host=host, http_port=port, grpc_listen=grpc_listen),
            bootstrap_file=bootstrap_file,
            catalog_dir=catalog_dir,
        )
        edge = standalone.edge
        assert edge is not None

        async def announce() -> None:
            url = f"http://{host}:{edge.port}"
            log.info("serving", url=url, data_dir=str(place.folder), start_s=round(time.monotonic() - began_s, 2))

        standalone.life.add("announcement", start=announce)
        await standalone.life.run_until_signal()

    with place.locked():
        uvloop.run(run())
