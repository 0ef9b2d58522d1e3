// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <limits>
#include <set>
#include <string_view>

#include "network_cases.hpp"

namespace volt::kernels::test {
namespace {

// An operation on a context, to be called with one of its matrices changed.
class Prepared {
 public:
  Prepared(Session& s, const Operation& operation) : s_(s), operation_(operation) {
    for (const Argument& argument : operation.arguments) {
      matrices.push_back(argument.memory.empty() ? Matrix{}
                                                 : argument.place.in(s.put(argument.memory)));
    }
  }

  std::string refusal(std::size_t changed, const Matrix& matrix) const {
    std::vector<Matrix> given = matrices;
    given[changed] = matrix;
    float told = 0;
    const Status status = operation_.call(*s_.table.network, s_.context, given, told);
    CHECK(status.code == Status::invalid);
    return text_of(status);
  }

  std::vector<Matrix> matrices;

 private:
  Session& s_;
  const Operation& operation_;
};

bool starts(std::string_view text, const std::string& with) { return text.starts_with(with); }

// Calls check(operation, prepared, i) for each matrix of each operation on each backend.
template <class Check>
void on_each_matrix(Check check) {
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    Random random(20270201);
    Session s(backend);
    for (const Operation& operation : operations(random, Size::small, Oddity::none)) {
      CAPTURE(operation.name);
      const Prepared prepared(s, operation);
      for (std::size_t i = 0; i < operation.arguments.size(); ++i) {
        if (prepared.matrices[i].buffer == nullptr) continue;
        CAPTURE(std::string(operation.arguments[i].name));
        check(s, operation, prepared, i);
      }
    }
  }
}

}  // namespace

TEST_CASE("matrices that do not fit each other are refused with both extents") {
  on_each_matrix([](Session&, const Operation& operation, const Prepared& prepared, std::size_t i) {
    const std::string name = operation.arguments[i].name;
    const std::string ignored[] = {"rope", "scatter_rows", "rotate", "square_sum"};
    if (i == 0 ||
        std::find(std::begin(ignored), std::end(ignored), operation.name) != std::end(ignored)) {
      return;  // the first says how large the others are; for the rest see below
    }
    Matrix wrong = prepared.matrices[i];
    wrong.cols += 1;
    const bool says_heads = starts(operation.name, "rms_norm") && name == "w";
    CHECK((says_heads ||
           starts(prepared.refusal(i, wrong), name + ".cols is " + std::to_string(wrong.cols) +
                                                  ", but what it should be is ")));
    wrong = prepared.matrices[i];
    wrong.rows += 1;
    const std::string other = starts(operation.name, "attention") && name == "k" ? "v" : name;
    CHECK(starts(prepared.refusal(i, wrong), other + ".rows is "));
  });
}

TEST_CASE("a matrix without memory, or whose memory cannot be written, is refused") {
  const std::vector<float> bytes(1'000'000);
  on_each_matrix([&](Session& s, const Operation& operation, const Prepared& prepared,
                     std::size_t i) {
    const Argument& argument = operation.arguments[i];
    Matrix wrong = prepared.matrices[i];
    wrong.buffer = nullptr;
    // Without memory but with a shape: what is merely absent has none.
    CHECK(prepared.refusal(i, wrong) == std::string(argument.name) + " has no buffer");
    if (!argument.written) return;
    VOLT_OK(s.table.borrow(s.context, bytes.data(), bytes.size() * sizeof(float), &wrong.buffer));
    CHECK(prepared.refusal(i, wrong) ==
          std::string(argument.name) + " is borrowed memory, which cannot be written");
    s.table.destroy(s.context, wrong.buffer);
  });
}

TEST_CASE("a result that may be an operand may not lie across it") {
  for (const Backend& backend : all_backends()) {
    Session s(backend);
    Buffer* const memory = s.room(2 * 128 * 4 + 4);
    const Matrix x = {memory, 0, 2, 128, 128}, across = {memory, 1, 2, 128, 128};
    VOLT_OK(backend.network->rotate(s.context, {x, x, 1, false}));
    VOLT_REFUSED(invalid, "y overlaps an operand",
                 backend.network->rotate(s.context, {x, across, 1, false}));
  }
}

