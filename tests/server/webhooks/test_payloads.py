"""Whatever a proved delivery holds, it is read, or refused as something that cannot be."""

from __future__ import annotations

import json

import pytest
from forge_deliveries import MAIN, NEW, OLD, fixtures
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cicdctl.server.webhooks.payloads import MOST_HINTS, BadPayload, read_delivery

EVENTS = {
    "github": {"x-github-event": "push"},
    "gitlab": {"x-gitlab-event": "Push Hook"},
    "gitea": {"x-gitea-event": "push"},
    "forgejo": {"x-forgejo-event": "push"},
    "gogs": {"x-gogs-event": "push"},
    "bitbucket": {"x-event-key": "repo:push"},
    "bitbucket-dc": {"x-event-key": "repo:refs_changed"},
    "sourcehut": {"x-webhook-event": "GIT_POST_RECEIVE"},
}
LONG = "a" * 64

# The words that are looked for, among whatever else there may be.
WORDS = (
    *(
        "ref",
        "before",
        "after",
        "push",
        "changes",
        "new",
        "old",
        "target",
        "hash",
        "type",
        "name",
        "branch",
        "tag",
        "id",
    ),
    *("refId", "fromHash", "toHash", "data", "webhook", "updates", "push_options", "ci", "skip", "variable", "input"),
)
words = st.sampled_from(WORDS)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([MAIN, OLD, NEW, LONG, "0" * 40])
)
documents = st.recursive(
    leaves,
    lambda part: st.lists(part, max_size=4) | st.dictionaries(words | st.text(max_size=5), part, max_size=6),
    max_leaves=30,
)
bodies = st.binary(max_size=200) | documents.map(lambda value: json.dumps(value).encode())


def check(forge: str, body: bytes, *, is_form: bool) -> None:
    try:
        delivery = read_delivery(forge, body, EVENTS[forge], is_form=is_form)
    except BadPayload:
        return
    assert len(delivery.hints) <= MOST_HINTS
    for hint in delivery.hints:
        assert hint.ref.startswith(("refs/heads/", "refs/tags/")) and len(hint.ref) <= 412
        assert hint.ref.isprintable() or not hint.ref.isascii()
        for oid in (hint.old, hint.new):
            assert oid is None or (len(oid) in (40, 64) and set(oid) <= set("0123456789abcdef") and set(oid) != {"0"})
    for option in delivery.options:
        assert option.startswith("ci.")


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(EVENTS)), bodies, st.booleans())
@example("github", b"[" * 100_000, False)
@example("github", b'{"ref": ' + b"9" * 5000 + b"}", False)
@example("github", b"payload=%ff", True)
@example("github", b"&" * 1000, True)
@example("gitlab", b'{"ref":"refs/heads/\\ud800","before":null,"after":null}', False)
def test_any_bytes_and_any_json(forge, body, is_form):
    check(forge, body, is_form=is_form)


@pytest.mark.campaign
@settings(max_examples=100_000, deadline=None)
@given(st.sampled_from(sorted(EVENTS)), bodies, st.booleans())
def test_any_bytes_and_any_json_for_long(forge, body, is_form):
    check(forge, body, is_form=is_form)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_real_ones_with_a_part_exchanged(instance, data):
    """What a forge sends, with any of its values replaced by another: the shapes that nobody has written down."""
    sent = data.draw(st.sampled_from([one for one in fixtures(instance, "end") if not one.is_form]))
    document = json.loads(sent.body)
    places: list[tuple[object, object]] = []

    def walk(value: object) -> None:
        pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, part in pairs:
            places.append((value, key))
            walk(part)

    walk(document)
    holder, key = data.draw(st.sampled_from(places))
    holder[key] = data.draw(documents)  # type: ignore[index]
    check(sent.forge, json.dumps(document).encode(), is_form=False)


@pytest.mark.parametrize(
    "ref",
    ["refs/notes/x", "refs/cicd/keep/1", "main", "refs/heads/", "refs/heads/a b", "refs/heads/a..b", "refs/heads/a.lock",
     "refs/heads/a\n", "refs/heads/-\x1b[0m", "refs/heads/" + "a" * 401, "refs/heads/x:y", None, 5, ["refs/heads/main"]],
)  # fmt: skip
def test_other_refs_start_nothing(ref):
    body = json.dumps({"ref": ref, "before": OLD, "after": NEW}).encode()
    assert read_delivery("github", body, EVENTS["github"]).ignored == "no branch or tag"


def test_long_ids():
    body = json.dumps({"ref": MAIN, "before": "0" * 64, "after": LONG}).encode()
    (hint,) = read_delivery("gitlab", body, EVENTS["gitlab"]).hints
    assert (hint.old, hint.new) == (None, LONG)


def test_more_refs_than_are_kept_are_counted():
    changes = [{"refId": f"refs/tags/{n}", "fromHash": "0" * 40, "toHash": NEW} for n in range(250)]
    delivery = read_delivery("bitbucket-dc", json.dumps({"changes": changes}).encode(), EVENTS["bitbucket-dc"])
    assert (len(delivery.hints), delivery.more, delivery.ignored) == (MOST_HINTS, 150, None)


@pytest.mark.parametrize(
    ("headers", "identity"),
    [
        ({"idempotency-key": "a", "x-gitlab-event-uuid": "b"}, "a"),
        ({"webhook-id": "w", "idempotency-key": "a"}, "w"),
        ({}, ""),
    ],
)
def test_what_names_a_delivery_of_gitlab(headers, identity):
    body = json.dumps({"ref": MAIN, "before": OLD, "after": NEW}).encode()
    assert read_delivery("gitlab", body, EVENTS["gitlab"] | headers).id == identity


def test_deliveries_that_follow_from_each_other_are_two():
    """Before 17.4, GitLab gave them one id between them."""
    ids = set()
    for after in (OLD, NEW):
        body = json.dumps({"ref": MAIN, "before": "3" * 40, "after": after}).encode()
        ids.add(read_delivery("gitlab", body, EVENTS["gitlab"] | {"x-gitlab-event-uuid": "same"}).id)
    assert len(ids) == 2
