//! Logistic regression with an L2 penalty, multinomial or of each class by itself, by L-BFGS (Liu and Nocedal 1989).
//!
//! The loss is `Σ cross-entropy / n + penalty/2 · ‖W‖²`; biases are not penalized. It is convex, so the result does not
//! depend on where the search begins, and nothing is drawn at random.

use std::cell::OnceCell;
use std::collections::VecDeque;

use super::design::Design;
use super::preconditioner::{Hessian, Preconditioner};
use super::solution::Solution;
use super::targets::{Line, Losses};
use crate::backend::cpu::kernels::dot::dot;

/// Steps whose changes of the gradient are remembered.
const MEMORY: usize = 5;
/// Evaluations along a direction, at most.
const EVALUATIONS: usize = 12;
/// By how much of itself a loss may seem to rise because its terms are rounded, to six parts in a hundred million.
const ROUNDING: f64 = 1e-7;

/// What is minimized.
pub(super) struct Logistic<'a> {
    pub(super) design: &'a Design<'a>,
    /// Of the rows of the design.
    pub(super) losses: &'a Losses,
    /// How many classes there are.
    pub(super) count: usize,
    /// The factor of `‖W‖²/2`.
    pub(super) penalty: f64,
    /// That of the design, which no penalty changes.
    pub(super) preconditioner: &'a OnceCell<Preconditioner>,
}

/// When a search is over.
#[derive(Clone, Copy)]
pub(super) struct Stopping {
    /// `gᵀH⁻¹g` of the gradient, twice what the mean loss can still fall as far as the search knows the Hessian. The length of the gradient
    /// would say less: it is short as soon as the few directions are right in which features vary much.
    pub(super) fall: f64,
    /// Steps, at most.
    pub(super) steps: usize,
}

/// Where a search for coefficients begins and ends.
pub(super) struct Search {
    /// Without them it begins at zero.
    pub(super) start: Option<Solution>,
    pub(super) stopping: Stopping,
}

/// A change of the solution with the change of the gradient that it made.
struct Pair {
    step: Solution,
    change: Solution,
    curvature: f64,
}

/// Where a search is.
struct State {
    at: Solution,
    /// The scores of all rows there.
    scores: Vec<f32>,
    loss: f64,
    gradient: Solution,
}

/// A direction from a point.
struct Ray<'a> {
    at: &'a Solution,
    direction: &'a Solution,
    /// The products of point with point, point with direction and direction with direction.
    products: [f64; 3],
}

/// The loss at a point of a line, with its derivatives along it.
#[derive(Debug, Clone, Copy)]
struct Evaluated {
    loss: f64,
    slope: f64,
    curvature: f64,
}

