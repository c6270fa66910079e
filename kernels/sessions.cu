// Time per feature: rows in the order of (session, time, row), then each row against its neighbours.
//
// Sorting is a radix sort of 32-bit keys with row numbers, 8 bits a pass, least significant first, so that equal keys
// keep their order: rows that come in order of time need the passes over their session's code only. A pass is
// sort_count, sort_scan, sort_move with the same blocks; each block takes `span` rows in a row, a whole number of tiles.
// Fewer than 2^32 rows.
#include "include/scan.cuh"

namespace heatgrid {

constexpr int DIGITS = 256;
constexpr int SORT_THREADS = 256;
constexpr int SORT_WARPS = SORT_THREADS / 32;
constexpr int ITEMS = 8;
constexpr u32 TILE = SORT_THREADS * ITEMS;
constexpr u32 NONE = 0xffffffffu;

HEATGRID_LEAF u32 digit_of(u32 key, u32 shift) { return key >> shift & (DIGITS - 1); }

// The lanes of the warp that have this lane's digit, among those that take part.
HEATGRID_LEAF u32 same_digit(u32 digit, bool takes_part) {
  u32 same = __ballot_sync(ALL_LANES, takes_part);
  for (int bit = 1; bit < DIGITS; bit *= 2) {
    const u32 set = __ballot_sync(ALL_LANES, (digit & bit) != 0);
    same &= (digit & bit) != 0 ? set : ~set;
  }
  return same;
}

// ms since 1970, rounded down, of a time in units of div / mul ms.
HEATGRID_LEAF i64 millis(i64 time, i64 mul, i64 div) {
  const i64 scaled = time * mul;
  const i64 q = scaled / div;
  return q - (scaled % div < 0);
}

template <typename T>
HEATGRID_LEAF void widen_span(const T* values, u64 n, i64* span) {
  u64 i = first_row();
  if (i >= n) return;
  i64 least = values[i];
  i64 largest = least;
  for (i += row_stride(); i < n; i += row_stride()) {
    least = values[i] < least ? values[i] : least;
    largest = values[i] > largest ? values[i] : largest;
  }
  atomicMin(span, least);
  atomicMax(span + 1, largest);
}

// Sums by feature: in the block's shared memory where they fit (5 words of 32 bits a feature), else in device memory.
struct Sums {
  u64* dwell;
  u64* visits;
  u64* events;
  u64* sessions;
};

struct BlockSums {
  u32* words;
  u32 features;

  HEATGRID_LEAF void one(u32 field, u32 feature) const { atomicAdd(words + field * features + feature, 1u); }

  // 64 bits in two words: the addition that wraps the low one carries.
  HEATGRID_LEAF void dwell(u32 feature, u64 ms) const {
    const u32 low = static_cast<u32>(ms);
    const u32 old = atomicAdd(words + feature, low);
    const u32 high = static_cast<u32>(ms >> 32) + (old > 0xffffffffu - low);
    if (high != 0) atomicAdd(words + features + feature, high);
  }
  HEATGRID_LEAF void visit(u32 feature) const { one(2, feature); }
  HEATGRID_LEAF void event(u32 feature) const { one(3, feature); }
  HEATGRID_LEAF void session(u32 feature) const { one(4, feature); }

  HEATGRID_LEAF void clear() const {
    for (u32 w = threadIdx.x; w < 5 * features; w += blockDim.x) words[w] = 0;
  }
  HEATGRID_LEAF void add_to(const Sums& sums) const {
    for (u32 f = threadIdx.x; f < features; f += blockDim.x) {
      const u64 ms = static_cast<u64>(words[features + f]) << 32 | words[f];
      if (ms != 0) atomicAdd(sums.dwell + f, ms);
      if (words[2 * features + f] != 0) atomicAdd(sums.visits + f, static_cast<u64>(words[2 * features + f]));
      if (words[3 * features + f] != 0) atomicAdd(sums.events + f, static_cast<u64>(words[3 * features + f]));
      if (words[4 * features + f] != 0) atomicAdd(sums.sessions + f, static_cast<u64>(words[4 * features + f]));
    }
  }
};

struct DeviceSums {
  Sums sums;

