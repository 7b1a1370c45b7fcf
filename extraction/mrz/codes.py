"""Codes of states and organisations in a zone: Doc 9303-3, section 5."""

from functools import cache

# Beyond ISO 3166-1 alpha-3: parts A to D of the section, with the two codes of specimens (UTO) and
# Germany's single letter. XXK is what Kosovo's documents carry.
_LISTED = """
D EUE GBD GBN GBO GBP GBS IAO RKS UNA UNK UNO UTO XBA XCC XCE XCO XCT XDC XEC XES XIM XMP XOM XPO
XSA XXA XXB XXC XXK XXX
"""
_ICAO_ONLY = frozenset(_LISTED.split())


@cache
def state_codes() -> frozenset[str]:
    """Every code that can stand for an issuer or a nationality."""
    import pycountry

    return _ICAO_ONLY | {country.alpha_3 for country in pycountry.countries}


def is_icao_only(code: str) -> bool:
    """Whether Doc 9303 has the code and ISO 3166-1 has not; Germany's D is not among them."""
    return code in _ICAO_ONLY and code != "D"
