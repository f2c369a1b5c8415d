// Known public data sets: where their files lie, how they are written, and what each column is good for.
//
//  name             rows    positives  file                                              form
//  bank_marketing   41,188  11.3 %     bank_marketing/bank-additional-full.csv           ; quoted, header, CRLF
//  online_shoppers  12,330  15.5 %     online_shoppers/online_shoppers_intention.csv     , header, CRLF
//  adult            32,561  24.1 %     adult/adult.data | adult/adult.csv                , no header | header
//  credit_default   30,000  22.1 %     credit_default/default_of_credit_card_clients.csv ; header
//  open_bandit      10,000   0.7 %     open_bandit/bts_men.csv                           , header
//  kuairand         41,828  46.2 %     kuairand/views.tsv                                tab, header
//
//  name             label                        positive  fields to calibrate           left out, and why
//  bank_marketing   y                            yes       job month poutcome contact    duration: known after the call
//  online_shoppers  Revenue                      TRUE      Month TrafficType VisitorType
//                                                          Region
//  adult            income-per-year              >50K      occupation workclass          fnlwgt: a survey weight;
//                                                          native-country relationship   education-num: = education
//  credit_default   default payment next month   1         EDUCATION MARRIAGE PAY_0 AGE  ID: a row number
//  open_bandit      click                        1         item_id position              timestamp: order only;
//                                                          user_feature_1 user_feature_2 propensity_score: the policy's
//  kuairand         long_view                    1         user_id video_id              play_time_ms: what happened
//                                                                                        after; is_click ... alike
//
// A file is looked for below the environment variable RECKON_DATA_DIR, then below the macro of that name, then in
// ./data. examples/get_data.sh brings adult and open_bandit into ./data. The adult file with a header writes a missing
// value as
// ?, the one without as MissingValue. Open Bandit is sorted by time and its first column has no name.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "csv.hpp"

