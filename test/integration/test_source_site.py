"""The official site as a source, over HTTP: what it answers, on good days and on bad ones.

The site is test/integration/source_site.py; asked is by source_probe, which is common/source.h and nothing else. Most tests
have no Redis: then every process keeps its own pace, and none knows what another one learnt.
"""

import json
import subprocess

import pytest

import harness
import source_site as site_
from source_site import SourceSite

FOUND, NOT_FOUND, RESTING, UNAVAILABLE = "found", "not_found", "resting", "unavailable"
ITEMS = 25


class Answer:
    def __init__(self, doc):
        self.doc = doc
        self.outcome = doc["outcome"]
        self.reason = doc["reason"]
        self.retry_after_ms = doc["retry_after_ms"]
        self.person = doc.get("person")
        self.stats = json.loads(self.person["stats"]) if self.person else None
        self.raw = json.loads(self.person["raw"]) if self.person else None


def run_probe(env, *questions):
    """Answers in the order of the questions, and what was logged."""
    lines = "".join("\t".join(q) + "\n" for q in questions)
    done = harness.run_program("source_probe", "ask", env=env, stdin=lines, check=True)
    docs = sorted(map(json.loads, done.stdout.splitlines()), key=lambda d: d["n"])
    assert [d["n"] for d in docs] == list(range(len(questions)))
    return [Answer(d) for d in docs], done.stderr


def ask(site, *questions, **settings):
    return run_probe(site.env(**settings), *questions)[0]


def lookup(site, person, **settings):
    return ask(site, ("lookup", person.server, person.name), **settings)[0]


def sheet(site, person, *known, **settings):
    """known: source_id, and a file with an earlier raw_payload."""
    return ask(site, ("sheet", person.server, person.name, *map(str, known)), **settings)[0]


@pytest.fixture
def make_site():
    made = []

    def make(region="tw", people=None):
        made.append(SourceSite(region, people))
        return made[-1]

    yield make
    for site in made:
        site.close()


@pytest.fixture
def site(make_site):
    return make_site("tw", ["13", "15", "30"])


@pytest.fixture
def person(site):
    return site.person("15")


# --------------------------------------------------------------------------- what is computed


CLASSES = dict(zip("23456789", ("Gladiator", "Templar", "Ranger", "Assassin", "Spiritmaster", "Sorcerer",
                                "Cleric", "Chanter")))


def check_person(p, answer, mode):
    got, row = answer.person, p.row
    assert answer.outcome == FOUND, (p.number, answer.reason)
    assert answer.stats.pop("mode") == got["mode"] == mode
    assert answer.stats == p.stats(mode), p.number
    assert got["server"] == p.server and got["name"] == p.name == row["name"]
    assert got["class"] == CLASSES[row["class_id"]]
    assert got["level"] == int(row["level"])
    assert got["legion"] == row["legion"]
    assert got["power"] == (int(row["combat_power"] or 0) or -1)
    assert got["item_level"] == int(row["item_level"])
    assert got["source_id"] == p.id
    assert answer.raw["source"] == "plaync" and answer.raw["info"]["id"] == p.id


@pytest.mark.parametrize("region", sorted({site_.region_of(p) for p in site_.recorded()}))
def test_every_recorded_character_through_the_whole_engine(make_site, region):
    """Class, level, power, legion, item level and the eight stats in both modes, as in the table."""
    site = make_site(region)
    people = list(site.people.values())
    looked_up = ask(site, *[("lookup", p.server, p.name) for p in people])
    for p, answer in zip(people, looked_up):
        check_person(p, answer, "profile")
    assert site.count() == 2 * len(people)
    with_items = [p for p in people if "items" in p.doc]
    for p, answer in zip(with_items, ask(site, *[("sheet", p.server, p.name) for p in with_items])):
        check_person(p, answer, "sheet")
        assert len(answer.raw["items"]) <= ITEMS
    assert site.most_at_once == 1


def test_later_recordings_of_the_same_characters(make_site):
    """15 and 30 were recorded twice, some time apart."""
    site = make_site("tw", ["37", "38"])
    for p in site.people.values():
        check_person(p, lookup(site, p), "profile")


def test_the_recordings_are_all_there():
    people = site_.recorded()
    assert len(people) == 40
    assert sum("items" in p.doc for p in people) == 26


# ------------------------------------------------------------------------------------- manners


