// Batch normalisation of float32 tensors on the CPU: the formulas of norms/functional.py, with
// every tensor read and written in the order in which it lies in memory.
//
// What costs time here is memory, not arithmetic. Forward reads x twice and writes y; backward reads
// x and dy twice and writes dx. Statistics are taken chunk by chunk, about a shift near the data, and
// merged as (count, mean, M2) in float64 (Chan, Golub & LeVeque 1983). Large outputs go past the
// cache, which would read them before it writes them.
//
// Neither the number of threads nor the instructions that the CPU has change a bit. What is summed
// with what depends on the shape alone, sums have the same LANES whatever vectors there are, and no
// product is contracted with a sum (-ffp-contract=off): each operation rounds as IEEE 754 says.

// not ATen/ATen.h: all operators of torch take a fifth of the time of a compilation
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <tuple>
#include <type_traits>
#include <vector>
#if defined(__AVX__)
#include <immintrin.h>
#endif

namespace {

#if defined(__FAST_MATH__)
#error "sums are to keep their order: not with -ffast-math"
#endif
static_assert(FLT_EVAL_METHOD == 0, "a float operation is to round to float");

using at::Tensor;
using std::optional;
using Floats = std::vector<float>;

constexpr int64_t CHUNK = 1 << 16;   // values whose statistics are taken at once: 256 KB
constexpr int64_t RUN = 1 << 12;     // values of a channel that are summed in float32: many lanes,
constexpr int64_t ROWS = 1 << 8;     // or, where each channel has one lane, so many
constexpr int64_t STRIP = 1 << 4;    // rows that are read side by side: as many streams
constexpr int64_t LANES = 1 << 4;    // sums that run side by side over the values of a channel
constexpr int64_t LEAST = 1 << 4;    // values of a channel in a chunk, beside which sums are small
constexpr int64_t FIRST = 16;        // values of a channel whose mean is the shift
constexpr int64_t BLOCK = 1 << 9;    // values computed before they are written: 2 KB
constexpr int64_t STREAM = 1 << 21;  // outputs of so many values go past the cache: 8 MB

// Where a block of an output is computed: in its place, or aside and then streamed to its place.
class Writer {
 public:
  Writer(float* out, int64_t numel, int64_t block)
      : out(out), aside(numel < STREAM ? 0 : block) {}

  float* begin(int64_t start) { return aside.empty() ? out + start : aside.data(); }

  void end(int64_t start, int64_t n) {
    if (aside.empty()) return;
    const float* from = aside.data();
    float* to = out + start;
    int64_t i = 0;
#if defined(__AVX__)
    const auto off = reinterpret_cast<uintptr_t>(to) % 64 / 4;  // streaming stores are aligned
    i = std::min<int64_t>(n, off ? 16 - off : 0);
    std::memcpy(to, from, 4 * i);
    for (; i + 16 <= n; i += 16) {
#if defined(__AVX512F__)
      _mm512_stream_ps(to + i, _mm512_loadu_ps(from + i));
#else
      _mm256_stream_ps(to + i, _mm256_loadu_ps(from + i));
      _mm256_stream_ps(to + i + 8, _mm256_loadu_ps(from + i + 8));
#endif
    }
#endif
    std::memcpy(to + i, from + i, 4 * (n - i));
  }

  ~Writer() {
#if defined(__AVX__)
    if (!aside.empty()) _mm_sfence();  // streamed values are there before another thread looks
#endif
  }

 private:
  float* out;
  Floats aside;
};

// Values that follow each other, as many as a register of the CPU holds. Whatever lanes are added at
// once, each lane has the same sum.
#if defined(__AVX512F__)
constexpr int64_t WIDTH = 16;
#elif defined(__AVX__)
constexpr int64_t WIDTH = 8;
#else
constexpr int64_t WIDTH = 4;
#endif
typedef float Several __attribute__((vector_size(4 * WIDTH)));
static_assert(LANES % WIDTH == 0);

// Reads the value at a place, or, for `Several`, those from there on.
template <class V>
struct At {
  int64_t place;

