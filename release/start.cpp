// SPDX-License-Identifier: Apache-2.0
// The first instructions of a tool of a release.
//
// A program names its dynamic loader by an absolute path, which the kernel follows; a release lies
// anywhere, on systems with another libc or none. So its tools name no loader, and the kernel
// starts them here. What follows is what the kernel would have done: it maps ../lib/volt's loader
// and jumps to it. Nothing else knows: /proc/self/exe is the tool, libraries are found by its
// DT_RPATH ($ORIGIN/../lib/volt), and no variable is set that a child could inherit.
//
// Nothing is relocated yet when this runs: no libc, no global pointers, no exceptions.
#include <elf.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

extern "C" {
extern const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));  // from the linker
uintptr_t volt_load(uintptr_t* stack, uintptr_t program) __attribute__((visibility("hidden")));
}

// The kernel's stack (arguments, environment, auxiliary vector) goes on to the loader untouched.
asm(R"(
  .globl volt_start
  .hidden volt_start
  .type volt_start, @function
volt_start:
  xor %ebp, %ebp
  mov %rsp, %rbx
  mov %rsp, %rdi
  lea _start(%rip), %rsi
  and $-16, %rsp
  call volt_load
  mov %rbx, %rsp
  xor %edx, %edx
  jmp *%rax
)");

