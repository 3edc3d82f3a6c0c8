"""Who is measured with whom on the page, and in which order: its functions, asked from Python."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from clearport.runtime.latency.race import order
from tests.runtime.devices.browser.page_functions import Ask

PARTY = """
const alone = new Set(given.alone);
return page.nextParty(given.waiting.map((n) => given.offered[n]), given.offered, given.at_once, alone)
"""
MEASURED = """
const rounds = [];
const failed = new Set();
let waiting = given.offered;
while (waiting.length) {
  const party = page.nextParty(waiting, given.offered, given.at_once, failed);
  rounds.push({ members: party.members.map((c) => c.key), company: party.company.map((c) => c.key) });
  const fails = party.members.filter((c) => given.troubled.includes(c.key) && !failed.has(c.key));
  for (const { key } of fails) failed.add(key);
  waiting = waiting.filter((c) => !party.members.includes(c) || fails.includes(c));
}
return rounds
"""


@st.composite
def offers(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Candidates on two backends; a baseline has none of its own, and may come before or after."""
    count = draw(st.integers(1, 12))
    made = [
        {"key": f"c{n}", "backend": draw(st.sampled_from(["wasm", "webgpu"])), "baseline": None} for n in range(count)
    ]
    bases = [c for c in made if draw(st.booleans())]
    for one in made:
        same = [b["key"] for b in bases if b["backend"] == one["backend"]]
        if one not in bases and same:
            one["baseline"] = draw(st.sampled_from(same))
    return made


@settings(max_examples=80, deadline=None)
@given(offered=offers(), at_once=st.integers(2, 5), data=st.data())
def test_everybody_is_measured_once_beside_its_baseline(
    ask: Ask, offered: list[dict[str, Any]], at_once: int, data: st.DataObject
) -> None:
    """Who fails in company (``troubled``) is tried again, alone, and asked into nobody's company any more."""
    keys = [c["key"] for c in offered]
    troubled = data.draw(st.lists(st.sampled_from(keys), unique=True, max_size=3))
    parties = ask(MEASURED, offered=offered, at_once=at_once, troubled=troubled)
    by_key = {c["key"]: c for c in offered}
    failed: set[str] = set()
    times = Counter(key for party in parties for key in party["members"])
    assert times == Counter({key: 2 if key in troubled else 1 for key in keys})
    for party in parties:
        present = party["members"] + party["company"]
        assert len(set(present)) == len(present) <= at_once
        assert len({by_key[key]["backend"] for key in present}) == 1
        assert not failed.intersection(party["company"])
        again = failed.intersection(party["members"])
        assert not again or present == list(again)
        for key in set(party["members"]) - again:
            baseline = by_key[key]["baseline"]
            assert baseline is None or baseline in failed or baseline in present
        failed.update(key for key in party["members"] if key in troubled)


def test_a_baseline_that_waits_comes_forward_and_one_that_is_done_comes_again(ask: Ask) -> None:
    offered = [
        {"key": "new", "backend": "wasm", "baseline": "old"},
        {"key": "other", "backend": "webgpu", "baseline": None},
        {"key": "more", "backend": "wasm", "baseline": None},
        {"key": "old", "backend": "wasm", "baseline": None},
    ]

    def party(waiting: list[int], **options: Any) -> tuple[list[str], list[str]]:
        found = ask(PARTY, **{"offered": offered, "waiting": waiting, "at_once": 3, "alone": [], **options})
        return [c["key"] for c in found["members"]], [c["key"] for c in found["company"]]

    assert party([0, 1, 2, 3]) == (["new", "old", "more"], [])
    assert party([0, 1, 2]) == (["new", "more"], ["old"])
    assert party([0, 1, 2, 3], at_once=2) == (["new", "old"], [])
    assert party([0, 1, 2, 3], alone=["old"]) == (["new", "more"], [])
    assert party([3, 0], alone=["old"]) == (["old"], [])
    assert party([1, 0]) == (["other"], [])


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(0, 50))
def test_turns_are_those_of_the_other_devices(ask: Ask, count: int, done: int) -> None:
    racing = list(range(count))
    assert ask("return page.order(given.racing, given.done)", racing=racing, done=done) == order(racing, done)


def test_phones_hold_less_at_once(ask: Ask) -> None:
    assert ask("return [8, 4, 0.5, null].map(page.budgetMib)") == [2048, 1024, 128, 512]