  V operator()(const float* x) const {
    V values;
    std::memcpy(&values, x + place, sizeof values);
    return values;
  }
};

void store(Several values, float* to) { std::memcpy(to, &values, sizeof values); }

// What a value adds to the two sums that are taken at once.
template <class V>
struct Pair {
  V s, t;
};

// The sum of n lanes, by halves.
template <int64_t n>
float total(const float* lanes) {
  if constexpr (n == 1) {
    return *lanes;
  } else {
    float sums[n / 2];
    for (int64_t j = 0; j < n / 2; j++) sums[j] = lanes[j] + lanes[j + n / 2];
    return total<n / 2>(sums);
  }
}

// (N, C, S): the S values of a channel of a sample lie together, as in contiguous (N, C, H, W).
struct Planes {
  int64_t N, C, S;

  int64_t count() const { return N * S; }  // m
  int64_t samples() const {  // of a chunk
    return std::clamp<int64_t>(std::max(CHUNK / (C * S), LEAST / S), 1, N);
  }
  int64_t channels() const { return std::clamp<int64_t>(CHUNK / (samples() * S), 1, C); }
  int64_t chunks() const { return (N + samples() - 1) / samples(); }  // that a channel is in

  double first_mean(const float* x, int64_t c) const {
    return std::accumulate(x + c * S, x + c * S + std::min(S, FIRST), 0.0) / std::min(S, FIRST);
  }

  // f(k, c0, c1, n0, n1, count) for every chunk: the k-th of channels c0 to c1, samples n0 to n1
  template <class F>
  void each_chunk(F f) const {
    const int64_t across = (C + channels() - 1) / channels();
    at::parallel_for(0, chunks() * across, 1, [&](int64_t begin, int64_t end) {
      for (int64_t u = begin; u < end; u++) {
        const int64_t k = u / across, c0 = u % across * channels(), n0 = k * samples();
        const int64_t n1 = std::min(N, n0 + samples());
        f(k, c0, std::min(C, c0 + channels()), n0, n1, (n1 - n0) * S);
      }
    });
  }

  // s[c], t[c] += f(table(c), at) for every value of a chunk: c reads what a channel has, at x
  template <class T, class F>
  void sum(int64_t c0, int64_t c1, int64_t n0, int64_t n1, float* s, float* t, T table, F f) const {
    Floats lanes(2 * LANES * (c1 - c0));
    int64_t held = 0;  // values of a channel in its lanes
    for (int64_t n = n0; n < n1; n++) {
      held += S;
      const bool full = held >= RUN || n + 1 == n1;
      for (int64_t c = c0; c < c1; c++) {
        const auto channel = table(At<float>{c});
        float* a = &lanes[2 * LANES * (c - c0)];
        const int64_t end = (n * C + c + 1) * S;
        for (int64_t start = end - S; start < end; start += RUN) {
          const int64_t stop = std::min(end, start + RUN);
          add_to_lanes(channel, start, stop, a, f);
          if (full || stop < end) {
            s[c] += total<LANES>(a);
            t[c] += total<LANES>(a + LANES);
            for (int64_t j = 0; j < 2 * LANES; j += WIDTH) store(Several{}, a + j);
          }
        }
      }
      if (full) held = 0;
    }
  }

  template <class T, class F>
  void add_to_lanes(T channel, int64_t start, int64_t stop, float* lanes, F f) const {
    const int64_t whole = start + (stop - start) / LANES * LANES;
    for (int64_t k = 0; k < LANES && start < whole; k += WIDTH) {
      Several a = At<Several>{k}(lanes), b = At<Several>{LANES + k}(lanes);
      for (int64_t i = start + k; i < whole; i += LANES) {
        const auto pair = f(channel, At<Several>{i});
        a += pair.s;
        b += pair.t;
      }
      store(a, lanes + k);
      store(b, lanes + LANES + k);
    }
    for (int64_t j = 0; j < stop - whole; j++) {
      const auto pair = f(channel, At<float>{whole + j});
      lanes[j] += pair.s;
      lanes[LANES + j] += pair.t;
    }
  }