/// Whether a result may be the very matrix that is read (see in_place()).
static bool may_share(const Operation& operation, std::size_t i, std::size_t j) {
  using Pair = std::set<std::string_view>;
  const Pair pair{operation.arguments[i].name, operation.arguments[j].name};
  if (operation.name == "rotate") return pair == Pair{"x", "y"};
  return operation.name == "activate_backward" &&
         (pair == Pair{"x", "dx"} || pair == Pair{"u", "du"});
}

TEST_CASE("a result that overlaps another matrix is refused") {
  on_each_matrix([](Session&, const Operation& operation, const Prepared& prepared, std::size_t i) {
    if (!operation.arguments[i].written) return;
    for (std::size_t j = 0; j < operation.arguments.size(); ++j) {
      const Matrix& other = prepared.matrices[j];
      if (j == i || other.buffer == nullptr || may_share(operation, i, j)) continue;
      if (operation.arguments[i].width != operation.arguments[j].width) continue;  // see below
      // In memory that is large enough for either, so that both end there.
      const bool narrow =
          operation.arguments[i].memory.size() < operation.arguments[j].memory.size();
      const Matrix& wide = prepared.matrices[narrow ? j : i];
      Matrix onto = prepared.matrices[narrow ? i : j];
      const auto extent = [](const Matrix& m) { return (m.rows - 1) * m.stride + m.cols; };
      onto.buffer = wide.buffer;
      const std::uint64_t end = wide.offset + extent(wide);
      onto.offset = end - std::min(end, extent(onto));
      const std::string text = prepared.refusal(narrow ? i : j, onto);
      CHECK(text.ends_with(" overlaps an operand"));
    }
  });
}

