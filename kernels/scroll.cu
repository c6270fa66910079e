// Scroll and attention: what each logged row adds to which counters, for sums.cu to add up.
//
// log: n rows of 8 doubles, 2 * key + what first. A stay (what 0): first band, band behind the last, ms. An ended view
// (what 1): reach, fold, page height, deepest scroll, tallest and last window, and the band that its session had reached
// before (-1: none). All of them whole numbers below 2^53 or px.
//
// Attention is a difference array, sorted: a stay adds its ms at its first band and takes them away behind its last; the
// sum of all bands before is the time that a band was in the window. Reach is a histogram of each view's furthest band,
// and of each session's: one that reaches farther moves.
#include "include/scroll.cuh"
#include "include/warp.cuh"

namespace heatgrid {

constexpr int COUNTERS = 8;

// Up to COUNTERS counters of one row, a row's k-th at [k * n + i].
struct Adds {
  i64* code;
  i64* amount;
  u64 n;
  u64 row;
  u32 k;

  HEATGRID_LEAF void add(i64 counter, i64 by) {
    code[k * n + row] = counter;
    amount[k * n + row] = by;
    ++k;
  }
  HEATGRID_LEAF void fill(i64 none) {
    while (k < COUNTERS) add(none, 0);
  }
};

HEATGRID_LEAF void add_stay(const double* log, i64 key, Adds& adds) {
  const i64 ms = static_cast<i64>(log[3]);
  adds.add(counter_of(key, BANDS, static_cast<i64>(log[1]) * PER_BAND + ATTENTION), ms);
  adds.add(counter_of(key, BANDS, static_cast<i64>(log[2]) * PER_BAND + ATTENTION), -ms);
}

HEATGRID_LEAF void add_view(const double* log, i64 key, double band, Adds& adds) {
  const double longest = log[3];
  const i64 level = level_of(log[1], band);
  const i64 before = static_cast<i64>(log[7]);
  adds.add(counter_of(key, BANDS, level * PER_BAND + VIEWS), 1);
  adds.add(counter_of(key, FOLD, step_of(log[2])), 1);
  adds.add(counter_of(key, REACH, step_of(log[1])), 1);
  adds.add(counter_of(key, POSTHOG, posthog_bucket(log[4], log[6])), 1);
  if (longest > 0.0) {
    adds.add(counter_of(key, PAGE, step_of(longest)), 1);
    adds.add(counter_of(key, SNOWPLOW, snowplow_percent(log[4], log[5], longest)), 1);
  }
  if (before >= level) return;
  adds.add(counter_of(key, BANDS, level * PER_BAND + SESSIONS), 1);
  if (before >= 0) adds.add(counter_of(key, BANDS, before * PER_BAND + SESSIONS), -1);
}

}  // namespace heatgrid

using heatgrid::i64;
using heatgrid::u64;

// code, amount: 8 n; `none` is the code of those that a row does not use.
extern "C" __global__ void __launch_bounds__(256, 4)
    scroll_counts(const double* log, u64 n, double band, i64 none, i64* code, i64* amount) {
  for (u64 i = heatgrid::first_row(); i < n; i += heatgrid::row_stride()) {
    const double* const row = log + heatgrid::COUNTERS * i;
    const i64 key = static_cast<i64>(row[0]) / 2;
    heatgrid::Adds adds{code, amount, n, i, 0};
    if (static_cast<i64>(row[0]) % 2 == 0) {
      heatgrid::add_stay(row, key, adds);
    } else {
      heatgrid::add_view(row, key, band, adds);
    }
    adds.fill(none);
  }
}
