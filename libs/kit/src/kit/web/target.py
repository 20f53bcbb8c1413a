"""From a URL that somebody else wrote to a target that may be dialled: pure judgement, no I/O.

The text is checked before it is parsed and parsed by our own strict grammar, because lenient parsers disagree about
the same text (`http://a\\@b/`, `http://127.1/`), and every such disagreement is a way around a wall.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Final
from urllib.parse import quote, urljoin

import idna

from kit.web.addresses import Address, Standing, unwrap
from kit.web.policy import WallPolicy, is_inner_name
from kit.web.refusal import Malformed, Refusal, refused

URL_CHARS_MAX: Final = 2048
HOST_CHARS_MAX: Final = 253  # RFC 1035's 255 octets, less the length bytes at both ends.
PORT_MAX: Final = 65535

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
# Control, format (zero-width, direction marks), surrogate and every kind of space. Assigned letters of any script pass.
_FORBIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?(?:#.*)?"
)
_AUTHORITY = re.compile(r"(?P<host>\[[^\[\]]*\]|[^\[\]:%]+)(?::(?P<port>[0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_IPV6_TEXT = re.compile(r"[0-9A-Fa-f:.]{2,45}")
_DOTTED_QUAD = re.compile(r"(?:(?:0|[1-9][0-9]{0,2})\.){3}(?:0|[1-9][0-9]{0,2})")
# What may stand in a path or query as it is; the rest (raw Chinese, quotes) is sent as percent-encoded UTF-8.
_SAFE_IN_TARGET: Final = "/%:@!$&'()*+,;=-._~[]|"


@dataclass(frozen=True, kw_only=True)
class Target:
    """One vetted URL. A name in it still has to be resolved and its addresses judged."""

    scheme: str  #: "http" or "https".
    host: str  #: ASCII, lower case, no trailing dot; an IPv6 address without brackets.
    port: int
    #: Path and query, percent-encoded. Not in the repr, because a signed link keeps its secret here.
    path: str = field(repr=False)
    literal: Address | None = None  #: Set when the host is an address, which is then already judged.
    #: The name or port is one that only the operator's allow ranges may have, so every address must be in one.
    only_allowed: bool = False

    @property
    def authority(self) -> str:
        """The `Host` header: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL as it is requested, without fragment."""
        return f"{self.scheme}://{self.authority}{self.path}"


def vet(url: str, policy: WallPolicy, *, field_name: str | None = None) -> Target:
    """Vet a URL's text, and its host where that is an address, without any I/O: what can be told when it is handed in.

    For URLs that are used later (webhooks). A URL that is fetched at once goes straight to `WebClient.fetch`, which
    vets it too and takes care that a denial cannot be told from a closed port by its time.
    Raises InputFetchRefused, about `field_name` if given; the cause is in the operator's log.
    """
    try:
        return judge_url(url, policy)
    except Refusal as refusal:
        raise refused(refusal, field_name=field_name) from refusal


def judge_url(url: str, policy: WallPolicy) -> Target:
    """Vet a URL for `policy`. Raises Malformed for its text alone, Refusal for the deployment's rules."""
    scheme, host_text, port, path = _split(url)
    literal = _literal(host_text)
    if literal is not None:
        return _judge_literal(literal, scheme=scheme, port=port, path=path, policy=policy)
    host = _name(host_text)
    literal = _dotted_quad(host, as_written=host_text)
    if literal is not None:
        return _judge_literal(literal, scheme=scheme, port=port, path=path, policy=policy)
    if policy.denies_host(host, port):
        raise Refusal("name_denied", host=host)
    only_allowed = is_inner_name(host) or not policy.permits_port(port)
    if only_allowed and not policy.allow:
        raise Refusal("name_denied" if is_inner_name(host) else "port_denied", host=host, port=port)
    return Target(scheme=scheme, host=host, port=port, path=path, only_allowed=only_allowed)


