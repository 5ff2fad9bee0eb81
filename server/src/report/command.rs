//! The command that does the same again.

use serde_json::{Map, Value, json};
use trainer::finetune::FinetuneOptions;

/// The flags of options of tuning that are not called as their field.
const TUNING: [&str; 4] = ["epochs", "batch_size", "learning_rate", "weight_decay"];

/// The arguments for these options, those that are as ever left out.
pub(super) fn arguments(options: &FinetuneOptions) -> Vec<String> {
    let (options, usual) = (json!(options), json!(FinetuneOptions::default()));
    let empty = Map::new();
    let fields = |value: &Value| value.as_object().unwrap_or(&empty).clone();
    let mut arguments = Vec::new();
    for (name, value) in fields(&options).iter().filter(|(name, value)| usual[name.as_str()] != **value) {
        if name == "tuning" {
            for (name, value) in fields(value).iter().filter(|(name, value)| usual["tuning"][name.as_str()] != **value)
            {
                let prefix = if TUNING.contains(&name.as_str()) { "tuning-" } else { "" };
                arguments.push(argument(&format!("{prefix}{name}"), value));
            }
        } else {
            arguments.push(argument(name, value));
        }
    }
    arguments
}

fn argument(name: &str, value: &Value) -> String {
    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    format!("--{} {value}", name.replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use clap::{Args, FromArgMatches};
    use trainer::data::augment::AugmentationPolicy;
    use trainer::finetune::head::HeadSolver;
    use trainer::finetune::{FinetuneStrategy, TuningOptions};

    use super::*;

    #[test]
    fn the_command_line_reads_the_same_options_from_the_arguments() {
        let tuning = TuningOptions {
            epochs: 3,
            learning_rate: 0.002,
            layer_decay: 0.5,
            stages: 2,
            augmentation: AugmentationPolicy::None,
            ..TuningOptions::default()
        };
        let options = FinetuneOptions {
            strategy: FinetuneStrategy::LastStage,
            head_solver: HeadSolver::Lbfgs,
            views: 2,
            seed: 7,
            tuning,
            ..FinetuneOptions::default()
        };
        let arguments = arguments(&options);
        assert!(arguments.contains(&"--tuning-learning-rate 0.002".to_owned()), "{arguments:?}");
        let words = arguments.iter().flat_map(|argument| argument.split(' '));
        let command = FinetuneOptions::augment_args(clap::Command::new("finetune"));
        let matches = command.get_matches_from(std::iter::once("finetune").chain(words));
        assert_eq!(FinetuneOptions::from_arg_matches(&matches).unwrap(), options);
        assert!(super::arguments(&FinetuneOptions::default()).is_empty());
    }
}
