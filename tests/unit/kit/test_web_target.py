"""The wall's judgement of a URL's text, before any name is looked up."""

import re

import pytest
import structlog
from hypothesis import example, given
from hypothesis import strategies as st
from structlog.testing import LogCapture

from kit.errors import InputFetchRefused
from kit.web import WallPolicy, refusal, vet
from kit.web.addresses import Standing
from kit.web.policy import METADATA_NAMES

OPEN_INTERNET = WallPolicy(own_hosts=frozenset({"atelier.example.com", "api.example.com:8443"}))
ON_PREMISES = WallPolicy(allow=WallPolicy.parse_allow("10.1.2.0/24,127.0.0.1"))

BAD = [
    # Not a URL that we speak.
    "",
    " ",
    "example.com",
    "//example.com/a",
    "/a.png",
    "http:example.com",
    "http:/example.com",
    "http://",
    "http:///a",
    "http://?a",
    "http://#a",
    "http://:80/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/_x",
    "data:image/png;base64,AAAA",
    "javascript:alert(1)",
    "ws://example.com/",
    "https+unix://example.com/",
    "http://example.com/" + "a" * 2048,
    # Characters that parsers drop, fold or misread.
    " http://example.com/",
    "http://example.com/ ",
    "http://example.com/a b",
    "http://example.com\t/",
    "ht\ntp://example.com/",
    "http://example.com/\r\nHost: evil",
    "http://example.com/\x00",
    "http://example.com/\x7f",
    "http://example.com/\x85",
    "http://example.com\\@127.0.0.1/",
    "http:\\\\127.0.0.1\\",
    "http://example.com/\\..\\",
    "http://exa\u200bmple.com/",
    "http://exam\u00adple.com/",
    "http://example.com/\u2028",
    "http://example.com/\u3000",
    "http://example.com/\u202egnp.a",
    "http://example.com/\ud800",
    "\ufeffhttp://example.com/",
    # Credentials.
    "http://user@example.com/",
    "http://user:pass@example.com/",
    "http://example.com@127.0.0.1/",
    "http://@example.com/",
    "http://example.com%40127.0.0.1/",
    # Ports.
    "http://example.com:/",
    "http://example.com:0/",
    "http://example.com:22/",
    "http://example.com:8080/",
    "http://example.com:65536/",
    "http://example.com:99999999999/",
    "http://example.com:-80/",
    "http://example.com:+80/",
    "http://example.com:8\u0660/",
    "http://example.com:80:80/",
    "http://8.8.8.8:6379/",
    # Hosts that are no hosts.
    "http://./",
    "http://../",
    "http://example.com../",
    "http://.example.com/",
    "http://a..example.com/",
    "http://-a.example.com/",
    "http://a-.example.com/",
    "http://a_b.example.com/",
    "http://a!b.example.com/",
    "http://a,b.example.com/",
    "http://*.example.com/",
    "http://example.com;/",
    "http://" + "a" * 64 + ".example.com/",
    "http://" + "a." * 130 + "example.com/",
    "http://%31%32%37.0.0.1/",
    "http://xn--\u00fc.example.com/",
    "http://\u2603.example.com/",
    "http://" + "\u00fc" * 300 + "/",
    # Loopback and friends, in every spelling.
    "http://127.0.0.1/",
    "http://127.0.0.1./",
    "HTTPS://127.0.0.1:443/",
    "http://127.1/",
    "http://127.0.1/",
    "http://2130706433/",
    "http://2130706433./",
    "http://0177.0.0.1/",
    "http://0177.0.0.01/",
    "http://127.000.000.001/",
    "http://0x7f.0.0.1/",
    "http://0x7f.1/",
    "http://0x7f000001/",
    "http://0X7F000001/",
    "http://0x/",
    "http://foo.0x7f/",
    "http://017700000001/",
    "http://0/",
    "http://0.0.0.0/",
    "http://1.2.3/",
    "http://1.2.3.4.5/",
    "http://256.1.1.1/",
    "http://8.8.8.08/",
    "http://8.8.8.8.8/",
    "http://example.1/",
    "http://\u2460\u2461\u2466.0.0.1/",
    "http://\uff11\uff12\uff17.0.0.1/",
    "http://127\u30020\u30020\u30021/",
    "http://127\uff0e0\uff0e0\uff0e1/",
    "http://8\u30028\u30028\u30028/",
    "http://\u0661\u0662\u0667.0.0.1/",
    "http://\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3/",
    "http://10.0.0.1/",
    "http://192.168.1.1/",
    "http://100.100.100.200/latest/meta-data/",
    "http://169.254.169.254/latest/meta-data/",
    "http://168.63.129.16/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b:1::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:db8::1]/",
    "http://[2001:0:7f00:1::]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[2606:4700::1111%25lo]/",
    "http://[fc00::1]/",
    "http://[fd00:ec2::254]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[5f00::1]/",
    "http://[3fff::1]/",
    "http://[v1.fe80::a]/",
    "http://[::1/",
    "http://::1/",
    "http://[]/",
    "http://[127.0.0.1]/",
    "http://[::1].example.com/",
    "http://[2606:4700::1111]x/",
    "http://[[::1]]/",
    # Names of the inside.
    "http://localhost/",
    "http://LOCALHOST/",
    "http://localhost./",
    "http://a.localhost/",
    "http://localhost.localdomain/",
    "http://intranet/",
    "http://billing/",
    "http://billing.atelier.svc/",
    "http://billing.atelier.svc.cluster.local/",
    "http://kubernetes.default.svc.cluster.local./",
    "http://printer.local/",
    "http://assets.corp.internal/",
    "http://host.docker.internal/",
    "http://router.home.arpa/",
    "http://metadata/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://metadata.google.internal./",
    "http://metadata.tencentyun.com/",
    "http://Metadata.Goog/",
    # Ourselves.
    "https://atelier.example.com/api/v1/assets",
    "https://ATELIER.example.com./",
    "http://api.example.com:8443/",
]


