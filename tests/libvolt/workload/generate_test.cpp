// SPDX-License-Identifier: Apache-2.0
#include "libvolt/workload/generate.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <filesystem>
#include <numeric>

#include "libvolt/base/error.hpp"
#include "libvolt/doc/read.hpp"

namespace volt::workload {
namespace {

const std::filesystem::path here = std::filesystem::path(__FILE__).parent_path();

/// A model of the test vectors, with a tokenizer of bytes, that sees 160 tokens instead of 64.
class Model {
 public:
  Model() {
    for (const char* name : {"config.json", "model.safetensors"}) {
      texts_[name] = host::read_file(here / "../../vectors/lm/llama" / name, 1 << 24);
    }
    texts_["tokenizer.json"] = host::read_file(here / "../lm/tokenizers/bytes.json", 1 << 20);
    std::string& config = texts_["config.json"];
    const std::string sees = "\"max_position_embeddings\": 64";
    config.replace(config.find(sees), sees.size(), "\"max_position_embeddings\": 160");
  }
  void set(const std::string& name, const std::string& text) { texts_[name] = text; }
  lm::Files files() const {
    lm::Files files;
    for (const auto& [name, text] : texts_) files.emplace(name, as_bytes(text));
    return files;
  }

 private:
  std::map<std::string, std::string> texts_;
};

schema::Generate job_of(const std::string& members) {
  const std::string text =
      "schema = \"volt.job/1\"\nworkload = \"generate\"\n[generate]\n" + members + "\n";
  return schema::parse_job(doc::parse_toml(text, "job.toml"), {"job.toml"}, "job").generate;
}

/// A generation with all that it needs.
struct Made {
  Made(const std::string& members, const std::string& prompts, unsigned threads = 1)
      : device({"cpu", threads, std::uint64_t{1} << 30}),
        text(prompts),
        generation(job_of(members), model.files(), {}, as_bytes(text), device, sink) {}

  std::vector<Bytes> write(std::size_t units = SIZE_MAX) {
    std::vector<Bytes> pages;
    while (generation.ended() < generation.texts() && pages.size() < units) {
      pages.push_back(generation.next(sink));
    }
    return pages;
  }
  std::string lines() const {
    std::string all;
    for (std::uint64_t i = 0; i < generation.texts(); ++i) all += generation.line(i);
    return all;
  }
  std::string check(const std::vector<std::uint64_t>& units) {
    return generation.check(units, sink);
  }

