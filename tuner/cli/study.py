"""`tuner study`: the verbs, gathered from the modules that hold them."""

from tuner.cli import (
    study_advise,
    study_change,
    study_compare,
    study_create,
    study_read,
    study_run,
    study_watch,
)
from tuner.cli.nouns import group

app = group("Create, run, read and change studies.")
app.command("create", epilog=study_create.EPILOG)(study_create.create)
app.command("run")(study_run.run)
app.command("list")(study_read.list_)
app.command("show")(study_read.show)
app.command("best")(study_read.best)
app.command("trials")(study_read.trials)
app.command("watch")(study_watch.watch)
app.command("report")(study_read.report)
app.command("advise")(study_advise.advise)
app.command("compare")(study_compare.compare)
app.command("export")(study_read.export)
app.command("import")(study_change.import_)
app.command("edit")(study_change.edit)
app.command("confirm")(study_change.confirm)
app.command("pause")(study_change.pause)
app.command("resume")(study_change.resume)
app.command("stop")(study_change.stop)
app.command("delete")(study_change.delete)
app.command("enqueue")(study_change.enqueue)
app.command("schema")(study_read.schema)
