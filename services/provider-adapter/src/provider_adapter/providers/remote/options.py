"""What an operator configures of a remote provider, and credentials that rotate without a restart.

The file named by `PROVIDERS_FILE`:

    providers:
      - name: jimeng                     # what the catalogue's routes call it
        kind: jimeng                     # which adapter
        access_key: {env: JIMENG_ACCESS_KEY}
        secret_key: {file: /run/secrets/jimeng}
        running_max: 20
        submits_per_second: 5
"""

import os
import stat
import time
from pathlib import Path
from typing import Annotated, Any, Final, Self

import yaml
from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

SECRET_BYTES_MAX: Final = 64 * 1024  # The longest credential, a key file in PEM, has a tenth of it.
LOOK_AGAIN_S: Final = 1.0  # A rotated file is taken up within this, at the price of one `stat` a second.
FILE_BYTES_MAX: Final = 1 << 20
PROVIDERS_MAX: Final = 256  # Of a file.

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class CredentialMissing(Exception):
    """There is no usable credential where one is said to be. The text names the place, never the value."""


class Credential(BaseModel):
    """A secret by the name of its place: an environment variable, or a file that may be replaced at any time."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    file: Path | None = None

    _seen: tuple[float, tuple[int, int, int], str] | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("exactly one of env and file")
        return self

    def read(self) -> str:
        """Return the secret as it is now. Raises CredentialMissing."""
        if self.env is not None:
            value = os.environ.get(self.env, "").strip()  # A newline at its end, as files have one, is no part of it.
            if not value:
                raise CredentialMissing(f"environment variable {self.env} is not set")
            return value
        assert self.file is not None
        try:
            return self._read_file(self.file)
        except (OSError, UnicodeDecodeError) as error:
            raise CredentialMissing(f"{self.file}: {type(error).__name__}") from error

    def _read_file(self, path: Path) -> str:
        now = time.monotonic()
        if self._seen is not None and now - self._seen[0] < LOOK_AGAIN_S:
            return self._seen[2]
        facts = path.stat()
        state = (facts.st_mtime_ns, facts.st_size, facts.st_ino)  # A mounted secret is replaced by a rename.
        if self._seen is None or self._seen[1] != state:
            if not stat.S_ISREG(facts.st_mode):
                raise CredentialMissing(f"{path} is no regular file")  # To open a pipe could take for ever.
            with path.open("rb") as file:
                data = file.read(SECRET_BYTES_MAX + 1)
            if len(data) > SECRET_BYTES_MAX:
                raise CredentialMissing(f"{path} has more than {SECRET_BYTES_MAX} bytes")
            value = data.decode().strip()
            if not value:
                raise CredentialMissing(f"{path} is empty")
        else:
            value = self._seen[2]
        self._seen = (now, state, value)
        return value


class RemoteOptions(BaseModel):
    """What every remote provider has; each adapter adds its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Name  #: What the catalogue's routes call it; two accounts of one vendor have two names.
    kind: str  #: Which adapter.
    base_url: AnyHttpUrl

    #: Tasks under way at once, ours only; the vendor's own limit is the best value.
    running_max: int = Field(100, ge=1, le=100_000)

    #: Submits a second on average, with bursts of one second's worth (at least one).
    submits_per_second: float = Field(10.0, gt=0, le=10_000)

    #: Status questions a second on average. When more tasks are open than can be asked after at the usual pace, each is
    #: asked after less often.
    polls_per_second: float = Field(100.0, gt=0, le=10_000)

    #: Seconds for TCP and TLS, and for a whole answer to a question (not for synchronous work).
    connect_s: float = Field(5.0, gt=0, le=60)
    answer_s: float = Field(30.0, gt=0, le=600)

    #: Use HTTP/2 where the provider offers it over TLS. Up to ten calls then share a connection, and its loss.
    http2: bool = True

    #: Added to each result's path of cost: what one output is known to cost us, in 1/100 yuan; 0 when not known.
    cost_fen_per_output: int = Field(0, ge=0)

    @property
    def base(self) -> str:
        """The base URL without a slash at its end."""
        return str(self.base_url).rstrip("/")

    def credentials(self) -> list[Credential]:
        """Every credential of these options, to keep their values out of the log."""
        values = (getattr(self, name) for name in type(self).model_fields)
        return [value for value in values if isinstance(value, Credential)]


def read_file(path: Path) -> list[dict[str, Any]]:
    """Return the entries of a providers' file, unchecked but for their being a list of mappings with a kind each.

    Raises ValueError that names the file.
    """
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
        if len(data) > FILE_BYTES_MAX:
            raise ValueError(f"PROVIDERS_FILE: {path}: has more than {FILE_BYTES_MAX} bytes")
        document = yaml.safe_load(data)
    except OSError as error:
        raise ValueError(f"PROVIDERS_FILE: {path}: {type(error).__name__}: {error.strerror}") from error
    except yaml.YAMLError as error:  # Its own text quotes the file, and who knows what was put there.
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        where = f" in line {mark.line + 1}" if mark else ""
        raise ValueError(f"PROVIDERS_FILE: {path}: no YAML{where}") from None
    entries = document.get("providers") if isinstance(document, dict) else None
    if not isinstance(entries, list) or len(entries) > PROVIDERS_MAX:
        raise ValueError(f"PROVIDERS_FILE: {path}: needs `providers:`, a list of at most {PROVIDERS_MAX}")
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or not isinstance(entry.get("kind"), str):
            raise ValueError(f"PROVIDERS_FILE: {path}: providers[{number}] needs a kind")
    return entries


def explain(error: ValidationError) -> str:
    """The first fault of some options, with its field and without the value, which may be a secret."""
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
