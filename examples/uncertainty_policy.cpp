// Recommends with care to users who come rarely and with curiosity to those who come daily: estimates how uncertain the
// score of each candidate is, deboosts or boosts by it, and compares the estimates on a simulated platform with known truth.
//
//   uncertainty_policy                two settings, means over 4 seeds
//   uncertainty_policy --seeds 20     the same with less chance
//   uncertainty_policy --ridge 3      a recommender that is shrunk so much that it is careful by itself
//   uncertainty_policy --check        the claims that the documentation makes

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/args.hpp"
#include "support/charts.hpp"
#include "support/claims.hpp"
#include "support/table.hpp"
#include "uncertainty_policy/study.hpp"

using namespace reckon_examples;

namespace {

struct settings {
    study_options study;
    std::string out;
    bool check = false, markdown = false, help = false;
};

settings read_settings(args& options) {
    settings s;
    const std::int64_t seeds = options.integer("seeds", 4, "simulations to average over");
    const std::int64_t users = options.integer("users", 600, "half of them low-active");
    if (seeds < 1 || seeds > 10'000) throw std::invalid_argument("--seeds must lie in 1 .. 10000");
    if (users < 20 || users > 100'000) throw std::invalid_argument("--users must lie in 20 .. 100000");
    s.study.seeds = static_cast<std::size_t>(seeds);
    s.study.users = static_cast<std::size_t>(users);
    s.study.first_seed = static_cast<std::uint64_t>(options.integer("seed", 1, "of the first simulation"));
    s.study.ridge = options.number("ridge", s.study.ridge, "of the recommender; 3 is the negative control");
    s.study.deboost = options.number("deboost", s.study.deboost, "taken off risky candidates of low-active users");
    s.study.bonus = options.number("bonus", s.study.bonus, "times the rank, for high-active users");
    s.study.risk = options.number("risk", s.study.risk, "share of candidates that counts as risky");
    s.out = options.text("out", ".", "folder for the picture");
    s.markdown = options.flag("markdown", "prints the tables in Markdown");
    s.check = options.flag("check", "checks the documented claims; exit code 1 if one fails");
    s.help = options.finish(std::cout);
    return s;
}

void print_low(const study& s, bool markdown) {
    table figures({{"policy by", 0, best::none},
                   {"Spearman with error", 3, best::high},
                   {"bad items", 4, best::low},
                   {"over-prediction", 3, best::low},
                   {"mean value", 3, best::high}});
    for (std::size_t p = 0; p < policy_names.size(); ++p) {
        const outcome& o = s.low[p];
        figures.add_row({policy_names[p], o.spearman, o.bad_rate, o.over_prediction, o.value}, p != at_none);
    }
    figures.write(std::cout, markdown);
    std::cout << '\n';
}

void print_high(const study& s, bool markdown) {
    table figures({{"policy by", 0, best::none},
                   {"Spearman with error", 3, best::high},
                   {"categories", 2, best::high},
                   {"top-1 share", 3, best::low},
                   {"mean value", 3, best::high}});
    for (std::size_t p = 0; p < policy_names.size(); ++p) {
        const outcome& o = s.high[p];
        figures.add_row({policy_names[p], o.spearman, o.coverage, o.top_share, o.value}, p != at_none);
    }
    figures.write(std::cout, markdown);
    std::cout << '\n';
}

std::string picture(const study& a, const study& b) {
    std::vector<std::string> groups;
    bar_series in_a{"A: popular exposure", {}}, in_b{"B: narrow exposure", {}};
    for (std::size_t p = 1; p < policy_names.size(); ++p) {
        groups.push_back(policy_names[p]);
        in_a.values.push_back(100 * (a.low[p].bad_rate / a.low[at_none].bad_rate - 1));
        in_b.values.push_back(100 * (b.low[p].bad_rate / b.low[at_none].bad_rate - 1));
    }
    return bar_chart(groups, {in_a, in_b},
                     {.title = "Bad items in the lists of low-active users",
                      .subtitle = "change against no policy, by what uncertainty is estimated with",
                      .y_label = "%",
                      .width = 640,
                      .height = 320});
}

int check_claims(const study& a, const study& b) {
    claim_list list(std::cout);
    std::cout << "Joint ranks follow the true error as well as the better single signal, less 0.05; ensemble less; "
                 "chance not at all.\n";
    for (const study* s : {&a, &b}) {
        for (const auto* group : {&s->low, &s->high}) {
            const auto rho = [&](std::size_t p) { return (*group)[p].spearman; };
            list.check(rho(at_joint) >= (std::max)(rho(at_epe), rho(at_bayes)) - 0.05,
                       "joint %.3f, EPE %.3f, Bayes %.3f", rho(at_joint), rho(at_epe), rho(at_bayes));
            list.check(rho(at_joint) > rho(at_ensemble) && rho(at_ensemble) > rho(at_random),
                       "joint %.3f > ensemble %.3f > random %.3f", rho(at_joint), rho(at_ensemble), rho(at_random));
        }
    }
    std::cout
        << "\nDeboosting by the joint signal takes 10 % of the bad items from low-active users at less than 2 % of "
           "the value; at random it takes none.\n";
    for (const study* s : {&a, &b}) {
        const outcome &none = s->low[at_none], &random = s->low[at_random], &joint = s->low[at_joint];
        list.check(joint.bad_rate <= 0.9 * none.bad_rate, "bad items %.4f without, %.4f with: %.1f %%", none.bad_rate,
                   joint.bad_rate, 100 * (joint.bad_rate / none.bad_rate - 1));
        list.check(random.bad_rate >= none.bad_rate, "bad items %.4f without, %.4f at random", none.bad_rate,
                   random.bad_rate);
        list.check(joint.value >= 0.98 * none.value, "mean value %.3f without, %.3f with: %.1f %%", none.value,
                   joint.value, 100 * (joint.value / none.value - 1));
    }
    std::cout << "\nWhere exposure was narrow, the bonus shows high-active users more categories and less of the first "
                 "one.\n";
    {
        const outcome &none = b.high[at_none], &joint = b.high[at_joint];
        list.check(joint.coverage > none.coverage, "categories %.2f without, %.2f with", none.coverage, joint.coverage);
        list.check(joint.top_share < none.top_share, "top-1 share %.3f without, %.3f with", none.top_share,
                   joint.top_share);
    }
    std::printf("\nNot claimed for setting A, where no category was hidden: categories %.2f without, %.2f with.\n",
                a.high[at_none].coverage, a.high[at_joint].coverage);
    return list.failed();
}

}  // namespace

int main(int argc, char** argv) {
    try {
        args options(argc, argv,
                     "Deboosts uncertain candidates of low-active users and boosts those of high-active users,\n"
                     "on a simulated platform with known truth.");
        const settings s = read_settings(options);
        if (s.help) return 0;
        const study a = run_study(setting_a, s.study), b = run_study(setting_b, s.study);
        for (const auto& [where, result] : {std::pair{&setting_a, &a}, std::pair{&setting_b, &b}}) {
            std::cout << "Setting " << where->name << ": "
                      << (where->narrow ? "high-active users saw 90 % of four favourite categories"
                                        : "exposure by popularity")
                      << ", top " << where->places << " of " << where->candidates << ".\n\nLow-active users\n\n";
            print_low(*result, s.markdown);
            std::cout << "High-active users\n\n";
            print_high(*result, s.markdown);
        }
        if (s.check) return check_claims(a, b) == 0 ? 0 : 1;
        save_picture(std::cout, s.out, "uncertainty_policy.svg", picture(a, b), "the bad items");
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "uncertainty_policy: " << error.what() << '\n';
        return 2;
    }
}
