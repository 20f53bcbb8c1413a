"""Ways to spoil a request. Each takes the draft as it is and changes one thing about it."""

import gzip
import json
from collections.abc import Callable
from random import Random
from typing import Any, Final

from testkit.fuzzing import nasty
from testkit.fuzzing.draft import BOUNDARY, Draft, File, percent

Mutation = Callable[[Random, Draft], None]

HEADER_BYTES: Final = 12_000  # Below what a server's parser takes at most.

ODD_HEADERS: Final = [
    (b"X-Forwarded-For", b"999.999.999.999, , ::1%eth0, \xff"),
    (b"X-Forwarded-Proto", b"gopher"),
    (b"X-Forwarded-Host", b"evil.example\x01"),
    (b"Forwarded", b'for="[::1]:x";;;'),
    (b"Content-Encoding", b"gzip"),
    (b"Accept-Encoding", b"br;q=x, *;q=-1"),
    (b"Accept", b"*" * 300),
    (b"Range", b"bytes=99999999999999999999-"),
    (b"Range", b"bytes=-0"),
    (b"Range", b"bytes=5-2,1-1,"),
    (b"Range", b"pixels=\xd9\xa1-"),
    (b"If-None-Match", b'W/"", *, "\xff"'),
    (b"If-Range", b"Thu, 99 Foo 2026"),
    (b"If-Modified-Since", b"yesterday"),
    (b"Cookie", b"a=" + b"b" * 2000 + b"; =; ;"),
    (b"Idempotency-Key", b""),
    (b"Idempotency-Key", b"\xe5\x9b\xbe"),
    (b"Idempotency-Key", b"k" * 300),
    (b"Last-Event-ID", b"-1"),
    (b"Last-Event-ID", b"99999999999999999999999999"),
    (b"Authorization", b"Bearer"),
    (b"Authorization", b"Bearer  a b c"),
    (b"Authorization", b"Basic YTpi"),
    (b"Authorization", b"\xff\xfe\xfd"),
    (b"Authorization", b"Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."),
    (b"Authorization", b"Bearer " + b"a." * 3000),
    (b"X-Zhinian-Api-Key", b"\x80\x81"),
    (b"Connection", b"upgrade, close"),
    (b"Upgrade", b"h2c"),
    (b"Expect", b"100-continue"),
    (b"X-Request-Id", b"req_mine\xff"),
    (b"Traceparent", b"00-zz-zz-01"),
    (b"Content-Language", b"\x80"),
    (b"Origin", b"null"),
]
CONTENT_TYPES: Final = [
    b"",
    b"text/plain",
    b"application/json; charset=utf-16",
    b"application/json; charset=\xff",
    b"application/x-www-form-urlencoded; charset=utf-7",
    b"multipart/form-data",
    b"multipart/form-data; boundary=",
    b"multipart/form-data; boundary=" + b"x" * 300,
    b'multipart/form-data; boundary="\xff\xfe"',
    b"multipart/form-data; boundary=other",
    b"multipart/form-data; charset=utf-16; boundary=" + BOUNDARY,
    b"multipart/form-data; charset=rot13; boundary=" + BOUNDARY,
    b"multipart/form-data; charset=idna; boundary=" + BOUNDARY,
    b"multipart/form-data; charset=unicode_escape; boundary=" + BOUNDARY,
    b"multipart/form-data; charset=utf-8-sig\x00; boundary=" + BOUNDARY,
    b"multipart/mixed; boundary=" + BOUNDARY,
    b"application/octet-stream",
    b"image/png",
    b";;;=;",
]
#: Without DELETE: an honest one takes away what all later requests ask for.
METHODS: Final = [b"GET", b"POST", b"PUT", b"PATCH", b"OPTIONS", b"HEAD", b"TRACE"]


def mutated(random: Random, draft: Draft) -> Draft:
    """The draft with one to three things wrong; now and then it stays as it is."""
    for _ in range(random.choice((0, 1, 1, 1, 1, 2, 2, 3))):
        random.choice(_fitting(draft))(random, draft)
    return draft


def _fitting(draft: Draft) -> list[Mutation]:
    """The mutations that have something to spoil, the likelier ones several times."""
    fitting: list[Mutation] = [_odd_header, _odd_header, _query, _double_header, _method]
    if draft.query:
        fitting += [_query_value] * 4
    if draft.path.count(b"/") > 1:
        fitting += [_path]
    if draft.body is None and draft.json is not None:
        fitting += [_json_value] * 6 + [_json_member] * 3 + [_json_text] * 3
    if draft.body is None and draft.form is not None:
        fitting += [_form_value] * 6 + [_form_field] * 4 + [_form_kind] * 2 + [_multipart_bytes] * 2
    if draft.body is not None or draft.json is not None or draft.form is not None:
        fitting += [_body_bytes] * 2 + [_content_type] * 2 + [_chunks]
    if draft.after_upgrade:
        fitting += [_frames] * 3
    return fitting


