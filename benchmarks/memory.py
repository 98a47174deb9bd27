"""Peak memory of one run above the idle process, measured in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_SCRIPT = """
import sys, torch, ruledsl
from benchmarks import literal
from benchmarks.work import draw_work, small_theta
which, samples, name = sys.argv[1], int(sys.argv[2]), sys.argv[3]
torch.set_num_threads(1)
F = ruledsl.compile_rule(ruledsl.load(name))

def run(work):
    theta = small_theta(len(F.names), 1)
    if which == "literal":
        literal.meta_gradient(F.names, theta[0], work)
    else:
        assert ruledsl.meta_gradient(F, theta, work, engine="rebuild", backend=which).engine == "rebuild"

def status(key):
    return next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith(key))

run(draw_work(1, 2))  # libraries, kernels and allocators are in place: this is the idle process
work = draw_work(1, samples)
open("/proc/self/clear_refs", "w").write("5")
before = status("VmRSS")
run(work)
print(status("VmHWM") - before)
"""


def peak_megabytes(which: str, samples: int = 250, rule: str = "pool") -> float:
    """MiB that one meta-gradient adds to the process; `which` is literal, compiled or eager."""
    command = [sys.executable, "-c", _SCRIPT, which, str(samples), rule]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    return float(done.stdout)
