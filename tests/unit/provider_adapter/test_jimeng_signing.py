"""Volcengine Signature V4 against published and recomputed vectors."""

import hashlib
from datetime import UTC, datetime

import pytest

from provider_adapter.providers.jimeng.signing import Signer, canonical_request, host_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SUBMIT_BODY = b'{"req_key":"jimeng_t2i_v40","prompt":"a cat"}'
RESULT_BODY = b'{"req_key":"jimeng_t2i_v40","task_id":"7392616336519610409","req_json":"{\\"return_url\\":true}"}'


def signer(session_token: str = "") -> Signer:
    return Signer(
        access_key="AKTESTEXAMPLE",
        secret_key="SKTESTEXAMPLE",
        session_token=session_token,
        region="cn-north-1",
        service="cv",
    )


def sign(body: bytes, action: str, one: Signer | None = None) -> dict[str, str]:
    query = {"Version": "2022-08-31", "Action": action}
    host = "visual.volcengineapi.com"
    return (one or signer()).headers(method="POST", host=host, path="/", query=query, body=body, now=NOW)


def test_vector_a_of_two_signed_headers() -> None:
    one = Signer(
        access_key="test-access-key-id-not-a-secret",
        secret_key="test-secret-access-key-not-a-secret",
        region="cn-beijing",
        service="billing",
    )
    body_hash = hashlib.sha256(b'{"Limit":10,"BillPeriod":"2023-08"}').hexdigest()
    assert body_hash == "e8cc56e129d9759d56c936e679a345d001a4235b58bee8e935ccad97f23ed663"
    headers = {"X-Date": "20250329T180937Z", "Host": "billing.volcengineapi.com"}
    query = {"Action": "ListBill", "Version": "2022-01-01"}
    text = canonical_request(method="POST", path="/", query=query, headers=headers, body_hash=body_hash)
    assert (
        hashlib.sha256(text.encode()).hexdigest() == "27383e3b56d03850f5634483527fbddcbf06cf98de1bc8a6679ef2300bff3b15"
    )
    assert one.signing_key("20250329").hex() == "3db15fd2e538c268c73f0456cdb0699449696e3ddeb464ca955899df10b02127"
    assert one.authorization(text, headers=headers) == (
        "HMAC-SHA256 Credential=test-access-key-id-not-a-secret/20250329/cn-beijing/billing/request, "
        "SignedHeaders=host;x-date, Signature=23c760c81af856b1cc3d978f7c66ad90c097abc2add030c36a35193e133a5a0e"
    )


@pytest.mark.parametrize(
    ("body", "action", "body_hash", "canonical_hash", "signature"),
    [
        (
            SUBMIT_BODY,
            "CVSync2AsyncSubmitTask",
            "ddcc4dcb0991020b69b5bf1e2c912f4e7bc139c7e3d8522da59d83db09fb9fcc",
            "475f7973b3b70690bf8cd03d19f13109bc1268585f081da4aaaeb22e50505e1a",
            "fd5ae7e428309e70b0c32f9cf92f8cdce39a0bbc22da1dde0595a12b97ccbdc9",
        ),
        (
            RESULT_BODY,
            "CVSync2AsyncGetResult",
            "72bc0f27b583a6cd9fb1a5acdb4dcd116821b16384838a8e4fc7a8eebac52b1e",
            "72bacbc2dc052cb5b697a2985cfdb654a4cdd02800722736f7278519b32c0f54",
            "02165997389b064075ce9cc6c3114d7629f2dc7cf0211c74d43b38b5d9336243",
        ),
    ],
)
def test_vectors_b_of_the_calls_made(
    body: bytes, action: str, body_hash: str, canonical_hash: str, signature: str
) -> None:
    headers = sign(body, action)
    assert headers["X-Content-Sha256"] == body_hash
    assert headers["X-Date"] == "20260101T000000Z"
    signed = {name: value for name, value in headers.items() if name != "Authorization"}
    query = {"Action": action, "Version": "2022-08-31"}
    text = canonical_request(method="POST", path="", query=query, headers=signed, body_hash=body_hash)
    assert hashlib.sha256(text.encode()).hexdigest() == canonical_hash
    assert signer().signing_key("20260101").hex() == "de162f8e282f0a541b05624d15f147db89f50a0472991af711bb276fd06b0a35"
    assert headers["Authorization"] == (
        "HMAC-SHA256 Credential=AKTESTEXAMPLE/20260101/cn-north-1/cv/request, "
        f"SignedHeaders=content-type;host;x-content-sha256;x-date, Signature={signature}"
    )


def test_temporary_credentials_sign_their_token_too() -> None:
    headers = sign(SUBMIT_BODY, "CVSync2AsyncSubmitTask", signer("sts"))
    assert headers["X-Security-Token"] == "sts"
    assert "SignedHeaders=content-type;host;x-content-sha256;x-date;x-security-token," in headers["Authorization"]
    assert headers["Authorization"] != sign(SUBMIT_BODY, "CVSync2AsyncSubmitTask")["Authorization"]


def test_query_is_sorted_and_encoded_as_rfc_3986_says() -> None:
    query = {"b": "a b+c/~", "a": "即=&*"}
    text = canonical_request(method="GET", path="/x", query=query, headers={"Host": " h "}, body_hash="0")
    assert text == "GET\n/x\na=%E5%8D%B3%3D%26%2A&b=a%20b%2Bc%2F~\nhost:h\n\nhost\n0"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://visual.volcengineapi.com", "visual.volcengineapi.com"),
        ("https://proxy.example:443/cv", "proxy.example"),
        ("http://proxy.example:8080", "proxy.example:8080"),
        ("http://[::1]:8080/", "[::1]:8080"),
    ],
)
def test_host_header_has_no_default_port(url: str, host: str) -> None:
    assert host_of(url) == host


def test_signer_does_not_show_its_secrets() -> None:
    assert "SKTESTEXAMPLE" not in repr(signer("sts-token"))
    assert "sts-token" not in repr(signer("sts-token"))
