//! Rules by which gradients change weights.

/// Stochastic gradient descent with Nesterov momentum, `torch.optim.SGD(nesterov=True)` to the letter:
/// `v = μ·v + g; w -= lr·(g + μ·v)` with `g` including `weight_decay · w`.
#[derive(Debug, Clone)]
pub struct Sgd {
    momentum: f32,
    weight_decay: f32,
    velocity: Option<Vec<f32>>,
}

impl Sgd {
    /// A rule for one tensor.
    #[must_use]
    pub fn new(momentum: f32, weight_decay: f32) -> Self {
        Self { momentum, weight_decay, velocity: None }
    }

    /// One step at this learning rate.
    pub fn step(&mut self, weights: &mut [f32], gradient: &[f32], learning_rate: f32) {
        let (momentum, decay) = (self.momentum, self.weight_decay);
        let velocity = self.velocity.get_or_insert_with(|| vec![0.0; weights.len()]);
        for ((weight, &gradient), velocity) in weights.iter_mut().zip(gradient).zip(velocity) {
            let gradient = gradient + decay * *weight;
            *velocity = momentum * *velocity + gradient;
            *weight -= learning_rate * (gradient + momentum * *velocity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_pytorch() {
        let mut sgd = Sgd::new(0.9, 0.01);
        let mut weights = [1.0_f32, -2.0];
        for expected in REFERENCE {
            let gradient = weights;
            sgd.step(&mut weights, &gradient, 0.1);
            for (weight, expected) in weights.iter().zip(expected) {
                // Both are f32; a few units in the last place.
                assert!((weight - expected).abs() < 1e-6, "{weights:?}, PyTorch {expected:?}");
            }
        }
    }

    /// Printed by `reference/sgd.py`.
    const REFERENCE: [[f32; 2]; 3] = [[0.808_1, -1.616_2], [0.571_215_6, -1.142_431_3], [0.321_859_72, -0.643_719_44]];
}
