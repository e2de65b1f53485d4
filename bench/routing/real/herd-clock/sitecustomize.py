"""
Read by Python before the program begins (PYTHONPATH): ollama-herd as it is, with two differences.

Its clock runs BENCH_CLOCK_SPEED times as fast as that of the machine, as all clocks of layer two do. Dividing its
settings would not do: seconds that it measures are points of its score, and some of its times are no settings.

And mDNS, which it has no switch for, announces nothing: nobody outside has to hear of a bench.
"""

import os
import selectors
import sys
import time
import types

speed = float(os.environ["BENCH_CLOCK_SPEED"])


def faster(clock):
    begin = clock()
    return lambda: begin + speed * (clock() - begin)


# The event loop takes its time from here as well, and with it every timer and every limit.
time.time = faster(time.time)
time.monotonic = faster(time.monotonic)

# Where it waits for the next timer, the seconds are those of the machine.
wait = selectors.DefaultSelector.select
selectors.DefaultSelector.select = lambda self, timeout=None: wait(
    self, timeout / speed if timeout else timeout
)
# A loop in C with a clock of its own; without it the usual one is taken.
sys.modules["uvloop"] = None


class Silent:
    """Stands for everything that would announce or browse."""

    def __init__(self, *args, **named):
        pass

    async def async_register_service(self, *args, **named):
        pass

    async def async_close(self):
        pass


def module(name, **content):
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(content)


module(
    "zeroconf",
    BadTypeInNameException=type("BadTypeInNameException", (Exception,), {}),
    NamePartTooLongException=type("NamePartTooLongException", (Exception,), {}),
    ServiceStateChange=Silent,
)
module(
    "zeroconf.asyncio",
    AsyncServiceBrowser=Silent,
    AsyncServiceInfo=Silent,
    AsyncZeroconf=Silent,
)
