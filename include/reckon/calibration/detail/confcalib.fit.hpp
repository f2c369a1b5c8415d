// Fitting, serialisation and the forwarding members of confcalib; included by calibration/confcalib.hpp.
#pragma once

#include "reckon/calibration/confcalib.hpp"
#include "reckon/core/math.hpp"

namespace reckon {

namespace detail {

// Null when the options are in range for so many fields.
inline const char* complaint(const confcalib_options& o, std::size_t fields) {
    if (const char* const wrong = complaint(o.confidence)) return wrong;
    if (static_cast<unsigned>(o.correction) > 1) return "unknown correction";
    if (static_cast<unsigned>(o.fusion) > 2) return "unknown fusion";
    if (static_cast<unsigned>(o.weighting) > 2) return "unknown weighting";
    if (o.passes < 1 || o.passes > 100) return "passes must be 1 to 100";
    if (!o.bin_edges.empty() && (o.correction != correction_kind::ratio || o.fusion == fusion_kind::sequential)) {
        return "score bins need the ratio form and geometric or product fusion";
    }
    if (!o.cardinalities.empty() && o.cardinalities.size() != fields) return "one cardinality per field is needed";
    if (o.weighting == weighting_kind::given) {
        if (o.field_weights.size() != fields) return "one weight per field is needed";
        for (const double w : o.field_weights) {
            if (!(w >= 0 && w <= 1e6)) return "field weights must be in [0, 1e6]";
        }
    }
    return nullptr;
}

// Relative calibration error of a field: (1 / N) sum_v n_v |K_v - P_v| / (K_v + 0.01 n_v); 0 without rows.
inline double field_relative_error(const field_stats& stats, std::size_t field) {
    double sum = 0;
    for (std::size_t v = 0; v < stats.values(field); ++v) {
        const field_cell c = stats.value(field, v);
        if (c.n > 0) sum += c.n * std::fabs(c.observed - c.predicted) / (c.observed + 0.01 * c.n);
    }
    const double n = stats.total(field).n;
    return n > 0 ? sum / n : 0.0;
}

// One Newton step for d in mean sigmoid(z + d) = target, on the logits of both sides: exact for equal z, and never far
// off otherwise. `mean` and `slope` are those of sigmoid(z + d) and its derivative.
RECKON_INLINE double logit_step(double target, double mean, double slope) noexcept {
    return (math::logit(target) - math::logit(mean)) * (mean * (1 - mean) / slope);
}

inline constexpr int logit_iterations = 5;
// Beyond this every probability is cut off anyway.
inline constexpr double shift_limit = 40;

// Sums of labels and of predictions that are shifted by b: what the final scalar is solved from.
struct shifted_sums {
    double shift;
    correction_kind correction;
    compensated_sum weight, predicted, observed, slope;

    template <class Batch>
    void absorb(const Batch& rows) {
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const double p = rows.score(i), y = rows.label(i), w = rows.weight(i);
            if (!(p >= 0 && p <= 1 && y >= 0 && y <= 1 && w >= 0 && std::isfinite(w))) continue;
            const double q = corrected(p, shift, correction);
            weight.absorb(w);
            predicted.absorb(w * q);
            observed.absorb(w * y);
            slope.absorb(w * q * (1 - q));
        }
    }
    void merge(const shifted_sums& other) {
        weight.merge(other.weight);
        predicted.merge(other.predicted);
        observed.merge(other.observed);
        slope.merge(other.slope);
    }
};

}  // namespace detail

inline confcalib::confcalib(correction_kind correction, std::vector<std::size_t> values, std::size_t bins)
    : correction_(correction), values_(std::move(values)), bins_(bins), weights_(values_.size(), 1.0) {
    slots_.reserve(values_.size());
    std::size_t first = 0;
    for (const std::size_t v : values_) {
        slots_.push_back({first, static_cast<std::uint32_t>(v)});
        first += (v + 1) * bins_;
    }
    corrections_.resize(first);
    if (bins_ > 1) knots_.resize(first);
}

namespace detail {

// The options with a kappa in place of NaN.
inline confidence_options with_prior_of(confidence_options options, const field_stats& stats, std::size_t field) {
    if (!std::isnan(options.kappa)) return options;
    if (options.intensity == intensity_kind::empirical_bayes) options.kappa = empirical_bayes_kappa(stats, field);
    if (options.intensity == intensity_kind::beta_binomial) options.kappa = beta_binomial_weight(stats, field);
    return options;
}

}  // namespace detail