def test_it_says_who_it_is_and_keeps_to_one_connection(site, person):
    sheet(site, person)
    assert site.count() == 3 + ITEMS + len(person.open_boards)
    for r in site.requests:
        agent = r.headers["user-agent"]
        assert agent.startswith("aion2rank/") and agent.endswith(f"(+{site_.CONTACT})")
        assert not {"origin", "referer", "cookie", "authorization"} & r.headers.keys()
    assert len({r.client for r in site.requests}) == 1
    assert site.most_at_once == 1


def test_each_service_is_asked_in_its_own_way(make_site):
    kr, tw, eu = make_site("kr", ["01"]), make_site("tw", ["13"]), make_site("eu", ["41"])
    for site in (kr, tw, eu):
        (p,) = site.people.values()
        assert lookup(site, p).outcome == FOUND
    queries = {s.region: [r.query for r in s.requests] for s in (kr, tw, eu)}
    assert [sorted(q.keys()) for q in queries["kr"]] == [
        ["keyword", "page", "serverId", "size"], ["characterId", "lang", "serverId"]]
    assert queries["kr"][1]["lang"] == "ko"
    assert queries["tw"][0]["race"] == "1" and queries["tw"][1]["lang"] == "zh"
    assert queries["eu"][0]["region"] == queries["eu"][1]["region"] == "eu"
    assert queries["eu"][0]["localeInfo"] == queries["eu"][1]["lang"] == "en-US"
    assert "race" not in queries["eu"][0]


def test_what_the_settings_say_of_the_site(make_site):
    site = make_site("kr", ["06"])
    (p,) = site.people.values()
    assert lookup(site, p, SOURCE_LANG="en", SOURCE_RACE="yes").outcome == FOUND
    assert site.requests[0].query["race"] == "2"  # the thousands of the server's number
    assert site.requests[1].query["lang"] == "en"


def test_ids_and_names_are_encoded_exactly_once(site):
    p = site.clone("13", "a+b c&d%41나")
    assert lookup(site, p).outcome == FOUND
    search, info = site.requests
    assert search.query["keyword"] == p.name
    assert p.id.endswith("=") and info.query["characterId"] == p.id
    assert "%3D" in info.path and "%25" not in info.path


def test_equal_lookups_are_one(site, person):
    site.delay = 0.1
    question = ("lookup", person.server, person.name)
    local = ("lookup", site_.realms()["tw", person.server_id][1], person.name)
    answers = ask(site, question, question, local)
    assert [a.outcome for a in answers] == [FOUND] * 3
    assert site.kinds() == ["search", "info"]


# --------------------------------------------------------------------------- hostile answers


def text_numbers(doc):
    """Every whole number as a text."""
    if isinstance(doc, dict):
        return {k: text_numbers(v) for k, v in doc.items()}
    if isinstance(doc, list):
        return [text_numbers(v) for v in doc]
    return str(doc) if isinstance(doc, int) and not isinstance(doc, bool) else doc


def without(*path):
    def change(doc):
        for key in path[:-1]:
            doc = doc[key]
        del doc[path[-1]]

    return site_.edit(change)


def put(value, *path):
    def change(doc):
        for key in path[:-1]:
            doc = doc[key]
        doc[path[-1]] = value

    return site_.edit(change)


NOBODY = {"profile": {"characterId": None, "characterName": None}, "stat": {"statList": []}}
BROKEN = {
    "html_with_status_200": (site_.html(), RESTING),
    "empty_body": (site_.empty(), RESTING),
    "redirect": (site_.redirect(), RESTING),
    "403": (site_.status(403), RESTING),
    "429": (site_.status(429), RESTING),
    "503_twice": (site_.status(503), RESTING),
    "500": (site_.status(500), UNAVAILABLE),
    "400": (site_.status(400, doc={"code": "BAD_REQUEST"}), UNAVAILABLE),
    "404_of_a_route": (site_.status(404, doc=site_.GONE_ROUTE), UNAVAILABLE),
    "404_web_page": (site_.html(404), UNAVAILABLE),
    "json_cut_off": (site_.cut(), UNAVAILABLE),
    "json_of_another_type": (site_.raw(b"[1, 2]"), UNAVAILABLE),
    "json_null": (site_.raw(b"null"), UNAVAILABLE),
    "empty_object": (site_.raw(b"{}"), UNAVAILABLE),
    "deep_json": (site_.raw(b"[" * 100_000), UNAVAILABLE),
    "nul_byte": (site_.raw(b'{"list":[]\0}'), UNAVAILABLE),
    "half_a_letter": (site_.half_a_letter(), UNAVAILABLE),
    "huge": (site_.huge(), UNAVAILABLE),
    "slow_drip": (site_.drip(), UNAVAILABLE),
    "hangs_up_within": (site_.hang_up(), UNAVAILABLE),
    "hangs_up_at_once": (site_.drop(), UNAVAILABLE),
}


