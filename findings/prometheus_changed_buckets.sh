#!/usr/bin/env bash
# Prometheus 2.42.0 (Debian 12's promtool), `histogram_quantile(0.9, sum by (le) (rate(...)))` while two releases with other buckets run.
#
# Guess: it is a rough value between those of the two releases, as each has buckets around the truth.
# Reality: it is the highest bound of any of them. A sum by `le` has in a bucket only what the release with that bucket counted, and in
# `+Inf` what both did. So the requests of the other release seem to be above all bounds, wherever they are. One replica of each release, 100
# requests each, all of 0.08 s:
#
#     buckets                                  0.25     0.5     0.75    0.9
#     old release: 0.1 10 +Inf                 0.025    0.05    0.075   0.09
#     new release: 0.05 1 +Inf                 0.29     0.53    0.76    0.91
#     both, sum by (le)                        0.075    0.1     10      10
#     both, the highest of each one's          0.29     0.53    0.76    0.91
#
# No request took more than 0.08 s. Nothing warns of it.
#
# Why it matters: buckets are changed in a release because they were too coarse, a library is updated that has other ones, or two services share
# a name. For as long as a deployment takes, or an old replica is left, the upper quantiles jump to the highest bound, 10 s or a minute, which
# is just what an alert on them is for, and what stops a deployment. Take the quantile by replica first, `max(histogram_quantile(..))`, or
# give new buckets a new name.
set -euo pipefail
command -v promtool > /dev/null || { echo "prometheus_changed_buckets.sh: needs promtool (Debian: prometheus)" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
promtool --version | sed -n 1p

# A hundred requests between two looks, all of 0.08 s.
{
    echo 'evaluation_interval: 15s'
    echo 'tests:'
    echo '  - interval: 15s'
    echo '    input_series:'
    for bucket in "old 0.1 100" "old 10 100" "old +Inf 100" "new 0.05 0" "new 1 100" "new +Inf 100"; do
        read -r release le requests <<< "$bucket"
        echo "      - { series: 'took_bucket{release=\"$release\",le=\"$le\"}', values: '0+${requests}x10' }"
    done
    echo '    promql_expr_test:'
    for quantile in 0.25 0.5 0.75 0.9; do
        echo "      - { expr: 'round(histogram_quantile($quantile, rate(took_bucket[1m])), 0.001)', eval_time: 150s, exp_samples: [] }"
        echo "      - { expr: 'round(histogram_quantile($quantile, sum by (le) (rate(took_bucket[1m]))), 0.001)', eval_time: 150s, exp_samples: [] }"
    done
} > seen.yml
# No sample is expected, so that promtool says what there is.
promtool test rules seen.yml 2>&1 | sed -nE 's/.*histogram_quantile\(([0-9.]+), (sum|rate).*/\1 \2/p; s/^ *got: //p' | paste - - > seen || true
cat seen
diff seen - <<'TXT' || { echo "changed: quantiles of a sum over two sets of buckets" >&2; exit 1; }
0.25 rate	{release="new"} 2.88E-01, {release="old"} 2.5E-02
0.25 sum	{} 7.5E-02
0.5 rate	{release="new"} 5.25E-01, {release="old"} 5E-02
0.5 sum	{} 1E-01
0.75 rate	{release="new"} 7.63E-01, {release="old"} 7.5E-02
0.75 sum	{} 1E+01
0.9 rate	{release="new"} 9.05E-01, {release="old"} 9E-02
0.9 sum	{} 1E+01
TXT
