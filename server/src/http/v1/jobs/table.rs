//! The one table of the kinds of jobs: their addresses, and what is said about them.

use crate::http::problem::Code;
use crate::jobs::JobKind;

/// What is said about the jobs of a kind.
#[derive(Debug, Clone, Copy)]
pub struct JobTexts {
    /// The kind, whose word is the address.
    pub kind: JobKind,
    /// Where it stands in the description of the interface.
    pub tag: &'static str,
    /// A job, in the names of operations.
    pub operation: &'static str,
    /// What a job is called in sentences, without an article.
    pub noun: &'static str,
    /// The same with its article.
    pub one: &'static str,
    /// The same in the plural.
    pub many: &'static str,
    /// The schema of a page of them.
    pub list: &'static str,
    /// The order of that page, and what it leaves out.
    pub page: &'static str,
    /// What a job says of itself.
    pub description: &'static str,
    /// How its events are followed.
    pub events: &'static str,
    /// What cancelling it does.
    pub cancel: &'static str,
}

/// What is said about asking for a job.
#[derive(Debug, Clone, Copy)]
pub struct Creation {
    /// What is done, and when.
    pub description: &'static str,
    /// The errors of the request.
    pub errors: &'static [Code],
}

const REPORT: &str = "Its state, progress and, in the end, its report or error.";
const WITHOUT_REPORTS: &str = "Newest first, without their reports.";
const EVENTS: &str = "In order; ask again with `after` set to the last `seq` to follow it. With `Accept: text/event-stream` the \
    events are\nsent as they happen, as those of a fine-tune are.";
const CANCEL: &str = "A queued one ends at once, a running one within moments; its `state` says when.";

/// Trainings of new heads, and of the layers below.
pub const FINETUNES: JobTexts = JobTexts {
    kind: JobKind::Finetune,
    tag: "finetune",
    operation: "finetune",
    noun: "fine-tune",
    one: "a fine-tune",
    many: "fine-tunes",
    list: "JobList",
    page: "Newest first.",
    description: "Its state, progress and, in the end, its result or error.",
    events: "In order; ask again with `after` set to the last `seq` to follow it. With `Accept: text/event-stream` the events \
        are\nsent as they happen until the fine-tune has ended: messages `event` have the `seq` as their id and an event of the \
        page as\ntheir data, messages `progress` and `state` say how far it is. A client that was cut off goes on with \
        `Last-Event-ID`.",
    cancel: "A queued or paused one ends at once, a running one within moments; its `state` says when. Nothing is published \
        after that,\nunless the model was published already.",
};

/// Measurements of stored models.
pub const EVALUATIONS: JobTexts = JobTexts {
    kind: JobKind::Evaluate,
    tag: "evaluate",
    operation: "evaluation",
    noun: "evaluation",
    one: "an evaluation",
    many: "evaluations",
    list: "EvaluationList",
    page: WITHOUT_REPORTS,
    description: REPORT,
    events: EVENTS,
    cancel: CANCEL,
};

/// Stored models that get variants of other numbers.
pub const QUANTIZATIONS: JobTexts = JobTexts {
    kind: JobKind::Quantize,
    tag: "quantize",
    operation: "quantization",
    noun: "quantization",
    one: "a quantization",
    many: "quantizations",
    list: "QuantizationList",
    page: WITHOUT_REPORTS,
    description: REPORT,
    events: EVENTS,
    cancel: CANCEL,
};

/// Models that clients upload.
pub const IMPORTS: JobTexts = JobTexts {
    kind: JobKind::Import,
    tag: "models",
    operation: "import",
    noun: "import",
    one: "an import",
    many: "imports",
    list: "ImportList",
    page: "Newest first, without their remarks.",
    description: "Its state and, in the end, the version that it has stored, or its error.",
    events: EVENTS,
    cancel: "A queued one ends at once, a running one within moments; its `state` says when. Nothing is stored after that, unless \
        the model was stored already. The files that were sent are removed.",
};
