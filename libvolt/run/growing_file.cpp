// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/growing_file.hpp"

#include <unistd.h>

#include <cerrno>

namespace volt::run {

std::string GrowingFile::ahead(std::size_t bytes) const {
  if (!known_) return {};
  std::string there(bytes, '\0');
  there.resize(
      host::read_at(fd_.get(), end_, reinterpret_cast<std::uint8_t*>(there.data()), bytes));
  return there;
}

void GrowingFile::add(std::string_view piece) {
  if (ahead(piece.size()) != piece) {
    if (known_) cut();
    host::write_at(fd_.get(), end_, as_bytes(piece));
  }
  end_ += piece.size();
}

void GrowingFile::finish() {
  if (known_) cut();
}

void GrowingFile::cut() {
  if (::ftruncate(fd_.get(), static_cast<off_t>(end_)) != 0) {
    throw_system(errno, "cannot shorten a file of the run folder");
  }
  known_ = false;
}

}  // namespace volt::run
