"""Money as people read it."""

# An amount is what the provider is given, so the provider says how many decimals it has: two, but for these.
# https://docs.stripe.com/currencies#minor-units (UGX and ISK have two there, whatever ISO 4217 says)
DECIMALS = dict.fromkeys(
    ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"], 0
) | dict.fromkeys(["BHD", "JOD", "KWD", "OMR", "TND"], 3)


def format_money(amount: int, currency: str) -> str:
    """Minor units of an ISO 4217 currency as text: 255 of GBP is 2.55 GBP, 255 of JPY is 255 JPY."""
    decimals = DECIMALS.get(currency, 2)
    whole, rest = divmod(abs(amount), 10**decimals)
    fraction = f".{rest:0{decimals}}" if decimals else ""
    return f"{'-' if amount < 0 else ''}{whole:,}{fraction} {currency}"
