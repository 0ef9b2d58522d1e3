// SPDX-License-Identifier: Apache-2.0

#include "module.hpp"

#include <dlfcn.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "driver.hpp"

namespace volt::kernels {
namespace {

// Links resolved; empty when the system does not tell.
std::string own_folder() {
  char path[PATH_MAX];
  const ssize_t length = ::readlink("/proc/self/exe", path, sizeof path);
  if (length <= 0 || length == sizeof path) return {};
  const std::string program(path, static_cast<std::size_t>(length));
  return program.substr(0, program.rfind('/'));
}

// Whether nobody but root, the user and the program's owner could have put it there: loading is
// running, and programs are started from folders such as /tmp.
bool is_trusted(const std::string& path) {
  struct stat program = {}, found = {};
  if (::stat("/proc/self/exe", &program) != 0 || ::stat(path.c_str(), &found) != 0) return false;
  const bool ours =
      found.st_uid == 0 || found.st_uid == ::geteuid() || found.st_uid == program.st_uid;
  return ours && (found.st_mode & S_IWOTH) == 0;
}

std::string module_path() {
  const std::string own = own_folder();
  for (const char* const folder : {"/", "/../lib/volt/", "/../kernels/"}) {
    const std::string path = own + folder + module_file;
    if (is_trusted(own + folder) && is_trusted(path)) return path;
  }
  return {};
}

std::string to_text(std::uint32_t version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// A driver serves the versions before its own, and of its own major version also later ones.
bool serves(std::uint32_t driver, std::uint32_t runtime) { return driver / 1000 >= runtime / 1000; }

// The module that the library at `path` exports, or null and why.
const Module* load(const std::string& path, std::string& absent) {
  void* const library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    absent = std::string(module_file) + " does not load: " + ::dlerror();
    return nullptr;
  }
  const auto entry = reinterpret_cast<ModuleEntry>(::dlsym(library, module_entry));
  const Module* const module = entry == nullptr ? nullptr : entry();
  if (module == nullptr || std::strcmp(module->build, build_id()) != 0) {
    absent = path + " is of another build than this program";
    ::dlclose(library);
    return nullptr;
  }
  return module;
}

Cuda find() {
  Cuda found;
  const std::string path = module_path();
  if (path.empty()) {
    found.absent = std::string("this volt was built without CUDA (no ") + module_file + ")";
    return found;
  }
  // The runtime in the module asks for it by name, and is given what is there already.
  load_driver_library("libcuda.so.1");
  const Module* const module = load(path, found.absent);
  if (module == nullptr) return found;
  found.driver = module->driver;
  found.runtime = module->runtime;
  if (found.driver == 0) {
    found.absent = "no NVIDIA driver (libcuda.so.1 is not there, or does not load)";
    return found;
  }
  if (!serves(found.driver, found.runtime)) {
    found.absent = "the NVIDIA driver is too old: it serves CUDA " + to_text(found.driver) +
                   ", this volt needs " + to_text(found.runtime / 1000 * 1000);
    return found;
  }
  std::uint32_t count = 0;
  Status status = module->devices(nullptr, 0, &count);
  found.devices.resize(count);
  if (status.code == Status::ok) status = module->devices(found.devices.data(), count, &count);
  if (status.code != Status::ok) {
    found.absent = std::string("CUDA does not start: ") + status.text;
  } else if (count == 0) {
    found.absent = "the NVIDIA driver shows no GPU to CUDA";
  } else {
    found.backend = module->backend;
  }
  return found;
}

}  // namespace

const Cuda& cuda() {
  static const Cuda found = find();
  return found;
}

}  // namespace volt::kernels
