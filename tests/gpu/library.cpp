// SPDX-License-Identifier: Apache-2.0

#include "library.hpp"

#include <dlfcn.h>
#include <glob.h>

#include <cstdlib>
#include <sstream>
#include <stdexcept>

namespace volt::gpu {
namespace {

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// Folders that may hold libraries of a toolkit or of Python packages, as patterns of glob(3).
std::vector<std::string> patterns() {
  std::vector<std::string> roots;
  std::istringstream path(environment("PATH"));
  for (std::string folder; std::getline(path, folder, ':');) {
    if (!folder.empty()) roots.push_back(folder + "/..");  // a toolkit, or a virtual environment
  }
  roots.insert(roots.end(), {"/usr/local/cuda", "/usr/local/cuda-*", "/opt/conda",
                             environment("HOME") + "/.local", "/usr/local", "/usr"});
  std::vector<std::string> all;
  for (const std::string& root : roots) {
    all.push_back(root + "/lib64");
    all.push_back(root + "/lib");
    all.push_back(root + "/lib/python3*/*-packages/nvidia/*/lib");
  }
  return all;
}

std::vector<std::string> matches(const std::string& pattern) {
  glob_t found{};
  std::vector<std::string> paths;
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  }
  globfree(&found);
  return paths;
}

}  // namespace

Library::Library(const std::vector<std::string>& names) {
  const auto open = [&](const std::string& path) {
    handle_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle_ != nullptr) path_ = path;
    return handle_ != nullptr;
  };
  for (const std::string& name : names) {
    if (open(name)) return;
    for (const std::string& pattern : patterns()) {
      for (const std::string& path : matches(pattern + "/" + name)) {
        if (open(path)) return;
      }
    }
  }
  error_ = names.front() + " is not here";
}

void* Library::address(const char* symbol) const {
  void* const found = dlsym(handle_, symbol);
  if (found == nullptr) throw std::runtime_error(path_ + " has no " + symbol);
  return found;
}

}  // namespace volt::gpu
