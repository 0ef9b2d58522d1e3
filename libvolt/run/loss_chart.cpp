// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/loss_chart.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string_view>

namespace volt::run {
namespace {

// The plot in the picture, in pixels.
constexpr double left = 72, right = 612, top = 40, bottom = 348;
constexpr std::size_t columns = 540;  // pixels of its width
constexpr double no_number = std::numeric_limits<double>::quiet_NaN();

constexpr std::string_view head =
    R"(<svg xmlns="http://www.w3.org/2000/svg" width="640" height="400" viewBox="0 0 640 400" role="img">
<title>loss over steps</title>
<style>
svg { color-scheme: light dark; --back: #fff; --ink: #24292f; --grid: #d8dee4; --train: #6ea8e8; --mean: #0b57b0; --eval: #c4420a }
@media (prefers-color-scheme: dark) { svg { --back: #0d1117; --ink: #c9d1d9; --grid: #30363d; --train: #2f6fb3; --mean: #79b8ff; --eval: #ff9b5e } }
rect { fill: var(--back) }
text { font: 12px sans-serif; fill: var(--ink) }
path { fill: none; stroke-width: 1.5; stroke-linejoin: round; stroke-linecap: round }
.grid { stroke: var(--grid); stroke-width: 1 }
.train { stroke: var(--train) }
.mean { stroke: var(--mean); stroke-width: 2 }
.eval { stroke: var(--eval) }
circle.train { fill: var(--train) }
circle.eval { fill: var(--eval) }
</style>
<rect width="640" height="400"/>
)";

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

/// Places at which an axis is labelled: multiples of 1, 2 or 5 times a power of ten.
struct Ticks {
  double step = 1;
  int digits = 0;  ///< after the point

  /// At most `most` of them from `low` to `high`, which is greater.
  Ticks(double low, double high, double most, bool whole) {
    // By multiplication alone: a power of ten from libm may differ from one system to the next.
    const double least = (high - low) / most;
    double power = 1;
    for (; power > least && !whole; power /= 10) ++digits;
    for (; power * 10 <= least; power *= 10) digits = std::max(digits - 1, 0);
    step = power;
    for (const double times : {1.0, 2.0, 5.0, 10.0}) {
      step = power * times;
      if (step < least) continue;
      if (times == 10 && digits > 0) --digits;
      break;
    }
  }
  double first(double low) const { return std::ceil(low / step - 1e-9) * step; }
};

/// From the plot's numbers to pixels.
struct Frame {
  double steps = 1, low = 0, high = 1;

  double x(double step) const { return left + (right - left) * (step / steps); }
  double y(double loss) const { return bottom - (bottom - top) * ((loss - low) / (high - low)); }
};

Frame frame_of(const Losses& losses) {
  Frame frame;
  frame.steps = std::max(1.0, static_cast<double>(losses.train.size()));
  double low = std::numeric_limits<double>::infinity(), high = -low;
  const auto take = [&](float loss) {
    if (!std::isfinite(loss)) return;
    low = std::min(low, double{loss});
    high = std::max(high, double{loss});
  };
  for (const float loss : losses.train) take(loss);
  for (const auto& eval : losses.eval) take(eval.loss);
  if (low > high) return frame;  // nothing was finite
  // Some air; and a loss that does hardly change lies in the middle.
  const double size = std::max(std::abs(low), std::abs(high));
  const double air = std::max({(high - low) * 0.04, size * 1e-3, 1e-6});
  frame.low = low - air;
  frame.high = high + air;
  return frame;
}

/// A line through points, with a gap wherever one is NaN; a point alone is a dot.
class Line {
 public:
  void add(double x, double y) {
    if (std::isnan(y)) {
      drawing_ = false;
      return;
    }
    const std::string place = fixed(x, 1) + " " + fixed(y, 1);
    path_ += drawing_ ? "L" + place : "M" + place + "h.1";
    drawing_ = true;
  }
  std::string element(std::string_view kind) const {
    if (path_.empty()) return {};
    return "<path class=\"" + std::string(kind) + "\" d=\"" + path_ + "\"/>\n";
  }

 private:
  std::string path_;
  bool drawing_ = false;
};

std::string dot(std::string_view kind, double x, double y) {
  return "<circle class=\"" + std::string(kind) + "\" cx=\"" + fixed(x, 1) + "\" cy=\"" +
         fixed(y, 1) + "\" r=\"2.5\"/>\n";
}

/// Of many values the least and the greatest of each column, in their order.
std::string train_line(const std::vector<float>& values, const Frame& frame) {
  Line line;
  const auto add = [&](std::size_t i) {
    line.add(frame.x(static_cast<double>(i)),
             std::isfinite(values[i]) ? frame.y(values[i]) : no_number);
  };
  if (values.size() == 1 && std::isfinite(values[0])) {
    return dot("train", frame.x(0), frame.y(values[0]));
  }
  if (values.size() <= 2 * columns) {
    for (std::size_t i = 0; i < values.size(); ++i) add(i);
    return line.element("train");
  }
  for (std::size_t column = 0; column < columns; ++column) {
    const std::size_t begin = column * values.size() / columns,
                      end = (column + 1) * values.size() / columns;
    std::size_t least = begin, greatest = begin;
    for (std::size_t i = begin; i < end; ++i) {
      if (!std::isfinite(values[i])) continue;
      if (!std::isfinite(values[least]) || values[i] < values[least]) least = i;
      if (!std::isfinite(values[greatest]) || values[i] > values[greatest]) greatest = i;
    }
    add(std::min(least, greatest));
    if (least != greatest) add(std::max(least, greatest));
  }
  return line.element("train");
}

/// Means of the last `window` steps, as far as they are finite.
std::string mean_line(const std::vector<float>& values, std::size_t window, const Frame& frame) {
  Line line;
  double sum = 0, count = 0;
  std::size_t drawn = 0;
  const auto take = [&](float value, double sign) {
    if (!std::isfinite(value)) return;
    sum += sign * double{value};
    count += sign;
  };
  for (std::size_t i = 0; i < values.size(); ++i) {
    take(values[i], 1);
    if (i >= window) take(values[i - window], -1);
    // A point every other pixel, and the last one.
    const std::size_t place = i * (columns / 2) / values.size();
    if (i + 1 < window || (place < drawn && i + 1 != values.size())) continue;
    drawn = place + 1;
    line.add(frame.x(static_cast<double>(i)), count == 0 ? no_number : frame.y(sum / count));
  }
  return line.element("mean");
}

std::string eval_line(const std::vector<Losses::Eval>& evals, const Frame& frame) {
  // As many as a pixel each; the last one is always there.
  const std::size_t stride = (evals.size() + columns - 1) / columns;
  Line line;
  std::string dots;
  for (std::size_t i = 0; i < evals.size(); ++i) {
    if (i % stride != 0 && i + 1 != evals.size()) continue;
    const double x = frame.x(static_cast<double>(evals[i].step));
    const double y = std::isfinite(evals[i].loss) ? frame.y(evals[i].loss) : no_number;
    line.add(x, y);
    if (std::isnan(y) || evals.size() > columns / 8) continue;
    dots += dot("eval", x, y);
  }
  return line.element("eval") + dots;
}

std::string text(double x, double y, std::string_view anchor, const std::string& words) {
  return "<text x=\"" + fixed(x, 1) + "\" y=\"" + fixed(y, 1) + "\" text-anchor=\"" +
         std::string(anchor) + "\">" + words + "</text>\n";
}

std::string label(double loss, const Ticks& ticks) {
  if (std::abs(loss) < ticks.step / 2) loss = 0;  // but for rounding
  if (ticks.step < 1e5) return fixed(loss, ticks.digits);
  char number[32];
  std::snprintf(number, sizeof number, "%.3g", loss);
  return number;
}

std::string axes(const Frame& frame) {
  std::string grid, labels;
  const Ticks ys(frame.low, frame.high, 6, false);
  for (double loss = ys.first(frame.low); loss <= frame.high; loss += ys.step) {
    const double y = frame.y(loss);
    grid += "M" + fixed(left, 0) + " " + fixed(y, 1) + "H" + fixed(right, 0);
    labels += text(left - 8, y + 4, "end", label(loss, ys));
  }
  const Ticks xs(0, frame.steps, 8, true);
  for (double step = 0; step <= frame.steps; step += xs.step) {
    const double x = frame.x(step);
    grid += "M" + fixed(x, 1) + " " + fixed(bottom, 0) + "v4";
    labels += text(x, bottom + 18, "middle", fixed(step, 0));
  }
  grid +=
      "M" + fixed(left, 0) + " " + fixed(top, 0) + "V" + fixed(bottom, 0) + "H" + fixed(right, 0);
  return "<path class=\"grid\" d=\"" + grid + "\"/>\n" + labels +
         text((left + right) / 2, bottom + 38, "middle", "steps taken") +
         "<text transform=\"translate(14 " + fixed((top + bottom) / 2, 0) +
         ") rotate(-90)\" text-anchor=\"middle\">loss (nats per token)</text>\n";
}

/// A stroke and a word for each line, from left to right.
std::string legend(const std::vector<std::pair<std::string_view, std::string>>& entries) {
  std::string all;
  double x = left;
  for (const auto& [kind, words] : entries) {
    all += "<path class=\"" + std::string(kind) + "\" d=\"M" + fixed(x, 0) + " 22h24\"/>\n" +
           text(x + 30, 26, "start", words);
    x += 60 + 7 * static_cast<double>(words.size());
  }
  return all;
}

}  // namespace

std::string loss_chart(const Losses& losses) {
  const Frame frame = frame_of(losses);
  const std::size_t window = losses.train.size() / mean_share;
  std::vector<std::pair<std::string_view, std::string>> entries{{"train", "training"}};
  std::string lines = train_line(losses.train, frame);
  if (losses.train.size() >= least_smoothed) {
    lines += mean_line(losses.train, window, frame);
    entries.emplace_back("mean", "mean of " + std::to_string(window) + " steps");
  }
  if (!losses.eval.empty()) {
    lines += eval_line(losses.eval, frame);
    entries.emplace_back("eval", "held out");
  }
  return std::string(head) + axes(frame) + lines + legend(entries) + "</svg>\n";
}

}  // namespace volt::run
