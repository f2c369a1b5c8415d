#!/usr/bin/env python3
"""Prints the table of docs/performance.md: reckon against the plain loop and the best Python peer.

    table.py --programs build/release/benchmarks --python build/venv-peers/bin/python [--rounds 3] [--n 1e4 1e6]

Every round runs, task by task, the benchmark program and then the script in peers/, so that both see the machine in the same
minutes. A cell shows the minimum over the rounds; ratios are medians of the ratios of each round.
"""
import argparse
import re
import statistics
import sys

import runs

SPLINES, PARAMETRIC, RANKING, LISTS, SKETCHES = "splines.py", "parametric.py", "ranking.py", "ranked_lists.py", "sketches.py"
CONTRASTIVE, ANY, BATCHES = "contrastive.py", 10**9, (1024, 4096, 16384)

# label, target ns, program, case, plain case, peer task, peer variant; then, where they are not calibration.py, any size and the
# sizes of --n: the script, the largest size that the peer can do, and the row's own sizes, which stand for {n} or {2n} in the case
ROWS = [
    ("isotonic fit, distinct scores", 15, "calibration_isotonic", "isotonic_fit_distinct", "plain_fit_distinct", "isotonic_fit", "distinct"),
    ("isotonic fit, 1000 distinct scores", 15, "calibration_isotonic", "isotonic_fit_ties", None, "isotonic_fit", "ties1000"),
    ("PAVA, 0/1 labels", 2, "calibration_isotonic", "pava_labels", "plain_pava_labels", "pava", "binary"),
    ("PAVA, weighted", 8, "calibration_isotonic", "pava_weighted", "plain_pava_weighted", "pava", "weighted"),
    ("isotonic predict", 5, "calibration_isotonic", "isotonic_predict", None, "isotonic_predict", "distinct"),
    ("Platt fit", 4, "calibration_platt", "platt_fit_logits", "plain_platt_fit_logits", "platt", "labels"),
    ("temperature fit", 3.5, "calibration_temperature", "temperature_fit_logits", "plain_temperature_fit_logits", "temperature", "labels"),
    ("ECE, MCE, Brier, log-loss in one pass", 2, "metrics_calibration_report", "calibration_report_bytes", "plain_loop_bytes", "metrics4", "distinct"),
    ("Wilson interval", 1, "metrics_wilson", "wilson_float", "wilson_plain_loop", "wilson", "z1.96"),
    ("field sums, 1e3 cells, 1 field", 2, "metrics_field_stats", "field_stats_absorb/1000/1", "field_stats_plain_loop/1000/1", "field_stats", "cells1e3_uniform"),
    ("field sums, 1e5 cells, 1 field", 2, "metrics_field_stats", "field_stats_absorb/100000/1", "field_stats_plain_loop/100000/1", "field_stats", "cells1e5_uniform"),
    ("field sums, 1e6 cells, 1 field", None, "metrics_field_stats", "field_stats_absorb/1000000/1", "field_stats_plain_loop/1000000/1", "field_stats", "cells1e6_uniform"),
    ("AUC, distinct scores", 7, "metrics_auc", "auc_distinct", "plain_sort_distinct", "auc", "distinct"),
    ("AUC, 1000 distinct scores", 7, "metrics_auc", "auc_ties", "plain_sort_ties", "auc", "ties1000"),
    ("beta fit", 7, "calibration_beta_calibration", "beta_fit", "plain_beta_fit", "beta", "labels", PARAMETRIC),
    ("Venn-Abers fit", None, "calibration_venn_abers", "venn_abers_fit_distinct", "plain_fit_distinct", "venn_abers_fit", "distinct", SPLINES, 10**4),
    ("Venn-Abers apply", 40, "calibration_venn_abers", "venn_abers_apply", "plain_apply", "venn_abers_apply", "distinct", SPLINES, 10**4),
    ("spline over ranks, fit", None, "calibration_spline", "spline_calibration_fit", None, "spline_calibration_fit", "labels", SPLINES),
    ("spline over ranks, apply", 5, "calibration_spline", "spline_calibration_apply", "plain_spline_calibration_apply", None, None),
    ("spline over log-odds, fit", None, "calibration_spline", "spline_logit_fit", None, "spline_logit_fit", "labels", SPLINES, 10**6),
    ("spline over log-odds, apply", 5, "calibration_spline", "spline_logit_apply", "plain_spline_logit_apply", None, None),
    ("BBQ apply", 5, "calibration_binned", "bbq_apply", "plain_bbq_apply", None, None),
    ("SIR fit", None, "calibration_sir", "sir_fit", "plain_sir_fit", None, None),
    ("score histogram", 2.5, "calibration_score_histogram", "score_histogram_absorb<float>", "score_histogram_plain_loop", None, None),
    ("log-loss", None, "metrics_score_metrics", "log_loss", "plain_log_loss_loop", None, None),
    ("ECE", None, "metrics_score_metrics", "ece_width", "plain_ece_loop", None, None),
    ("Spiegelhalter's z", None, "metrics_score_metrics", "spiegelhalter", "plain_spiegelhalter_loop", None, None),
    ("KS error", None, "metrics_score_metrics", "calibration_ks", "plain_ks_loop", None, None),
    ("calibration slope", None, "metrics_score_metrics", "calibration_slope", "plain_slope_loop", None, None),
    ("UAUC, lists of 100, 0/1 labels", 2.5, "metrics_user_auc", "uauc_100", "plain_sort_100", "uauc", "lists100", RANKING),
    ("UAUC, lists of 5 to 1000, 0/1 labels", None, "metrics_user_auc", "uauc_ragged", "plain_sort_ragged", "uauc", "ragged", RANKING),
    ("UAUC, lists of 100, graded labels", None, "metrics_user_auc", "uauc_graded_100", "plain_loop_graded_100", "uauc_graded", "lists100", RANKING),
    ("XAUC", None, "metrics_user_auc", "xauc_graded", "plain_fenwick_graded", "xauc", "graded", RANKING),
    ("Spearman, one column", None, "metrics_rank_correlation", "spearman_column", None, "spearman", "graded", RANKING),
    ("nDCG@10, lists of 100", 3, "metrics_ranked_lists", "ndcg_distinct", "plain_ndcg_distinct", "ndcg10", "distinct", LISTS),
    ("MRR, lists of 100", 1.5, "metrics_ranked_lists", "reciprocal_rank_distinct", "plain_reciprocal_rank_distinct", "reciprocal_rank", "distinct", LISTS),
    ("hit rate@10, lists of 100", 1.5, "metrics_ranked_lists", "hit_rate_distinct", "plain_hit_rate_distinct", "hit_rate10", "distinct", LISTS),
    ("MAP, lists of 100", None, "metrics_ranked_lists", "average_precision_distinct", "plain_average_precision_distinct", "average_precision", "distinct", LISTS),
    ("quantile sketch, k = 200, absorb", 10, "percentile_kll", "absorb<200>", "plain_sort", "kll_absorb", "lognormal", SKETCHES),
    ("ConfCalib apply, 3 fields", None, "calibration_confcalib", "confcalib_apply_ratio", "confcalib_plain_loop_ratio", "confcalib_apply", "cells1e3"),
    ("InfoNCE", 3.2, "losses_contrastive", "reckon_info_nce/n:{n}/d:128", None, "info_nce", "unit", CONTRASTIVE, ANY, BATCHES),
    ("InfoNCE with both gradients", 9.3, "losses_contrastive", "reckon_info_nce_gradients/n:{n}/d:128", None, "info_nce_gradients", "unit", CONTRASTIVE, ANY, BATCHES),
    ("symmetric loss", 3.3, "losses_contrastive", "reckon_clip/n:{n}/d:128", None, "clip", "unit", CONTRASTIVE, ANY, BATCHES),
    ("symmetric loss with both gradients", 12.5, "losses_contrastive", "reckon_clip_gradients/n:{n}/d:128", None, "clip_gradients", "unit", CONTRASTIVE, ANY, BATCHES),
    ("NT-Xent with the gradient, per N^2", 25, "losses_supervised_contrastive", "reckon_supcon_gradient/n:{2n}/d:128/classes:0", None, "nt_xent_gradients", "unit", CONTRASTIVE, ANY, (1024, 4096)),
    ("SupCon, 10 classes, with the gradient, per N^2", 25, "losses_supervised_contrastive", "reckon_supcon_gradient/n:{2n}/d:128/classes:10", None, "supcon_gradients", "classes10", CONTRASTIVE, ANY, (1024, 4096)),
    ("SupCon, 1000 classes, with the gradient, per N^2", 25, "losses_supervised_contrastive", "reckon_supcon_gradient/n:{2n}/d:128/classes:1000", None, "supcon_gradients", "classes1000", CONTRASTIVE, ANY, (1024, 4096)),
    ("RankNet, 1024 lists of 200, per ordered pair", 0.36, "losses_pairwise", "reckon_rank_net/200", "plain_rank_net/200", "ranknet_gradients", "grades", CONTRASTIVE, ANY, (1024,)),
    ("BPR, pairs of scores", 1.1, "losses_pairwise", "reckon_bpr/{n}", "plain_bpr/{n}", "bpr_gradients", "normal", CONTRASTIVE, ANY, (10**4, 10**6)),
    ("BPR, gradients of triples", 90, "losses_pairwise", "reckon_bpr_triples/100000", "plain_bpr_triples/100000", "gather_bpr_gradients", "uniform", CONTRASTIVE, ANY, (65536,)),
    ("BPR, steps of triples in place", 90, "losses_pairwise", "reckon_bpr_step/100000", "plain_bpr_step/100000", "gather_bpr_gradients", "uniform", CONTRASTIVE, ANY, (65536,)),
]


