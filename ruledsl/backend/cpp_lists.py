"""Passes over a matrix whose products are known only when the code runs.

Of a library of terms a run has a few. What the others would need is left out at run time: products come in
lists, and a block of rows, which stays in the first cache, is met by a few of a list at a time. With two
dozen products at once, as `cpp_passes` would have it, no registers were left for the rows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ruledsl.backend.cpp_passes import Change, Forms, Pass

ROW_BLOCK = 4
"""Rows that are read together: with six, as in `cpp_passes`, a library takes a little longer."""
AT_ONCE = 6
"""Products of a list that meet a block of rows in one go."""
IN_ONE_GO = 12
"""Products of a pass up to which it is quicker without lists, where a run has them all: for sixteen there are
too few registers, and it is not."""
LISTS_OPTIMISED = '#pragma GCC optimize("O2")\n'
"""What the unit with `printed_lists` begins with: there -O2 saves an eighth of a library's time. In the rest
of its code, which takes longest to compile, it saves none."""


@dataclass
class ListPass(Pass):
    """As `Pass`, but products are met from lists, of which those are on that a run has."""

    @property
    def room(self) -> int:
        """The longest that a list of it can be."""
        kinds = [c.kind for c in self.consumers]
        changes = [len(self.change.pairs)] if self.change else []
        return max([*map(kinds.count, kinds), *changes])

    def print_either(self, forms: Forms) -> list[str]:
        """C++ lines: in one go where a run has all products, if these are few, else by lists."""
        whens = dict.fromkeys(
            (*(self.change.whens if self.change else ()), *(c.when for c in self.consumers))
        )
        products = len(self.consumers) + (len(self.change.pairs) if self.change else 0)
        if products > IN_ONE_GO:
            return self.print(forms)
        every = " && ".join(when for when in whens if when)
        if not every:
            return super().print(forms)
        return [f"if ({every}) {{", *super().print(forms), "} else {", *self.print(forms), "}"]

    def print(self, forms: Forms) -> list[str]:
        """C++ lines, in a block of their own."""
        rows, stride = self.shape.rows, self.shape.stride
        reach = stride if self.is_whole else self.shape.columns
        numbers, count = (self.some.numbers, self.some.count) if self.some else ("nullptr", str(rows))
        lines = [f"Lists all({self.matrix}, {rows}, {reach}, {stride}, {numbers}, {count});"]
        if self.change:
            lines += _listed(self.change)
        for consumer in self.consumers:
            out = f"&{consumer.out}" if consumer.kind == "dot" else consumer.out
            lines.append(_guarded(consumer.when, f"all.{consumer.kind}({consumer.operand}, {out});"))
        return ["{", *(f"  {line}" for line in lines), "  all.pass();", "}", *self.gaps()]


def _listed(change: Change) -> list[str]:
    lines = ["all.undo = true;"] if change.kind == "undo" else []
    if change.factor:
        lines.append(f"all.kappa = {change.factor};")
    pairs = zip(change.pairs, change.whens or ("",) * len(change.pairs), strict=True)
    return [*lines, *(_guarded(when, f"all.pair({u}, {v});") for (u, v), when in pairs)]


def _guarded(when: str, line: str) -> str:
    return f"if ({when}) {line}" if when else line


_HEAD = """
struct Lists {
  real* const matrix; const int rows, reach, stride; const int* const numbers; const int count;
  bool undo = false; real kappa = 0;
  int pairs = 0, matvecs = 0, rmatvecs = 0, dots = 0;
  const real *u[ROOM], *v[ROOM], *x[ROOM], *y[ROOM], *other[ROOM];
  real *z[ROOM], *o[ROOM], *sums[ROOM];
  Lists(real* matrix, int rows, int reach, int stride, const int* numbers, int count)
    : matrix(matrix), rows(rows), reach(reach), stride(stride), numbers(numbers), count(count) {}
  void pair(const real* left, const real* right) { u[pairs] = left; v[pairs++] = right; }
  void matvec(const real* operand, real* out) {
    x[matvecs] = operand; z[matvecs++] = out;
    if (numbers) std::memset(out, 0, rows * sizeof(real));
  }
  void rmatvec(const real* operand, real* out) {
    y[rmatvecs] = operand; o[rmatvecs++] = out;
    std::memset(out, 0, reach * sizeof(real));
  }
  void dot(const real* operand, real* out) { other[dots] = operand; sums[dots++] = out; *out = 0; }
  template <int B> void block(int j);
  template <int B> void change(const int* r, real* const* p);
  __attribute__((visibility("hidden"))) void pass();
};
"""
_CODE = """
#define ALL(i, N) _Pragma("GCC unroll 16") for (int i = 0; i < N; ++i)
// What stores to a matrix cannot change, and registers can hold.
#define KEPT(T, own, given, N) T own[N + 1]; ALL(i, N) own[i] = given[i];
// Of K vectors, the entries that B rows r meet.
#define MET(own, given) real own[K * B + 1]; ALL(k, K) { ALL(b, B) own[k * B + b] = given[k][r[b]]; }

