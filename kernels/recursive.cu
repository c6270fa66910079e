// The Gaussian of a large sigma along one axis: three pairs of poles each way, at the same cost for any sigma.
//
// A pair keeps y and its step d: d = decay * d - pull * y + x; y += d; result += level * y + slope * d. Each line is one
// thread's and goes through the CPU's operations in the CPU's order (src/heatgrid/cpu/recursive.py): the same bits.
//
// A block filters 32 lines. Its first warp counts, lane = line, on a tile of LENGTH places of them in shared memory; the
// other warps bring the next tile and take the last one away meanwhile. What the way forth leaves in `out` the way back
// reads there: three reads and two writes a cell.
#include "include/lines.cuh"

namespace heatgrid {

constexpr int MOVERS = 256;
constexpr int RUN = 64;  // places after which states near zero become zero, before they reach the denormal numbers

// States 3e-8 (float64: 1e-16) below this number vanish beside it.
HEATGRID_LEAF float calm(float v) { return (v + 1e-25f) + -1e-25f; }
HEATGRID_LEAF double calm(double v) { return (v + 1e-280) + -1e-280; }

// What three pairs remember of a line.
template <typename T>
struct States {
  T y[3];
  T d[3];

  // As if `level` had come for ever. pairs: 7 numbers a pair; the last is 1 / pull.
  HEATGRID_LEAF void start(const T* pairs, T level) {
    HEATGRID_UNROLL
    for (int i = 0; i < 3; ++i) {
      y[i] = mul_rn(pairs[i * 7 + 6], level);
      d[i] = T(0);
    }
  }
  HEATGRID_LEAF void calm_down() {
    HEATGRID_UNROLL
    for (int i = 0; i < 3; ++i) {
      y[i] = calm(y[i]);
      d[i] = calm(d[i]);
    }
  }
  HEATGRID_LEAF bool finite() const {
    bool all = true;
    HEATGRID_UNROLL
    for (int i = 0; i < 3; ++i) all = all && y[i] - y[i] == T(0) && d[i] - d[i] == T(0);
    return all;
  }
};

// A filter's numbers for one way, in registers.
template <typename T>
struct Way {
  T decay[3], pull[3], level[3], slope[3];

  // first: 2 for the way forth, 4 for the way back.
  HEATGRID_LEAF Way(const T* pairs, int first) {
    HEATGRID_UNROLL
    for (int i = 0; i < 3; ++i) {
      decay[i] = pairs[i * 7];
      pull[i] = pairs[i * 7 + 1];
      level[i] = pairs[i * 7 + first];
      slope[i] = pairs[i * 7 + first + 1];
    }
  }
  HEATGRID_LEAF void step(States<T>& s, T v) const {
    HEATGRID_UNROLL
    for (int i = 0; i < 3; ++i) s.d[i] = fused(decay[i], s.d[i], fused(pull[i], s.y[i], v));
    HEATGRID_UNROLL
    for (int i = 0; i < 3; ++i) s.y[i] = s.y[i] + s.d[i];
  }
  // sum: of the first pair's slope and step, and of all before.
  HEATGRID_LEAF T rest(const States<T>& s, T sum) const {
    sum = fused(level[0], s.y[0], sum);
    HEATGRID_UNROLL
    for (int i = 1; i < 3; ++i) sum = fused(level[i], s.y[i], fused(slope[i], s.d[i], sum));
    return sum;
  }
};

// One block's share of an image: the 32 lines from `line` on.
template <typename T, int LENGTH, bool ALONG>
struct Group {
  static constexpr int EACH = LENGTH * LINES / MOVERS;
  Lines lines;
  i32 line;

  HEATGRID_LEAF i64 place(int l, i32 at) const { return static_cast<i64>(line + l) * lines.pitch + at * lines.step; }

