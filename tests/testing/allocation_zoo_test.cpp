// Objects that mistreat memory, and the check that must catch each.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "reckon/exec/pool.hpp"
#include "support/law.hpp"

using namespace reckon::testing;

namespace {

// Two columns of equal length.
struct sound_table {
    std::vector<int> keys{1, 2, 3};
    std::vector<double> values{1, 2, 3};

    void grow() {
        std::vector<int> new_keys = keys;
        new_keys.resize(100, 0);
        std::vector<double> new_values = values;
        new_values.resize(100, 0.0);
        keys.swap(new_keys);
        values.swap(new_values);
    }
    bool consistent() const { return keys.size() == values.size() && keys[2] == 3 && values[2] == 3.0; }
};

struct half_grown : sound_table {
    void grow() {
        keys.resize(100, 0);
        values.resize(100, 0.0);
    }
};
struct leaks : sound_table {
    // Known from outside, so that this program can give the block back in the end.
    static inline int* scratch = nullptr;
    void grow() {
        scratch = new int[50];
        sound_table::grow();
        delete[] scratch;
        scratch = nullptr;
    }
};
struct swallows : sound_table {
    void grow() {
        try {
            sound_table::grow();
        } catch (const std::bad_alloc&) {
        }
    }
};
struct renames : sound_table {
    void grow() {
        try {
            sound_table::grow();
        } catch (const std::bad_alloc&) {
            throw std::runtime_error("no memory");
        }
    }
};
struct never_satisfied : sound_table {
    std::size_t asked = 0;
    void grow() {
        for (std::size_t i = 0; i < 1000; ++i) ::operator delete(::operator new(16));
    }
};

template <class T>
report grow_under_failures(std::size_t max_failures = 10000) {
    return check_allocation([] { return T{}; }, [](T& table) { table.grow(); },
                            [](const T& table) { return table.consistent(); }, max_failures);
}

// Compilers may leave out a new whose memory nobody can see.
const void* volatile seen_by_all = nullptr;
template <class T>
T* show(T* memory) {
    seen_by_all = memory;
    return memory;
}

}  // namespace

TEST_CASE("allocation: this program counts its allocations") {
    CHECK(allocations_are_counted());
    const allocation_count none = count_allocations([] {});
    CHECK(none.calls == 0);
    CHECK(none.peak_bytes == 0);
    std::vector<char> kept;
    const allocation_count some = count_allocations([&] {
        const std::vector<char> scratch(3000, 'x');
        show(scratch.data());
        kept.assign(scratch.begin(), scratch.begin() + 1000);
        show(kept.data());
    });
    CHECK(some.calls == 2);
    CHECK(some.peak_bytes == 4000);
    CHECK(some.kept_blocks == 1);
}

TEST_CASE("allocation: every form of new is counted and aligned as asked") {
    struct alignas(256) wide {
        char bytes[256];
    };
    const allocation_count count = count_allocations([] {
        const auto one = std::make_unique<wide>();
        const auto many = std::make_unique<wide[]>(3);
        show(one.get());
        show(many.get());
        CHECK(reinterpret_cast<std::uintptr_t>(one.get()) % 256 == 0);
        CHECK(reinterpret_cast<std::uintptr_t>(many.get()) % 256 == 0);
        ::operator delete(show(::operator new(10, std::nothrow)), std::nothrow);
        ::operator delete[](show(::operator new[](10, std::nothrow)));
        // get_temporary_buffer inside uses the nothrow form.
        std::vector<int> values{3, 1, 2};
        std::stable_sort(values.begin(), values.end());
        CHECK(*show(values.data()) == 1);
    });
    CHECK(count.calls >= 5);
    CHECK(count.kept_blocks == 0);
}

TEST_CASE("check_no_allocation: tells allocating work from other work") {
    std::vector<double> sums(10, 0.0);
    const auto accumulates = [&] {
        for (double& s : sums) s += 1.0;
    };
    CHECK_LAW(check_no_allocation(accumulates));
    const auto copies = [&] {
        std::vector<double> copy = sums;
        sums.swap(copy);
    };
    const report r = check_no_allocation(copies);
    CHECK_FALSE(r.ok);
    CHECK(r.message == "check_no_allocation: 1 allocations, 80 bytes at most");
}

TEST_CASE("check_allocation: an object with strong guarantees passes") {
    const report r = grow_under_failures<sound_table>();
    CHECK(r.ok);
    CHECK(r.message.empty());
    CHECK(r.cases > 4 * 3);
}

TEST_CASE("check_allocation: catches a state broken half-way, leaks, swallowed and renamed failures") {
    CHECK(grow_under_failures<half_grown>().message.find("not usable") != std::string::npos);
    CHECK(grow_under_failures<leaks>().message.find("leak") != std::string::npos);
    delete[] leaks::scratch;
    CHECK(grow_under_failures<swallows>().message.find("swallows") != std::string::npos);
    CHECK(grow_under_failures<renames>().message.find("another exception") != std::string::npos);
    CHECK(grow_under_failures<never_satisfied>(20).message.find("does not succeed") != std::string::npos);
}

TEST_CASE("check_allocation: failures on the threads of a pool come out on the caller") {
    reckon::exec::pool pool(3);
    const auto make = [] { return std::vector<std::vector<int>>(16); };
    const auto work = [&](std::vector<std::vector<int>>& rows) {
        pool.parallel_for(rows.size(), [&](std::size_t i) { rows[i].assign(100, 1); });
    };
    const auto usable = [&](std::vector<std::vector<int>>& rows) {
        pool.parallel_for(rows.size(), [&](std::size_t i) { rows[i].assign(3, 2); });
        return std::all_of(rows.begin(), rows.end(), [](const auto& row) { return row == std::vector<int>{2, 2, 2}; });
    };
    CHECK_LAW(check_allocation(make, work, usable));
}
