"""Countries, nationalities and currencies as documents print them.

Names of countries come from ISO 3166 (pycountry) and, in many languages, from CLDR (Babel); neither
has the words for a nationality, so those are listed here.
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import cache

from extraction.mrz.codes import is_icao_only

_LANGUAGES = (
    "en de fr es it pt nl pl cs sk sl hr sr sr_Latn bs mk bg ro hu fi sv da nb is et lv lt el tr "
    "ru uk be sq ga mt ca eu id ms vi th ar fa he hi ja ko zh zh_Hant"
)
# Nationalities, and names that no table has. Words of one code are parted by a bar; a dash in a
# word stands for a space.
_WORDS = """
AFG AFGHAN|AFGHANI
ALB ALBANIAN|SHQIPTARE|SHQIPTAR
DZA ALGERIAN|ALGERIENNE
AND ANDORRAN|ANDORRANA
AGO ANGOLAN|ANGOLANA
ARG ARGENTINE|ARGENTINIAN|ARGENTINA|ARGENTINO
ARM ARMENIAN
AUS AUSTRALIAN
AUT AUSTRIAN|OESTERREICH|OSTERREICHER|OSTERREICH
AZE AZERBAIJANI
BHS BAHAMIAN
BHR BAHRAINI
BGD BANGLADESHI
BRB BARBADIAN
BLR BELARUSIAN|BELARUSSIAN
BEL BELGIAN|BELGE|BELG|BELGISCH|BELGIQUE|BELGIE|BELGIEN
BLZ BELIZEAN
BEN BENINESE|BENINOISE
BTN BHUTANESE
BOL BOLIVIAN|BOLIVIANA
BIH BOSNIAN|BOSNIA
BWA BOTSWANAN|MOTSWANA
BRA BRAZILIAN|BRASILEIRA|BRASILEIRO|BRASIL
BRN BRUNEIAN
BGR BULGARIAN|BULGARSKA
KHM CAMBODIAN
CMR CAMEROONIAN|CAMEROUNAISE
CAN CANADIAN|CANADIENNE
CPV CAPE-VERDEAN
CHL CHILEAN|CHILENA
CHN CHINESE|PRC|P-R-CHINA|PR-CHINA|PEOPLES-REPUBLIC-OF-CHINA
TWN REPUBLIC-OF-CHINA|TAIWANESE
COL COLOMBIAN|COLOMBIANA
COD CONGOLESE
CRI COSTA-RICAN|COSTARRICENSE
CIV IVORIAN|IVOIRIENNE
HRV CROATIAN|HRVATSKO|HRVATSKA
CUB CUBAN|CUBANA
CYP CYPRIOT
CZE CZECH|CESKA|CESKE|CESKA-REPUBLIKA|CZECH-REPUBLIC
DNK DANISH|DANSK
DMA DOMINICAN-OF-DOMINICA
DOM DOMINICAN|DOMINICANA
ECU ECUADORIAN|ECUATORIANA
EGY EGYPTIAN
SLV SALVADORAN|SALVADORENA
EST ESTONIAN|EESTI
ETH ETHIOPIAN
FJI FIJIAN
FIN FINNISH|SUOMALAINEN|SUOMI|FINSK
FRA FRENCH|FRANCAISE|FRANCAIS
GEO GEORGIAN
DEU GERMAN|DEUTSCH|DEUTSCHE|DEUTSCHER|ALLEMANDE|FEDERAL-REPUBLIC-OF-GERMANY
GHA GHANAIAN
GRC GREEK|HELLENIC|ELLINIKI|HELLAS|HELLENIC-REPUBLIC
GTM GUATEMALAN|GUATEMALTECA
GUY GUYANESE
HTI HAITIAN|HAITIENNE
HND HONDURAN|HONDURENA
HKG HONG-KONG|HONGKONG
HUN HUNGARIAN|MAGYAR
ISL ICELANDIC|ISLENSKT|ISLENSK|ISLENSKUR
IND INDIAN|BHARATIYA
IDN INDONESIAN|WNI
IRN IRANIAN
IRQ IRAQI
IRL IRISH|EIREANNACH|EIRE
ISR ISRAELI
ITA ITALIAN|ITALIANA|ITALIANO
JAM JAMAICAN
JPN JAPANESE
JOR JORDANIAN
KAZ KAZAKHSTANI|KAZAKH
KEN KENYAN
KOR KOREA|REPUBLIC-OF-KOREA|SOUTH-KOREAN|KOREAN
PRK NORTH-KOREAN
KWT KUWAITI
KGZ KYRGYZ|KYRGYZSTANI
LAO LAO|LAOTIAN
LVA LATVIAN|LATVIJAS|LATVIJA
LBN LEBANESE
LBY LIBYAN
LIE LIECHTENSTEINER
LTU LITHUANIAN|LIETUVOS|LIETUVA
LUX LUXEMBOURGISH|LUXEMBOURGEOISE|LETZEBUERG
MKD MACEDONIAN|MAKEDONSKO
MYS MALAYSIAN|WARGANEGARA|WARGANEGARA-MALAYSIA
MDV MALDIVIAN
MLT MALTESE|MALTIJA
MUS MAURITIAN
MEX MEXICAN|MEXICANA|MEXICANO
MDA MOLDOVAN
MCO MONEGASQUE
MNG MONGOLIAN
MNE MONTENEGRIN|CRNOGORSKO
MAR MOROCCAN|MAROCAINE
MOZ MOZAMBICAN
MMR BURMESE|MYANMAR
NAM NAMIBIAN
NPL NEPALESE|NEPALI
NLD DUTCH|NEDERLANDSE|NEDERLANDS|NEDERLAND|HOLLAND|KINGDOM-OF-THE-NETHERLANDS
NZL NEW-ZEALANDER|NEW-ZEALAND-CITIZEN
NIC NICARAGUAN|NICARAGUENSE
NGA NIGERIAN
NER NIGERIEN
NOR NORWEGIAN|NORSK|NORGE
OMN OMANI
PAK PAKISTANI
PAN PANAMANIAN|PANAMENA
PRY PARAGUAYAN|PARAGUAYA
PER PERUVIAN|PERUANA
PHL FILIPINO|FILIPINA|PILIPINO
POL POLISH|POLSKIE|POLSKA|POLSKI|RZECZPOSPOLITA-POLSKA
PRT PORTUGUESE|PORTUGUESA
QAT QATARI
ROU ROMANIAN|ROMANA|ROUMAINE
RUS RUSSIAN|RUSSIA|ROSSIYA|RUSSIAN-FEDERATION|ROSSIISKAYA-FEDERATSIYA
RWA RWANDAN
SAU SAUDI|SAUDI-ARABIAN|KSA|KINGDOM-OF-SAUDI-ARABIA
SEN SENEGALESE|SENEGALAISE
SRB SERBIAN|SRPSKO|SRPSKA|SRBIJA
SGP SINGAPOREAN|SINGAPORE-CITIZEN
SVK SLOVAK|SLOVENSKA|SLOVENSKO|SLOVENSKA-REPUBLIKA
SVN SLOVENE|SLOVENIAN|SLOVENSKO-DRZAVLJANSTVO|SLOVENIJA|REPUBLIKA-SLOVENIJA
SOM SOMALI
ZAF SOUTH-AFRICAN|RSA
ESP SPANISH|ESPANOLA|ESPANOL|ESPANA
LKA SRI-LANKAN
SDN SUDANESE
SUR SURINAMESE
SWE SWEDISH|SVENSK|SVERIGE
CHE SWISS|SCHWEIZ|SUISSE|SVIZZERA|SVIZRA|SWITZERLAND
SYR SYRIAN
TJK TAJIK
TZA TANZANIAN
THA THAI
TTO TRINIDADIAN
TUN TUNISIAN|TUNISIENNE
TUR TURKISH|TURK|TC|T-C|TURKIYE-CUMHURIYETI|TURKEY
TKM TURKMEN
UGA UGANDAN
UKR UKRAINIAN|UKRAINA|UKRAYINA
ARE EMIRATI|UAE|U-A-E
GBR BRITISH|BRITISH-CITIZEN|UK|U-K|GREAT-BRITAIN|ENGLAND|SCOTLAND|WALES|NORTHERN-IRELAND
USA AMERICAN|U-S-A|U-S|US|UNITED-STATES-OF-AMERICA
UTO UTOPIA|UTOPIAN
URY URUGUAYAN|URUGUAYA
UZB UZBEK|UZBEKISTANI
VAT VATICAN|HOLY-SEE
VEN VENEZUELAN|VENEZOLANA
VNM VIETNAMESE|VIETNAM
YEM YEMENI
ZMB ZAMBIAN
ZWE ZIMBABWEAN
XXA STATELESS|STAATENLOS|APATRIDE
RKS KOSOVO|KOSOVAR|KOSOVAN
"""
_TITLES = re.compile(
    r"^(?:THE |KINGDOM OF |REPUBLIC OF |REPUBLIQUE |REPUBBLICA |REPUBLICA |REPUBLIKA |FEDERAL )+"
    r"|^(?:ROYAUME DE |REINO DE |D |DE LA |DE |DI )| CITIZEN$| REPUBLIC$"
)
_PARTS = re.compile(r"[/|;,()\[\]\n]| - ")

# Signs that stand for one currency alone. A dollar, a krone, a yen or yuan, a rupee sign of letters
# and the like name a currency only together with a country.
_SIGNS = """
RM MYR
€ EUR
EURO EUR
EUROS EUR
£ GBP
₹ INR
₩ KRW
฿ THB
₫ VND
₱ PHP
₽ RUB
₪ ILS
₺ TRY
₴ UAH
₦ NGN
₸ KZT
₵ GHS
₲ PYG
₡ CRC
₮ MNT
₭ LAK
₾ GEL
₼ AZN
ZŁ PLN
KČ CZK
FT HUF
RP IDR
RINGGIT MYR
SFR CHF
SFR. CHF
ЛВ BGN
РУБ RUB
TL TRY
RMB CNY
CN¥ CNY
JP¥ JPY
円 JPY
元 CNY
원 KRW
บาท THB
S$ SGD
SG$ SGD
A$ AUD
AU$ AUD
NZ$ NZD
HK$ HKD
NT$ TWD
US$ USD
C$ CAD
CA$ CAD
CDN$ CAD
R$ BRL
MX$ MXN
"""
_SHARED = frozenset({"$", "¥", "KR", "RS", "FR", "LEI", "DIN", "R"})
_RUPEES = frozenset({"INR", "PKR", "LKR", "NPR", "MUR", "SCR"})
_AMOUNT = re.compile(r"[\d.,'\s-]+")


def parse_country(raw: str) -> str | None:
    """The alpha-3 code of the country, or of the nationality, that `raw` names; None if unclear.

    Codes of ISO 3166-1 and of Doc 9303-3 stand for themselves (Germany's D becomes DEU), names are
    known in many languages. Several names ("POLSKIE/POLISH") have to agree.
    """
    words = _key(raw)
    if not words:
        return None
    whole = _one_country(words)
    if whole is not None:
        return whole
    parts = {_one_country(_key(part)) for part in _PARTS.split(raw) if _key(part)}
    known = parts - {None}
    return known.pop() if len(known) == 1 else None


def _one_country(words: str) -> str | None:
    names = _names()
    for candidate in (words, _TITLES.sub("", words)):
        if candidate == "D":
            return "DEU"
        if is_icao_only(candidate):
            return candidate
        if candidate in names:
            return names[candidate]
    return None


def _key(text: str) -> str:
    """Upper case without accents, one space for anything that is no letter or digit."""
    plain = unicodedata.normalize("NFKD", text.replace("ł", "l").replace("Ł", "L"))
    letters = [c for c in plain if not unicodedata.combining(c)]
    spaced = "".join(c if c.isalnum() else "" if c in "'\u2019" else " " for c in letters)
    return " ".join(spaced.upper().replace("İ", "I").split())


@cache
def _names() -> dict[str, str]:
    """Key -> alpha-3 of every name and code; loaded where first needed, it takes a moment."""
    import pycountry

    found = _names_in_languages({c.alpha_2: c.alpha_3 for c in pycountry.countries})
    for country in pycountry.countries:
        for attribute in ("name", "official_name", "common_name", "alpha_2", "alpha_3"):
            name = getattr(country, attribute, None)
            if name:
                found[_key(name)] = country.alpha_3
    for row in _WORDS.split("\n"):
        code, _, words = row.partition(" ")
        for word in words.split("|"):
            found[_key(word.replace("-", " "))] = code
    found.pop("", None)
    return found


def _names_in_languages(alpha_3: Mapping[str, str]) -> dict[str, str]:
    """Names from CLDR; one that two languages give to two countries is English's, or nobody's."""
    from babel import Locale

    found: dict[str, str] = {}
    ambiguous = set[str]()
    for language in _LANGUAGES.split():
        for code, name in Locale.parse(language).territories.items():
            if code in alpha_3 and found.setdefault(_key(name), alpha_3[code]) != alpha_3[code]:
                ambiguous.add(_key(name))
    english = {_key(name) for name in Locale.parse("en").territories.values()}
    return {key: code for key, code in found.items() if key not in ambiguous - english}


def parse_currency(raw: str, *, country: str | None = None) -> str | None:
    """The ISO 4217 code of a code, name or sign, also with an amount beside it; None if unclear.

    Args:
        raw: as printed.
        country: alpha-3; a shared sign such as $ is that country's currency, where it uses it.
    """
    text = unicodedata.normalize("NFC", raw).upper().strip()
    sign = _AMOUNT.sub("", text) if any(character.isdigit() for character in text) else text
    sign = "".join(sign.split()).rstrip(".")
    if sign in _currency_codes():
        return sign
    signs = _signs()
    if sign in signs:
        return signs[sign]
    if sign in _SHARED and country is not None:
        return _local_currency(country, sign)
    return None


def is_currency(text: str) -> bool:
    """Whether a text is a currency's sign or code, even one that several currencies share."""
    return parse_currency(text) is not None or "".join(text.upper().split()).rstrip(".") in _SHARED


@cache
def _signs() -> dict[str, str]:
    rows = [row.split() for row in _SIGNS.strip().split("\n")]
    return {sign: code for sign, code in rows}  # noqa: C416 - dict() of lists does not type


@cache
def _currency_codes() -> frozenset[str]:
    import pycountry

    return frozenset(currency.alpha_3 for currency in pycountry.currencies)


def _local_currency(country: str, sign: str) -> str | None:
    """The currency in use in a country, if it is written with the sign."""
    import pycountry
    from babel import Locale
    from babel.numbers import get_territory_currencies

    found = pycountry.countries.get(alpha_3=country)
    if found is None:
        return None
    current = get_territory_currencies(found.alpha_2)
    if len(current) != 1:
        return None
    symbols = {str(current[0])} | ({"RS"} if current[0] in _RUPEES else set())
    local = Locale.parse(f"und_{found.alpha_2}")
    for locale in (local, Locale.parse("en")):
        symbols.add(str(locale.currency_symbols.get(current[0], "")).upper().rstrip("."))
    is_sign = any(symbol.endswith(sign) for symbol in symbols)
    return str(current[0]) if is_sign else None
