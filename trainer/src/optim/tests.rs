//! The rules against PyTorch and TensorFlow.

use serde::Deserialize;
use serde_json::Value;

use super::*;

const STEPS: u64 = 100;
const INITIAL: [f32; 6] = [1.0, -2.0, 0.5, 0.0, 3.0, -0.25];
/// Relative, or absolute below 1. PyTorch and TensorFlow fuse multiplications with additions, so each of 100 steps may
/// round differently by 6e-8; measured, at most 2.4e-7 comes of it.
const TOLERANCE: f32 = 1e-6;

/// Written by `reference/optim.py`.
const TORCH: &str = include_str!("../../tests/data/optim_torch.json");
/// Written by `reference/optim_tensorflow.py`.
const TENSORFLOW: &str = include_str!("../../tests/data/optim_tensorflow.json");

/// The same artificial gradient as in the scripts.
fn gradient(step: u64) -> Vec<f32> {
    (0..INITIAL.len() as u64).map(|i| made_up(step * 37 + i * 101 + step * i * 13)).collect()
}

fn tensors<'a>(weights: &'a mut [f32], gradient: &'a [f32]) -> ParamTensors<'a> {
    ParamTensors { weights, gradient }
}

fn made_up(number: u64) -> f32 {
    ((number * 7919 % 257) as f32 - 128.0) / 64.0
}

fn close(ours: &[f32], theirs: &[f32], what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (a, b) in ours.iter().zip(theirs) {
        assert!((a - b).abs() <= TOLERANCE * b.abs().max(1.0), "{what}: {ours:?}, expected {theirs:?}");
    }
}

#[derive(Deserialize)]
struct Case {
    rate: f64,
    weights: Vec<Vec<f32>>,
}

fn check(file: &str, name: &str, rule: OptimizerKind, weight_decay: f64) {
    let mut file: Value = serde_json::from_str(file).unwrap();
    let steps: Vec<u64> = serde_json::from_value(file["kept"].take()).unwrap();
    let case: Case = serde_json::from_value(file[name].take()).unwrap();
    let mut optimizer =
        Optimizer::new(rule, vec![Parameter { weight_decay, ..Parameter::plain("w", INITIAL.len()) }]).unwrap();
    let (mut weights, mut expected) = (INITIAL, case.weights.iter());
    for step in 1..=STEPS {
        let rate = if step <= STEPS / 2 { case.rate } else { case.rate / 10.0 };
        optimizer.step(&mut [tensors(&mut weights, &gradient(step))], Step::at(rate)).unwrap();
        if steps.contains(&step) {
            close(&weights, expected.next().unwrap(), &format!("{name}, step {step}"));
        }
    }
    assert_eq!(expected.next(), None, "{name}");
}

fn sgd(momentum: f64) -> OptimizerKind {
    OptimizerKind::Sgd { momentum, nesterov: false }
}

const NESTEROV: OptimizerKind = OptimizerKind::Sgd { momentum: 0.9, nesterov: true };

#[test]
fn sgd_is_pytorchs() {
    check(TORCH, "sgd", sgd(0.0), 0.0);
    check(TORCH, "sgd, decay", sgd(0.0), 0.1);
    check(TORCH, "sgd, momentum", sgd(0.9), 0.0);
    check(TORCH, "sgd, momentum, decay", sgd(0.9), 0.1);
    check(TORCH, "sgd, nesterov, decay", NESTEROV, 0.1);
}

#[test]
fn the_same_sgd_is_tensorflows_momentum() {
    check(TENSORFLOW, "momentum", sgd(0.9), 0.0);
    check(TENSORFLOW, "momentum, l2", sgd(0.9), 0.1);
    check(TENSORFLOW, "momentum, nesterov", NESTEROV, 0.0);
}

#[test]
fn rmsprop_is_tensorflows() {
    check(TENSORFLOW, "rmsprop", OptimizerKind::rmsprop(), 0.0);
    check(TENSORFLOW, "rmsprop, l2", OptimizerKind::rmsprop(), 0.1);
    check(TENSORFLOW, "rmsprop, momentum", OptimizerKind::RmsProp { rho: 0.8, momentum: 0.5, epsilon: 1e-3 }, 0.0);
}

#[test]
fn adamw_is_pytorchs() {
    check(TORCH, "adamw", OptimizerKind::adamw(), 0.0);
    check(TORCH, "adamw, decay", OptimizerKind::adamw(), 0.1);
    check(TORCH, "adamw, other betas", OptimizerKind::AdamW { beta1: 0.8, beta2: 0.95, epsilon: 1e-3 }, 0.05);
}