  HEATGRID_LEAF void dwell(u32 feature, u64 ms) const { atomicAdd(sums.dwell + feature, ms); }
  HEATGRID_LEAF void visit(u32 feature) const { atomicAdd(sums.visits + feature, 1ull); }
  HEATGRID_LEAF void event(u32 feature) const { atomicAdd(sums.events + feature, 1ull); }
  HEATGRID_LEAF void session(u32 feature) const { atomicAdd(sums.sessions + feature, 1ull); }
};

// Rows in order, and a bit for each (session, feature) of the sessions [first, first + sessions): `words` words each.
struct Rows {
  const u32* session;
  const i64* time;
  const u32* feature;
  u64 n;
  i64 mul;
  i64 div;
  i64 idle;
  u32 first;
  u32 sessions;
  u32 words;
  u32* seen;
};

// The step from a row to the next one of its session, at most idle, is the row's feature's; a visit begins where the
// feature changes. all: count everything; else only the distinct sessions of another window. Returns the rows that are
// earlier than the one before them.
template <typename Own>
HEATGRID_LEAF u32 count_visits(const Rows& rows, bool all, const Own& own) {
  u32 disorder = 0;
  for (u64 p = first_row(); p < rows.n; p += row_stride()) {
    const u32 session = rows.session[p];
    const u32 feature = rows.feature[p];
    const bool begins = p == 0 || rows.session[p - 1] != session;
    const i64 time = rows.time[p];
    disorder += !begins && time < rows.time[p - 1];
    if (feature == NONE) continue;
    if (begins || rows.feature[p - 1] != feature) {
      if (all) own.visit(feature);
      const u32 row = session - rows.first;
      if (row < rows.sessions) {
        const u32 bit = 1u << (feature % 32);
        const u32 old = atomicOr(rows.seen + static_cast<u64>(row) * rows.words + feature / 32, bit);
        if ((old & bit) == 0) own.session(feature);
      }
    }
    if (!all) continue;
    own.event(feature);
    if (p + 1 < rows.n && rows.session[p + 1] == session) {
      const i64 step = millis(rows.time[p + 1], rows.mul, rows.div) - millis(time, rows.mul, rows.div);
      own.dwell(feature, static_cast<u64>(step < rows.idle ? step : rows.idle));
    }
  }
  return disorder;
}

}  // namespace heatgrid

using heatgrid::i32;
using heatgrid::i64;
using heatgrid::u32;
using heatgrid::u64;

// span: {least, largest}, set by the caller to the type's largest and least.
extern "C" __global__ void span_i32(const i32* values, u64 n, i64* span) { heatgrid::widen_span(values, n, span); }

extern "C" __global__ void span_i64(const i64* values, u64 n, i64* span) { heatgrid::widen_span(values, n, span); }

// codes = values - origin; all bits set below the origin.
extern "C" __global__ void codes_i32(const i32* values, u64 n, i64 origin, u32* codes) {
  for (u64 i = heatgrid::first_row(); i < n; i += heatgrid::row_stride()) {
    codes[i] = values[i] < origin ? heatgrid::NONE : static_cast<u32>(values[i] - origin);
  }
}

extern "C" __global__ void codes_i64(const i64* values, u64 n, i64 origin, u32* codes) {
  for (u64 i = heatgrid::first_row(); i < n; i += heatgrid::row_stride()) {
    codes[i] = values[i] < origin ? heatgrid::NONE : static_cast<u32>(values[i] - origin);
  }
}

// 32 bits of each row's time, from bit `shift` of its distance to the origin on. rows: their order so far, or null.
extern "C" __global__ void time_keys(const i64* time, const u32* rows, u64 n, i64 origin, u32 shift, u32* keys) {
  for (u64 p = heatgrid::first_row(); p < n; p += heatgrid::row_stride()) {
    const u64 since = static_cast<u64>(time[rows == nullptr ? p : rows[p]]) - static_cast<u64>(origin);
    keys[p] = static_cast<u32>(since >> shift);
  }
}

extern "C" __global__ void gather_u32(const u32* values, const u32* rows, u64 n, u32* out) {
  for (u64 p = heatgrid::first_row(); p < n; p += heatgrid::row_stride()) out[p] = values[rows[p]];
}

extern "C" __global__ void gather_i64(const i64* values, const u32* rows, u64 n, i64* out) {
  for (u64 p = heatgrid::first_row(); p < n; p += heatgrid::row_stride()) out[p] = values[rows[p]];
}

// histogram[digit * blocks + block]: rows of the block with the digit.
extern "C" __global__ void __launch_bounds__(256)
    sort_count(const u32* keys, u64 n, u64 span, u32 shift, u32* histogram) {
  using namespace heatgrid;
  HEATGRID_SHARED(u32, counts, DIGITS);
  counts[threadIdx.x] = 0;
  __syncthreads();
  const u64 start = blockIdx.x * span;
  const u64 end = start + span < n ? start + span : n;
  for (u64 i = start + threadIdx.x; i < end; i += SORT_THREADS) atomicAdd(counts + digit_of(keys[i], shift), 1u);
  __syncthreads();
  histogram[threadIdx.x * gridDim.x + blockIdx.x] = counts[threadIdx.x];
}

// Each entry becomes the sum of those before it. One block.
extern "C" __global__ void __launch_bounds__(1024) sort_scan(u32* histogram, u64 entries) {
  using namespace heatgrid;
  HEATGRID_SHARED(u32, parts, 32);
  HEATGRID_SHARED(u32, carried, 1);
  u32 before = 0;
  for (u64 base = 0; base < entries; base += blockDim.x) {
    const u64 i = base + threadIdx.x;
    const u32 value = i < entries ? histogram[i] : 0;
    const u32 sum = before + sum_before(value, parts);
    if (i < entries) histogram[i] = sum;
    if (threadIdx.x == blockDim.x - 1) carried[0] = sum + value;
    __syncthreads();
    before = carried[0];
  }
}

