// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>

#include "tests/libvolt/doc/message.hpp"
#include "tests/libvolt/inputs/fixture.hpp"
#include "tests/libvolt/schema/sample.hpp"

using namespace volt;

namespace {

const std::string seed_b = "\nb = { seed = 1, shape = [1, 1] }";

std::optional<Exit> exit_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.code();
  }
  return std::nullopt;
}

}  // namespace

TEST_CASE_FIXTURE(Inputs, "inputs are found below the job's folder, with their digests") {
  jobs.write("a.npy", "text of a");
  jobs.write("sub/b.npy", "text of b");
  const auto found = find("a = \"a.npy\"\nb = { path = \"sub/../sub/b.npy\" }");
  REQUIRE(found.size() == 2);
  CHECK(found[0].name == "a");
  CHECK(found[0].sha256.hex() == hex_of("text of a"));
  CHECK(content(found[0]) == "text of a");
  CHECK(found[0].path.is_absolute());
  CHECK(found[1].name == "b");
  CHECK(content(found[1]) == "text of b");
  CHECK_FALSE(found[0].receipt);
}

TEST_CASE_FIXTURE(Inputs, "seeded inputs are left out") {
  jobs.write("a.npy", "x");
  const auto found = find("a = \"a.npy\"" + seed_b);
  REQUIRE(found.size() == 1);
  CHECK(found[0].name == "a");
}

TEST_CASE_FIXTURE(Inputs, "a name that changes afterwards does not change what was found") {
  jobs.write("a.npy", "first");
  const auto found = find("a = \"a.npy\"" + seed_b);
  std::filesystem::rename(jobs / "a.npy", jobs / "old");
  jobs.write("a.npy", "second");
  CHECK(content(found[0]) == "first");
}

TEST_CASE_FIXTURE(Inputs, "a file that is written to afterwards is noticed") {
  jobs.write("a.npy", "first");
  const auto found = find("a = \"a.npy\"" + seed_b);
  found[0].check_unchanged();
  jobs.write("a.npy", "longer than before");
  CHECK(message_of([&] { found[0].check_unchanged(); }).find("was changed while the job ran") !=
        std::string::npos);
  CHECK(exit_of([&] { found[0].check_unchanged(); }) == Exit::conflict);
}

TEST_CASE_FIXTURE(Inputs, "a path that leaves the job's folder is refused, by .. and by links") {
  const TempFolder outside;
  outside.write("secret", "s");
  std::filesystem::create_directories(jobs / "sub");
  std::filesystem::create_symlink(outside / "secret", jobs / "link");
  std::filesystem::create_symlink(outside.path(), jobs / "folder");
  std::filesystem::create_symlink("../sub", jobs / "sub/inside");
  const std::string up = "../" + outside.path().filename().string() + "/secret";
  for (const std::string& path : {up, std::string("link"), std::string("folder/secret"),
                                  std::string("sub/../link"), "sub/../" + up}) {
    CAPTURE(path);
    CHECK(message_of([&] { find("a = \"" + path + "\"" + seed_b); }) ==
          path +
              " leads outside the job's folder, while finding input a "
              "[bind files elsewhere by --input NAME=PATH]");
  }
  // A folder whose name only begins like the job's is outside too.
  const auto sibling = jobs.path().string() + "-more";
  std::filesystem::create_directory(sibling);
  std::filesystem::copy_file(outside / "secret", sibling + "/secret");
  CHECK(exit_of([&] {
          find("a = \"../" + std::filesystem::path(sibling).filename().string() + "/secret\"" +
               seed_b);
        }) == Exit::usage);
  std::filesystem::remove_all(sibling);
  jobs.write("sub/a", "within");
  CHECK(content(find("a = \"sub/inside/a\"" + seed_b)[0]) == "within");
}

TEST_CASE_FIXTURE(Inputs, "what is not there or no file is refused") {
  CHECK(exit_of([&] { find("a = \"none.npy\"" + seed_b); }) == Exit::not_found);
  CHECK(exit_of([&] { find("a = \".\"" + seed_b); }) == Exit::usage);
  REQUIRE(::mkfifo((jobs / "pipe").c_str(), 0600) == 0);
  ::alarm(60);
  CHECK(exit_of([&] { find("a = \"pipe\"" + seed_b); }) == Exit::usage);
  ::alarm(0);
}

TEST_CASE_FIXTURE(Inputs, "bindings go before paths, and lead anywhere") {
  const TempFolder outside;
  jobs.write("a.npy", "of the job");
  places.bindings["a"] = outside.write("mine", "of the person").string();
  CHECK(content(find("a = \"a.npy\"" + seed_b)[0]) == "of the person");
  CHECK(content(find(seed_b)[0]) == "of the person");
}

