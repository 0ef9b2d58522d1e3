// SPDX-License-Identifier: Apache-2.0
#include "libvolt/schema/sweep.hpp"

#include <doctest/doctest.h>

#include "libvolt/doc/read.hpp"
#include "tests/libvolt/doc/message.hpp"

using namespace volt;
using namespace volt::schema;

namespace {

const doc::Source source{"job.toml", Exit::usage};

const std::string command = R"(schema = "volt.job/1"
workload = "command"
command = { argv = ["train", "--lr", "1"], env = { LR = "1" } }
)";
const std::string matmul = R"(schema = "volt.job/1"
workload = "matmul"
matmul = { a = { seed = 1, shape = [2, 3] }, b = { seed = 2, shape = [3, 4] } }
)";

/// The sweep of a job whose line 4 begins with `text`.
Sweep sweep_of(const std::string& text, const std::string& job = command) {
  auto tree = doc::parse_toml(job + text, "job.toml");
  auto sweep = Sweep::take(tree, source, "tune");
  REQUIRE(sweep);
  CHECK(tree.find("sweep") == nullptr);
  return std::move(*sweep);
}

/// What is wrong with it, or with its first point.
std::string complaint(const std::string& text, const std::string& job = command) {
  return message_of([&] { sweep_of(text, job).job(0); });
}

std::string product(const std::string& keys) { return complaint("sweep.product = {" + keys + "}"); }
std::string list(const std::string& tables) { return complaint("sweep.list = [" + tables + "]"); }

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

std::vector<std::string> titles(const Sweep& sweep) {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < sweep.size(); ++i) all.push_back(sweep.title(i));
  return all;
}

using Texts = std::vector<std::string>;
using Points = std::vector<std::size_t>;

}  // namespace

TEST_CASE("a job without [sweep] has none") {
  auto tree = doc::parse_toml(command, "job.toml");
  CHECK_FALSE(Sweep::take(tree, source, "tune"));
  doc::Value none(3);
  CHECK_FALSE(Sweep::take(none, source, "tune"));
}

TEST_CASE("a product is every combination, the last key varying fastest") {
  const auto sweep = sweep_of(
      "[sweep.product]\n\"matmul.b.seed\" = [7, 8]\n\"matmul.a.seed\" = [1, 2, 3]\n", matmul);
  CHECK(titles(sweep) ==
        Texts{"000 matmul.b.seed=7 matmul.a.seed=1", "001 matmul.b.seed=7 matmul.a.seed=2",
              "002 matmul.b.seed=7 matmul.a.seed=3", "003 matmul.b.seed=8 matmul.a.seed=1",
              "004 matmul.b.seed=8 matmul.a.seed=2", "005 matmul.b.seed=8 matmul.a.seed=3"});
  const auto job = sweep.job(4);
  CHECK(job.name == "tune-004");
  CHECK(job.matmul.a.seeded()->seed == 2);
  CHECK(job.matmul.b.seeded()->seed == 8);
  CHECK(job.matmul.a.seeded()->shape == std::vector<std::uint64_t>{2, 3});
}

TEST_CASE("a list has the points as they are, one without settings among them") {
  const auto sweep = sweep_of(R"([sweep]
list = [ {}, { "command.env.LR" = "0.1", "limits.time" = "20m" } ]
)");
  CHECK(titles(sweep) == Texts{"000", "001 command.env.LR=0.1 limits.time=20m"});
  CHECK(sweep.job(0).command.env.front().second == "1");
  CHECK_FALSE(sweep.job(0).limits.time);
  CHECK(sweep.job(1).command.env.front().second == "0.1");
  CHECK(sweep.job(1).limits.time == std::chrono::minutes(20));
}

TEST_CASE("a setting may make a member, and the tables on the way to it") {
  const auto job = sweep_of(
                       "name = \"n\"\nsweep.list = [ { \"command.env.SEED\" = \"3\", "
                       "\"command.inputs.x.path\" = \"y\", \"resources.gpus\" = 2 } ]")
                       .job(0);
  CHECK(job.name == "n-000");
  CHECK(job.command.env.size() == 2);
  CHECK(job.command.env.back() == std::pair<std::string, std::string>("SEED", "3"));
  CHECK(std::get<File>(job.command.inputs.front().second.from).path == "y");
  CHECK(job.resources.gpus == 2);
}