namespace {

constexpr size_t page = 4096;
constexpr char loader_name[] = "/lib/volt/ld-linux-x86-64.so.2";

char loader[PATH_MAX + sizeof loader_name];
Elf64_Phdr headers[32];  // this program's, with the two that name a loader
char* withheld[4];

long call(long number, long a, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
  long result = number;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall"
               : "+a"(result)
               : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

template <class T>
long address(T* pointer) {
  return reinterpret_cast<long>(pointer);
}

size_t length(const char* text) {
  size_t count = 0;
  while (text[count] != 0) ++count;
  return count;
}

[[noreturn]] void fail(const char* what, const char* which, const char* hint) {
  const char* const parts[] = {"volt: error: ", what, which, "\nhint: ", hint, "\n"};
  for (const char* part : parts) {
    call(SYS_write, 2, address(part), static_cast<long>(length(part)));
  }
  for (;;) call(SYS_exit_group, 127);  // as a loader that lacks a library
}

[[noreturn]] void fail_to_load() {
  fail("cannot load ", loader, "bin and lib of a release belong side by side");
}

/// ../lib/volt, seen from this program.
void find_loader() {
  const long count = call(SYS_readlink, address("/proc/self/exe"), address(loader), PATH_MAX);
  if (count <= 0) fail("cannot read /proc/self/exe", "", "mount -t proc proc /proc");
  size_t end = static_cast<size_t>(count);
  for (int up = 0; up < 2; ++up) {
    while (end > 0 && loader[--end] != '/') {
    }
  }
  for (size_t i = 0; i < sizeof loader_name; ++i) loader[end + i] = loader_name[i];
}

uintptr_t map(uintptr_t at, size_t bytes, long protection, long flags, long file, size_t offset) {
  const long result = call(SYS_mmap, static_cast<long>(at), static_cast<long>(bytes), protection,
                           flags, file, static_cast<long>(offset));
  if (result < 0 && result > -4096) fail_to_load();
  return static_cast<uintptr_t>(result);
}

uintptr_t page_of(uintptr_t at) { return at & ~(page - 1); }

void map_segment(uintptr_t base, const Elf64_Phdr& part, long file) {
  const long protection = ((part.p_flags & PF_R) != 0 ? PROT_READ : 0) |
                          ((part.p_flags & PF_W) != 0 ? PROT_WRITE : 0) |
                          ((part.p_flags & PF_X) != 0 ? PROT_EXEC : 0);
  const uintptr_t begin = page_of(base + part.p_vaddr);
  const uintptr_t in_file = base + part.p_vaddr + part.p_filesz;
  const uintptr_t in_memory = base + part.p_vaddr + part.p_memsz;
  const uintptr_t mapped = page_of(in_file + page - 1);
  map(begin, in_file - begin, protection, MAP_PRIVATE | MAP_FIXED, file, page_of(part.p_offset));
  if (in_memory == in_file) return;
  for (uintptr_t at = in_file; at < mapped; ++at) *reinterpret_cast<volatile char*>(at) = 0;
  if (in_memory > mapped) {
    map(mapped, in_memory - mapped, protection, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0);
  }
}

struct Loader {
  uintptr_t base, entry;
};

Loader map_loader() {
  struct {
    Elf64_Ehdr header;
    Elf64_Phdr parts[24];
  } elf;
  const long file = call(SYS_open, address(loader), O_RDONLY | O_CLOEXEC);
  if (file < 0) fail_to_load();
  const long count = call(SYS_read, file, address(&elf), sizeof elf);
  if (count < static_cast<long>(sizeof elf) || elf.header.e_machine != EM_X86_64 ||
      elf.header.e_phoff != sizeof elf.header || elf.header.e_phnum > 24) {
    fail_to_load();
  }
  uintptr_t end = 0;
  for (int i = 0; i < elf.header.e_phnum; ++i) {
    const Elf64_Phdr& part = elf.parts[i];
    if (part.p_type == PT_LOAD) end = part.p_vaddr + part.p_memsz;  // they ascend
  }
  const uintptr_t base = map(0, end, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < elf.header.e_phnum; ++i) {
    if (elf.parts[i].p_type == PT_LOAD) map_segment(base, elf.parts[i], file);
  }
  call(SYS_close, file);
  return {base, base + elf.header.e_entry};
}

/// The loader finds out from these where the program lies, and by which name it was found itself.
size_t copy_headers(uintptr_t base) {
  const auto* own = reinterpret_cast<const Elf64_Phdr*>(base + __ehdr_start.e_phoff);
  size_t count = 0;
  const auto add = [&](uint32_t type, const void* what, size_t bytes) {
    const uintptr_t at = reinterpret_cast<uintptr_t>(what) - base;
    headers[count++] = {type, PF_R, 0, at, at, bytes, bytes, 1};
  };
  add(PT_PHDR, headers, sizeof headers);
  add(PT_INTERP, loader, sizeof loader);
  for (int i = 0; i < __ehdr_start.e_phnum && count < 32; ++i) {
    if (own[i].p_type != PT_PHDR && own[i].p_type != PT_INTERP) headers[count++] = own[i];
  }
  return count;
}

bool names(const char* variable, const char* name) {
  while (*name != 0 && *variable == *name) ++variable, ++name;
  return *name == 0;
}

/// What the system's loader is to load into every program was built for the system's libc. Put back
/// by the constructor below: children are started with it.
void withhold_preloads(char** environment) {
  size_t count = 0;
  for (; *environment != nullptr && count < 4; ++environment) {
    if (names(*environment, "LD_PRELOAD=") || names(*environment, "LD_AUDIT=")) {
      withheld[count++] = *environment;
      **environment = '-';
    }
  }
}

[[gnu::constructor]] void give_back_preloads() {
  for (char* variable : withheld) {
    if (variable != nullptr) *variable = 'L';
  }
}

}  // namespace

/// Where to jump to.
uintptr_t volt_load(uintptr_t* stack, uintptr_t program) {
  uintptr_t* at = stack + 1 + stack[0] + 1;
  withhold_preloads(reinterpret_cast<char**>(at));
  while (*at++ != 0) {
  }
  find_loader();
  const Loader found = map_loader();
  const size_t count = copy_headers(reinterpret_cast<uintptr_t>(&__ehdr_start));
  for (; *at != AT_NULL; at += 2) {
    if (at[0] == AT_PHDR) at[1] = reinterpret_cast<uintptr_t>(headers);
    if (at[0] == AT_PHNUM) at[1] = count;
    if (at[0] == AT_BASE) at[1] = found.base;
    if (at[0] == AT_ENTRY) at[1] = program;
  }
  return found.entry;
}