#[test]
fn clipping_is_pytorchs() {
    #[derive(Deserialize)]
    struct Clip {
        length: u64,
        limit: f64,
        norm: f64,
        clipped: Vec<f32>,
    }
    let mut file: Value = serde_json::from_str(TORCH).unwrap();
    let cases: Vec<Clip> = serde_json::from_value(file["clip"].take()).unwrap();
    for case in cases {
        let (mut first, mut second) = (gradient(1), (0..case.length).map(made_up).collect::<Vec<_>>());
        let norm = global_norm(&[&first, &second]);
        // Both sum in f64, in another order.
        assert!((norm - case.norm).abs() <= 1e-12 * case.norm, "{norm}, PyTorch {}", case.norm);
        scale(&mut [&mut first, &mut second], clip_factor(norm, case.limit));
        close(&[&first[..3], &second[..3]].concat(), &case.clipped, "clipped");
    }
}

#[test]
fn clipping_inside_the_step_is_clipping_before_it() {
    for rule in [sgd(0.0), NESTEROV, OptimizerKind::rmsprop(), OptimizerKind::adamw()] {
        let parameter = vec![Parameter { weight_decay: 0.1, ..Parameter::plain("w", INITIAL.len()) }];
        let [mut inside, mut before] = [(); 2].map(|()| (Optimizer::new(rule, parameter.clone()).unwrap(), INITIAL));
        for step in 1..=3 {
            let mut gradient = gradient(step);
            let gradient_scale = clip_factor(global_norm(&[&gradient]), 1.0);
            inside.0.step(&mut [tensors(&mut inside.1, &gradient)], Step { rate: 0.1, gradient_scale }).unwrap();
            scale(&mut [&mut gradient], gradient_scale);
            before.0.step(&mut [tensors(&mut before.1, &gradient)], Step::at(0.1)).unwrap();
        }
        assert_eq!(inside.1, before.1, "{rule:?}");
    }
}

#[test]
fn a_gradient_that_is_no_number_is_not_hidden() {
    let norm = global_norm(&[&[1.0, f32::NAN]]);
    assert!(norm.is_nan() && clip_factor(norm, 1.0).is_nan());
    assert_eq!(clip_factor(global_norm(&[&[f32::INFINITY]]), 1.0), 0.0);
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    // More than three chunks, the last of them short.
    let numbers = 100_003;
    let start: Vec<f32> = (0..numbers).map(|i| made_up(i * 31 + 5)).collect();
    let gradient: Vec<f32> = (0..numbers).map(|i| made_up(i * i)).collect();
    let run = |rule: OptimizerKind, threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let parameter = Parameter { weight_decay: 0.01, ..Parameter::plain("w", start.len()) };
            let mut optimizer = Optimizer::new(rule, vec![parameter]).unwrap();
            let mut weights = start.clone();
            for _ in 0..3 {
                optimizer.step(&mut [tensors(&mut weights, &gradient)], Step::at(0.01)).unwrap();
            }
            let bits: Vec<u32> = weights.iter().map(|w| w.to_bits()).collect();
            (bits, global_norm(&[&gradient, &weights]).to_bits())
        })
    };
    let all = [sgd(0.0), NESTEROV, OptimizerKind::rmsprop(), OptimizerKind::adamw()];
    for rule in all {
        assert_eq!(run(rule, 1), run(rule, 3), "{rule:?}");
    }
    // A large tensor is many small ones.
    let [mut weights, mut first] = [start.clone(), start[..10].to_vec()];
    let parameters = |numbers| vec![Parameter::plain("w", numbers)];
    let mut whole = Optimizer::new(OptimizerKind::adamw(), parameters(start.len())).unwrap();
    let mut part = Optimizer::new(OptimizerKind::adamw(), parameters(10)).unwrap();
    whole.step(&mut [tensors(&mut weights, &gradient)], Step::at(0.01)).unwrap();
    part.step(&mut [tensors(&mut first, &gradient[..10])], Step::at(0.01)).unwrap();
    assert_eq!(weights[..10], first);
}

#[derive(Deserialize)]
struct Average {
    decay: f64,
    averages: Vec<f32>,
}

fn average(file: &str) -> Average {
    let mut file: Value = serde_json::from_str(file).unwrap();
    serde_json::from_value(file["ema"].take()).unwrap()
}

#[test]
fn an_average_is_torchvisions() {
    let case = average(TORCH);
    let options = EmaOptions { decay: case.decay, warm_up: EmaWarmUp::None };
    // PyTorch begins with the weights of the first step.
    let mut ema = Ema::new(options, [gradient(1).as_slice()]);
    for step in 2..=STEPS {
        ema.update(&[&gradient(step)]).unwrap();
    }
    close(ema.averages().next().unwrap(), &case.averages, "ema");
}