TEST_CASE_FIXTURE(Inputs, "a binding that the job has no use for is refused") {
  places.bindings["c"] = "x";
  CHECK(message_of([&] { find("a = \"a.npy\"" + seed_b); }) ==
        "the job has no input \"c\" [its inputs are a and b]");
  places.bindings.clear();
  jobs.write("a.npy", "x");
  places.bindings["b"] = (jobs / "a.npy").string();
  CHECK(message_of([&] { find("a = \"a.npy\"" + seed_b); }) ==
        "input b is made from a seed [leave out --input b, or the seed]");
}

TEST_CASE_FIXTURE(Inputs, "a model is a folder and its data a file, said before anything is read") {
  jobs.write("m/config.json", "{}");
  jobs.write("t.jsonl", "T");
  const auto finetune = [](const std::string& base, const std::string& data) {
    return job_of("schema = \"volt.job/1\"\nworkload = \"finetune\"\n[finetune]\nbase = \"" + base +
                  "\"\ndata = \"" + data + "\"\n");
  };
  const auto found = inputs::find(finetune("m", "t.jsonl"), places, sink, {});
  REQUIRE(found.size() == 2);
  CHECK(found[0].name == "base/config.json");
  CHECK(found[1].name == "data");
  const auto both = [&](const schema::Job& job) {
    const auto present = message_of([&] { inputs::check_present(job, places); });
    CHECK(message_of([&] { inputs::find(job, places, sink, {}); }) == present);
    return present;
  };
  CHECK(both(finetune("m", "t.jsonl")) == "nothing thrown");
  CHECK(both(finetune("t.jsonl", "t.jsonl")) ==
        (jobs / "t.jsonl").string() +
            " is no folder, while finding input base "
            "[a model is the folder that Hugging Face keeps it in, with its config.json]");
  CHECK(both(finetune("m", "m")) ==
        (jobs / "m").string() + " is not a regular file, while finding input data");
  places.bindings["model"] = "m";
  CHECK(both(finetune("m", "t.jsonl")) ==
        "the job has no input \"model\" [its inputs are base and data]");
}

TEST_CASE_FIXTURE(Inputs,
                  "of a model's folder only what is read is looked at, links by a binding") {
  const std::string head = "schema = \"volt.job/1\"\nworkload = \"finetune\"\n[finetune]\n";
  jobs.write("t.jsonl", "T");
  jobs.write("m/config.json", "{}");
  jobs.write("m/README.md", "much");
  jobs.write("m/original/old.safetensors", "other");
  jobs.write("blobs/1", "W");
  std::filesystem::create_symlink("../blobs/1", jobs / "m/model.safetensors");
  const auto named = job_of(head + "base = \"m\"\ndata = \"t.jsonl\"\n");
  const auto found = inputs::find(named, places, sink, {});
  REQUIRE(found.size() == 3);
  CHECK(found[0].name == "base/config.json");
  CHECK(found[1].name == "base/model.safetensors");

  std::filesystem::remove(jobs / "m/model.safetensors");
  std::filesystem::create_symlink("/dev/null", jobs / "m/model.safetensors");
  CHECK(message_of([&] { inputs::find(named, places, sink, {}); }).find("leads outside") !=
        std::string::npos);
  Inputs elsewhere;
  elsewhere.jobs.write("W", "W");
  std::filesystem::remove(jobs / "m/model.safetensors");
  std::filesystem::create_symlink(elsewhere.jobs / "W", jobs / "m/model.safetensors");
  places.bindings["base"] = (jobs / "m").string();
  const auto bound = job_of(head + "data = \"t.jsonl\"\n");
  CHECK(inputs::find(bound, places, sink, {}).size() == 3);
}

TEST_CASE_FIXTURE(Inputs, "of a run's folder the adapter alone is looked at") {
  jobs.write("m/config.json", "{}");
  jobs.write("t.run/adapter_config.json", "{}");
  jobs.write("t.run/states.bin", "S");
  const auto job = job_of(
      "schema = \"volt.job/1\"\nworkload = \"generate\"\n[generate]\nbase = \"m\"\n"
      "adapter = \"t.run\"\nprompt = \"a\"\n");
  const auto present = message_of([&] { inputs::check_present(job, places); });
  CHECK(present == (jobs / "t.run").string() +
                       " has no adapter_model.safetensors, while finding input adapter [an adapter "
                       "is a folder with adapter_config.json and adapter_model.safetensors]");
  CHECK(message_of([&] { inputs::find(job, places, sink, {}); }) == present);
  jobs.write("t.run/adapter_model.safetensors", "A");
  const auto found = inputs::find(job, places, sink, {});
  REQUIRE(found.size() == 3);
  CHECK(found[1].name == "adapter/adapter_config.json");
  CHECK(found[2].name == "adapter/adapter_model.safetensors");
  places.bindings["prompts"] = "m";
  CHECK(message_of([&] { inputs::find(job, places, sink, {}); }) ==
        "the job has no input \"prompts\" [write prompts = {} into [generate]]");
}

