// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "tests/libvolt/doc/message.hpp"
#include "tests/libvolt/inputs/fixture.hpp"

using namespace volt;

namespace {

/// Locks a job whose a is a file with the content "A" and whose b has "B".
struct Locking : Inputs {
  Locking() {
    for (const char* name : {"a.npy", "é.npy", "a b.npy", "d/a.npy"}) jobs.write(name, "A");
    jobs.write("b.npy", "B");
  }
  std::string locked(const std::string& text) {
    const auto job = job_of(text);
    return inputs::lock(text, job, inputs::find(job, places, sink, {}));
  }
  /// After a check that the result pins both files and says all else that `text` did.
  std::string checked(const std::string& text) {
    const std::string result = locked(text);
    CAPTURE(result);
    auto before = job_of(text);
    const auto after = job_of(result);
    for (const auto& [name, input] : after.inputs()) {
      if (input->seeded() != nullptr) continue;
      REQUIRE(input->sha256);
      CHECK(input->sha256->hex() == hex_of(name == "a" ? "A" : "B"));
    }
    before.matmul.a.sha256 = after.matmul.a.sha256;
    before.matmul.b.sha256 = after.matmul.b.sha256;
    CHECK(doc::to_canonical_json(schema::to_value(before)) ==
          doc::to_canonical_json(schema::to_value(after)));
    CHECK(locked(result) == result);  // once is enough
    return result;
  }
};

const std::string digest_a = hex_of("A"), digest_b = hex_of("B");
const std::string a_of_file = "{ path = \"a.npy\", sha256 = \"" + digest_a + "\" }";
const std::string b_of_file = "{ path = \"b.npy\", sha256 = \"" + digest_b + "\" }";

}  // namespace

TEST_CASE_FIXTURE(Locking, "locking writes digests and leaves every other byte as it is") {
  const std::string head =
      "# à job\r\nschema   =  'volt.job/1'\nworkload=\"matmul\" # x\n\n[matmul]   # tab\there\n";
  const std::string tail =
      "  # after b\nout = \"ü.npy\"\n\n\n[proof]\n\tlevel = 'all' # \"b.npy\"\n# end, no newline";
  CHECK(checked(head + "  a =\t\"a.npy\"   # the first\nb = 'b.npy'" + tail) ==
        head + "  a =\t" + a_of_file + "   # the first\nb = " + b_of_file + tail);
  CHECK(checked(head + "b = 'b.npy' #1\na = \"a.npy\"" + tail) ==
        head + "b = " + b_of_file + " #1\na = " + a_of_file + tail);
}

TEST_CASE_FIXTURE(Locking, "several inputs on one line, with text beyond ASCII before them") {
  const std::string head = "schema = \"volt.job/1\"\nworkload = \"matmul\"\n";
  CHECK(checked(head + "matmul = { out = \"äöü€𝄞.npy\", a = \"é.npy\", b = \"b.npy\" } # ß\n") ==
        head + "matmul = { out = \"äöü€𝄞.npy\", a = { path = \"é.npy\", sha256 = \"" + digest_a +
            "\" }, b = " + b_of_file + " } # ß\n");
}

TEST_CASE_FIXTURE(Locking, "inputs given as tables keep what they say") {
  CHECK(checked(
            toml("a = { path = \"d/a.npy\", tensor = \"w\\\"q\\\\\" } # c\nb = {path='b.npy'}")) ==
        toml("a = { path = \"d/a.npy\", sha256 = \"" + digest_a +
             "\", tensor = \"w\\\"q\\\\\" } # c\nb = " + b_of_file));
}

TEST_CASE_FIXTURE(Locking, "seeded inputs are left alone") {
  CHECK(checked(toml("a = { seed = 1, shape = [ 2,3 ] } # s\nb = \"b.npy\"")) ==
        toml("a = { seed = 1, shape = [ 2,3 ] } # s\nb = " + b_of_file));
}

TEST_CASE_FIXTURE(Locking, "a digest that is already there is written again the same") {
  const std::string text = toml("a = " + a_of_file + "\nb = " + b_of_file);
  CHECK(checked(text) == text);
}

