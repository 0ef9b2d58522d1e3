// SPDX-License-Identifier: Apache-2.0
#include "libvolt/proof/openings.hpp"

#include <algorithm>
#include <cstring>

#include "libvolt/base/error.hpp"
#include "libvolt/crypto/merkle.hpp"

namespace volt::proof {
namespace {

using tensor::page_bytes;

/// Tensors beyond this are not opened: the marks of their pages alone would take 16 MiB.
constexpr std::uint64_t max_tensor_bytes = std::uint64_t{1} << 39;

[[noreturn]] void refuse(std::string message, std::string hint = {}) {
  throw Error(Exit::verification_failed, std::move(message), std::move(hint));
}

std::uint64_t page_size(const tensor::Description& description, std::uint64_t page) {
  return std::min(page_bytes, description.bytes() - page * page_bytes);
}

/// Leaf numbers in the tensor's tree: the header, then page p as leaf p + 1.
std::vector<std::uint64_t> leaf_numbers(const Pages& pages) {
  std::vector<std::uint64_t> numbers{0};
  for (const auto page : pages.numbers) numbers.push_back(page + 1);
  return numbers;
}

std::uint64_t leaf_count(const tensor::Description& description) {
  return 1 + tensor::page_count(description.bytes());
}

/// Marks the pages that hold `count` elements from `line.first`, `line.step` apart.
void mark(std::vector<bool>& marks, const tensor::Description& description,
          workload::Geometry::Line line, std::uint64_t count) {
  const std::uint64_t size = tensor::size_of(description.dtype);
  if (count == 0) return;
  const std::uint64_t first = line.first * size / page_bytes;
  const std::uint64_t last = (line.first + (count - 1) * line.step) * size / page_bytes;
  if (line.step * size <= page_bytes) {  // no page between is skipped
    std::fill(marks.begin() + static_cast<std::ptrdiff_t>(first),
              marks.begin() + static_cast<std::ptrdiff_t>(last) + 1, true);
    return;
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    marks[(line.first + i * line.step) * size / page_bytes] = true;
  }
}

std::vector<bool> no_marks(const tensor::Description& description) {
  if (description.bytes() > max_tensor_bytes) {
    refuse("a tensor of " + tensor::to_text(description) + " is too large to be opened in a proof",
           "verify where the outputs are");
  }
  return std::vector<bool>(tensor::page_count(description.bytes()));
}

Pages pages_of(const tensor::Description& description, const std::vector<bool>& marks) {
  Pages pages{description, {}};
  for (std::uint64_t page = 0; page < marks.size(); ++page) {
    if (marks[page]) pages.numbers.push_back(page);
  }
  return pages;
}

/// Distinct rows and columns of ascending units.
std::vector<std::uint64_t> distinct(std::vector<std::uint64_t> values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

/// Takes `size` bytes off the front of `body`.
ByteView take(ByteView& body, std::uint64_t size) {
  if (size > body.size()) refuse("the proof ends too early");
  const ByteView taken = body.first(size);
  body = body.subspan(size);
  return taken;
}

/// The pages at the front of `body`, after a check that they lead to `facts.pages`.
ByteView take_pages(ByteView& body, const Pages& pages, const schema::TensorFacts& facts,
                    std::string_view name) {
  // Bounds before work: nothing is hashed or allocated beyond what the file holds.
  if (pages.bytes() > body.size() || pages.node_count() > body.size() / 32) {
    refuse("the proof ends too early");
  }
  const ByteView contents = take(body, pages.bytes());
  std::vector<Digest> leaves{crypto::leaf_digest(as_bytes(pages_header(facts.description)))};
  ByteView rest = contents;
  for (const auto page : pages.numbers) {
    leaves.push_back(crypto::leaf_digest(take(rest, page_size(facts.description, page))));
  }
  std::vector<Digest> nodes(pages.node_count());
  for (auto& node : nodes) std::memcpy(node.bytes.data(), take(body, 32).data(), 32);
  const auto root = crypto::merkle_root_of_opening(leaf_count(facts.description),
                                                   leaf_numbers(pages), leaves, nodes);
  if (!root || *root != facts.pages) {
    refuse("the opened pages of " + std::string(name) + " do not lead to the receipt's root");
  }
  return contents;
}

void check_whole(ByteView elements, const schema::TensorFacts& facts, std::string_view name) {
  std::vector<Digest> leaves;
  for (ByteView rest = elements; !rest.empty();) {
    leaves.push_back(crypto::leaf_digest(take(rest, std::min(page_bytes, rest.size()))));
  }
  if (tensor::pages_root(facts.description, leaves) != facts.pages) {
    refuse("the elements of " + std::string(name) + " do not lead to the receipt's root");
  }
}

}  // namespace

std::uint64_t Pages::bytes() const {
  if (numbers.empty()) return 0;
  return (numbers.size() - 1) * page_bytes + page_size(description, numbers.back());
}

std::uint64_t Pages::node_count() const {
  return crypto::merkle_opening_size(leaf_count(description), leaf_numbers(*this));
}

Needed needed(const workload::Geometry& geometry, const tensor::Description& a,
              const tensor::Description& b, std::span<const std::uint64_t> units) {
  const auto c = geometry.output();
  auto marks_c = no_marks(c), marks_a = no_marks(a), marks_b = no_marks(b);
  std::vector<std::uint64_t> rows, cols;
  for (const auto unit : units) {
    mark(marks_c, c, {unit, 1}, 1);
    rows.push_back(unit / geometry.n);
    cols.push_back(unit % geometry.n);
  }
  for (const auto row : distinct(std::move(rows))) {
    mark(marks_a, a, geometry.row_of_a(row), geometry.k);
  }
  for (const auto col : distinct(std::move(cols))) {
    mark(marks_b, b, geometry.column_of_b(col), geometry.k);
  }
  return {pages_of(c, marks_c), pages_of(a, marks_a), pages_of(b, marks_b)};
}

std::string_view cheapest(const Pages& pages, bool seeded) {
  if (seeded) return "seed";
  return opening_bytes(pages, "pages") < opening_bytes(pages, "whole") ? "pages" : "whole";
}

std::uint64_t opening_bytes(const Pages& pages, std::string_view way) {
  if (way == "seed") return 0;
  return way == "whole" ? pages.description.bytes() : pages.bytes() + 32 * pages.node_count();
}

void write_opening(const Pages& pages, const Evidence& evidence, std::string_view way,
                   const std::function<void(ByteView)>& write) {
  if (way == "seed") return;
  if (way == "whole") {
    write(evidence.elements);
    return;
  }
  for (const auto page : pages.numbers) {
    write(evidence.elements.subspan(page * page_bytes, page_size(pages.description, page)));
  }
  std::vector<Digest> leaves{
      crypto::leaf_digest(as_bytes(tensor::pages_header(pages.description)))};
  leaves.insert(leaves.end(), evidence.leaves.begin(), evidence.leaves.end());
  for (const auto& node : crypto::merkle_opening(leaves, leaf_numbers(pages))) write(node.bytes);
}

Openings::Openings(const schema::Receipt& receipt, const schema::ProofHeader& header,
                   const Needed& needed, ByteView body, ByteView made_a, ByteView made_b) {
  const auto& facts_c = *receipt.outputs.front().tensor;
  c_ = {&needed.c, take_pages(body, needed.c, facts_c, "C")};
  const auto open = [&](const char* name, const std::string& way, const Pages& pages,
                        ByteView made) -> Opened {
    const auto& record = *receipt.input(name);
    if ((way == "seed") != record.seed.has_value()) {
      refuse(std::string("input ") + name + " is opened by " + way +
             ", which the receipt does not allow");
    }
    if (way == "pages") return {&pages, take_pages(body, pages, *record.tensor, name)};
    const ByteView elements = way == "seed" ? made : take(body, record.tensor->description.bytes());
    check_whole(elements, *record.tensor, name);
    return {nullptr, elements};
  };
  a_ = open("a", header.a, needed.a, made_a);
  b_ = open("b", header.b, needed.b, made_b);
  if (!body.empty()) refuse("the proof goes on after its end");
}

const std::uint8_t* Openings::Opened::element(std::uint64_t index, std::uint64_t size) const {
  if (pages == nullptr) return bytes.data() + index * size;
  const std::uint64_t page = index * size / page_bytes;
  const auto& numbers = pages->numbers;
  const auto found = std::lower_bound(numbers.begin(), numbers.end(), page);
  return bytes.data() + static_cast<std::uint64_t>(found - numbers.begin()) * page_bytes +
         index * size % page_bytes;
}

std::optional<Mismatch> Openings::check(const workload::Geometry& geometry,
                                        std::span<const std::uint64_t> units,
                                        device::Device& device, Sink& sink,
                                        std::stop_token stop) const {
  // One row of A and one column of B at a time are a product of their own, 1 x k by k x 1, and by
  // the numerics contract its one element has the bits of C's.
  workload::Geometry one;
  one.m = one.n = 1;
  one.k = geometry.k;
  one.profile = geometry.profile;
  const std::uint64_t size = tensor::size_of(geometry.input_dtype());
  const auto gather = [&](const Opened& opened, workload::Geometry::Line line) {
    Bytes elements(geometry.k * size);
    for (std::uint64_t i = 0; i < geometry.k; ++i) {
      std::memcpy(elements.data() + i * size, opened.element(line.first + i * line.step, size),
                  size);
    }
    return elements;
  };
  std::uint64_t done = 0;
  for (const auto unit : units) {
    if (stop.stop_requested()) throw Error(Exit::interrupted, "interrupted");
    if (done % 64 == 0) sink.send(Progress{"replay", done, units.size(), "elements"});
    const Bytes row = gather(a_, geometry.row_of_a(unit / geometry.n));
    const Bytes col = gather(b_, geometry.column_of_b(unit % geometry.n));
    std::uint8_t right[4];
    workload::Product(one, row, col, device).tile(0, 1, 0, 1, right);
    if (auto mismatch = compare(geometry, unit, c_.element(unit, 4), right)) return mismatch;
    ++done;
  }
  sink.send(Progress{"replay", done, units.size(), "elements"});
  return std::nullopt;
}

}  // namespace volt::proof
