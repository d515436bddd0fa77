from bisect import bisect_right
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis.strategies import integers

from rates.numbering import CALLING_CODES, NANP, PLAN, Range, country_of, ranges

NUMBERS = """
    12025550123 US  Washington        14165550123 CA  Toronto           18765550123 JM  Jamaica
    16585550123 JM  Jamaica-overlay   18095550123 DO  Santo-Domingo     18295550123 DO  overlay
    18495550123 DO  overlay           17875550123 PR  San-Juan          19395550123 PR  overlay
    16715550123 GU  Guam              16845550123 AS  American-Samoa    16705550123 MP  Saipan
    13405550123 VI  US-Virgin         12845550123 VG  British-Virgin    12425550123 BS  Nassau
    12465550123 BB  Bridgetown        12645550123 AI  Anguilla          12685550123 AG  Antigua
    13455550123 KY  Cayman            14415550123 BM  Bermuda           14735550123 GD  Grenada
    16495550123 TC  Turks             16645550123 MS  Montserrat        17215550123 SX  Sint-Maarten
    17585550123 LC  Saint-Lucia       17675550123 DM  Dominica          17845550123 VC  Saint-Vincent
    18685550123 TT  Port-of-Spain     18695550123 KN  Saint-Kitts       19075550123 US  Alaska
    18085550123 US  Honolulu          18675550123 CA  Yukon             16225550123 CA  own-services
    16215550123 US  Houston-2025      12575550123 CA  Vancouver-2025    14715550123 US  Tupelo-2026
    74951234567 RU  Moscow            78121234567 RU  Saint-Petersburg  79161234567 RU  mobile
    77172123456 KZ  Astana            77011234567 KZ  mobile            76121234567 KZ  reserved
    442079460123 GB London            447700900123 GB mobile            441481123456 GG Guernsey
    447781123456 GG mobile            441534123456 JE Jersey            447797712345 JE mobile
    441624123456 IM Douglas           447624123456 IM mobile            447911123456 GG shared-exchange
    447911023456 GB shared-exchange   390612345678 IT Rome              390669812345 VA Vatican
    390669912345 IT Rome              393331234567 IT mobile            379123456789 VA reserved
    4722123456 NO   Oslo              4779123456 SJ   Longyearbyen      61212345678 AU  Sydney
    61891621234 CC  Cocos             61891641234 CX  Christmas         61891631234 AU  Perth
    212522123456 MA Casablanca        212528812345 EH Laayoune          212528912345 EH Dakhla
    212528212345 MA Agadir            262262123456 RE Saint-Denis       262692123456 RE mobile
    262269123456 YT Mamoudzou         262639123456 YT mobile            29022345 SH     Jamestown
    2908123 TA      Tristan           24762345 AC     Ascension         358912345678 FI Helsinki
    35818123456 AX  Mariehamn         590590123456 GP Guadeloupe        590590271234 GP Saint-Barth
    59994612345 CW  Willemstad        5997171234 BQ   Bonaire           5993181234 BQ   Sint-Eustatius
    5994161234 BQ   Saba              672323456 NF    Norfolk           672121234 AQ    Casey
    38338123456 XK  Pristina          4930123456 DE   Berlin            33123456789 FR  Paris
    3726123456 EE   Tallinn           85221234567 HK  Hong-Kong         85328123456 MO  Macau
    886212345678 TW Taipei            970221234567 PS Ramallah          97221234567 IL  Jerusalem
    21124567890 SS  Juba              67072112345 TL  Dili              35020012345 GI  Gibraltar
"""
WORDS = NUMBERS.split()
KNOWN = list(zip(WORDS[0::3], WORDS[1::3], WORDS[2::3], strict=True))


@pytest.mark.parametrize(("number", "country", "place"), KNOWN)
def test_a_number_belongs_to_the_country_of_its_longest_prefix(number: str, country: str, place: str) -> None:
    assert (place, country) == (place, country_of(number))
    assert (place, country) == (place, country_of(int(number)))


@pytest.mark.parametrize(
    "area", ["800", "833", "844", "855", "866", "877", "888", "900", "500", "521", "533", "588", "700", "710"]
)
def test_a_shared_range_of_north_america_has_no_country(area: str) -> None:
    assert "" == country_of(f"1{area}5550123")


@pytest.mark.parametrize(
    "area", ["200", "211", "222", "299", "370", "456", "555", "666", "777", "899", "911", "961", "999", "100", "000"]
)
def test_an_area_code_that_nobody_has_is_not_the_united_states_by_default(area: str) -> None:
    assert "" == country_of(f"1{area}5550123")


