"""Providers as local HTTP servers, each built from its vendor's documents: `python -m testkit.providers`.

A request misbehaves when its prompt says so: `a fox [fault:reset]`, or `a fox [fault:unavailable:2]` for the first two
submits of that very prompt. What has no prompt takes the next fault given to `Simulator.next_faults`, or to
`POST /_simulator/faults` with `{"faults": ["html"]}`. `GET /_simulator/state` tells what became of all submits.
"""

from testkit.providers.faults import Fault
from testkit.providers.simulator import SimTask, Simulator

__all__ = ["Fault", "SimTask", "Simulator"]