  // out[i] = f(table(c), at) for every value i, at which `at` reads
  template <class T, class F>
  void map(float* out, T table, F f) const {
    const int64_t group = std::clamp<int64_t>(BLOCK / S, 1, C), length = std::min(S, BLOCK);
    const int64_t across = (C + group - 1) / group;
    at::parallel_for(0, N * across, 16, [&](int64_t begin, int64_t end) {
      Writer writer(out, N * C * S, BLOCK);
      for (int64_t u = begin; u < end; u++) {
        const int64_t c0 = u % across * group, c1 = std::min(C, c0 + group);
        const int64_t first = (u / across * C + c0) * S;
        for (int64_t from = 0; from < S; from += length) {
          const int64_t start = first + from, width = std::min(length, S - from);
          float* block = writer.begin(start);
          for (int64_t c = c0; c < c1; c++) {
            const auto channel = table(At<float>{c});
            const int64_t plane = (c - c0) * S;
#pragma omp simd
            for (int64_t i = plane; i < plane + width; i++) {
              block[i] = f(channel, At<float>{start + i});
            }
          }
          writer.end(start, (c1 - c0 - 1) * S + width);
        }
      }
    });
  }
};

// (R, C): the values of all channels lie together, as in (N, C) and channels_last.
struct Rows {
  int64_t R, C, S;  // S rows are a sample

  int64_t count() const { return R; }
  int64_t rows() const { return std::clamp<int64_t>(CHUNK / C, LEAST, ROWS); }  // of a chunk
  int64_t chunks() const { return (R + rows() - 1) / rows(); }

  double first_mean(const float* x, int64_t c) const {
    double sum = 0;
    for (int64_t r = 0; r < std::min(S, FIRST); r++) sum += x[r * C + c];
    return sum / std::min(S, FIRST);
  }

  template <class F>
  void each_chunk(F f) const {
    at::parallel_for(0, chunks(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; k++) {
        const int64_t r0 = k * rows(), r1 = std::min(R, r0 + rows());
        f(k, 0, C, r0, r1, r1 - r0);
      }
    });
  }

  template <class T, class F>
  void sum(int64_t, int64_t, int64_t r0, int64_t r1, float* s, float* t, T table, F f) const {
    for (int64_t from = r0; from < r1; from += STRIP) {
      const int64_t to = std::min(r1, from + STRIP);
      int64_t c = 0;  // many channels at once, whose sums stay in registers
      for (; c + 4 * WIDTH <= C; c += 4 * WIDTH) sum_tile<Several, 4>(c, from, to, s, t, table, f);
      for (; c + WIDTH <= C; c += WIDTH) sum_tile<Several, 1>(c, from, to, s, t, table, f);
      for (; c < C; c++) sum_tile<float, 1>(c, from, to, s, t, table, f);
    }
  }

  template <class V, int width, class T, class F>
  void sum_tile(int64_t c0, int64_t r0, int64_t r1, float* s, float* t, T table, F f) const {
    constexpr int64_t step = sizeof(V) / 4;
    V a[width], b[width];
    std::memcpy(a, s + c0, sizeof a);
    std::memcpy(b, t + c0, sizeof b);
    for (int64_t r = r0; r < r1; r++) {
#pragma GCC unroll 4
      for (int64_t j = 0; j < width; j++) {
        const auto pair = f(table(At<V>{c0 + j * step}), At<V>{r * C + c0 + j * step});
        a[j] += pair.s;
        b[j] += pair.t;
      }
    }
    std::memcpy(s + c0, a, sizeof a);
    std::memcpy(t + c0, b, sizeof b);
  }

  template <class T, class F>
  void map(float* out, T table, F f) const {
    const int64_t group = std::max<int64_t>(1, BLOCK / C);
    at::parallel_for(0, (R + group - 1) / group, 16, [&](int64_t begin, int64_t end) {
      Writer writer(out, R * C, group * C);
      for (int64_t u = begin; u < end; u++) {
        const int64_t r0 = u * group, r1 = std::min(R, r0 + group);
        float* block = writer.begin(r0 * C);
        for (int64_t r = r0; r < r1; r++, block += C) {
#pragma omp simd
          for (int64_t c = 0; c < C; c++) {
            block[c] = f(table(At<float>{c}), At<float>{r * C + c});
          }
        }
        writer.end(r0 * C, (r1 - r0) * C);
      }
    });
  }
};

struct Moments {
  double count = 0, mean = 0, m2 = 0;

  void merge(const Moments& other) {
    const double total = count + other.count, delta = other.mean - mean;
    // an infinite mean stays one: inf - inf is nan
    mean = std::isfinite(delta) ? mean + delta * (other.count / total) : mean + other.mean;
    m2 += other.m2 + delta * delta * (count * other.count / total);
    count = total;
  }
};

