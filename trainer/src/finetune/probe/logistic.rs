//! Multinomial logistic regression with an L2 penalty, by L-BFGS (Liu and Nocedal 1989).
//!
//! The loss is `Σ cross-entropy / n + penalty/2 · ‖W‖²`; biases are not penalized. It is convex, so the result does not
//! depend on where the search begins, and nothing is drawn at random.

use std::collections::VecDeque;

use super::design::Design;

/// Steps whose changes of the gradient are remembered.
const MEMORY: usize = 8;
/// Evaluations along a direction, at most.
const EVALUATIONS: usize = 12;

/// What is minimized.
pub(super) struct Logistic<'a> {
    pub(super) design: &'a Design<'a>,
    /// The class of each row.
    pub(super) classes: &'a [usize],
    /// How many classes there are.
    pub(super) count: usize,
    /// The share of each target that is spread over all classes.
    pub(super) smoothing: f32,
    /// The factor of `‖W‖²/2`.
    pub(super) penalty: f64,
}

/// When a search is over.
#[derive(Clone, Copy)]
pub(super) struct Stopping {
    /// The length of the gradient relative to that of coefficients that are all zero.
    pub(super) gradient: f64,
    /// Steps, at most.
    pub(super) steps: usize,
}

/// Where a search for coefficients begins and ends.
pub(super) struct Search {
    /// Without them it begins at zero.
    pub(super) start: Option<Solution>,
    pub(super) stopping: Stopping,
}

/// Coefficients with what they make of the rows.
#[derive(Clone)]
pub(super) struct Solution {
    /// `[size, count]`, row-major.
    pub(super) coefficients: Vec<f32>,
    /// `[n, count]` without the biases: the design times the coefficients.
    logits: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl Solution {
    fn zero(design: &Design<'_>, count: usize) -> Self {
        let zeros = |rows: usize| vec![0.0; rows * count];
        Self { coefficients: zeros(design.size()), logits: zeros(design.rows()), bias: vec![0.0; count] }
    }

    fn add(&mut self, factor: f64, other: &Self) {
        let factor = factor as f32;
        for (sum, terms) in [
            (&mut self.coefficients, &other.coefficients),
            (&mut self.logits, &other.logits),
            (&mut self.bias, &other.bias),
        ] {
            sum.iter_mut().zip(terms).for_each(|(sum, term)| *sum += factor * term);
        }
    }

    fn scale(&mut self, factor: f64) {
        let factor = factor as f32;
        for numbers in [&mut self.coefficients, &mut self.logits, &mut self.bias] {
            numbers.iter_mut().for_each(|number| *number *= factor);
        }
    }
}

/// A change of the solution with the change of the gradient that it made.
struct Pair {
    step: Solution,
    change: Solution,
    curvature: f64,
}

impl Logistic<'_> {
    /// The coefficients of the least loss.
    pub(super) fn minimize(&self, Search { start, stopping }: Search) -> Solution {
        let mut at = start.unwrap_or_else(|| Solution::zero(self.design, self.count));
        let mut gradient = self.gradient(&at);
        let zero = Solution::zero(self.design, self.count);
        let least = stopping.gradient.powi(2) * self.square(&self.gradient(&zero));
        let mut memory: VecDeque<Pair> = VecDeque::new();
        for _ in 0..stopping.steps {
            if self.square(&gradient) <= least {
                break;
            }
            let direction = self.direction(&gradient, &memory);
            let first = if memory.is_empty() { None } else { Some(1.0) };
            let Some(length) = self.line_search(&at, &direction, first) else { break };
            let mut step = direction;
            step.scale(length);
            at.add(1.0, &step);
            let mut change = self.gradient(&at);
            std::mem::swap(&mut change, &mut gradient);
            change.scale(-1.0);
            change.add(1.0, &gradient);
            let curvature = self.dot(&step, &change);
            if curvature > 1e-12 * self.square(&change) {
                memory.push_back(Pair { step, change, curvature });
            }
            if memory.len() > MEMORY {
                memory.pop_front();
            }
        }
        at
    }

    /// The product of two solutions in the space of weights.
    fn dot(&self, a: &Solution, b: &Solution) -> f64 {
        let weights = match self.design {
            Design::Features(_) => dot(&a.coefficients, &b.coefficients),
            Design::Products(_) => dot(&a.coefficients, &b.logits),
        };
        weights + dot(&a.bias, &b.bias)
    }

    fn square(&self, a: &Solution) -> f64 {
        self.dot(a, a)
    }

    /// The product without the biases, which no penalty is on.
    fn weights(&self, a: &Solution, b: &Solution) -> f64 {
        self.dot(a, b) - dot(&a.bias, &b.bias)
    }

    fn gradient(&self, at: &Solution) -> Solution {
        let residuals = self.residuals(at);
        let mut coefficients = self.design.transposed_product(&residuals, self.count);
        let penalty = self.penalty as f32;
        coefficients.iter_mut().zip(&at.coefficients).for_each(|(slope, weight)| *slope += penalty * weight);
        let mut bias = vec![0.0; self.count];
        for row in residuals.chunks(self.count) {
            bias.iter_mut().zip(row).for_each(|(sum, residual)| *sum += residual);
        }
        let logits = self.design.product(&coefficients, self.count);
        Solution { coefficients, logits, bias }
    }

