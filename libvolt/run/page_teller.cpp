// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/page_teller.hpp"

#include <algorithm>

namespace volt::run {
namespace {

using doc::Value;

/// Digests in one message: 512 of them take 34 kB.
constexpr std::size_t digests_per_message = 512;

void say_pages(const std::vector<Digest>& leaves, const Say& say) {
  for (std::size_t first = 0; first < leaves.size(); first += digests_per_message) {
    Value::Array pages;
    for (std::size_t i = first; i < std::min(leaves.size(), first + digests_per_message); ++i) {
      pages.emplace_back(leaves[i].hex());
    }
    say(Value::Object{{"pages", std::move(pages)}});
  }
}

}  // namespace

void PageTeller::add(ByteView bytes, bool last) {
  const bool alone = pending_.empty();
  if (!alone) pending_.insert(pending_.end(), bytes.begin(), bytes.end());
  const ByteView all = alone ? bytes : ByteView(pending_);
  const std::size_t whole =
      last ? all.size() : all.size() / tensor::page_bytes * tensor::page_bytes;
  say_pages(bench_.leaves(all.first(whole), "the output"), say_);
  pending_ = Bytes(all.begin() + static_cast<std::ptrdiff_t>(whole), all.end());
}

}  // namespace volt::run
