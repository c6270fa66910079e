// CUDA's execution model for a host compiler, enough of it to run kernels/*.cu as they are.
//
// A launch runs block by block. In fiber mode all threads of a block are fibers of the calling thread. One warp runs as
// far as it comes, then the next one in an order that the seed draws, so a missing barrier gives a wrong answer that can
// be repeated. In thread mode each is an operating system's thread and two blocks run at the same time, for
// ThreadSanitizer and AddressSanitizer. Warp collectives wait for the lanes of their mask; a barrier that some threads
// of the block never reach, or reach in two places, is an error. Shared memory is filled with garbage before each block
// and has exactly the size asked for.
#pragma once

#include <ucontext.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__ __restrict
#define threadIdx (::emulator::self->thread)
#define blockIdx (::emulator::self->block->index)
#define blockDim (::emulator::self->block->launch.threads)
#define gridDim (::emulator::self->block->launch.blocks)
#define __syncthreads() ::emulator::sync_block(__FILE__, __LINE__)
#define __syncwarp() ::emulator::sync_warp(__FILE__, __LINE__)

#ifdef __SANITIZE_THREAD__
extern "C" {
void AnnotateIgnoreSyncBegin(const char*, int);
void AnnotateIgnoreSyncEnd(const char*, int);
void AnnotateIgnoreReadsBegin(const char*, int);
void AnnotateIgnoreReadsEnd(const char*, int);
void AnnotateIgnoreWritesBegin(const char*, int);
void AnnotateIgnoreWritesEnd(const char*, int);
}
#endif

namespace emulator {

constexpr unsigned WARP = 32;
constexpr unsigned ALL = 0xffffffffu;
constexpr std::size_t STACK = 64 << 10;
constexpr int GARBAGE = 0xA5;
constexpr auto PATIENCE = std::chrono::seconds(60);

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
  unsigned size() const { return x * y * z; }
};

struct Launch {
  Dim3 blocks, threads;
  std::size_t shared_bytes = 0;
  bool real_threads = false;
  unsigned seed = 0;
};

// A rendezvous of `expected` threads. Each wait is over when the generation has moved on.
struct Barrier {
  unsigned arrived = 0;
  unsigned long generation = 0;
};

// What a thread holds to arrive somewhere. Each warp has its own: a lock that all share would order, for a sanitizer,
// what nothing orders on a device.
struct Gate {
  std::mutex mutex;
  std::condition_variable moved;
};

struct Warp {
  std::unique_ptr<Gate> gate{new Gate};
  std::map<unsigned, Barrier> barriers;  // by mask
  std::uint64_t slot[WARP] = {};
  unsigned alive = 0;
};

struct Block;

struct Thread {
  Dim3 thread{0, 0, 0};
  unsigned rank = 0;
  Block* block = nullptr;
  ucontext_t context{};
  std::unique_ptr<char[]> stack;
  const Barrier* waits_for = nullptr;  // fibers only: not to be resumed before it moves on
  unsigned long since = 0;
  bool done = false;

  unsigned lane() const { return rank % WARP; }
  Warp& warp() const;
};

struct Block {
  Dim3 index{0, 0, 0};
  const Launch& launch;
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  Barrier barrier;
  int barrier_line = 0;
  unsigned running;
  std::map<const void*, std::unique_ptr<char[]>> shared;
  std::unique_ptr<char[]> dynamic;
  Gate gate;
  ucontext_t scheduler{};
  std::string error;

  Block(const Launch& given, unsigned number)
      : launch(given), threads(given.threads.size()), warps((given.threads.size() + WARP - 1) / WARP),
        running(given.threads.size()), dynamic(garbage(given.shared_bytes)) {
    index = {number % given.blocks.x, number / given.blocks.x % given.blocks.y,
             number / (given.blocks.x * given.blocks.y)};
    for (unsigned i = 0; i < threads.size(); ++i) {
      const Dim3& t = given.threads;
      threads[i].thread = {i % t.x, i / t.x % t.y, i / (t.x * t.y)};
      threads[i].rank = i;
      threads[i].block = this;
      warps[i / WARP].alive |= 1u << (i % WARP);
    }
  }

  static std::unique_ptr<char[]> garbage(std::size_t bytes) {
    std::unique_ptr<char[]> memory(new char[bytes]);
    std::memset(memory.get(), GARBAGE, bytes);
    return memory;
  }
};

inline Warp& Thread::warp() const { return block->warps[rank / WARP]; }

inline thread_local Thread* self = nullptr;

