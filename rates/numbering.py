"""The country of an E.164 number: what `country` means where a calling code is shared by several.

Countries are ISO 3166-1 alpha-2 codes, with the reserved AC and TA and the user-assigned XK, as telephony uses them.
"" is no country: shared and non-geographic ranges, and prefixes that nobody has been assigned. There is no default.

Sources: ITU-T, List of Recommendation ITU-T E.164 assigned country codes (annex to Operational Bulletin 1114, position
on 15 December 2016, and the bulletins since); area codes as the metadata of libphonenumber 9.0.43 has them, and eleven
that were announced since; inside other shared codes the national numbering plans of their administrations.
"""

from collections.abc import Mapping
from itertools import product
from string import ascii_uppercase
from types import MappingProxyType
from typing import NamedTuple

_GEOGRAPHIC = """
20:EG 211:SS 212:MA 213:DZ 216:TN 218:LY 220:GM 221:SN 222:MR 223:ML 224:GN 225:CI 226:BF 227:NE 228:TG
229:BJ 230:MU 231:LR 232:SL 233:GH 234:NG 235:TD 236:CF 237:CM 238:CV 239:ST 240:GQ 241:GA 242:CG 243:CD
244:AO 245:GW 246:IO 247:AC 248:SC 249:SD 250:RW 251:ET 252:SO 253:DJ 254:KE 255:TZ 256:UG 257:BI 258:MZ
260:ZM 261:MG 262:RE 263:ZW 264:NA 265:MW 266:LS 267:BW 268:SZ 269:KM 27:ZA 290:SH 291:ER 297:AW 298:FO
299:GL
30:GR 31:NL 32:BE 33:FR 34:ES 350:GI 351:PT 352:LU 353:IE 354:IS 355:AL 356:MT 357:CY 358:FI 359:BG
36:HU 370:LT 371:LV 372:EE 373:MD 374:AM 375:BY 376:AD 377:MC 378:SM 379:VA 380:UA 381:RS 382:ME 383:XK
385:HR 386:SI 387:BA 389:MK 39:IT
40:RO 41:CH 420:CZ 421:SK 423:LI 43:AT 44:GB 45:DK 46:SE 47:NO 48:PL 49:DE
500:FK 501:BZ 502:GT 503:SV 504:HN 505:NI 506:CR 507:PA 508:PM 509:HT 51:PE 52:MX 53:CU 54:AR 55:BR
56:CL 57:CO 58:VE 590:GP 591:BO 592:GY 593:EC 594:GF 595:PY 596:MQ 597:SR 598:UY
60:MY 61:AU 62:ID 63:PH 64:NZ 65:SG 66:TH 670:TL 673:BN 674:NR 675:PG 676:TO 677:SB 678:VU 679:FJ 680:PW
681:WF 682:CK 683:NU 685:WS 686:KI 687:NC 688:TV 689:PF 690:TK 691:FM 692:MH
7:RU
81:JP 82:KR 84:VN 850:KP 852:HK 853:MO 855:KH 856:LA 86:CN 880:BD 886:TW
90:TR 91:IN 92:PK 93:AF 94:LK 95:MM 960:MV 961:LB 962:JO 963:SY 964:IQ 965:KW 966:SA 967:YE 968:OM
970:PS 971:AE 972:IL 973:BH 974:QA 975:BT 976:MN 977:NP 98:IR 992:TJ 993:TM 994:AZ 995:GE 996:KG 998:UZ
"""

# Codes of which every country has a part of its own (+1 NANP, +599 Caribbean Netherlands and Curaçao, +672 Australian
# external territories), and codes without a country: UIFN 800, shared cost 808, Inmarsat 870, UPT 878, satellite 881,
# international networks 882 and 883, disaster relief 888, premium rate 979.
_NO_COUNTRY = "1 599 672 800 808 870 878 881 882 883 888 979"

# Inside a shared code, what belongs to another country than the code's own.
# +590 stays GP: Saint Barthélemy (BL) and Saint Martin (MF) have no prefix to themselves. +1: see `NANP`.
_WITHIN = {
    "EH": "2125288 2125289",
    "YT": "2622689 262269 262639 26270935 26270936 26270937 26293980 26293981 26294780 26294781 2629769",
    "TA": "2908",
    "AX": "35818",
    "VA": "3906698",
    "GG": "441481 447781 447839 4479111 4479117",
    "IM": "441624 447524 4474576 447624 447924",
    "JE": "441534 447509 4477003 4477007 4477008 447797 447829 447937",
    "SJ": "4779",
    "BQ": "5993 5994 5997",
    "CW": "5996 5999",
    "CC": "6189162",
    "CX": "6189164",
    "AQ": "6721",
    "NF": "6723",
    "KZ": "76 77",
}