TEST_CASE_FIXTURE(Inputs, "an input that nobody names must be bound") {
  CHECK(message_of([&] { find(seed_b); }) ==
        "the job does not say where input a is, while finding input a "
        "[bind it: --input a=PATH]");
}

TEST_CASE_FIXTURE(Inputs, "a pinned digest must be the file's") {
  jobs.write("a.npy", "text");
  const std::string pinned = "a = { path = \"a.npy\", sha256 = \"" + hex_of("text") + "\" }";
  CHECK(content(find(pinned + seed_b)[0]) == "text");
  jobs.write("a.npy", "Text");
  CHECK(message_of([&] { find(pinned + seed_b); }) ==
        (jobs / "a.npy").string() + " has the digest " + hex_of("Text") + ", not the " +
            hex_of("text") +
            " that the job pins, while finding input a "
            "[get the right file, or write the new digest with gpu-run --lock]");
  CHECK(exit_of([&] { find(pinned + seed_b); }) == Exit::verification_failed);
  // Bound files too.
  places.bindings["a"] = (jobs / "a.npy").string();
  CHECK(exit_of([&] { find(pinned + seed_b); }) == Exit::verification_failed);
}

TEST_CASE_FIXTURE(Inputs, "an output of an earlier run comes with its receipt") {
  const auto key = crypto::SigningKey::make();
  auto receipt = sample_receipt(key.public_key());
  receipt.outputs[0].sha256 = digest_of("product");
  const std::string payload = schema::to_payload(receipt);
  jobs.write("x.run/c.npy", "product");
  jobs.write("x.run/receipt.json", envelope_of(payload, key));
  const std::string job = "a = { run = \"x.run\", file = \"c.npy\" }" + seed_b;
  const auto found = find(job);
  CHECK(content(found[0]) == "product");
  REQUIRE(found[0].receipt);
  CHECK(found[0].receipt->hex() == hex_of(payload));

  // Bound to the run's folder elsewhere, and to a file alone.
  const TempFolder outside;
  std::filesystem::copy(jobs / "x.run", outside / "y", std::filesystem::copy_options::recursive);
  places.bindings["a"] = (outside / "y").string();
  CHECK(find(job)[0].receipt == found[0].receipt);
  places.bindings["a"] = (outside / "y/c.npy").string();
  CHECK_FALSE(find(job)[0].receipt);
  places.bindings.clear();

  jobs.write("x.run/c.npy", "changed");
  CHECK(message_of([&] { find(job); })
            .find("is not the file that its receipt names, while finding input a "
                  "[it was changed after the run: run that job again]") != std::string::npos);
  CHECK(message_of([&] {
          jobs.write("x.run/d.npy", "x");
          find("a = { run = \"x.run\", file = \"d.npy\" }" + seed_b);
        }).find("knows no output d.npy") != std::string::npos);

  jobs.write("x.run/c.npy", "product");
  jobs.write("x.run/receipt.json", envelope_of(payload, crypto::SigningKey::make()));
  CHECK(exit_of([&] { find(job); }) == Exit::verification_failed);
  std::filesystem::remove(jobs / "x.run/receipt.json");
  CHECK(exit_of([&] { find(job); }) == Exit::not_found);
}

TEST_CASE_FIXTURE(Inputs, "a url is fetched once, and then comes from the cache") {
  http.pages["https://h/a.npy"] = "fetched";
  const std::string job =
      "a = { url = \"https://h/a.npy\", sha256 = \"" + hex_of("fetched") + "\" }" + seed_b;
  CHECK(content(find(job)[0]) == "fetched");
  CHECK(http.calls == 1);
  CHECK(std::filesystem::exists(cached("fetched")));
  CHECK(content(find(job)[0]) == "fetched");
  CHECK(http.calls == 1);
}

TEST_CASE_FIXTURE(Inputs, "a damaged file of the cache is fetched again") {
  http.pages["https://h/a.npy"] = "fetched";
  const std::string job =
      "a = { url = \"https://h/a.npy\", sha256 = \"" + hex_of("fetched") + "\" }" + seed_b;
  find(job);
  std::ofstream(cached("fetched")) << "damaged";
  CHECK(content(find(job)[0]) == "fetched");
  CHECK(http.calls == 2);
  CHECK(content(find(job)[0]) == "fetched");
  CHECK(http.calls == 2);
}