inline void confcalib::learn_ratios(const field_stats& stats, std::size_t stats_field, std::size_t field,
                                    const confidence_options& options) {
    const auto cells = stats.cells(stats_field);
    const auto& edges = stats.options().bin_edges;
    const confidence_options own = detail::with_prior_of(options, stats, stats_field);
    double* const out = corrections_.data() + slots_[field].first;
    for (std::size_t v = 0; v < values_[field]; ++v) {
        const double of_value = confidence_log_ratio(stats.value(stats_field, v), own);
        for (std::size_t b = 0; b < bins_; ++b) {
            const std::size_t c = v * bins_ + b;
            out[c] += bins_ == 1 ? of_value : confidence_log_ratio(cells[c], own, of_value);
            if (bins_ == 1) continue;
            const double low = b == 0 ? 0.0 : edges[b - 1], high = b + 1 == bins_ ? 1.0 : edges[b];
            knots_[slots_[field].first + c] = cells[c].n > 0 ? cells[c].predicted / cells[c].n : 0.5 * (low + high);
        }
    }
}

// d of every value of a field: Newton steps over all rows at once, one accumulator per value.
template <class Rows>
void confcalib::learn_shifts(const Rows& rows, const std::int32_t* ids, const std::vector<double>& z, std::size_t field,
                             const field_stats& stats, std::size_t stats_field, const confidence_options& options) {
    struct sums {
        double target = 0, shift = 0, mean = 0, slope = 0;
    };
    const confidence_options own = detail::with_prior_of(options, stats, stats_field);
    const auto values = static_cast<std::uint32_t>(values_[field]);
    std::vector<sums> of(values + std::size_t{1});
    for (std::size_t v = 0; v < values; ++v) {
        const field_cell cell = stats.value(stats_field, v);
        if (cell.n > 0) {
            of[v].target = detail::inner_mean(detail::inner_mean(cell.predicted / cell.n) *
                                              std::exp(confidence_log_ratio(cell, own)));
        }
    }
    for (int iteration = 0; iteration < detail::logit_iterations; ++iteration) {
        for (sums& s : of) s.mean = s.slope = 0;
        for (std::size_t i = 0; i < rows.size(); ++i) {
            if (std::isnan(z[i])) continue;
            sums& s = of[detail::slot_of(ids[i], values)];
            const double q = math::sigmoid(z[i] + s.shift), w = rows.weight(i);
            s.mean += w * q;
            s.slope += w * q * (1 - q);
        }
        for (std::size_t v = 0; v < values; ++v) {
            const double n = stats.value(stats_field, v).n;
            if (!(n > 0)) continue;
            const double next = of[v].shift + detail::logit_step(of[v].target, of[v].mean / n, of[v].slope / n);
            of[v].shift = next > detail::shift_limit    ? detail::shift_limit
                          : next < -detail::shift_limit ? -detail::shift_limit
                                                        : next;
        }
    }
    double* const out = corrections_.data() + slots_[field].first;
    for (std::size_t v = 0; v < values; ++v) out[v] += of[v].shift;
}

inline void confcalib::weigh_fields(const field_stats& stats, const confcalib_options& options) {
    if (options.fusion != fusion_kind::geometric) return;  // all 1
    if (options.weighting == weighting_kind::given) {
        weights_ = options.field_weights;
        return;
    }
    double sum = 0;
    for (std::size_t f = 0; f < fields(); ++f) {
        weights_[f] = options.weighting == weighting_kind::rce ? detail::field_relative_error(stats, f) : 1.0;
        sum += weights_[f];
    }
    for (double& w : weights_) w = sum > 0 ? w / sum : 1.0 / static_cast<double>(fields());
}

inline void confcalib::build_tables() {
    table_.resize(corrections_.size());
    for (std::size_t f = 0; f < fields(); ++f) {
        for (std::size_t c = slots_[f].first; c < slots_[f].first + slot_count(f); ++c) {
            table_[c] = static_cast<float>(weights_[f] * corrections_[c]);
        }
    }
    knot_table_.assign(knots_.begin(), knots_.end());
}

