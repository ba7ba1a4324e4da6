import pytest

from app.core.digests import digest_in


@pytest.mark.parametrize("digest", ["a" * 64, "0123456789" * 4])
def test_the_digest_in_an_etag(digest: str) -> None:
    for etag in (f'"{digest}"', f'W/"{digest}"', digest, f'"{digest.upper()}"'):
        assert digest_in(etag) == digest


@pytest.mark.parametrize("etag", ["", '"', 'W/""', '"' + "a" * 63 + '"', '"' + "g" * 64 + '"', '"' + "a" * 64 + '-3"'])
def test_other_etags_hold_none(etag: str) -> None:
    assert digest_in(etag) == ""