  // Places [from, from + LENGTH) of the lines. All loads of a thread are on their way before the first is stored.
  HEATGRID_LEAF void bring(const T* image, i32 from, i32 border, T* tile, int mover) const {
    T held[EACH];
    HEATGRID_UNROLL
    for (int e = 0; e < EACH; ++e) {
      const int t = mover + e * MOVERS;
      const int l = ALONG ? t / LENGTH : t % LINES;
      const i32 at = border_index(from + (ALONG ? t % LENGTH : t / LINES), lines.length, border);
      held[e] = at >= 0 && line + l < lines.count ? image[place(l, at)] : T(0);
    }
    HEATGRID_UNROLL
    for (int e = 0; e < EACH; ++e) {
      const int t = mover + e * MOVERS;
      tile[(ALONG ? t % LENGTH : t / LINES) * PITCH + (ALONG ? t / LENGTH : t % LINES)] = held[e];
    }
  }

  HEATGRID_LEAF void take(const T* tile, i32 from, T* image, int mover) const {
    HEATGRID_UNROLL
    for (int e = 0; e < EACH; ++e) {
      const int t = mover + e * MOVERS;
      const int r = ALONG ? t % LENGTH : t / LINES;
      const int l = ALONG ? t / LENGTH : t % LINES;
      if (from + r < lines.length && line + l < lines.count) image[place(l, from + r)] = tile[r * PITCH + l];
    }
  }

  // What lies `for ever` beyond place i, for the line of this lane.
  HEATGRID_LEAF T level(const T* image, i32 i, i32 border) const {
    const i32 at = border_index(i, lines.length, border);
    const int l = static_cast<int>(lane());
    return border == ZERO || line + l >= lines.count ? T(0) : image[place(l, at)];
  }
};

// wild: a number for each 32 lines; 1 where a number was not finite, which would reach every place: what is written for
// them then means nothing. far: places beyond the border that are run through before the first.
template <typename T, int LENGTH, bool ALONG>
HEATGRID_LEAF void recur(const T* values, T* out, const T* pairs, u32* wild, i32 border, i32 far, i64 images, i64 ny,
                         i64 nx) {
  HEATGRID_SHARED(T, tiles, 5 * LENGTH * PITCH);
  T* const halves = tiles + 2 * LENGTH * PITCH;
  const bool counts = threadIdx.x < WARP;
  const int mover = static_cast<int>(threadIdx.x) - static_cast<int>(WARP);
  Group<T, LENGTH, ALONG> group;
  group.lines = ALONG ? Lines{static_cast<i32>(ny), static_cast<i32>(nx), nx, 1}
                      : Lines{static_cast<i32>(nx), static_cast<i32>(ny), 1, nx};
  const i32 n = group.lines.length;
  const i32 across = (group.lines.count + LINES - 1) / LINES;
  const i32 inside = (n + LENGTH - 1) / LENGTH;
  for (i64 g = blockIdx.x; g < images * across; g += gridDim.x) {
    const T* const from = values + g / across * ny * nx;
    T* const to = out + g / across * ny * nx;
    group.line = static_cast<i32>(g % across) * LINES;
    States<T> states;

    // forth: tiles -before .. inside - 1, in a ring of three
    const Way<T> forth(pairs, 2);
    const i32 before = (far + LENGTH - 1) / LENGTH;
    if (counts) states.start(pairs, group.level(from, -far, border));
    for (i32 turn = 0; turn < before + inside + 2; ++turn) {
      if (counts) {
        const i32 base = (turn - 1 - before) * LENGTH;
        T* const tile = tiles + (turn + 2) % 3 * LENGTH * PITCH + lane();
        if (turn > 0 && base < 0) {
          for (i32 r = max(-far - base, 0); r < LENGTH; ++r) forth.step(states, tile[r * PITCH]);
        } else if (turn > 0 && base < n) {
          if (base % RUN == 0) states.calm_down();
          for (i32 r = 0; r < min(n - base, LENGTH); ++r) {
            forth.step(states, tile[r * PITCH]);
            tile[r * PITCH] = forth.rest(states, mul_rn(forth.slope[0], states.d[0]));
          }
        }
      } else {
        if (turn < before + inside) {
          group.bring(from, (turn - before) * LENGTH, border, tiles + turn % 3 * LENGTH * PITCH, mover);
        }
        if (turn >= 2 + before) {
          group.take(tiles + (turn + 1) % 3 * LENGTH * PITCH, (turn - 2 - before) * LENGTH, to, mover);
        }
      }
      __syncthreads();
    }
    if (counts) {
      const int bad = __any_sync(ALL_LANES, !states.finite());
      if (lane() == 0) wild[g] = bad != 0;
    }

    // back: tiles `top` .. 0; the values in a ring of two, what the way forth left and its sum in one of three
    const Way<T> back(pairs, 4);
    const i32 top = (n + far - 1) / LENGTH;
    if (counts) states.start(pairs, group.level(from, n - 1 + far, border));
    for (i32 turn = 0; turn <= top + 2; ++turn) {
      if (counts) {
        const i32 base = (top + 1 - turn) * LENGTH;
        if (turn > 0 && base >= 0) {
          const T* const tile = tiles + (turn + 1) % 2 * LENGTH * PITCH + lane();
          T* const half = halves + (turn + 2) % 3 * LENGTH * PITCH + lane();
          const i32 rows = max(min(n - base, LENGTH), 0);
          for (i32 r = min(n + far - base, LENGTH) - 1; r >= rows; --r) back.step(states, tile[r * PITCH]);
          if (rows > 0 && (base + rows == n || (base + LENGTH) % RUN == 0)) states.calm_down();
          for (i32 r = rows - 1; r >= 0; --r) {
            half[r * PITCH] = back.rest(states, fused(back.slope[0], states.d[0], half[r * PITCH]));
            back.step(states, tile[r * PITCH]);
          }
        }
      } else {
        if (turn <= top) {
          const i32 base = (top - turn) * LENGTH;
          group.bring(from, base, border, tiles + turn % 2 * LENGTH * PITCH, mover);
          if (base < n) group.bring(to, base, ZERO, halves + turn % 3 * LENGTH * PITCH, mover);
        }
        if (turn >= 2) group.take(halves + (turn + 1) % 3 * LENGTH * PITCH, (top + 2 - turn) * LENGTH, to, mover);
      }
      __syncthreads();
    }
  }
}

}  // namespace heatgrid

