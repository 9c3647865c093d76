"""What of a machine is free: slots, CPU cores, GPUs and fractions of GPUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from tuner.worker.devices import VISIBLE, Gpu

# Fractions are meant as typed: 0.1 is a tenth, and ten of them are one.
_FINEST: Final = 10_000
ANY_CPUS: Final = 4096.0


@dataclass(frozen=True)
class Allocation:
    """What one trial has got.

    Args:
        cpus: Cores, for its threads.
        gpus: The GPUs it sees.
        share: The fraction of each GPU that is its own.
    """

    cpus: float
    gpus: tuple[Gpu, ...] = ()
    share: Fraction = Fraction(0)

    @property
    def env(self) -> dict[str, str]:
        """Environment variables that show the trial its devices and nothing else."""
        threads = str(max(1, int(self.cpus)))
        return {
            VISIBLE: ",".join(gpu.uuid for gpu in self.gpus),
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
        }


NOTHING: Final = Allocation(0)


class ResourcePool:
    """The resources of one worker; used from one thread at a time.

    Args:
        cpus: Cores that may be used.
        gpus: GPUs that may be used.
        slots: At most so many trials at the same time, even if cores would allow more; with more
            slots than cores, cores are shared. None: only cores and GPUs count.
    """

    def __init__(self, cpus: int, gpus: Sequence[Gpu] = (), slots: int | None = None) -> None:
        self._cpus = Fraction(max(cpus, slots or 0))
        self._gpus = tuple(gpus)
        self._slots = slots
        self._held: list[Allocation] = []

    @property
    def slots(self) -> int:
        """At most so many trials of one core run at the same time."""
        return int(self._cpus) if self._slots is None else self._slots

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """The GPUs, free or not."""
        return self._gpus

    def describe(self) -> list[dict[str, Any]]:
        """The devices as a worker registers them."""
        found = [
            {
                "name": f"cuda:{index}",
                "kind": "cuda",
                "uuid": gpu.uuid,
                "model": gpu.model,
                "memory_bytes": gpu.memory_bytes,
            }
            for index, gpu in enumerate(self._gpus)
        ]
        return found or [{"name": "cpu", "kind": "cpu"}]

    @property
    def is_idle(self) -> bool:
        """Whether everything is free."""
        return not self._held

    @property
    def free_slots(self) -> int:
        """How many trials of one core could still start."""
        left = self.slots - len(self._held)
        return max(0, min(left, int(self.free_cpus)) if self._slots is None else left)

    @property
    def free_cpus(self) -> float:
        """Cores that are free."""
        return float(self._cpus - sum(exact(a.cpus) for a in self._held))

    @property
    def free_gpus(self) -> float:
        """GPUs that a trial could get now: whole free ones, or the largest free fraction."""
        free = [self._free(gpu) for gpu in self._gpus]
        whole = sum(1 for share in free if share == 1)
        return float(whole or max(free, default=Fraction(0)))

    def try_allocate(self, resources: Mapping[str, Any] | None) -> Allocation | None:
        """Take what a trial needs, all or nothing; None if it is not free now.

        A trial that wants more cores than there are gets all of an idle machine, because no other
        time will suit it better.

        Args:
            resources: `{"gpus": …, "cpus": …}`; None: one core.
        """
        need = dict(resources or {})
        cpus, gpus = exact(need.get("cpus", 1)), exact(need.get("gpus", 0))
        if self._slots is not None and len(self._held) >= self._slots:
            return None
        if cpus > self._cpus and self.is_idle:
            cpus = self._cpus
        if cpus > exact(self.free_cpus):
            return None
        chosen = self._choose(gpus)
        if chosen is None:
            return None
        share = min(gpus, Fraction(1))
        allocation = Allocation(float(cpus), chosen, share)
        self._held.append(allocation)
        return allocation

    def release(self, allocation: Allocation) -> None:
        """Give back what a trial had."""
        # Two trials may hold equal amounts; it is this very one that goes.
        self._held = [held for held in self._held if held is not allocation]

    def could_ever_fit(self, resources: Mapping[str, Any]) -> bool:
        """Whether the machine has enough GPUs at all."""
        return exact(resources.get("gpus", 0)) <= len(self._gpus)

    def _choose(self, gpus: Fraction) -> tuple[Gpu, ...] | None:
        if gpus == 0:
            return ()
        if gpus >= 1:
            whole = [gpu for gpu in self._gpus if self._free(gpu) == 1]
            return tuple(whole[: int(gpus)]) if len(whole) >= gpus else None
        # The fullest GPU that still has room: whole ones stay free for trials that need them.
        fitting = [gpu for gpu in self._gpus if self._free(gpu) >= gpus]
        return (min(fitting, key=self._free),) if fitting else None

    def _free(self, gpu: Gpu) -> Fraction:
        return 1 - sum((a.share for a in self._held if gpu in a.gpus), Fraction(0))


def exact(amount: float) -> Fraction:
    """An amount as it was typed."""
    return Fraction(amount).limit_denominator(_FINEST)
