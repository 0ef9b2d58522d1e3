// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/tasks.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <tuple>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/crypto/digest.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/proof/algebra.hpp"
#include "libvolt/proof/challenge.hpp"
#include "libvolt/proof/openings.hpp"
#include "libvolt/proof/replay.hpp"
#include "libvolt/run/model_inputs.hpp"
#include "libvolt/run/operands.hpp"
#include "libvolt/run/page_teller.hpp"
#include "libvolt/tensor/npy.hpp"
#include "libvolt/workload/matmul.hpp"

namespace volt::run {
namespace {

using doc::Fields;
using doc::Source;
using doc::Value;

const Source source{"task", Exit::failure};
Value::Object device_members(const device::Facts& facts) {
  return {{"backend", facts.backend}, {"name", facts.name}, {"driver", facts.driver}};
}

/// A pure count for people: what the check cost, and what the product would.
Value cost_members(double cost, double whole) {
  return Value::Object{{"multiply_adds", cost}, {"of", whole}};
}

Value mismatch_value(const std::optional<proof::Mismatch>& mismatch) {
  return mismatch ? Value(proof::to_text(*mismatch)) : Value(nullptr);
}

void write_image(int fd, const std::string& picture) {
  if (::ftruncate(fd, 0) != 0) throw_system(errno, "cannot write the image");
  host::write_at(fd, 0, as_bytes(picture));
}

}  // namespace

int Request::file(std::string_view name) const {
  const auto found = files.find(name);
  if (found == files.end()) {
    throw Error(Exit::failure, "the worker was not given " + printable(name));
  }
  return found->second;
}

Value::Object do_run(const Request& request, Sink& sink, const Say& say) {
  Bench bench(request, sink);
  const auto& job = bench.job().matmul;
  const Operand a = bench.operand(request, "a", Operand::Trust::in_place),
                b = bench.operand(request, "b", Operand::Trust::in_place);
  // Refused before anything is hashed or written.
  const auto geometry = workload::geometry(job, a.description(), b.description());
  const auto output = geometry.output();
  const std::string header = tensor::npy_header(output);
  say(Value::Object{{"begin", Value::Object{{"bytes", output.bytes()},
                                            {"offset", std::uint64_t{header.size()}}}}});
  for (const auto& [name, operand] : {std::pair{"a", &a}, std::pair{"b", &b}}) {
    say(Value::Object{
        {"input", to_members(name, bench.facts(*operand, "input " + std::string(name)))}});
  }

  const int out = request.file("out");
  const auto done_pages =
      static_cast<std::uint64_t>(Fields(request.value, source).integer("done_pages", 0, INT64_MAX));
  const std::uint64_t done_bytes = std::min(done_pages * tensor::page_bytes, output.bytes());
  // The exact length at once: nothing of an earlier start may trail behind.
  if (::ftruncate(out, static_cast<off_t>(header.size() + output.bytes())) != 0) {
    throw_system(errno, "cannot make the output as long as it becomes");
  }
  host::write_at(out, 0, as_bytes(header));
  workload::Product product(geometry, a.elements(), b.elements(), bench.device());
  PageTeller teller(bench, say);
  const std::uint64_t row_bytes = 4 * geometry.n;
  const std::uint64_t step = product.rows_per_step();
  // Pages end within rows: the row of the first page not yet told is computed once more.
  std::uint64_t row = row_bytes == 0 ? geometry.m : done_bytes / row_bytes;
  std::uint64_t skip = done_bytes - row * row_bytes;
  for (; row < geometry.m; skip = 0) {
    sink.send(Progress{"product", row, geometry.m, "rows"});
    const std::uint64_t rows = std::min(step, geometry.m - row);
    Bytes tile(rows * row_bytes);
    product.tile(row, rows, 0, geometry.n, tile.data());
    host::write_at(out, header.size() + row * row_bytes, tile);
    row += rows;
    teller.add(ByteView(tile).subspan(skip), row == geometry.m);
  }
  sink.send(Progress{"product", geometry.m, geometry.m, "rows"});

  Value sketch = nullptr;
  if (request.has("image")) {
    const host::Mapping c(out);
    const ByteView elements = c.bytes().subspan(header.size(), output.bytes());
    write_image(request.file("image"), workload::graymap(geometry, elements));
    sketch = workload::sketch(geometry, elements, 64);
  }
  return {{"device", device_members(bench.device().facts())},
          {"output", to_members(job.out, {output, {}})},
          {"sketch", std::move(sketch)}};
}

Value::Object do_replay(const Request& request, Sink& sink, const Say& say) {
  Bench bench(request, sink);
  const auto& job = bench.job().matmul;
  const Operand a = bench.operand(request, "a", Operand::Trust::copied),
                b = bench.operand(request, "b", Operand::Trust::copied);
  const Operand c = Operand::from_output(request.file("out"), job.out, Operand::Trust::copied);
  const auto geometry =
      workload::geometry(job, a.description(), b.description(), Exit::verification_failed);
  if (c.description() != geometry.output()) {
    throw Error(Exit::verification_failed, "the output is " + tensor::to_text(c.description()) +
                                               ", but the job gives " +
                                               tensor::to_text(geometry.output()));
  }
  const auto tell_file = [&](std::string_view name, const Operand& operand) {
    if (operand.sha256()) ModelInputs::tell_digest(name, *operand.sha256(), say);
  };
  for (const auto& [name, operand] : {std::pair{"a", &a}, std::pair{"b", &b}}) {
    say(Value::Object{
        {"input", to_members(name, bench.facts(*operand, "input " + std::string(name)))}});
    tell_file(name, *operand);
  }
  say(Value::Object{{"output", to_members(job.out, bench.facts(c, "the output"))}});
  tell_file(job.out, c);
  if (request.has("image")) {
    const Bytes image = host::read_whole(request.file("image"));
    const bool right = as_text(image) == workload::graymap(geometry, c.elements());
    say(Value::Object{{"image", right}});
    ModelInputs::tell_digest(job.image, crypto::sha256(image), say);
  }

  Fields fields(request.value, source);
  const auto& how = fields.string("how");
  const Digest seed = fields.digest("seed");
  workload::Product product(geometry, a.elements(), b.elements(), bench.device());
  std::optional<proof::Mismatch> mismatch;
  std::uint64_t checked = geometry.units();
  double cost = geometry.multiply_adds();
  if (how == "all") {
    mismatch = proof::replay_all(geometry, product, c.elements(), sink, {});
  } else if (how == "algebra") {
    const auto row = proof::freivalds(geometry, a.elements(), b.elements(), c.elements(), seed,
                                      bench.device(), sink, {});
    cost = proof::freivalds_multiply_adds(geometry);
    if (row) {
      // The algebra names a row; replaying it names the element.
      std::vector<std::uint64_t> units(geometry.n);
      for (std::uint64_t j = 0; j < geometry.n; ++j) units[j] = *row * geometry.n + j;
      mismatch = proof::replay_units(geometry, product, c.elements(), units, sink, {});
      if (!mismatch) {
        throw Error(Exit::failure,
                    "the algebra finds row " + std::to_string(*row) +
                        " wrong and its replay right: this device computes wrongly",
                    "use --device cpu, or another machine");
      }
    }
  } else {
    const auto draws = static_cast<std::uint64_t>(
        fields.integer("draws", 1, static_cast<std::int64_t>(schema::max_draws)));
    const auto units = proof::drawn_units(seed, draws, geometry.units());
    mismatch = proof::replay_units(geometry, product, c.elements(), units, sink, {});
    checked = units.size();
    cost = static_cast<double>(checked) * static_cast<double>(geometry.k);
  }
  return {{"checked", checked},
          {"mismatch", mismatch_value(mismatch)},
          {"cost", cost_members(cost, geometry.multiply_adds())}};
}

namespace {

/// What both sides of a proof by openings know.
struct Openable {
  schema::Receipt receipt;
  workload::Geometry geometry;
  std::vector<std::uint64_t> units;