def patience(case):
    """A drip is not waited for as long as it would take."""
    return {"SOURCE_TIMEOUT_MS": 1500} if case == "slow_drip" else {}


@pytest.mark.parametrize("kind", ["search", "info"])
@pytest.mark.parametrize("case", BROKEN)
def test_an_answer_that_is_none(site, person, kind, case):
    action, outcome = BROKEN[case]
    site.on(kind, action)
    answer = lookup(site, person, **patience(case))
    assert answer.outcome == outcome, answer.reason
    assert answer.person is None and len(answer.reason) > 10
    if outcome == RESTING:
        assert 50_000 < answer.retry_after_ms <= 60_000


HOSTILE_INFO = {
    "of_nobody": (site_.edit(lambda doc: NOBODY), NOT_FOUND),
    "404_no_such_character": (site_.status(404, doc=site_.NO_RESOURCE), NOT_FOUND),
    "another_id": (put("x" * 43 + "=", "profile", "characterId"), UNAVAILABLE),
    "another_server": (put(1002, "profile", "serverId"), UNAVAILABLE),
    "no_profile": (without("profile"), UNAVAILABLE),
    "no_id": (without("profile", "characterId"), UNAVAILABLE),
    "no_level": (without("profile", "characterLevel"), UNAVAILABLE),
    "no_stats": (without("stat"), UNAVAILABLE),
    "null_stats": (put(None, "stat", "statList"), UNAVAILABLE),
    "a_line_without_number": (put(["+?%"], "stat", "statList", 0, "statSecondList"), UNAVAILABLE),
    "numbers_as_texts": (site_.edit(text_numbers), FOUND),
    "no_power": (without("profile", "className"), FOUND),
    "no_boards": (put(None, "daevanion", "boardList"), FOUND),
    "no_titles": (put(None, "title", "titleList"), FOUND),
    "titles_without_lines": (put([{"id": None, "statList": None, "equipStatList": None}], "title", "titleList"), FOUND),
    "html_in_the_name": (put("<b>카나</b>星Mi", "profile", "characterName"), FOUND),
}


@pytest.mark.parametrize("case", HOSTILE_INFO)
def test_a_strange_info(site, person, case):
    action, outcome = HOSTILE_INFO[case]
    site.on("info", action)
    answer = lookup(site, person)
    assert answer.outcome == outcome, answer.reason
    if outcome == FOUND:
        assert answer.person["name"] == person.name
        assert answer.stats["attack"] == person.stats("profile")["attack"]


def test_html_in_a_legion(site, person):
    site.on("info", put("A<i>b</i> &amp;amp; <script>", "profile", "regionName"))
    assert lookup(site, person).person["legion"] == "Ab &amp; "


HOSTILE_SEARCH = {
    "nobody": (site_.edit(lambda doc: {"list": [], "pagination": {"total": 0}}), NOT_FOUND),
    "null_list": (put(None, "list"), UNAVAILABLE),
    "no_list": (without("list"), UNAVAILABLE),
    "numbers_as_texts": (site_.edit(text_numbers), FOUND),
    "no_class": (without("list", 0, "pcId"), FOUND),
    "no_pages": (without("pagination"), FOUND),
    "no_server": (without("list", 0, "serverId"), UNAVAILABLE),
    "no_id": (without("list", 0, "characterId"), UNAVAILABLE),
    "double_encoding": (
        site_.edit(lambda doc: doc["list"][0].update(characterId=doc["list"][0]["characterId"].replace("%", "%25"))),
        UNAVAILABLE,
    ),
    "broken_encoding": (put("abc%", "list", 0, "characterId"), UNAVAILABLE),
    "half_a_tag": (put("<strong>카나星Mi</strong", "list", 0, "name"), NOT_FOUND),
    "another_spelling": (put("카나星mI", "list", 0, "name"), NOT_FOUND),
    "a_longer_name": (put("<strong>카나星Mi</strong>x", "list", 0, "name"), NOT_FOUND),
    "entities": (put("<strong>&#52852;&#xB098;星M</strong>i", "list", 0, "name"), FOUND),
}