def test_table_of_bad_urls_is_a_table_of_different_urls() -> None:
    assert len(set(BAD)) == len(BAD) > 60


@pytest.mark.parametrize("url", BAD, ids=ascii)
def test_url_is_refused_with_the_one_public_text(url: str) -> None:
    with pytest.raises(InputFetchRefused) as caught:
        vet(url, OPEN_INTERNET, field_name="url")
    assert caught.value.message == InputFetchRefused().message
    assert caught.value.field == "url"
    assert caught.value.metadata == {}


GOOD = [
    ("http://example.com", "http://example.com/"),
    ("https://example.com/a.png", "https://example.com/a.png"),
    ("HTTPS://EXAMPLE.com:443/A.png", "https://example.com/A.png"),
    ("http://example.com:443/", "http://example.com:443/"),
    ("https://example.com:80/", "https://example.com:80/"),
    ("https://example.com./a", "https://example.com/a"),
    ("https://example.com?x=1", "https://example.com/?x=1"),
    ("https://example.com/a?", "https://example.com/a?"),
    ("https://example.com/a?b=c/d?e#f?g", "https://example.com/a?b=c/d?e"),
    ("https://example.com#@127.0.0.1/", "https://example.com/"),
    ("https://example.com/@127.0.0.1:22", "https://example.com/@127.0.0.1:22"),
    ("https://example.com/a%20b%2F?s=%E5%9B%BE", "https://example.com/a%20b%2F?s=%E5%9B%BE"),
    ("https://example.com/图.png?名=值", "https://example.com/%E5%9B%BE.png?%E5%90%8D=%E5%80%BC"),
    ('https://example.com/<a>"', "https://example.com/%3Ca%3E%22"),
    ("https://bücher.example/", "https://xn--bcher-kva.example/"),
    ("https://BÜCHER.example/", "https://xn--bcher-kva.example/"),
    ("https://bu\u0308cher.example/", "https://xn--bcher-kva.example/"),
    ("https://例え。jp/", "https://xn--r8jz45g.jp/"),
    ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"),
    ("https://r3---sn-abc.example.com/", "https://r3---sn-abc.example.com/"),
    ("https://127.0.0.1.example.com/", "https://127.0.0.1.example.com/"),
    ("https://0x7f.example.com/", "https://0x7f.example.com/"),
    ("https://localhost.example.com/", "https://localhost.example.com/"),
    ("http://8.8.8.8/", "http://8.8.8.8/"),
    ("http://[2606:4700:0:0::1111]/", "http://[2606:4700::1111]/"),
    ("https://[2606:4700::1111]:80/", "https://[2606:4700::1111]:80/"),
    ("http://[::ffff:8.8.8.8]/", "http://8.8.8.8/"),
    ("https://api.example.com/", "https://api.example.com/"),
    ("https://example.com/" + "a" * 2028, "https://example.com/" + "a" * 2028),
]


@pytest.mark.parametrize(("url", "requested"), GOOD, ids=ascii)
def test_url_is_requested_in_canonical_form_when_it_is_good(url: str, requested: str) -> None:
    assert vet(url, OPEN_INTERNET).url == requested


