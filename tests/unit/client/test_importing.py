"""An import goes in batches, each a call of its own."""

from __future__ import annotations

import pytest

from tuner.client.importing import BATCH, import_trials
from tuner.errors import InvalidParameter


def test_each_batch_has_a_key_of_its_own_and_all_trials_come_back(server, client, make_reply):
    server.answer = lambda seen: make_reply(status=201, body={"trials": seen.json["trials"]})
    trials = [{"params": {"x": i}} for i in range(2 * BATCH + 1)]
    assert import_trials(client.rest, "digits", trials) == trials
    assert [len(seen.json["trials"]) for seen in server.seen] == [BATCH, BATCH, 1]
    assert len({seen.headers["idempotency-key"] for seen in server.seen}) == 3
    assert import_trials(client.rest, "digits", []) == []


def test_a_mistake_in_a_later_batch_is_counted_from_the_first_trial(server, client, make_reply):
    problem = {
        "code": "invalid-parameter",
        "detail": "trials[3].params.x: found 9, allowed 0 to 1.",
        "hint": "Look again.",
        "errors": [{"path": "trials[3].params.x", "found": 9}],
    }
    server.replies(make_reply(status=201, body={"trials": []}), make_reply(422, problem))
    with pytest.raises(InvalidParameter) as caught:
        import_trials(client.rest, "digits", [{}] * (BATCH + 5))
    error = caught.value
    assert error.message.startswith(f"trials[{BATCH + 3}].params.x: found 9")
    assert error.errors[0].path == f"trials[{BATCH + 3}].params.x"
    assert error.hint.startswith("Look again. The first 500 trials have been imported")


def test_a_mistake_in_the_first_batch_is_raised_as_it_is(server, client, make_reply):
    problem = {"code": "invalid-parameter", "detail": "trials[0] is bad.", "hint": ""}
    server.replies(make_reply(422, problem))
    with pytest.raises(InvalidParameter) as caught:
        import_trials(client.rest, "digits", [{}] * 3)
    assert (caught.value.message, caught.value.hint) == ("trials[0] is bad.", "")
