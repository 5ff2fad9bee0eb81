//! Choosing a strategy.

use super::context::TuneContext;
use super::step::StepTask;
use super::strategy::FinetuneStrategy;
use super::{Base, FinetuneError};

/// Fewer images of a class than this do not train layers of a base better than they fit a head.
pub(super) const FEW: usize = 15;
/// How long layers of the base may be trained, in seconds.
pub(super) const PATIENCE: f64 = 30.0 * 60.0;

/// A strategy, and the reason for it in a sentence.
pub(super) struct Choice {
    pub(super) strategy: FinetuneStrategy,
    pub(super) why: String,
}

impl Choice {
    fn new(strategy: FinetuneStrategy, reason: &str) -> Self {
        Self { strategy, why: format!("strategy {}: {reason}", strategy.name()) }
    }
}

/// Whether a base can be trained, and there are so many images of a class that it gains by it.
pub(super) fn has_enough(base: &Base, images: usize, classes: usize) -> bool {
    matches!(base, Base::Network(_)) && images / classes.max(1) >= FEW
}

/// `staged` where there are images enough and this machine is fast enough, `head` otherwise.
pub(super) fn choose(context: &TuneContext<'_>) -> Result<Choice, FinetuneError> {
    if matches!(context.task.base, Base::File(_)) {
        let reason = "the base is an opaque ONNX file, so its layers cannot be trained";
        return Ok(Choice::new(FinetuneStrategy::Head, reason));
    }
    let staged = TuneContext { strategy: FinetuneStrategy::Staged, ..*context };
    // A second measurement could turn out differently, and the checkpoints would be lost.
    if staged.run_folder()?.exists() {
        return Ok(Choice::new(FinetuneStrategy::Staged, "a staged run was interrupted, and resumes"));
    }
    let images = context.split.train.len();
    let classes = context.network.graph.shape(context.network.graph.output()).len();
    let each = images / classes.max(1);
    if each < FEW {
        let reason =
            format!("{each} training images a class are fewer than the {FEW} from which layers of the base gain");
        return Ok(Choice::new(FinetuneStrategy::Head, &reason));
    }
    let step = StepTask {
        graph: &context.network.graph,
        params: &context.network.params,
        head: context.head.node,
        strategy: FinetuneStrategy::Staged,
        stages: context.task.options.tuning.stages,
        backend: context.task.backend,
    };
    match step.time()? {
        Some(seconds) => Ok(by_time(context, each, seconds.train)),
        None => {
            let reason = "the base has fewer stages than `tuning.stages` asks for";
            Ok(Choice::new(FinetuneStrategy::Head, reason))
        }
    }
}

/// `staged` where it takes no longer than the patience of a user.
fn by_time(context: &TuneContext<'_>, each: usize, seconds: f64) -> Choice {
    let (images, epochs) = (context.split.train.len(), context.task.options.tuning.epochs);
    let total = seconds * images as f64 * epochs as f64;
    let measured = format!(
        "{images} images through {epochs} epochs at {:.0} ms each take about {:.0} min on this machine",
        1e3 * seconds,
        total / 60.0
    );
    if total <= PATIENCE {
        let reason = format!("{each} training images a class are enough, and {measured}");
        return Choice::new(FinetuneStrategy::Staged, &reason);
    }
    let limit = PATIENCE / 60.0;
    let reason = format!("{measured}, more than the {limit:.0} allowed; ask for `staged` to train them anyway");
    Choice::new(FinetuneStrategy::Head, &reason)
}
