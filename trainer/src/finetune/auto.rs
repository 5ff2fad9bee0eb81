//! Choosing a strategy.

use std::time::Instant;

use super::strategy::FinetuneStrategy;
use super::tune::{TuneContext, folder, trains};
use super::{Base, FinetuneError};
use crate::backend::{CpuExecutor, Parameter};

/// Fewer images of a class than this do not train layers of a base better than they fit a head.
const FEW: usize = 15;
/// How long layers of the base may be trained, in seconds.
const PATIENCE: f64 = 30.0 * 60.0;
/// Images whose step is timed.
const TIMED: usize = 8;

/// A strategy, and why it is this one.
pub(super) struct Choice {
    pub(super) strategy: FinetuneStrategy,
    pub(super) why: String,
}

/// `staged` where there are images enough and this machine is fast enough, `head` otherwise.
pub(super) fn choose(context: &TuneContext<'_>) -> Result<Choice, FinetuneError> {
    if matches!(context.task.base, Base::File(_)) {
        let why = "strategy head: the base is kept as the file it was imported from, so its layers cannot be trained";
        return Ok(Choice { strategy: FinetuneStrategy::Head, why: why.to_owned() });
    }
    // Another measurement could come out otherwise, and what was trained would be lost.
    if folder(context).exists() {
        let why = "strategy staged: that was begun, and is gone on with".to_owned();
        return Ok(Choice { strategy: FinetuneStrategy::Staged, why });
    }
    let images = context.split.train.len();
    let classes = context.network.graph.shape(context.network.graph.output()).len();
    let each = images / classes.max(1);
    if each < FEW {
        let why = format!(
            "strategy head: {each} training images a class are fewer than the {FEW} from which layers of the base gain"
        );
        return Ok(Choice { strategy: FinetuneStrategy::Head, why });
    }
    let tuned = match trains(&TuneContext { strategy: FinetuneStrategy::Staged, ..*context }) {
        Ok(tuned) => tuned,
        Err(FinetuneError::Option(_)) => {
            let why = "strategy head: the base has fewer stages than `tuning.stages` asks for".to_owned();
            return Ok(Choice { strategy: FinetuneStrategy::Head, why });
        }
        Err(error) => return Err(error),
    };
    let (graph, params) = (&context.network.graph, &context.network.params);
    let trains = |parameter: &Parameter| tuned.contains(&parameter.name);
    let mut executor = CpuExecutor::with_backend(graph, params, trains, context.task.kernels)?;
    let noise: Vec<f32> = (0..TIMED * executor.inputs()).map(|at| (at * 7919 % 256) as f32).collect();
    let mut seconds = f64::INFINITY;
    // The first step plans, the second is as all others are.
    for _ in 0..2 {
        let clock = Instant::now();
        executor.profile(&noise)?;
        seconds = clock.elapsed().as_secs_f64() / TIMED as f64;
    }
    let total = seconds * images as f64 * context.task.options.tuning.epochs as f64;
    let measured = format!(
        "{images} images through {} epochs at {:.0} ms each take about {:.0} min on this machine",
        context.task.options.tuning.epochs,
        1e3 * seconds,
        total / 60.0
    );
    Ok(if total <= PATIENCE {
        let why = format!("strategy staged: {each} training images a class are enough, and {measured}");
        Choice { strategy: FinetuneStrategy::Staged, why }
    } else {
        let why = format!(
            "strategy head: {measured}, more than the {:.0} allowed; ask for `staged` to have it all the same",
            PATIENCE / 60.0
        );
        Choice { strategy: FinetuneStrategy::Head, why }
    })
}
