"""Numbers for people: three significant figures, units in the heading, unknown is a word and never 0."""

UNKNOWN = "unknown"
NANO = 10**9


def significant(value: float) -> str:
    """Write a number with three significant figures, at most three decimals and no exponent: 0.042, 3.10, 12.3, 1,230."""
    size = abs(value)
    if size >= 99.95:
        return f"{value:,.0f}"
    if size >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 0.9995 else f"{value:.3f}"


def seconds(us: float | None) -> str:
    """Write microseconds as seconds, without the unit."""
    return UNKNOWN if us is None else significant(us / 1e6)


def count(value: int) -> str:
    """Write a count in full."""
    return f"{value:,}"


def compact(value: float) -> str:
    """Write a large count with k or M: 950, 12.3 k, 1.20 M."""
    for limit, unit in ((1e6, " M"), (1e3, " k")):
        if abs(value) >= limit:
            return significant(value / limit) + unit
    return f"{value:.0f}"


def percent(part: int, whole: int) -> str:
    """Write a share in percent, without the sign; nothing at all is unknown."""
    if not whole:
        return UNKNOWN
    share = 100 * part / whole
    return "0" if not part else significant(share)


def dollars(nano_usd: int | None) -> str:
    """Write an amount with cents; a positive amount below one cent says so."""
    if nano_usd is None:
        return UNKNOWN
    if 0 < nano_usd < NANO // 200:
        return "<$0.01"
    return f"${nano_usd / NANO:,.2f}"


def per_thousand(nano_usd: int | None, calls: int) -> str:
    """Write the price of 1,000 calls."""
    return UNKNOWN if nano_usd is None or not calls else dollars(round(nano_usd * 1000 / calls))
