// SPDX-License-Identifier: Apache-2.0

#include "kernels/network.hpp"
#include "kernels/sha256_cpu.hpp"
#include "support.hpp"

namespace volt::kernels::test {
namespace {

constexpr std::uint64_t m = 37, n = 53, k = 300, k_groups = 3;

// SHA-256 over the page digests of a result.
std::string digest_of(Session& s, const Buffer* buffer, std::uint64_t bytes) {
  std::vector<std::uint8_t> pages((bytes + page_bytes - 1) / page_bytes * 32);
  VOLT_OK(s.table.page_digests(s.context, buffer, 0, bytes, pages.data()));
  std::uint8_t digest[32];
  sha256(sha256_compress_scalar, nullptr, 0, pages.data(), pages.size(), digest);
  std::string text;
  for (std::uint8_t byte : digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

}  // namespace

// These digests are the numerics contract, version 1, as numbers. They must never change: a change
// means that receipts already given would no longer verify. A new arithmetic is a new version with
// its own digests beside these.
TEST_CASE("fixed products have the digests that they have always had") {
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    Session s(backend, 2);
    Buffer* a = s.room(m * k * 4);
    Buffer* b = s.room(n * k * 4);
    Buffer* c = s.room(m * n * 4);
    VOLT_OK(backend.fill_f32(s.context, a, 0, m * k, 1, 10, 0));
    VOLT_OK(backend.fill_f32(s.context, b, 0, n * k, 1, 11, 0));
    VOLT_OK(backend.fill_f32(s.context, c, 0, m * n, 1, 12, 0));
    CHECK(digest_of(s, a, m * k * 4) ==
          "8084dc83776941fa1cc8d56770fa9b8d8a81f17bdd205c75d558c5be5447aa71");

    VOLT_OK(
        backend.matmul_f32x(s.context, Form::abt, dense(a, m, k), dense(b, n, k), dense(c, m, n)));
    CHECK(digest_of(s, c, m * n * 4) ==
          "f074eeacbe4d280e1afd0653c9479db359ef96787e443b13bc4119bad23678a6");

    Buffer* qa = s.room(m * k);
    Buffer* qb = s.room(n * k);
    const Quantised x = {dense(qa, m, k), dense(s.room(m * k_groups * 4), m, k_groups),
                         Quantised::along_cols};
    const Quantised y = {dense(qb, n, k), dense(s.room(n * k_groups * 4), n, k_groups),
                         Quantised::along_cols};
    VOLT_OK(backend.quantise(s.context, dense(a, m, k), x));
    VOLT_OK(backend.quantise(s.context, dense(b, n, k), y));
    CHECK(digest_of(s, qa, m * k) ==
          "826fca158a9582169991bab27387c602548a66c561054124a65ab2510ddc6bb9");
    CHECK(digest_of(s, x.scales.buffer, m * k_groups * 4) ==
          "f3cd8039d172f45334fa01572fe441be28a2a08398d9588a6483cf830b15a5a1");

    Buffer* joined = s.room(m * n * 4);
    VOLT_OK(backend.matmul_i8x(s.context, Form::abt, x, y, dense(joined, m, n)));
    CHECK(digest_of(s, joined, m * n * 4) ==
          "f0a73723e6209dba0258e9e6732042921d7f96bc835cc85c8a51406924b78419");

    VOLT_OK(backend.fill_i8(s.context, qa, 0, m * k, 1, 13, 0));
    VOLT_OK(backend.fill_i8(s.context, qb, 0, n * k, 1, 14, 0));
    Buffer* sums = s.room(m * n * 4);
    VOLT_OK(backend.matmul_i8(s.context, Form::abt, dense(qa, m, k), dense(qb, n, k),
                              dense(sums, m, n)));
    CHECK(digest_of(s, sums, m * n * 4) ==
          "5102ace8625c1adb0056a66232a5d3699f8bc8cc50410835e8af45bd0e3bf3f7");
  }
}

TEST_CASE("the elementary functions of fixed arguments have the digests that they always had") {
  struct Frozen {
    Function function;
    std::uint64_t in_bytes, out_bytes;
    std::string digest;
  };
  const Frozen frozen[] = {
      {Function::exp, 4, 4, "cc2742ed4fef0bbfe97454c4100c552a38468a4dd03c91e4a863019a7c9b851f"},
      {Function::exp2, 4, 4, "d55599e85c62625cd859e8b3895a3d426a959e9fd69dbeb0597fb42110adca5c"},
      {Function::log, 4, 4, "12c594c92dfe425adf565e605b452b2e9689f357520e25c40a37747ca81253bb"},
      {Function::log1p, 4, 4, "c74c0793e775625ef37462e9a1ff8db905fdac97828584793030a92d9045a43a"},
      {Function::tanh, 4, 4, "e48daa99145bba41095b761e253cdcd811f6d9629b9d9180eab314d6273bff5e"},
      {Function::sigmoid, 4, 4, "81fbc65c6c5ea958802b5335da9188eb582b5895f82608540d4036462224091b"},
      {Function::erf, 4, 4, "acd5b853ad4d9a531c1f737e315df5710210723ef82128c1a40f9d1350e3d177"},
      {Function::rsqrt, 4, 4, "81a941986b820ac3a00beeea4f03ef1ec707f928faf4c97ec77193b58fbbaac7"},
      {Function::sin_turns, 8, 4,
       "e79795a93916afc3374e385f12bde194da97826e85efdb15ce4b6e478eef851c"},
      {Function::cos_turns, 8, 4,
       "92de8f4d1e9f3f2917f36a4581240d87fe15ded56253dc0e377e05ef71c06d30"},
      {Function::to_bf16, 4, 2, "dee18f1abf74573a646ae32206e7a3b10dea36fa7ceb119dd2b9e81339a332cc"},
      {Function::to_fp16, 4, 2, "9340b7c6e5cc7abbc5c6a7db0362c9abac7a07b1f8de9a6fe49caba795de7c0d"},
      {Function::from_bf16, 2, 4,
       "59221472415157740e4b1735d1fb4b07788135e5ac784bf72c01f47dea0c6e34"},
      {Function::from_fp16, 2, 4,
       "bf571be3399fa239038a5b6748a101061e2e46a441dc9cc63ee3cd56d04ab1c8"},
  };
  // From 0 in equal steps through the whole of the type.
  constexpr std::uint64_t count = 65'536;
  std::vector<std::uint16_t> halves;
  std::vector<std::uint32_t> floats;
  std::vector<std::uint64_t> phases;
  for (std::uint64_t i = 0; i < count; ++i) {
    halves.push_back(static_cast<std::uint16_t>(i));
    floats.push_back(static_cast<std::uint32_t>(i * 0x1'0001));
    phases.push_back(i * 0x1'0001'0001'0001);
  }
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    Session s(backend, 2);
    Buffer* const x[] = {s.put(halves), s.put(floats), s.put(phases)};
    Buffer* const y = s.room(count * 4);
    for (const Frozen& f : frozen) {
      CAPTURE(static_cast<int>(f.function));
      VOLT_OK(backend.map(s.context, f.function, x[f.in_bytes / 4], 0, y, 0, count));
      CHECK(digest_of(s, y, count * f.out_bytes) == f.digest);
    }
  }
}

TEST_CASE("the operations of language models have the digests that they always had") {
  // Of matrices of random numbers in [-1, 1): 40 rows of 3 heads of 48 columns, one of keys.
  constexpr std::uint64_t rows = 40, cols = 144, d = 48;
  for (const Backend& backend : all_backends()) {
    if (backend.network == nullptr) continue;
    CAPTURE(std::string(backend.name));
    Session s(backend, 2);
    const Network& net = *backend.network;
    Context* const c = s.context;
    std::uint32_t stream = 20;
    const auto random = [&](std::uint64_t height, std::uint64_t width) {
      const Matrix matrix = dense(s.room(height * width * 4), height, width);
      VOLT_OK(backend.fill_f32(c, matrix.buffer, 0, height * width, 1, stream++, 0));
      return matrix;
    };
    const auto frozen = [&](const Matrix& matrix, const std::string& digest) {
      CHECK(digest_of(s, matrix.buffer, matrix.rows * matrix.cols * 4) == digest);
    };
    const auto words = [&](auto word) {
      std::vector<std::uint32_t> all;
      for (std::uint32_t i = 0; i < rows; ++i) all.push_back(word(i));
      return dense(s.put(all), rows, 1);
    };
    const Matrix x = random(rows, cols), y = random(rows, cols), z = random(rows, cols),
                 w = random(1, cols);
    const Matrix r = random(rows, 1), kept = random(rows, 2), db = random(1, cols),
                 b = random(1, cols);

    VOLT_OK(net.rms_norm(c, {x, w, 1e-5f, y, r}));
    frozen(y, "9261039e8618e682bc3fec3bf5dc93cbaba181d035180c099f45607717110f76");
    VOLT_OK(net.rms_norm_backward(c, {x, w, r, z, y, db}));
    frozen(y, "9fb930a19ecfa20ed31dd59b81d70a4e6c42dfd76d527f6beac8ed78e89990b0");
    frozen(db, "35a438e54f1a2ed1e94e8f9ed956be07f4d79664a47bc0902d44598e7fbbebd2");
    VOLT_OK(net.layer_norm(c, {x, w, b, 1e-5f, y, kept}));
    frozen(y, "cf55b168bcc0e7978d9a4d2c82a59e7155316c82e4c05e41e5e3f700db46fa02");
    const Matrix dw = random(1, cols);
    VOLT_OK(net.layer_norm_backward(c, {x, w, kept, z, y, dw, db}));
    frozen(y, "8969b27c58df403ea6c621d79f1746ffda5f1338f3bfef9917c6dc10aac8ca01");
    frozen(dw, "3326bf09b2d6e4a356cda7c0138a65f1c7e347c7a7ccdb52700f4a188d887bd6");
    frozen(db, "311ebb8fe049894dd5158fbea41a5de7e16fe5bdc8580b83dfc99595ccc5d97e");

    const Matrix positions = words([](std::uint32_t i) { return 3000 * i; });
    std::vector<std::uint64_t> turns;
    for (std::uint64_t i = 0; i < d / 2; ++i) turns.push_back(0x28be60db9391054aULL >> i);
    const Matrix q = random(rows, cols);
    VOLT_OK(net.rope(c, {q, positions, dense(s.put(turns), 1, d / 2), false}));
    frozen(q, "4d88305fd7fd94390183a119fb88cd2505a6ce0d36d87c63248a7b0abcb9d84f");

    const Matrix first = words([](std::uint32_t i) { return i < 15 ? 0u : 15u; });
    const Matrix keys = random(rows, d), values = random(rows, d), most = random(rows, 3),
                 sums = random(rows, 3);
    VOLT_OK(net.attention(c, {q, keys, values, first, 3, 1, 0.3f, y, most, sums}));
    frozen(y, "f49a81eda8b0421f15aae9b11c8df4440d0133f5daab5b8b60ec643adc09d596");
    frozen(sums, "f26802197662cd9361b591d124366798ef6a5ef98b685fa1eee77d3546014140");
    const Matrix dq = random(rows, cols), dk = random(rows, d), dv = random(rows, d);
    VOLT_OK(net.attention_backward(
        c, {q, keys, values, first, 3, 1, 0.3f, y, most, sums, z, dq, dk, dv}));
    frozen(dq, "77c8e10fd98780b6c18214d8bbaa35db4462b96fccc7547c8c007baa9ab4a05d");
    frozen(dk, "35fb11dc2549c30e0e4a34915529f59e2e0314e693251e320a6bb88fd5619459");
    frozen(dv, "e2f1a180d1c2ac22fa74132e8c544031cf95f7dd8b09c222c79ee1c75dab2c84");

    const auto activated = [&](Activation kind, const char* value, const char* slope) {
      const ActivationOf f = {kind, 0.7f, 0.3f};
      const Matrix out = random(rows, cols), du = random(rows, cols);
      VOLT_OK(net.activate(c, {f, x, z, out}));
      frozen(out, value);
      VOLT_OK(net.activate_backward(c, {f, x, z, q, out, du}));
      frozen(out, slope);
    };
    activated(Activation::silu, "41a4ec7041cd4a84d318526e08e74692db0453c1c7200fd52bbc7ae00e3b4e46",
              "e333e66c875cc9c7e15ed420040e3d5a8f9d31fdb2f8d6677d01b4cceab2aede");
    activated(Activation::gelu_tanh,
              "4d3b3122cb73a14acf8040b9ad995f390e41a0cd10f6b9699f4ff135470d4a14",
              "5fb44f667244479b431a09c0585053a766e22632cfb675d5bdd5b84deeb4295c");
    activated(Activation::era, "c8ebfc35253278fcc364481e677483df71135890f7e80d4fb21dcae9e38a305e",
              "7fec320daef6ebab6517dc7be4670ce7bbfa27465c7461f748a4ec54bccf74ee");

    const Matrix logits = random(rows, cols), told = random(rows, 3);
    VOLT_OK(net.cross_entropy(c, {logits, words([](std::uint32_t i) { return 3 * i; }), told}));
    frozen(logits, "d5b242163134925e0a31e8f34a5563641b42118eb7474b658be22f51bd262d51");
    frozen(told, "0c03d52b0acef220c4115924a9338deede64806b50eabd4881c4afeea6be568e");

    VOLT_OK(net.add(c, {x, z}));
    VOLT_OK(net.add(c, {w, z}));
    VOLT_OK(net.scale(c, {z, 0.3f}));
    frozen(z, "3afedd22a6ede9755fc7d1f1ca60f08ee793ae07d1d645664e3f35a06e61aed5");
    VOLT_OK(net.sum_rows(c, {z, b}));
    frozen(b, "29c97d3434d6a11f60fcaa12ed23456d3f8409ad5338b24aee266834c0fc1e88");
    const Matrix table = random(7, cols);
    VOLT_OK(net.scatter_rows(c, {words([](std::uint32_t i) { return i * i % 7; }), z, table}));
    frozen(table, "dca0bec39fc85ba6183dd759ccd2cd9abc51ec32a1a3cec0e5e6d7427cfc9492");
    VOLT_OK(net.dropout(c, {x, y, 0.1f, 1, 5, 9}));
    frozen(y, "0d5f86c80514842a838c1ee508cdec310a9972a3998aad050c49f849c52fa519");
    const Matrix wide = random(rows, 256);
    VOLT_OK(net.rotate(c, {x, wide, 0x1p-7f, false}));
    frozen(wide, "89e345ac1eb2348c082c5e4d7d62fe98c968131683ff711ca2eb2ddbbb665515");
    VOLT_OK(net.rotate(c, {x, wide, 0x1p-7f, true}));
    frozen(wide, "62fe3b5963bb6fa860a09fe5a5152ce4d3b120a05bf8c21a3bebe2990e74f558");
    const Matrix p = random(rows, cols), mean = random(rows, cols), square = random(rows, cols);
    VOLT_OK(net.scale(c, {square, 0.0f}));
    VOLT_OK(net.adam(c, {p, mean, square, x, 0.01f, 0.9f, 0.99f, 1e-8f, 0.1f, 0.19f, 0.02f, 0.5f}));
    frozen(p, "4bdfa8a5a2abedff7d3033b1e40d20ed70ccc6eb7ee57e90dcbc1c41ba4dc415");
    frozen(square, "987e6da7db6cb0df1bf982d76ccd827a4e00b4f83b102c808b4773e008298ce3");
    float sum = 0;
    VOLT_OK(net.square_sum(c, x, &sum));
    CHECK(std::bit_cast<std::uint32_t>(sum) == 0x44f070f8u);

    const Matrix turned = dense(s.room(128 * 256), 128, 256);
    const Matrix by_rows = random(128, 2), by_columns = random(1, 256);
    VOLT_OK(net.quantise_rotated(c, {q, false, turned, by_rows, by_columns}));
    CHECK(digest_of(s, turned.buffer, 128 * 256) ==
          "65e7ffecdeec21e8e8d2a9fb98860318487b891ce9a5b0188c260f6ddd2021b3");
    frozen(by_columns, "9547acead20974dc4cd6805f3b4ecbdb09668232d346d99b7ce1f9aa57711fbc");
    VOLT_OK(net.quantise_rotated(c, {q, true, turned, by_rows, by_columns}));
    frozen(by_columns, "a1ee725f5142977766c208606022b0c97a267e485a7966b7d7551cef79d7233f");
    std::vector<std::uint8_t> nibbles(rows * cols / 2), codes(rows * cols / 64);
    for (std::size_t i = 0; i < nibbles.size(); ++i) nibbles[i] = static_cast<std::uint8_t>(i);
    for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::uint8_t>(3 * i);
    VOLT_OK(net.expand_nf4(c, {y,
                               dense(s.put(nibbles), 1, nibbles.size()),
                               dense(s.put(codes), 1, codes.size()),
                               {w.buffer, 0, 1, 2, 2},
                               0.3f,
                               200}));
    frozen(y, "2887f526a598d94974119550723c5938b8415ddc2a9341de1c89f9f80a041212");

    const Matrix drawn = dense(s.room(rows * 4), rows, 1);
    VOLT_OK(net.draw(c, {x, 0.0f, 1.0f, 1, 5, 34, drawn}));
    frozen(drawn, "37fab301bdb17fcdefd2158b1a49fdfb374db583690953751f2f4489119209ed");
    VOLT_OK(net.draw(c, {x, 0.1f, 0.9f, 1, 5, 34, drawn}));
    frozen(drawn, "b157ca34c91af25f75d8cb51d9e7bc83cace2071d68c18e968b90a7258af5fbe");
    const Matrix largest = random(rows, cols);
    const Matrix counts = dense(s.put(std::vector<std::uint32_t>(cols)), 1, cols);
    VOLT_OK(net.keep_largest(c, {x, w, 36, mean, largest, counts}));
    frozen(largest, "f6fc8b931d222c131c39ce4714650818acc575d7951fcb9a80c637ef56e5cedb");
    frozen(counts, "b5e40364f0714a9c31b6832b38ce63a0685a8ce60c8bc5fe1386d329dc5dac3e");
  }
}

TEST_CASE("products and attention by two limbs have the digests that they have always had") {
  constexpr std::uint64_t rows = 150, d = 136;  // more than a group, and a head wider than one
  for (const Backend& backend : all_backends()) {
    CAPTURE(std::string(backend.name));
    Session s(backend, 2);
    Context* const c = s.context;
    std::uint32_t stream = 80;
    const auto random = [&](std::uint64_t height, std::uint64_t width) {
      const Matrix matrix = dense(s.room(height * width * 4), height, width);
      VOLT_OK(backend.fill_f32(c, matrix.buffer, 0, height * width, 1, stream++, 0));
      return matrix;
    };
    const auto frozen = [&](const Matrix& matrix, const std::string& digest) {
      CHECK(digest_of(s, matrix.buffer, matrix.rows * matrix.cols * 4) == digest);
    };
    const auto limbs = [&](const Matrix& x) {
      const QuantisedLimbs out = {dense(s.room(x.rows * x.cols), x.rows, x.cols),
                                  dense(s.room(x.rows * x.cols), x.rows, x.cols),
                                  dense(s.room(x.rows * k_groups * 4), x.rows, k_groups)};
      VOLT_OK(backend.quantise_limbs(c, x, out));
      return out;
    };
    const QuantisedLimbs a = limbs(random(m, k)), b = limbs(random(n, k));
    CHECK(digest_of(s, a.high.buffer, m * k) ==
          "c8e8af5c44e2c1b88add88c2a9429ad83a9a00fef02431b205206477be004a95");
    CHECK(digest_of(s, a.low.buffer, m * k) ==
          "660f803fbc310b76288edbe82f2df216b7636dd0a9f7dbdf13cdb8b5956632b8");
    frozen(a.scales, "edb62458458246d4731bbbed771f381e42a2399fc22c8710b91115db549053bc");
    const Matrix product = random(m, n);
    VOLT_OK(backend.matmul_i8x2(c, Form::abt, a, b, product));
    frozen(product, "f8cd96d3b91671d59060dc73be662eb48b32927a3822814479cf960a5f5352fa");

    std::vector<std::uint32_t> firsts(rows, 20);
    std::fill_n(firsts.begin(), 20, 0u);
    const Matrix first = dense(s.put(firsts), rows, 1);
    const Matrix q = random(rows, 2 * d), keys = random(rows, d), values = random(rows, d);
    const Matrix y = random(rows, 2 * d), most = random(rows, 2), sums = random(rows, 2);
    const Network& net = *backend.network;
    VOLT_OK(net.attention(c, {q, keys, values, first, 2, 1, 0.3f, y, most, sums, Products::limbs}));
    frozen(y, "eb457e9026b4a5d4ebc39de25f4b82d8ae53bb804aefe322e09b928d3b287ff1");
    frozen(sums, "0da35e4648c733e77ffa2f8157617e3a7636fe857a19a48828205fe0458895ca");
    const Matrix dout = random(rows, 2 * d), dq = random(rows, 2 * d);
    const Matrix dk = random(rows, d), dv = random(rows, d);
    VOLT_OK(net.attention_backward(
        c, {q, keys, values, first, 2, 1, 0.3f, y, most, sums, dout, dq, dk, dv, Products::limbs}));
    frozen(dq, "d84429205a1b1f6050d0efb0c32aa1dda577af3d6e12b554d6a0d321242ffa06");
    frozen(dk, "2297781b9de659ef68258d4bcedfc236467442fe79ff54e5e9f176b075806383");
    frozen(dv, "65708ac660e58be817c9ebf664625f2bd09f3fac5d993a3b0643d9ed6cd809ca");
  }
}

}  // namespace volt::kernels::test