TEST_CASE_FIXTURE(Locking, "urls and outputs of runs are locked as what they are") {
  http.pages["https://h/a?x=\"1\""] = "A";
  const std::string url =
      "a = { url = \"https://h/a?x=\\\"1\\\"\", sha256 = \"" + digest_a + "\" }";
  CHECK(checked(toml(url + "\nb = \"b.npy\"")) == toml(url + "\nb = " + b_of_file));
}

TEST_CASE_FIXTURE(Locking, "strings of every kind are replaced whole") {
  CHECK(checked(toml("a = \"\"\"\na.npy\"\"\"\nb = '''b.npy''' # z")) ==
        toml("a = " + a_of_file + "\nb = " + b_of_file + " # z"));
  CHECK(checked(toml("a = \"\\u0061.npy\"\nb = \"b.npy\"")) ==
        toml("a = " + a_of_file + "\nb = " + b_of_file));
}

TEST_CASE_FIXTURE(Locking, "inputs in tables of their own are locked, or refused with a reason") {
  for (const std::string& text :
       {toml("b = \"b.npy\"\n[matmul.a] # own\npath = \"a.npy\" # p"),
        toml("b = \"b.npy\"\na.path = \"a.npy\" # dotted"),
        toml(
            "[matmul.a]\npath = \"a.npy\"\ntensor = \"t\"\n[matmul.b]\npath = \"b.npy\"\n[limits]"),
        toml("a.path = \"a.npy\"\na.tensor = \"t\"\nb.path = \"b.npy\"")}) {
    CAPTURE(text);
    std::string result;
    try {
      result = locked(text);
    } catch (const Error& error) {
      CHECK(error.code() == Exit::usage);
      CHECK_FALSE(error.hint().empty());
      continue;
    }
    CAPTURE(result);
    CHECK_NOTHROW(checked(text));
  }
}

TEST_CASE_FIXTURE(Locking, "a path with a control character is locked so that it reads back") {
  jobs.write("a\x01\n.npy", "A");
  checked(toml("a = \"a\\u0001\\n.npy\"\nb = \"b.npy\""));
}

TEST_CASE_FIXTURE(Locking, "an input that the job does not mention has no place to lock") {
  places.bindings["a"] = (jobs / "a.npy").string();
  CHECK(message_of([&] { locked(toml("b = \"b.npy\"")); }) ==
        "input a is not in the job, so there is no place to lock "
        "[add: a = { sha256 = \"" +
            digest_a + "\" }]");
}

TEST_CASE_FIXTURE(Inputs,
                  "a fine-tune is locked to the folder of its model and the file of its data") {
  jobs.write("m/config.json", "{}");
  jobs.write("m/model.safetensors", "W");
  jobs.write("t.jsonl", "T");
  const std::string head =
      "schema = \"volt.job/1\"\nworkload = \"finetune\"\n[finetune]\nlr = 1e-4 # mine\n";
  const std::string text = head + "base = \"m\"  # a model\ndata = \"t.jsonl\"\n";
  const auto locked = [&](const std::string& job) {
    return inputs::lock(job, job_of(job), inputs::find_to_pin(job_of(job), places, sink, {}));
  };
  // Of a folder, what `sha256sum` prints of its files, in the order of their paths.
  const auto listed = [](const std::string& weights) {
    return hex_of(hex_of("{}") + "  config.json\n" + hex_of(weights) + "  model.safetensors\n");
  };
  const std::string result = locked(text);
  CHECK(result == head + "base = { path = \"m\", sha256 = \"" + listed("W") +
                      "\" }  # a model\ndata = { path = \"t.jsonl\", sha256 = \"" + hex_of("T") +
                      "\" }\n");
  CHECK(locked(result) == result);
  CHECK(inputs::find(job_of(result), places, sink, {}).size() == 3);

  jobs.write("m/model.safetensors", "w");
  CHECK(message_of([&] { inputs::find(job_of(result), places, sink, {}); }) ==
        "the folder base has the digest " + listed("w") + ", not the " + listed("W") +
            " that the job pins, while finding input base "
            "[get the right file, or write the new digest with gpu-run --lock]");
}
