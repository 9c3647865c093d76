"""The Hugging Face Trainer: which optimizer and schedule for a small Transformer?

    pip install 'tuner[server,worker,transformers]'
    python examples/huggingface_trainer.py

The model is small and begins at random, and the data are scikit-learn's digits as sequences of 64
grey levels, so nothing is downloaded.
"""

import math

import torch
from sklearn.datasets import load_digits
from torch.utils.data import Dataset
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)
from transformers.utils import logging

import tuner
from tuner.training import build_optimizer, build_scheduler
from tuner.training.transformers import TunerCallback

EPOCHS = 4
BATCH = 64


class Digits(Dataset):
    """Each image is a sentence of 64 words; a word is a grey level from 0 to 16."""

    def __init__(self, first, last):
        data = load_digits()
        order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(0))
        rows = order[first:last]
        self.words = torch.tensor(data.data, dtype=torch.long)[rows]
        self.labels = torch.tensor(data.target)[rows]

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return {"input_ids": self.words[i], "labels": self.labels[i]}


def accuracy(given):
    return {"accuracy": float((given.predictions.argmax(1) == given.label_ids).mean())}


def objective(trial) -> None:
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    train, val = Digits(0, 640), Digits(1400, 1797)

    torch.manual_seed(0)
    model = BertForSequenceClassification(
        BertConfig(
            vocab_size=17,
            max_position_embeddings=64,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_labels=10,
            # wide enough that so small a model learns in a few epochs
            initializer_range=0.2,
        )
    )
    optimizer = build_optimizer(model, trial.params)
    steps = EPOCHS * math.ceil(len(train) / BATCH)
    scheduler = build_scheduler(optimizer, trial.params, total_steps=steps)
    callback = TunerCallback(trial)
    trainer = Trainer(
        model,
        TrainingArguments(
            # the same folder for all attempts of this trial, and no other's
            output_dir=str(trial.checkpoint_dir),
            num_train_epochs=EPOCHS,
            per_device_train_batch_size=BATCH,
            per_device_eval_batch_size=397,
            eval_strategy="epoch",
            save_strategy="epoch",
            save_total_limit=1,
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        ),
        train_dataset=train,
        eval_dataset=val,
        compute_metrics=accuracy,
        optimizers=(optimizer, scheduler),
        callbacks=[callback],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=callback.resume_from)


def main() -> None:
    with tuner.Client() as client:
        study = client.create_study(
            "huggingface",
            space=tuner.space.optimizers("momentum", "adamw", "muon")
            | {"schedule": tuner.Categorical(["constant", "linear", "cosine"])},
            objective={"metric": "eval_loss", "from": "best"},
            sampler={"name": "gp", "seed": 1},
            pruner={"name": "asha", "min_step": 2, "max_step": EPOCHS, "reduction_factor": 2},
            exist_ok=True,
        )
        study.optimize(objective, trials=6)
        best = study.best
        assert best is not None
        print(f"best: trial {best['number']}, eval_loss {best['values']['eval_loss']:.4f}")
        for name, value in best["params"].items():
            print(f"  {name} = {value}")


if __name__ == "__main__":
    main()
