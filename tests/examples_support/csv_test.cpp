// Delimited text: what is read, and what the errors say.
#include "csv.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

using namespace reckon_examples;

namespace {

// A file that is gone when the test ends.
class scratch_file {
  public:
    explicit scratch_file(const std::string& content) {
        static int number = 0;
        const std::string name = "reckon_csv_" + std::to_string(++number) + "_" + std::to_string(stamp()) + ".csv";
        path_ = (std::filesystem::temp_directory_path() / name).string();
        std::ofstream(path_, std::ios::binary) << content;
    }
    ~scratch_file() { std::remove(path_.c_str()); }
    scratch_file(const scratch_file&) = delete;
    scratch_file& operator=(const scratch_file&) = delete;
    const std::string& path() const { return path_; }

  private:
    static long long stamp() {
        static const long long at = std::filesystem::file_time_type::clock::now().time_since_epoch().count();
        return at;
    }
    std::string path_;
};

// The message of the error that reading `content` and then `use` raises, without the path; empty if there is none.
template <class Use>
std::string message(const std::string& content, const std::vector<std::string>& columns, const csv_options& options,
                    Use use) {
    const scratch_file file(content);
    try {
        use(csv_table(file.path(), columns, options));
    } catch (const std::runtime_error& error) {
        const std::string text = error.what();
        CHECK(text.starts_with(file.path() + ":"));
        return text.substr(file.path().size() + 1);
    }
    return "";
}

std::string message(const std::string& content, const std::vector<std::string>& columns = {},
                    const csv_options& options = {}) {
    return message(content, columns, options, [](const csv_table&) {});
}

}  // namespace

TEST_CASE("csv: numbers, categories and labels of a plain file") {
    const scratch_file file("age,job,sold\n30,nurse,yes\n41.5,cook,no\n-2e1,nurse,no\n");
    const csv_table table(file.path());
    CHECK(table.rows() == 3);
    CHECK(table.names() == std::vector<std::string>{"age", "job", "sold"});
    CHECK(table.numbers("age") == std::vector<double>{30, 41.5, -20});
    CHECK(table.numbers<float>("1") == std::vector<float>{30, 41.5f, -20});
    const categorical jobs = table.categories("job");
    CHECK(jobs.ids == std::vector<std::int32_t>{0, 1, 0});
    CHECK(jobs.values == std::vector<std::string>{"nurse", "cook"});
    CHECK(table.labels("sold", "yes") == std::vector<std::uint8_t>{1, 0, 0});
}

TEST_CASE("csv: the delimiter is found in the first line") {
    for (const std::string separator : {",", ";", "\t", " ", "   "}) {
        CAPTURE(separator);
        const scratch_file file("a" + separator + "b\n1" + separator + "2\n");
        CHECK(csv_table(file.path()).numbers("b") == std::vector<double>{2});
    }
    const scratch_file quoted("\"a,b,c\";d\n1;2\n");
    CHECK(csv_table(quoted.path()).numbers("a,b,c") == std::vector<double>{1});
    const scratch_file single("a\n1\n2\n");
    CHECK(csv_table(single.path()).numbers("a") == std::vector<double>{1, 2});
}

TEST_CASE("csv: byte order mark, CRLF, blank lines, blanks around fields, no line break at the end") {
    const scratch_file file("\xEF\xBB\xBF\"id\", name \r\n\r\n1,  two words \r\n  \r\n2,\r\n3, x");
    const csv_table table(file.path());
    CHECK(table.numbers("id") == std::vector<double>{1, 2, 3});
    CHECK(table.categories("name").values == std::vector<std::string>{"two words", "", "x"});
    CHECK(table.line(0) == 3);
    CHECK(table.line(2) == 6);
}

TEST_CASE("csv: quotes hold separators, quotes and line breaks") {
    const scratch_file file("a,b\n\"1,5\",\"say \"\"hi\"\"\"\n\"two\nlines\",\"\"\nlast,x\n");
    const csv_table table(file.path());
    CHECK(table.text("a", 0) == "1,5");
    CHECK(table.text("b", 0) == "say \"hi\"");
    CHECK(table.text("a", 1) == "two\nlines");
    CHECK(table.text("b", 1) == "");
    CHECK(table.line(2) == 5);
}

TEST_CASE("csv: runs of blanks separate, also at the start of lines") {
    const scratch_file file(" id  date amount\r\n 00001 19970101  11.77\r\n 2 19970112   12.00");
    const csv_table table(file.path(), {"amount"});
    CHECK(table.numbers("amount") == std::vector<double>{11.77, 12});
}