TEST_CASE("elements of a list are named by their numbers, names with dots in quotes") {
  CHECK(sweep_of("sweep.product = { \"command.argv.2\" = [\"5\"] }").job(0).command.argv ==
        Texts{"train", "--lr", "5"});
  CHECK(sweep_of("sweep.product = { 'command.inputs.\"a.csv\"' = [\"b.csv\"] }")
            .job(0)
            .command.inputs.front()
            .first == "a.csv");
  CHECK(product("\"command.argv.3\" = [\"5\"]") ==
        "job.toml:4:38: sweep.product.command.argv.3 leads to \"3\" of command.argv, a list of 3, "
        "while checking point 000 command.argv.3=5 [its elements are numbered from 0]");
  CHECK(product("\"command.argv.x\" = [\"5\"]").find("leads to \"x\" of command.argv") !=
        std::string::npos);
  CHECK(product("\"command.argv.0.a\" = [1]") ==
        "job.toml:4:40: sweep.product.command.argv.0.a leads into command.argv.0, which is a "
        "string, not a table, while checking point 000 command.argv.0.a=1");
}

TEST_CASE("values are of any kind") {
  const auto sweep = sweep_of(
      "sweep.product = { \"matmul.a\" = [\"a.npy\", { seed = 1, shape = [1, 3] }] }", matmul);
  CHECK(titles(sweep) == Texts{"000 matmul.a=a.npy", R"(001 matmul.a={"seed":1,"shape":[1,3]})"});
  CHECK(std::get<File>(sweep.job(0).matmul.a.from).path == "a.npy");
  CHECK(sweep.job(1).matmul.a.seeded()->shape.front() == 1);
}

TEST_CASE("a sweep that is none says so") {
  CHECK(complaint("sweep = 3") == "job.toml:4:9: sweep is a whole number, not a table");
  CHECK(complaint("[sweep]") == "job.toml:4:1: sweep needs a product or a list, and not both");
  CHECK(complaint("[sweep]\nproduct = { \"limits.time\" = [\"1s\"] }\nlist = [{}]") ==
        "job.toml:4:1: sweep needs a product or a list, and not both");
  CHECK(complaint("[sweep]\nprodct = {}") ==
        "job.toml:5:10: unknown key \"sweep.prodct\" [did you mean \"product\"?]");
  CHECK(complaint("sweep.product = []") == "job.toml:4:17: sweep.product is a list, not a table");
  CHECK(complaint("sweep.list = {}") == "job.toml:4:14: sweep.list is a table, not a list");
  CHECK(product("") == "job.toml:4:17: sweep.product is empty");
  CHECK(list("") == "job.toml:4:14: sweep.list is empty");
  CHECK(list("3") == "job.toml:4:15: sweep.list is a whole number, not a table");
  CHECK(product("\"limits.time\" = []") ==
        "job.toml:4:34: sweep.product.limits.time has no values");
  CHECK(product("\"limits.time\" = \"1s\"") ==
        "job.toml:4:34: sweep.product.limits.time is a string, not a list of values");
}

TEST_CASE("keys that lead nowhere are refused where they stand") {
  const std::string hint = " [such as \"command.env.LR\"]";
  CHECK(product("\"\" = [1]") == "job.toml:4:23: sweep.product is no path into the job" + hint);
  for (const std::string key : {".a", "a.", "a..b", "a.\\\"b", "\\\"a\\\"b"}) {
    CAPTURE(key);
    CHECK(product("\"" + key + "\" = [1]").find(" is no path into the job" + hint) !=
          std::string::npos);
  }
  CHECK(product("\"a" + repeated(".a", 31) + "\" = [1]").find("unknown key \"a\"") !=
        std::string::npos);
  CHECK(product("\"a" + repeated(".a", 32) + "\" = [1]").find("is no path") != std::string::npos);
  for (const std::string key : {"schema", "name", "sweep", "sweep.list", "name.x"}) {
    CAPTURE(key);
    CHECK(list("{ \"" + key + "\" = 1 }")
              .find("sweep.list." + key + " is the same for all points of a sweep") !=
          std::string::npos);
  }
  CHECK(list("{ \"workload.x\" = 1 }") ==
        "job.toml:4:32: sweep.list.workload.x leads into workload, which is a string, not a table, "
        "while checking point 000 workload.x=1");
}

TEST_CASE("a dotted key without quotes does not replace a whole table") {
  const std::string hint = " [write the whole path in quotes: \"limits.time\"]";
  CHECK(complaint("[sweep.product]\nlimits.time = [\"1s\"]") ==
        "job.toml:5:1: sweep.product.limits is a table, not a list of values" + hint);
  CHECK(list("{ limits.time = \"1s\" }") ==
        "job.toml:4:17: sweep.list.limits is a whole table of the job" + hint);
}

