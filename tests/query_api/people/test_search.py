"""Search in the tab People: it finds what the organization shows, and nothing that it hides."""

from typing import Any

import pytest
from query_api.people.domain.search import fold, has_words, words_of
from support.data.people_usage import PeopleRows
from support.data.table_rows import TableRows
from support.services.query_api import Api

PEOPLE = "/api/v1/usage/people?from=2026-11&to=2026-11"


@pytest.mark.parametrize(
    ("search", "name"),
    [
        ("jose", "José Núñez"), ("NUÑEZ", "Jose Nunez"), ("Nunez josé", "José Núñez"), ("strasse", "Anna Straße"),
        ("soren", "Søren Kierkegård"), ("Łukasz", "lukasz"), ("ALBERGER", "Ålberger"), ("иванов", "ИВАНОВ Пётр"), ("петр", "ИВАНОВ Пётр"),
        ("παπαδ", "ΠΑΠΑΔΟΣ"), ("e\u0301clair", "Éclair"), ("ＡＤＡ", "ada"), ("istanbul", "İstanbul"), ("aesir", "Æsir"),
    ],
)  # fmt: skip
def test_case_and_accents_do_not_matter(search: str, name: str) -> None:
    assert has_words(words_of(search), name)


def test_each_word_must_be_found() -> None:
    assert not has_words(words_of("ada smith"), "Ada Lovelace")
    assert has_words(words_of("ada u-1"), "Ada Lovelace", "u-1")
    for nothing in ("", " ", "\u0301"):
        assert not has_words(words_of(nothing), "Ada")
    assert fold("Ada") == "ada"


@pytest.fixture
async def acme(db: TableRows) -> PeopleRows:
    rows = PeopleRows(db, await db.organization())
    await rows.configure(label_keys=["project"])
    await rows.group("sales", "Vertrieb")
    await rows.group("emea", "Ürün", "sales")
    await rows.actor("u-1", "José Núñez", "jose@acme.example")
    await rows.actor("u-2", None, "lea@acme.example")
    await rows.actor("u-3", "Gone Nunez", removed=True)
    await rows.actor("robot-1", "Night Robot")
    await rows.use("u-1", "2026-11-05", 10, group="emea", labels={"project": "Café"})
    await rows.use("u-2", "2026-11-05", 7, group="sales", agent="a1")
    await rows.use("u-3", "2026-11-05", 5)
    await rows.use("u-4", "2026-11-05", 4)
    await rows.use("robot-1", "2026-11-05", 3, kind="service_account")
    await rows.use("", "2026-11-05", 100)
    return rows


def ids(answer: dict[str, Any]) -> list[str]:
    return [row["id"] for row in answer["rows"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("search=nunez", ["u-1"]), ("search=JOSÉ+NU", ["u-1"]), ("search=lea@", ["u-2"]), ("search=u-", ["u-1", "u-2", "u-4"]),
        ("search=robot+night", ["robot-1"]), ("search=gone", []), ("search=unattributed", []), ("search=%00", []), ("search=+", []),
        ("search=jose&group=sales", ["u-1"]), ("search=lea&agent=a1", ["u-2"]), ("search=nunez&agent=a1", []),
        ("search=urun&by=group", ["sales"]), ("search=vertrieb&by=group&membership=now", ["sales"]), ("search=none&by=group", []),
        ("search=cafe&by=label&label_key=project", ["Café"]),
    ],
)  # fmt: skip
async def test_rows_are_found_and_all_else_stays_that_of_all_rows(
    api: Api, acme: PeopleRows, query: str, found: list[str]
) -> None:
    answer = await api.get(f"{PEOPLE}&{query}")
    assert ids(answer) == found
    every = await api.get("&".join([PEOPLE, *(part for part in query.split("&") if not part.startswith("search"))]))
    assert {**answer, "rows": every["rows"]} == every
    assert [row for row in every["rows"] if row["id"] in found] == answer["rows"]


async def test_pages_of_what_is_found(api: Api, acme: PeopleRows) -> None:
    first = await api.get(f"{PEOPLE}&search=u-&limit=2")
    second = await api.get(f"{PEOPLE}&search=u-&limit=2&after={first['next']}")
    assert (ids(first), ids(second), second["next"]) == (["u-1", "u-2"], ["u-4"], None)


HIDDEN = ("nunez", "José", "lea", "u-1", "u-2", "acme.example", "gone")


async def test_aliases_are_found_and_no_hidden_name_id_or_address(api: Api, acme: PeopleRows) -> None:
    await acme.configure("pseudonymous", ["project"])
    for filters in ("", "&group=sales", "&agent=a1", "&product=agents"):
        for search in HIDDEN:
            assert ids(await api.get(f"{PEOPLE}&search={search}{filters}")) == [], (search, filters)
    alias = ids(await api.get(PEOPLE))[0]
    assert ids(await api.get(f"{PEOPLE}&search={alias.lower().replace(' ', '+')}")) == [alias]
    robot = await api.get(f"{PEOPLE}&search=robot")
    assert [row["name"] for row in robot["rows"]] == ["robot-1"]
    assert ids(await api.get(f"{PEOPLE}&search=night")) == []  # names of service accounts are hidden, too


async def test_only_groups_that_are_shown_are_found(api: Api, acme: PeopleRows) -> None:
    await acme.configure("groups_only", ["project"])
    for number in range(6):
        await acme.use(f"v-{number}", "2026-11-05", 1, group="large", labels={"project": "apollo"})
    for search in (*HIDDEN, "large"):
        refused = await api.ask(f"{PEOPLE}&search={search}")
        assert (refused.status_code, refused.json()["type"]) == (403, "/problems/people-not-shown")
        for view in ("by=group", "by=label&label_key=project"):
            assert ids(await api.get(f"{PEOPLE}&{view}&search={search}")) == [
                shown for shown in ids(await api.get(f"{PEOPLE}&{view}")) if search == shown == "large"
            ], (search, view)  # fmt: skip
    for hidden in ("vertrieb", "urun", "emea", "cafe"):
        for view in ("by=group", "by=label&label_key=project"):
            assert ids(await api.get(f"{PEOPLE}&{view}&search={hidden}")) == []
