"""Paths and queries for a row of the tables, right ones and odd ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote

from hypothesis import strategies as st

from shoal_controller.api.lists import noun
from shoal_controller.api.management import routes as management
from shoal_controller.api.options import OPTIONS
from shoal_controller.api.routing import Route
from shoal_controller.api.wire.selectable import SELECTABLE, STRUCTURES
from shoal_controller.core.odata import fields
from tests.conformance.conftest import certificate_path
from tests.fuzz.documents import IDS

_SELDOM: Final = st.sampled_from((False, False, False, True))

_SEGMENTS: Final = (
    *(
        "..",
        ".",
        "%2e%2e",
        "%2E",
        "%2F",
        "a%2Fb",
        "%2fetc%2fpasswd",
        "%00",
        "a%00b",
        "%ff",
        "%zz",
        "%",
    ),
    *(
        "%ED%A0%80",
        "%C3%BC",
        "ü",
        "\udcff",
        "%0d%0aX: 1",
        "a b".replace(" ", "%20"),
        "'",
        "\\",
        ";x=1",
    ),
    *(
        "x" * 65,
        "x" * 3000,
        "$",
        "*",
        "~",
        "a:b",
        "s1:job-1",
        "S1:JOB-1",
        "null",
        "-1",
        "@",
        ":",
        "+",
    ),
)
_KEYS: Final = (
    *("thumbprint=x", "thumbprintAlgorithm=sha1,thumbprint=", "", "'", "a,b,c", "(", ")", "%00"),
    certificate_path().upper(),
    certificate_path().replace("sha1", "md5"),
)
_FILES: Final = (
    *("a/b", "../x", "..%2Fx", "%2e%2e/%2e%2e/etc/passwd", "/", "//", "a//b", "./a", "a/", "%00"),
    *("wd/..", "\\..\\x", "%ff", "x" * 5000, "a%0ab", "ü", "%F0%9F%92%A9"),
)


@st.composite
def paths(draw: st.DrawFn, route: Route, arguments: Mapping[str, str], *, is_odd: bool) -> str:
    """Return a row's path, filled with what there is, or is not, perhaps spoiled."""
    path = route.path
    names = [part.split("}")[0] for part in path.split("{")[1:]]
    odd = draw(st.sampled_from(("", *names))) if is_odd else None
    for name in names:
        value = quote(arguments[name], safe="=,")
        if name == odd:
            values = {"thumbprint": _KEYS, "filePath": _FILES}.get(name, _SEGMENTS)
            value = draw(st.sampled_from(values))
        elif name in ("poolId", "jobId", "taskId", "jobScheduleId") and draw(_SELDOM):
            value = draw(st.sampled_from(IDS))
        path = path.replace(f"{{{name}}}", value)
    if odd != "":
        return path
    return draw(
        st.sampled_from(
            (
                *(f"{path}/", path.replace("/", "//", 1), path[: max(1, len(path) // 2)]),
                *(path.upper(), f"{path}/x/y", f"{path}/../x", "/", "*", f"{path};x", path[1:]),
            )
        )
    )


# --- queries --------------------------------------------------------------------------------------

_FIELDS: Final[Mapping[str, fields.Fields]] = {
    "list_pools": fields.POOLS,
    "list_jobs": fields.JOBS,
    "list_jobs_from_schedule": fields.JOBS_OF_SCHEDULE,
    "list_job_schedules": fields.JOB_SCHEDULES,
    "list_tasks": fields.TASKS,
    "list_nodes": fields.NODES,
    "list_certificates": fields.CERTIFICATES,
    "list_job_preparation_and_release_task_status": fields.PREPARATION_AND_RELEASE,
    "list_task_files": fields.FILES,
    "list_node_files": fields.FILES,
    "list_supported_images": fields.IMAGES,
    "list_node_agent_skus": fields.NODE_AGENT_SKUS,
    "list_pool_node_counts": fields.NODE_COUNTS,
}
_LITERALS: Final = (
    *(
        "'j1'",
        "'active'",
        "'t1'",
        "''",
        "'it''s'",
        "'\0'",
        "'" + "x" * 300 + "'",
        "'",
        "'\udcff'",
        "'ü'",
    ),
    *(
        "DateTime'2026-05-01T12:00:00Z'",
        "datetime'0001-01-01'",
        "DateTimeOffset'9999-12-31T23:59:59-14:00'",
    ),
    *(
        "DateTime'٢٠٢٦-05-01'",
        "DateTime''",
        "DateTime'2026-05-01T24:00:00Z'",
        "DateTime'0000-01-01'",
    ),
    *(
        "0",
        "-1",
        "1",
        "9223372036854775807",
        "9223372036854775808",
        "9" * 30,
        "9" * 5000,
        "٣",
        "1.5",
    ),
    *("-", "1e5", "0x1", "true", "FALSE", "null", "id", "(1)", "NaN"),
)
_OPERATORS: Final = (
    "eq",
    "ne",
    "gt",
    "ge",
    "lt",
    "le",
    "EQ",
    "add",
    "has",
    "in",
    "=",
    "",
    "startswith",
)


@st.composite
def filters(draw: st.DrawFn, known: fields.Fields) -> str:
    """Return a `$filter`, right or wrong."""
    name = st.sampled_from((*known, *known, *known, "id", "nothing", "a/b/c", "ıd", "", "x" * 300))
    literal = st.sampled_from(_LITERALS)
    compared = st.builds("{} {} {}".format, name, st.sampled_from(_OPERATORS), literal)
    begins = st.builds("startswith({},{})".format, name, literal)
    one = st.one_of(compared, compared, begins)
    text = draw(one)
    for _ in range(draw(st.integers(0, 3))):
        form = draw(st.sampled_from(("{} and {}", "{} or {}", "({}) or {}", "not {}", "{}{}")))
        text = form.format(text, draw(one))
    way = draw(st.sampled_from((*["good"] * 8, "deep", "nots", "chain", "open", "spaces")))
    return {
        "deep": "(" * 3000 + text + ")" * 3000,
        "nots": "not " * 500 + text,
        "chain": " or ".join([text] * 60),
        "open": f"({text}",
        "spaces": f"\t  {text} \n",
    }.get(way, text)


def _selections(route: Route) -> st.SearchStrategy[str]:
    entity = SELECTABLE.get(noun(route.path))
    names = sorted(STRUCTURES[entity]) if entity else ["id"]
    nested = [f"{name}/{inner}" for name in names for inner in STRUCTURES.get(name, ())][:20]
    odd = [
        "",
        "nothing",
        "id/id",
        "*",
        "ID",
        " id ",
        "id/",
        "/",
        "\0",
        "a" * 300,
        "executionInfo/x",
    ]
    one = st.sampled_from([*names, *names, *nested, *odd])
    return st.lists(one, max_size=5).map(",".join)


_ODD_VALUES: Final = (
    *(
        "",
        "x",
        "0",
        "-1",
        "1",
        "2",
        "1000",
        "1001",
        "true",
        "TRUE",
        "99999999999999999999",
        "٣",
        "1.5",
    ),
    *("\0", "\udcff", " 5 ", "+5", "1_0", "x" * 5000, "stats", "stats,stats", "everything", "NaN"),
    *(
        "AAAA",
        "AAAAAAAAAAAAdDE",
        "-_-_",
        "=",
        "2026-05-01",
        "2026-05-01T00:00:00Z",
        "9999-12-31T23:59:59-14:00",
    ),
)
_PARAMETERS: Final = (
    *("maxresults", "timeout", "$filter", "$select", "$expand", "$skiptoken", "$orderby", "$top"),
    *(
        "recursive",
        "force",
        "starttime",
        "endtime",
        "api-version",
        "API-VERSION",
        "MaxResults",
        "x",
    ),
    *("", "%", "$", "comp", "%24filter", "\udcff"),
)


def options_of(route: Route) -> list[str]:
    """Return the query parameters that a row takes."""
    options = management.OPTIONS if route in management.ROUTES else OPTIONS
    return sorted(options.get(route.name, ()))


@st.composite
def queries(draw: st.DrawFn, route: Route, version: str, *, is_odd: bool) -> str:
    """Return the query of a request: of what the row takes, or of anything."""
    known = options_of(route)
    pairs = [("api-version", version)]
    if known and (is_odd or draw(_SELDOM)):
        pairs += draw(st.lists(_parameters(route, known), max_size=2))
    if is_odd and (not known or draw(_SELDOM)):
        odd = st.tuples(st.sampled_from(_PARAMETERS), st.sampled_from(_ODD_VALUES))
        pairs = draw(st.permutations(pairs + draw(st.lists(odd, min_size=1, max_size=2))))
    text = "&".join(
        f"{quote(name, '$%', errors='surrogateescape')}={_quoted(value)}" for name, value in pairs
    )
    way = draw(st.sampled_from((*["good"] * 20, *_SPOILED))) if is_odd else "good"
    return _SPOILED.get(way, str)(text)


_SPOILED: Final[Mapping[str, Callable[[str], str]]] = {
    "raw": lambda text: f"{text}&a=\udcff%ff%zz%&=&&b",
    "empty": lambda _: "",
    "doubled": lambda text: f"{text}&{text}",
    "hash": lambda text: f"{text}#x",
    "many": lambda text: text + "&a=1" * 2000,
}


@st.composite
def _parameters(draw: st.DrawFn, route: Route, known: list[str]) -> tuple[str, str]:
    name = draw(st.sampled_from(known))
    if name == "$filter":
        return name, draw(filters(_FIELDS.get(route.name, fields.JOBS)))
    if name == "$select":
        return name, draw(_selections(route))
    good = {"maxresults": "1", "$expand": "stats"}.get(name, "true")
    return name, draw(st.sampled_from((good, good, good, *_ODD_VALUES)))


def _quoted(value: str) -> str:
    return quote(value, safe="", errors="surrogateescape")
