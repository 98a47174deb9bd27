"""Memory bandwidth as this machine gives it: plain reads and read-and-writes of a working set, in GB/s."""

from __future__ import annotations

import ctypes
import time
from concurrent.futures import ThreadPoolExecutor

import torch

from ruledsl.backend import PRELUDE, load_library

_CODE = """
extern "C" float sweep_read(const float* p, size_t n, int times) {
  wide sums[4] = {};
  for (int t = 0; t < times; ++t)
    for (size_t i = 0; i + 4 * WIDE <= n; i += 4 * WIDE) {
      sums[0] += get<wide>(p + i);
      sums[1] += get<wide>(p + i + WIDE);
      sums[2] += get<wide>(p + i + 2 * WIDE);
      sums[3] += get<wide>(p + i + 3 * WIDE);
    }
  return total(sums[0] + sums[1] + sums[2] + sums[3]);
}
extern "C" void sweep_write(float* p, size_t n, int times) {
  for (int t = 0; t < times; ++t) {
    #pragma omp simd
    for (size_t i = 0; i < n; ++i) p[i] = p[i] * 0.999f + 1e-3f;
  }
}
"""


def measure(megabytes: float, threads: int) -> tuple[float, float]:
    """Bytes per second, all threads together, of reading and of reading and writing.

    Each thread sweeps a working set of its own of this size; a read-and-write counts twice its bytes.
    """
    library = load_library(PRELUDE.replace("REAL", "float") + _CODE)
    library.sweep_read.restype = ctypes.c_float
    count = int(megabytes * 1e6 / 4)
    data = [torch.rand(count) for _ in range(threads)]
    times = max(1, int(400 / megabytes))

    def run(function: object, tensor: torch.Tensor) -> None:
        function(ctypes.c_void_p(tensor.data_ptr()), ctypes.c_size_t(count), ctypes.c_int(times))  # type: ignore[operator]

    rates = []
    with ThreadPoolExecutor(threads) as pool:
        for function, factor in ((library.sweep_read, 1), (library.sweep_write, 2)):
            best = float("inf")
            for _ in range(4):
                started = time.perf_counter()
                list(pool.map(lambda tensor, f=function: run(f, tensor), data))
                best = min(best, time.perf_counter() - started)
            rates.append(threads * times * count * 4 * factor / best)
    return rates[0], rates[1]
