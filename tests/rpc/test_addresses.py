"""Addresses of a controller: what people write, and what they are told when it is none."""

import pytest

from iris.exit_status import ExitStatus
from iris.rpc.addresses import Address, BadAddress, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("http://controller:10000", Address("controller", 10_000, tls=False)),
        ("https://controller:443/", Address("controller", 443, tls=True)),
        ("controller:7", Address("controller", 7, tls=False)),
        ("controller", Address("controller", 10_000, tls=False)),
        ("http://[::1]:9", Address("::1", 9, tls=False)),
    ],
)
def test_an_address_is_read(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(address.url) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ftp://x",
        "http://",
        "http://h:port",
        "http://h:99999",
        "http://h/path",
        "http://h?x=1",
        "http://h#x",
    ],
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadAddress) as refusal:
        parse_address(text)
    assert refusal.value.status is ExitStatus.BAD_INPUT
    assert "http://host:10000" in refusal.value.help


@pytest.mark.parametrize("text", ["http://alice:secret@host:1", "alice@host", ":secret@host"])
def test_a_password_in_an_address_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(BadAddress) as refusal:
        parse_address(text)
    assert "IRIS_TOKEN" in str(refusal.value)
    assert "secret" not in str(refusal.value)
