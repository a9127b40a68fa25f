#!/usr/bin/env bash
# Prometheus 2.42.0 (Debian 12's promtool), `increase(c[10m]) > 0` for a counter with labels whose first sample is above 0.
#
# Guess: a counter that was not there and then is 1 has increased by 1 within the 10 minutes; a counter counts from 0.
# Reality: an increase is between samples of a series. What its first sample has is in no increase, however high, and in none
# later on. Scraped every 15 s, looked at after 150 s:
#
#     samples                        increase[10m]    changes[10m]
#     0 0 0 1 1 1 1 1 1 1 1          1                1
#     - - - 1 1 1 1 1 1 1 1          0                0
#     - - - 40 40 40 40 40 40 40     0                0
#
# `c > 0 unless c offset 10m` has the last two, as 1 and 40.
#
# Why it matters: a counter by spawn site, route or error begins as a series with its first event, as most client libraries have it.
# Panics, time-outs and refusals are rare, so the first is often the only one, and an alert on the increase of exactly these never
# fires. It passes its tests, whose series begin with 0. Write both, with `or`.
set -euo pipefail
command -v promtool > /dev/null || { echo "prometheus_first_increase.sh: needs promtool (Debian: prometheus)" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
promtool --version | sed -n 1p

cat > seen.yml <<'YML'
evaluation_interval: 15s
tests:
  - interval: 15s
    input_series:
      - series: 'panics_total{site="from_0"}'
        values: '0 0 0 1x10'
      - series: 'panics_total{site="from_1"}'
        values: '_ _ _ 1x10'
      - series: 'panics_total{site="from_40"}'
        values: '_ _ _ 40x10'
    promql_expr_test:
      - expr: increase(panics_total[10m])
        eval_time: 150s
        exp_samples:
          - { labels: '{site="from_0"}', value: 1 }
          - { labels: '{site="from_1"}', value: 0 }
          - { labels: '{site="from_40"}', value: 0 }
      - expr: changes(panics_total[10m])
        eval_time: 150s
        exp_samples:
          - { labels: '{site="from_0"}', value: 1 }
          - { labels: '{site="from_1"}', value: 0 }
          - { labels: '{site="from_40"}', value: 0 }
      - expr: increase(panics_total[10m]) > 0
        eval_time: 150s
        exp_samples:
          - { labels: '{site="from_0"}', value: 1 }
      - expr: increase(panics_total[10m]) > 0 or (panics_total > 0 unless panics_total offset 10m)
        eval_time: 150s
        exp_samples:
          - { labels: '{site="from_0"}', value: 1 }
          - { labels: 'panics_total{site="from_1"}', value: 1 }
          - { labels: 'panics_total{site="from_40"}', value: 40 }
YML
promtool test rules seen.yml || { echo "changed: the first sample is in the increase" >&2; exit 1; }
echo "as found"