#[test]
fn an_average_that_warms_up_is_tensorflows_and_can_be_resumed() {
    let case = average(TENSORFLOW);
    let options = EmaOptions { decay: case.decay, warm_up: EmaWarmUp::Counted };
    let mut ema = Ema::new(options, [INITIAL.as_slice()]);
    for step in 1..=STEPS {
        let mut resumed = Ema::new(options, ema.averages());
        resumed.set_updates(ema.updates());
        ema = resumed;
        ema.update(&[&gradient(step)]).unwrap();
    }
    close(ema.averages().next().unwrap(), &case.averages, "ema");
}

#[test]
fn multipliers_and_decay_are_each_parameters_own() {
    let slow = Parameter { rate: 0.5, ..Parameter::plain("slow", 1) };
    let decayed = Parameter { weight_decay: 0.5, ..Parameter::plain("decayed", 1) };
    let mut optimizer = Optimizer::new(sgd(0.0), vec![slow, decayed]).unwrap();
    let (mut a, mut b) = ([2.0], [2.0]);
    optimizer.step(&mut [tensors(&mut a, &[1.0]), tensors(&mut b, &[1.0])], Step::at(0.25)).unwrap();
    // 2 - 0.25·0.5·1 and 2 - 0.25·(1 + 0.5·2).
    assert_eq!((a, b), ([1.875], [1.5]));
}

#[test]
fn a_frozen_parameter_does_not_count_steps() {
    let parameters = vec![Parameter::plain("a", 1), Parameter::plain("b", 1)];
    let mut optimizer = Optimizer::new(OptimizerKind::adamw(), parameters).unwrap();
    for _ in 0..3 {
        optimizer.update(1, tensors(&mut [1.0], &[1.0]), Step::at(0.1)).unwrap();
    }
    let state = optimizer.state();
    assert_eq!((state["step/a"][0], state["step/b"][0]), (0.0, 3.0));
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let twice = vec![Parameter::plain("a", 1), Parameter::plain("a", 2)];
    assert_eq!(Optimizer::new(sgd(0.9), twice).unwrap_err(), OptimError::Twice { name: "a".into() });
    let unlike = OptimizerKind::Sgd { momentum: 0.0, nesterov: true };
    assert!(matches!(Optimizer::new(unlike, vec![]), Err(OptimError::Option(OptionError { option: "momentum", .. }))));
    let growing = vec![Parameter { weight_decay: -0.1, ..Parameter::plain("a", 1) }];
    assert!(matches!(
        Optimizer::new(sgd(0.9), growing),
        Err(OptimError::Option(OptionError { option: "weight_decay", .. }))
    ));

    let mut optimizer = Optimizer::new(sgd(0.9), vec![Parameter::plain("a", 2), Parameter::plain("b", 1)]).unwrap();
    let (mut a, mut b) = ([1.0, 2.0], [3.0]);
    let short = optimizer.step(&mut [tensors(&mut a, &[1.0, 1.0]), tensors(&mut b, &[])], Step::at(0.1));
    let expected = OptimError::Length { name: "b".into(), what: "gradient", expected: 1, found: 0 };
    assert_eq!(short, Err(expected));
    let fewer = optimizer.step(&mut [tensors(&mut a, &[1.0, 1.0])], Step::at(0.1));
    assert_eq!(fewer, Err(OptimError::Tensors { expected: 2, found: 1 }));
    assert_eq!((a, b), ([1.0, 2.0], [3.0]));
}

#[test]
fn rules_and_groups_are_read_with_defaults_and_without_misspellings() {
    let rule = |text: &str| serde_json::from_str::<OptimizerKind>(text);
    assert_eq!(rule(r#"{"name": "sgd"}"#).unwrap(), sgd(0.9));
    assert_eq!(rule(r#"{"name": "rmsprop"}"#).unwrap(), OptimizerKind::rmsprop());
    assert_eq!(rule(r#"{"name": "adamw", "beta2": 0.99}"#).unwrap(), {
        OptimizerKind::AdamW { beta1: 0.9, beta2: 0.99, epsilon: 1e-8 }
    });
    let misspelled = rule(r#"{"name": "sgd", "momentun": 0.9}"#).unwrap_err().to_string();
    assert!(misspelled.contains("unknown field `momentun`"), "{misspelled}");
    assert_eq!(serde_json::from_str::<Groups>("{}").unwrap(), Groups::default());
    let unknown = serde_json::from_str::<Groups>(r#"{"decay": 1}"#).unwrap_err().to_string();
    assert!(unknown.contains("unknown field `decay`"), "{unknown}");
    for rule in [sgd(0.5), OptimizerKind::rmsprop(), OptimizerKind::adamw()] {
        assert_eq!(serde_json::from_value::<OptimizerKind>(serde_json::to_value(rule).unwrap()).unwrap(), rule);
    }
}
