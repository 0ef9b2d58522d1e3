// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "libvolt/doc/read.hpp"
#include "libvolt/schema/job.hpp"
#include "tests/libvolt/doc/message.hpp"

using namespace volt;
using namespace volt::schema;

namespace {

const doc::Source source{"job.toml", Exit::usage};

std::string complaint(const std::string& text) {
  return message_of([&] { parse_job(doc::parse_toml(text, "job.toml"), source, "job"); });
}

/// About `members`, which begin in line 4 of a job that is right but for them.
std::string in_matmul(const std::string& members) {
  return complaint("schema = \"volt.job/1\"\nworkload = \"matmul\"\n[matmul]\n" + members + "\n");
}

/// About `rest`, which begins in line 4.
std::string after_matmul(const std::string& rest, const std::string& profile = "f32x") {
  return complaint("schema = \"volt.job/1\"\nworkload = \"matmul\"\nmatmul = { profile = \"" +
                   profile + "\" }\n" + rest + "\n");
}

const std::string input_hint = " [an input is \"a.npy\" or a table with path, url, run or seed]";
const std::string path_hint =
    " [a path in a job stays below the job's folder; for any other file leave it out and give "
    "--input on the command line]";

}  // namespace

TEST_CASE("a document that is no job of this version says so") {
  CHECK(complaint("") == "job.toml: schema is missing");
  CHECK(complaint("schema = 1") == "job.toml:1:10: schema is a whole number, not a string");
  CHECK(complaint("schema = \"volt.job/2\"") ==
        "job.toml:1:10: schema is \"volt.job/2\", not \"volt.job/1\" "
        "[this job was made for a newer volt: install that one]");
  CHECK(complaint("schema = \"x\\u001b[2J\"") ==
        "job.toml:1:10: schema is \"x\\x1b[2J\", not \"volt.job/1\"");
  CHECK(message_of([] { parse_job(doc::Value(3), source, "x"); }) ==
        "job.toml: the document is a whole number, not a table");
  CHECK(complaint("schema = \"volt.job/1\"") == "job.toml: workload is missing");
  CHECK(
      complaint("schema = \"volt.job/1\"\nworkload = \"matmull\"") ==
      "job.toml:2:12: workload is \"matmull\", not one of \"matmul\", \"finetune\", \"generate\", "
      "\"command\" "
      "[did you mean \"matmul\"?]");
  CHECK(complaint("schema = \"volt.job/1\"\nworkload = \"matmul\"") ==
        "job.toml: matmul is missing");
  CHECK(complaint("schema = \"volt.job/1\"\nworkload = \"matmul\"\n[matmull]") ==
        "job.toml:3:1: unknown key \"matmull\" [did you mean \"matmul\"?]");
  CHECK(complaint("schema = \"volt.job/1\"\nworkload = \"matmul\"\nmatmul = []") ==
        "job.toml:3:10: matmul is a list, not a table");
}

TEST_CASE("a name that is none is refused") {
  const std::string hint = " [use lower-case letters, digits, '.', '_' and '-', at most 63]";
  for (const std::string name : {"", "A", "-a", ".a", "a b", "é", "a/b"}) {
    CAPTURE(name);
    CHECK(complaint("schema = \"volt.job/1\"\nname = \"" + name + "\"") ==
          "job.toml:2:8: name is \"" + name + "\", which is no name" + hint);
  }
  const std::string long_name(64, 'a');
  CHECK(complaint("schema = \"volt.job/1\"\nname = \"" + long_name + "\"") ==
        "job.toml:2:8: name is \"" + long_name + "\", which is no name" + hint);
  CHECK(complaint("schema = \"volt.job/1\"\nname = true") ==
        "job.toml:2:8: name is true or false, not a string");
}

TEST_CASE("an unknown key is named with its place, and with the one that was meant") {
  CHECK(after_matmul("limit = {}") ==
        "job.toml:4:9: unknown key \"limit\" [did you mean \"limits\"?]");
  CHECK(in_matmul("profle = \"i8\"") ==
        "job.toml:4:10: unknown key \"matmul.profle\" [did you mean \"profile\"?]");
  CHECK(in_matmul("zzz = 1") == "job.toml:4:7: unknown key \"matmul.zzz\"");
  CHECK(in_matmul("a = { pth = \"x\" }") ==
        "job.toml:4:13: unknown key \"matmul.a.pth\" [did you mean \"path\"?]");
  CHECK(in_matmul("b = { seed = 1, shape = [1, 1], sha256 = \"x\" }") ==
        "job.toml:4:42: unknown key \"matmul.b.sha256\"");
  CHECK(after_matmul("[limits]\ntim = \"1s\"") ==
        "job.toml:5:7: unknown key \"limits.tim\" [did you mean \"time\"?]");
  CHECK(after_matmul("[proof]\nlevle = \"L2\"") ==
        "job.toml:5:9: unknown key \"proof.levle\" [did you mean \"level\"?]");
}