template <exec::policy Policy, class Rows>
void confcalib::rescale_on(const Policy& where, const Rows& rows, const matrix_view<const std::int32_t>& ids) {
    rescale_ = true;
    shift_ = 0;
    std::vector<double> fused(rows.size());
    for (std::size_t i = 0; i < fused.size(); ++i) {
        const double p = rows.score(i);
        // A score that is no probability must not become one by being cut off.
        fused[i] = p >= 0 && p <= 1 ? p : std::numeric_limits<double>::quiet_NaN();
    }
    apply(where, fused, ids, fused);
    const auto batch = make_scored("confcalib", fused, rows.labels, rows.weights);
    // In ratio form one step is exact unless predictions are cut off.
    for (int iteration = 0; iteration < 30; ++iteration) {
        const auto sums = exec::fold_parts(where, detail::shifted_sums{shift_, correction_, {}, {}, {}, {}}, batch);
        const double n = sums.weight.value(), y = sums.observed.value(), p = sums.predicted.value();
        if (!(y > 0 && y < n)) {
            shift_ = 0;
            return;
        }
        const double step = correction_ == correction_kind::ratio
                                ? std::log(y / p)
                                : detail::logit_step(y / n, p / n, sums.slope.value() / n);
        shift_ += step;
        shift_ = shift_ > detail::shift_limit    ? detail::shift_limit
                 : shift_ < -detail::shift_limit ? -detail::shift_limit
                                                 : shift_;
        if (std::fabs(step) < 1e-13) return;
    }
}

template <exec::policy Policy, vector_like P, vector_like Y, class Ids, class W>
confcalib confcalib::fit(const Policy& where, const P& scores, const Y& labels, const Ids& ids, const W& weights,
                         const confcalib_options& options) {
    const auto batch = make_fielded("confcalib::fit", scores, labels, ids, weights);
    const auto& rows = batch.rows;
    const std::size_t n = rows.size(), fields = batch.ids.rows();
    const char* const wrong = detail::complaint(options, fields);
    expects(wrong == nullptr, "confcalib::fit", wrong == nullptr ? "" : wrong);

    std::vector<std::size_t> values = options.cardinalities;
    if (values.empty()) {
        for (std::size_t f = 0; f < fields; ++f) {
            std::int32_t largest = -1;
            for (const std::int32_t id : batch.ids.row(f)) largest = id > largest ? id : largest;
            values.push_back(static_cast<std::size_t>(largest + std::int64_t{1}));
        }
    }
    field_stats stats(values, {.bin_edges = options.bin_edges});
    confcalib model(options.correction, values, stats.bins());

    // Current predictions; NaN where a row must not count, which field_stats then skips whatever happens to it.
    std::vector<double> current(n), z;
    for (std::size_t i = 0; i < n; ++i) {
        const double p = rows.score(i), y = rows.label(i), w = rows.weight(i);
        const bool ok = p >= 0 && p <= 1 && y >= 0 && y <= 1 && w >= 0 && std::isfinite(w);
        current[i] = ok ? p : std::numeric_limits<double>::quiet_NaN();
        model.seen_.absorb(ok);
    }
    if (options.correction == correction_kind::logit) {
        z.resize(n);
        for (std::size_t i = 0; i < n; ++i)
            z[i] = math::logit(std::isnan(current[i]) ? current[i] : detail::inner_mean(current[i]));
    }
    const auto now = make_fielded("confcalib::fit", current, rows.labels, batch.ids, rows.weights);
    const auto learn = [&](const field_stats& from, std::size_t from_field, std::size_t f) {
        if (options.correction == correction_kind::logit) {
            model.learn_shifts(now.rows, batch.ids.row(f).data(), z, f, from, from_field, options.confidence);
        } else {
            model.learn_ratios(from, from_field, f, options.confidence);
        }
    };
    if (options.fusion == fusion_kind::sequential) {
        for (int pass = 0; pass < options.passes; ++pass) {
            for (std::size_t f = 0; f < fields; ++f) {
                field_stats one({values[f]});
                one.absorb(make_fielded("confcalib::fit", current, rows.labels, batch.ids.slice(f, 1), rows.weights));
                const std::vector<double> before = pass == 0 ? std::vector<double>() : model.corrections_;
                learn(one, 0, f);
                // Only what this step added moves the current predictions.
                const std::size_t first = model.slots_[f].first;
                for (std::size_t i = 0; i < n; ++i) {
                    const std::size_t slot = first + detail::slot_of(batch.ids(f, i), model.slots_[f].values);
                    const double d = model.corrections_[slot] - (before.empty() ? 0.0 : before[slot]);
                    if (z.empty()) {
                        current[i] = detail::corrected(current[i], d, correction_kind::ratio);
                    } else {
                        z[i] += d;
                        current[i] = math::sigmoid(z[i]);
                    }
                }
            }
        }
    } else {
        stats.absorb(where, now);
        model.weigh_fields(stats, options);
        exec::for_each_index(where, fields, [&](std::size_t f) { learn(stats, f, f); });
    }
    model.build_tables();
    if (options.rescale) model.rescale_on(where, rows, batch.ids);
    return model;
}