template <int B> static inline void totals_of(const wide* a, real* out) {
  if constexpr (B == 4) totals(a[0], a[1], a[2], a[3], out);
  else ALL(b, B) out[b] = total(a[b]);
}

// B rows p, of n numbers each, are met by K products. Loops are over whole lanes, then over what is left.
template <int B, int K, bool UNDO, bool SCALED> struct Change {
  template <class T> static inline void one(real* const* p, int i, real kappa, const real* u,
                                            const real* const* v) {
    T met[K + 1]; // before anything is stored, which may lie in the way for all that a compiler knows
    ALL(k, K) met[k] = get<T>(v[k] + i);
    ALL(b, B) {
      const T m = get<T>(p[b] + i);
      T sum = SCALED && !UNDO ? kappa * m : T();
      ALL(k, K) sum += u[k * B + b] * met[k];
      const T before = m - sum;
      put<T>(p[b] + i, !UNDO ? m + sum : SCALED ? before + kappa * before : before);
    }
  }
  static void of(real* const* rows, int n, const int* r, real kappa, const real* const* left,
                 const real* const* right) {
    KEPT(real*, p, rows, B) MET(u, left) KEPT(const real*, v, right, K)
    int i = 0;
    for (; i + WIDE <= n; i += WIDE) one<wide>(p, i, kappa, u, v);
    for (; i < n; ++i) one<real>(p, i, kappa, u, v);
  }
};
template <int B, int K> struct Matvec {
  static void of(real* const* rows, int n, const int* r, const real* const* right, real* const* out) {
    KEPT(real*, p, rows, B) KEPT(const real*, x, right, K)
    wide a[K * B] = {};
    real z[K * B];
    int i = 0;
    for (; i + WIDE <= n; i += WIDE)
      ALL(k, K) { ALL(b, B) a[k * B + b] += get<wide>(p[b] + i) * get<wide>(x[k] + i); }
    ALL(k, K) totals_of<B>(a + k * B, z + k * B);
    for (; i < n; ++i) ALL(k, K) { ALL(b, B) z[k * B + b] += p[b][i] * x[k][i]; }
    ALL(k, K) { ALL(b, B) out[k][r[b]] = z[k * B + b]; }
  }
};
template <int B, int K> struct Rmatvec {
  template <class T> static inline void one(real* const* p, int i, const real* y, real* const* o) {
    T m[B];
    ALL(b, B) m[b] = get<T>(p[b] + i);
    ALL(k, K) {
      T sum = get<T>(o[k] + i);
      ALL(b, B) sum += y[k * B + b] * m[b];
      put<T>(o[k] + i, sum);
    }
  }
  static void of(real* const* rows, int n, const int* r, const real* const* left, real* const* out) {
    KEPT(real*, p, rows, B) MET(y, left) KEPT(real*, o, out, K)
    int i = 0;
    for (; i + WIDE <= n; i += WIDE) one<wide>(p, i, y, o);
    for (; i < n; ++i) one<real>(p, i, y, o);
  }
};
template <int B> static real product(real* const* rows, const real* const* others, int n) {
  KEPT(real*, p, rows, B) KEPT(const real*, q, others, B)
  wide a[B] = {};
  int i = 0;
  for (; i + WIDE <= n; i += WIDE) ALL(b, B) a[b] += get<wide>(p[b] + i) * get<wide>(q[b] + i);
  real sum = 0;
  ALL(b, B) sum += total(a[b]);
  for (; i < n; ++i) ALL(b, B) sum += p[b][i] * q[b][i];
  return sum;
}

