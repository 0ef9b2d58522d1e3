// SPDX-License-Identifier: Apache-2.0

// Whether i8x trains as well as f32x: adapters of one base, trained in both and in what lies
// between and beside them, from the same first values on the same samples in the same order. Once
// on a base as it is, and once with outlier channels put into it, as large models have them. It
// needs a control that must fail: where int8 with one scale a row passes too, nothing is shown.
// Every number is exact, the same on any machine.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <deque>
#include <numeric>

#include "libvolt/base/error.hpp"
#include "libvolt/crypto/digest.hpp"
#include "libvolt/lm/language.hpp"
#include "libvolt/lm/training.hpp"
#include "measured.hpp"
#include "rounded.hpp"

namespace volt::bench {
namespace {

using lm::Profile;

constexpr int seeds = 3;  // of the samples' order and of the first values of A
constexpr std::uint64_t split_seed = 1;
constexpr std::uint32_t held_out_millionths = 100'000;
constexpr int context = 256, rows_per_step = 4, epochs = 4, warmup = 10;
constexpr int gradient_rows = 64;  // 16 batches
constexpr float rate = 2e-3F;
constexpr unsigned threads = 2;

// What "as well" means, of the held-out loss over f32x's, and of the adapter's gradient.
constexpr double mean_within = 0.005, worst_within = 0.01, cosine_at_least = 0.99;

struct Arm {
  const char* name;
  Profile profile = Profile::f32x;
  Rounding rounding = Rounding::none;
  std::uint64_t other_a = 0;  ///< added to the seed of A: how far apart equals are
};

constexpr Arm arms[] = {
    {.name = "f32x"},
    {.name = "f32x, other A", .other_a = 1000},
    {.name = "bf16", .rounding = Rounding::bf16},
    {.name = "i8x", .profile = Profile::i8x},
    {.name = "i8x, not rotated", .rounding = Rounding::blocks},
    {.name = "i8x, random signs", .rounding = Rounding::signs},
    {.name = "int8, a scale a row", .rounding = Rounding::lines},
};
constexpr std::size_t of_f32x = 0, of_i8x = 3, of_control = 6;

// ---- Base and data

constexpr std::uint64_t most_bytes = std::uint64_t{1} << 30;

/// A model's folder, and data as it reads them.
struct Base {
  Base(const host::Path& model, const std::string& data) : folder(model) {
    lm::Files files = folder.files();
    for (const auto name : {lm::tokenizer_file, lm::tokenizer_config_file}) {
      if (!host::exists(model / name)) continue;
      texts.push_back(host::read_file(model / name, most_bytes));
      files.emplace(name, as_bytes(texts.back()));
    }
    architecture = lm::read_architecture(files);
    weights = lm::find_weights(files, architecture);
    const lm::Language language(files, architecture);
    texts.push_back(host::read_file(data, most_bytes));
    lm::DataReader reader(texts.back(), data, lm::data_format(data), {});
    while (const lm::Sample* sample = reader.next()) {
      samples.add(lm::tokenise(*sample, language.encoder()), sample->kind);
    }
    split = lm::split_samples(samples.size(), held_out_millionths, split_seed);
    files.emplace("data", as_bytes(texts.back()));
    for (const auto& [name, bytes] : files) {
      digests +=
          (digests.empty() ? "\"" : ", \"") + name + "\": \"" + crypto::sha256(bytes).hex() + '"';
    }
  }

  /// Has one channel in 128 of what each norm puts out be 20 to 50 times as large, and what reads
  /// it as much smaller: the same function but for rounding.
  void put_outliers() {
    using lm::Part;
    if (architecture.conv1d) throw Error(Exit::usage, "only a Llama can be given outlier channels");
    const std::uint64_t a_layer = (architecture.width + 127) / 128;
    for (std::uint64_t i = 0; i < a_layer * architecture.layers; ++i) {
      const std::uint64_t layer = i / a_layer;
      const std::uint64_t channel = (i % a_layer * 128 + 31 * layer + 17) % architecture.width;
      const auto factor = static_cast<float>(20 + 10 * (i % 4));
      for (const Part norm : {Part::attention_norm, Part::mlp_norm}) {
        scale_channel({layer, norm}, channel, factor);
      }
      for (const Part reader : {Part::query, Part::key, Part::value, Part::gate, Part::up}) {
        scale_channel({layer, reader}, channel, 1 / factor);
      }
    }
  }

