// SPDX-License-Identifier: Apache-2.0

// Preloaded into gpu-verify: a file whose owner writes to it after its digest was made. To the
// worker, and to nobody else, TWO_FACED_FILE reads as TWO_FACED_SHOWN, which is as long.
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace {

bool is_worker() {
  std::ifstream file("/proc/self/cmdline");
  return std::string(std::istreambuf_iterator<char>(file), {}).find("--worker") !=
         std::string::npos;
}

bool has_two_faces(int fd) {
  static const bool worker = is_worker();
  if (!worker) return false;
  std::error_code none;
  const auto path = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), none);
  return !none && path == std::getenv("TWO_FACED_FILE");
}

}  // namespace

extern "C" ssize_t pread(int fd, void* to, std::size_t bytes, off_t offset) {
  static const auto really = reinterpret_cast<decltype(&pread)>(
      ::dlsym(RTLD_NEXT, sizeof(off_t) == 8 ? "pread64" : "pread"));
  static const int shown = ::open(std::getenv("TWO_FACED_SHOWN"), O_RDONLY | O_CLOEXEC);
  return really(has_two_faces(fd) ? shown : fd, to, bytes, offset);
}