inline confcalib confcalib::fit(const field_stats& stats, const confcalib_options& options) {
    const char* const wrong = detail::complaint(options, stats.fields());
    expects(wrong == nullptr, "confcalib::fit", wrong == nullptr ? "" : wrong);
    expects(options.correction == correction_kind::ratio && options.fusion != fusion_kind::sequential, "confcalib::fit",
            "sums suffice for the ratio form with geometric or product fusion; other forms need rows");
    expects(options.bin_edges.empty() || options.bin_edges == stats.options().bin_edges, "confcalib::fit",
            "the score bins are not those of the sums");
    expects(options.cardinalities.empty() || options.cardinalities == stats.cardinalities(), "confcalib::fit",
            "the cardinalities are not those of the sums");
    confcalib model(options.correction, stats.cardinalities(), stats.bins());
    model.seen_ = {stats.accepted(), stats.rejected()};
    model.weigh_fields(stats, options);
    for (std::size_t f = 0; f < stats.fields(); ++f) model.learn_ratios(stats, f, f, options.confidence);
    model.build_tables();
    return model;
}

template <exec::policy Policy, vector_like P, class Ids, class Out, class Isa>
    requires vector_like<std::remove_reference_t<Out>>
void confcalib::apply(const Policy& where, const P& scores, const Ids& ids, Out&& out) const {
    const auto p = input(scores);
    const auto to = view(out);
    const matrix_view<const std::int32_t> id_rows = input(ids);
    using T = typename decltype(p)::value_type;
    static_assert(std::is_same_v<T, typename decltype(to)::element_type>,
                  "reckon: scores and out must have the same type, float or double");
    expects(to.size() == p.size(), "confcalib::apply", p.size(), " scores but room for ", to.size());
    expects(id_rows.rows() == fields(), "confcalib::apply", "ids for ", id_rows.rows(), " fields, the calibrator has ",
            fields());
    expects(id_rows.cols() == p.size(), "confcalib::apply", p.size(), " scores but ids for ", id_rows.cols(), " rows");
    exec::map_parts(where, p.size(), [&](std::size_t first, std::size_t count) {
        correct<Isa>(p.data() + first, to.data() + first, count, id_rows.data() + first, id_rows.stride());
    });
}

template <class Ids>
std::vector<std::uint64_t> confcalib::count_unseen(const Ids& ids) const {
    const matrix_view<const std::int32_t> id_rows = input(ids);
    expects(id_rows.rows() == fields(), "confcalib::count_unseen", "ids for ", id_rows.rows(),
            " fields, the calibrator has ", fields());
    std::vector<std::uint64_t> unseen(fields());
    for (std::size_t f = 0; f < fields(); ++f) {
        for (const std::int32_t id : id_rows.row(f)) unseen[f] += static_cast<std::uint32_t>(id) >= slots_[f].values;
    }
    return unseen;
}

template <exec::policy Policy, vector_like P, vector_like Y, class Ids, class W>
confcalib confcalib::with_learned_weights(const Policy& where, const P& scores, const Y& labels, const Ids& ids,
                                          const W& weights) const {
    const auto batch = make_fielded("confcalib::with_learned_weights", scores, labels, ids, weights);
    expects(batch.ids.rows() == fields(), "confcalib::with_learned_weights", "ids for ", batch.ids.rows(),
            " fields, the calibrator has ", fields());
    confcalib model = *this;
    model.weights_.assign(fields(), 1.0);
    model.build_tables();
    const detail::field_tables all = model.tables();
    std::vector<double> x(fields() * batch.size());
    for (std::size_t f = 0; f < fields(); ++f) {
        for (std::size_t i = 0; i < batch.size(); ++i) {
            const std::int32_t id = batch.ids(f, i);
            x[f * batch.size() + i] =
                bins_ == 1 ? static_cast<double>(model.table_[slots_[f].first + detail::slot_of(id, slots_[f].values)])
                           : detail::interpolate(all, slots_[f], id, batch.rows.score(i));
        }
    }
    const matrix_view<const double> corrections(x.data(), fields(), batch.size());
    model.weights_ = fit_field_weights(where, batch.rows.scores, batch.rows.labels, corrections, batch.rows.weights);
    model.build_tables();
    if (rescale_) model.rescale_on(where, batch.rows, batch.ids);
    return model;
}

