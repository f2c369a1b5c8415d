// Learns embeddings of images with the supervised contrastive loss and asks the nearest neighbours for the class:
// beside the values themselves and an encoder that was not trained.
//
//   fashion_supcon               Fashion-MNIST if it is there, otherwise clusters that are made up
//   fashion_supcon --made-up     the clusters in any case
//   fashion_supcon --check       the claims that the documentation makes

#include <Eigen/Core>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "fashion_supcon/encoder.hpp"
#include "fashion_supcon/images.hpp"
#include "reckon/exec/pool.hpp"
#include "support/args.hpp"
#include "support/charts.hpp"
#include "support/claims.hpp"
#include "support/table.hpp"

using namespace reckon_examples;

namespace {

struct settings {
    std::string data, out;
    std::size_t train = 20000, test = 2000, neighbours = 10;
    encoder_options encoder;
    bool made_up = false, check = false, markdown = false, help = false;
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
    s.data = options.text("data", "", "folder with the four files of Fashion-MNIST");
    s.train = count("train", s.train, 100, 60000, "images to learn from");
    s.test = count("test", s.test, 10, 10000, "images to classify");
    s.neighbours = count("neighbours", s.neighbours, 1, 100, "that vote");
    s.encoder.epochs = count("epochs", s.encoder.epochs, 1, 1000, "of training");
    s.encoder.batch = count("batch", s.encoder.batch, 2, 60000, "rows a step");
    s.encoder.temperature = options.number("temperature", s.encoder.temperature, "of the loss");
    s.encoder.seed = static_cast<std::uint64_t>(options.integer("seed", 1, "of weights and order"));
    s.out = options.text("out", ".", "folder for the picture");
    s.made_up = options.flag("made-up", "clusters that are made up instead of images");
    s.markdown = options.flag("markdown", "prints the table in Markdown");
    s.check = options.flag("check", "checks the documented claims; exit code 1 if one fails");
    s.help = options.finish(std::cout);
    return s;
}

row_matrix<float> matrix_of(const labelled_rows& rows) {
    return Eigen::Map<const row_matrix<float>>(rows.values.data(), static_cast<Eigen::Index>(rows.size()),
                                               static_cast<Eigen::Index>(rows.width));
}

struct outcome {
    double values = 0.0, untrained = 0.0;  // accuracy of the neighbours
    struct trained {
        double accuracy = 0.0, seconds = 0.0;
        std::vector<double> losses;
    } out, in;
};

outcome study(const reckon::exec::host<reckon::exec::pool>& where, const labelled_split& data, const settings& s) {
    const row_matrix<float> train = matrix_of(data.train), test = matrix_of(data.test);
    const auto accuracy = [&](const row_matrix<float>& from, const row_matrix<float>& to) {
        return neighbour_accuracy(from, data.train.labels, to, data.test.labels, s.neighbours);
    };
    outcome result;
    result.values = accuracy(train, test);
    const encoder untrained(train.cols(), s.encoder);
    result.untrained = accuracy(untrained.embed(train), untrained.embed(test));
    for (const bool inside : {false, true}) {
        encoder_options options = s.encoder;
        options.form = inside ? reckon::supcon_form::in : reckon::supcon_form::out;
        encoder model(train.cols(), options);
        outcome::trained& to = inside ? result.in : result.out;
        const auto start = std::chrono::steady_clock::now();
        to.losses = model.train(where, train, data.train.labels, inside ? "training, form in" : "training, form out");
        to.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        to.accuracy = accuracy(model.embed(train), model.embed(test));
    }
    return result;
}

void print(const outcome& result, const labelled_split& data, const settings& s) {
    std::cout << data.title << ": the " << s.neighbours << " nearest of " << data.train.size()
              << " training rows vote on the class of " << data.test.size() << " test rows.\n\n";
    table figures({{"neighbours among", 0, best::none},
                   {"numbers a row", 0, best::none},
                   {"accuracy", 4, best::high},
                   {"loss, first epoch", 3, best::none},
                   {"last", 3, best::none},
                   {"seconds", 1, best::none}});
    const auto none = std::nan("");
    const auto width = static_cast<double>(s.encoder.width);
    figures.add_row({"the values themselves", static_cast<double>(data.train.width), result.values, none, none, none});
    figures.add_row({"embeddings, not trained", width, result.untrained, none, none, none});
    for (const auto* one : {&result.out, &result.in}) {
        figures.add_row({one == &result.out ? "embeddings, form out" : "embeddings, form in", width, one->accuracy,
                         one->losses.front(), one->losses.back(), one->seconds});
    }
    figures.write(std::cout, s.markdown);
    std::cout << '\n';
}

void claim_outcome(claim_list& list, const outcome& result, const labelled_split& data, double gain) {
    list.section("Neighbours among trained embeddings know the class better: " + data.title + ".");
    for (const auto* one : {&result.out, &result.in}) {
        const char* form = one == &result.out ? "out" : "in";
        list.check(one->accuracy > result.values + gain && one->accuracy > result.untrained + gain,
                   "form %s: %.4f, the values themselves %.4f, not trained %.4f", form, one->accuracy, result.values,
                   result.untrained);
        list.check(one->losses.back() < one->losses.front(), "form %s: the loss falls from %.3f to %.3f", form,
                   one->losses.front(), one->losses.back());
    }
}

// The step from the gradient by z to that by y, in double, against differences of the loss.
void claim_normalisation(claim_list& list) {
    const counter_random random(7, 1);
    row_matrix<double> y(12, 5);
    std::vector<std::uint32_t> labels;
    for (Eigen::Index k = 0; k < y.size(); ++k) y.data()[k] = random.normal(static_cast<std::uint64_t>(k));
    for (std::uint32_t i = 0; i < 12; ++i) labels.push_back(i % 4);
    std::vector<double> lse(labels.size());
    const auto loss = [&](const row_matrix<double>& at) {
        return reckon::supervised_contrastive(reckon::exec::serial, unit_rows<double>(at), labels, lse).sum();
    };
    const row_matrix<double> z = unit_rows<double>(y);
    row_matrix<double> slope = row_matrix<double>::Zero(y.rows(), y.cols());
    reckon::supervised_contrastive(reckon::exec::serial, z, labels, lse, {}, {.rows = reckon::view(slope)});
    const row_matrix<double> got = unit_rows_backward<double>(y, z, slope);
    double worst = 0.0;
    for (Eigen::Index k = 0; k < y.size(); ++k) {
        row_matrix<double> more = y, less = y;
        more.data()[k] += 1e-5;
        less.data()[k] -= 1e-5;
        worst = std::fmax(worst, std::fabs((loss(more) - loss(less)) / 2e-5 - got.data()[k]));
    }
    list.section("The gradient goes through the normalisation.");
    list.check(worst < 1e-6, "largest difference from central differences %.1e", worst);
}

void claim_reader(claim_list& list, const std::string& folder) {
    labelled_rows rows;
    rows.width = 6;
    for (std::uint32_t i = 0; i < 5; ++i) rows.labels.push_back(i % 3);
    for (std::size_t k = 0; k < 30; ++k) rows.values.push_back(static_cast<float>(k * 8) / 255.0f);
    std::filesystem::create_directories(folder);
    const auto path = [&](const char* name) { return (std::filesystem::path(folder) / name).string(); };
    const std::string images = path("fashion_supcon.images"), classes = path("fashion_supcon.labels");
    write_idx(rows, images, classes);
    const labelled_rows whole = read_idx(images, classes, 100), part = read_idx(images, classes, 2);
    std::filesystem::remove(images);
    std::filesystem::remove(classes);
    list.section("IDX files are read as they were written.");
    list.check(whole.values == rows.values && whole.labels == rows.labels && whole.width == 6, "all rows");
    list.check(part.size() == 2 && part.values.size() == 12, "the first rows");
}

// Options that suit the clusters: fewer rows and numbers, more epochs.
settings cluster_settings(settings s) {
    s.train = (std::min)(s.train, std::size_t{4000});
    s.test = (std::min)(s.test, std::size_t{1000});
    s.encoder.hidden = 64;
    s.encoder.width = 16;
    s.encoder.batch = (std::min)(s.encoder.batch, std::size_t{250});
    s.encoder.epochs = (std::max)(s.encoder.epochs, std::size_t{25});
    return s;
}

void save_losses(const outcome& result, const std::string& title, const settings& s) {
    std::vector<line_series> lines;
    for (const auto* one : {&result.out, &result.in}) {
        line_series line{one == &result.out ? "form out" : "form in", {}, one->losses};
        for (std::size_t k = 0; k < one->losses.size(); ++k) line.x.push_back(static_cast<double>(k + 1));
        lines.push_back(line);
    }
    save_picture(
        std::cout, s.out, "fashion_supcon.svg",
        line_chart(lines,
                   {.title = "Supervised contrastive loss: " + title, .x_label = "epoch", .y_label = "nats per row"}),
        "the loss");
}

int run(const settings& s, const reckon::exec::host<reckon::exec::pool>& where) {
    const found_images found = find_fashion(s.data);
    if (!s.made_up) std::cout << found.message << (found.found() ? ".\n\n" : "; skipped.\n\n");
    claim_list list(std::cout);
    if (s.check) {
        claim_normalisation(list);
        claim_reader(list, s.out);
    }
    if (s.made_up || s.check || !found.found()) {
        const settings small_one = cluster_settings(s);
        const labelled_split data = made_clusters(small_one.train, small_one.test, s.encoder.seed);
        const outcome result = study(where, data, small_one);
        if (s.check)
            claim_outcome(list, result, data, 0.1);
        else
            print(result, data, small_one);
        if (!s.check) save_losses(result, data.title, s);
    }
    if (!s.made_up && found.found()) {
        settings large = s;
        if (s.check) {
            large.train = (std::min)(s.train, std::size_t{6000});
            large.test = (std::min)(s.test, std::size_t{1000});
            large.encoder.epochs = (std::max)(s.encoder.epochs, std::size_t{12});
        }
        const labelled_split data = read_fashion(found, large.train, large.test);
        const outcome result = study(where, data, large);
        if (s.check)
            claim_outcome(list, result, data, 0.02);
        else
            print(result, data, large);
        if (!s.check) save_losses(result, data.title, s);
    }
    if (!s.check) return 0;
    return list.finish();
}

}  // namespace

int main(int argc, char** argv) {
    try {
        args options(argc, argv,
                     "Learns embeddings with the supervised contrastive loss and lets the nearest neighbours tell the\n"
                     "class, on Fashion-MNIST or on clusters that are made up.");
        const settings s = read_settings(options);
        if (s.help) return 0;
        reckon::exec::pool threads;
        return run(s, reckon::exec::host(threads));
    } catch (const std::exception& error) {
        std::cerr << "fashion_supcon: " << error.what() << '\n';
        return 2;
    }
}