TEST_CASE("what an operation cannot be asked for is refused in its words") {
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    const Network& net = *backend.network;
    Session s(backend);
    Buffer* const b = s.room(4096);
    Context* const c = s.context;
    const auto at = [&](std::uint64_t offset, std::uint64_t rows, std::uint64_t cols) {
      return Matrix{b, offset, rows, cols, cols};
    };
    const Matrix absent;

    VOLT_REFUSED(invalid, "dw and db are wanted together",
                 net.layer_norm_backward(c, {at(0, 1, 2), at(2, 1, 2), at(4, 1, 2), at(6, 1, 2),
                                             at(8, 1, 2), at(10, 1, 2), absent}));

    VOLT_REFUSED(invalid, "x.cols is 6, not whole heads of 4",
                 net.rms_norm(c, {at(0, 1, 6), at(6, 1, 4), 1e-5f, at(10, 1, 6), at(16, 1, 1)}));
    VOLT_REFUSED(invalid, "r.cols is 1, but what it should be is 2",
                 net.rms_norm(c, {at(0, 1, 6), at(6, 1, 3), 1e-5f, at(10, 1, 6), at(16, 1, 1)}));
    VOLT_REFUSED(invalid, "x.cols is 6, not whole heads of 4",
                 net.rope(c, {at(0, 1, 6), at(6, 1, 1), at(4, 1, 2), false}));
    VOLT_REFUSED(invalid, "x.cols is 6, not whole heads of 0",
                 net.rope(c, {at(0, 1, 6), at(6, 1, 1), at(4, 1, 0), false}));
    VOLT_REFUSED(invalid, "turns.rows is 2, but a row is 1",
                 net.rope(c, {at(0, 1, 6), at(6, 1, 1), at(4, 2, 3), false}));
    VOLT_REFUSED(invalid, "positions.rows is 2, but what it should be is 1",
                 net.rope(c, {at(0, 1, 6), at(6, 2, 1), at(4, 1, 3), false}));

    const auto attend = [&](std::uint64_t queries, std::uint64_t q_cols, std::uint32_t heads,
                            std::uint32_t kv_heads) {
      return net.attention(
          c, {at(0, queries, q_cols), at(100, 2, 4), at(200, 2, 4), at(300, 2, 1), heads, kv_heads,
              1.0f, at(400, queries, q_cols), at(500, queries, heads), at(600, queries, heads)});
    };
    VOLT_OK(attend(2, 4, 2, 2));
    VOLT_REFUSED(invalid, "3 heads cannot share 2", attend(2, 6, 3, 2));
    VOLT_REFUSED(invalid, "0 heads cannot share 1", attend(2, 6, 0, 1));
    VOLT_REFUSED(invalid, "1 heads cannot share 0", attend(2, 6, 1, 0));
    VOLT_REFUSED(invalid, "q.cols is 7, not 2 heads", attend(2, 7, 2, 2));
    VOLT_REFUSED(invalid, "there are 3 queries, but 2 keys", attend(3, 4, 2, 2));
    VOLT_REFUSED(
        invalid, "products 3 are unknown",
        net.attention(c, {at(0, 1, 1), at(4, 1, 1), at(8, 1, 1), at(12, 1, 1), 1, 1, 1.0f,
                          at(16, 1, 1), at(20, 1, 1), at(24, 1, 1), static_cast<Products>(3)}));

    const auto activate = [&](std::int32_t kind, float temperature) {
      return net.activate(
          c,
          {{static_cast<Activation>(kind), temperature, 0.5f}, at(0, 1, 4), absent, at(4, 1, 4)});
    };
    VOLT_OK(activate(1, 0.0f));
    VOLT_OK(activate(2, 1.0f));
    VOLT_REFUSED(invalid, "activation 3 is unknown", activate(3, 1.0f));
    VOLT_REFUSED(invalid, "activation -1 is unknown", activate(-1, 1.0f));
    for (float temperature : {0.0f, -1.0f, std::numeric_limits<float>::quiet_NaN(),
                              std::numeric_limits<float>::infinity()}) {
      VOLT_REFUSED(invalid, "the temperature of era is not above 0", activate(2, temperature));
    }
    VOLT_REFUSED(invalid, "u and du come together",
                 net.activate_backward(c, {{Activation::silu, 0.0f, 0.0f},
                                           at(0, 1, 4),
                                           at(4, 1, 4),
                                           at(8, 1, 4),
                                           at(12, 1, 4),
                                           absent}));

    VOLT_REFUSED(invalid, "dtable.cols is 3, but dx.cols is 2",
                 net.scatter_rows(c, {at(0, 1, 1), at(4, 1, 2), at(8, 5, 3)}));
    VOLT_REFUSED(invalid, "ids.rows is 2, but what it should be is 1",
                 net.scatter_rows(c, {at(0, 2, 1), at(4, 1, 2), at(8, 5, 2)}));

    const auto dropout = [&](float p, std::uint64_t first) {
      return net.dropout(c, {at(0, 2, 4), at(8, 2, 4), p, 1, first, 0});
    };
    VOLT_OK(dropout(0.0f, ~std::uint64_t{0} - 8));
    VOLT_REFUSED(invalid, "dropout of 1 is not in [0, 1)", dropout(1.0f, 0));
    VOLT_REFUSED(invalid, "dropout of -0.5 is not in [0, 1)", dropout(-0.5f, 0));
    VOLT_REFUSED(invalid, "dropout of nan is not in [0, 1)",
                 dropout(std::numeric_limits<float>::quiet_NaN(), 0));
    VOLT_REFUSED(invalid, "dropout: 18446744073709551608 and 2 rows of 4 overflow 64 bits",
                 dropout(0.0f, ~std::uint64_t{0} - 7));

    const auto draw = [&](float temperature, float top_p, std::uint64_t first) {
      return net.draw(c, {at(0, 2, 4), temperature, top_p, 1, first, 0, at(8, 2, 1)});
    };
    VOLT_OK(draw(0.0f, 1.0f, ~std::uint64_t{0} - 2));
    VOLT_REFUSED(invalid, "a temperature of -1 is not a number from 0 on", draw(-1.0f, 1.0f, 0));
    for (float odd :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      CHECK(starts(text_of(draw(odd, 1.0f, 0)), "a temperature of "));
      CHECK(starts(text_of(draw(1.0f, odd, 0)), "top_p of "));
    }
    VOLT_REFUSED(invalid, "top_p of 0 is not in (0, 1]", draw(1.0f, 0.0f, 0));
    VOLT_REFUSED(invalid, "top_p of 1.5 is not in (0, 1]", draw(1.0f, 1.5f, 0));
    VOLT_REFUSED(invalid, "draw: 18446744073709551614 and 2 rows overflow 64 bits",
                 draw(1.0f, 1.0f, ~std::uint64_t{0} - 1));
    VOLT_REFUSED(invalid, "logits.cols is 4294967296, more than words count",
                 net.draw(c, {{b, 0, 0, std::uint64_t{1} << 32, 0}, 1, 1, 1, 0, 0, at(8, 0, 1)}));

    const auto keep = [&](std::uint64_t active) {
      return net.keep_largest(
          c, {at(0, 2, 4), at(8, 1, 4), active, at(12, 2, 4), at(20, 2, 4), absent});
    };
    VOLT_OK(keep(4));
    VOLT_REFUSED(invalid, "active is 0, not one of 4 columns", keep(0));
    VOLT_REFUSED(invalid, "active is 5, not one of 4 columns", keep(5));

    VOLT_REFUSED(invalid, "y.rows is 2, but x.rows is 1",
                 net.rotate(c, {at(0, 1, 5), at(8, 2, 5), 1.0f, false}));
    VOLT_REFUSED(invalid, "the groups of y is 2, but those of x is 1",
                 net.rotate(c, {at(0, 1, 5), at(8, 1, 129), 1.0f, false}));

    // The bytes of q are elements of their own.
    const auto quantise = [&](std::uint64_t q, std::uint64_t by_rows) {
      Buffer* const bytes = s.room(20'000);
      return net.quantise_rotated(c, {{bytes, 4096, 2, 3, 3},
                                      false,
                                      {bytes, q, 128, 128, 128},
                                      {bytes, by_rows, 128, 1, 1},
                                      {bytes, 4500, 1, 128, 128}});
    };
    VOLT_OK(quantise(0, 4200));
    VOLT_REFUSED(invalid, "q overlaps an operand", quantise(1, 4200));
    VOLT_REFUSED(invalid, "q overlaps an operand", quantise(0, 4000));
    VOLT_REFUSED(invalid, "by_rows overlaps an operand", quantise(0, 4373));

    const auto expand = [&](std::uint64_t nibbles, std::uint64_t first, std::uint64_t scales) {
      return net.expand_nf4(
          c, {at(0, 3, 43), at(nibbles, 1, 65), at(600, 1, 3), at(200, 1, scales), 0.5f, first});
    };
    VOLT_OK(expand(516, 0, 1));
    VOLT_OK(expand(516, 254, 2));
    VOLT_REFUSED(invalid, "scales.cols is 1, but what it should be is 2", expand(516, 254, 1));
    VOLT_REFUSED(invalid, "y overlaps an operand", expand(515, 0, 1));
    VOLT_REFUSED(invalid, "block 18446744073709551613 and 3 blocks overflow 64 bits",
                 expand(516, ~std::uint64_t{0} - 2, 1));
  }
}

