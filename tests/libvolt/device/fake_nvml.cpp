// SPDX-License-Identifier: Apache-2.0
// A libnvidia-ml.so.1 for machines without a GPU. The environment says what it has, at each call:
//
//   FAKE_NVML_GPUS=3            how many GPUs there are (0)
//   FAKE_NVML_USED=5,0,7        bytes of memory in use on each (0)
//   FAKE_NVML_MINOR=2,0,1       N of /dev/nvidiaN of each (its index)
//   FAKE_NVML_MIG=0,1,0         MIG mode of each (0)
//   FAKE_NVML_NAME=text         what all are called ("NVIDIA Fake"); not ended when it is too long
//   FAKE_NVML_FAIL=what=code,.. functions that fail, with their nvmlReturn_t; on one GPU only where
//                               that is said: nvmlInit_v2=9,nvmlDeviceGetUUID/1=15
//
// GPU i is GPU-0000000i-fa4e-4000-8000-000000000000, has 80 GiB, and is i percent busy, at 100 + i
// W and 40 + i degrees.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace {

constexpr int success = 0, invalid_argument = 2;

std::string_view variable(const char* name, const char* fallback) {
  const char* value = std::getenv(name);
  return value == nullptr ? fallback : value;
}

/// Calls `f` with each piece of a list until it returns true.
template <class F>
void each(std::string_view list, F f) {
  while (!list.empty()) {
    const std::string_view piece = list.substr(0, list.find(','));
    if (f(piece)) return;
    list.remove_prefix(std::min(piece.size() + 1, list.size()));
  }
}

/// The number at place `index` of a list.
unsigned long long number(const char* name, std::size_t index, unsigned long long fallback) {
  unsigned long long value = fallback;
  each(variable(name, ""), [&](std::string_view piece) {
    if (index-- != 0) return false;
    value = std::stoull(std::string(piece));
    return true;
  });
  return value;
}

/// What the call of a function is to return.
int code(std::string_view function) {
  int value = success;
  each(variable("FAKE_NVML_FAIL", ""), [&](std::string_view piece) {
    const auto equals = piece.find('=');
    if (piece.substr(0, equals) != function) return false;
    value = std::stoi(std::string(piece.substr(equals + 1)));
    return true;
  });
  return value;
}

using Handle = const char*;  // none + 1 + index
const char none[65] = {};

unsigned index_of(Handle handle) { return static_cast<unsigned>(handle - none - 1); }

int code(const std::string& function, unsigned index) {
  const int everywhere = code(function);
  return everywhere != success ? everywhere : code(function + "/" + std::to_string(index));
}

int say(std::string_view text, char* buffer, unsigned size) {
  std::memset(buffer, 0, size);
  std::memcpy(buffer, text.data(), std::min<std::size_t>(text.size(), size));
  return success;
}

}  // namespace

// To fail when told so, before it writes anything.
#define ANSWER(...)                                                                      \
  if (const int failure = code(__func__ __VA_OPT__(, ) __VA_ARGS__); failure != success) \
  return failure

extern "C" {

struct Memory {
  unsigned long long total, free, used;
};
struct Utilization {
  unsigned gpu, memory;
};

int nvmlInit_v2() { return code(__func__); }

const char* nvmlErrorString(int error) { return error == 15 ? "GPU is lost" : "Unknown Error"; }

int nvmlSystemGetDriverVersion(char* version, unsigned size) {
  ANSWER();
  return say("550.54.15", version, size);
}

int nvmlDeviceGetCount_v2(unsigned* count) {
  ANSWER();
  *count = static_cast<unsigned>(number("FAKE_NVML_GPUS", 0, 0));
  return success;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Handle* handle) {
  ANSWER(index);
  if (index >= number("FAKE_NVML_GPUS", 0, 0) || index >= sizeof none - 1) return invalid_argument;
  *handle = none + 1 + index;
  return success;
}

int nvmlDeviceGetName(Handle handle, char* name, unsigned size) {
  ANSWER(index_of(handle));
  return say(variable("FAKE_NVML_NAME", "NVIDIA Fake"), name, size);
}

int nvmlDeviceGetUUID(Handle handle, char* uuid, unsigned size) {
  ANSWER(index_of(handle));
  char text[64];
  std::snprintf(text, sizeof text, "GPU-%08x-fa4e-4000-8000-000000000000", index_of(handle));
  return say(text, uuid, size);
}

int nvmlDeviceGetMinorNumber(Handle handle, unsigned* minor_number) {
  ANSWER(index_of(handle));
  *minor_number =
      static_cast<unsigned>(number("FAKE_NVML_MINOR", index_of(handle), index_of(handle)));
  return success;
}

int nvmlDeviceGetMigMode(Handle handle, unsigned* now, unsigned* after_reset) {
  ANSWER(index_of(handle));
  *now = *after_reset = static_cast<unsigned>(number("FAKE_NVML_MIG", index_of(handle), 0));
  return success;
}

int nvmlDeviceGetMemoryInfo(Handle handle, Memory* memory) {
  ANSWER(index_of(handle));
  memory->total = 80ull << 30;
  memory->used = number("FAKE_NVML_USED", index_of(handle), 0);
  memory->free = memory->total - memory->used;
  return success;
}

int nvmlDeviceGetUtilizationRates(Handle handle, Utilization* rates) {
  ANSWER(index_of(handle));
  *rates = {index_of(handle), 0};
  return success;
}

int nvmlDeviceGetPowerUsage(Handle handle, unsigned* milliwatt) {
  ANSWER(index_of(handle));
  *milliwatt = 100'000 + 1000 * index_of(handle);
  return success;
}

int nvmlDeviceGetTemperature(Handle handle, int sensor, unsigned* celsius) {
  ANSWER(index_of(handle));
  if (sensor != 0) return invalid_argument;
  *celsius = 40 + index_of(handle);
  return success;
}

}  // extern "C"
