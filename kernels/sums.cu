// Rows summed by what they count for: each row has a code, and may have a session; equal ones become one.
//
// Points of many maps get the code map * cells + cell (place_points); scroll.cu gives the codes of its counters. Rows
// are then put in the order of (session, code) by sessions.cu, and a run of equal ones is summed by prefix sums over the
// lanes of a warp, which add the end of each run they hold: integers, so in any order the same.
//
// who: the session of a row, from 1 on, 0 for none; null where no row has one. amount: null for 1 each.
// run_count, sort_scan and run_sums share their blocks, each of `span` rows in a row. Fewer than 2^32 rows.
#include "include/cell.cuh"
#include "include/scan.cuh"

namespace heatgrid {

constexpr u32 LAYERS = 2;

// Whether another session or code begins at place p.
HEATGRID_LEAF bool begins(const u32* who, const i64* code, u64 p) {
  return p == 0 || code[p] != code[p - 1] || (who != nullptr && who[p] != who[p - 1]);
}

}  // namespace heatgrid

using heatgrid::Axis;
using heatgrid::i64;
using heatgrid::u32;
using heatgrid::u64;

// code of each point, who of those inside; `none` and 0 for all others, which tally counts: {outside, invalid} a layer,
// of which each has `of_layer` maps in turn. width: of the window of the row, or null; widest: the most of each map.
extern "C" __global__ void __launch_bounds__(256, 4)
    place_points(const u32* map, const u32* who, const double* x, const double* y, const u32* width, u64 n, Axis ax,
                 Axis ay, u32 of_layer, i64 none, i64* code, u32* who_out, u32* widest, u64* tally) {
  using namespace heatgrid;
  u32 outside[LAYERS] = {};
  u32 invalid[LAYERS] = {};
  for (u64 i = first_row(); i < n; i += row_stride()) {
    const u32 m = map[i];
    const i64 cell = quick_cell(x[i], y[i], ax, ay);
    const bool second = m / of_layer % LAYERS != 0;
    outside[0] += cell == OUTSIDE && !second;
    outside[1] += cell == OUTSIDE && second;
    invalid[0] += cell == INVALID && !second;
    invalid[1] += cell == INVALID && second;
    code[i] = cell >= 0 ? m * (ax.cells * ay.cells) + cell : none;
    who_out[i] = cell >= 0 ? who[i] : 0;
    if (cell >= 0 && width != nullptr && width[i] != 0) atomicMax(widest + m, width[i]);
  }
  for (u32 layer = 0; layer < LAYERS; ++layer) {
    add_sum(tally + 2 * layer, outside[layer]);
    add_sum(tally + 2 * layer + 1, invalid[layer]);
  }
}

// starts[b] += runs that begin in block b's rows.
extern "C" __global__ void __launch_bounds__(256)
    run_count(const u32* who, const i64* code, u64 n, u64 span, u32* starts) {
  using namespace heatgrid;
  const u64 start = blockIdx.x * span;
  const u64 end = start + span < n ? start + span : n;
  u32 runs = 0;
  for (u64 p = start + threadIdx.x; p < end; p += blockDim.x) runs += begins(who, code, p);
  runs = warp_sum(runs);
  if (lane() == 0 && runs != 0) atomicAdd(starts + blockIdx.x, runs);
}

// starts: runs before block b's. sums: 0 at first.
extern "C" __global__ void __launch_bounds__(256)
    run_sums(const u32* who, const i64* code, const i64* amount, u64 n, u64 span, const u32* starts, u32* who_out,
             i64* code_out, u64* sums) {
  using namespace heatgrid;
  HEATGRID_SHARED(u32, parts, WARP);
  const u64 start = blockIdx.x * span;
  const u64 end = start + span < n ? start + span : n;
  u32 before = starts[blockIdx.x];
  for (u64 base = start; base < end; base += blockDim.x) {
    const u64 p = base + threadIdx.x;
    const bool there = p < end;
    const bool first = there && begins(who, code, p);
    const u32 run = before + sum_before(first, parts) + first - 1;
    if (first) {
      code_out[run] = code[p];
      if (who != nullptr) who_out[run] = who[p];
    }
    // the sum from the lane where the run begins, or from the warp's first, up to this one
    const u32 firsts = __ballot_sync(ALL_LANES, first);
    const u32 lower = firsts & (0xffffffffu >> (WARP - 1 - lane()));
    const u32 from = lower == 0 ? 0 : WARP - 1 - static_cast<u32>(__clz(static_cast<int>(lower)));
    i64 sum = !there ? 0 : amount == nullptr ? 1 : amount[p];
    for (u32 step = 1; step < WARP; step *= 2) {
      const i64 other = __shfl_up_sync(ALL_LANES, sum, step);
      if (lane() >= from + step) sum += other;
    }
    const bool last = lane() == WARP - 1 || p + 1 >= end || (firsts >> (lane() + 1) & 1) != 0;
    if (there && last && sum != 0) atomicAdd(sums + run, static_cast<u64>(sum));
    u32 here = 0;
    for (u32 w = 0; w < blockDim.x / WARP; ++w) here += parts[w];
    before += here;
    __syncthreads();
  }
}
