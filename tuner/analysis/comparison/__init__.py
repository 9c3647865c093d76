"""The evidence of a fair comparison of optimizers: pure functions of an `Evidence`.

| module | question |
|---|---|
| contest | who takes part, with which search trials and which confirmation runs |
| budget | how good a result a tuning budget buys |
| convergence | how soon a target is reached |
| stability | how often it fails, how much a seed or the learning rate matters |
| outcome | confirmed and test values, gap to training, gain over the default setting |
| significance | which differences can be told from luck |
| inclusions | whether a general method lost to its own special case |
| recommendation | what to use, as code |
| profile | all of this over several studies |
"""