// The kernel cannot go on. Fibers are dropped as they are, kernels own nothing; real threads cannot be.
[[noreturn]] inline void fail(const std::string& what) {
  Thread* const me = self;
  Block& block = *me->block;
  const std::string text = what + " (block " + std::to_string(block.index.x) + ", thread " + std::to_string(me->rank) + ")";
  if (block.launch.real_threads) {
    std::fprintf(stderr, "emulator: %s\n", text.c_str());
    std::_Exit(3);
  }
  block.error = text;
  setcontext(&block.scheduler);
  std::abort();
}

// ---- waiting -------------------------------------------------------------------------------------------------------

// Arrive at the barrier and wait for the others.
inline void meet(Barrier& barrier, unsigned expected, Gate& gate, std::unique_lock<std::mutex>& lock) {
  Thread& me = *self;
  Block& block = *me.block;
  const unsigned long generation = barrier.generation;
  if (++barrier.arrived == expected) {
    barrier.arrived = 0;
    ++barrier.generation;
    if (block.launch.real_threads) gate.moved.notify_all();
    return;
  }
  if (block.launch.real_threads) {
    if (!gate.moved.wait_for(lock, PATIENCE, [&] { return barrier.generation != generation; })) {
      fail("a barrier that the other threads do not reach");
    }
    return;
  }
  me.waits_for = &barrier;
  me.since = generation;
  swapcontext(&me.context, &block.scheduler);
  self->waits_for = nullptr;
}

inline std::unique_lock<std::mutex> enter(Gate& gate) {
  return self->block->launch.real_threads ? std::unique_lock<std::mutex>(gate.mutex) : std::unique_lock<std::mutex>();
}

// A barrier to be left out, as "file.cu:line": what a kernel that lacks it does.
inline std::string& left_out() {
  static std::string place;
  return place;
}

inline bool is_left_out(const char* file, int line) {
  const std::string& place = left_out();
  return !place.empty() && (std::string(file).substr(std::string(file).rfind('/') + 1) + ":" + std::to_string(line)) == place;
}

inline void sync_block(const char* file, int line) {
  if (is_left_out(file, line)) return;
  Block& block = *self->block;
  auto lock = enter(block.gate);
  if (block.running != block.threads.size()) fail("__syncthreads after a thread of the block has returned");
  if (block.barrier.arrived == 0) block.barrier_line = line;
  if (block.barrier_line != line) fail("__syncthreads in two places at once");
  meet(block.barrier, block.running, block.gate, lock);
}

inline void meet_lanes(unsigned mask, std::unique_lock<std::mutex>& lock) {
  const Thread& me = *self;
  Warp& warp = me.warp();
  if (!(mask >> me.lane() & 1)) fail("a warp collective by a lane that its mask does not name");
  if (mask & ~warp.alive) fail("a warp collective that names a lane which is not there");
  meet(warp.barriers[mask], static_cast<unsigned>(__builtin_popcount(mask)), *warp.gate, lock);
}

inline void sync_warp(const char* file, int line) {
  if (is_left_out(file, line)) return;
  auto lock = enter(*self->warp().gate);
  meet_lanes(ALL, lock);
}

// Collectives hand values over and order nothing else: only __syncwarp and __syncthreads do. So ThreadSanitizer is told
// not to see how they wait.
struct Unordered {
#ifdef __SANITIZE_THREAD__
  Unordered() {
    AnnotateIgnoreSyncBegin(__FILE__, __LINE__);
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~Unordered() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
    AnnotateIgnoreSyncEnd(__FILE__, __LINE__);
  }
#else
  ~Unordered() {}
#endif
};

// Every lane of the mask gives a value; `read` sees all of them.
template <typename T, typename Read>
auto exchange(unsigned mask, T value, Read read) {
  static_assert(sizeof(T) <= sizeof(std::uint64_t), "values of up to 8 bytes");
  const Unordered handing_over;
  Warp& warp = self->warp();
  auto lock = enter(*warp.gate);
  std::memcpy(&warp.slot[self->lane()], &value, sizeof value);
  meet_lanes(mask, lock);
  const auto got = read([&](unsigned lane) {
    T other;
    std::memcpy(&other, &warp.slot[lane], sizeof other);
    return other;
  });
  meet_lanes(mask, lock);
  return got;
}

// ---- shared memory -------------------------------------------------------------------------------------------------

template <typename T>
T* shared(const void* declaration, std::size_t n) {
  auto lock = enter(self->block->gate);
  auto& memory = self->block->shared[declaration];
  if (!memory) memory = Block::garbage(n * sizeof(T));
  return reinterpret_cast<T*>(memory.get());
}

