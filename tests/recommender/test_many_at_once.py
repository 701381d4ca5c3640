"""Many at once: threads that ask while others write and swap the model, children of a warm parent."""

import os
import signal
import sys
import threading
import time
import traceback
import warnings

import pytest

import engagelib as eg
from engagelib.availability import Availability
from engagelib.testing import random_log

ITEMS = [f"i{number:03d}" for number in range(30)]
N_READERS = 16
SECONDS = 3.0


@pytest.fixture
def published(tmp_path):
    """Two versions of a shop that no answer can mix up: the second knows twice the customers."""
    path = tmp_path / "shop.engage"
    first = eg.Recommender("item_knn").fit(random_log(items={"item_id": ITEMS}))
    second = eg.Recommender(["item_knn", "popularity"]).fit(random_log(rng=1, items={"item_id": ITEMS}))
    first.save(path)
    return path, first, second


def test_16_readers_see_only_what_some_state_could_give(published):
    """One thread observes, links and forgets, one turns availability over, one publishes and reloads.

    Each of them changes two things in one step. An answer that shows one without the other is of no state.
    """
    path, first, second = published
    shop = eg.load(path)
    shop.availability = Availability.from_frame({"item_id": ITEMS})
    shop.availability.update(["i001"], False)
    failures, counts, done = [], [0] * N_READERS, threading.Event()

    def check(number):
        pair = {"i000", "i001"}
        who = f"c{number:03d}"
        found = shop.recommend(who, k=30, exclude_seen="none", explain=number % 4 == 0)
        assert len(pair & set(found.item_ids)) == 1, f"both or neither of {pair}: {found}"
        assert len(found) == 29, found
        one_model = all(entry.source == "item_knn" for entry in found if entry.score > 0)
        assert one_model == (max(entry.score for entry in found) > 1), (
            "scores of one model and sources of two"
        )
        # Both of these were bought in one call, by somebody whom nobody knew.
        bought = {"i010", "i011"}
        left = bought - set(shop.recommend("newcomer", k=30, repeat=False).item_ids)
        assert len(left) in {0, 2}, f"half of an event: {left}"
        table = shop.recommend_many([who, "newcomer"], k=30, exclude_seen="none")
        assert len(pair & set(table.item_ids(0))) == 1
        assert pair & set(table.item_ids(0)) == pair & set(table.item_ids(1)), "two states in one batch"
        linked = [shop.recommend(name, k=30, repeat=False) for name in ("visitor", ("web", "visitor"))]
        assert all(len(found) >= 20 for found in linked)

    def read(number):
        try:
            while not done.is_set():
                check(number)
                counts[number] += 6
        except BaseException:
            failures.append(traceback.format_exc())
            done.set()

    def write():
        turn = 0
        while not done.is_set():
            turn += 1
            shop.observe([{"customer_id": "newcomer", "item_id": item} for item in ("i010", "i011")])
            shop.observe(
                {"customer_id": f"c{turn % 40:03d}", "item_id": ITEMS[turn % 30], "event_type": "view"}
            )
            shop.observe({"customer_id": ("web", "visitor"), "item_id": "i020"})
            shop.link("visitor", ("web", "visitor"))
            shop.forget("newcomer")
            shop.forget("visitor")

    def turn_over():
        turn = 0
        while not done.is_set():
            turn += 1
            shop.availability.update(["i000", "i001"], [turn % 2 == 0, turn % 2 == 1])
            if turn % 50 == 0:
                fresh = Availability.from_frame({"item_id": ITEMS})
                fresh.update(["i000"], False)
                shop.availability = fresh

    def publish():
        turn = 0
        while not done.is_set():
            turn += 1
            (second if turn % 2 else first).save(path)
            assert shop.reload()

    def guarded(work):
        try:
            work()
        except BaseException:
            failures.append(traceback.format_exc())
            done.set()

    threads = [threading.Thread(target=read, args=(number,)) for number in range(N_READERS)]
    threads += [threading.Thread(target=guarded, args=(work,)) for work in (write, turn_over, publish)]
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)  # threads take turns in the middle of everything
    try:
        for thread in threads:
            thread.start()
        done.wait(SECONDS)
    finally:
        done.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(switch)
    assert not failures, failures[0]
    assert sum(counts) > 100


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_four_children_of_a_warm_parent_serve(published):
    """A thread of the parent holds the lock at the moment of the fork, as a busy one may."""
    path, _, _ = published
    shop = eg.load(path)
    shop.availability = Availability.from_frame({"item_id": ITEMS})
    customers = shop.customers_.ids(range(30))
    expected = [shop.recommend(customer).to_records() for customer in customers]
    held, release = threading.Event(), threading.Event()

    def hold():
        with shop._lock, shop.availability._lock:
            held.set()
            release.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    children = []
    for _ in range(4):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of threads at a fork
            child = os.fork()
        if not child:
            _serve_and_leave(shop, customers, expected)
        children.append(child)
    try:
        codes = [_code_of(child) for child in children]
    finally:
        release.set()
        holder.join()
    assert codes == [0] * 4
    assert [shop.recommend(customer).to_records() for customer in customers] == expected


def _serve_and_leave(shop, customers, expected):
    """In a child: ask, write and ask again; leave without running what belongs to the parent."""
    code = 1
    try:
        for _ in range(5):
            assert [shop.recommend(customer).to_records() for customer in customers] == expected
        shop.recommend_many(None, k=5)
        shop.observe({"customer_id": customers[0], "item_id": expected[0][0]["item_id"]})
        assert expected[0][0]["item_id"] not in shop.recommend(customers[0], repeat=False).item_ids
        shop.link(customers[1], ("web", "x"))
        shop.forget(customers[2])
        shop.availability.update([expected[3][0]["item_id"]], False)
        assert expected[3][0]["item_id"] not in shop.recommend(customers[3]).item_ids
        shop.reload()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _code_of(child):
    """Wait for a child, and end one that hangs."""
    for _ in range(600):
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "it hung"