# Head


def _odd_header(random: Random, draft: Draft) -> None:
    name, value = random.choice([*ODD_HEADERS, (b"X-Long", b"x" * HEADER_BYTES)])
    draft.headers = [pair for pair in draft.headers if pair[0].lower() != name.lower()] + [(name, value)]


def _double_header(random: Random, draft: Draft) -> None:
    if draft.headers:
        draft.headers.append(random.choice(draft.headers))


def _method(random: Random, draft: Draft) -> None:
    if random.random() < 0.3:
        draft.method = random.choice(METHODS)


def _path(random: Random, draft: Draft) -> None:
    """Another last part, or one part more."""
    part = percent(nasty.octets(random)[:3000])
    head, _, _ = draft.path.rpartition(b"/")
    draft.path = random.choice([head + b"/" + part, draft.path + b"/" + part, draft.path + b"/", head + b"//"])


def _query(random: Random, draft: Draft) -> None:
    draft.query.append((percent(nasty.octets(random)[:100]), percent(nasty.octets(random)[:100])))


def _query_value(random: Random, draft: Draft) -> None:
    index = random.randrange(len(draft.query))
    name, value = draft.query[index]
    spoilt = random.choice([percent(nasty.octets(random)[:3000]), b"%", b"%zz", b"%ff%fe", b"+", value + b"+"])
    draft.query[index] = (name, spoilt)
    if random.random() < 0.2:
        draft.query.append((name, value))


# JSON


def _json_value(random: Random, draft: Draft) -> None:
    """Another value somewhere in the tree."""
    spots = list(_spots(draft.json))
    if spots:
        parent, key = random.choice(spots)
        parent[key] = nasty.value(random)
    else:
        draft.json = nasty.value(random)


def _json_member(random: Random, draft: Draft) -> None:
    """A member more or fewer, or another top altogether."""
    if not isinstance(draft.json, dict) or random.random() < 0.1:
        draft.json = random.choice([[draft.json], nasty.value(random), "text", 7])
    elif draft.json and random.random() < 0.5:
        del draft.json[random.choice(sorted(draft.json))]
    else:
        draft.json[nasty.text(random)] = nasty.value(random)


def _json_text(random: Random, draft: Draft) -> None:
    """What Python's encoder would not write: raw numbers, the same member twice, other encodings."""
    whole = draft.json
    if isinstance(whole, dict) and whole and random.random() < 0.7:
        name = random.choice(sorted(whole))
        members = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in whole.items() if key != name]
        members.append(f"{json.dumps(name)}: {random.choice(nasty.RAW_JSON)}")
        if random.random() < 0.3:
            members.append(f"{json.dumps(name)}: {json.dumps(whole[name])}")
        draft.body = ("{" + ", ".join(members) + "}").encode("utf-8", "surrogatepass")
    else:
        encoding = random.choice(["utf-16", "utf-32", "utf-8-sig", "utf-7", "gb18030"])
        draft.body = json.dumps(whole).encode(encoding, "replace")
    draft.content_type = b"application/json"


def _spots(node: Any) -> list[tuple[Any, Any]]:
    """Every place in the tree that holds a value."""
    if isinstance(node, dict):
        found: list[tuple[Any, Any]] = [(node, key) for key in node]
        children = list(node.values())
    elif isinstance(node, list) and len(node) < 20:
        found = [(node, index) for index in range(len(node))]
        children = list(node)
    else:
        return []
    for child in children[:20]:
        if isinstance(child, dict) or (isinstance(child, list) and child and isinstance(child[0], dict)):
            found += _spots(child)
    return found


# Forms


def _form_value(random: Random, draft: Draft) -> None:
    assert draft.form is not None
    if draft.form:
        index = random.randrange(len(draft.form))
        name, value = draft.form[index]
        draft.form[index] = (name, _spoilt_file(random, value) if isinstance(value, File) else nasty.octets(random))