TEST_CASE_FIXTURE(Inputs, "a url without a digest is refused, and the digest told") {
  http.pages["https://h/a.npy"] = "fetched";
  CHECK(message_of([&] { find("a = { url = \"https://h/a.npy\" }" + seed_b); }) ==
        "input a is a url without a digest, while finding input a [if what it has now is what you "
        "mean, write: a = { url = \"https://h/a.npy\", sha256 = \"" +
            hex_of("fetched") + "\" }]");
}

TEST_CASE_FIXTURE(Inputs, "a url with other content is refused, and nothing kept") {
  http.pages["https://h/a.npy"] = "other";
  const std::string job =
      "a = { url = \"https://h/a.npy\", sha256 = \"" + hex_of("fetched") + "\" }" + seed_b;
  CHECK(exit_of([&] { find(job); }) == Exit::verification_failed);
  CHECK_FALSE(std::filesystem::exists(cached("other")));
  CHECK_FALSE(std::filesystem::exists(cached("fetched")));
  http.pages.clear();
  CHECK(exit_of([&] { find(job); }) == Exit::not_found);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(places.cache)) {
    CHECK(entry.is_directory());  // no half of a download
  }
}

TEST_CASE_FIXTURE(Inputs, "an input known by digest alone is looked for in the cache") {
  const std::string job = "a = { sha256 = \"" + hex_of("kept") + "\" }" + seed_b;
  CHECK(exit_of([&] { find(job); }) == Exit::usage);
  std::filesystem::create_directories(cached("kept").parent_path());
  std::ofstream(cached("kept")) << "kept";
  CHECK(content(find(job)[0]) == "kept");
}

TEST_CASE_FIXTURE(Inputs,
                  "a file is found by digest among files, in folders, in the cache, at a url") {
  const TempFolder given;
  const auto search = [&](std::string_view text, std::vector<host::Path> candidates,
                          const schema::Url* url = nullptr,
                          std::optional<std::uint64_t> bytes = {}) {
    places.candidates = std::move(candidates);
    return inputs::find_by_digest("a", digest_of(std::string(text)), bytes, places, url, sink, {});
  };
  given.write("one", "1");
  given.write("two", "22");
  given.write("sub/three", "333");
  CHECK(search("1", {given / "one"})->path == given / "one");
  CHECK(search("22", {given / "none", given / "one", given.path()})->path == given / "two");
  CHECK_FALSE(search("333", {given.path()}));
  CHECK(search("333", {given.path(), given / "sub"}));
  CHECK(search("22", {given.path()}, nullptr, 2));
  CHECK_FALSE(search("22", {given.path()}, nullptr, 3));
  CHECK_FALSE(search("nowhere", {given.path()}));

  const schema::Url url{"https://h/x"};
  http.pages[url.url] = "at the url";
  CHECK(content(*search("at the url", {given.path()}, &url)) == "at the url");
  CHECK(http.calls == 1);
  CHECK(search("at the url", {}));  // cached now
  CHECK(http.calls == 1);
  CHECK_FALSE(search("something else", {}, &url));
  CHECK(http.calls == 2);
  std::ofstream(cached("at the url")) << "damaged...";
  CHECK(content(*search("at the url", {}, &url)) == "at the url");
  places.http = nullptr;
  CHECK_FALSE(search("something else", {}, &url));
}

TEST_CASE_FIXTURE(Inputs, "pipes and unreadable things in a folder of candidates stop nothing") {
  const TempFolder given;
  REQUIRE(::mkfifo((given / "pipe").c_str(), 0600) == 0);
  std::filesystem::create_symlink("nowhere", given / "dangling");
  std::filesystem::create_symlink("loop", given / "loop");
  given.write("file", "wanted");
  ::alarm(60);
  places.candidates = {given.path()};
  CHECK(inputs::find_by_digest("a", digest_of("wanted"), 6, places, nullptr, sink, {}));
  ::alarm(0);
}

TEST_CASE_FIXTURE(Inputs, "a search stops when asked to") {
  std::stop_source stop;
  stop.request_stop();
  jobs.write("a.npy", "x");
  const auto job = job_of(toml("a = \"a.npy\"" + seed_b));
  CHECK(exit_of([&] { inputs::find(job, places, sink, stop.get_token()); }) == Exit::interrupted);
  CHECK(exit_of([&] {
          places.candidates = {jobs.path()};
          inputs::find_by_digest("a", digest_of("x"), 1, places, nullptr, sink, stop.get_token());
        }) == Exit::interrupted);
}