  void scale_channel(const lm::Slot& slot, std::uint64_t channel, float factor) {
    lm::Weight& weight = weights.at(slot);
    std::vector<float>& values = changed.emplace_back(lm::floats(weight));
    for (std::uint64_t i = channel; i < values.size(); i += architecture.width) values[i] *= factor;
    weight.bytes = {reinterpret_cast<const std::uint8_t*>(values.data()), 4 * values.size()};
    weight.description.dtype = tensor::Dtype::f32;
  }

  const lm::Folder folder;
  std::deque<std::string> texts;
  std::deque<std::vector<float>> changed;
  std::string digests;  ///< members of a JSON object
  lm::Architecture architecture;
  lm::Weights weights;
  lm::TokenSamples samples{static_cast<std::uint32_t>(context)};
  lm::Split split;
};

// ---- One training

const lm::Lora lora;  // of rank 16, on every matrix of every layer

class Adapted {
 public:
  Adapted(const Base& base, const Arm& arm, std::uint64_t seed)
      : base_(base),
        seed_(seed),
        device_({"cpu", threads, 0}, Rounded::backend(arm.rounding)),
        trained_(device_, lm::lora_tensors(base.architecture, lora)),
        network_(device_, base.architecture, base.weights, trained_, arm.profile, lora.scale(),
                 {rows_per_step * context, base.architecture.layers}),
        rounded_(arm.rounding, device_, trained_.values().get()) {
    lm::initialise(device_, base.architecture, seed + arm.other_a, trained_);
  }

  /// Trains, and returns the states after the warm-up and at the end.
  std::vector<Bytes> train() {
    std::vector<Bytes> states;
    lm::Training training =
        of({.epochs = epochs, .rows_per_step = rows_per_step, .rate = rate, .warmup = warmup});
    while (!training.done()) {
      training.step();
      if (training.next() != warmup && !training.done()) continue;
      trained_.save(states.emplace_back(trained_.state_bytes()));
    }
    return states;
  }

  double held_out() { return of({}).evaluate(base_.split.eval).loss; }

  /// Of the loss on many batches, for the adapter of a state.
  std::vector<float> gradient(const Bytes& state) {
    trained_.restore(state);
    of({.steps = 1, .rows_per_step = gradient_rows, .rate = 0}).step();
    std::vector<float> all;
    for (const auto& tensor : trained_.tensors()) {
      const auto values = trained_.get_gradient(tensor);
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  }

 private:
  lm::Training of(lm::TrainingSettings settings) {
    settings.seed = seed_;
    return {network_,          trained_, base_.samples,
            base_.split.train, settings, rows_per_step * context};
  }

  const Base& base_;
  const std::uint64_t seed_;
  device::Device device_;
  lm::Trained trained_;
  lm::Network network_;
  Rounded rounded_;
};

// ---- What came out

/// One arm on one base; a number a seed.
struct Row {
  std::string base, arm;
  std::vector<double> losses;                ///< held out, nats a token
  std::vector<double> differences;           ///< of the loss from f32x's, over that
  std::vector<double> after_warmup, at_end;  ///< cosines of f32x's gradient and this arm's