@pytest.mark.parametrize("case", HOSTILE_SEARCH)
def test_a_strange_search(site, person, case):
    action, outcome = HOSTILE_SEARCH[case]
    site.on("search", action)
    answer = lookup(site, person)
    assert answer.outcome == outcome, answer.reason


def test_only_the_exact_name_on_the_right_server_counts(site, person):
    """The search matches anywhere in a name; a namesake of another server is somebody else."""
    site.clone("13", "x" + person.name + "x")
    site.clone("13", person.name)  # on server 1003
    site.on("search", site_.edit(lambda doc: None))
    assert lookup(site, person).person["source_id"] == person.id
    assert ask(site, ("lookup", "Siel", "x" + person.name))[0].outcome == NOT_FOUND


def test_a_name_that_is_part_of_many(site, person):
    """The one that is meant may be on a later page; there is an end to looking, and it is no "not found"."""
    p = site.person("13")
    for i in range(230):
        site.clone("13", f"{p.name}{i}")
    assert lookup(site, p).outcome == FOUND
    assert site.kinds() == ["search"] * 3 + ["info"]
    for i in range(400):
        site.clone("13", f"{p.name}a{i}")
    site.forget()
    assert lookup(site, p).outcome == UNAVAILABLE
    assert site.kinds() == ["search"] * 5


def test_a_name_that_has_changed(site, person):
    """The index of the search lags behind."""
    site.on("info", put("새이름", "profile", "characterName"))
    answer = lookup(site, person)
    assert answer.outcome == NOT_FOUND and "another name" in answer.reason


def test_names_that_nobody_has(site):
    answers = ask(site, ("lookup", "Atlantis", "x"), ("lookup", "Siel", ""), ("lookup", "Siel", "a\x01b"))
    assert [a.outcome for a in answers] == [NOT_FOUND] * 3
    assert "server" in answers[0].reason
    assert site.count() == 0


# --------------------------------------------------------------------- being asked for quiet


def test_a_single_503_is_tried_once_more(site, person):
    site.on("search", site_.status(503), times=1)
    assert lookup(site, person).outcome == FOUND
    assert site.kinds() == ["search", "search", "info"]


def test_a_503_that_names_a_time_is_obeyed(site, person):
    site.on("search", site_.status(503, retry_after=90), times=1)
    answer = lookup(site, person)
    assert answer.outcome == RESTING and 80_000 < answer.retry_after_ms <= 90_000
    assert site.kinds() == ["search"]


@pytest.mark.parametrize("case,least,most", [
    (5, 50_000, 60_000), (150, 140_000, 150_000), ("Wed, 21 Oct 2015 07:28:00 GMT", 50_000, 60_000),
    ("soon", 50_000, 60_000), ("99999999999", 50_000, 86_400_000),
])
def test_retry_after(site, person, case, least, most):
    site.on("*", site_.status(429, retry_after=case))
    answer = lookup(site, person)
    assert answer.outcome == RESTING and least < answer.retry_after_ms <= most


def test_nobody_is_asked_while_the_source_rests(site, person):
    site.on("search", site_.status(429), times=1)
    other = site.person("13")
    answers = ask(site, ("lookup", person.server, person.name), ("lookup", other.server, other.name),
                  ("sheet", other.server, other.name))
    assert [a.outcome for a in answers] == [RESTING] * 3
    assert site.count() == 1


def test_five_failures_in_a_row_are_enough(site, person):
    site.on("*", site_.status(500))
    answers = ask(site, *[("lookup", person.server, f"{person.name}{i}") for i in range(8)])
    assert sorted(a.outcome for a in answers) == [RESTING] * 3 + [UNAVAILABLE] * 5
    assert site.count() == 5


def test_one_good_answer_forgets_the_failures(site, person):
    for _ in range(3):
        site.on("info", site_.status(500), times=4)
        site.on("info", site_.edit(lambda doc: None), times=1)
    names = [("lookup", person.server, person.name)]
    for _ in range(4):
        assert ask(site, *names)[0].outcome == UNAVAILABLE
    assert ask(site, *names)[0].outcome == FOUND


def test_a_redirect_is_not_followed(make_site, site, person):
    elsewhere = make_site("tw", ["13"])
    site.on("search", site_.redirect(elsewhere.url + "/aion2/api/search/character?keyword=x&race=1"))
    assert lookup(site, person).outcome == RESTING
    assert elsewhere.count() == 0


