"""Run one command and write what it cost: `launch.py RESULT COMMAND…`, run with `python -I -S`.

The kernel counts the memory of a parent as part of the peak of a child that it starts, so the
parent has to be small: this one imports next to nothing, and stays under 10 MiB.
"""

import os
import sys
import time

result, command = sys.argv[1], sys.argv[2:]
start = time.perf_counter()
process = os.posix_spawnp(command[0], command, os.environ)
_, status, usage = os.wait4(process, 0)
seconds = time.perf_counter() - start
with open(result, "w") as file:
    file.write(f"{os.waitstatus_to_exitcode(status)} {seconds} {usage.ru_maxrss}")
