// Trains a two-tower retriever on who liked what, by an in-batch softmax, and counts how many of the later likes it
// finds in the whole catalogue, against popularity and BPR: each by itself, and with how popular an item has been of
// late.
//
//   two_tower                    simulated likes with known truth, then views of a short-video app if they are there
//   two_tower --views FILE       a table with user_id, video_id, time_ms and a column that is 1 for a like
//   two_tower --tune             the settings that were tried, on a part of the log before the test
//   two_tower --check            the claims that the documentation makes

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <iostream>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/args.hpp"
#include "support/charts.hpp"
#include "support/datasets.hpp"
#include "support/table.hpp"
#include "two_tower/claims.hpp"
#include "two_tower/pictures.hpp"
#include "two_tower/study.hpp"
#include "two_tower/world.hpp"

using namespace reckon_examples;

namespace {

struct settings {
    study_options study;
    std::vector<model_spec> models = compared_models();
    std::string views, positive, out;
    bool tune = false, check = false, markdown = false, help = false;
};

settings read_settings(args& options) {
    settings s;
    const auto count = [&](const char* name, std::size_t fallback, std::int64_t most, const char* about) {
        const std::int64_t value = options.integer(name, static_cast<std::int64_t>(fallback), about);
        if (value < 1 || value > most)
            throw std::invalid_argument("--" + std::string(name) + " must lie in 1 .. " + std::to_string(most));
        return static_cast<std::size_t>(value);
    };
    const tower_options towers;
    const std::size_t width = count("width", towers.width, 4096, "of the embeddings, all models");
    const std::size_t batch = count("batch", towers.batch, 1 << 20, "likes in a training step");
    const std::size_t epochs = count("epochs", towers.epochs, 1000, "of the towers");
    const double temperature = options.number("temperature", towers.temperature, "of the softmax");
    if (!(temperature > 0)) throw std::invalid_argument("--temperature must be positive");
    for (model_spec& m : s.models) {
        m.towers.width = m.bpr.width = width;
        m.towers.batch = m.bpr.batch = batch;
        m.towers.epochs = epochs;
        m.towers.temperature = temperature;
    }
    s.study.half_life = options.number("half-life", s.study.half_life, "of the recent popularity, in days");
    if (!(s.study.half_life > 0)) throw std::invalid_argument("--half-life must be positive");
    s.study.seeds = count("seeds", s.study.seeds, 1000, "runs of each model to average over");
    s.study.first_seed = static_cast<std::uint64_t>(options.integer("seed", 1, "of the first run"));
    s.views = options.text("views", "", "table of real views; none: KuaiRand below the data folder");
    s.positive = options.text("positive", "label", "column that is 1 for a like; any: every view counts as one");
    s.out = options.text("out", ".", "folder for the pictures");
    s.tune = options.flag("tune", "compares settings on a part of the log before the test");
    s.markdown = options.flag("markdown", "prints the tables in Markdown");
    s.check = options.flag("check", "checks the documented claims; exit code 1 if one fails");
    s.help = options.finish(std::cout);
    if (s.check) {  // the claims do not need the last bit of training
        s.study.seeds = 1;
        for (model_spec& m : s.models) {
            m.bpr.epochs = (std::min)(m.bpr.epochs, std::size_t{12});
            m.towers.epochs = (std::min)(m.towers.epochs, std::size_t{6});
        }
    }
    return s;
}

void print_task(const char* data, const retrieval_task& task) {
    std::cout << data << ": " << task.likes() << " likes of " << task.items() << " items by " << task.users()
              << " users train. Of " << task.later_likes << " later ones, " << task.wanted.size()
              << " are to be found, those of " << task.test_users.size()
              << " users:\nuser and item are known from training, and the user had not seen the item.\n\n";
}

std::string interval_text(const reckon::bootstrap_estimate& e, const char* format) {
    char text[80];
    std::snprintf(text, sizeof text, format, e.value, e.lower, e.upper);
    return text;
}

void print_figures(const std::vector<model_figures>& models, bool markdown) {
    table figures({{"model", 0, best::none},
                   {"recall@10", 4, best::high},
                   {"recall@50", 4, best::high},
                   {"recall@100", 4, best::high},
                   {"nDCG@100", 4, best::high},
                   {"gain of recall@100", 0, best::none},
                   {"shown", 2, best::none}});
    for (std::size_t m = 0; m < models.size(); ++m) {
        const model_figures& one = models[m];
        std::vector<table::cell> cells{one.name};
        for (const reckon::bootstrap_estimate& e : one.values) cells.emplace_back(e.value);
        cells.emplace_back(m == at_popularity ? "" : interval_text(one.gain, "%+.4f (%+.4f to %+.4f)"));
        cells.emplace_back(one.shown);
        figures.add_row(std::move(cells), m < model_count);
    }
    figures.write(std::cout, markdown);
    std::cout << '\n';
}

void print_study(const retrieval_study& study, const settings& s) {
    std::cout
        << "Each model alone, means over " << s.study.seeds
        << " runs; gain over popularity with its 95 % interval over users; the share of the catalogue in somebody's "
           "top 50:\n\n";
    print_figures(study.alone, s.markdown);
    std::cout << "The same with the log of the popularity of late, half-life " << svg::number(24 * s.study.half_life)
              << " hours, added; the first row is that alone:\n\n";
    print_figures(study.timely, s.markdown);
}

void print_tuning(const std::vector<tried_figures>& tried, const settings& s) {
    std::cout
        << "Recall@100 on the tenth of the log before the test, one run each; then with the recent popularity, the "
           "model's score times a weight:\n\n";
    std::vector<table_column> columns{{"settings", 0, best::none}, {"alone", 4, best::high}};
    for (const double w : tried_weights) columns.push_back({"weight " + svg::number(w), 4, best::high});
    table figures(columns);
    for (const tried_figures& one : tried) {
        std::vector<table::cell> cells{one.name, one.alone};
        cells.insert(cells.end(), one.timely.begin(), one.timely.end());
        figures.add_row(std::move(cells));
    }
    figures.write(std::cout, s.markdown);
    std::cout << '\n';
}

// False when there is no file.
bool load_likes(const settings& s, like_log& log) {
    if (!s.views.empty()) {
        log = read_likes(s.views, {}, s.positive);
        return true;
    }
    const found_dataset found = find_dataset("kuairand");
    std::cout << (found.found() ? "Real views: " : "No real views: ") << found.message << ".\n\n";
    if (!found.found()) return false;
    log = read_likes(found.path, found.csv, s.positive);
    return true;
}

int run(const settings& s, const host& where) {
    like_log log;
    const bool real = load_likes(s, log);
    const retrieval_tasks tasks = real ? split_by_time(log) : retrieval_tasks{};
    if (s.tune) {
        if (real) print_tuning(tune_models(where, tasks.tuning, s.study), s);
        return 0;
    }
    const like_world world({.seed = s.study.first_seed});
    const retrieval_task simulated = split_by_time(world.log()).final;
    const score_rows truth = [&](std::size_t user, std::span<float> scores) {
        for (std::size_t i = 0; i < scores.size(); ++i) {
            scores[i] = static_cast<float>(world.odds(simulated.user_ids[user], simulated.item_ids[i], simulated.end));
        }
    };
    print_task("Simulated likes", simulated);
    const retrieval_study known = study_models(where, simulated, s.models, s.study, "simulated likes", truth);
    print_study(known, s);
    retrieval_study found;
    if (real) {
        print_task("Real views", tasks.final);
        found = study_models(where, tasks.final, s.models, s.study, "real views");
        print_study(found, s);
    }
    if (s.check) {
        claim_list list(std::cout);
        claim_steps(list, where, simulated);
        claim_models(list, "Simulated likes", known);
        if (real) claim_models(list, "Real views", found);
        return list.finish();
    }
    const retrieval_study& shown = real ? found : known;
    save_picture(std::cout, s.out, "two_tower_loss.svg", loss_picture(shown, s.models), "the loss in training");
    save_picture(std::cout, s.out, "two_tower_recall.svg",
                 recall_picture(shown, real ? "Later likes of a short-video app that are found"
                                            : "Simulated likes that are found"),
                 "what the models find");
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        args options(
            argc, argv,
            "Trains two towers, one for users and one for items, so that a user's vector finds the items that the\n"
            "user will like, and compares them with popularity and BPR.");
        const settings s = read_settings(options);
        if (s.help) return 0;
        reckon::exec::pool threads;
        return run(s, host(threads));
    } catch (const std::exception& error) {
        std::cerr << "two_tower: " << error.what() << '\n';
        return 2;
    }
}
