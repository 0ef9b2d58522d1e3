// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace volt::gpu {

/// A shared library that may not be there. It stays open until the process ends: NVIDIA's do not
/// survive being closed.
class Library {
 public:
  /// The first of `names` that opens, by the system's own search and then beside the programs of
  /// PATH (../lib, ../lib64 and Python's nvidia/ folders there) and in the usual places.
  explicit Library(const std::vector<std::string>& names);

  bool loaded() const { return handle_ != nullptr; }
  /// Why it is not loaded.
  const std::string& error() const { return error_; }
  /// Where it was found.
  const std::string& path() const { return path_; }

  /// Sets `function` to the symbol; throws std::runtime_error where the library lacks it.
  template <class Function>
  void get(const char* symbol, Function*& function) const {
    function = reinterpret_cast<Function*>(address(symbol));
  }

 private:
  void* address(const char* symbol) const;

  void* handle_ = nullptr;
  std::string path_, error_;
};

}  // namespace volt::gpu