// Rows to where the scanned histogram says. A tile is put in order in shared memory first, so that rows of one digit
// leave side by side. rows: null for 0, 1, 2, ...
extern "C" __global__ void __launch_bounds__(256, 4)
    sort_move(const u32* keys, const u32* rows, u64 n, u64 span, u32 shift, const u32* histogram, u32* keys_out,
              u32* rows_out) {
  using namespace heatgrid;
  HEATGRID_SHARED(u32, counts, SORT_WARPS * DIGITS);
  HEATGRID_SHARED(u32, starts, DIGITS);
  HEATGRID_SHARED(u32, offsets, DIGITS);
  HEATGRID_SHARED(u32, parts, SORT_WARPS);
  HEATGRID_SHARED(u32, tile_keys, TILE);
  HEATGRID_SHARED(u32, tile_rows, TILE);
  u32* const own = counts + threadIdx.x / WARP * DIGITS;
  offsets[threadIdx.x] = histogram[threadIdx.x * gridDim.x + blockIdx.x];
  const u64 start = blockIdx.x * span;
  const u64 end = start + span < n ? start + span : n;
  for (u64 tile = start; tile < end; tile += TILE) {
    for (u32 i = threadIdx.x; i < SORT_WARPS * DIGITS; i += SORT_THREADS) counts[i] = 0;
    __syncthreads();
    // each warp takes ITEMS * 32 rows in their order; a row's rank is the number before it with its digit
    const u64 first = tile + threadIdx.x / WARP * (ITEMS * WARP) + lane();
    u32 key[ITEMS], row[ITEMS], rank[ITEMS];
    HEATGRID_UNROLL
    for (int k = 0; k < ITEMS; ++k) {
      const u64 i = first + k * WARP;
      key[k] = i < end ? keys[i] : 0;
      row[k] = i < end ? (rows == nullptr ? static_cast<u32>(i) : rows[i]) : 0;
    }
    HEATGRID_UNROLL
    for (int k = 0; k < ITEMS; ++k) {
      const bool there = first + k * WARP < end;
      const u32 digit = digit_of(key[k], shift);
      const u32 same = same_digit(digit, there);
      const u32 lower = same & ((1u << lane()) - 1);
      rank[k] = own[digit] + __popc(lower);
      __syncwarp();
      if (there && lower == 0) own[digit] += __popc(same);
      __syncwarp();
    }
    __syncthreads();
    u32 in_tile = 0;
    for (int w = 0; w < SORT_WARPS; ++w) {
      const u32 count = counts[w * DIGITS + threadIdx.x];
      counts[w * DIGITS + threadIdx.x] = in_tile;
      in_tile += count;
    }
    starts[threadIdx.x] = sum_before(in_tile, parts);
    __syncthreads();
    HEATGRID_UNROLL
    for (int k = 0; k < ITEMS; ++k) {
      if (first + k * WARP < end) {
        const u32 digit = digit_of(key[k], shift);
        const u32 place = starts[digit] + own[digit] + rank[k];
        tile_keys[place] = key[k];
        tile_rows[place] = row[k];
      }
    }
    __syncthreads();
    const u32 in_all = static_cast<u32>(end - tile < TILE ? end - tile : TILE);
    for (u32 i = threadIdx.x; i < in_all; i += SORT_THREADS) {
      const u32 digit = digit_of(tile_keys[i], shift);
      const u32 to = offsets[digit] + i - starts[digit];
      keys_out[to] = tile_keys[i];
      rows_out[to] = tile_rows[i];
    }
    __syncthreads();
    offsets[threadIdx.x] += in_tile;
  }
}

// Dynamic shared memory: 5 words a feature. disorder: rows of a session that are not in order of time.
extern "C" __global__ void __launch_bounds__(512)
    visits_shared(const u32* session, const i64* time, const u32* feature, u64 n, i64 mul, i64 div, i64 idle, u32 first,
                  u32 sessions, u32 words, u32* seen, u32 features, u64* dwell, u64* visits, u64* events, u64* distinct,
                  u64* disorder) {
  using namespace heatgrid;
  HEATGRID_DYNAMIC_SHARED(u32, words_of_block);
  const BlockSums own{words_of_block, features};
  own.clear();
  __syncthreads();
  const u32 wrong = count_visits({session, time, feature, n, mul, div, idle, first, sessions, words, seen}, first == 0, own);
  __syncthreads();
  own.add_to({dwell, visits, events, distinct});
  add_sum(disorder, wrong);
}

extern "C" __global__ void __launch_bounds__(512)
    visits_global(const u32* session, const i64* time, const u32* feature, u64 n, i64 mul, i64 div, i64 idle, u32 first,
                  u32 sessions, u32 words, u32* seen, u64* dwell, u64* visits, u64* events, u64* distinct,
                  u64* disorder) {
  using namespace heatgrid;
  const DeviceSums own{{dwell, visits, events, distinct}};
  const u32 wrong = count_visits({session, time, feature, n, mul, div, idle, first, sessions, words, seen}, first == 0, own);
  add_sum(disorder, wrong);
}