@pytest.mark.parametrize("code", ["800", "808", "870", "878", "881", "882", "883", "888", "979"])
def test_a_code_without_a_country_has_none(code: str) -> None:
    assert "" == country_of(f"{code}12345678")


@pytest.mark.parametrize("number", ["", "0", "210123456", "999123456", "0442079460123", "sip", "anonymous", 0, -44])
def test_what_begins_with_no_assigned_code_has_no_country(number: int | str) -> None:
    assert "" == country_of(number)


@pytest.mark.parametrize("number", ["+447700900123", "447700900123", 447700900123])
def test_a_plus_sign_makes_no_difference(number: int | str) -> None:
    assert "GB" == country_of(number)


def test_a_prefix_alone_is_as_far_as_it_goes() -> None:
    assert ["", "", "US"] == [country_of(text) for text in ("1", "120", "1202")]
    assert ["GB", "GG"] == [country_of(text) for text in ("44148", "441481")]


@pytest.mark.parametrize(("code", "country"), sorted(CALLING_CODES.items()))
def test_every_assigned_code_gives_its_country(code: str, country: str) -> None:
    assert country == country_of(code + "0" * 7)


def test_the_codes_are_those_the_itu_has_assigned() -> None:
    """Counted by hand, world zone by world zone: 204 that fall to a country, +1, +599, +672 and nine of none."""
    zones = {zone: sum(code[0] == zone for code in CALLING_CODES) for zone in "123456789"}
    assert {"1": 1, "2": 61, "3": 35, "4": 12, "5": 28, "6": 28, "7": 1, "8": 19, "9": 31} == zones


def test_no_code_is_the_beginning_of_another() -> None:
    clashes = [(a, b) for a in CALLING_CODES for b in CALLING_CODES if a != b and b.startswith(a)]
    assert [] == clashes


def test_no_prefix_repeats_what_a_shorter_one_says() -> None:
    idle = [prefix for prefix in PLAN if len(prefix) > 1 and PLAN[prefix] and country_of(prefix[:-1]) == PLAN[prefix]]
    assert [] == idle


def test_countries_are_two_capital_letters_or_none() -> None:
    assert all(
        country == "" or (len(country) == 2 and country.isalpha() and country.isupper()) for country in PLAN.values()
    )
    assert all(prefix.isascii() and prefix.isdigit() for prefix in PLAN)


def test_north_american_area_codes_are_well_formed_and_belong_to_one_country() -> None:
    areas = [area for codes in NANP.values() for area in codes.split()]
    assert len(set(areas)) == len(areas)
    assert all(len(area) == 3 and area[0] in "23456789" and area[1] != "9" and area[1:] != "11" for area in areas)


def test_as_many_area_codes_as_are_assigned() -> None:
    """The counts of the table as it was made: an edit that drops or doubles an area code is seen."""
    counts = {country: len(codes.split()) for country, codes in NANP.items()}
    assert (370, 59, 3, 2, 2) == tuple(counts[country] for country in ("US", "CA", "DO", "JM", "PR"))
    assert all(count == 1 for country, count in counts.items() if country not in {"US", "CA", "DO", "JM", "PR"})
    assert 25 == len(counts)


def range_of(number: str) -> Range:
    """The range in which a number lies, as whoever searches the starts of the ranges finds it."""
    found = ranges()
    return found[bisect_right([each.first for each in found], int(number.ljust(15, "0"))) - 1]


@pytest.mark.parametrize(("number", "country", "place"), KNOWN)
def test_ranges_say_the_country_that_the_longest_prefix_says(number: str, country: str, place: str) -> None:
    found = range_of(number)
    assert (place, country) == (place, found.country)
    assert number.startswith(found.code)


@pytest.mark.parametrize(
    ("number", "code", "country"),
    [
        ("81312345678", "81", "JP"),
        ("77011234567", "7", "KZ"),
        ("14165550123", "1", "CA"),
        ("883510012345", "883", ""),
        ("18005550123", "1800", ""),
        ("11005550123", "1", ""),
        ("999123456789012", "999", ""),
        ("210123456789", "210", ""),
    ],
)
def test_a_range_has_the_calling_code_and_without_a_country_the_longest_known(
    number: str, code: str, country: str
) -> None:
    assert (code, country) == range_of(number)[1:]


def test_ranges_follow_each_other_and_each_differs_from_the_one_before() -> None:
    found = ranges()
    assert 100_000_000_000_000 == found[0].first
    assert all(one.first < other.first and one[1:] != other[1:] for one, other in pairwise(found))


@given(integers(min_value=10**14, max_value=10**15 - 1))
def test_no_number_of_a_range_has_another_country(number: int) -> None:
    assert country_of(number) == range_of(str(number)).country
