"""Personal data is found by its form; what only looks alike stays."""

from __future__ import annotations

import pytest

from jan_server.telemetry.personal_data import PersonalData


@pytest.mark.parametrize(
    ("value", "mark"),
    [
        ("ada.lovelace+jan@mail.example.org", "EMAIL_"),
        ("a@b.org", "EMAIL_"),
        ("+49 30 1234567", "PHONE_"),
        ("+14155550132", "PHONE_"),
        ("(415) 555-0132", "PHONE_"),
        ("415-555-0132", "PHONE_"),
        ("4111 1111 1111 1111", "[CARD]"),
        ("4111111111111111", "[CARD]"),
        ("5500-0000-0000-0004", "[CARD]"),
        ("DE89 3704 0044 0532 0130 00", "IBAN_"),
        ("GB82WEST12345698765432", "IBAN_"),
        ("078-05-1120", "[SSN]"),
    ],
)
def test_what_is_a_persons_is_replaced(value: str, mark: str) -> None:
    text = f"asked by {value}, twice"
    hashed = PersonalData(salt="salt").masked(text)
    assert value not in hashed and hashed.startswith(f"asked by {mark}") and hashed.endswith(", twice")
    assert PersonalData("none").masked(text) == "asked by [REDACTED], twice"
    assert PersonalData("full").masked(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "GET /v1/models 200 in 12.345 ms",
        "call 4111111111111112 of 1732470000000",
        "conv_8k2j4h5g6f7d8s9a 1732470000 2026-11-24T17:24:22.123Z",
        "127.0.0.1:8080 and 192.168.100.200 answered",
        "postgresql://jan@/jan?host=/run/jan",
        "6f1c8a52-6f5e-4b1c-9f7e-1f1a0c1f3c55",
        "GB82WEST12345698765433",
        "llama.cpp 2026.10.11549 uses 98362432 bytes",
    ],
)
def test_what_only_looks_alike_stays(text: str) -> None:
    assert PersonalData().masked(text) == text


def test_another_salt_is_another_hash() -> None:
    assert PersonalData(salt="a").masked("a@b.org") != PersonalData(salt="b").masked("a@b.org")
