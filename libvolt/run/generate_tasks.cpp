// SPDX-License-Identifier: Apache-2.0

// What a worker does for a generate job: write, and read again what a verifier drew.

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <numeric>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/crypto/digest.hpp"
#include "libvolt/crypto/merkle.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/run/model_inputs.hpp"
#include "libvolt/run/operands.hpp"
#include "libvolt/run/page_teller.hpp"
#include "libvolt/workload/generate.hpp"

namespace volt::run {
namespace {

using doc::Fields;
using doc::Source;
using doc::Value;
using workload::Generation;

const Source source{"task", Exit::failure};

std::unique_ptr<Generation> generation_of(Bench& bench, const ModelInputs& inputs, Sink& sink) {
  auto made = std::make_unique<Generation>(bench.job().generate, inputs.folder("base"),
                                           inputs.folder("adapter"), inputs.file("prompts"),
                                           bench.device(), sink);
  inputs.release();
  return made;
}

Value text_value(const Generation::Told& told) {
  constexpr std::size_t shown = 4000;
  // Enough for a person; it may be cut within a character.
  return Value::Object{{"place", told.place},
                       {"completion", as_utf8(std::string_view(told.completion).substr(0, shown))},
                       {"whole", told.completion.size() <= shown},
                       {"tokens", told.tokens},
                       {"ended", told.ended}};
}

void truncate(int fd, std::uint64_t bytes) {
  if (::ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
    throw_system(errno, "cannot write the texts");
  }
}

void write_texts(const Generation& generation, int fd) {
  truncate(fd, 0);
  std::uint64_t offset = 0;
  for (std::uint64_t text = 0; text < generation.texts(); ++text) {
    const std::string line = generation.line(text);
    host::write_at(fd, offset, as_bytes(line));
    offset += line.size();
  }
}

/// Takes the units of an earlier start, which the journal vouches for.
void go_on(Generation& generation, int out, std::uint64_t pages) {
  Bytes page(tensor::page_bytes);
  for (std::uint64_t unit = 0; unit < pages; ++unit) {
    if (host::read_at(out, unit * page.size(), page.data(), page.size()) != page.size() ||
        !generation.take(page).empty()) {
      throw Error(Exit::failure, "the unfinished run is of another volt",
                  "start anew with --force");
    }
  }
  truncate(out, pages * page.size());
}

}  // namespace

Value::Object do_generate(const Request& request, Sink& sink, const Say& say) {
  Bench bench(request, sink);
  const ModelInputs inputs(request, bench.job(), false);
  const auto made = generation_of(bench, inputs, sink);
  Generation& generation = *made;
  say(Value::Object{
      {"begin", Value::Object{{"units", generation.most_units()}, {"texts", generation.texts()}}}});
  const int out = request.file("out");
  go_on(generation, out,
        static_cast<std::uint64_t>(
            Fields(request.value, source).integer("done_pages", 0, INT64_MAX)));
  PageTeller teller(bench, say);
  while (generation.ended() < generation.texts()) {
    const std::uint64_t text = generation.ended();
    const Bytes page = generation.next(sink);
    host::write_at(out, (generation.units() - 1) * page.size(), page);
    teller.add(page, true);
    if (generation.ended() != text) say(Value::Object{{"text", text_value(generation.told(text))}});
  }
  write_texts(generation, request.file("generated.jsonl"));
  std::vector<std::uint64_t> all(generation.units());
  std::iota(all.begin(), all.end(), 0U);
  const auto& facts = bench.device().facts();
  return {
      {"device",
       Value::Object{{"backend", facts.backend}, {"name", facts.name}, {"driver", facts.driver}}},
      {"multiply_adds", generation.multiply_adds(all)}};
}

namespace {

/// What a receipt leaves out, such as a tokenizer, is a mistake of the receipt.
std::unique_ptr<Generation> claimed_generation(Bench& bench, const ModelInputs& inputs,
                                               Sink& sink) {
  try {
    return generation_of(bench, inputs, sink);
  } catch (const Error& error) {
    if (error.code() != Exit::not_found) throw;
    throw Error(Exit::verification_failed, error.message(), error.hint());
  }
}

/// What of the units follows from the job alone and is not so.
std::string contradiction(Generation& generation, ByteView tokens) {
  for (std::uint64_t offset = 0; offset < tokens.size(); offset += tensor::page_bytes) {
    const auto size = std::min<std::uint64_t>(tensor::page_bytes, tokens.size() - offset);
    if (auto why = generation.take(tokens.subspan(offset, size)); !why.empty()) return why;
  }
  if (generation.ended() == generation.texts()) return {};
  return "tokens.bin has " + std::to_string(generation.ended()) + " whole texts, but the job " +
         std::to_string(generation.texts());
}

/// What generated.jsonl says otherwise than the tokens. Its digest is told as it was compared.
std::string difference(const Generation& generation, int fd, const Say& say) {
  constexpr std::string_view name = "generated.jsonl";
  std::uint64_t at = 0;
  crypto::Sha256 hash;
  for (std::uint64_t text = 0; text < generation.texts(); ++text) {
    const std::string line = generation.line(text);
    Bytes claimed(line.size());
    if (host::read_at(fd, at, claimed.data(), claimed.size()) != claimed.size() ||
        as_text(claimed) != line) {
      return "line " + std::to_string(text + 1) + " of " + std::string(name) +
             " is not what prompt and tokens give";
    }
    hash.update(claimed);
    at += line.size();
  }
  if (host::stamp_of(fd).bytes != at) return std::string(name) + " goes on behind its last line";
  ModelInputs::tell_digest(name, hash.finish(), say);
  return {};
}

}  // namespace

Value::Object do_regenerate(const Request& request, Sink& sink, const Say& say) {
  Bench bench(request, sink);
  const ModelInputs inputs(request, bench.job(), true);
  inputs.tell_digests(say);
  const auto made = claimed_generation(bench, inputs, sink);
  Generation& generation = *made;
  // Before it is read: a forged one may be of any size.
  const std::uint64_t most = generation.most_units() * tensor::page_bytes;
  const std::uint64_t size = host::stamp_of(request.file("out")).bytes;
  if (size == 0 || size > most) {
    throw Error(Exit::verification_failed, "tokens.bin has " + std::to_string(size) +
                                               " bytes, but the job gives up to " +
                                               std::to_string(most));
  }
  const Bytes tokens = host::read_whole(request.file("out"));
  ModelInputs::tell_digest("tokens.bin", crypto::sha256(tokens), say);
  const auto leaves = bench.leaves(tokens, "the tokens");
  say(Value::Object{{"trace", Value::Object{{"root", crypto::merkle_root(leaves).hex()},
                                            {"units", std::uint64_t{leaves.size()}}}}});
  std::string mismatch = contradiction(generation, tokens);
  if (!mismatch.empty()) {
    // Which texts these would be, nobody can say.
    return {{"checked", std::uint64_t{0}},
            {"mismatch", mismatch},
            {"cost", Value::Object{{"multiply_adds", 0.0}, {"of", 0.0}}}};
  }
  if (auto why = difference(generation, request.file("generated.jsonl"), say); !why.empty()) {
    say(Value::Object{{"wrong", std::move(why)}});
  }

  std::vector<std::uint64_t> all(generation.units());
  std::iota(all.begin(), all.end(), 0U);
  mismatch = generation.check(all, sink);
  const double cost = generation.multiply_adds(all);
  return {{"checked", generation.units()},
          {"mismatch", mismatch.empty() ? Value(nullptr) : Value(mismatch)},
          {"cost", Value::Object{{"multiply_adds", cost}, {"of", cost}}}};
}

}  // namespace volt::run