template <int B> void Lists::block(int j) {
  int r[B]; real* p[B];
  ALL(b, B) {
    r[b] = numbers ? numbers[j + b] : j + b;
    p[b] = matrix + (size_t)r[b] * stride;
  }
  if (pairs || kappa != 0) change<B>(r, p);
  for (int k = 0; k < matvecs; k += AT_ONCE) SOME(matvecs, Matvec)::of(p, reach, r, x + k, z + k);
  for (int k = 0; k < rmatvecs; k += AT_ONCE) SOME(rmatvecs, Rmatvec)::of(p, reach, r, y + k, o + k);
  for (int k = 0; k < dots; ++k) {
    const real* q[B];
    ALL(b, B) q[b] = other[k] + (size_t)r[b] * stride;
    *sums[k] += product<B>(p, q, reach);
  }
}
template <int B> void Lists::change(const int* r, real* const* p) {
  const int scaling = undo && pairs ? (pairs - 1) / AT_ONCE * AT_ONCE : 0;
  for (int k = 0; k == 0 || k < pairs; k += AT_ONCE) {
    const bool scaled = kappa != 0 && k == scaling;
    if (undo && scaled) SOME(pairs, UndoScaled)::of(p, reach, r, kappa, u + k, v + k);
    else if (undo) SOME(pairs, Undo)::of(p, reach, r, kappa, u + k, v + k);
    else if (scaled) SOME(pairs, ApplyScaled)::of(p, reach, r, kappa, u + k, v + k);
    else SOME(pairs, Apply)::of(p, reach, r, kappa, u + k, v + k);
  }
}
void Lists::pass() {
  if (pairs + matvecs + rmatvecs + dots == 0 && kappa == 0) return;
  int j = 0;
  for (; j + ROW_BLOCK <= count; j += ROW_BLOCK) block<ROW_BLOCK>(j);
  for (; j < count; ++j) block<1>(j);
}
"""


def _of_some(code: str) -> str:
    """`SOME(count, Name)::of(…)` as a choice by how many of `count` there are from k on."""
    forms = {
        "Apply": "Change<B, {}, false, false>", "ApplyScaled": "Change<B, {}, false, true>",
        "Undo": "Change<B, {}, true, false>", "UndoScaled": "Change<B, {}, true, true>",
    }  # fmt: skip

    def chosen(match: re.Match[str]) -> str:
        count, name, call = match.groups()
        lowest = 0 if name.endswith("Scaled") else 1
        form = forms.get(name, name + "<B, {}>")
        cases = [f"case {n}: {form.format(n)}::of{call}; break;" for n in range(lowest, AT_ONCE)]
        cases.append(f"default: {form.format(AT_ONCE)}::of{call};")
        return f"switch ({count} - k) {{ {' '.join(cases)} }}"

    return re.sub(r"SOME\((\w+), (\w+)\)::of(\(.*\));", chosen, code)


def declared_lists(room: int) -> str:
    """What every unit of a library's code begins with, after the prelude. `room`: the longest list of all its
    passes."""
    return _HEAD.replace("ROOM", str(room))


def printed_lists() -> str:
    """The code of passes, for one unit."""
    return _of_some(_CODE).replace("ROW_BLOCK", str(ROW_BLOCK)).replace("AT_ONCE", str(AT_ONCE))