TEST_CASE("an operation on nothing touches nothing") {
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    const Network& net = *backend.network;
    Session s(backend);
    const Matrix empty = {nullptr, 5, 0, 7, 0}, row = {nullptr, 0, 0, 1, 0};
    Buffer* const b = s.room(64);
    float sum = 5.0f;
    VOLT_OK(net.square_sum(s.context, empty, &sum));
    CHECK(sum == 0.0f);
    VOLT_OK(net.add(s.context, {empty, empty}));
    VOLT_OK(net.rms_norm(s.context, {empty, dense(b, 1, 7), 1e-5f, empty, row}));
    VOLT_OK(net.sum_rows(s.context, {empty, dense(b, 1, 7)}));
    VOLT_OK(net.draw(s.context, {empty, 1, 1, 1, 0, 0, {nullptr, 0, 0, 1, 0}}));
    VOLT_OK(net.draw(s.context, {{nullptr, 0, 2, 0, 0}, 1, 1, 1, 0, 0, dense(b, 2, 1)}));
    VOLT_OK(net.rotate(s.context, {empty, empty, 1.0f, false}));
    VOLT_OK(net.quantise_rotated(
        s.context,
        {empty, false, {nullptr, 0, 0, 128, 0}, {nullptr, 0, 0, 1, 0}, {nullptr, 0, 0, 128, 0}}));
    VOLT_OK(net.expand_nf4(
        s.context,
        {empty, {nullptr, 0, 1, 0, 0}, {nullptr, 0, 1, 0, 0}, {nullptr, 0, 1, 0, 0}, 1.0f, 0}));
    CHECK(s.get<float>(b, 16) == std::vector<float>(16, 0.0f));
  }
}

}  // namespace volt::kernels::test
