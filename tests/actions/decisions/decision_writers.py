"""Processes that write to one decision log: `python decision_writers.py CASE PATH`, run by the tests."""

import json
import os
import random
import signal
import sys
import threading
import time

from engagelib.actions.decisions import DecisionLog, DecisionRow
from engagelib.times import DAY, to_microseconds

START = to_microseconds("2024-01-01")


def killed(path, n_kills=50, n_writers=2):
    """Kill writers at random moments, again and again; print what they had acknowledged and what is there."""
    rng = random.Random(7)
    acknowledged, sound = [], True
    values = {}
    for _ in range(n_kills):
        pipes, children = [], []
        for writer in range(n_writers):
            out, into = os.pipe()
            child = os.fork()
            if not child:
                os.close(out)
                _write_forever(path, into, writer)
            os.close(into)
            pipes.append(out)
            children.append(child)
        time.sleep(rng.uniform(0.005, 0.04))
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)
        for pipe in pipes:
            with os.fdopen(pipe) as lines:
                for line in lines.read().split("\n")[:-1]:  # a last line may be cut short
                    decision_id, value = line.split()
                    if value == "-":
                        acknowledged.append(decision_id)
                    else:
                        values[decision_id] = float(value)
        with DecisionLog(path) as log:
            check, ids, outcomes = log.read_state(_what_is_there)
        sound &= check == [("ok",)]
        lost = [id_ for id_ in acknowledged if id_ not in ids]
        # What was written and not acknowledged may be there as well: values only rise.
        lost += [id_ for id_, value in values.items() if outcomes.get(id_, 0) < value]
        sound &= not lost
    sys.stdout.write(json.dumps({"sound": sound, "acknowledged": len(acknowledged), "outcomes": len(values)}))


def _what_is_there(connection):
    check = connection.execute("PRAGMA integrity_check").fetchall()
    ids = {id_ for (id_,) in connection.execute("SELECT decision_id FROM decisions")}
    rows = connection.execute(
        "SELECT decision_id, value FROM outcomes JOIN decisions ON decisions.number = decision "
        "ORDER BY outcomes.number"
    )
    return check, ids, dict(rows)


def _write_forever(path, into, writer):
    log = DecisionLog(path)
    number = 0
    while True:
        number += 1
        with log.deciding(number % 5) as step:
            step.contacts()
            decision_id = step.append(DecisionRow(number % 5, START + number, f"a{writer}", 0.5))
        os.write(into, f"{decision_id} -\n".encode())
        if number % 3 == 0:
            for value in (1.0, 2.0):
                log.record(decision_id, value)
                os.write(into, f"{decision_id} {value}\n".encode())


def fight(path, n_customers=150, cap=2):
    """Let two processes want the same last contacts; print how many each of them got."""
    DecisionLog(path).close()
    wins = []
    for writer in range(2):
        out, into = os.pipe()
        if not os.fork():
            log = DecisionLog(path)
            won = 0
            for _ in range(cap + 1):
                for customer in range(n_customers):
                    with log.deciding(customer) as step:
                        if len(step.contacts(START)) < cap:
                            step.append(DecisionRow(customer, START, f"a{writer}"))
                            won += 1
            os.write(into, str(won).encode())
            os._exit(0)
        os.close(into)
        wins.append(out)
    counts = []
    for pipe in wins:
        with os.fdopen(pipe) as text:
            counts.append(int(text.read()))
        os.wait()
    with DecisionLog(path) as log:
        most = [len(log.contacts(customer)) for customer in range(n_customers)]
    sys.stdout.write(json.dumps({"wins": counts, "contacts": most}))


def fork(path):
    """Fork while a thread writes, and inside a step; children write with connections of their own."""
    log = DecisionLog(path)
    log.append(DecisionRow(0, START, "a"))
    stop = threading.Event()
    n_by_thread = [0]

    def write():
        while not stop.is_set():
            log.append(DecisionRow(1, START, "a"))
            n_by_thread[0] += 1

    thread = threading.Thread(target=write)
    thread.start()
    children = []
    for _ in range(5):
        child = os.fork()
        if not child:
            fresh = log._connections._writer is None and log._connections._reader is None
            for _ in range(10):
                log.append(DecisionRow(2, START, "a"))
            if not fresh or len(log.contacts(2)) < 10:
                os._exit(1)
            sys.exit(0)  # through the interpreter's end, which frees what a module holds
        children.append(child)
    codes = [os.waitpid(child, 0)[1] for child in children]
    stop.set()
    thread.join()
    with log.deciding(3) as step:
        step.append(DecisionRow(3, START, "a"))
        child = os.fork()
        if not child:
            try:
                step.append(DecisionRow(3, START + DAY, "a"))
            except ValueError as error:
                told = "is over" in str(error)
            try:
                log.append(DecisionRow(3, START + DAY, "a"))
            except ValueError as error:
                os._exit(0 if told and "was inherited" in str(error) else 1)
            os._exit(2)
        codes.append(os.waitpid(child, 0)[1])
    counts = [len(log.contacts(customer)) for customer in range(4)]
    check = log.read_state(lambda c: c.execute("PRAGMA integrity_check").fetchall())
    result = {"codes": codes, "counts": counts, "thread": n_by_thread[0], "check": check[0][0]}
    sys.stdout.write(json.dumps(result))


def create(path, n=8):
    """Make one log in many processes at once."""
    children = []
    for _ in range(n):
        child = os.fork()
        if not child:
            DecisionLog(path).append(DecisionRow(0, START, "a"))
            os._exit(0)
        children.append(child)
    codes = [os.waitpid(child, 0)[1] for child in children]
    sys.stdout.write(json.dumps({"codes": codes, "n": len(DecisionLog(path))}))


if __name__ == "__main__":
    {"killed": killed, "fight": fight, "fork": fork, "create": create}[sys.argv[1]](sys.argv[2])