    /// The derivatives of the loss by the logits, `[n, count]`: (probability - target) / n.
    fn residuals(&self, at: &Solution) -> Vec<f32> {
        let mut residuals = Vec::with_capacity(at.logits.len());
        let n = self.classes.len() as f32;
        let spread = self.smoothing / self.count as f32;
        for (logits, &class) in at.logits.chunks(self.count).zip(self.classes) {
            let start = residuals.len();
            residuals.extend(logits.iter().zip(&at.bias).map(|(logit, bias)| logit + bias));
            let row = &mut residuals[start..];
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            row.iter_mut().for_each(|logit| *logit = (*logit - largest).exp());
            let sum: f32 = row.iter().sum();
            row.iter_mut().for_each(|share| *share = (*share / sum - spread) / n);
            row[class] -= (1.0 - self.smoothing) / n;
        }
        residuals
    }

    /// Minus the gradient, by what the last steps tell of the curvature.
    fn direction(&self, gradient: &Solution, memory: &VecDeque<Pair>) -> Solution {
        let mut direction = gradient.clone();
        let mut factors = Vec::with_capacity(memory.len());
        for Pair { step, change, curvature } in memory.iter().rev() {
            let factor = self.dot(step, &direction) / curvature;
            direction.add(-factor, change);
            factors.push(factor);
        }
        if let Some(last) = memory.back() {
            direction.scale(last.curvature / self.square(&last.change));
        }
        for (Pair { step, change, curvature }, factor) in memory.iter().zip(factors.into_iter().rev()) {
            let back = self.dot(change, &direction) / curvature;
            direction.add(factor - back, step);
        }
        direction.scale(-1.0);
        direction
    }

    /// How far to go: to where the slope is at most half of what it was, by Newton's method in one variable. Logits are
    /// linear in the coefficients, so no product with the design is needed. `None` where the loss does not fall.
    fn line_search(&self, at: &Solution, direction: &Solution, first: Option<f64>) -> Option<f64> {
        let line = Line { problem: self, at, direction, penalties: self.penalties(at, direction) };
        let start = line.evaluate(0.0);
        if start.slope >= 0.0 {
            return None;
        }
        let mut length = first.unwrap_or(-start.slope / start.curvature);
        let (mut low, mut high) = (0.0, f64::INFINITY);
        for _ in 0..EVALUATIONS {
            let here = line.evaluate(length);
            if here.slope.abs() <= 0.5 * start.slope.abs() && here.loss < start.loss {
                return Some(length);
            }
            if here.slope > 0.0 || here.loss >= start.loss {
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
        (low > 0.0).then_some(low)
    }

    fn penalties(&self, at: &Solution, direction: &Solution) -> [f64; 3] {
        [self.weights(at, at), self.weights(at, direction), self.weights(direction, direction)]
            .map(|product| self.penalty * product)
    }
}

/// The loss along a direction.
struct Line<'a> {
    problem: &'a Logistic<'a>,
    at: &'a Solution,
    direction: &'a Solution,
    /// The penalty's products of point with point, point with direction, direction with direction.
    penalties: [f64; 3],
}

/// The loss at a point of a line, with its derivatives along it.
struct Evaluated {
    loss: f64,
    slope: f64,
    curvature: f64,
}

impl Line<'_> {
    fn evaluate(&self, length: f64) -> Evaluated {
        let Logistic { classes, count, smoothing, .. } = *self.problem;
        let (mut loss, mut slope, mut curvature) = (0.0, 0.0, 0.0);
        let (mut logits, mut changes) = (vec![0.0_f32; count], vec![0.0_f32; count]);
        let (spread, own) = (f64::from(smoothing) / count as f64, 1.0 - f64::from(smoothing));
        let rows = self.at.logits.chunks(count).zip(self.direction.logits.chunks(count)).zip(classes);
        for ((at, direction), &class) in rows {
            let biases = self.at.bias.iter().zip(&self.direction.bias);
            for (index, ((at, direction), (bias, bias_change))) in at.iter().zip(direction).zip(biases).enumerate() {
                changes[index] = direction + bias_change;
                logits[index] = at + bias + length as f32 * changes[index];
            }
            let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let (mut sum, mut mean, mut square, mut all, mut all_changes) = (0.0, 0.0, 0.0, 0.0, 0.0);
            for (&logit, &change) in logits.iter().zip(&changes) {
                let share = f64::from((logit - largest).exp());
                let change = f64::from(change);
                sum += share;
                mean += share * change;
                square += share * change * change;
                all += f64::from(logit);
                all_changes += change;
            }
            let (mean, square) = (mean / sum, square / sum);
            loss += f64::from(largest) + sum.ln() - own * f64::from(logits[class]) - spread * all;
            slope += mean - own * f64::from(changes[class]) - spread * all_changes;
            curvature += square - mean * mean;
        }
        let n = classes.len() as f64;
        let [point, cross, along] = self.penalties;
        Evaluated {
            loss: loss / n + 0.5 * (point + 2.0 * length * cross + length * length * along),
            slope: slope / n + cross + length * along,
            curvature: curvature / n + along,
        }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    // Partial sums keep f32's rounding small and let the loop be vectorized.
    let partial = |(a, b): (&[f32], &[f32])| -> f64 { f64::from(a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>()) };
    a.chunks(64).zip(b.chunks(64)).map(partial).sum()
}