def test_cause_is_told_to_the_operator_without_path_and_query(monkeypatch: pytest.MonkeyPatch) -> None:
    logs = LogCapture()
    monkeypatch.setattr(refusal, "_log", structlog.wrap_logger(None, processors=[logs]))
    with pytest.raises(InputFetchRefused):
        vet("http://10.0.0.1/secret-path?token=secret", OPEN_INTERNET)
    assert [(log["event"], log["cause"], log["host"]) for log in logs.entries] == [
        ("input_fetch_refused", "address_denied", "10.0.0.1")
    ]
    assert "secret" not in repr(logs.entries)


def test_configured_port_is_permitted_on_public_hosts() -> None:
    policy = WallPolicy(allow_ports=frozenset({8443}))
    assert vet("https://example.com:8443/", policy).port == 8443
    assert vet("https://8.8.8.8:8443/", policy).port == 8443
    with pytest.raises(InputFetchRefused):
        vet("https://example.com:8444/", policy)


@pytest.mark.parametrize("url", ["http://10.1.2.3:9000/", "http://127.0.0.1:81/", "http://[::ffff:10.1.2.3]:1/"])
def test_allowed_address_may_have_any_port(url: str) -> None:
    target = vet(url, ON_PREMISES)
    assert target.literal is not None
    assert ON_PREMISES.standing(target.literal) is Standing.ALLOWED


@pytest.mark.parametrize(
    "url", ["http://localhost:9000/", "http://assets.corp.internal/", "http://nas/", "http://example.com:9000/"]
)
def test_inner_name_or_port_is_bound_to_the_allow_ranges_when_there_are_any(url: str) -> None:
    assert vet(url, ON_PREMISES).only_allowed


def test_ordinary_name_is_not_bound_to_the_allow_ranges() -> None:
    assert not vet("https://example.com/", ON_PREMISES).only_allowed


@pytest.mark.parametrize("host", sorted(METADATA_NAMES))
def test_metadata_name_is_refused_when_everything_is_allowed(host: str) -> None:
    with pytest.raises(InputFetchRefused):
        vet(f"http://{host}/", WallPolicy(allow=WallPolicy.parse_allow("0.0.0.0/0,::/0")))


def test_own_address_is_refused_when_its_range_is_allowed() -> None:
    policy = WallPolicy(
        allow=WallPolicy.parse_allow("127.0.0.1,::1"), own_hosts=frozenset({"127.0.0.1:8081", "[::1]:8081"})
    )
    for url in ("http://127.0.0.1:8081/", "http://[::1]:8081/"):
        with pytest.raises(InputFetchRefused):
            vet(url, policy)
    assert vet("http://127.0.0.1:8082/", policy).port == 8082


def test_target_keeps_path_and_query_out_of_its_repr() -> None:
    assert "secret" not in repr(vet("https://example.com/secret?secret", OPEN_INTERNET))


HOSTISH = st.text(
    alphabet="0123456789abcdefxABX.:[]%@-_/\\#?\u3002\uff0e\u2460\u00fc\u0130\u212a\u0660 \t", max_size=30
)


@given(
    st.one_of(
        st.text(max_size=80),
        st.builds("http://{}".format, st.text(max_size=60)),
        st.builds("{}://{}/{}".format, st.sampled_from(["http", "https", "HTTP"]), HOSTISH, st.text(max_size=20)),
        st.builds("http://{}:{}".format, st.ip_addresses(v=4), st.integers(-1, 70000)),
        st.builds("http://[{}]".format, st.ip_addresses(v=6)),
        st.builds("http://{}".format, st.integers(0, 2**33)),
    )
)
@example("http://loca\u212a.example.com/")
@example("http://[::ffff:255.255.255.255]/")
@example("http://xn--0.com/")
def test_any_text_is_refused_or_gives_a_target_that_is_safe_to_resolve(url: str) -> None:
    try:
        target = vet(url, OPEN_INTERNET)
    except InputFetchRefused:
        return
    assert target.scheme in ("http", "https")
    assert target.port in (80, 443)
    assert not target.only_allowed
    assert re.fullmatch(r"[!-~]+", target.url)
    if target.literal is not None:
        assert OPEN_INTERNET.standing(target.literal) is Standing.PUBLIC
    else:
        assert re.fullmatch(r"[a-z0-9.-]{1,253}", target.host)
        assert not re.search(r"(^|\.)(\d+|0x[^.]*|localhost|local|internal|svc)$", target.host)
        assert vet(target.url, OPEN_INTERNET) == target