TEST_CASE("no setting lies in another one") {
  CHECK(list("{ \"matmul.a.seed\" = 1, \"matmul.a\" = \"x\" }") ==
        "job.toml:4:35: sweep.list.matmul.a.seed lies in matmul.a, which is set as well");
  CHECK(product("\"limits\" = [1], \"limits.time\" = [1]").find("lies in limits") !=
        std::string::npos);
}

TEST_CASE("what is wrong with a point names its settings") {
  CHECK(product("\"command.env.LR\" = [1, 2]") ==
        "job.toml:4:38: command.env.LR is a whole number, not a string, while checking point 000 "
        "command.env.LR=1");
  CHECK(list("{ \"limist.time\" = \"1s\" }") ==
        "job.toml:4:33: unknown key \"limist\", while checking point 000 limist.time=1s [did you "
        "mean \"limits\"?]");
  const std::string name(60, 'a');
  CHECK(complaint("name = \"" + name + "\"\nsweep.list = [{}]") ==
        "the name " + name +
            "-000 of a point is longer than 63 characters, while checking point "
            "000 [give the job a shorter name]");
}

TEST_CASE("ten thousand points are the most") {
  const auto most = sweep_of("sweep.list = [" + repeated("{},", 10'000) + "]");
  CHECK(most.size() == 10'000);
  CHECK(most.label(7) == "0007");
  CHECK(most.job(9'999).name == "tune-9999");
  CHECK(list(repeated("{},", 10'001)) == "job.toml:4:14: sweep.list has more than 10000 points");
  const std::string ten = " = [1,2,3,4,5,6,7,8,9,10]";
  const std::string four = "\"a\"" + ten + ", \"b\"" + ten + ", \"c\"" + ten + ", \"d\"" + ten;
  CHECK(sweep_of("sweep.product = {" + four + "}").size() == 10'000);
  const auto many = product(four + ", \"e\" = [1, 2]");
  CHECK(many == "job.toml:4:17: sweep.product makes more than 10000 points");
  CHECK(product(four + ", \"e\"" + ten + ", \"f\"" + ten) == many);
  CHECK(sweep_of("sweep.list = [" + repeated("{},", 1'000) + "]").label(7) == "007");
  CHECK(sweep_of("sweep.list = [" + repeated("{},", 1'001) + "]").label(7) == "0007");
}

TEST_CASE("points are chosen by number and by setting, and all that is given must match") {
  const auto sweep = sweep_of(
      "[sweep.product]\n\"matmul.profile\" = [\"f32x\", \"i8\"]\n\"proof.error\" = [0.1, 1e-7, 1]",
      matmul);
  CHECK(sweep.choose({}) == Points{0, 1, 2, 3, 4, 5});
  CHECK(sweep.choose({"4"}) == Points{4});
  CHECK(sweep.choose({"5,0,2-3"}) == Points{0, 2, 3, 5});
  CHECK(sweep.choose({"000,004"}) == Points{0, 4});
  CHECK(sweep.choose({"matmul.profile=i8"}) == Points{3, 4, 5});
  CHECK(sweep.choose({"matmul.profile=i8", "proof.error=0.1"}) == Points{3});
  CHECK(sweep.choose({"proof.error=1e-7"}) == Points{1, 4});
  CHECK(sweep.choose({"proof.error=0.0000001", "0-3"}) == Points{1});
  CHECK(sweep.choose({"proof.error=1"}) == Points{2, 5});

  const auto refusal = [&](const Texts& only) { return message_of([&] { sweep.choose(only); }); };
  for (const std::string text : {"", ",", "1,", "-", "-1", "3-", "3-1", "x", "1 2"}) {
    CAPTURE(text);
    CHECK(refusal({text}) == "--only is \"" + text +
                                 "\", which chooses no points [for example --only 0,3-5 or --only "
                                 "command.env.LR=0.1]");
  }
  CHECK(refusal({"6"}) == "--only names point 6, and the sweep has 6, numbered from 0");
  CHECK(refusal({"matmul.out=x"}) == "--only: the sweep does not set matmul.out");
  CHECK(refusal({"matmul.profile=i9"}) == "no point of the sweep is what --only wants");
  CHECK(refusal({"matmul.profile=i8", "0"}) == "no point of the sweep is what --only wants");
}
