// Points per cell.
//
// x, y: n points. group: codes of the map each point belongs to, or null; a code outside [0, groups) is outside.
// bits: one validity bitmap from bit bit_offset on, or null. Cells are numbered group * ny * nx + iy * nx + ix; a launch
// counts those in [first, first + room), room < 2^32 - 1, so that a grid larger than the device takes several launches.
// weight: what a point counts, or null for 1; below 0 the point is invalid. tally, or null: {outside, invalid}.
// Fewer than 2^32 points a launch. Everything is added to what is there.
//
// global    32-bit counters in device memory.
// shared    counters of `width` bits (8, 16, 32) in the block's shared memory, for grids that fit there, then added to
//           64-bit ones. Counters of one word are neighbours in no sense: word w holds cells w, w + words, w + 2 words.
// weighted  64-bit sums of integer weights; total is {their low, their high 32 bits, summed}.
#include "include/cell.cuh"
#include "include/warp.cuh"

namespace heatgrid {

constexpr u32 NO_CELL = 0xffffffffu;
constexpr int POINTS_AT_ONCE = 4;

struct Tally {
  u32 outside = 0;
  u32 invalid = 0;

  HEATGRID_LEAF void add_to(u64* tally) const {
    if (tally == nullptr) return;
    add_sum(tally, outside);
    add_sum(tally + 1, invalid);
  }
};

// What a launch counts: the points, and the part of the stack of maps.
template <typename T>
struct Job {
  const T* x;
  const T* y;
  const i32* group;
  const u8* bits;
  i64 bit_offset;
  u64 n;
  Axis ax;
  Axis ay;
  u64 groups;
  u64 first;
  u64 room;
  const i64* weight = nullptr;

  // The cell of point i in this launch's part; NO_CELL for all others, which the tally tells apart.
  HEATGRID_LEAF u32 cell_at(u64 i, T px, T py, Tally& tally) const {
    const bool valid = is_valid(bits, bit_offset + static_cast<i64>(i)) && (weight == nullptr || weight[i] >= 0);
    i64 cell = valid ? quick_cell(px, py, ax, ay) : INVALID;
    if (cell >= 0 && group != nullptr) {
      const i32 code = group[i];
      cell = code >= 0 && static_cast<u64>(code) < groups ? code * (ax.cells * ay.cells) + cell : OUTSIDE;
    }
    tally.outside += cell == OUTSIDE;
    tally.invalid += cell == INVALID;
    const u64 inside = static_cast<u64>(cell) - first;
    return cell >= 0 && inside < room ? static_cast<u32>(inside) : NO_CELL;
  }
};

// Calls add(point, cell) for every point, all lanes of a warp together; cell is NO_CELL for those that have none and
// for lanes behind the last point. The points at once are loaded before the first is looked at.
template <typename T, typename Add>
HEATGRID_LEAF void each_point(const Job<T>& job, Tally& tally, Add add) {
  const u64 stride = static_cast<u64>(gridDim.x) * blockDim.x;
  for (u64 base = static_cast<u64>(blockIdx.x) * blockDim.x; base < job.n; base += POINTS_AT_ONCE * stride) {
    T px[POINTS_AT_ONCE], py[POINTS_AT_ONCE];
    HEATGRID_UNROLL
    for (int k = 0; k < POINTS_AT_ONCE; ++k) {
      const u64 i = base + k * stride + threadIdx.x;
      px[k] = i < job.n ? job.x[i] : T(0);
      py[k] = i < job.n ? job.y[i] : T(0);
    }
    HEATGRID_UNROLL
    for (int k = 0; k < POINTS_AT_ONCE; ++k) {
      const u64 i = base + k * stride + threadIdx.x;
      add(i, i < job.n ? job.cell_at(i, px[k], py[k], tally) : NO_CELL);
    }
  }
}

// The lanes that want the same cell as lane 0 are counted by a ballot and added once: one warp whose points all fall on
// a hotspot makes one addition instead of 32 that wait for each other.
template <typename Put>
HEATGRID_LEAF void put_together(u32 cell, Put put) {
  const u32 leader = __shfl_sync(ALL_LANES, cell, 0);
  const u32 same = __ballot_sync(ALL_LANES, cell == leader);
  if (cell == NO_CELL) return;
  if (cell != leader) {
    put(cell, 1u);
  } else if (lane() == 0) {
    put(cell, static_cast<u32>(__popc(same)));
  }
}

template <typename T>
HEATGRID_LEAF void bin_global(const Job<T>& job, u32* counts, u64* tally) {
  Tally own;
  each_point(job, own, [&](u64, u32 cell) {
    put_together(cell, [&](u32 c, u32 k) { atomicAdd(counts + c, k); });
  });
  own.add_to(tally);
}

template <typename T>
HEATGRID_LEAF void bin_weighted(const Job<T>& job, u64* counts, u64* total, u64* tally) {
  Tally own;
  u64 low = 0;
  u64 high = 0;
  each_point(job, own, [&](u64 i, u32 cell) {
    if (cell == NO_CELL) return;
    const u64 w = static_cast<u64>(job.weight[i]);
    low += w & 0xffffffffu;
    high += w >> 32;
    if (w != 0) atomicAdd(counts + cell, w);
  });
  add_sum(total, low);
  add_sum(total + 1, high);
  own.add_to(tally);
}

// Narrow counters of a block, several to a word, in `copies` that the lanes of a warp take in turn.
struct Packed {
  u32* words_of_block;
  u32 cells;
  u32 words;
  u32 width;
  u32 copies;
  u32 stride;
  u64* counts;

