"""Every command of the contracts' pages works as it stands: each page's are run by bash, one after the other."""

import asyncio
import re
import secrets
from pathlib import Path
from typing import Final

import pytest

from testkit.deployments import Deployment, NewPartner
from testkit.doors import grant, open_door, token
from testkit.photos import encoded, photo
from testkit.web import Site, respond

PAGES: Final = sorted((Path(__file__).resolve().parents[2] / "docs" / "contracts").glob("*.md"))
BLOCK: Final = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SCRIPT_TIMEOUT_S: Final = 240.0
#: The answers a page's commands get, where the HTTP status alone says nothing: 404 is what its last command shows.
CODES: Final = {"points": {'"code":200'}, "signed": {'"code":200', '"code":404'}, "studio": {'"err_code":0'}}
#: What a command gets whose model the catalogue has switched off: it is right, and the deployment does not offer it.
SWITCHED_OFF: Final = '{"err_code":1,"err_msg":"任务提交失败:接口停用"}'
ON_STANDALONE = pytest.mark.parametrize(
    "deployment", [pytest.param("standalone", marks=pytest.mark.xdist_group("e2e-standalone"))], indirect=True
)


def test_every_contract_has_a_page_with_commands() -> None:
    commands = {page.stem: len(BLOCK.findall(page.read_text())) for page in PAGES}
    assert {"open", "points", "signed"} <= set(commands)
    assert min(commands.values()) > 0


@ON_STANDALONE
@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
async def test_commands_of_a_page_run(
    house: Deployment, make_partner: NewPartner, site: Site, page: Path, tmp_path: Path
) -> None:
    user_id = str(secrets.randbelow(10**17) + 1)
    partner = await make_partner(user_id=user_id)
    operator = house.operator()
    app = await open_door(operator, partner.client_id, "app")
    user_key = await open_door(operator, partner.client_id, "user_key")
    await grant(operator, partner.client_id, "count", 100)
    await grant(operator, partner.client_id, "fen", 30_000)
    picture = encoded(photo((320, 240)), "PNG")
    (tmp_path / "photo.png").write_bytes(picture)
    site.reply("/photo.png", respond(picture, headers={"Content-Type": "image/png"}))
    variables = {
        "BASE": house.url,
        "KEY": partner.key,
        "TOKEN": token(house.jwt_secret, user_id),
        "APP_ID": app.name,
        "APP_SECRET": app.secret,
        "USER_KEY": user_key.secret,
        "PHOTO": str(tmp_path / "photo.png"),
        "PHOTO_URL": f"http://127.0.0.1:{site.port}/photo.png",
    }

    status, output = await run("\n".join(BLOCK.findall(page.read_text())), variables, tmp_path)

    assert status == 0, output
    output = output.replace(SWITCHED_OFF, "")
    assert set(re.findall(r'"(?:err_)?code":[0-9]+', output)) == CODES.get(page.stem, set()), output


async def run(script: str, variables: dict[str, str], folder: Path) -> tuple[int | None, str]:
    """Run it in a folder of its own, stopping at the first command that fails; return the status and all output."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euxo", "pipefail", "-c", script),
        cwd=folder,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "NO_PROXY": "*", **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(SCRIPT_TIMEOUT_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode, output.decode(errors="replace")