template <typename T>
T* dynamic_shared() {
  return reinterpret_cast<T*>(self->block->dynamic.get());
}

// ---- running a launch ----------------------------------------------------------------------------------------------

using Call = void (*)(void** args);

struct Work {
  Call call;
  void** args;
};

inline thread_local Work work{};

// 0: as they are, 1: backwards, else shuffled.
template <typename T>
void turn(std::vector<T>& order, unsigned seed, std::mt19937& random) {
  if (seed == 1) std::reverse(order.begin(), order.end());
  if (seed > 1) std::shuffle(order.begin(), order.end(), random);
}

inline void fiber_main() {
  work.call(work.args);
  Thread& me = *self;
  me.done = true;
  --me.block->running;
  setcontext(&me.block->scheduler);
}

// Resume each fiber of a warp that need not wait, again and again while one moves on.
inline bool run_warp(Block& block, const std::vector<Thread*>& lanes) {
  volatile bool moved = false;  // volatile: a fiber may come back here by setcontext
  volatile bool again = true;
  while (again) {
    again = false;
    for (Thread* thread : lanes) {
      if (thread->done || (thread->waits_for && thread->waits_for->generation == thread->since)) continue;
      moved = again = true;
      self = thread;
      swapcontext(&block.scheduler, &thread->context);
      if (!block.error.empty()) return false;
    }
  }
  return moved;
}

inline void run_fibers(Block& block, std::mt19937& random) {
  std::vector<std::vector<Thread*>> order(block.warps.size());
  for (Thread& thread : block.threads) {
    thread.stack.reset(new char[STACK]);
    getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = thread.stack.get();
    thread.context.uc_stack.ss_size = STACK;
    thread.context.uc_link = nullptr;
    makecontext(&thread.context, fiber_main, 0);
    order[thread.rank / WARP].push_back(&thread);
  }
  for (auto& lanes : order) turn(lanes, block.launch.seed, random);
  turn(order, block.launch.seed, random);
  bool moved = true;
  while (block.running != 0 && block.error.empty() && moved) {
    moved = false;
    for (const auto& lanes : order) moved |= block.error.empty() && run_warp(block, lanes);
  }
  if (block.running != 0 && block.error.empty()) {
    block.error = "threads wait for others that never come (block " + std::to_string(block.index.x) + ")";
  }
}

inline void run_threads(Block& block, Work given) {
  std::vector<std::thread> team;
  for (Thread& thread : block.threads) {
    team.emplace_back([&thread, &block, given] {
      self = &thread;
      given.call(given.args);
      std::unique_lock<std::mutex> lock(block.gate.mutex);
      --block.running;
    });
  }
  for (std::thread& member : team) member.join();
}

inline std::string run(const Launch& launch, Call call, void** args) {
  const unsigned blocks = launch.blocks.size();
  const Work given{call, args};
  if (launch.real_threads) {
    for (unsigned b = 0; b < blocks; b += 2) {
      Block one(launch, b);
      std::unique_ptr<Block> two(b + 1 < blocks ? new Block(launch, b + 1) : nullptr);
      std::thread beside;
      if (two) beside = std::thread([&] { run_threads(*two, given); });
      run_threads(one, given);
      if (two) beside.join();
    }
    return "";
  }
  std::mt19937 random(launch.seed);
  std::vector<unsigned> order(blocks);
  for (unsigned b = 0; b < blocks; ++b) order[b] = b;
  turn(order, launch.seed, random);
  work = given;
  for (const unsigned b : order) {
    Block block(launch, b);
    run_fibers(block, random);
    if (!block.error.empty()) return block.error;
  }
  return "";
}

template <typename... A, std::size_t... I>
void apply(void (*kernel)(A...), void** args, std::index_sequence<I...>) {
  kernel(*static_cast<std::remove_reference_t<A>*>(args[I])...);
}

template <auto kernel>
struct Entry;

template <typename... A, void (*kernel)(A...)>
struct Entry<kernel> {
  static constexpr unsigned count = sizeof...(A);
  static void call(void** args) { apply(kernel, args, std::index_sequence_for<A...>()); }
};

}  // namespace emulator

// ---- what kernels call ---------------------------------------------------------------------------------------------