TEST_CASE("an input that is none is refused with its place") {
  CHECK(in_matmul("a = 1") ==
        "job.toml:4:5: matmul.a is a whole number, not an input" + input_hint);
  CHECK(in_matmul("b = [\"x\"]") == "job.toml:4:5: matmul.b is a list, not an input" + input_hint);
  CHECK(in_matmul("a = \"\"") == "job.toml:4:5: matmul.a is no usable path");
  CHECK(in_matmul("a = \"" + std::string(4097, 'x') + "\"") ==
        "job.toml:4:5: matmul.a is no usable path");
  CHECK(in_matmul("a = \"x\\u0000y\"") == "job.toml:4:5: matmul.a is no usable path");
  CHECK(in_matmul("a = \"/etc/passwd\"") ==
        "job.toml:4:5: matmul.a is an absolute path" + path_hint);
  CHECK(in_matmul("a = { path = \"/x\" }") ==
        "job.toml:4:14: matmul.a.path is an absolute path" + path_hint);
  CHECK(in_matmul("a = { path = \"x\", url = \"y\" }") ==
        "job.toml:4:5: matmul.a names more than one of path, url, run and seed");
  CHECK(in_matmul("a = { seed = 1, shape = [1, 1], run = \"y\" }") ==
        "job.toml:4:5: matmul.a names more than one of path, url, run and seed");
  CHECK(in_matmul("a = { path = 3 }") ==
        "job.toml:4:14: matmul.a.path is a whole number, not a string");
  CHECK(in_matmul("a = { path = \"x\", sha256 = \"ABC\" }") ==
        "job.toml:4:28: matmul.a.sha256 is \"ABC\", not 64 lower-case hex digits");
  CHECK(in_matmul("a = { path = \"x\", tensor = 1 }") ==
        "job.toml:4:28: matmul.a.tensor is a whole number, not a string");
}

TEST_CASE("an output of a run needs a folder below and a plain file") {
  CHECK(in_matmul("a = { run = \"r\" }") == "job.toml: matmul.a.file is missing");
  CHECK(in_matmul("a = { run = \"/r\", file = \"c.npy\" }") ==
        "job.toml:4:13: matmul.a.run is an absolute path" + path_hint);
  CHECK(in_matmul("a = { run = \"r\", file = \"../c.npy\" }") ==
        "job.toml:4:25: matmul.a.file is no plain file name");
  CHECK(in_matmul("a = { run = \"r\", file = \"receipt.json\" }") ==
        "job.toml:4:25: matmul.a.file is a name that volt uses itself");
}

TEST_CASE("a seed needs a shape of two extents") {
  const std::string extent =
      "matmul.a.shape has an extent that is not a whole number from 0 to 2147483648";
  const std::string two = "matmul.a.shape must have two extents, such as [512, 256]";
  CHECK(in_matmul("a = { seed = 1 }") == "job.toml: matmul.a.shape is missing");
  CHECK(in_matmul("a = { seed = 1, shape = 5 }") ==
        "job.toml:4:25: matmul.a.shape is a whole number, not a list");
  CHECK(in_matmul("a = { seed = 1, shape = [5] }") == "job.toml:4:25: " + two);
  CHECK(in_matmul("a = { seed = 1, shape = [1, 2, 3] }") == "job.toml:4:25: " + two);
  CHECK(in_matmul("a = { seed = 1, shape = [1, -2] }") == "job.toml:4:29: " + extent);
  CHECK(in_matmul("a = { seed = 1, shape = [1.5, 2] }") == "job.toml:4:26: " + extent);
  CHECK(in_matmul("a = { seed = 1, shape = [1, 2147483649] }") == "job.toml:4:29: " + extent);
  CHECK(in_matmul("a = { seed = -1, shape = [1, 1] }") ==
        "job.toml:4:14: matmul.a.seed is -1, not from 0 to 9007199254740991");
  CHECK(in_matmul("a = { seed = 9007199254740992, shape = [1, 1] }") ==
        "job.toml:4:14: matmul.a.seed is 9007199254740992, not from 0 to 9007199254740991");
  CHECK(in_matmul("a = { seed = 1.0, shape = [1, 1] }") ==
        "job.toml:4:14: matmul.a.seed is a number, not a whole number");
}

