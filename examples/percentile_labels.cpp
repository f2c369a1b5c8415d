// Trains one small recommender on raw watch time, on its logarithm, on percentiles among the user's own views (RAD) and on
// contrasts with a reservoir of them (PEARL), and compares how well each orders what the user sees next.
//
//   percentile_labels                 simulated feedback with known truth, then views of a short-video app if they are there
//   percentile_labels --seeds 3       the same with fewer runs
//   percentile_labels --views FILE    a table with user_id, video_id, time_ms, play_time_ms and duration_ms
//   percentile_labels --check         the claims that the documentation makes

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "percentile_labels/claims.hpp"
#include "percentile_labels/pictures.hpp"
#include "percentile_labels/study.hpp"
#include "percentile_labels/views.hpp"
#include "support/args.hpp"
#include "support/charts.hpp"
#include "support/datasets.hpp"
#include "support/table.hpp"

using namespace reckon_examples;

namespace {

struct settings {
    study_options study;
    std::size_t model_seeds = 5;
    std::string views, out;
    bool check = false, markdown = false, help = false;
};

settings read_settings(args& options) {
    settings s;
    const auto count = [&](const char* name, std::size_t fallback, std::int64_t least, std::int64_t most,
                           const char* about) {
        const std::int64_t value = options.integer(name, static_cast<std::int64_t>(fallback), about);
        if (value < least || value > most)
            throw std::invalid_argument("--" + std::string(name) + " must lie in " + std::to_string(least) + " .. " +
                                        std::to_string(most));
        return static_cast<std::size_t>(value);
    };
    s.study.seeds = count("seeds", s.study.seeds, 1, 1000, "simulations to average over");
    s.study.mild_seeds = s.study.sparse_seeds = s.study.seeds;
    s.study.users = count("users", s.study.users, 20, 100'000, "of a simulation");
    s.study.epochs = count("epochs", s.study.epochs, 1, 1000, "of training");
    s.study.first_seed = static_cast<std::uint64_t>(options.integer("seed", 1, "of the first simulation"));
    s.model_seeds = count("model-seeds", s.model_seeds, 1, 1000, "models to average over on real views");
    s.views = options.text("views", "", "table of real views; none: KuaiRand below the data folder");
    s.out = options.text("out", ".", "folder for the pictures");
    s.markdown = options.flag("markdown", "prints the tables in Markdown");
    s.check = options.flag("check", "checks the documented claims; exit code 1 if one fails");
    s.help = options.finish(std::cout);
    if (s.check) {  // what is exact holds in every run, and needs few
        s.study.mild_seeds = s.study.sparse_seeds = (std::min)(s.study.seeds, std::size_t{2});
        s.study.sparse_models = false;
    }
    return s;
}

void print_curvature(const curvature_study& study, const settings& s) {
    std::cout << "Simulated feedback y = s exp(k t), UAUC on test views, means over " << s.study.seeds << " runs of "
              << s.study.users << " users. Scale s and curvature k grow with activity; on the right k is mild.\n\n";
    table figures({{"trained on", 0, best::none},
                   {"UAUC", 4, best::high},
                   {"less active half", 4, best::high},
                   {"UAUC, mild k", 4, best::high},
                   {"less active half", 4, best::high},
                   {"same scores", 0, best::none}});
    for (std::size_t label = 0; label < label_count; ++label) {
        const ranking &strong = study.strong[label], &mild = study.mild[label];
        const std::string same =
            label == at_oracle ? "" : std::to_string(study.same[label]) + " of " + std::to_string(s.study.mild_seeds);
        figures.add_row({label_names[label], strong.all, strong.low, mild.all, mild.low, same}, label != at_oracle);
    }
    figures.write(std::cout, s.markdown);
    std::cout << '\n';
}

void print_sparse(const sparse_study& study, const settings& s) {
    std::cout << "The same with " << svg::number(std::round(1000 * study.zeros) / 10)
              << " % zeros: labels by contrast with all other views of the user, a base model breaks ties.\n\n";
    table figures({{"ties", 0, best::none},
                   {"mean", 4, best::none},
                   {"by formula", 4, best::none},
                   {"variance", 4, best::none},
                   {"KS to uniform", 4, best::low},
                   {"UAUC", 4, best::high},
                   {"less active half", 4, best::high}});
    for (std::size_t m = 0; m < mode_count; ++m) {
        const label_shape& shape = study.labels[m];
        const ranking r =
            m == at_warm || !s.study.sparse_models ? ranking{std::nan(""), std::nan("")} : study.rankings[m];
        figures.add_row({mode_names[m], shape.mean, m == at_strict ? (1 - study.ties) / 2 : 0.5, shape.variance,
                         shape.distance, r.all, r.low});
    }
    figures.write(std::cout, s.markdown);
    std::cout << '\n';
}

void print_deciles(const char* sorted, const std::vector<user_decile>& deciles, const settings& s) {
    std::cout << "Tenths of the users, " << sorted << ": seconds watched, and percentile labels.\n\n";
    table figures({{"tenth", 0, best::none},
                   {"users", 0, best::none},
                   {"views", 0, best::none},
                   {"mean s", 1, best::none},
                   {"median s", 1, best::none},
                   {"share of all s", 3, best::none},
                   {"mean label", 3, best::none},
                   {"deviation", 3, best::none},
                   {"KS to uniform", 3, best::none}});
    for (std::size_t d = 0; d < deciles.size(); ++d) {
        const user_decile& one = deciles[d];
        figures.add_row({static_cast<double>(d + 1), static_cast<double>(one.users), static_cast<double>(one.views),
                         one.seconds, one.before[2], one.share, one.labels.mean, std::sqrt(one.labels.variance),
                         one.labels.distance});
    }
    figures.write(std::cout, s.markdown);
    std::cout << '\n';
}

std::string interval_text(double value, double lower, double upper, const char* format) {
    char text[80];
    std::snprintf(text, sizeof text, format, value, lower, upper);
    return text;
}

void print_real(const std::array<real_figures, real_count>& figures, const time_split_log& log, const settings& s) {
    std::cout << "The last fifth of every user's views, ordered by models that were trained on the rest: "
              << log.train.size() << " and " << log.test.size() << " views, " << log.items << " items; means over "
              << s.model_seeds << " models.\n"
              << svg::number(std::round(100 * log.known)) << " % of the test views show a video with at least "
              << time_split_log::least_views << " training views; the others are known by their duration only.\n\n";
    table rows({{"trained on", 0, best::none},
                {"UAUC", 4, best::high},
                {"95 % interval", 0, best::none},
                {"over MSE raw, with interval", 0, best::none},
                {"XAUC", 4, best::high},
                {"nDCG@10", 4, best::high}});
    for (std::size_t label = 0; label < real_count; ++label) {
        const real_figures& f = figures[label];
        rows.add_row(
            {real_names[label], f.uauc.value, interval_text(f.uauc.lower, f.uauc.upper, 0, "%.4f to %.4f"),
             label == real_raw ? "" : interval_text(f.gain.value, f.gain.lower, f.gain.upper, "%+.4f (%+.4f to %+.4f)"),
             f.xauc, f.ndcg},
            label < real_mean_seconds);
    }
    rows.write(std::cout, s.markdown);
    std::cout << '\n';
}

// False when there is no file.
bool load_views(const settings& s, real_views& views, std::string& title) {
    if (!s.views.empty()) {
        views = read_views(s.views, {});
        title = s.views;
        return true;
    }
    const found_dataset found = find_dataset("kuairand");
    std::cout << (found.found() ? "Real views: " : "No real views: ") << found.message << ".\n\n";
    if (!found.found()) return false;
    views = read_views(found.path, found.csv);
    title = "Views of a short-video app (KuaiRand)";
    return true;
}

int run(const settings& s, const host& where) {
    const curvature_study curvature = study_curvature(where, s.study);
    print_curvature(curvature, s);
    std::vector<sparse_study> sparse;
    for (const double zeros : {0.8, 0.95}) {
        sparse.push_back(study_sparse(where, zeros, s.study));
        print_sparse(sparse.back(), s);
    }
    real_views views;
    std::string title;
    const bool real = load_views(s, views, title);
    std::vector<user_decile> by_views, by_seconds;
    if (real) {
        const std::vector<float> labels = contrast_labels_of(views.log, 64);
        const user_habits habits = habits_of(views);
        by_views = deciles_by(views, habits.views, labels);
        by_seconds = deciles_by(views, habits.seconds, labels);
        print_deciles("by number of views", by_views, s);
        print_deciles("by mean seconds of a view", by_seconds, s);
    }
    if (s.check) {
        claim_list list(std::cout);
        claim_rankings(list, curvature, s.study.mild_seeds);
        for (const sparse_study& one : sparse) claim_sparse(list, one);
        claim_reversal(list);
        if (real) claim_deciles(list, by_views, by_seconds);
        return list.finish();
    }
    if (real) {
        const time_split_log log = split_by_time(views);
        print_real(evaluate_views(where, log, s.model_seeds, s.study.epochs, s.study.first_seed), log, s);
        save_picture(std::cout, s.out, "percentile_deciles.svg", decile_picture(title, by_views, by_seconds),
                     "views before and after");
    }
    save_picture(std::cout, s.out, "percentile_labels.svg", curvature_picture(curvature), "the kinds of label");
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        args options(argc, argv,
                     "Trains a small recommender on watch time and on percentiles of it among the user's own views,\n"
                     "on simulated feedback with known truth and on real views.");
        const settings s = read_settings(options);
        if (s.help) return 0;
        reckon::exec::pool threads;
        return run(s, host(threads));
    } catch (const std::exception& error) {
        std::cerr << "percentile_labels: " << error.what() << '\n';
        return 2;
    }
}
