"""What is sent in the background for a trial that somebody holds."""

import gc


def test_what_waits_is_sent_in_the_background_after_a_second(server, make_trial, until):
    trial = make_trial(timed=True)
    trial.report(1, loss=0.5)
    until(lambda: server.calls("report"))
    assert len(server.calls("report")) == 1
    assert trial.should_stop() is None


def test_the_lease_is_renewed_in_the_background_until_the_tell(server, client, make_trial, until):
    trial = make_trial(timed=True, lease_seconds=0.3)
    until(lambda: len(server.calls("heartbeat")) >= 2)
    trial.tell(1.0)
    # nobody but the pump renews it
    until(lambda: not client.pump._reporters)


def test_a_heartbeat_brings_the_reason_to_stop(answering, decide, make_trial, until):
    answering["heartbeat"] = lambda seen: decide("cancelled")
    trial = make_trial(timed=True, lease_seconds=0.15)
    until(lambda: trial.stop_reason)
    assert trial.should_stop() == "cancelled"


def test_a_trial_that_nobody_holds_is_not_kept_alive(client, make_trial, until):
    trial = make_trial(timed=True, lease_seconds=0.3)
    assert len(client.pump._reporters) == 1
    del trial
    gc.collect()
    # its thread may hold it for a moment
    until(lambda: not client.pump._reporters)