TEST_CASE("what the product may be called and how it is made") {
  const std::string own = " is a name that volt uses itself [choose another one]";
  const std::string plain = " is no plain file name [outputs lie in the run folder itself]";
  CHECK(in_matmul("transpose_a = 1") ==
        "job.toml:4:15: matmul.transpose_a is a whole number, not true or false");
  CHECK(in_matmul("transpose_a = true\ntranspose_b = true") ==
        "job.toml:5:15: matmul.transpose_b and transpose_a cannot both be true "
        "[the product of two transposed matrices is (B * A) transposed: swap a and b]");
  for (const std::string out : {"c.txt", ".npy", "", "c.npy ", "c.NPY"}) {
    CHECK(in_matmul("out = \"" + out + "\"") == "job.toml:4:7: matmul.out does not end in .npy");
  }
  for (const std::string out : {"d/c.npy", "../c.npy", "c\\u001b.npy", "c\\n.npy"}) {
    CHECK(in_matmul("out = \"" + out + "\"") == "job.toml:4:7: matmul.out" + plain);
  }
  CHECK(in_matmul("out = \"" + std::string(252, 'n') + ".npy\"") ==
        "job.toml:4:7: matmul.out" + plain);
  CHECK(in_matmul("out = \".c.npy\"") == "job.toml:4:7: matmul.out" + own);
  CHECK(in_matmul("image = \"c.png\"") ==
        "job.toml:4:9: matmul.image does not end in .pgm [the picture is a portable graymap]");
  CHECK(in_matmul("image = \"d/c.pgm\"") == "job.toml:4:9: matmul.image" + plain);
  CHECK(in_matmul("profile = \"f23x\"") ==
        "job.toml:4:11: matmul.profile is \"f23x\", not one of \"f32x\", \"i8x\", \"i8\" "
        "[did you mean \"f32x\"?]");
  CHECK(in_matmul("profile = \"native\"") ==
        "job.toml:4:11: matmul.profile is \"native\", not one of \"f32x\", \"i8x\", \"i8\"");
}

TEST_CASE("limits are durations and amounts of memory, and not nothing") {
  for (const std::string time : {"", "1", "1 h", "soon", "30m1h"}) {
    CHECK(after_matmul("[limits]\ntime = \"" + time + "\"") ==
          "job.toml:5:8: limits.time is no duration [write 90s, 10m or 1h30m]");
  }
  CHECK(after_matmul("[limits]\ntime = \"0s\"") ==
        "job.toml:5:8: limits.time must be more than nothing [write 90s, 10m or 1h30m]");
  CHECK(after_matmul("[limits]\ntime = 90") ==
        "job.toml:5:8: limits.time is a whole number, not a string");
  for (const std::string amount : {"", "0 B", "512", "1.5 GB", "512 mb"}) {
    CHECK(after_matmul("[limits]\nmemory = \"" + amount + "\"") ==
          "job.toml:5:10: limits.memory is no amount of bytes [write 512 MB or 8 GiB]");
    CHECK(after_matmul("[limits]\ndisk = \"" + amount + "\"") ==
          "job.toml:5:8: limits.disk is no amount of bytes [write 512 MB or 8 GiB]");
  }
  CHECK(after_matmul("limits = 1") == "job.toml:4:10: limits is a whole number, not a table");
}

TEST_CASE("a proof that cannot be had is refused") {
  CHECK(after_matmul("[proof]\nlevel = \"L9\"") ==
        "job.toml:5:9: proof.level is \"L9\", not one of \"L0\", \"L2\", \"L4\", \"all\"");
  const std::string hint =
      " [only integer products have an algebraic check; \"all\" covers every profile]";
  CHECK(after_matmul("[proof]\nlevel = \"L4\"") ==
        "job.toml:5:9: proof.level needs the profile i8, not f32x" + hint);
  CHECK(after_matmul("[proof]\nlevel = \"L4\"", "i8x") ==
        "job.toml:5:9: proof.level needs the profile i8, not i8x" + hint);
  CHECK(after_matmul("[proof]\nlevel = \"L4\"", "i8") == "nothing thrown");
  CHECK(after_matmul("[proof]\ncatch = 0") ==
        "job.toml:5:9: proof.catch is 0, not from 1e-06 to 1");
  CHECK(after_matmul("[proof]\ncatch = 1.5") ==
        "job.toml:5:9: proof.catch is 1.5, not from 1e-06 to 1");
  CHECK(after_matmul("[proof]\nerror = 0.6") ==
        "job.toml:5:9: proof.error is 0.6, not from 1e-30 to 0.5");
  CHECK(after_matmul("[proof]\nerror = \"x\"") ==
        "job.toml:5:9: proof.error is a string, not a number");
}

TEST_CASE("a sample that nobody would draw is refused, unless all is looked at") {
  CHECK(after_matmul("[proof]\ncatch = 1e-6") ==
        "job.toml:5:9: proof.catch makes 27631008 draws necessary, more than 1000000 [level = "
        "\"all\" looks at every element]");
  CHECK(after_matmul("[proof]\nlevel = \"all\"\ncatch = 1e-6") == "nothing thrown");
}

TEST_CASE("the code of the error is the source's") {
  try {
    parse_job(doc::Value(3), {"job.json", Exit::verification_failed}, "x");
    FAIL("nothing thrown");
  } catch (const Error& error) {
    CHECK(error.code() == Exit::verification_failed);
  }
}