# Area codes of the North American Numbering Plan. Absent, so without a country: toll-free 800 833 844 855 866 877 888,
# premium 900, personal 5XX, 700, 710, and every code that is not assigned. 600, 622 and 633 are Canada's own services.
NANP: Mapping[str, str] = MappingProxyType(
    {
        "US": """
            201 202 203 205 206 207 208 209 210 212 213 214 215 216 217 218 219 220 223 224 225 227 228
            229 231 234 235 239 240 248 251 252 253 254 256 260 262 267 269 270 272 274 276 279 281 283
            301 302 303 304 305 307 308 309 310 312 313 314 315 316 317 318 319 320 321 323 324 325 326
            327 329 330 331 332 334 336 337 339 341 346 347 350 351 352 353 360 361 363 364 369 380 385
            386 401 402 404 405 406 407 408 409 410 412 413 414 415 417 419 423 424 425 430 432 434 435
            436 440 442 443 445 447 448 457 458 463 464 469 470 471 472 475 478 479 480 483 484 501 502
            503 504 505 507 508 509 510 512 513 515 516 517 518 520 530 531 534 539 540 541 551 557 559
            561 562 563 564 567 570 571 572 573 574 575 580 582 585 586 601 602 603 605 606 607 608 609
            610 612 614 615 616 617 618 619 620 621 623 624 626 628 629 630 631 636 640 641 645 646 650
            651 656 657 659 660 661 662 667 669 678 679 680 681 682 686 689 701 702 703 704 706 707 708
            712 713 714 715 716 717 718 719 720 724 725 726 727 728 729 730 731 732 734 737 738 740 743
            747 748 754 757 760 762 763 765 769 770 771 772 773 774 775 779 781 785 786 801 802 803 804
            805 806 808 810 812 813 814 815 816 817 818 820 821 826 828 830 831 832 835 837 838 839 840
            843 845 847 848 850 854 856 857 858 859 860 861 862 863 864 865 870 872 878 901 903 904 906
            907 908 909 910 912 913 914 915 916 917 918 919 920 924 925 928 929 930 931 934 936 937 938
            940 941 943 945 947 948 949 951 952 954 956 959 970 971 972 973 975 978 979 980 983 984 985
            986 989
        """,
        "CA": """
            204 226 236 249 250 257 263 273 289 306 343 354 365 367 368 382 403 416 418 428 431 437 438
            450 468 474 506 514 519 548 579 581 584 587 600 604 613 622 633 639 647 672 683 705 709 742
            753 778 780 782 807 819 825 867 873 879 902 905 942
        """,
        "AG": "268",
        "AI": "264",
        "AS": "684",
        "BB": "246",
        "BM": "441",
        "BS": "242",
        "DM": "767",
        "DO": "809 829 849",
        "GD": "473",
        "GU": "671",
        "JM": "658 876",
        "KN": "869",
        "KY": "345",
        "LC": "758",
        "MP": "670",
        "MS": "664",
        "PR": "787 939",
        "SX": "721",
        "TC": "649",
        "TT": "868",
        "VC": "784",
        "VG": "284",
        "VI": "340",
    }
)
"""Country -> its area codes under +1, separated by spaces."""

CALLING_CODES: Mapping[str, str] = MappingProxyType(
    dict(entry.split(":") for entry in _GEOGRAPHIC.split()) | dict.fromkeys(_NO_COUNTRY.split(), "")
)
"""Assigned E.164 country code (1 to 3 digits, none the beginning of another) -> the country that it falls to."""

PLAN: Mapping[str, str] = MappingProxyType(
    dict(CALLING_CODES)
    | {prefix: country for country, prefixes in _WITHIN.items() for prefix in prefixes.split()}
    | {f"1{area}": country for country, areas in NANP.items() for area in areas.split()}
)
"""Prefix of E.164 digits -> country, or "" for none. The longest prefix of a number decides."""

# ISO 3166-1 alpha-2: 249 codes. The plan adds what telephony tells apart and ISO does not: XK, AC, TA.
_ISO_3166 = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC
CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD
GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH
KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW
MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC
SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY
UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
"""

ASSIGNED: frozenset[str] = frozenset(_ISO_3166.split()) | (frozenset(PLAN.values()) - {""})
"""The countries that a card or an event may name."""

COUNTRIES = ("", *("".join(letters) for letters in product(ascii_uppercase, repeat=2)))
"""What a country's code in columns stands for: 0 is none, then every pair of letters, so that no code ever moves."""

COUNTRY_CODES: Mapping[str, int] = MappingProxyType({country: code for code, country in enumerate(COUNTRIES)})
"""Country -> its code in columns."""

_LONGEST_PREFIX = max(map(len, PLAN))
_DIGITS = 15  # the most that a number has (E.164, 6.2)


def country_of(number: int | str) -> str:
    """The country of an E.164 number, given as digits with or without `+`; "" if it has none."""
    digits = str(number).removeprefix("+")
    for length in range(min(len(digits), _LONGEST_PREFIX), 0, -1):
        country = PLAN.get(digits[:length])
        if country is not None:
            return country
    return ""


class Range(NamedTuple):
    """Numbers of one code and country: from `first` (of 15 digits, as are all) up to the first of the next range.

    `code` is a calling code. Where no country has the numbers it is as long as is known: under +1 with the area code.
    A code that nobody has been assigned stands for itself, in three digits.
    """

    first: int
    code: str
    country: str


def ranges() -> list[Range]:
    """The whole plan in ascending order, without gaps from the first code on, for whoever has no longest match."""
    spare = {str(code): "" for code in range(100, 1000) if not _calling_code(str(code))}
    areas = {f"1{area}": "" for area in range(200, 1000)}
    known = {**spare, **areas, **PLAN}
    ends = {_padded(int(prefix) + 1, len(prefix)) for prefix in known}
    found: list[Range] = []
    for first in sorted({_padded(int(prefix), len(prefix)) for prefix in known} | ends):
        digits = str(first)
        prefix = next((digits[:n] for n in range(_LONGEST_PREFIX, 0, -1) if digits[:n] in known), "")
        country = known.get(prefix, "")
        code = _calling_code(prefix) if country or prefix not in areas else prefix
        here = Range(first, code or prefix, country)
        if len(digits) == _DIGITS and (not found or here[1:] != found[-1][1:]):
            found.append(here)
    return found


def _calling_code(digits: str) -> str:
    return next((digits[:n] for n in range(1, 4) if digits[:n] in CALLING_CODES), "")


def _padded(digits: int, count: int) -> int:
    return int(f"{digits}{'0' * (_DIGITS - count)}")
