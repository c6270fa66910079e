// Runs recorded launches, with real threads or as fibers in the order of a seed, and compares what they leave in memory with what was recorded. Every array is
// an allocation of exactly its size, so that AddressSanitizer sees a step beyond it.
//
// replay FILE threads|SEED [file.cu:line, a barrier to leave out]
//
// A record: name, 7 words of shape, arguments; an argument: kind (0 value, 1 array, 2 null), bytes, the bytes before, and
// for an array the bytes after.
#include <fstream>
#include <iostream>

#include "cuda.hpp"

namespace {

std::uint64_t number(std::istream& in) {
  std::uint64_t value = 0;
  in.read(reinterpret_cast<char*>(&value), sizeof value);
  return value;
}

std::vector<char> bytes(std::istream& in, std::uint64_t n) {
  std::vector<char> out(n);
  in.read(out.data(), static_cast<std::streamsize>(n));
  return out;
}

struct Argument {
  std::uint64_t kind, size;
  std::vector<char> value, after;
  char* memory = nullptr;
};

bool replay(std::istream& in, unsigned number_of_launch, const std::string& how) {
  const std::vector<char> name = bytes(in, number(in));
  const std::string entry(name.begin(), name.end());
  unsigned shape[9] = {};
  for (int k = 0; k < 7; ++k) shape[k] = static_cast<unsigned>(number(in));
  shape[7] = how == "threads";
  shape[8] = how == "threads" ? 0 : static_cast<unsigned>(std::stoul(how));
  std::vector<Argument> arguments(number(in));
  std::vector<void*> pointers;
  for (Argument& a : arguments) {
    a.kind = number(in);
    a.size = number(in);
    a.value = bytes(in, a.kind == 2 ? 0 : a.size);
    if (a.kind == 1) {
      a.after = bytes(in, a.size);
      a.memory = static_cast<char*>(std::malloc(a.size));
      std::copy(a.value.begin(), a.value.end(), a.memory);
    }
    pointers.push_back(a.kind == 0 ? static_cast<void*>(a.value.data()) : static_cast<void*>(&a.memory));
  }
  if (const char* wrong = emulate(entry.c_str(), shape, pointers.data(), static_cast<unsigned>(pointers.size()))) {
    std::cerr << entry << ": " << wrong << "\n";
    return false;
  }
  bool same = true;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const Argument& a = arguments[i];
    if (a.kind == 1 && !std::equal(a.after.begin(), a.after.end(), a.memory)) {
      std::cerr << "launch " << number_of_launch << ", " << entry << ": argument " << i << " differs\n";
      same = false;
    }
    std::free(a.memory);
  }
  return same;
}

}  // namespace

int main(int count, char** words) {
  if (count > 3) emulator::left_out() = words[3];
  std::ifstream in(words[1], std::ios::binary);
  bool same = true;
  const std::uint64_t launches = number(in);
  for (unsigned k = 0; k < launches; ++k) same &= replay(in, k, words[2]);
  return in.good() && same ? 0 : 1;
}