  double mean() const {
    return std::accumulate(differences.begin(), differences.end(), 0.0) / seeds;
  }
  double worst() const {
    return *std::max_element(differences.begin(), differences.end(),
                             [](double a, double b) { return std::fabs(a) < std::fabs(b); });
  }
  double cosine() const { return *std::min_element(after_warmup.begin(), after_warmup.end()); }
  double last_cosine() const { return *std::min_element(at_end.begin(), at_end.end()); }
  bool passes() const {  // a NaN does not
    return std::fabs(mean()) <= mean_within && std::fabs(worst()) <= worst_within &&
           cosine() >= cosine_at_least;
  }
};

double cosine(const std::vector<float>& a, const std::vector<float>& b) {
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += double{a[i]} * double{b[i]};
    aa += double{a[i]} * double{a[i]};
    bb += double{b[i]} * double{b[i]};
  }
  return ab / std::sqrt(aa * bb);
}

void study(const Base& base, const std::string& name, std::vector<Row>& rows) {
  const std::size_t first = rows.size();
  for (const Arm& arm : arms) rows.push_back({name, arm.name, {}, {}, {}, {}});
  for (int seed = 1; seed <= seeds; ++seed) {
    std::vector<Bytes> states;  // of f32x, which comes first
    std::vector<float> right[2];
    for (std::size_t i = 0; i < std::size(arms); ++i) {
      Row& row = rows[first + i];
      Adapted model(base, arms[i], seed);
      auto own = model.train();
      row.losses.push_back(model.held_out());
      row.differences.push_back(row.losses.back() / rows[first + of_f32x].losses.back() - 1);
      if (i == of_f32x) {
        states = std::move(own);
        for (std::size_t s = 0; s < 2; ++s) right[s] = model.gradient(states[s]);
      }
      row.after_warmup.push_back(cosine(model.gradient(states[0]), right[0]));
      row.at_end.push_back(cosine(model.gradient(states[1]), right[1]));
      std::fprintf(stderr, "%s, seed %d of %d, %s: %.5f, cosines %.5f, %.5f\n", name.c_str(), seed,
                   seeds, row.arm.c_str(), row.losses.back(), row.after_warmup.back(),
                   row.at_end.back());
    }
  }
}

/// Whether i8x passes on both bases, and the control fails on the one with outliers: without them,
/// at this size, it need not.
bool holds(const std::vector<Row>& rows) {
  const std::size_t outliers = std::size(arms);
  return rows[of_i8x].passes() && rows[outliers + of_i8x].passes() &&
         !rows[outliers + of_control].passes();
}

std::string list(const std::vector<double>& numbers) {
  std::string json;
  for (const double number : numbers) {
    char text[32] = "null";
    if (std::isfinite(number)) std::snprintf(text, sizeof text, "%.6f", number);
    json += (json.empty() ? "[" : ", ") + std::string(text);
  }
  return json + ']';
}

std::string to_json(const Base& base, const std::vector<Row>& rows) {
  char settings[600];
  std::snprintf(settings, sizeof settings,
                "{\"rank\": %d, \"alpha\": %g, \"lr\": %g, \"epochs\": %d, \"context\": %d, "
                "\"rows_per_step\": %d, \"warmup\": %d, \"held_out\": %g, \"seeds\": %d, "
                "\"gradient_rows\": %d},\n  \"thresholds\": {\"mean_within\": %g, "
                "\"worst_within\": %g, \"cosine_after_warmup_at_least\": %g}",
                static_cast<int>(lora.rank), double{lora.alpha}, double{rate}, epochs, context,
                rows_per_step, warmup, held_out_millionths / 1e6, seeds, gradient_rows, mean_within,
                worst_within, cosine_at_least);
  std::string json = heading("quality", "", this_machine()) + ",\n  \"sha256\": {" + base.digests +
                     "},\n  \"settings\": " + settings +
                     ",\n  \"holds\": " + (holds(rows) ? "true" : "false") + ",\n  \"rows\": [";
  for (const Row& row : rows) {
    json += (&row == rows.data() ? "\n" : ",\n") + ("    {\"base\": \"" + row.base) +
            "\", \"arm\": \"" + row.arm + "\", \"losses\": " + list(row.losses) +
            ", \"over_f32x\": " + list(row.differences) +
            ", \"passes\": " + (row.passes() ? "true" : "false") +
            ", \"mean_and_worst\": " + list({row.mean(), row.worst()}) +
            ", \"cosines_after_warmup\": " + list(row.after_warmup) +
            ", \"cosines_at_end\": " + list(row.at_end) + "}";
  }
  return json + "\n  ]\n}\n";
}

void print(const std::vector<Row>& rows) {
  std::printf("%-9s %-20s %8s %10s %8s %15s %8s\n", "base", "arm", "loss", "over f32x", "worst",
              "after warm-up", "at end");
  for (const Row& row : rows) {
    std::printf("%-9s %-20s %8.4f %9.2f%% %7.2f%% %15.5f %8.5f  %s\n", row.base.c_str(),
                row.arm.c_str(), std::accumulate(row.losses.begin(), row.losses.end(), 0.0) / seeds,
                100 * row.mean(), 100 * row.worst(), row.cosine(), row.last_cosine(),
                row.passes() ? "passes" : "fails");
  }
  std::printf("i8x trains as well as f32x, and the control does not: %s\n",
              holds(rows) ? "yes" : "no");
}

bool run(const host::Path& model, const std::string& data, const char* report) {
  Base base(model, data);
  std::vector<Row> rows;
  study(base, "clean", rows);
  base.put_outliers();
  study(base, "outliers", rows);
  print(rows);
  if (report != nullptr) host::write_file(report, to_json(base, rows));
  return holds(rows);
}

}  // namespace
}  // namespace volt::bench

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) {
    std::fputs("usage: quality BASE_FOLDER DATA_FILE [OUT.json]\n", stderr);
    return 2;
  }
  try {
    return volt::bench::run(argv[1], argv[2], argc == 4 ? argv[3] : nullptr) ? 0 : 1;
  } catch (const volt::Error& error) {
    std::fprintf(stderr, "quality: error: %s\n", error.message().c_str());
    return static_cast<int>(error.code());
  }
}