  Model model;
  NullSink sink;
  device::Device device;
  std::string text;
  Generation generation;
};

constexpr const char* sampled = "prompts = \"p.txt\"\ntokens = 150\ntemperature = 1.2\n";
constexpr const char* three = "one\ntwo and more of it\nthree\n";

std::vector<std::uint64_t> all_of(const Generation& generation) {
  std::vector<std::uint64_t> units(generation.units());
  std::iota(units.begin(), units.end(), 0U);
  return units;
}

}  // namespace

TEST_CASE("one pass over each text gives the tokens that were written one by one") {
  for (const std::string profile : {"i8x\"\nbase_format = \"nf4", "i8x", "f32x"}) {
    for (const std::string temperature : {"0", "0.9"}) {
      CAPTURE(profile);
      CAPTURE(temperature);
      Made made("prompts = \"p.txt\"\ntokens = 150\nprofile = \"" + profile +
                    "\"\ntemperature = " + temperature,
                three);
      const auto pages = made.write();
      CHECK(pages.size() >= 3);
      CHECK(made.check(all_of(made.generation)).empty());
      CHECK(made.check({pages.size() - 1}).empty());
      CHECK(made.generation.multiply_adds(all_of(made.generation)) >
            made.generation.multiply_adds(std::vector<std::uint64_t>{0}));
    }
  }
}

TEST_CASE("a run that goes on from any unit writes the same") {
  Made whole(sampled, three);
  const auto pages = whole.write();
  REQUIRE(pages.size() > 3);
  for (std::size_t kept = 0; kept <= pages.size(); ++kept) {
    Made again(sampled, three, 2);
    for (std::size_t i = 0; i < kept; ++i) REQUIRE(again.generation.take(pages[i]).empty());
    auto rest = again.write();
    CHECK(rest ==
          std::vector<Bytes>(pages.begin() + static_cast<std::ptrdiff_t>(kept), pages.end()));
    CHECK(again.lines() == whole.lines());
  }
}

TEST_CASE("a text does not depend on what the others are, only on its place among them") {
  Made one(sampled, three), other(sampled, "another\ntwo and more of it\nthree\n"),
      moved(sampled, "two and more of it\none\nthree\n");
  one.write();
  other.write();
  moved.write();
  CHECK(one.generation.line(0) != other.generation.line(0));
  CHECK(one.generation.line(1) == other.generation.line(1));
  CHECK(one.generation.line(2) == other.generation.line(2));
  CHECK(one.generation.line(1) != moved.generation.line(0));
}

TEST_CASE("a text ends at its tokens, at the context, or with an EOS") {
  Made few("prompt = \"a\"\ntokens = 3", "");
  few.write();
  CHECK(few.generation.told(0).ended == "tokens");
  CHECK(few.generation.told(0).tokens == 3);
  CHECK(few.generation.told(0).place == "prompt");

  Made many("prompt = \"a\"\ntokens = 1000\nprofile = \"f32x\"", "");
  CHECK(many.generation.most_units() == 3);  // 160 - 2 tokens: BOS and a letter are given
  many.write();
  const auto told = many.generation.told(0);
  CHECK(told.ended == (told.tokens == 158 ? "context" : "eos"));

  // At the temperature of a blank page some text soon has an EOS.
  std::string prompts;
  for (int i = 0; i < 30; ++i) prompts += "x\n";
  Made ended("prompts = \"p.txt\"\ntokens = 100\ntemperature = 100", prompts);
  ended.write();
  std::size_t eos = 0;
  for (std::uint64_t i = 0; i < 30; ++i) {
    if (ended.generation.told(i).ended != "eos") continue;
    CHECK(ended.generation.told(i).tokens <= 100);
    ++eos;
  }
  CHECK(eos > 0);
}

TEST_CASE("a page is the next unit, or is not taken and says why") {
  Made written(sampled, three);
  const auto pages = written.write();
  const auto why = [&](std::size_t taken, Bytes page) {
    Made fresh(sampled, three);
    for (std::size_t i = 0; i < taken; ++i) REQUIRE(fresh.generation.take(pages[i]).empty());
    return fresh.generation.take(page);
  };
  const auto changed = [&](std::size_t at, std::uint8_t value) {
    Bytes page = pages[0];
    page[at] = value;
    return page;
  };
  CHECK(why(0, pages[0]).empty());
  CHECK(why(0, pages[1]) == "unit 0 is not block 0 of p.txt:1");
  CHECK(why(0, {}) == "unit 0 is not block 0 of p.txt:1");
  CHECK(why(0, changed(0, 'w')) == "unit 0 is not block 0 of p.txt:1");
  CHECK(why(0, changed(32, 65)) == "unit 0 is not block 0 of p.txt:1");
  CHECK(why(0, changed(39, 255)) == "unit 0 is not block 0 of p.txt:1");
  CHECK(why(0, changed(4095, 1)) == "unit 0 is not block 0 of p.txt:1");
  CHECK(why(0, changed(42, 1)).ends_with(", which the model does not have"));
  CHECK(why(pages.size(), pages[0]) == "there are tokens behind the end of the last text");
}

TEST_CASE("what cannot be gone on from is refused") {
  const auto refusal = [](const std::string& members, const std::string& prompts) -> std::string {
    try {
      Made made(members, prompts);
    } catch (const Error& error) {
      CHECK(error.code() == Exit::usage);
      return error.message();
    }
    return "nothing thrown";
  };
  CHECK(refusal("prompt = \"" + std::string(159, 'a') + "\"", "") ==
        "prompt: the prompt has 160 tokens, but the model sees 160, of which it is to write at "
        "least one");
  CHECK(refusal("prompt = \"" + std::string(158, 'a') + "\"", "") == "nothing thrown");
  CHECK(refusal("prompts = \"p.csv\"", "a") == "p.csv: data is a .jsonl or a .txt file");
}

}  // namespace volt::workload