# -------------------------------------------------------------------------------------- sheets


def slots_asked(site):
    return sorted(int(r.query["slotPos"]) for r in site.requests if r.kind == "item")


@pytest.fixture
def stored(site, person, tmp_path):
    """A file with the raw_payload of an earlier sheet; the site has forgotten that."""
    answer = sheet(site, person)
    assert answer.outcome == FOUND
    path = tmp_path / "raw.json"
    path.write_text(json.dumps(answer.raw), encoding="utf-8")
    site.forget()
    return path


def change_raw(path, change):
    raw = json.loads(path.read_text(encoding="utf-8"))
    change(raw)
    path.write_text(json.dumps(raw), encoding="utf-8")


def test_what_has_not_changed_is_not_asked_for(site, person, stored):
    answer = sheet(site, person, person.id, stored)
    check_person(person, answer, "sheet")
    assert site.kinds() == ["info", "equipment"]


def test_only_changed_slots_are_asked_for(site, person, stored):
    def wear(doc):
        doc["equipment"]["equipmentList"][3]["enchantLevel"] += 1
        doc["equipment"]["equipmentList"][7]["exceedLevel"] = 1

    site.on("equipment", site_.edit(wear))
    answer = sheet(site, person, person.id, stored)
    check_person(person, answer, "sheet")
    assert slots_asked(site) == sorted(person.slots[i]["slotPos"] for i in (3, 7))


def test_after_a_week_an_item_is_asked_for_again(site, person, stored):
    def age(raw):
        raw["items"][0]["at"] -= 8 * 86400
        raw["items"][1]["at"] -= 6 * 86400
        for board in raw["boards"]:
            board["at"] -= 3600

    change_raw(stored, age)
    answer = sheet(site, person, person.id, stored)
    check_person(person, answer, "sheet")
    assert len(slots_asked(site)) == 1
    assert site.count("board") == len(person.open_boards)


@pytest.mark.parametrize("change", [
    lambda raw: raw["info"].update(id="somebody else"), lambda raw: raw.update(region="kr"),
    lambda raw: raw.update(source="dummy"), lambda raw: raw.update(items=5, boards={}),
    lambda raw: raw.clear(), lambda raw: [i.update(sums="x") for i in raw["items"]],
    lambda raw: [i["sums"].update(Critical="x", HPMax=1e300) for i in raw["items"]],
], ids=["id", "region", "source", "lists", "empty", "sums", "numbers"])
def test_an_earlier_answer_that_is_of_no_use(site, person, stored, change):
    change_raw(stored, change)
    check_person(person, sheet(site, person, person.id, stored), "sheet")
    assert site.count("item") == ITEMS


def test_an_earlier_answer_that_is_no_json(site, person, stored):
    stored.write_text("{\0", encoding="utf-8")
    check_person(person, sheet(site, person, person.id, stored), "sheet")


@pytest.mark.parametrize("case", [k for k, (_, outcome) in BROKEN.items() if outcome == UNAVAILABLE])
@pytest.mark.parametrize("kind", ["equipment", "item", "board"])
def test_a_missing_part_keeps_the_rest_and_makes_no_sheet(site, person, kind, case, tmp_path):
    # A kept connection that the site closes is no failure: libcurl sends that request on a new one.
    site.on(kind, BROKEN[case][0], times=2 if case == "hangs_up_at_once" else 1)
    answer = sheet(site, person, **patience(case))
    assert answer.outcome == UNAVAILABLE
    assert answer.stats.pop("mode") == "profile" and answer.stats == person.stats("profile")
    # The next try asks only for what is missing.
    path = tmp_path / "raw.json"
    path.write_text(json.dumps(answer.raw), encoding="utf-8")
    site.behave()
    site.forget()
    check_person(person, sheet(site, person, person.id, path), "sheet")
    asked = {"equipment": ITEMS, "item": 1, "board": 0}[kind] + (kind == "board")
    assert site.count() == 2 + asked


def test_an_item_of_another_id(site, person):
    site.on("item", put(12345, "id"), times=1)
    assert sheet(site, person).outcome == UNAVAILABLE