  HEATGRID_LEAF u32 field_max() const { return 0xffffffffu >> (32 - width); }
  HEATGRID_LEAF u32 fields() const { return 32 / width; }
  HEATGRID_LEAF u32 field_of(u32 cell) const { return (cell >= words) + (cell >= 2 * words) + (cell >= 3 * words); }

  HEATGRID_LEAF void clear() const {
    for (u32 w = threadIdx.x; w < copies * stride; w += blockDim.x) words_of_block[w] = 0;
  }

  // A field that wraps leaves 2^width behind, and carries 1 into the next field of its word. Both are settled in the
  // 64-bit counters, where addition is exact in any order: this cell gains 2^width, the next field's cell loses the 1
  // that is not its own. So no counter is ever too narrow, whatever the threads between do.
  HEATGRID_LEAF void add(u32 cell, u32 k) const {
    u32 field = field_of(cell);
    const u32 word = cell - field * words;
    const u32 old = atomicAdd(words_of_block + lane() % copies * stride + word, k << (field * width));
    u32 in_field = old >> (field * width) & field_max();
    bool wraps = in_field > field_max() - k;
    while (wraps) {
      atomicAdd(counts + field * words + word, 1ull << width);
      if (++field == fields() || field * words + word >= cells) break;
      atomicAdd(counts + field * words + word, ~0ull);
      in_field = old >> (field * width) & field_max();
      wraps = in_field == field_max();
    }
  }

  HEATGRID_LEAF void flush() const {
    for (u32 cell = threadIdx.x; cell < cells; cell += blockDim.x) {
      const u32 field = field_of(cell);
      u64 sum = 0;
      for (u32 c = 0; c < copies; ++c) {
        sum += words_of_block[c * stride + cell - field * words] >> (field * width) & field_max();
      }
      if (sum != 0) atomicAdd(counts + cell, sum);
    }
  }
};

// Dynamic shared memory: copies * stride words, stride >= words = ceil(cells / (32 / width)).
template <typename T>
HEATGRID_LEAF void bin_shared(const Job<T>& job, u32 width, u32 copies, u32 stride, u64* counts, u64* tally) {
  HEATGRID_DYNAMIC_SHARED(u32, words_of_block);
  const u32 cells = static_cast<u32>(job.room);
  const u32 fields = 32 / width;
  const Packed own{words_of_block, cells, (cells + fields - 1) / fields, width, copies, stride, counts};
  own.clear();
  __syncthreads();
  Tally counted;
  each_point(job, counted, [&](u64, u32 cell) {
    put_together(cell, [&](u32 c, u32 k) { own.add(c, k); });
  });
  __syncthreads();
  own.flush();
  counted.add_to(tally);
}

}  // namespace heatgrid

using heatgrid::Axis;
using heatgrid::i32;
using heatgrid::i64;
using heatgrid::u32;
using heatgrid::u64;
using heatgrid::u8;

extern "C" __global__ void __launch_bounds__(256, 4)
    bin_f32_global(const float* x, const float* y, const i32* group, const u8* bits, i64 bit_offset, u64 n, Axis ax,
                   Axis ay, u64 groups, u64 first, u64 room, u32* counts, u64* tally) {
  heatgrid::bin_global<float>({x, y, group, bits, bit_offset, n, ax, ay, groups, first, room}, counts, tally);
}

extern "C" __global__ void __launch_bounds__(256, 4)
    bin_f64_global(const double* x, const double* y, const i32* group, const u8* bits, i64 bit_offset, u64 n, Axis ax,
                   Axis ay, u64 groups, u64 first, u64 room, u32* counts, u64* tally) {
  heatgrid::bin_global<double>({x, y, group, bits, bit_offset, n, ax, ay, groups, first, room}, counts, tally);
}

extern "C" __global__ void __launch_bounds__(256, 4)
    bin_f32_weighted(const float* x, const float* y, const i32* group, const u8* bits, i64 bit_offset, u64 n, Axis ax,
                     Axis ay, u64 groups, u64 first, u64 room, const i64* weight, u64* counts, u64* total,
                     u64* tally) {
  heatgrid::bin_weighted<float>({x, y, group, bits, bit_offset, n, ax, ay, groups, first, room, weight}, counts, total,
                                tally);
}

extern "C" __global__ void __launch_bounds__(256, 4)
    bin_f64_weighted(const double* x, const double* y, const i32* group, const u8* bits, i64 bit_offset, u64 n,
                     Axis ax, Axis ay, u64 groups, u64 first, u64 room, const i64* weight, u64* counts, u64* total,
                     u64* tally) {
  heatgrid::bin_weighted<double>({x, y, group, bits, bit_offset, n, ax, ay, groups, first, room, weight}, counts, total,
                                 tally);
}

extern "C" __global__ void __launch_bounds__(1024)
    bin_f32_shared(const float* x, const float* y, const i32* group, const u8* bits, i64 bit_offset, u64 n, Axis ax,
                   Axis ay, u64 groups, u64 first, u64 room, u32 width, u32 copies, u32 stride, u64* counts,
                   u64* tally) {
  heatgrid::bin_shared<float>({x, y, group, bits, bit_offset, n, ax, ay, groups, first, room}, width, copies, stride,
                              counts, tally);
}

extern "C" __global__ void __launch_bounds__(1024)
    bin_f64_shared(const double* x, const double* y, const i32* group, const u8* bits, i64 bit_offset, u64 n, Axis ax,
                   Axis ay, u64 groups, u64 first, u64 room, u32 width, u32 copies, u32 stride, u64* counts,
                   u64* tally) {
  heatgrid::bin_shared<double>({x, y, group, bits, bit_offset, n, ax, ay, groups, first, room}, width, copies, stride,
                               counts, tally);
}
