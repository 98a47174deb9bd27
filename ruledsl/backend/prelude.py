"""What every kernel begins with: headers, sums, and elementwise functions that compilers can vectorise."""

from __future__ import annotations

PRELUDE = """#include <cstddef>
#include <cstdint>
#include <cstring>

typedef REAL real;

// What <cmath> and <memory> would give: reading these costs a quarter of a second for every kernel.
namespace plain {
static inline float exp(float x) { return __builtin_expf(x); }
static inline double exp(double x) { return __builtin_exp(x); }
static inline float log(float x) { return __builtin_logf(x); }
static inline double log(double x) { return __builtin_log(x); }
static inline float abs(float x) { return __builtin_fabsf(x); }
static inline double abs(double x) { return __builtin_fabs(x); }
static inline float sqrt(float x) { return __builtin_sqrtf(x); }
static inline double sqrt(double x) { return __builtin_sqrt(x); }
static inline float pow(float x, float y) { return __builtin_powf(x, y); }
static inline double pow(double x, double y) { return __builtin_pow(x, y); }
template <class T> struct owned {
  T* at = new T();
  ~owned() { delete at; }
};
}  // namespace plain
template <int N> struct bits_of { typedef uint32_t type; };
template <> struct bits_of<8> { typedef uint64_t type; };
template <int N> struct zeros_of { alignas(64) real at[N]; };
template <int N> struct ones_of {
  alignas(64) real at[(N + 15) / 16 * 16] = {};
  ones_of() { for (int i = 0; i < N; ++i) at[i] = 1; }
};

// As many numbers as a register holds. Sums over many are written with these: what compilers make of
// `omp simd reduction` without fast-math adds up the lanes one by one, through memory.
#if defined(__AVX512F__)
enum { WIDE = 64 / sizeof(real) };
#elif defined(__AVX__)
enum { WIDE = 32 / sizeof(real) };
#else
enum { WIDE = 16 / sizeof(real) };
#endif
template <int N> struct pack { typedef real of __attribute__((vector_size(N * sizeof(real)))); };
typedef pack<WIDE>::of wide;
// Signals lie at any address: through memcpy, as a compiler takes a template's argument for aligned.
template <class T> static inline T get(const real* p) { T m; std::memcpy(&m, p, sizeof m); return m; }
template <class T> static inline void put(real* p, T m) { std::memcpy(p, &m, sizeof m); }
template <int N = WIDE> static inline real total(typename pack<N>::of v) {
  if constexpr (N == 2) {
    return v[0] + v[1];
  } else {
    typename pack<N / 2>::of halves[2];
    std::memcpy(halves, &v, sizeof v);
    return total<N / 2>(halves[0] + halves[1]);
  }
}
// Totals of four. Where compilers know how to, in a third of the steps: what is left of each is moved beside
// what is left of the others, and is added up in the same order.
template <class V> static inline void totals(V a, V b, V c, V d, real* out) {
  out[0] = total(a); out[1] = total(b); out[2] = total(c); out[3] = total(d);
}
#ifdef __has_builtin
#if __has_builtin(__builtin_shufflevector)
#define PICK(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
typedef pack<4>::of four;
typedef pack<8>::of eight;
typedef pack<16>::of sixteen;
static inline void totals(eight a, eight b, eight c, eight d, real* out) {
  const eight ab = PICK(a, b, 0, 1, 2, 3, 8, 9, 10, 11) + PICK(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
  const eight cd = PICK(c, d, 0, 1, 2, 3, 8, 9, 10, 11) + PICK(c, d, 4, 5, 6, 7, 12, 13, 14, 15);
  const eight acbd = PICK(ab, cd, 0, 1, 8, 9, 4, 5, 12, 13) + PICK(ab, cd, 2, 3, 10, 11, 6, 7, 14, 15);
  const eight one = acbd + PICK(acbd, acbd, 1, 0, 3, 2, 5, 4, 7, 6);
  put<four>(out, PICK(one, one, 0, 4, 2, 6));
}
static inline void totals(sixteen a, sixteen b, sixteen c, sixteen d, real* out) {
  const sixteen ab = PICK(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23)
    + PICK(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
  const sixteen cd = PICK(c, d, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23)
    + PICK(c, d, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
  const sixteen abcd = PICK(ab, cd, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27)
    + PICK(ab, cd, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
  const sixteen two = abcd + PICK(abcd, abcd, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
  const sixteen one = two + PICK(two, two, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
  put<four>(out, PICK(one, one, 0, 4, 8, 12));
}
#endif
#endif
static inline void ahead(int n, const real* a) {
  for (int i = 0; i < n; i += 64 / sizeof(real)) __builtin_prefetch(a + i);
}
// Numbers of those that are not 0, and how many these are. By bits: a comparison minds NaN, and is slower.
__attribute__((noinline)) static int find_active(int n, const real* x, int* active) {
  int found = 0;
  for (int i = 0; i < n; ++i) {
    bits_of<sizeof(real)>::type bits;
    std::memcpy(&bits, x + i, sizeof bits);
    active[found] = i;
    found += (bits << 1) != 0;
  }
  return found;
}
__attribute__((noinline)) static real sum(int n, const real* a) {
  wide s = {};
  real rest = 0;
  int i = 0;
  for (; i + WIDE <= n; i += WIDE) s += get<wide>(a + i);
  for (; i < n; ++i) rest += a[i];
  return total(s) + rest;
}
__attribute__((noinline)) static real inner(int n, const real* a, const real* b) {
  wide s = {};
  real rest = 0;
  int i = 0;
  for (; i + WIDE <= n; i += WIDE) s += get<wide>(a + i) * get<wide>(b + i);
  for (; i < n; ++i) rest += a[i] * b[i];
  return total(s) + rest;
}

// Vectorises, unlike the library's: Cody and Waite's reduction and a polynomial good to 1 ulp or two.
static inline float fast_exp(float x) {
  const float inside = x < -104.0f ? -104.0f : x > 89.0f ? 89.0f : x;
  const float n = __builtin_nearbyintf(inside * 1.44269504088896341f);
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const int k = (int)(n > -126.0f ? (n < 127.0f ? n : 127.0f) : -126.0f);
  const int32_t bits = (k + 127) << 23;
  float scale;
  std::memcpy(&scale, &bits, sizeof scale);
  const float y = p * scale;
  const float low = x < -87.0f ? 0.0f : y;
  const float huge = x > 88.72f ? __builtin_inff() : 2.0f * p * 8.5070592e37f;
  const float high = x > 88.0f ? huge : low;
  return x != x ? x : high;
}
static inline double fast_exp(double x) { return plain::exp(x); }
// log(1 + t) for t from 0 to 1, likewise: beyond sqrt(2) - 1 it is log 2 + log(1 + (t - 1) / 2), exactly;
// then the series of Cephes.
static inline float fast_log1p(float t) {
  const bool halved = t > 0.41421356f;
  const float x = halved ? 0.5f * (t - 1.0f) : t;
  const float z = x * x;
  float y = 7.0376836292e-2f;
  y = y * x - 1.1514610310e-1f;
  y = y * x + 1.1676998740e-1f;
  y = y * x - 1.2420140846e-1f;
  y = y * x + 1.4249322787e-1f;
  y = y * x - 1.6668057665e-1f;
  y = y * x + 2.0000714765e-1f;
  y = y * x - 2.4999993993e-1f;
  y = y * x + 3.3333331174e-1f;
  y = y * x * z + (halved ? -2.12194440e-4f : 0.0f) - 0.5f * z;
  return x + y + (halved ? 0.693359375f : 0.0f);
}
static inline double fast_log1p(double t) { return __builtin_log1p(t); }
// tanh: the series of Cephes near 0, where 1 - 2 / (exp(2|x|) + 1) would lose digits.
static inline float fast_tanh(float x) {
  const float a = x < 0 ? -x : x, z = x * x;
  const float far = 1.0f - 2.0f / (fast_exp(2.0f * a) + 1.0f);
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  return a < 0.625f ? p * z * x + x : x < 0 ? -far : far;
}
static inline double fast_tanh(double x) { return __builtin_tanh(x); }
static inline real relu(real x) { return x > 0 ? x : (x != x ? x : real(0)); }
static inline real sign(real x) { return x > 0 ? real(1) : x < 0 ? real(-1) : x; }
// log(1 + exp(b z)) / b without overflow.
static inline real softplus(real z, real b) {
  const real s = b * z;
  return ((s > 0 ? s : (s != s ? s : real(0))) + fast_log1p(fast_exp(-plain::abs(s)))) / b;
}
static inline void softmax(int n, const real* z, real* y) {
  real top = z[0];
  for (int i = 1; i < n; ++i) top = z[i] > top ? z[i] : top;
  #pragma omp simd
  for (int i = 0; i < n; ++i) y[i] = fast_exp(z[i] - top);
  const real whole = sum(n, y);
  #pragma omp simd
  for (int i = 0; i < n; ++i) y[i] /= whole;
}
"""
