"""Durations as Go writes them ("30m", "1h30m", "250ms"), the form that every contract variable uses."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

# Microseconds a unit; timedelta keeps nothing finer.
_UNITS = {
    "ns": Decimal("0.001"),
    "us": Decimal(1),
    "µs": Decimal(1),
    "μs": Decimal(1),
    "ms": Decimal(1000),
    "s": Decimal(1_000_000),
    "m": Decimal(60_000_000),
    "h": Decimal(3_600_000_000),
}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_WRITTEN = (("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1000), ("us", 1))


def parse_duration(text: str) -> timedelta:
    """Read a Go duration: numbers with the units ns, us, ms, s, m, h, one after the other.

    Args:
        text: For example "30m", "1h30m", "1.5s", "-5s" or "0".

    Raises:
        ValueError: The text is not such a duration; the message says what one looks like.
    """
    cleaned = text.strip()
    sign = -1 if cleaned.startswith("-") else 1
    digits = cleaned.lstrip("+-")
    if digits == "0":
        return timedelta()
    total = Decimal(0)
    position = 0
    for part in _PART.finditer(digits):
        if part.start() != position:
            break
        position = part.end()
        total += Decimal(part[1]) * _UNITS[part[2]]
    if not digits or position != len(digits) or len(cleaned) - len(digits) > 1:
        raise ValueError(f"not a duration: {text!r} (write a number and a unit, as in 30s, 5m or 2160h)")
    try:
        return timedelta(microseconds=sign * int(total))
    except OverflowError:
        raise ValueError(f"the duration {text!r} is too long") from None


def format_duration(value: timedelta) -> str:
    """Write a duration in the shortest form that `parse_duration` reads back, as in "1h30m"."""
    left = value // timedelta(microseconds=1)
    if left == 0:
        return "0s"
    parts = ["-"] if left < 0 else []
    left = abs(left)
    for unit, size in _WRITTEN:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)