  Openable(const Bench& bench, Fields& fields)
      : receipt(schema::parse_receipt(fields.string("receipt"), "receipt")) {
    const auto* a = receipt.input("a");
    const auto* b = receipt.input("b");
    if (a == nullptr || b == nullptr || !a->tensor || !b->tensor || receipt.outputs.empty() ||
        !receipt.outputs.front().tensor) {
      throw Error(Exit::verification_failed, "the receipt lacks an input or the output");
    }
    geometry = workload::geometry(bench.job().matmul, a->tensor->description,
                                  b->tensor->description, Exit::verification_failed);
    if (receipt.outputs.front().tensor->description != geometry.output()) {
      throw Error(Exit::verification_failed, "the receipt's output has not the job's shape");
    }
    const auto draws = static_cast<std::uint64_t>(
        fields.integer("draws", 1, static_cast<std::int64_t>(schema::max_draws)));
    units = proof::drawn_units(fields.digest("seed"), draws, geometry.units());
  }

  proof::Needed needed() const {
    return proof::needed(geometry, receipt.input("a")->tensor->description,
                         receipt.input("b")->tensor->description, units);
  }
};

/// A tensor of the prover with its leaves, after a check that it is the one that the receipt names.
proof::Evidence evidence(Bench& bench, const Operand& operand, const schema::TensorFacts& facts,
                         const std::string& name) {
  proof::Evidence found{operand.elements(), bench.leaves(operand.elements(), name)};
  const auto root = tensor::pages_root(operand.description(), found.leaves);
  if (schema::TensorFacts{operand.description(), root} != facts) {
    throw Error(Exit::verification_failed,
                "what is found as " + name + " is not what the receipt names");
  }
  return found;
}

}  // namespace

Value::Object do_prove(const Request& request, Sink& sink, const Say& say) {
  Bench bench(request, sink);
  Fields fields(request.value, source);
  const Openable open(bench, fields);
  const Operand a = bench.operand(request, "a", Operand::Trust::in_place),
                b = bench.operand(request, "b", Operand::Trust::in_place);
  const Operand c =
      Operand::from_output(request.file("out"), bench.job().matmul.out, Operand::Trust::in_place);
  const auto shown_a = evidence(bench, a, *open.receipt.input("a")->tensor, "input a");
  const auto shown_b = evidence(bench, b, *open.receipt.input("b")->tensor, "input b");
  const auto shown_c = evidence(bench, c, *open.receipt.outputs.front().tensor, "the output");

  const auto needed = open.needed();
  schema::ProofHeader header;
  header.challenge = fields.digest("challenge");
  header.receipt = crypto::sha256(as_bytes(fields.string("receipt")));
  header.a = proof::cheapest(needed.a, open.receipt.input("a")->seed.has_value());
  header.b = proof::cheapest(needed.b, open.receipt.input("b")->seed.has_value());
  const std::string line = schema::to_line(header);
  const std::uint64_t size = line.size() + proof::opening_bytes(needed.c, "pages") +
                             proof::opening_bytes(needed.a, header.a) +
                             proof::opening_bytes(needed.b, header.b);
  say(Value::Object{{"size", size}});

  const int out = request.file("proof");
  std::uint64_t offset = 0;
  const auto write = [&](ByteView bytes) {
    host::write_all(out, as_text(bytes));
    offset += bytes.size();
    sink.send(Progress{"proof", offset, size, "bytes"});
  };
  write(as_bytes(line));
  proof::write_opening(needed.c, shown_c, "pages", write);
  proof::write_opening(needed.a, shown_a, header.a, write);
  proof::write_opening(needed.b, shown_b, header.b, write);
  return {{"bytes", offset}};
}

Value::Object do_openings(const Request& request, Sink& sink, const Say&) {
  Bench bench(request, sink);
  Fields fields(request.value, source);
  const Openable open(bench, fields);
  const Bytes file = host::read_whole(request.file("proof"));
  const ByteView bytes = file;
  const auto end = as_text(bytes.first(std::min<std::size_t>(bytes.size(), 4096))).find('\n');
  if (end == std::string_view::npos) {
    throw Error(Exit::verification_failed, "the proof has no header line");
  }
  const auto header = schema::parse_proof_header(as_text(bytes.first(end)), "proof");
  if (header.challenge != fields.digest("challenge")) {
    throw Error(Exit::verification_failed, "the proof answers another challenge",
                "a proof counts only for the challenge that it was made for");
  }
  if (header.receipt != crypto::sha256(as_bytes(fields.string("receipt")))) {
    throw Error(Exit::verification_failed, "the proof is of another receipt");
  }
  const ByteView body = bytes.subspan(end + 1);
  // A row or column that the file cannot hold needs no further look.
  const std::uint64_t line_bytes = open.geometry.k * tensor::size_of(open.geometry.input_dtype());
  if ((header.a != "seed" || header.b != "seed") && line_bytes > body.size()) {
    throw Error(Exit::verification_failed, "the proof ends too early");
  }
  Bytes made[2];
  for (const auto& [index, name, way] : {std::tuple{0, "a", &header.a}, {1, "b", &header.b}}) {
    const auto* seeded = (index == 0 ? bench.job().matmul.a : bench.job().matmul.b).seeded();
    if (*way != "seed") continue;
    if (seeded == nullptr) {
      throw Error(Exit::verification_failed, std::string("the job has no seed for input ") + name);
    }
    made[index] = workload::generate(*seeded, open.geometry.input_dtype(), name, bench.device());
  }
  const auto needed = open.needed();
  const proof::Openings openings(open.receipt, header, needed, body, made[0], made[1]);
  const auto mismatch = openings.check(open.geometry, open.units, bench.device(), sink, {});
  return {{"checked", std::uint64_t{open.units.size()}},
          {"mismatch", mismatch_value(mismatch)},
          {"cost", cost_members(static_cast<double>(open.units.size()) *
                                    static_cast<double>(open.geometry.k),
                                open.geometry.multiply_adds())}};
}

}  // namespace volt::run