// Pointers to what a channel has: gamma and beta, or null for 1 and 0, mu as shift + residual, or
// null for 0, and sigma2. What is made of them is rounded once.
struct Norm {
  const float *weight, *bias, *shift, *residual, *sigma2;
  double eps;

  double inv_std(int64_t c) const { return 1 / std::sqrt(sigma2[c] + eps); }
  double scale(int64_t c) const { return weight ? weight[c] * inv_std(c) : inv_std(c); }
  double offset(int64_t c) const {
    return (bias ? bias[c] : 0) - (residual ? residual[c] * scale(c) : 0);
  }
};

template <class V>
struct Mu {
  V shift, residual;
};

// Algorithm 1, lines 1 and 2. A chunk whose mean is far from the shift, by its own spread, has its
// sums taken about that mean once more.
template <class Layout>
void statistics(const Layout& layout, const float* x, float* shift, float* residual,
                float* sigma2) {
  const int64_t C = layout.C;
  for (int64_t c = 0; c < C; c++) {
    const auto first = static_cast<float>(layout.first_mean(x, c));
    shift[c] = std::isfinite(first) ? first : 0;
  }
  std::vector<Moments> parts(layout.chunks() * C);
  layout.each_chunk([&](int64_t k, int64_t c0, int64_t c1, int64_t n0, int64_t n1, double count) {
    Moments* part = &parts[k * C];
    Floats centre(C), sums(C), squares(C);
    const auto take_sums = [&] {
      std::fill(sums.begin(), sums.end(), 0);
      std::fill(squares.begin(), squares.end(), 0);
      layout.sum(
          c0, c1, n0, n1, sums.data(), squares.data(),
          [shift, r = centre.data()](auto c) { return Mu<decltype(c(r))>{c(shift), c(r)}; },
          [x](auto mu, auto at) {
            const auto d = at(x) - mu.shift - mu.residual;
            return Pair<decltype(at(x))>{d, d * d};
          });
      bool centred = true;
      for (int64_t c = c0; c < c1; c++) {
        const double mean = sums[c] / count, m2 = squares[c] - sums[c] * mean;
        part[c] = {count, centre[c] + mean, m2};
        centred &= m2 >= squares[c] / 4;
      }
      return centred;
    };
    if (!take_sums()) {
      for (int64_t c = c0; c < c1; c++) {
        const auto mean = static_cast<float>(part[c].mean);
        centre[c] = std::isfinite(mean) ? mean : 0;
      }
      take_sums();
    }
  });
  for (int64_t c = 0; c < C; c++) {
    Moments all = parts[c];
    for (int64_t k = 1; k < layout.chunks(); k++) all.merge(parts[k * C + c]);
    residual[c] = static_cast<float>(all.mean);
    sigma2[c] = static_cast<float>(all.m2 / all.count);
  }
}

// Lines 3 and 4: y = (x - shift) scale + offset.
template <bool relu, class Layout>
void normalise(const Layout& layout, const float* x, float* y, const Norm& norm) {
  Floats scale(layout.C), offset(layout.C);
  for (int64_t c = 0; c < layout.C; c++) {
    scale[c] = static_cast<float>(norm.scale(c));
    offset[c] = static_cast<float>(norm.offset(c));
  }
  struct Affine { float shift, scale, offset; };
  layout.map(
      y, [shift = norm.shift, a = scale.data(), b = offset.data()](auto c) {
        return Affine{c(shift), c(a), c(b)};
      },
      [x](Affine p, auto at) {
        const float y = (at(x) - p.shift) * p.scale + p.offset;
        return relu && y < 0 ? 0 : y;  // a NaN stays one
      });
}

template <class V>
struct Channel {
  V shift, residual, scale, offset, slope, level;
};

