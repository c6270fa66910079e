// What an ended view and a stay count for: bands, steps of a histogram, the shares of two vendors. The CPU's formulas
// (src/heatgrid/cpu/scroll.py), one operation after the other.
#pragma once
#include "portable.cuh"

namespace heatgrid {

constexpr double DEEPEST = 262144.0;  // the end of the canvas
constexpr int PER_BAND = 4;
enum Plane { BANDS = 0, FOLD = 1, REACH = 2, PAGE = 3, SNOWPLOW = 4, POSTHOG = 5 };
enum Field { ATTENTION = 0, VIEWS = 1, SESSIONS = 2 };

// The name of a counter; numbers are below 2^24, planes below 8.
HEATGRID_LEAF i64 counter_of(i64 key, i32 plane, i64 number) { return (key << 3 | plane) << 24 | number; }

// The band that a view reaches into, no farther.
HEATGRID_LEAF i64 level_of(double reach, double band) { return static_cast<i64>(floor(div_rn(reach, band))); }

// The number of whole px in a histogram: exact below 128, then 64 steps an octave.
HEATGRID_LEAF i64 step_of(double px) {
  const i64 v = static_cast<i64>(px);
  if (v < 64) return v;
  i32 octave = 1;
  while (v >> (octave - 1) >= 128) ++octave;
  return (static_cast<i64>(octave) << 6) + (v >> (octave - 1)) - 64;
}

// The share of the page that was seen, in whole percent: round half up.
HEATGRID_LEAF i64 snowplow_percent(double deepest, double tallest, double longest) {
  double seen = (deepest < longest ? deepest : longest) + tallest;
  seen = seen < longest ? seen : longest;
  return static_cast<i64>(floor(div_rn(mul_rn(100.0, seen), longest) + 0.5));
}

// Hundreds of px of the window's lower edge, both parts in sixteenths, half to even.
HEATGRID_LEAF i64 posthog_bucket(double deepest, double last) {
  const double steps = rint(div_rn(deepest < DEEPEST ? deepest : DEEPEST, 16.0)) + rint(div_rn(last, 16.0));
  return static_cast<i64>(steps) * 16 / 100;
}

}  // namespace heatgrid