def run_program(options, program, cases):
    """ns/item and fraction of the limit by case name."""
    pattern = "^(" + "|".join(re.escape(case) for case in cases) + ")$"
    found = runs.report(options.programs, program, pattern)
    return {case["name"]: (case["ns/item"], case["limit"]) for case in found["benchmarks"]}


def run_peers(options, script, task, variant, n):
    """ns/item by peer."""
    return runs.peer_times(runs.peer_lines(options.python, script, n, task, "--variant", variant))


def sized(case, n, own_sizes=()):
    if case is None or case.startswith("field_stats"):
        return case
    return case.replace("{n}", str(n)).replace("{2n}", str(2 * n)) if own_sizes else f"{case}/{n}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True, help="folder with the bench_* programs")
    parser.add_argument("--python", default=sys.executable, help="interpreter with the peers installed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--n", type=runs.size, nargs="+", default=[10**4, 10**6])
    parser.add_argument("--batch", type=int, nargs="+", help="only these sizes of the rows that have their own")
    parser.add_argument("--only", nargs="+", help="only rows of these programs, such as metrics_auc")
    options = parser.parse_args()
    print("| task | n | target | reckon ns/item | limit | plain loop / reckon | best peer | peer ns/item | peer / reckon |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | --- | ---: | ---: |")
    for label, target, program, case, plain, task, variant, *where in ROWS:
        if options.only and program not in options.only:
            continue
        script = where[0] if where else "calibration.py"
        most = where[1] if len(where) > 1 else ANY
        own_sizes = where[2] if len(where) > 2 else ()
        for n in [n for n in own_sizes if not options.batch or n in options.batch] or options.n:
            if case.startswith("field_stats") and n != 10**6:
                continue  # that program has 1e6 rows
            named, plain_named = sized(case, n, own_sizes), sized(plain, n, own_sizes)
            ours, limits, plain_ratios, peer_times, peer_ratios = [], [], [], {}, {}
            for _ in range(options.rounds):
                found = run_program(options, program, [c for c in (named, plain_named) if c])
                if named not in found:
                    break  # a program with sizes of its own
                ns, limit = found[named]
                ours.append(ns)
                limits.append(limit)
                if plain_named in found:
                    plain_ratios.append(found[plain_named][0] / ns)
                peers = run_peers(options, script, task, variant, n) if task and n <= most else {}
                for peer, peer_ns in peers.items():
                    peer_times.setdefault(peer, []).append(peer_ns)
                    peer_ratios.setdefault(peer, []).append(peer_ns / ns)
            if not ours:
                continue
            best = min(peer_times, key=lambda peer: min(peer_times[peer]), default=None)
            cells = [label, n if own_sizes else f"{n:.0e}".replace("e+0", "e"), target or "", f"{min(ours):.2f}", f"{max(limits):.2f}",
                     f"{statistics.median(plain_ratios):.1f}" if plain_ratios else "", best or "",
                     f"{min(peer_times[best]):.1f}" if best else "",
                     f"{statistics.median(peer_ratios[best]):.1f}" if best else ""]
            print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


if __name__ == "__main__":
    main()