// The gradients at the end of section 3. With relu, dy counts where y > 0.
template <bool relu, class Layout>
void gradients(const Layout& layout, const float* dy, const float* x, float* dx, float* dgamma,
               float* dbeta, const Norm& norm) {
  const int64_t C = layout.C;
  Floats scale(C), offset(C), slope(C), level(C);
  for (int64_t c = 0; c < C; c++) {
    scale[c] = static_cast<float>(norm.scale(c));
    offset[c] = static_cast<float>(norm.offset(c));
  }
  const auto table = [shift = norm.shift, residual = norm.residual, a = scale.data(),
                      b = offset.data(), s = slope.data(), l = level.data()](auto c) {
    return Channel<decltype(c(s))>{c(shift), c(residual), c(a), c(b), c(s), c(l)};
  };
  const auto passed = [dy](auto p, auto at, auto shifted) {
    const auto g = at(dy);
    if constexpr (!relu) return g;
    // as torch's ReLU, also where y is a NaN
    return shifted * p.scale + p.offset <= 0 ? decltype(at(dy)){} : g;
  };
  Floats sums(layout.chunks() * C), dots(layout.chunks() * C);  // of dy and of dy (x - mu)
  layout.each_chunk([&](int64_t k, int64_t c0, int64_t c1, int64_t n0, int64_t n1, int64_t) {
    layout.sum(c0, c1, n0, n1, &sums[k * C], &dots[k * C], table,
               [=](auto p, auto at) {
                 const auto shifted = at(x) - p.shift, g = passed(p, at, shifted);
                 return Pair<decltype(at(x))>{g, g * (shifted - p.residual)};
               });
  });
  for (int64_t c = 0; c < C; c++) {
    double sum = 0, dot = 0;
    for (int64_t k = 0; k < layout.chunks(); k++) {
      sum += sums[k * C + c];
      dot += dots[k * C + c];
    }
    const double inv_std = norm.inv_std(c), m = layout.count();
    dbeta[c] = static_cast<float>(sum);
    dgamma[c] = static_cast<float>(dot * inv_std);
    slope[c] = static_cast<float>(-norm.scale(c) * inv_std * inv_std * dot / m);
    level[c] = static_cast<float>(-norm.scale(c) * sum / m);
  }
  layout.map(dx, table, [=](auto p, auto at) {
    const float shifted = at(x) - p.shift;
    return passed(p, at, shifted) * p.scale + ((shifted - p.residual) * p.slope + p.level);
  });
}

// Calls f with the layout of a non-empty x, and with relu as a type.
template <class F>
void dispatch(const Tensor& x, bool relu, F f) {
  const int64_t N = x.size(0), C = x.size(1), S = x.numel() / (N * C);
  const auto with = [&](auto layout) {
    relu ? f(layout, std::true_type{}) : f(layout, std::false_type{});
  };
  S > 1 && x.is_contiguous() ? with(Planes{N, C, S}) : with(Rows{N * S, C, S});
}

// The vectors of a call, dense and checked; they live as long as the pointers are used.
struct Vectors {
  Vectors(const Tensor& x, const optional<Tensor>& weight, const optional<Tensor>& bias)
      : weight(dense(x, weight)), bias(dense(x, bias)) {}

  static optional<Tensor> dense(const Tensor& x, const optional<Tensor>& vector) {
    if (!vector) return vector;
    TORCH_CHECK(vector->numel() == x.size(1) && vector->scalar_type() == at::kFloat &&
                    vector->device() == x.device(),
                "expected a float32 vector of ", x.size(1), " channels");
    return vector->contiguous();
  }

  static const float* data(const optional<Tensor>& vector) {
    return vector ? vector->const_data_ptr<float>() : nullptr;
  }

  Norm norm(const Tensor& shift, const optional<Tensor>& residual, const Tensor& sigma2,
            double eps) const {
    return {data(weight), data(bias), data(shift), data(residual), data(sigma2), eps};
  }

  const optional<Tensor> weight, bias;
};

void check(const Tensor& x) {
  TORCH_CHECK(x.dim() >= 2 && x.numel() > 0 && x.scalar_type() == at::kFloat &&
                  x.is_non_overlapping_and_dense(),
              "expected a dense float32 (N, C, *) with values");
}

using Four = std::tuple<Tensor, Tensor, Tensor, Tensor>;
using Three = std::tuple<Tensor, Tensor, Tensor>;

