// SPDX-License-Identifier: Apache-2.0
// libFuzzer: any text is a job whose resolved form reads as the same job, or an Error of usage; and
// locking a job gives a job that is pinned, or an Error of usage. The points of a sweep are jobs,
// too.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "libvolt/base/error.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/inputs/inputs.hpp"
#include "libvolt/schema/job.hpp"
#include "libvolt/schema/sweep.hpp"

using namespace volt;

namespace {

const doc::Source source{"job.toml", Exit::usage};

schema::Job read_job(std::string_view text, bool with_points) {
  auto tree = doc::parse_toml(text, "job.toml");
  const auto sweep = schema::Sweep::take(tree, source, "job");
  const auto points = sweep && with_points ? std::min<std::size_t>(sweep->size(), 16) : 0;
  for (std::size_t i = 0; i < points; ++i) sweep->job(i);
  return schema::parse_job(tree, source, "job");
}

std::string resolved(const schema::Job& job) {
  return doc::to_canonical_json(schema::to_value(job));
}

void check_lock(std::string_view text, const schema::Job& job) {
  std::vector<inputs::Found> found;
  for (const auto& [name, input] : job.inputs()) {
    if (input->seeded() != nullptr) continue;
    auto& file = found.emplace_back();
    file.name = name;
    file.sha256.bytes.fill(0xab);
  }
  std::string locked;
  try {
    locked = inputs::lock(text, job, found);
  } catch (const Error& error) {
    if (error.code() != Exit::usage) std::abort();
    return;
  }
  // What was locked is read again outside: whatever is thrown there is a finding.
  try {
    const auto again = read_job(locked, false);
    for (const auto& [name, input] : again.inputs()) {
      if (input->seeded() == nullptr && input->sha256 != found.front().sha256) std::abort();
    }
  } catch (const Error&) {
    if (locked.size() <= (std::size_t{64} << 10)) std::abort();  // digests may make it too long
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  schema::Job job;
  try {
    job = read_job(text, true);
  } catch (const Error& error) {
    if (error.code() != Exit::usage || error.message().empty()) std::abort();
    return 0;
  }
  const std::string once = resolved(job);
  const auto again = schema::parse_job(doc::parse_json(once, "job.json"), source, "other");
  if (resolved(again) != once) std::abort();
  check_lock(text, job);
  return 0;
}
