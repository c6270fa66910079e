"""Bots and excluded users: filtered, counted by what they are, and nothing else is changed."""

from __future__ import annotations

import json

import pytest

import heatgrid as hg
from heatgrid.cli import main
from heatgrid.words.errors import InputError
from heatgrid.words.leave_out import is_bot, patterns_of
from strategies import T0

PERSON = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"
USERS = ("ada@acme.com", "Bo@ACME.com", "cy@example.org", None)


def rows(**more):
    n = 40
    made = {
        "time": [T0 * 1000 + i for i in range(n)], "session": [f"s{i % 4}" for i in range(n)], "page": ["/"] * n,
        "user": [USERS[i % 4] for i in range(n)],
    }  # fmt: skip
    return made | more


@pytest.mark.parametrize(
    ("patterns", "left"),
    [("*@acme.com", 20), ("ADA@acme.com", 10), (("ada@*", "cy@*"), 20), ("acme", 0), ("?y@example.org", 10), ("*", 30)],
)
def test_users_are_left_out_by_name_and_pattern(patterns, left):
    heat = hg.run(rows(), exclude_users=patterns)
    ledger = heat.ledger
    ledger.check()
    assert (ledger.filtered, ledger.accepted, ledger.rejected_total) == (left, 40 - left, 0)
    assert ledger.left_out == ({"excluded user": left} if left else {})
    assert heat.summary["sessions"] == (40 - left) // 10
    data = rows()
    kept = [i for i in range(40) if not _named(data["user"][i], patterns)]
    bare = hg.run({name: [values[i] for i in kept] for name, values in data.items()})
    assert heat.pages.equals(bare.pages)


def _named(user, patterns) -> bool:
    """The same in another way: what stands before and after the star."""
    for pattern in (patterns,) if isinstance(patterns, str) else patterns:
        head, star, tail = pattern.lower().replace("?", "c", 1).partition("*")
        if user is not None and (user.lower().startswith(head) and user.lower().endswith(tail) if star else
                                 user.lower() == head):  # fmt: skip
            return True
    return False


def test_the_same_in_every_lane_and_in_saved_and_merged_states(tmp_path):
    data = rows(user_agent=[PERSON, PERSON, None, "Googlebot/2.1"] * 10)
    want = None
    for order, threads in (("auto", 2), ("auto", 1), ("any", 1)):
        heat = hg.run(data, exclude_users="ada*", order=order, threads=threads)
        assert heat.ledger.left_out == {"bot": 10, "excluded user": 10}
        want = want or heat.ledger.as_dict()
        assert heat.ledger.as_dict() == want
    heat.save(tmp_path / "a.heat")
    other = hg.run(rows(session=["t"] * 40), exclude_users="ada*")
    merged = hg.merge([hg.load(tmp_path / "a.heat"), other])
    merged.ledger.check()
    assert merged.ledger.left_out == {"bot": 10, "excluded user": 20}
    assert "10 filtered (bot)" in merged.ledger.run_line()


@pytest.mark.parametrize(
    ("column", "values", "left"),
    [
        ("user_agent", [PERSON, "Googlebot/2.1 (+http://www.google.com/bot.html)"], 20),
        ("$raw_user_agent", ["HeadlessChrome/120", PERSON], 20),
        ("user_agent", [PERSON, "Mozilla/5.0 (Linux; Android 10; CUBOT X19) Mobile"], 0),
        ("user_agent", [PERSON, None], 0),
        ("webdriver", [True, False], 20),
        ("webdriver", ["1", None], 20),
    ],
)
def test_bots_by_their_agent_and_automated_browsers(column, values, left):
    data = rows(**{column: values * 20})
    assert hg.run(data).ledger.left_out == ({"bot": left} if left else {})
    kept = hg.run(data, keep_bots=True)
    assert (kept.ledger.filtered, kept.ledger.accepted) == (0, 40)


def test_rows_that_are_rejected_anyway_are_not_left_out():
    data = rows(user_agent=["bingbot/2.0"] * 40)
    data["time"] = [None] * 10 + data["time"][10:]
    ledger = hg.run(data).ledger
    ledger.check()
    assert (ledger.rejected, ledger.left_out) == ({"time": 10}, {"bot": 30})


@pytest.mark.parametrize("agent", ["curl/8.0", "python-requests/2.31", "AhrefsBot/7.0", "facebookexternalhit/1.1"])
def test_agents_that_say_what_they_are(agent):
    assert is_bot(agent)


def test_files_of_users_options_and_what_is_missing(tmp_path, capfd):
    listed = tmp_path / "staff.txt"
    listed.write_text("# staff\n*@acme.com\n\nCy@example.org\n")
    assert patterns_of(str(listed)) == ("*@acme.com", "cy@example.org")
    data = rows()
    lines = [json.dumps({name: data[name][i] for name in data}) for i in range(40)]
    (tmp_path / "e.ndjson").write_text("\n".join(lines))
    assert main(["pages", str(tmp_path / "e.ndjson"), "--exclude-users", str(listed), "--json", "-q"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["ledger"]["left_out"] == {"excluded user": 30}
    del data["user"]
    assert "no column for user" in hg.run(data, exclude_users="a").refused["exclude_users"]
    (tmp_path / "bad").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError) as caught:
        hg.Plan(exclude_users=str(tmp_path / "bad"))
    assert caught.value.code == "HG2140"
