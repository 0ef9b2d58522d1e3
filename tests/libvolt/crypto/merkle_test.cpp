// SPDX-License-Identifier: Apache-2.0
#include "libvolt/crypto/merkle.hpp"

#include <doctest/doctest.h>

#include <array>

#include "libvolt/base/error.hpp"
#include "libvolt/crypto/digest.hpp"

using namespace volt;
using namespace volt::crypto;

namespace {

std::vector<Digest> leaves_of(std::size_t count) {
  std::vector<Digest> leaves;
  for (std::size_t i = 0; i < count; ++i)
    leaves.push_back(leaf_digest(as_bytes(std::to_string(i))));
  return leaves;
}

std::vector<Digest> pick(const std::vector<Digest>& leaves,
                         const std::vector<std::uint64_t>& indices) {
  std::vector<Digest> picked;
  for (const auto index : indices) picked.push_back(leaves[index]);
  return picked;
}

}  // namespace

TEST_CASE("the roots of the test tree of Certificate Transparency come out") {
  const std::array<const char*, 8> inputs{"",
                                          "00",
                                          "10",
                                          "2021",
                                          "3031",
                                          "40414243",
                                          "5051525354555657",
                                          "606162636465666768696a6b6c6d6e6f"};
  const std::array<const char*, 9> roots{
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
      "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
      "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
      "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
      "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
      "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
      "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
  std::vector<Digest> leaves;
  for (std::size_t count = 0;; ++count) {
    CHECK(merkle_root(leaves).hex() == roots[count]);
    if (count == inputs.size()) break;
    leaves.push_back(leaf_digest(*from_hex(inputs[count])));
  }
}

TEST_CASE("every set of leaves of small trees opens to the root, and nothing else does") {
  for (std::size_t count = 0; count <= 9; ++count) {
    const auto leaves = leaves_of(count);
    const Digest root = merkle_root(leaves);
    for (unsigned set = 0; set < 1u << count; ++set) {
      CAPTURE(count);
      CAPTURE(set);
      std::vector<std::uint64_t> indices;
      for (std::size_t i = 0; i < count; ++i) {
        if (set >> i & 1) indices.push_back(i);
      }
      const auto opened = pick(leaves, indices);
      auto nodes = merkle_opening(leaves, indices);
      REQUIRE(nodes.size() == merkle_opening_size(count, indices));
      REQUIRE(merkle_root_of_opening(count, indices, opened, nodes) == root);

      for (std::size_t i = 0; i < nodes.size(); ++i) {
        nodes[i].bytes[0] ^= 1;
        REQUIRE(merkle_root_of_opening(count, indices, opened, nodes) != root);
        nodes[i].bytes[0] ^= 1;
      }
      nodes.emplace_back();
      REQUIRE_FALSE(merkle_root_of_opening(count, indices, opened, nodes));
      nodes.pop_back();
      if (!nodes.empty()) {
        nodes.pop_back();
        REQUIRE_FALSE(merkle_root_of_opening(count, indices, opened, nodes));
      }
    }
  }
}

TEST_CASE("the nodes of an opening come in the order of a depth-first walk") {
  const auto leaves = leaves_of(7);
  const std::array<std::uint64_t, 2> indices{2, 6};
  const auto nodes = merkle_opening(leaves, indices);
  REQUIRE(nodes.size() == 3);
  CHECK(nodes[0] == node_digest(leaves[0], leaves[1]));
  CHECK(nodes[1] == leaves[3]);
  CHECK(nodes[2] == node_digest(leaves[4], leaves[5]));
}

TEST_CASE("an opening with leaves out of order, out of the tree or missing is refused") {
  const auto leaves = leaves_of(5);
  const std::vector<Digest> two{leaves[1], leaves[3]};
  const auto nodes = merkle_opening(leaves, std::array<std::uint64_t, 2>{1, 3});
  const auto root_of = [&](std::vector<std::uint64_t> indices) {
    return merkle_root_of_opening(5, indices, two, nodes);
  };
  CHECK(root_of({1, 3}) == merkle_root(leaves));
  CHECK_FALSE(root_of({3, 1}));
  CHECK_FALSE(root_of({1, 1}));
  CHECK_FALSE(root_of({1, 5}));
  CHECK_FALSE(root_of({1}));
  CHECK_FALSE(root_of({1, 2, 3}));
  CHECK_FALSE(merkle_root_of_opening(0, std::array<std::uint64_t, 1>{0}, leaves_of(1), {}));
  CHECK_FALSE(merkle_root_of_opening(0, {}, {}, leaves_of(1)));
  CHECK_THROWS_AS(merkle_opening(leaves, std::array<std::uint64_t, 2>{3, 1}), Error);
  CHECK_THROWS_AS(merkle_opening_size(5, std::array<std::uint64_t, 1>{5}), Error);
}

TEST_CASE("a count that no tree has costs nothing") {
  const std::array<std::uint64_t, 2> indices{0, UINT64_MAX - 1};
  CHECK(merkle_opening_size(UINT64_MAX, indices) == 125);
  const std::vector<Digest> two(2);
  const std::vector<Digest> nodes(125);
  CHECK(merkle_root_of_opening(UINT64_MAX, indices, two, nodes));
  CHECK_FALSE(merkle_root_of_opening(UINT64_MAX, indices, two, {}));
}

TEST_CASE("a larger tree opens at scattered leaves") {
  const auto leaves = leaves_of(100'003);
  const std::vector<std::uint64_t> indices{0, 1, 17, 65'535, 65'536, 99'999, 100'002};
  const auto nodes = merkle_opening(leaves, indices);
  CHECK(nodes.size() == merkle_opening_size(leaves.size(), indices));
  CHECK(merkle_root_of_opening(leaves.size(), indices, pick(leaves, indices), nodes) ==
        merkle_root(leaves));
}
