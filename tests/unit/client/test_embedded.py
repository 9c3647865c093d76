import json
import threading

import cloudpickle
import pytest

from tuner.client.client import Client
from tuner.client.embedded import Embedded, read_owner
from tuner.client.endpoint import Address
from tuner.client.optimize import pickled
from tuner.errors import DatabaseUnavailable, Invalid, NotFound
from tuner.settings import embedded_store


def publish(store, **changes):
    record = {"url": "http://127.0.0.1:1", "token": "t", "pid": 1, "started_at": "", **changes}
    store.owner_file.write_text(json.dumps(record))


def test_an_owners_file_gives_its_address(tmp_path):
    store = embedded_store("x.db", tmp_path)
    assert read_owner(store.owner_file) is None
    publish(store)
    assert read_owner(store.owner_file) == Address("http://127.0.0.1:1", "t")


@pytest.mark.parametrize(
    "changes",
    [{"url": "http://example.org:80"}, {"url": 3}, {"token": "a b"}, {"url": "file:///"}],
)
def test_an_owners_file_that_points_elsewhere_is_not_trusted(tmp_path, changes):
    store = embedded_store("x.db", tmp_path)
    publish(store, **changes)
    assert read_owner(store.owner_file) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null"])
def test_an_owners_file_that_is_none_is_not_read(tmp_path, text):
    store = embedded_store("x.db", tmp_path)
    store.owner_file.write_text(text)
    assert read_owner(store.owner_file) is None


def test_an_owner_that_answers_is_used_and_asked_once(server, tmp_path, make_reply):
    store = embedded_store("x.db", tmp_path)
    publish(store, url=server.url, token="own")
    server.replies(make_reply(body={"items": [], "next_cursor": None}))
    endpoint = Embedded(store)
    assert endpoint.address() == endpoint.address() == Address(server.url, "own")
    assert [seen.headers["authorization"] for seen in server.seen] == ["Bearer own"]


def test_many_threads_that_lost_the_owner_look_for_it_once(server, tmp_path, make_reply):
    store = embedded_store("x.db", tmp_path)
    publish(store, url=server.url, token="new")
    server.replies(make_reply(body={}))
    endpoint = Embedded(store)
    endpoint._found = lost = Address("http://127.0.0.1:1", "old")
    threads = [threading.Thread(target=endpoint.renew, args=(lost,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert endpoint.address() == Address(server.url, "new")
    assert len(server.seen) == 1


def test_without_leave_to_create_nothing_is_made(tmp_path):
    endpoint = Embedded(embedded_store("x.db", tmp_path), create=False)
    with pytest.raises(NotFound, match=r"no store at .*x\.db"):
        endpoint.address()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    endpoint = Embedded(embedded_store("file/x.db", tmp_path))
    with pytest.raises(DatabaseUnavailable, match="cannot be written"):
        endpoint.address()


def test_the_repr_of_a_client_starts_no_owner(tmp_path):
    client = Client(database_url=f"sqlite:///{tmp_path}/x.db")
    assert "x.db" in repr(client)
    assert list(tmp_path.iterdir()) == []


def test_a_function_made_on_the_spot_travels_by_value():
    factor = 3
    assert cloudpickle.loads(pickled(lambda trial: trial * factor))(2) == 6


def test_an_objective_that_cannot_travel_says_which_module_to_make():
    lock = threading.Lock()

    def train(trial):
        with lock:
            return 0.0

    with pytest.raises(Invalid, match=r"train cannot be sent.*objectives\.train"):
        pickled(train)