namespace reckon_examples {

struct dataset_file {
    std::string path;  // below the data folder
    char delimiter;
    bool header;
};

struct dataset_info {
    std::string name, title, licence;
    std::vector<dataset_file> files;  // the first that exists is taken
    std::vector<std::string> names;   // column names for files without a header
    std::string label, positive;
    std::vector<std::string> fields;      // calibrated per value
    std::vector<std::string> categories;  // features of the base model, taken as text
    std::vector<std::string> numbers;     // features of the base model, taken as numbers
    std::vector<std::string> left_out;
    bool by_time;  // rows are in order of time
};

inline const std::vector<dataset_info>& known_datasets() {
    static const std::vector<dataset_info> all = {
        {.name = "bank_marketing",
         .title = "Bank Marketing: term deposits sold by telephone (Moro et al. 2014)",
         .licence = "CC BY 4.0",
         .files = {{"bank_marketing/bank-additional-full.csv", ';', true}},
         .names = {},
         .label = "y",
         .positive = "yes",
         .fields = {"job", "month", "poutcome", "contact"},
         .categories = {"job", "marital", "education", "default", "housing", "loan", "contact", "month", "day_of_week",
                        "poutcome"},
         .numbers = {"age", "campaign", "pdays", "previous", "emp.var.rate", "cons.price.idx", "cons.conf.idx",
                     "euribor3m", "nr.employed"},
         .left_out = {"duration"},
         .by_time = true},
        {.name = "online_shoppers",
         .title = "Online Shoppers: sessions that end with a purchase (Sakar et al. 2019)",
         .licence = "CC BY 4.0",
         .files = {{"online_shoppers/online_shoppers_intention.csv", ',', true}},
         .names = {},
         .label = "Revenue",
         .positive = "TRUE",
         .fields = {"Month", "TrafficType", "VisitorType", "Region"},
         .categories = {"Month", "OperatingSystems", "Browser", "Region", "TrafficType", "VisitorType", "Weekend"},
         .numbers = {"Administrative", "Administrative_Duration", "Informational", "Informational_Duration",
                     "ProductRelated", "ProductRelated_Duration", "BounceRates", "ExitRates", "PageValues",
                     "SpecialDay"},
         .left_out = {},
         .by_time = false},
        {.name = "adult",
         .title = "Adult: yearly income above 50,000 dollars, census of 1994 (Kohavi 1996)",
         .licence = "CC BY 4.0",
         .files = {{"adult/adult.data", ',', false}, {"adult/adult.csv", ',', true}},
         .names = {"age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation",
                   "relationship", "race", "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country",
                   "income-per-year"},
         .label = "income-per-year",
         .positive = ">50K",
         .fields = {"occupation", "workclass", "native-country", "relationship"},
         .categories = {"workclass", "education", "marital-status", "occupation", "relationship", "race", "sex",
                        "native-country"},
         .numbers = {"age", "capital-gain", "capital-loss", "hours-per-week"},
         .left_out = {"fnlwgt", "education-num"},
         .by_time = false},
        {.name = "credit_default",
         .title = "Default of credit card clients, Taiwan 2005 (Yeh and Lien 2009)",
         .licence = "CC BY 4.0",
         .files = {{"credit_default/default_of_credit_card_clients.csv", ';', true}},
         .names = {},
         .label = "default payment next month",
         .positive = "1",
         .fields = {"EDUCATION", "MARRIAGE", "PAY_0", "AGE"},
         .categories = {"SEX", "EDUCATION", "MARRIAGE", "PAY_0", "PAY_2", "PAY_3", "PAY_4", "PAY_5", "PAY_6"},
         .numbers = {"LIMIT_BAL", "AGE", "BILL_AMT1", "BILL_AMT2", "BILL_AMT3", "BILL_AMT4", "BILL_AMT5", "BILL_AMT6",
                     "PAY_AMT1", "PAY_AMT2", "PAY_AMT3", "PAY_AMT4", "PAY_AMT5", "PAY_AMT6"},
         .left_out = {"ID"},
         .by_time = false},
        {.name = "open_bandit",
         .title = "Open Bandit: clicks on fashion recommendations, sample of 10,000 (Saito et al. 2020)",
         .licence = "CC BY 4.0",
         .files = {{"open_bandit/bts_men.csv", ',', true}},
         .names = {},
         .label = "click",
         .positive = "1",
         .fields = {"item_id", "position", "user_feature_1", "user_feature_2"},
         .categories = {"item_id", "position", "user_feature_0", "user_feature_1", "user_feature_2", "user_feature_3"},
         .numbers = {},
         .left_out = {"timestamp", "propensity_score"},
         .by_time = true},
        {.name = "kuairand",
         .title = "KuaiRand: views of a short-video app with a like or a dislike (Gao et al. 2022)",
         .licence = "CC BY-SA 4.0",
         .files = {{"kuairand/views.tsv", '\t', true}},
         .names = {},
         .label = "long_view",
         .positive = "1",
         .fields = {"user_id", "video_id"},
         .categories = {"user_id", "video_id", "hourmin"},
         .numbers = {"duration_ms"},
         .left_out = {"play_time_ms", "comment_stay_time", "is_click", "is_follow", "is_comment", "is_forward",
                      "is_profile_enter", "label"},
         .by_time = false},
    };
    return all;
}

/// A data set and its file, or what is missing.
struct found_dataset {
    const dataset_info* info = nullptr;
    std::string path;      // empty if no file was found
    csv_options csv = {};  // how to read it
    std::string message;   // a sentence for the user
    bool found() const { return !path.empty(); }
};

/// Folders that are searched, in this order.
inline std::vector<std::string> data_folders() {
    std::vector<std::string> out;
    if (const char* folder = std::getenv("RECKON_DATA_DIR"); folder && *folder) out.emplace_back(folder);
#ifdef RECKON_DATA_DIR
    if (*RECKON_DATA_DIR) out.emplace_back(RECKON_DATA_DIR);
#endif
    out.emplace_back("data");
    return out;
}

/// Looks for a known data set. Throws std::invalid_argument on an unknown name; a missing file is not an error, it is
/// told in `message`.
inline found_dataset find_dataset(std::string_view name, const std::vector<std::string>& folders = data_folders()) {
    found_dataset out;
    std::string known;
    for (const dataset_info& info : known_datasets()) {
        known += (known.empty() ? "" : ", ") + info.name;
        if (info.name == name) out.info = &info;
    }
    if (!out.info) throw std::invalid_argument("no data set '" + std::string(name) + "' is known; there are " + known);
    std::string looked;
    for (const std::string& folder : folders) {
        for (const dataset_file& file : out.info->files) {
            const std::string path = (std::filesystem::path(folder) / file.path).string();
            std::error_code ignored;
            if (std::filesystem::is_regular_file(path, ignored)) {
                out.path = path;
                out.csv = {.delimiter = file.delimiter, .header = file.header};
                if (!file.header) out.csv.names = out.info->names;
                out.message = out.info->title + ", " + out.info->licence + ", " + path;
                return out;
            }
            looked += (looked.empty() ? "" : ", ") + path;
        }
    }
    out.message = "data set " + out.info->name + " is missing; looked for " + looked;
    return out;
}

}  // namespace reckon_examples
