// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "libvolt/host/files.hpp"

namespace volt::sandbox {

/// Where a program finds its own folders.
struct Layout {
  host::Path work, inputs, tmp, home;
};

/// In namespaces of its own.
inline Layout own_layout() { return {"/work", "/inputs", "/tmp", "/home/volt"}; }
/// Where this machine's files are seen. The same steps lead from one folder to the other, so that
/// relative links hold in both.
inline Layout layout_in(const host::Path& scratch) {
  return {scratch / "work", scratch / "inputs", scratch / "tmp", scratch / "home"};
}

/// What every program may read of this machine. Whatever is not there is left out.
inline constexpr const char* system_folders[]{"/usr",   "/bin",   "/sbin",   "/lib",
                                              "/lib32", "/lib64", "/libx32", "/opt"};
/// Of /etc only what libraries look at; passwords, keys and services stay out of sight.
inline constexpr const char* etc_folders[]{"/etc/alternatives",  "/etc/ca-certificates",
                                           "/etc/fonts",         "/etc/pki/ca-trust",
                                           "/etc/pki/tls/certs", "/etc/R",
                                           "/etc/ssl/certs"};
inline constexpr const char* etc_files[]{
    "/etc/gai.conf",   "/etc/host.conf",       "/etc/ld.so.cache", "/etc/localtime",
    "/etc/mime.types", "/etc/nsswitch.conf",   "/etc/os-release",  "/etc/protocols",
    "/etc/services",   "/etc/ssl/openssl.cnf", "/etc/timezone"};
inline constexpr const char* network_files[]{"/etc/hosts", "/etc/resolv.conf"};
/// What tells a program about the processor; for GPUs their drivers need all of /sys/devices.
inline constexpr const char* processor_files[]{"/sys/devices/system/cpu",
                                               "/sys/devices/system/node"};
inline constexpr const char* gpu_files[]{"/sys/bus/pci", "/sys/devices", "/sys/module",
                                         "/etc/OpenCL",  "/etc/glvnd",   "/etc/vulkan"};
inline constexpr const char* plain_devices[]{"/dev/null", "/dev/zero", "/dev/full", "/dev/random",
                                             "/dev/urandom"};

}  // namespace volt::sandbox