STRANGE_PARTS = {
    "an_item_with_a_line_that_is_no_number": ("item", put([{"id": "Critical", "value": "many"}], "subStats"), UNAVAILABLE),
    "an_item_with_a_list_that_is_none": ("item", put({"id": "Critical"}, "mainStats"), UNAVAILABLE),
    "an_item_with_null_lists": ("item", put(None, "godStoneStat"), FOUND),
    "an_item_with_its_id_as_text": ("item", site_.edit(text_numbers), FOUND),
    "a_board_without_effects": ("board", without("openStatEffectList"), UNAVAILABLE),
    "a_board_with_a_strange_line": ("board", put([{"desc": "暴击 +viel"}], "openStatEffectList"), UNAVAILABLE),
    "no_equipment": ("equipment", without("equipment"), UNAVAILABLE),
    "equipment_of_nobody": ("equipment", site_.raw(b'{"equipment":{"equipmentList":null},"skill":{"skillList":null}}'), UNAVAILABLE),
    "an_item_worn_without_id": ("equipment", without("equipment", "equipmentList", 0, "id"), UNAVAILABLE),
    "far_too_many_items": (
        "equipment", site_.edit(lambda doc: doc["equipment"]["equipmentList"].extend(doc["equipment"]["equipmentList"][:1] * 90)), UNAVAILABLE),
}


@pytest.mark.parametrize("case", STRANGE_PARTS)
def test_a_strange_part(site, person, case):
    kind, action, outcome = STRANGE_PARTS[case]
    site.on(kind, action, times=1)
    assert sheet(site, person).outcome == outcome


def test_naked(site, person):
    """Null lists of somebody who exists: skills are there."""
    site.on("equipment", put(None, "equipment", "equipmentList"))
    answer = sheet(site, person)
    assert answer.outcome == FOUND and answer.raw["items"] == []
    assert answer.stats["mode"] == "sheet" and answer.stats["defense"] < person.stats("sheet")["defense"]


def test_taken_off_meanwhile(site, person):
    """An empty template adds nothing, and is not remembered as the item's lines."""
    site.on("item", site_.raw(b'{"id": 0, "mainStats": null}'), times=1)
    answer = sheet(site, person)
    assert answer.outcome == FOUND and len(answer.raw["items"]) == ITEMS - 1


def test_asked_for_quiet_in_the_middle_of_a_sheet(site, person):
    site.on("item", site_.edit(lambda doc: None), times=4)
    site.on("item", site_.status(429))
    answer = sheet(site, person)
    assert answer.outcome == RESTING and answer.retry_after_ms > 50_000
    assert answer.stats["mode"] == "profile" and len(answer.raw["items"]) == 4
    assert site.count("item") == 5 and site.count("board") == 0


def test_an_id_that_has_changed_is_searched_again(site, person):
    answer = sheet(site, person, "x" * 43 + "=")
    check_person(person, answer, "sheet")
    assert site.kinds()[:4] == ["info", "search", "info", "equipment"]


def test_somebody_who_is_gone(site, person):
    site.people.clear()
    answer = sheet(site, person, person.id)
    assert answer.outcome == NOT_FOUND and answer.person is None
    assert site.kinds() == ["info", "search"]


# ------------------------------------------------------------------------------ without a site


def test_nobody_listens(site, person):
    env = site.env(SOURCE_SEARCH_URL=f"http://127.0.0.1:{harness.free_port()}/x")
    (answer,), _ = run_probe(env, ("lookup", person.server, person.name))
    assert answer.outcome == UNAVAILABLE


def test_a_certificate_that_nobody_vouches_for(tmp_path):
    """HTTPS means to know whom we talk to."""
    pem = tmp_path / "site.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", pem, "-out", tmp_path / "cert.pem"],
                   check=True, capture_output=True)
    with pem.open("ab") as f:
        f.write((tmp_path / "cert.pem").read_bytes())
    site = SourceSite("tw", ["13"], certificate=pem)
    try:
        answer = lookup(site, site.person("13"))
    finally:
        site.close()
    assert answer.outcome == UNAVAILABLE and "certificate" in answer.reason
    assert site.count() == 0


@pytest.mark.parametrize("name,value", [
    ("SOURCE_CONTACT", ""), ("SOURCE_CONTACT", "a\r\nOrigin: x"), ("SOURCE_BASE_URL", "file:///etc/passwd"),
    ("SOURCE_REGION", "mars"), ("SOURCE_INTERVAL_MS", "0"), ("SOURCE_ADAPTER", "ncsoft"),
])
def test_settings_that_will_not_do(site, name, value):
    done = harness.run_program("source_probe", "ask", env=site.env(**{name: value}), stdin="")
    assert done.returncode == 2 and name in done.stderr