def redirect_url(target: Target, location: bytes) -> str:
    """The URL that a reply's `Location` leads to, not yet vetted. Raises Refusal."""
    try:
        text = location.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refusal("redirect_unreadable") from error
    _check_characters(text)  # Before joining: the standard join quietly drops tabs and newlines.
    try:
        return urljoin(target.url, text)
    except ValueError as error:
        raise Refusal("redirect_unreadable") from error


def _check_characters(url: str) -> None:
    if not url or len(url) > URL_CHARS_MAX:
        raise Malformed("length")
    if "\\" in url or any(unicodedata.category(character) in _FORBIDDEN_CATEGORIES for character in url):
        raise Malformed("character")


def _split(url: str) -> tuple[str, str, int, str]:
    """Scheme, host as written (lower case), port, encoded path with query."""
    _check_characters(url)
    parts = _URL.fullmatch(url)
    if parts is None:
        raise Malformed("syntax")
    scheme = parts["scheme"].lower()
    if scheme not in _DEFAULT_PORTS:
        raise Malformed("scheme")
    if "@" in parts["authority"]:
        raise Malformed("userinfo")
    authority = _AUTHORITY.fullmatch(parts["authority"])
    if authority is None:
        raise Malformed("authority")
    port = int(authority["port"]) if authority["port"] else _DEFAULT_PORTS[scheme]
    if not 1 <= port <= PORT_MAX:
        raise Malformed("port")
    path = quote(parts["path"] or "/", safe=_SAFE_IN_TARGET)
    if parts["query"] is not None:
        path += "?" + quote(parts["query"], safe=_SAFE_IN_TARGET + "?")
    return scheme, unicodedata.normalize("NFC", authority["host"]).lower(), port, path


def _literal(host: str) -> Address | None:
    """The address of a bracketed IPv6 host, or None for any other host."""
    if not host.startswith("["):
        return None
    inside = host[1:-1]
    if _IPV6_TEXT.fullmatch(inside) is None:  # Refuses a zone id, which would name a link of this machine.
        raise Malformed("ipv6")
    try:
        return unwrap(IPv6Address(inside))
    except ValueError as error:
        raise Malformed("ipv6") from error


def _name(host: str) -> str:
    """The host in ASCII letters, without its trailing dot."""
    if not host.isascii():
        host = _to_ascii(host)
    host = host.removesuffix(".")
    if len(host) > HOST_CHARS_MAX or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise Malformed("host")
    return host


def _to_ascii(host: str) -> str:
    if len(host) > HOST_CHARS_MAX:
        raise Malformed("host")
    try:
        # Strict IDNA 2008 without the mapping step: a circled or full-width character is refused, not "repaired".
        return idna.encode(host).decode("ascii")
    except UnicodeError as error:
        raise Malformed("idna") from error


def _dotted_quad(host: str, *, as_written: str) -> Address | None:
    """The IPv4 address of a host that a system resolver would take for a number, or None for a name.

    Resolvers read `2130706433`, `0177.0.0.1`, `0x7f.1` and `127.1` as loopback, so a host that ends in a number must
    be a canonical dotted quad, written in plain ASCII from the start.
    """
    last = host.rpartition(".")[2]
    if not (last.isdigit() or last.startswith("0x")):
        return None
    if _DOTTED_QUAD.fullmatch(host) is None or not as_written.isascii():
        raise Malformed("numeric_host")
    try:
        return IPv4Address(host)
    except ValueError as error:
        raise Malformed("numeric_host") from error


def _judge_literal(address: Address, *, scheme: str, port: int, path: str, policy: WallPolicy) -> Target:
    standing = policy.standing(address)
    if standing is Standing.DENIED or policy.denies_host(str(address), port):
        raise Refusal("address_denied", host=str(address))
    if standing is Standing.PUBLIC and not policy.permits_port(port):
        raise Refusal("port_denied", host=str(address), port=port)
    return Target(scheme=scheme, host=str(address), port=port, path=path, literal=address)
