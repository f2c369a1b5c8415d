// Rows with classes: Fashion-MNIST out of its IDX files, or clusters that are made up.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#if defined(RECKON_EXAMPLES_HAVE_ZLIB)
#include <zlib.h>
#endif

#include "../support/datasets.hpp"
#include "../support/random.hpp"

namespace reckon_examples {

struct labelled_rows {
    std::size_t width = 0;
    std::vector<float> values;  // row after row
    std::vector<std::uint32_t> labels;
    std::size_t size() const { return labels.size(); }
};
struct labelled_split {
    std::string title;
    labelled_rows train, test;
};

namespace detail {

// The first `most` bytes of a file, unpacked if its name ends with .gz.
inline std::vector<unsigned char> read_bytes(const std::string& path, std::size_t most) {
    std::vector<unsigned char> out(most);
#if defined(RECKON_EXAMPLES_HAVE_ZLIB)
    if (path.ends_with(".gz")) {
        const gzFile file = gzopen(path.c_str(), "rb");
        if (!file) throw std::runtime_error(path + ": cannot be opened");
        const int bytes = gzread(file, out.data(), static_cast<unsigned>(most));
        gzclose(file);
        if (bytes < 0) throw std::runtime_error(path + ": cannot be unpacked");
        out.resize(static_cast<std::size_t>(bytes));
        return out;
    }
#endif
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(path + ": cannot be opened");
    file.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(most));
    out.resize(static_cast<std::size_t>(file.gcount()));
    return out;
}
inline std::size_t big_endian(const std::vector<unsigned char>& bytes, std::size_t at) {
    std::size_t out = 0;
    for (std::size_t k = 0; k < 4; ++k) out = out << 8 | bytes[at + k];
    return out;
}

}  // namespace detail

/// The first `most` images of an IDX file and the classes beside them; pixels from 0 to 1.
inline labelled_rows read_idx(const std::string& images, const std::string& labels, std::size_t most) {
    const auto head = detail::read_bytes(images, 16);
    if (head.size() < 16 || detail::big_endian(head, 0) != 0x803) throw std::runtime_error(images + ": no IDX images");
    labelled_rows out;
    out.width = detail::big_endian(head, 8) * detail::big_endian(head, 12);
    const std::size_t rows = (std::min)(most, detail::big_endian(head, 4));
    const auto pixels = detail::read_bytes(images, 16 + rows * out.width);
    const auto classes = detail::read_bytes(labels, 8 + rows);
    if (pixels.size() != 16 + rows * out.width) throw std::runtime_error(images + ": ends too early");
    if (classes.size() != 8 + rows || detail::big_endian(classes, 0) != 0x801)
        throw std::runtime_error(labels + ": not the IDX classes of these images");
    out.values.reserve(rows * out.width);
    for (std::size_t k = 16; k < pixels.size(); ++k) out.values.push_back(static_cast<float>(pixels[k]) / 255.0f);
    out.labels.assign(classes.begin() + 8, classes.end());
    return out;
}

/// Writes such files: what the check of the reader needs.
inline void write_idx(const labelled_rows& rows, const std::string& images, const std::string& labels) {
    std::ofstream pixels(images, std::ios::binary), classes(labels, std::ios::binary);
    const auto put = [](std::ofstream& to, std::size_t word) {
        for (int shift = 24; shift >= 0; shift -= 8) to.put(static_cast<char>(word >> shift & 255));
    };
    for (const std::size_t word : {std::size_t{0x803}, rows.size(), std::size_t{1}, rows.width}) put(pixels, word);
    for (const float x : rows.values) pixels.put(static_cast<char>(std::lround(255.0f * x)));
    for (const std::size_t word : {std::size_t{0x801}, rows.size()}) put(classes, word);
    for (const std::uint32_t label : rows.labels) classes.put(static_cast<char>(label));
}

struct found_images {
    std::string folder;  // empty if they are not there
    bool packed = false;
    std::string message;  // a sentence for the user
    bool found() const { return !folder.empty(); }
};

/// Looks for Fashion-MNIST where get_data.sh and the system package put it, or in the folder that is given.
inline found_images find_fashion(const std::string& given) {
    std::vector<std::string> folders;
    if (!given.empty()) {
        folders.push_back(given);
    } else {
        for (const std::string& folder : data_folders()) {
            folders.push_back((std::filesystem::path(folder) / "fashion-mnist").string());
        }
        folders.emplace_back("/usr/share/datasets/fashion-mnist");
    }
    found_images out;
    bool closed = false;
    for (const std::string& folder : folders) {
        for (const bool packed : {false, true}) {
            const auto file = std::filesystem::path(folder) / "train-images-idx3-ubyte";
            std::error_code ignored;
            if (!std::filesystem::is_regular_file(file.string() + (packed ? ".gz" : ""), ignored)) continue;
#if !defined(RECKON_EXAMPLES_HAVE_ZLIB)
            if (packed) {
                closed = true;
                continue;
            }
#endif
            out.folder = folder;
            out.packed = packed;
            out.message = "Fashion-MNIST, 28 x 28 pixels, 10 kinds of clothes (Xiao et al. 2017), MIT, " + folder;
            return out;
        }
        out.message += (out.message.empty() ? "" : ", ") + folder;
    }
    out.message =
        closed
            ? "Fashion-MNIST is packed and this program was built without zlib: gunzip the four files of " + out.message
            : "Fashion-MNIST is missing; looked in " + out.message +
                  ". Debian has it: apt-get install dataset-fashion-mnist, or sh examples/get_data.sh --all";
    return out;
}

inline labelled_split read_fashion(const found_images& where, std::size_t train, std::size_t test) {
    const auto path = [&](const char* name) {
        return (std::filesystem::path(where.folder) / (std::string(name) + (where.packed ? ".gz" : ""))).string();
    };
    return {"Fashion-MNIST", read_idx(path("train-images-idx3-ubyte"), path("train-labels-idx1-ubyte"), train),
            read_idx(path("t10k-images-idx3-ubyte"), path("t10k-labels-idx1-ubyte"), test)};
}

/// Ten clusters in 6 of 64 dimensions; the other dimensions are louder and know nothing.
inline labelled_split made_clusters(std::size_t train, std::size_t test, std::uint64_t seed) {
    constexpr std::size_t width = 64, known = 6, classes = 10;
    const counter_random centres(seed, 1), noise(seed, 2), choice(seed, 3);
    labelled_split out;
    out.title = "made-up clusters";
    for (std::size_t i = 0; i < train + test; ++i) {
        labelled_rows& to = i < train ? out.train : out.test;
        to.width = width;
        const std::size_t label = choice.below(i, classes);
        to.labels.push_back(static_cast<std::uint32_t>(label));
        for (std::size_t d = 0; d < width; ++d) {
            const double own = d < known ? 2.5 * centres.normal(label * known + d) : 0.0;
            to.values.push_back(static_cast<float>(own + (d < known ? 1.0 : 3.0) * noise.normal(i * width + d)));
        }
    }
    return out;
}

}  // namespace reckon_examples
