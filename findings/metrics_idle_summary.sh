#!/usr/bin/env bash
# metrics-exporter-prometheus 0.18.3 with metrics 0.24.6, `histogram!`: quantiles of a time in which nothing was recorded.
#
# Guess: without buckets a histogram is a summary of the last 60 s. Without a value in these there is no quantile: it is NaN, as
# Prometheus' own clients have it, or the line is missing.
# Reality: it is 0. With few values the high quantiles are below the largest, too, while `quantile="1"` is it. 100 requests of 250 ms, two
# of 250 and 500 ms, and none, the window shortened from 60 s to 0.6 s:
#