template <typename T>
T __shfl_sync(unsigned mask, T value, int lane, int = 32) {
  return emulator::exchange(mask, value, [=](auto of) { return of(static_cast<unsigned>(lane) % emulator::WARP); });
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int = 32) {
  const unsigned lane = emulator::self->lane();
  return emulator::exchange(mask, value, [=](auto of) { return of(lane < delta ? lane : lane - delta); });
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int = 32) {
  const unsigned lane = emulator::self->lane();
  return emulator::exchange(mask, value, [=](auto of) { return of(lane + delta < emulator::WARP ? lane + delta : lane); });
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int with, int = 32) {
  const unsigned lane = emulator::self->lane();
  return emulator::exchange(mask, value, [=](auto of) { return of(lane ^ static_cast<unsigned>(with)); });
}
template <typename T>
unsigned __match_any_sync(unsigned mask, T value) {
  return emulator::exchange(mask, value, [=](auto of) {
    unsigned same = 0;
    for (unsigned i = 0; i < emulator::WARP; ++i) same |= (mask >> i & 1) && of(i) == value ? 1u << i : 0u;
    return same;
  });
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  return emulator::exchange(mask, predicate != 0, [=](auto of) {
    unsigned set = 0;
    for (unsigned i = 0; i < emulator::WARP; ++i) set |= (mask >> i & 1) && of(i) ? 1u << i : 0u;
    return set;
  });
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) == mask; }

template <typename T>
T atomicAdd(T* at, T value) { return __atomic_fetch_add(at, value, __ATOMIC_RELAXED); }
template <typename T>
T atomicSub(T* at, T value) { return __atomic_fetch_sub(at, value, __ATOMIC_RELAXED); }
template <typename T>
T atomicOr(T* at, T value) { return __atomic_fetch_or(at, value, __ATOMIC_RELAXED); }
template <typename T>
T atomicAnd(T* at, T value) { return __atomic_fetch_and(at, value, __ATOMIC_RELAXED); }
template <typename T>
T atomicExch(T* at, T value) { return __atomic_exchange_n(at, value, __ATOMIC_RELAXED); }
template <typename T>
T atomicCAS(T* at, T expected, T value) {
  __atomic_compare_exchange_n(at, &expected, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return expected;
}
template <typename T>
T atomicMax(T* at, T value) {
  T seen = __atomic_load_n(at, __ATOMIC_RELAXED);
  while (seen < value && !__atomic_compare_exchange_n(at, &seen, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return seen;
}
template <typename T>
T atomicMin(T* at, T value) {
  T seen = __atomic_load_n(at, __ATOMIC_RELAXED);
  while (value < seen && !__atomic_compare_exchange_n(at, &seen, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return seen;
}

inline int __popc(unsigned v) { return __builtin_popcount(v); }
inline int __popcll(unsigned long long v) { return __builtin_popcountll(v); }
inline int __ffs(int v) { return __builtin_ffs(v); }
inline int __clz(int v) { return v == 0 ? 32 : __builtin_clz(static_cast<unsigned>(v)); }
template <typename T>
T __ldg(const T* at) { return *at; }
using std::max;
using std::min;

// ---- the C ABI -----------------------------------------------------------------------------------------------------

// EMULATE(entry): makes `extern "C"` kernels known by name. A trampoline a kernel takes its arguments as CUDA does,
// as pointers to their values.
namespace emulator {

struct Known {
  Call call;
  unsigned arguments;
};

inline std::map<std::string, Known>& known() {
  static std::map<std::string, Known> all;
  return all;
}

struct Register {
  Register(const char* name, Known entry) { known()[name] = entry; }
};

}  // namespace emulator

#define EMULATE(entry) \
  static const emulator::Register entry##_known(#entry, {emulator::Entry<entry>::call, emulator::Entry<entry>::count});

// shape: blocks x y z, threads x y z, bytes of dynamic shared memory, real threads?, seed.
// Returns null, or what went wrong.
extern "C" __attribute__((used)) inline const char* emulate(const char* entry, const unsigned* shape, void** args, unsigned n_args) {
  static thread_local std::string message;
  const auto found = emulator::known().find(entry);
  emulator::Launch launch;
  launch.blocks = {shape[0], shape[1], shape[2]};
  launch.threads = {shape[3], shape[4], shape[5]};
  launch.shared_bytes = shape[6];
  launch.real_threads = shape[7] != 0;
  launch.seed = shape[8];
  if (found == emulator::known().end()) {
    message = "no kernel of this name";
  } else if (n_args != found->second.arguments) {
    message = "takes " + std::to_string(found->second.arguments) + " arguments, not " + std::to_string(n_args);
  } else if (launch.threads.size() == 0 || launch.threads.size() > 1024 || launch.blocks.size() == 0) {
    message = "a launch that no device takes";
  } else {
    message = emulator::run(launch, found->second.call, args);
  }
  return message.empty() ? nullptr : message.c_str();
}
