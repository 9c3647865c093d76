"""The publications and programs that the registry's numbers come from, in short form."""

from __future__ import annotations

from typing import Final

HYPAOBP: Final = (
    "Sivaprasad et al. 2020 (arXiv:1910.11758), priors in idiap/hypaobp main_runner.py"
)
ALGOPERF: Final = "AlgoPerf archived_paper_baselines, tuning_search_space.json"
CROWDED: Final = (
    "Schmidt et al. 2021 (Descending through a Crowded Valley), ranges in its result files"
)
PD1: Final = "PD1 (google-research/hyperbo)"
PYTORCH: Final = "PyTorch default"
KRIZHEVSKY: Final = "Krizhevsky et al. 2012, section 5"
RUDER: Final = "Ruder 2016 (arXiv:1609.04747)"
TRAININGS: Final = (
    "best rate in about 4000 own trainings of small MLPs per data set (digits, diabetes)"
)
OWN: Final = (
    "own trainings of the built-in MLPs on digits and diabetes (27 epochs, one seed, values half a "
    "decade apart), best"
)
LIU: Final = "Liu et al. 2020 (arXiv:1908.03265)"
CHEN: Final = "Chen et al. 2023 (arXiv:2302.06675)"
YOU: Final = "You et al. 2020 (arXiv:1904.00962)"
JORDAN: Final = "Jordan et al. 2024, Muon (kellerjordan.github.io/posts/muon and its repository)"
FORET: Final = "Foret et al. 2021 (arXiv:2010.01412)"
MARTENS: Final = "Martens 2010, Deep learning via Hessian-free optimization"
NOCEDAL: Final = "Nocedal and Wright 2006, Numerical Optimization"
YAO: Final = "Yao et al. 2021 (arXiv:2006.00719)"
XIE: Final = "Xie et al. 2022 (arXiv:2208.06677)"
PAGLIARDINI: Final = "Pagliardini et al. 2024 (arXiv:2409.03137)"
VYAS: Final = "Vyas et al. 2024 (arXiv:2409.11321)"
WEN: Final = "Wen et al. 2025 (arXiv:2509.02046), grids in marin's optimizer_sweep"
GUPTA: Final = "Gupta, Koren and Singer 2018 (arXiv:1802.09568)"
MISHCHENKO: Final = "Mishchenko and Defazio 2023 (arXiv:2306.06101)"
DEFAZIO: Final = "Defazio et al. 2024 (arXiv:2405.15682)"
LIBRARY: Final = "pytorch-optimizer default"
