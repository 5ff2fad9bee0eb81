//! Schedules against PyTorch, and by hand.

use serde::Deserialize;

use super::*;

/// Written by `reference/schedule.py`.
const TORCH: &str = include_str!("../../../tests/data/schedule.json");

#[derive(Deserialize)]
struct Reference {
    kept: Vec<u64>,
    pure: Vec<Pure>,
    plateau: Vec<OnPlateau>,
}

#[derive(Deserialize)]
struct Pure {
    schedule: Schedule,
    rates: Vec<f64>,
}

#[derive(Deserialize)]
struct OnPlateau {
    options: PlateauOptions,
    metrics: Vec<f64>,
    rates: Vec<f64>,
}

fn reference() -> Reference {
    serde_json::from_str(TORCH).unwrap()
}

/// Both compute in f64; PyTorch goes from each rate to the next and gathers the rounding of 100 steps.
fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12
}

#[test]
fn schedules_are_pytorchs() {
    let reference = reference();
    assert_eq!(reference.pure.len(), 10);
    for Pure { schedule, rates } in reference.pure {
        schedule.validate().unwrap();
        for (&step, &rate) in reference.kept.iter().zip(&rates) {
            assert!(close(schedule.at(step), rate), "{schedule:?}, step {step}: {}, PyTorch {rate}", schedule.at(step));
        }
    }
}

#[test]
fn plateau_is_pytorchs_and_can_be_resumed() {
    for case in reference().plateau {
        let mut plateau = Plateau::new(case.options);
        for (epoch, (&metric, &rate)) in case.metrics.iter().zip(&case.rates).enumerate() {
            plateau = serde_json::from_value(serde_json::to_value(&plateau).unwrap()).unwrap();
            assert!(close(plateau.observe(metric), rate), "{:?}, epoch {epoch}: {plateau:?}", case.options);
        }
    }
}

#[test]
fn tflearns_residual_network_takes_a_tenth_every_32000_steps() {
    let schedule = Schedule::Staircase { rate: 0.1, factor: 0.1, every: 32_000 };
    for (step, rate) in [(0, 0.1), (31_999, 0.1), (32_000, 0.01), (63_999, 0.01), (64_000, 0.001), (78_199, 0.001)] {
        assert!(close(schedule.at(step), rate), "step {step}: {}", schedule.at(step));
    }
}

#[test]
fn he_warms_up_without_moving_the_milestones() {
    let then = Box::new(Schedule::Step { rate: 0.1, milestones: vec![32_000, 48_000], gamma: 0.1 });
    let schedule = Schedule::WarmUp { steps: 400, ramp: Ramp::Hold(0.01), clock: Clock::Shared, then };
    let table = [(0, 0.01), (399, 0.01), (400, 0.1), (31_999, 0.1), (32_000, 0.01), (48_000, 0.001)];
    for (step, rate) in table {
        assert!(close(schedule.at(step), rate), "step {step}: {}", schedule.at(step));
    }
}

#[test]
fn behind_its_end_a_schedule_stays() {
    let ends = [
        (Schedule::Cosine { rate: 0.1, end: 0.02, steps: 10 }, 0.02),
        (Schedule::Polynomial { rate: 0.1, end: 0.02, steps: 10, power: 1.0 }, 0.02),
        (Schedule::OneCycle { rate: 0.1, steps: 10, rise: 0.3, start_divisor: 10.0, end_divisor: 5.0 }, 0.002),
    ];
    for (schedule, end) in ends {
        assert!(close(schedule.at(10), end) && close(schedule.at(u64::MAX), end), "{schedule:?}");
    }
}

#[test]
fn epochs_become_steps_at_every_depth() {
    let cosine = |steps| Box::new(Schedule::Cosine { rate: 0.1, end: 0.0, steps });
    let warm_up = |steps, then| Schedule::WarmUp { steps, ramp: Ramp::From(0.0), clock: Clock::Restarted, then };
    assert_eq!(warm_up(5, cosine(85)).in_steps(43), warm_up(215, cosine(3655)));
    let step = |milestones| Schedule::Step { rate: 0.1, milestones, gamma: 0.1 };
    assert_eq!(step(vec![100, 150]).in_steps(391), step(vec![39_100, 58_650]));
}

#[test]
fn what_makes_no_sense_is_named() {
    let refused = |text: &str| serde_json::from_str::<Schedule>(text).unwrap().validate().unwrap_err().to_string();
    assert!(refused(r#"{"kind": "constant", "rate": -1.0}"#).starts_with("`rate`"));
    assert!(refused(r#"{"kind": "staircase", "rate": 1, "factor": 0.1, "every": 0}"#).starts_with("`every`"));
    assert!(refused(r#"{"kind": "one-cycle", "rate": 1, "steps": 9, "rise": 1.0}"#).starts_with("`rise`"));
    let inner =
        r#"{"kind": "warm-up", "steps": 9, "ramp": {"hold": 0.1}, "then": {"kind": "cosine", "rate": 1, "steps": 0}}"#;
    assert!(refused(inner).starts_with("`steps`"));
    let unknown = serde_json::from_str::<Schedule>(r#"{"kind": "constant", "rate": 1, "gamma": 1}"#).unwrap_err();
    assert!(unknown.to_string().contains("unknown field `gamma`"), "{unknown}");
}