def _spoilt_file(random: Random, file: File) -> bytes | File:
    content = file.content
    middle = random.randrange(1, len(content)) if len(content) > 1 else 0
    contents = [
        b"",
        content[:middle],
        content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :] if content else b"x",
        content + random.randbytes(2000),
        random.randbytes(3000),
        b"GIF89a" + random.randbytes(200),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"RIFF\xff\xff\xff\xffWEBPVP8X" + random.randbytes(60),
        b"\xff\xd8\xff\xe0" + random.randbytes(300),
    ]
    names = [b"", b"../../a.png", b"a\x00.png", b"\xff.png", b"x" * 900, "图.png".encode(), b'a";x="', b"CON", b"."]
    types = [b"", b"text/html", b"image/../png", b"\xff/\xff", b"multipart/mixed; boundary=" + BOUNDARY]
    spoilt: list[bytes | File] = [
        File(content=random.choice(contents), name=file.name),
        File(content=content, name=random.choice(names)),
        File(content=content, name=file.name, mime_type=random.choice(types)),
        content,  # A text field of that name.
    ]
    return random.choice(spoilt)


def _form_field(random: Random, draft: Draft) -> None:
    """A field more, fewer, twice, or many."""
    assert draft.form is not None
    kind = random.randrange(5)
    if kind == 0 and draft.form:
        del draft.form[random.randrange(len(draft.form))]
    elif kind == 1 and draft.form:
        draft.form.append(random.choice(draft.form))
    elif kind == 2:
        draft.form.append((nasty.octets(random).replace(b'"', b""), nasty.octets(random)))
    elif kind == 3:
        draft.form += [(b"f%d" % number, b"x") for number in range(random.choice((60, 70, 1500)))]
    else:
        draft.form.insert(0, (b"_charset_", random.choice([b"utf-16", b"rot13", b"nothing"])))


def _form_kind(random: Random, draft: Draft) -> None:
    """The other encoding, or a file where a text belongs."""
    assert draft.form is not None
    if random.random() < 0.4:
        draft.urlencoded = not draft.urlencoded
    elif draft.form:
        index = random.randrange(len(draft.form))
        name, value = draft.form[index]
        draft.form[index] = (name, File(content=value) if isinstance(value, bytes) else value.content)


def _multipart_bytes(random: Random, draft: Draft) -> None:
    """A multipart body that is not quite one."""
    draft.urlencoded = False
    body = draft.built().body or b""
    mark = b"--" + BOUNDARY
    spoilt = [
        body.removesuffix(mark + b"--\r\n"),
        body.replace(b"\r\n", b"\n"),
        body.replace(b"form-data", b"attachment"),
        body.replace(b'name="', b"name=", 1),
        body.replace(b"Content-Disposition", b"X-Other", 1),
        body.replace(b"Content-Disposition: form-data", b"Content-Disposition: form-data; name*=utf-16''%ff%fe", 1),
        body.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n", 1),
        body.replace(b"\r\n\r\n", b"\r\nContent-Type: text/plain; charset=utf-16\r\n\r\n", 1),
        body.replace(b"\r\n\r\n", b"\r\n" + b"X-Many: 1\r\n" * 2000 + b"\r\n", 1),
        body.replace(b"\r\n\r\n", b"\r\nX-Long: " + b"x" * 20_000 + b"\r\n\r\n", 1),
        mark + b"\r\n" + body,
        b"preamble\r\n" + body + b"epilogue",
        mark + b"--\r\n",
        mark * 500,
        body.replace(mark, mark + b"x", 1),
    ]
    draft.body = random.choice(spoilt)


# Bytes


def _body_bytes(random: Random, draft: Draft) -> None:
    body = draft.built().body or b""
    at = random.randrange(len(body) + 1)
    spoilt = [
        b"",
        body[:at],
        body[:at] + random.randbytes(random.randrange(1, 9)) + body[at:],
        body[:at] + bytes([random.randrange(256)]) + body[at + 1 :],
        body + body,
        gzip.compress(body, mtime=0),
        b"\xef\xbb\xbf" + body,
        b"\x00" * 2000,
        body + b" " * 1_100_000,  # Above the limit of a JSON body.
    ]
    weights = [2, 4, 4, 4, 2, 1, 2, 1, 0.2]
    (draft.body,) = random.choices(spoilt, weights)


def _content_type(random: Random, draft: Draft) -> None:
    draft.built().content_type = random.choice(CONTENT_TYPES)


def _chunks(random: Random, draft: Draft) -> None:
    draft.chunked = random.choice((1, 7, 4096)) if len(draft.built().body or b"") < 5000 else 4096


def _frames(random: Random, draft: Draft) -> None:
    """WebSocket frames that are none: wrong opcodes, lengths, no mask, half of one."""
    frames = [
        b"\x81\x05hello",
        b"\x83\x80\x00\x00\x00\x00",
        b"\x82\xff" + b"\xff" * 8,
        b"\x88\x82aaaa\x00\x00",
        b"\x09\x80",
    ]
    draft.after_upgrade = random.choice([random.randbytes(random.randrange(1, 200)), *frames])
