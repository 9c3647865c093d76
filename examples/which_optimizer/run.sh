#!/bin/sh
# Which optimizer, for an MLP, a CNN and an RNN on the digits? Three comparisons of twelve
# optimizers and one report of all; half an hour on two CPU cores. Interrupted with Ctrl-C it goes
# on where it stopped when it is run again.
set -eu
cd "$(dirname "$0")"
for model in mlp cnn rnn; do
  tuner study run "$model.yaml"
  tuner study report "which-$model" --output "which-$model.md"
done
tuner study compare which-mlp which-cnn which-rnn --output report.html
tuner study compare which-mlp which-cnn which-rnn --output report.md