TEST_CASE("csv: a file without header has numbered or given names") {
    const scratch_file file("39, State-gov\n50, Private\n");
    CHECK(csv_table(file.path(), {}, {.header = false}).numbers("1") == std::vector<double>{39, 50});
    const csv_table named(file.path(), {"class"}, {.header = false, .names = {"age", "class"}});
    CHECK(named.text("class", 1) == "Private");
}

TEST_CASE("csv: an empty cell is an error as a number unless something stands for it") {
    const scratch_file file("a,b\n1,\n,2\n");
    const csv_table table(file.path());
    CHECK(table.numbers<double>("a", -1.0) == std::vector<double>{1, -1});
    CHECK_THROWS_AS(table.numbers("a"), std::runtime_error);
}

TEST_CASE("csv: errors name line and column") {
    const auto numbers_of_b = [](const csv_table& t) { t.numbers("b"); };
    CHECK(message("a,b\n1,2\n3,x1\n", {}, {}, numbers_of_b) == "3: column 'b' (2): 'x1' is not a number");
    CHECK(message("a,b\n1,2 3\n", {}, {}, numbers_of_b) == "2: column 'b' (2): '2 3' is not a number");
    CHECK(message("a,b\n1,\n", {}, {}, numbers_of_b) == "2: column 'b' (2): is empty, a number is needed");
    for (const std::string bad : {"nan", "inf", "-inf", "1e999", "0x10", "1,5", "+", "++1", "--1"}) {
        CAPTURE(bad);
        CHECK(message("a;b\n1;" + bad + "\n", {}, {}, numbers_of_b) ==
              "2: column 'b' (2): '" + bad + "' is not a number");
    }
    CHECK(message("a,b\n1,1e39\n", {}, {}, [](const csv_table& t) { t.numbers<float>("b"); }) ==
          "2: column 'b' (2): '1e39' is not a number");
    CHECK(message("a,b\n1,+2\n", {}, {}, numbers_of_b) == "");

    CHECK(message("a,b\n1,2\n1,2,3\n") == "3: has 3 fields where 2 are expected");
    CHECK(message("a,b\n1\n") == "2: has 1 fields where 2 are expected");
    CHECK(message("a,b\n1,2\n\"x,2\n3,4\n") == "3: column 1: a quote is opened and never closed");
    CHECK(message("a,b\n1,\"x\"y\n") == "2: column 2: text after the closing quote");
    CHECK(message("a,b\n1,2\n", {"c"}) == "1: no column 'c'; the file has 2 columns: a, b");
    CHECK(message("a,b\n1,2\n", {"0"}) == "1: no column '0'; the file has 2 columns: a, b");
    CHECK(message("a,b\n1,2\n", {"3"}) == "1: no column '3'; the file has 2 columns: a, b");
    CHECK(message("a,a\n1,2\n", {"a"}) == "1: column name 'a' occurs twice; use the column's number");
    CHECK(message("a,b\n1,2\n", {"a"}, {}, numbers_of_b) ==
          " column 'b' was not among the columns selected for reading");
    CHECK(message("a,b\n1,no\n", {}, {}, [](const csv_table& t) { t.labels("b", "yes"); }) ==
          " column 'b' (2): the positive value 'yes' never occurs; row 1 has 'no'");
    CHECK(message("1,2\n", {}, {.header = false, .names = {"a"}}) == "1: has 2 fields where 1 are expected");
}

TEST_CASE("csv: empty, too large, missing and unreadable files") {
    CHECK(message("") == " is empty");
    CHECK(message("\n\r\n  \n") == " is empty");
    CHECK(message("\xEF\xBB\xBF") == " is empty");
    CHECK(message("a,b\n") == " has a header but no rows");
    CHECK(message("a,b\n1,2\n", {}, {.max_bytes = 7}) == " is larger than the limit of 7 bytes");
    CHECK(message("a,b\n1,2\n", {}, {.max_bytes = 8}) == "");
    CHECK_THROWS_WITH_AS(csv_table("no/such/file.csv"), "no/such/file.csv: cannot be opened", std::runtime_error);
    const std::string folder = std::filesystem::temp_directory_path().string();
    CHECK_THROWS_WITH_AS(csv_table{folder}, (folder + ": is a folder, not a file").c_str(), std::runtime_error);
}

TEST_CASE("csv: every prefix of a file is read or refused, never worse") {
    const std::string whole = "\xEF\xBB\xBFid;\"na\"\"me\"\r\n1;\"a\nb\"\r\n;\"\"\n\"\"\"\";2\n";
    int read = 0, refused = 0;
    for (std::size_t size = 0; size <= whole.size(); ++size) {
        const bool ok = message(whole.substr(0, size), {}, {}, [](const csv_table& t) { t.categories("1"); }).empty();
        (ok ? read : refused) += 1;
    }
    CHECK(read > 0);
    CHECK(refused > 0);
}