using heatgrid::i32;
using heatgrid::i64;
using heatgrid::u32;

extern "C" __global__ void __launch_bounds__(288, 2)
    recursive_down_f32(const float* values, float* out, const float* pairs, u32* wild, i32 border, i32 far, i64 images,
                       i64 ny, i64 nx) {
  heatgrid::recur<float, 32, false>(values, out, pairs, wild, border, far, images, ny, nx);
}

extern "C" __global__ void __launch_bounds__(288, 2)
    recursive_along_f32(const float* values, float* out, const float* pairs, u32* wild, i32 border, i32 far, i64 images,
                        i64 ny, i64 nx) {
  heatgrid::recur<float, 32, true>(values, out, pairs, wild, border, far, images, ny, nx);
}

extern "C" __global__ void __launch_bounds__(288, 2)
    recursive_down_f64(const double* values, double* out, const double* pairs, u32* wild, i32 border, i32 far,
                       i64 images, i64 ny, i64 nx) {
  heatgrid::recur<double, 32, false>(values, out, pairs, wild, border, far, images, ny, nx);
}

extern "C" __global__ void __launch_bounds__(288, 2)
    recursive_along_f64(const double* values, double* out, const double* pairs, u32* wild, i32 border, i32 far,
                        i64 images, i64 ny, i64 nx) {
  heatgrid::recur<double, 32, true>(values, out, pairs, wild, border, far, images, ny, nx);
}
