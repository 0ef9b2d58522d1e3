// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <functional>

/// Runs `f` in a child process; its exit status, or 128 and the signal it died of. 255: it threw.
inline int in_child(const std::function<int()>& f) {
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    ::alarm(60);
    for (const int death : {SIGABRT, SIGSEGV, SIGTERM}) ::signal(death, SIG_DFL);  // not doctest's
    int status = 255;
    try {
      status = f();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "in a child: %s\n", error.what());
    }
    ::_exit(status);
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// What a system call comes to in a child that first confines itself: 0, or its errno.
inline int tried(const std::function<void()>& confine, const std::function<long()>& call) {
  return in_child([&] {
    confine();
    errno = 0;
    return call() == -1 ? errno : 0;
  });
}

/// The control of what is confined.
inline void as_it_is() {}
