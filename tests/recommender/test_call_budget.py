"""What one call may cost, counted in operations of the interpreter: these do not depend on the machine.

The work of the kernel is not counted here, and has benchmarks. What is counted is every bytecode instruction
that a call runs in Python, in whatever library: a sparse matrix of SciPy's made on the way costs hundreds of
them, and so does a loop over items.
"""

import sys

import pytest

import engagelib as eg
from engagelib import Recommender
from engagelib.scoring import implementation
from engagelib.testing import random_log

# A tenth more than counted: versions of Python differ in how they compile the same lines.
BUDGETS = {"item_knn": 3100, "ease": 3120, "als": 3720}

pytestmark = pytest.mark.skipif(
    implementation() != "native", reason="the reference does in Python what is counted here"
)


def operations(call):
    """Count the bytecode instructions that a call runs."""
    counted = 0

    def count(frame, event, _):
        nonlocal counted
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        counted += event == "opcode"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        call()
    finally:
        sys.settrace(before)
    return counted


@pytest.fixture(scope="module")
def log():
    return random_log(n_customers=300, n_items=400, n_events=15_000)


@pytest.fixture(scope="module", params=sorted(BUDGETS))
def recommender(request, log, tmp_path_factory):
    path = tmp_path_factory.mktemp("shop") / "shop.engage"
    Recommender(request.param).fit(log).save(path)
    return eg.load(path)


def test_the_counter_counts():
    def summed(numbers):
        total = 0
        for number in numbers:
            total += number
        return total

    few, many = (operations(lambda n=n: summed(range(n))) for n in (10, 110))
    assert 100 * 4 <= many - few <= 100 * 12


def test_a_plain_call_stays_within_its_budget(recommender):
    assert len(recommender.recommend("c003")) == 10
    assert recommender.recommend("c003").shortfall is None
    (model,) = recommender.models_
    assert operations(lambda: recommender.recommend("c003")) <= BUDGETS[model.name]


def test_another_customer_costs_the_same(recommender):
    counts = {
        operations(lambda customer=customer: recommender.recommend(customer))
        for customer in ("c007", "c011", "c019")
    }
    assert max(counts) <= BUDGETS[recommender.models_[0].name]


def test_a_longer_list_costs_what_its_items_cost(recommender):
    counts = []
    for k in (10, 50):
        recommender.recommend("c003", k=k)
        counts.append(operations(lambda k=k: recommender.recommend("c003", k=k)))
    assert counts[1] - counts[0] <= 40 * 90


def test_the_first_request_of_a_kind_alone_is_checked(recommender):
    recommender.recommend("c003", k=9)
    again = operations(lambda: recommender.recommend("c003", k=9))
    first = operations(lambda: recommender.recommend("c003", k=8))
    assert first > again + 300
