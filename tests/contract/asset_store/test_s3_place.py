"""What is particular to S3: the bucket is made, prefixes keep stores apart, and an absent server is told."""

import hashlib
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from asset_store.blobs_s3 import S3Blobs, S3Place
from asset_store.domain import blob_key
from asset_store.ports import BlobMissing, Staged
from kit.errors import DependencyUnavailable

KEY = blob_key("partner-a", bytes(16))


@pytest.fixture
def place(minio_server: Any) -> S3Place:
    return S3Place(
        endpoint=minio_server.url,
        bucket=f"made-{secrets.token_hex(8)}",
        access_key=SecretStr(minio_server.access_key),
        secret_key=SecretStr(minio_server.secret_key),
    )


def staged(folder: Path, data: bytes) -> Staged:
    path = folder / secrets.token_hex(8)
    path.write_bytes(data)
    return Staged(path=path, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), head=data)


async def read(blobs: S3Blobs, length: int) -> bytes:
    return b"".join([chunk async for chunk in blobs.read(KEY, offset=0, length=length)])


@pytest.mark.parametrize("prefix", ["", "prod/assets/"])
async def test_a_missing_bucket_is_made_once(place: S3Place, tmp_path: Path, prefix: str) -> None:
    blobs = S3Blobs(replace(place, prefix=prefix))
    with pytest.raises(DependencyUnavailable):
        await blobs.put(KEY, staged(tmp_path, b"1"))
    await blobs.check()
    await blobs.check()
    await blobs.put(KEY, staged(tmp_path, b"1"))
    assert await read(blobs, 1) == b"1"
    await blobs.close()


async def test_two_prefixes_of_a_bucket_know_nothing_of_each_other(place: S3Place, tmp_path: Path) -> None:
    first, second = [S3Blobs(replace(place, prefix=prefix)) for prefix in ("a/", "b/")]
    await first.check()
    await first.put(KEY, staged(tmp_path, b"first"))
    assert await second.scan(after="", limit=9) == []
    with pytest.raises(BlobMissing):
        await read(second, 1)
    await second.put(KEY, staged(tmp_path, b"second"))
    await first.delete(KEY)
    assert await read(second, 6) == b"second"
    await first.close()
    await second.close()


async def test_a_server_that_does_not_answer_is_told_as_such(place: S3Place, tmp_path: Path) -> None:
    blobs = S3Blobs(replace(place, endpoint="http://127.0.0.1:1"))
    calls = [
        blobs.check(),
        blobs.put(KEY, staged(tmp_path, b"1")),
        read(blobs, 1),
        blobs.delete(KEY),
        blobs.scan(after="", limit=1),
    ]
    for call in calls:
        with pytest.raises(DependencyUnavailable) as caught:
            await call
        assert "127.0.0.1" not in str(caught.value)
    await blobs.close()


async def test_wrong_keys_are_told_without_the_keys(place: S3Place, tmp_path: Path) -> None:
    blobs = S3Blobs(replace(place, secret_key=SecretStr("not-the-secret-key")))
    with pytest.raises(DependencyUnavailable) as caught:
        await blobs.check()
    assert "not-the-secret-key" not in str(caught.value)
    assert "not-the-secret-key" not in repr(blobs._place)
    await blobs.close()


@pytest.mark.parametrize("endpoint", ["", "minio:9000", "ftp://minio", "http://", "http://minio/path"])
def test_an_endpoint_is_a_plain_web_address(place: S3Place, endpoint: str) -> None:
    with pytest.raises(ValueError, match="endpoint"):
        S3Blobs(replace(place, endpoint=endpoint))