template <exec::policy Policy, vector_like P, vector_like Y, class Ids, class W>
confcalib confcalib::rescaled(const Policy& where, const P& scores, const Y& labels, const Ids& ids,
                              const W& weights) const {
    const auto batch = make_fielded("confcalib::rescaled", scores, labels, ids, weights);
    confcalib model = *this;
    model.rescale_on(where, batch.rows, batch.ids);
    return model;
}

inline void confcalib::write(byte_writer& out) const {
    out.put(static_cast<std::uint8_t>(correction_));
    out.put(static_cast<std::uint8_t>(rescale_ ? 1 : 0));
    out.put(seen_.accepted);
    out.put(seen_.rejected);
    out.put(shift_);
    out.put(static_cast<std::uint64_t>(bins_));
    out.put_array(std::vector<std::uint64_t>(values_.begin(), values_.end()));
    out.put_array(weights_);
    out.put_array(corrections_);
    out.put_array(knots_);
}

inline confcalib confcalib::read(byte_reader& in) {
    constexpr const char* name = "confcalib";
    const auto correction = in.get<std::uint8_t>();
    const auto rescale = in.get<std::uint8_t>();
    expects_bytes(correction <= 1 && rescale <= 1, name, "unknown form ", correction, ", ", rescale);
    counts seen;
    seen.accepted = in.get<std::uint64_t>();
    seen.rejected = in.get<std::uint64_t>();
    const auto shift = in.get<double>();
    expects_bytes(std::fabs(shift) <= detail::shift_limit, name, "a final shift of ", shift);
    const auto bins = in.get<std::uint64_t>();
    expects_bytes(bins >= 1 && bins <= field_stats::max_bins, name, bins, " score bins");
    const auto values = in.get_array<std::uint64_t>();
    std::size_t cells = 0;
    for (const std::uint64_t v : values) {
        expects_bytes(v < field_stats::max_cells && (v + 1) * bins <= field_stats::max_cells - cells, name,
                      "more than 2^26 corrections");
        cells += static_cast<std::size_t>((v + 1) * bins);
    }
    // Before anything of the derived size is allocated.
    expects_bytes(cells <= in.left() / sizeof(double), name, cells, " corrections do not fit in ", in.left(), " bytes");
    confcalib model(static_cast<correction_kind>(correction), {values.begin(), values.end()},
                    static_cast<std::size_t>(bins));
    model.rescale_ = rescale == 1;
    model.seen_ = seen;
    model.shift_ = shift;
    model.weights_ = in.get_array<double>(values.size());
    model.corrections_ = in.get_array<double>(cells);
    model.knots_ = in.get_array<double>(cells);
    expects_bytes(model.weights_.size() == values.size() && model.corrections_.size() == cells &&
                      model.knots_.size() == (bins > 1 ? cells : 0),
                  name, "the tables do not have the sizes of the fields");
    for (const double w : model.weights_) expects_bytes(w >= 0 && w <= 1e6, name, "a field weight of ", w);
    for (const double d : model.corrections_) expects_bytes(std::fabs(d) <= 1e5, name, "a correction of ", d);
    for (std::size_t f = 0; f < model.fields(); ++f) {
        const std::size_t first = model.slots_[f].first, end = first + model.slot_count(f);
        for (std::size_t c = end - model.bins_; c < end; ++c) {
            expects_bytes(model.corrections_[c] == 0, name, "a correction of unseen ids is not 0");
        }
        for (std::size_t c = first; bins > 1 && c < end; ++c) {
            const double x = model.knots_[c];
            const bool starts = (c - first) % model.bins_ == 0;
            expects_bytes(x >= 0 && x <= 1 && (starts || x >= model.knots_[c - 1]), name,
                          "mean scores of bins do not ascend");
        }
    }
    model.build_tables();
    return model;
}

}  // namespace reckon
