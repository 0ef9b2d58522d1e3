// SPDX-License-Identifier: Apache-2.0

// Drawing tokens: what the definition says by hand, and the same tokens on every backend.

#include <cmath>
#include <limits>
#include <map>

#include "kernels/network_functions.hpp"
#include "places.hpp"

namespace volt::kernels::test {
namespace {

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr std::uint32_t stream = 34;

struct Settings {
  float temperature, top_p;
  std::uint64_t seed = 1, first = 0;
};

/// The tokens of `rows` rows with the same logits.
std::vector<std::uint32_t> drawn(const Backend& backend, const std::vector<float>& logits,
                                 const Settings& by, std::uint64_t rows = 1) {
  Session s(backend, 3);
  std::vector<float> all;
  for (std::uint64_t i = 0; i < rows; ++i) all.insert(all.end(), logits.begin(), logits.end());
  Buffer* const tokens = s.room(4 * rows);
  VOLT_OK(backend.network->draw(
      s.context, {dense(s.put(all), rows, logits.size()), by.temperature, by.top_p, by.seed,
                  by.first, stream, dense(tokens, rows, 1)}));
  return s.get<std::uint32_t>(tokens, rows);
}

/// A place in the stream of seed 1 with a u from `least` on.
std::uint64_t first_with(float least) {
  std::uint64_t word = 0;
  while (word_to_unit(random_block(1, stream, word / 4).word[word % 4]) < least) ++word;
  return word;
}

/// Logits that are all there is of one kind of distribution.
std::vector<std::vector<float>> distributions(std::uint64_t n) {
  Random random(20270501);
  std::vector<float> flat(n, 0.5f), ramp(n), noise(n), peak(n, -15.2f), odd(n);
  for (std::uint64_t i = 0; i < n; ++i) {
    ramp[i] = -0.01f * static_cast<float>(i * 7919 % n);
    noise[i] = 6 * number(random, false);
    odd[i] = i % 3 == 0 ? nan : i % 3 == 1 ? -inf : noise[i];
  }
  peak[n / 2] = 0;
  return {flat, ramp, noise, peak, odd};
}

}  // namespace

TEST_CASE("without a temperature the largest logit is drawn, of equal ones the first") {
  const struct {
    std::vector<float> logits;
    std::uint32_t token;
  } cases[] = {
      {{5}, 0},           {{1, 3, -2, 3, 0.5f, nan}, 1}, {{nan, -1, -1}, 1}, {{-0.0f, 0.0f}, 0},
      {{0.0f, -0.0f}, 0}, {{0, inf, 5, inf}, 1},         {{-inf, -inf}, 0},  {{nan, -inf}, 1},
      {{nan}, no_token},  {{nan, nan}, no_token},
  };
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    for (const auto& [logits, token] : cases) {
      CHECK(drawn(backend, logits, {0, 1})[0] == token);
    }
    // Wherever it is.
    for (std::uint64_t n : {16, 31, 127, 128, 129, 1000, 1024, 3000}) {
      for (std::uint64_t at : {std::uint64_t{0}, n / 2, n - 1}) {
        std::vector<float> logits(n, -7);
        logits[n - 1] = logits[at] = 0.25f;
        CHECK(drawn(backend, logits, {0, 1})[0] == at);
      }
    }
  }
}

TEST_CASE("so it is where logits are too large to be told apart by their exponentials") {
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    CHECK(drawn(backend, {0, inf, 5}, {1, 1})[0] == 1);
    CHECK(drawn(backend, {0, 1e38f, 1e38f}, {0.01f, 1})[0] == 1);
    CHECK(drawn(backend, {-inf, -inf}, {1, 1})[0] == 0);
    CHECK(drawn(backend, {nan, nan, nan}, {1, 1})[0] == no_token);
    CHECK(drawn(backend, {3, 4}, {1e-45f, 0.5f})[0] == 1);
  }
}

