"""Every attack, as one literal table. An attack blocks until its effect is over, except for what others are meant to recover from."""

import random
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.faults.children import Child

if TYPE_CHECKING:
    from tests.faults.run import Stack

Attack = Callable[["Stack", random.Random], None]

TAKEOVER_S = 4.0
"""Longer than the workers' session time-out: the partitions are somebody else's by then."""


def _worker_kill(stack: "Stack", rng: random.Random) -> None:
    rng.choice(stack.workers).kill()


def _worker_freeze(stack: "Stack", rng: random.Random) -> None:
    _freeze(rng.choice(stack.workers), rng.uniform(0.5, TAKEOVER_S + 3))


def _worker_zombie_alone(stack: "Stack", rng: random.Random) -> None:
    zombie, *rivals = rng.sample(stack.workers, len(stack.workers))
    zombie.signal(signal.SIGSTOP)
    time.sleep(TAKEOVER_S)
    stack.hold_restarts = True
    for rival in rivals:
        rival.kill()
    zombie.signal(signal.SIGCONT)
    time.sleep(1.5)
    stack.hold_restarts = False


def _rebalance_storm(stack: "Stack", rng: random.Random) -> None:
    for _ in range(rng.randint(2, 3)):
        extra = stack.new_worker()
        extra.start()
        time.sleep(rng.uniform(1.0, 2.5))
        if rng.random() < 0.5:
            extra.kill()
        else:
            extra.stop()


def _engine_kill(stack: "Stack", rng: random.Random) -> None:
    stack.engine.kill()
    time.sleep(rng.uniform(0, 2))
    stack.engine.start()


def _engine_freeze(stack: "Stack", rng: random.Random) -> None:
    _freeze(stack.engine, rng.uniform(0.5, 4))


def _kafka_kill(stack: "Stack", rng: random.Random) -> None:
    stack.kafka.kill()
    time.sleep(rng.uniform(0, 2))
    stack.kafka.start()


def _producer_kill(stack: "Stack", rng: random.Random) -> None:
    rng.choice(stack.producers).kill()


def _original_after_its_copy(stack: "Stack", rng: random.Random) -> None:
    """A producer dies while its envelopes wait in the network; its successor sends them again, past the proxy; then they land as well."""
    producer = rng.choice(stack.producers)
    stack.send_proxy.set("hold")
    time.sleep(rng.uniform(0.3, 1.0))
    producer.kill()
    producer.replace(stack.senders, stack.kafka.bootstrap_servers)
    producer.start()
    time.sleep(rng.uniform(2, 3))
    stack.send_proxy.set("pass")


def _senders_cut(stack: "Stack", rng: random.Random) -> None:
    """Envelopes arrive, their acknowledgements do not."""
    stack.send_proxy.set("swallow_answers")
    time.sleep(rng.uniform(0.2, 1.5))
    stack.send_proxy.cut()
    stack.send_proxy.set("pass")


def _insert_unconfirmed(stack: "Stack", rng: random.Random) -> None:
    stack.store_proxy.set("swallow_answers")
    time.sleep(rng.uniform(0.2, 1.5))
    stack.store_proxy.cut()
    stack.store_proxy.set("pass")


def _store_cut(stack: "Stack", rng: random.Random) -> None:
    for _ in range(rng.randint(1, 5)):
        stack.store_proxy.cut()
        time.sleep(rng.uniform(0.05, 0.4))


def _store_slow(stack: "Stack", rng: random.Random) -> None:
    stack.store_proxy.set("slow")
    time.sleep(rng.uniform(1, 3))
    stack.store_proxy.set("pass")


def _store_unreachable(stack: "Stack", rng: random.Random) -> None:
    stack.store_proxy.set("hold")
    time.sleep(rng.uniform(1, 5))
    stack.store_proxy.cut()
    stack.store_proxy.set("pass")


def _log_held(stack: "Stack", rng: random.Random) -> None:
    """Commits wait in the network while the session runs out, then land late, perhaps behind their successors."""
    stack.log_proxy.set("hold")
    time.sleep(rng.uniform(0.5, TAKEOVER_S + 2))
    stack.log_proxy.set("pass")


def _log_cut(stack: "Stack", rng: random.Random) -> None:
    for _ in range(rng.randint(1, 4)):
        stack.log_proxy.cut()
        time.sleep(rng.uniform(0.05, 0.5))


def _log_unconfirmed(stack: "Stack", rng: random.Random) -> None:
    stack.log_proxy.set("swallow_answers")
    time.sleep(rng.uniform(0.2, 2))
    stack.log_proxy.cut()
    stack.log_proxy.set("pass")


def _disk_full(stack: "Stack", rng: random.Random) -> None:
    """The engine sees a full disk. (It is not filled: chdb would acknowledge what it cannot write, see `engine/room.py`.)"""
    stack.engine.full.touch()
    time.sleep(rng.uniform(1, 3))
    stack.engine.full.unlink()


def _clock_ahead(stack: "Stack", rng: random.Random) -> None:
    _clock_jump(stack, rng, 7_200)


def _clock_behind(stack: "Stack", rng: random.Random) -> None:
    _clock_jump(stack, rng, -7_200)


def _clock_jump(stack: "Stack", rng: random.Random, seconds: int) -> None:
    """The clock of half of the workers, at least one, jumps and comes back."""
    workers = rng.sample(stack.workers, (len(stack.workers) + 1) // 2)
    for worker in workers:
        worker.clock.write_text(str(seconds))
    time.sleep(rng.uniform(1, 3))
    for worker in workers:
        worker.clock.unlink()


def _freeze(child: Child, seconds: float) -> None:
    child.signal(signal.SIGSTOP)
    time.sleep(seconds)
    child.signal(signal.SIGCONT)


ATTACKS: dict[str, Attack] = {
    "worker kill -9": _worker_kill,
    "worker frozen": _worker_freeze,
    "zombie whose rivals died": _worker_zombie_alone,
    "rebalance storm": _rebalance_storm,
    "engine kill -9": _engine_kill,
    "engine frozen": _engine_freeze,
    "kafka kill -9": _kafka_kill,
    "producer kill -9": _producer_kill,
    "original lands after its copy": _original_after_its_copy,
    "envelope stored, answer lost": _senders_cut,
    "insert applied, answer lost": _insert_unconfirmed,
    "store connections cut": _store_cut,
    "store slow": _store_slow,
    "store unreachable": _store_unreachable,
    "commit held in the network": _log_held,
    "disk full": _disk_full,
    "log connections cut": _log_cut,
    "commit applied, answer lost": _log_unconfirmed,
    "clock ahead and back": _clock_ahead,
    "clock behind and back": _clock_behind,
}
"""Every attack by its name."""