impl Logistic<'_> {
    /// The coefficients of the least loss.
    pub(super) fn minimize(&self, Search { start, stopping }: Search) -> Solution {
        let mut state = self.state(start.unwrap_or_else(|| self.zero()));
        let mut memory: VecDeque<Pair> = VecDeque::new();
        for _ in 0..stopping.steps {
            let mut step = self.direction(&state.gradient, &memory);
            let slope = self.dot(&state.gradient, &step);
            if (0.0..=stopping.fall).contains(&-slope) {
                break;
            }
            let length = if slope < 0.0 { self.line_search(&mut state, &step, slope) } else { None };
            let Some(length) = length else {
                if memory.is_empty() {
                    break;
                }
                // Rounding has made it a direction in which the loss does not fall. Without what is remembered it may.
                memory.clear();
                continue;
            };
            step.scale(length);
            state.at.add(1.0, &step);
            let mut change = self.gradient(&state.at, &state.scores);
            std::mem::swap(&mut change, &mut state.gradient);
            change.scale(-1.0);
            change.add(1.0, &state.gradient);
            let curvature = self.dot(&step, &change);
            if curvature > 1e-12 * self.square(&change) {
                memory.push_back(Pair { step, change, curvature });
            }
            if memory.len() > MEMORY {
                memory.pop_front();
            }
        }
        state.at
    }

    fn zero(&self) -> Solution {
        Solution::zero([self.design.size(), self.design.rows()], self.count)
    }

    /// The state at a point.
    fn state(&self, at: Solution) -> State {
        let mut scores = vec![0.0; at.logits.len()];
        let nowhere = self.zero();
        let loss = self.evaluate(&self.ray(&at, &nowhere), 0.0, &mut scores).loss;
        let gradient = self.gradient(&at, &scores);
        State { at, scores, loss, gradient }
    }

    /// The product of two solutions in the space of weights.
    fn dot(&self, a: &Solution, b: &Solution) -> f64 {
        self.weights(a, b) + dot(&a.bias, &b.bias)
    }

    fn square(&self, a: &Solution) -> f64 {
        self.dot(a, a)
    }

    /// The product without the biases, which no penalty is on.
    fn weights(&self, a: &Solution, b: &Solution) -> f64 {
        dot(&a.coefficients, self.design.dual(b))
    }

    /// The gradient where the rows have these scores.
    fn gradient(&self, at: &Solution, scores: &[f32]) -> Solution {
        let residuals = self.losses.residuals(scores, 1.0 / self.design.rows() as f32);
        let mut bias = vec![0.0; self.count];
        for row in residuals.chunks(self.count) {
            bias.iter_mut().zip(row).for_each(|(sum, residual)| *sum += residual);
        }
        let mut coefficients = self.design.transposed_product(residuals, self.count);
        let penalty = self.penalty as f32;
        coefficients.iter_mut().zip(&at.coefficients).for_each(|(slope, weight)| *slope += penalty * weight);
        let logits = self.design.product(&coefficients, self.count);
        Solution { coefficients, logits, bias }
    }

    /// Minus the gradient divided by the Hessian: roughly, and by what the last steps tell of it.
    fn direction(&self, gradient: &Solution, memory: &VecDeque<Pair>) -> Solution {
        let mut direction = gradient.clone();
        let mut factors = Vec::with_capacity(memory.len());
        for Pair { step, change, curvature } in memory.iter().rev() {
            let factor = self.dot(step, &direction) / curvature;
            direction.add(-factor, change);
            factors.push(factor);
        }
        let hessian = Hessian { curvatures: self.losses.curvatures(), penalty: self.penalty };
        let preconditioner = self.preconditioner.get_or_init(|| Preconditioner::new(self.design));
        direction = preconditioner.divide(self.design, &direction, &hessian);
        for (Pair { step, change, curvature }, factor) in memory.iter().zip(factors.into_iter().rev()) {
            let back = self.dot(change, &direction) / curvature;
            direction.add(factor - back, step);
        }
        direction.scale(-1.0);
        direction
    }

    /// How far to go from a place with this slope: to where it is at most half as steep, by Newton's method in one variable. Logits
    /// are linear in the coefficients, so no product with the design is needed. The scores and the loss become those of that
    /// place. `None` where the loss does not fall.
    fn line_search(&self, state: &mut State, direction: &Solution, start: f64) -> Option<f64> {
        let State { at, scores, loss, .. } = state;
        let ray = self.ray(at, direction);
        let mut evaluate = |length: f64| self.evaluate(&ray, length, scores);
        let mut length = 1.0;
        let (mut low, mut high) = (0.0, f64::INFINITY);
        let highest = *loss + ROUNDING * loss.abs();
        for _ in 0..EVALUATIONS {
            let here = evaluate(length);
            if here.slope.abs() <= 0.5 * start.abs() && here.loss <= highest {
                *loss = here.loss;
                return Some(length);
            }
            if here.slope > 0.0 || here.loss > highest {
                high = length
            } else {
                low = length
            }
            let newton = length - here.slope / here.curvature;
            let inside = newton > low && newton < high && newton.is_finite();
            length = match (inside, high.is_finite()) {
                (true, _) => newton,
                (false, true) => low.midpoint(high),
                (false, false) => 2.0 * length,
            };
        }
        (low > 0.0).then(|| {
            *loss = evaluate(low).loss;
            low
        })
    }

    /// A direction from a point.
    fn ray<'s>(&self, at: &'s Solution, direction: &'s Solution) -> Ray<'s> {
        let products = [self.weights(at, at), self.weights(at, direction), self.weights(direction, direction)];
        Ray { at, direction, products }
    }

    /// The loss at this length along a direction. The scores become those of that place.
    fn evaluate(&self, ray: &Ray<'_>, length: f64, scores: &mut [f32]) -> Evaluated {
        let Ray { at, direction, products } = ray;
        let line = Line {
            base: &at.logits,
            step: &direction.logits,
            biases: [&at.bias, &direction.bias],
            length: length as f32,
        };
        let sums = self.losses.along(&line, scores);
        let n = self.design.rows() as f64;
        let [point, cross, along] = products.map(|product| self.penalty * product);
        Evaluated {
            loss: sums.loss / n + 0.5 * (point + 2.0 * length * cross + length * length * along),
            slope: sums.slope / n + cross + length * along,
            curvature: sums.curvature / n + along,
        }
    }
}