TEST_CASE("tokens are drawn as often as their probability says, and a NaN never") {
  const std::vector<float> logits{1, 3, -2, 3, 0.5f, nan};
  const std::uint64_t draws = 20'000;
  for (const Backend& backend : all_backends()) {
    if (backend.name != std::string_view("cpu-reference")) continue;  // the others follow it
    for (const float temperature : {0.5f, 1.0f, 2.0f}) {
      std::map<std::uint32_t, double> counts;
      for (std::uint32_t token : drawn(backend, logits, {temperature, 1, 7}, draws))
        ++counts[token];
      double all = 0;
      for (std::size_t i = 0; i < 5; ++i) all += std::exp(double{logits[i]} / temperature);
      for (std::uint32_t i = 0; i < 5; ++i) {
        const double p = std::exp(double{logits[i]} / temperature) / all;
        CHECK(std::abs(counts[i] / draws - p) < 4 * std::sqrt(p / draws) + 1e-9);
      }
      CHECK(counts.count(5) == 0);
    }
  }
}

TEST_CASE("top_p leaves the likeliest tokens that reach it, and at least one") {
  const std::vector<float> logits{1, 3, -2, 3, 0.5f, nan};
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    std::map<std::uint32_t, int> counts;
    for (std::uint32_t token : drawn(backend, logits, {1, 0.8f, 3}, 100)) ++counts[token];
    CHECK(counts.size() == 2);  // the two of logit 3 have 0.84 together
    CHECK(counts.count(1) == 1);
    CHECK(counts.count(3) == 1);
    CHECK(drawn(backend, logits, {1, 1e-6f, 3}, 20) == std::vector<std::uint32_t>(20, 1));
  }
}

TEST_CASE("row r draws by word first + r of the stream") {
  const std::vector<float> flat(50);
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    const auto all = drawn(backend, flat, {1, 1, 5, 6}, 9);
    for (std::uint64_t r = 0; r < all.size(); ++r) {
      const float u = word_to_unit(random_block(5, stream, (6 + r) / 4).word[(6 + r) % 4]);
      CHECK(all[r] == static_cast<std::uint32_t>(u * 50));
      CHECK(drawn(backend, flat, {1, 1, 5, 6 + r})[0] == all[r]);
    }
  }
}

TEST_CASE("every backend draws the reference's tokens of every distribution") {
  for (const std::uint64_t n : {1, 2, 63, 64, 65, 511, 513, 2047, 2048, 2049, 5000}) {
    CAPTURE(n);
    for (const std::vector<float>& logits : distributions(n)) {
      for (const float top_p : {1.0f, 0.9999999f, 0.6f, 1e-6f}) {
        CAPTURE(top_p);
        const Settings by = {0.9f, top_p, 11, n};
        const auto expected = drawn(cpu_reference(), logits, by, 4);
        for (const Backend& backend : fast_backends()) {
          CAPTURE(std::string(backend.name));
          CHECK(drawn(backend, logits, by, 4) == expected);
        }
      }
    }
  }
}

TEST_CASE("so it does of a vocabulary") {
  for (const std::vector<float>& logits : distributions(151'936)) {
    const Settings by = {0.7f, 0.95f, 12, 3};
    const auto expected = drawn(cpu_reference(), logits, by);
    for (const Backend& backend : fast_backends()) {
      CAPTURE(std::string(backend.name));
      CHECK(drawn(backend, logits, by) == expected);
    }
  }
}

// What is left out because it could change no sum must not be what together comes to something.
TEST_CASE("tokens of little probability have it all the same") {
  const std::uint64_t late = first_with(0.9999f);
  for (const float apart : {-13.0f, -16.6f, -17.2f, -17.4f, -18.5f}) {
    CAPTURE(apart);
    std::vector<float> logits(20'000, apart);
    logits[77] = 0;
    const Settings by = {1, 1, 1, late};
    const auto expected = drawn(cpu_reference(), logits, by);
    CHECK((expected[0] == 77) == (apart < -17.3f));  // about log(2^-25), where sums do not grow
    for (const Backend& backend : fast_backends()) {
      CAPTURE(std::string(backend.name));
      CHECK(drawn(backend, logits, by) == expected);
    }
  }
}

}  // namespace volt::kernels::test
