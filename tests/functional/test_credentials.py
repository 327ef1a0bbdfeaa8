import pytest

from lit_hf.functional.credentials import without_credentials, without_secrets

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    "address",
    [
        f"https://me:{SECRET}@example.org/a",
        f"https:/{SECRET}@example.org/a",
        f"https://example.org/a.csv?token={SECRET}",
        f"https:/example.org/a.csv?version=1&access_token={SECRET}#here",
        f"s3://b/a?X-Amz-Signature={SECRET}&X-Amz-Credential={SECRET}",
        f"https://example.org/?AWSAccessKeyId={SECRET}&Signature={SECRET}",
        f"https://example.org/?sv=2024&sig={SECRET}",
        f"https://example.org/?API_KEY={SECRET};key={SECRET}",
        f"https://example.org/#id_token={SECRET}",
        f"postgres://db/x?password={SECRET}",
    ],
)
def test_credentials__of_addresses_are_hidden_within_any_text(address: str) -> None:
    for text in (address, f"cannot read '{address}': 403", f'{{"uri": "{address}"}}'):
        hidden = without_credentials(text)
        assert SECRET not in hidden
        assert "***" in hidden
        assert without_credentials(hidden) == hidden
    assert SECRET not in str(without_secrets({"a": [{"uri": address}]}))


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org/a?version=2&max_tokens=5&keyword=x&page=3",
        "what is ?token=5 in this text",
        "text_template={text}?key={key}",
        "/home/me@work/train.csv",
        "c:\\a?sig=x",
    ],
)
def test_texts__without_any_stay(text: str) -> None:
    assert without_credentials(text) == text


@pytest.mark.parametrize("part", ["a-", "a.", "a", "a:/", "?a", "token="])
def test_long_text__is_read_once(part: str) -> None:
    text = part * 500_000  # read anew from every word it would take hours
    assert without_credentials(text) == text
    assert without_credentials(f"{text} https://me:{SECRET}@b").endswith(" https://***@b")