Four forward(const Tensor& x, const optional<Tensor>& weight, const optional<Tensor>& bias,
             double eps, bool relu) {
  check(x);
  const Vectors vectors(x, weight, bias);
  Tensor y = at::empty_like(x);
  Tensor shift = at::empty({x.size(1)}, x.options());
  Tensor residual = at::empty_like(shift), sigma2 = at::empty_like(shift);
  const Norm norm = vectors.norm(shift, residual, sigma2, eps);
  dispatch(x, relu, [&](auto layout, auto with_relu) {
    statistics(layout, x.const_data_ptr<float>(), shift.data_ptr<float>(),
               residual.data_ptr<float>(), sigma2.data_ptr<float>());
    normalise<with_relu.value>(layout, x.const_data_ptr<float>(), y.data_ptr<float>(), norm);
  });
  return {y, shift, residual, sigma2};
}

Tensor evaluate(const Tensor& x, const optional<Tensor>& weight, const optional<Tensor>& bias,
                const Tensor& mean, const Tensor& var, double eps, bool relu) {
  check(x);
  const Vectors vectors(x, weight, bias), fixed(x, mean, var);
  const Norm norm = vectors.norm(*fixed.weight, std::nullopt, *fixed.bias, eps);
  Tensor y = at::empty_like(x);
  dispatch(x, relu, [&](auto layout, auto with_relu) {
    normalise<with_relu.value>(layout, x.const_data_ptr<float>(), y.data_ptr<float>(), norm);
  });
  return y;
}

Three backward(const Tensor& dy, const Tensor& x, const optional<Tensor>& weight,
               const optional<Tensor>& bias, const Tensor& shift, const Tensor& residual,
               const Tensor& sigma2, double eps, bool relu) {
  check(x);
  check(dy);
  TORCH_CHECK(dy.strides() == x.strides() && dy.sizes() == x.sizes(), "expected dy laid out as x");
  const Vectors vectors(x, weight, bias), mu(x, shift, residual), spread(x, sigma2, std::nullopt);
  const Norm norm = vectors.norm(*mu.weight, mu.bias, *spread.weight, eps);
  Tensor dx = at::empty_like(x), dgamma = at::empty({x.size(1)}, x.options());
  Tensor dbeta = at::empty_like(dgamma);
  dispatch(x, relu, [&](auto layout, auto with_relu) {
    gradients<with_relu.value>(layout, dy.const_data_ptr<float>(), x.const_data_ptr<float>(),
                               dx.data_ptr<float>(), dgamma.data_ptr<float>(),
                               dbeta.data_ptr<float>(), norm);
  });
  return {dx, dgamma, dbeta};
}

// What a tracer that has shapes but no values is told.
Tensor vector_of(const Tensor& x) { return at::empty_symint({x.sym_size(1)}, x.options()); }

Four shapes_forward(const Tensor& x, const optional<Tensor>&, const optional<Tensor>&, double,
                    bool) {
  return {at::empty_like(x), vector_of(x), vector_of(x), vector_of(x)};
}

Tensor shape_evaluate(const Tensor& x, const optional<Tensor>&, const optional<Tensor>&,
                      const Tensor&, const Tensor&, double, bool) {
  return at::empty_like(x);
}

Three shapes_backward(const Tensor&, const Tensor& x, const optional<Tensor>&,
                      const optional<Tensor>&, const Tensor&, const Tensor&, const Tensor&, double,
                      bool) {
  return {at::empty_like(x), vector_of(x), vector_of(x)};
}

}  // namespace

TORCH_LIBRARY(bnbench, library) {
  library.def("forward(Tensor x, Tensor? weight, Tensor? bias, float eps, bool relu)"
              " -> (Tensor y, Tensor shift, Tensor residual, Tensor sigma2)");
  library.def("evaluate(Tensor x, Tensor? weight, Tensor? bias, Tensor mean, Tensor var, float eps,"
              " bool relu) -> Tensor");
  library.def("backward(Tensor dy, Tensor x, Tensor? weight, Tensor? bias, Tensor shift,"
              " Tensor residual, Tensor sigma2, float eps, bool relu)"
              " -> (Tensor dx, Tensor dgamma, Tensor dbeta)");
}

TORCH_LIBRARY_IMPL(bnbench, CPU, library) {
  library.impl("forward", forward);
  library.impl("evaluate", evaluate);
  library.impl("backward", backward);
}

TORCH_LIBRARY_IMPL(bnbench, Meta, library) {
  library.impl("forward", shapes_forward);
  library.impl("evaluate", shape_evaluate);
  library.impl("backward", shapes_backward);
}
