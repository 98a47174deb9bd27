"""Functions that kernels write themselves so that compilers can vectorise them, beside NumPy's in double."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from ruledsl.backend import PRELUDE, load_library

CALLED = """
extern "C" void called(int n, const real* x, real* y) {
  #pragma omp simd
  for (int i = 0; i < n; ++i) y[i] = FUNCTION;
}
"""
FUNCTIONS = {
    "fast_exp(x[i])": (np.exp, np.linspace(-80, 80, 100_001)),
    "fast_log1p(x[i])": (np.log1p, np.concatenate([np.linspace(0, 1, 100_001), np.logspace(-30, 0, 10_001)])),
    "fast_tanh(x[i])": (
        np.tanh,
        np.concatenate([np.linspace(-30, 30, 100_001), np.logspace(-30, 2, 10_001)]),
    ),
    "softplus(x[i], real(10))": (lambda x: np.logaddexp(0, 10 * x) / 10, np.linspace(-8, 8, 100_001)),
}


@pytest.mark.parametrize(("real", "kind"), [("float", np.float32), ("double", np.float64)])
@pytest.mark.parametrize("text", FUNCTIONS)
def test_a_function_of_the_prelude_is_right_to_the_last_digits(text: str, real: str, kind: type) -> None:
    call, points = FUNCTIONS[text]
    x = np.ascontiguousarray(points, dtype=kind)
    y = np.empty_like(x)
    code = PRELUDE.replace("REAL", real) + CALLED.replace("FUNCTION", text)
    pointers = (ctypes.c_void_p(a.ctypes.data) for a in (x, y))
    load_library(code).called(ctypes.c_int(len(x)), *pointers)
    true = call(x.astype(np.float64))
    error = np.abs(y - true) / np.maximum(np.abs(true), np.finfo(kind).tiny)
    # 10 x is rounded before its exponential is taken.
    rounded = 1 + 10 * np.abs(x) if "softplus" in text else 1
    assert (error / rounded).max() < 3 * np.finfo(kind).eps


SUMMED = """
extern "C" void summed(int n, const real* x, const real* y, real* found) {
  found[0] = sum(n, x);
  found[1] = inner(n, x, y);
}
extern "C" int together(const real* x, real* found) {
  wide lanes[4];
  for (int k = 0; k < 4; ++k) lanes[k] = get<wide>(x + k * WIDE);
  totals(lanes[0], lanes[1], lanes[2], lanes[3], found);
  for (int k = 0; k < 4; ++k) found[4 + k] = total(lanes[k]);
  return WIDE;
}
"""
ACTIVE = """
extern "C" int active(int n, const real* x, int* numbers) { return find_active(n, x, numbers); }
"""
NARROWER = {"all": "", "AVX": "#undef __AVX512F__\n", "less": "#undef __AVX512F__\n#undef __AVX__\n"}
"""What hides a processor's registers from the prelude: 64 bytes at most, then 32, then 16."""


@pytest.mark.parametrize(("real", "kind"), [("float", np.float32), ("double", np.float64)])
@pytest.mark.parametrize("registers", NARROWER)
def test_a_sum_has_every_number_once_however_wide_registers_are(
    registers: str, real: str, kind: type
) -> None:
    library = load_library(NARROWER[registers] + PRELUDE.replace("REAL", real) + SUMMED)
    for n in (0, 1, 3, 15, 16, 17, 31, 32, 100, 784):
        # Whole numbers: added up in any order they give the same to the bit.
        x, y = np.arange(1, n + 1, dtype=kind), np.arange(n, dtype=kind) % 7 - 3
        found = np.empty(2, dtype=kind)
        library.summed(ctypes.c_int(n), *(ctypes.c_void_p(a.ctypes.data) for a in (x, y, found)))
        assert list(found) == [x.sum(), (x * y).sum()]


@pytest.mark.parametrize(("real", "kind"), [("float", np.float32), ("double", np.float64)])
@pytest.mark.parametrize("registers", NARROWER)
def test_totals_of_four_are_the_totals_of_each_to_the_bit(registers: str, real: str, kind: type) -> None:
    library = load_library(NARROWER[registers] + PRELUDE.replace("REAL", real) + SUMMED)
    x = np.random.default_rng(0).standard_normal(64).astype(kind)
    found = np.empty(8, dtype=kind)
    lanes = library.together(*(ctypes.c_void_p(a.ctypes.data) for a in (x, found)))
    assert list(found[:4]) == list(found[4:])
    np.testing.assert_allclose(found[:4], x[: 4 * lanes].reshape(4, lanes).sum(1), rtol=1e-5)


@pytest.mark.parametrize(("real", "kind"), [("float", np.float32), ("double", np.float64)])
def test_active_inputs_are_all_that_are_not_zero(real: str, kind: type) -> None:
    x = np.array([0, 1, -0.0, np.nan, np.finfo(kind).smallest_subnormal, 0, -2, 0], dtype=kind)
    numbers = np.empty(len(x) + 1, dtype=np.int32)
    library = load_library(PRELUDE.replace("REAL", real) + ACTIVE)
    count = library.active(ctypes.c_int(len(x)), *(ctypes.c_void_p(a.ctypes.data) for a in (x, numbers)))
    assert list(numbers[:count]) == [1, 3, 4, 6]


@pytest.mark.parametrize("text", FUNCTIONS)
def test_nan_stays_nan(text: str) -> None:
    x = np.array([np.nan] * 16, dtype=np.float32)
    y = np.zeros_like(x)
    code = PRELUDE.replace("REAL", "float") + CALLED.replace("FUNCTION", text)
    load_library(code).called(ctypes.c_int(16), *(ctypes.c_void_p(a.ctypes.data) for a in (x, y)))
    assert np.isnan(y).all()
